/* SPDX-License-Identifier: Apache-2.0 */

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <systemd/sd-journal.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/parse.h"
#include "base/text.h"
#include "sys/log.h"

#define LOG_LINE_MAX 2048 /* of a message; journald keeps more, nobody reads it */
#define LOG_FIELDS_MAX 16
#define LOG_FIELD_TEXT_MAX 512

/* The only variables of the suite outside of an object: every file logs. */
static struct {
        const char *identifier;
        int max_level;
        bool journal;
} log_state = { .identifier = "backupx", .max_level = LOG_INFO };

static const char *const level_table[] = {
        [LOG_EMERG] = "emerg",
        [LOG_ALERT] = "alert",
        [LOG_CRIT] = "crit",
        [LOG_ERR] = "err",
        [LOG_WARNING] = "warning",
        [LOG_NOTICE] = "notice",
        [LOG_INFO] = "info",
        [LOG_DEBUG] = "debug",
};

/* Whether standard error is the stream that the service manager connected to the journal. */
static bool stderr_is_journal(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2)
                return false;
        return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_open(const char *identifier) {
        const char *level = getenv("BACKUPX_LOG_LEVEL");
        int r;

        assert(identifier);

        log_state.identifier = identifier;
        log_state.journal = stderr_is_journal();
        r = level ? log_level_from_string(level) : -ENOENT;
        if (r >= 0)
                log_state.max_level = r;
}

void log_set_max_level(int level) {
        log_state.max_level = CLAMP(level, LOG_EMERG, LOG_DEBUG);
}

int log_max_level(void) {
        return log_state.max_level;
}

int log_level_from_string(const char *s) {
        uint32_t number;

        if (!s)
                return -EINVAL;
        for (size_t i = 0; i < ELEMENTSOF(level_table); i++)
                if (streq(level_table[i], s))
                        return (int) i;
        if (streq(s, "error"))
                return LOG_ERR;
        if (parse_u32(s, LOG_EMERG, LOG_DEBUG, &number) < 0)
                return -EINVAL;
        return (int) number;
}

const char *log_level_to_string(int level) {
        return level < LOG_EMERG || level > LOG_DEBUG ? NULL : level_table[level];
}

const char *log_target_to_string(void) {
        return log_state.journal ? "journal" : "console";
}

int log_set_target(const char *name) {
        if (!name)
                return -EINVAL;
        if (streq(name, "auto"))
                log_state.journal = stderr_is_journal();
        else if (streq(name, "journal"))
                log_state.journal = true;
        else if (streq(name, "console"))
                log_state.journal = false;
        else
                return -EINVAL;
        return 0;
}

const char *log_identifier(void) {
        return log_state.identifier;
}

/* Room for the texts of all fields of one journal entry. */
typedef struct Entry {
        struct iovec iov[LOG_FIELDS_MAX];
        size_t n;
        Buffer text; /* limited; iov_base holds offsets until it is complete */
} Entry;

static void entry_done(Entry *e) {
        buffer_done(&e->text);
}

static void entry_add(Entry *e, size_t start) {
        if (e->n >= LOG_FIELDS_MAX)
                return;
        e->iov[e->n++] = (struct iovec){ .iov_base = (void *) (uintptr_t) start,
                                         .iov_len = e->text.size - start };
}

static int entry_add_field(Entry *e, const LogField *field) {
        size_t start = e->text.size;
        int r;

        assert(field);

        if (field->text)
                r = buffer_printf(&e->text, "%s=%.*s", field->name, LOG_FIELD_TEXT_MAX, field->text);
        else
                r = buffer_printf(&e->text, "%s=%" PRIu64, field->name, field->number);
        if (r >= 0)
                entry_add(e, start);
        return r;
}

static int write_journal(int level, int error, const char *message_id, const LogField *fields,
                         const char *text) {
        const LogField common[] = {
                { .name = "PRIORITY", .number = (uint64_t) level },
                { .name = "SYSLOG_IDENTIFIER", .text = log_state.identifier },
                { .name = error != 0 ? "ERRNO" : NULL, .number = (uint64_t) error },
        };
        _cleanup_(entry_done) Entry e = { .text = BUFFER_NULL };
        size_t start;
        int r;

        r = buffer_printf(&e.text, "MESSAGE=%s", text);
        if (r >= 0)
                entry_add(&e, 0);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(common); i++)
                if (common[i].name)
                        r = entry_add_field(&e, &common[i]);
        start = e.text.size;
        if (r >= 0 && message_id) {
                r = buffer_printf(&e.text, "MESSAGE_ID=%s", message_id);
                entry_add(&e, start);
        }
        for (const LogField *f = fields; r >= 0 && f && f->name; f++)
                r = entry_add_field(&e, f);
        if (r < 0)
                return r;
        for (size_t i = 0; i < e.n; i++)
                e.iov[i].iov_base = e.text.data + (uintptr_t) e.iov[i].iov_base;
        return sd_journal_sendv(e.iov, (int) e.n);
}

/* One write() a line, so that lines of several daemons on one terminal do not mix. Control characters of
 * what others named do not reach the terminal. */
static void write_console(const char *text) {
        char line[LOG_LINE_MAX + 128];
        size_t n;
        ssize_t written;

        n = (size_t) snprintf(line, sizeof(line) - 1, "%s: %s", log_state.identifier, text);
        n = MIN(n, sizeof(line) - 2);
        for (size_t i = 0; i < n; i++)
                if ((unsigned char) line[i] < ' ' && line[i] != '\t')
                        line[i] = '?';
        line[n] = '\n';
        written = write(STDERR_FILENO, line, n + 1);
        (void) written; /* there is nowhere else to say it */
}

int log_internal(int level, int error, const char *message_id, const LogField *fields, const char *format,
                 ...) {
        int saved_errno = errno, r = -1;
        char text[LOG_LINE_MAX];
        va_list ap;

        assert(format);

        error = error < 0 ? -error : error;
        errno = error;
        va_start(ap, format);
        (void) vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);

        if (log_state.journal)
                r = write_journal(level, error, message_id, fields, text);
        if (r < 0)
                write_console(text);

        errno = saved_errno;
        return -error;
}
