/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/common/results.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/parse.h"
#include "base/text.h"

#define NOTE_MAX 4096

/* An agent that looks whether a job lives holds the lock for a moment. */
#define LOCK_TRIES 10
#define LOCK_PAUSE_USEC (20 * USEC_PER_MSEC)

char *work_name_format(char buf[static WORK_NAME_MAX], WorkName name, const char *suffix) {
        assert(suffix);
        assert(strlen(suffix) <= STRLEN(".json"));

        snprintf(buf, WORK_NAME_MAX, "command-%" PRIu64 "-%" PRIu64 "%s", name.command, name.attempt,
                 suffix);
        return buf;
}

int work_name_parse(const char *s, const char *suffix, WorkName *ret) {
        char copy[WORK_NAME_MAX], again[WORK_NAME_MAX];
        WorkName name = {};
        char *dash, *end;
        size_t n;

        assert(s);
        assert(suffix);
        assert(ret);

        n = strlen(s);
        if (n >= sizeof(copy) || !startswith(s, "command-") || !endswith(s, suffix))
                return -EINVAL;
        memcpy(copy, s, n + 1);
        end = copy + n - strlen(suffix);
        *end = 0;
        dash = strrchr(copy, '-');
        *dash = 0;
        if (strlen(copy) <= STRLEN("command-") ||
            parse_u64(copy + STRLEN("command-"), 1, UINT64_MAX, &name.command) < 0 ||
            parse_u64(dash + 1, 0, UINT64_MAX, &name.attempt) < 0)
                return -EINVAL;
        if (!streq(work_name_format(again, name, suffix), s))
                return -EINVAL;

        *ret = name;
        return 0;
}

/* What root writes into the agent's folder is the agent's. Without the right to do so it stays as it is. */
static void give_to_owner(int dirfd, const char *name) {
        struct stat st;

        if (fstat(dirfd, &st) >= 0 && st.st_uid != geteuid())
                (void) !fchownat(dirfd, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW);
}

static int save_json(int dirfd, const char *name, const json_t *json) {
        _cleanup_(freep) char *text = NULL;
        size_t n;
        int r;

        r = json_format(json, &text, &n);
        if (r < 0)
                return r;
        r = write_file_atomic(dirfd, name, text, n, 0600);
        if (r < 0)
                return r;
        give_to_owner(dirfd, name);
        return 0;
}

int result_save(int dirfd, WorkName name, const json_t *result) {
        char file[WORK_NAME_MAX];

        assert(dirfd >= 0);
        assert(result);

        return save_json(dirfd, work_name_format(file, name, ".json"), result);
}

int result_load(int dirfd, WorkName name, json_t **ret, Failure *reterr_failure) {
        _cleanup_(freep) char *text = NULL;
        _cleanup_json_ json_t *json = NULL;
        char file[WORK_NAME_MAX];
        size_t n;
        int r;

        assert(dirfd >= 0);
        assert(ret);

        r = read_file(dirfd, work_name_format(file, name, ".json"), RESULT_FILE_MAX, &text, &n);
        if (r < 0)
                return r;
        r = json_parse_strict(text, n, JSON_DEPTH_DEFAULT, &json, reterr_failure);
        if (r < 0)
                return r;
        if (!json_is_object(json))
                return failure_set(reterr_failure, -EBADMSG, "JSON_INVALID", "%s holds no result", file);

        *ret = TAKE_PTR(json);
        return 0;
}

void result_forget(int dirfd, WorkName name) {
        /* In this order: the note goes last but for the result, and a mark without a note says nothing. */
        static const char *const suffixes[] = { ".todo", ".job", ".lock", ".json" };
        char file[WORK_NAME_MAX];

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
                (void) unlinkat(dirfd, work_name_format(file, name, suffixes[i]), 0);
}

int work_note_save(int dirfd, WorkName name, const WorkNote *note) {
        _cleanup_json_ json_t *json = NULL;
        char file[WORK_NAME_MAX];
        int r;

        assert(dirfd >= 0);
        assert(note);

        json = json_object();
        if (!json)
                return -ENOMEM;
        r = json_set(json, "kind", json_string(command_kind_to_string(note->kind)));
        if (r >= 0)
                r = json_set(json, "run", json_from_u64(note->run));
        if (r < 0)
                return r;
        return save_json(dirfd, work_name_format(file, name, ".job"), json);
}

