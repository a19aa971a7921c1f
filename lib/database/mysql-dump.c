/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "database/child.h"
#include "database/mysql-dump.h"

/* The first line of newer dumps, which other clients refuse. Ours are told to obey no commands anyway. */
#define SANDBOX "/*M!999999\\- "
#define TRAILER "-- Dump completed"
#define TAIL_MAX 256
#define HEAD_MAX 4096U
/* Beside the names of databases. */
#define ARGUMENTS_MAX 32U

struct MysqlDump {
        Child *child;
        char *what;  /* "database 'shop'" */
        Buffer head; /* what comes before more of it is read */
        size_t given;
        char tail[TAIL_MAX];
        size_t n_tail;
};

MysqlDump *mysql_dump_free(MysqlDump *d) {
        if (!d)
                return NULL;
        child_free(d->child);
        free(d->what);
        buffer_done(&d->head);
        return mfree(d);
}

static size_t add_arguments(const MysqlDumpArgs *args, MysqlDumpKind kind, const char **arguments) {
        static const char *const common[] = {
                "--comments",
                "--single-transaction",
                "--quick",
                "--hex-blob",
                "--no-tablespaces",
                "--default-character-set=utf8mb4",
                "--max-allowed-packet=1G",
        };
        static const char *const kinds[][6] = {
                [MYSQL_DUMP_ALL] = { "--routines", "--triggers", "--events" },
                [MYSQL_DUMP_ROUTINES] = { "--no-create-info", "--no-data", "--routines", "--triggers",
                                          "--events" },
                [MYSQL_DUMP_TABLES] = { "--no-create-db", "--skip-routines", "--skip-triggers",
                                        "--skip-events", "--databases" },
        };
        size_t n = 0;

        arguments[n++] = args->tool->name;
        arguments[n++] = "--defaults-file=" CHILD_PRIVATE_PATH; /* has to be the first */
        for (size_t i = 0; i < ELEMENTSOF(common); i++)
                arguments[n++] = common[i];
        for (const char *const *more = kinds[kind]; *more; more++)
                arguments[n++] = *more;
        if (args->facts->position)
                arguments[n++] = args->tool->mariadb ? "--master-data=2" : "--source-data=2";
        if (args->facts->position && args->tool->mariadb)
                arguments[n++] = "--gtid";
        if (!args->tool->mariadb)
                arguments[n++] = "--set-gtid-purged=COMMENTED";
        arguments[n++] = "--";
        return n;
}

int mysql_dump_new(const MysqlDumpArgs *args, MysqlDumpKind kind, char *const *databases, size_t n,
                   MysqlDump **ret, Failure *reterr_failure) {
        _cleanup_(mysql_dump_freep) MysqlDump *d = NULL;
        _cleanup_(freep) const char **arguments = NULL;
        ChildArgs child;
        size_t k;
        int r;

        assert(args && args->tool && args->facts);
        assert(databases && n > 0);
        assert(ret);

        d = new0(MysqlDump, 1);
        arguments = new0(const char *, ARGUMENTS_MAX + n + 1);
        if (!d || !arguments)
                return -ENOMEM;
        r = n == 1 ? asprintf_safe(&d->what, "database '%s'", databases[0]) :
                     asprintf_safe(&d->what, "%zu databases", n);
        if (r < 0)
                return r;
        k = add_arguments(args, kind, arguments);
        assert(k < ARGUMENTS_MAX);
        for (size_t i = 0; i < n; i++)
                arguments[k++] = databases[i];
        child = (ChildArgs){
                .path = args->tool->path,
                .arguments = (char *const *) arguments,
                .secret = args->options,
                .cancel = args->cancel,
        };
        r = child_new(&child, &d->child, reterr_failure);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(d);
        return 0;
}

/* --- What it prints ----------------------------------------------------------------------------------- */

/* Takes the first line out where it is the one that others refuse. */
static void strip_sandbox(char *p, size_t *n) {
        char *end;

        if (*n < STRLEN(SANDBOX) || strncmp(p, SANDBOX, STRLEN(SANDBOX)) != 0)
                return;
        end = memchr(p, '\n', *n);
        if (!end)
                return;
        *n -= (size_t) (end + 1 - p);
        memmove(p, end + 1, *n);
}

static void keep_tail(MysqlDump *d, const char *p, size_t n) {
        size_t keep;

        if (n >= TAIL_MAX) {
                memcpy(d->tail, p + n - TAIL_MAX, TAIL_MAX);
                d->n_tail = TAIL_MAX;
                return;
        }
        keep = MIN(d->n_tail, TAIL_MAX - n);
        memmove(d->tail, d->tail + d->n_tail - keep, keep);
        memcpy(d->tail + keep, p, n);
        d->n_tail = keep + n;
}

/* Whether the last line is that of a dump that came to its end. */
static bool is_complete(const MysqlDump *d) {
        size_t n = d->n_tail;
        const char *line;

        while (n > 0 && strchr("\r\n", d->tail[n - 1]))
                n--;
        line = memrchr(d->tail, '\n', n);
        line = line ? line + 1 : d->tail;
        return n - (size_t) (line - d->tail) >= STRLEN(TRAILER) &&
                        strncmp(line, TRAILER, STRLEN(TRAILER)) == 0;
}

/* Both have to say that it is whole. */
static int check_end(MysqlDump *d, Failure *reterr_failure) {
        int r;

        r = child_wait(d->child);
        if (r < 0)
                return r;
        if (r > 0)
                return failure_set(reterr_failure, -EIO, "DUMP_FAILED", "The dump of %s failed: %s", d->what,
                                   child_complaint(d->child, "its program was killed"));
        if (!is_complete(d))
                return failure_set(reterr_failure, -EIO, "DUMP_INCOMPLETE",
                                   "The dump of %s has no end, although its program says that all went well",
                                   d->what);
        return 0;
}

/* The first bytes, until their first line is whole. */
static int read_head(MysqlDump *d) {
        _cleanup_(freep) char *buf = malloc(HEAD_MAX);
        size_t n = 0;
        ssize_t k = 1;

        if (!buf)
                return -ENOMEM;
        while (k > 0 && n < HEAD_MAX && !memchr(buf, '\n', n)) {
                k = child_read(d->child, buf + n, HEAD_MAX - n);
                n += (size_t) MAX(k, 0);
        }
        if (k < 0)
                return (int) k;
        strip_sandbox(buf, &n);
        keep_tail(d, buf, n);
        return n > 0 ? buffer_add(&d->head, buf, n) : 0;
}

ssize_t mysql_dump_read(MysqlDump *d, void *p, size_t n, Failure *reterr_failure) {
        ssize_t k;
        int r;

        assert(d);
        assert(p && n > 0);

        if (d->given == 0 && d->n_tail == 0) {
                r = read_head(d);
                if (r < 0)
                        return r;
        }
        if (d->given < d->head.size) {
                n = MIN(n, d->head.size - d->given);
                memcpy(p, d->head.data + d->given, n);
                d->given += n;
                return (ssize_t) n;
        }
        k = child_read(d->child, p, n);
        if (k > 0)
                keep_tail(d, p, (size_t) k);
        return k != 0 ? k : check_end(d, reterr_failure);
}