int work_todo_save(int dirfd, WorkName name, const char *boot_id) {
        _cleanup_close_ int fd = -EBADF;
        char file[WORK_NAME_MAX];

        assert(dirfd >= 0);
        assert(boot_id);

        fd = openat(dirfd, work_name_format(file, name, ".todo"),
                    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        return fd < 0 ? -errno : write_full(fd, boot_id, strlen(boot_id));
}

int work_todo_end(int dirfd, WorkName name) {
        char file[WORK_NAME_MAX];

        assert(dirfd >= 0);

        if (unlinkat(dirfd, work_name_format(file, name, ".todo"), 0) < 0 && errno != ENOENT)
                return -errno;
        return 0;
}

bool work_todo_holds(int dirfd, WorkName name, const char *boot_id) {
        _cleanup_(freep) char *text = NULL;
        char file[WORK_NAME_MAX];

        assert(dirfd >= 0);
        assert(boot_id);

        return read_file(dirfd, work_name_format(file, name, ".todo"), NOTE_MAX, &text, NULL) >= 0 &&
                        !isempty(boot_id) && streq(text, boot_id);
}

int work_note_load(int dirfd, WorkName name, WorkNote *ret) {
        _cleanup_(freep) char *text = NULL;
        _cleanup_json_ json_t *json = NULL;
        WorkNote note = { .kind = _COMMAND_KIND_INVALID };
        char file[WORK_NAME_MAX];
        size_t n;
        int r;

        assert(dirfd >= 0);
        assert(ret);

        r = read_file(dirfd, work_name_format(file, name, ".job"), NOTE_MAX, &text, &n);
        if (r < 0)
                return r;
        if (json_parse_strict(text, n, JSON_DEPTH_DEFAULT, &json, /* reterr_failure= */ NULL) >= 0) {
                json_int_t run = json_integer_value(json_object_get(json, "run"));

                note.kind = command_kind_from_string(json_string_value(json_object_get(json, "kind")));
                note.run = run > 0 ? (uint64_t) run : 0;
        }
        *ret = note;
        return 0;
}

int job_lock_take(int dirfd, WorkName name, pid_t pid) {
        _cleanup_close_ int fd = -EBADF;
        char file[WORK_NAME_MAX], text[32];
        bool locked = false;
        int n;

        assert(dirfd >= 0);

        fd = openat(dirfd, work_name_format(file, name, ".lock"), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
                    0600);
        if (fd < 0)
                return -errno;
        for (unsigned i = 0; i < LOCK_TRIES && !locked; i++) {
                locked = flock(fd, LOCK_EX | LOCK_NB) >= 0;
                if (!locked && errno != EWOULDBLOCK)
                        return -errno;
                if (!locked)
                        (void) usleep(LOCK_PAUSE_USEC);
        }
        if (!locked)
                return -EBUSY;
        give_to_owner(dirfd, file);
        n = snprintf(text, sizeof(text), "%d\n", (int) pid);
        if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t) n, 0) != n)
                return -errno;
        return TAKE_FD(fd);
}

int job_lock_probe(int dirfd, WorkName name, pid_t *ret_pid) {
        _cleanup_close_ int fd = -EBADF;
        char file[WORK_NAME_MAX], text[32] = {};
        uint32_t pid = 0;
        ssize_t n;

        assert(dirfd >= 0);
        assert(ret_pid);

        fd = openat(dirfd, work_name_format(file, name, ".lock"),
                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        if (flock(fd, LOCK_SH | LOCK_NB) >= 0)
                return 0; /* closing gives it back */
        if (errno != EWOULDBLOCK)
                return -errno;
        n = pread(fd, text, sizeof(text) - 1, 0);
        if (n > 0 && text[n - 1] == '\n')
                text[n - 1] = 0;
        if (parse_u32(text, 2, INT32_MAX, &pid) < 0)
                pid = 0;
        *ret_pid = (pid_t) pid;
        return 1;
}
