/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "database/sqlite-check.h"
#include "database/sqlite-copy.h"
#include "database/sqlite-file.h"

#define COPY_NAME "copy.db"
/* Of one step: few milliseconds, in which nobody can write where there is no log. */
#define STEP_BYTES (2U << 20)
/* Between two steps: who waits for the lock asks about as often. */
#define PAUSE (5 * USEC_PER_MSEC)
#define BUSY_PAUSE (20 * USEC_PER_MSEC)

typedef struct Copying {
        const SqliteCopyArgs *args;
        char *path; /* of the copy */
        usec_t until;
        sqlite3 *from, *to;
        sqlite3_backup *backup;
        SqliteCopy result;
} Copying;

void sqlite_copy_done(SqliteCopy *c) {
        if (!c)
                return;
        c->fd = safe_close(c->fd);
}

static void copying_close(Copying *c) {
        if (c->backup)
                (void) sqlite3_backup_finish(c->backup);
        c->backup = NULL;
        sqlite_closep(&c->to);
        sqlite_closep(&c->from);
}

static void copying_done(Copying *c) {
        copying_close(c);
        free(c->path);
        sqlite_copy_done(&c->result);
}

static bool is_cancelled(const Copying *c) {
        return c->args->cancel && atomic_load(c->args->cancel);
}

/* -EBUSY when there is no time left. */
static int pause_for(const Copying *c, usec_t span) {
        struct timespec interval = { .tv_nsec = (long) (span * 1000) };

        if (is_cancelled(c))
                return -ECANCELED;
        if (now_usec(CLOCK_MONOTONIC) >= c->until)
                return -EBUSY;
        (void) nanosleep(&interval, NULL);
        return 0;
}

static void more_time(Copying *c) {
        usec_t busy = c->args->busy > 0 ? c->args->busy : SQLITE_COPY_BUSY;

        c->until = usec_add(now_usec(CLOCK_MONOTONIC), busy);
}

/* --- Through the library ------------------------------------------------------------------------------ */

static int effective_access(const char *path, int mode) {
        return faccessat(AT_FDCWD, path, mode, AT_EACCESS);
}

/* The library asks access() whether a log is there, and that knows nothing of the capability by which this
 * process may look into other people's directories: it would think that there is none. */
static void heed_capabilities(void) {
        sqlite3_vfs *vfs = sqlite3_vfs_find("unix");

        if (vfs && vfs->iVersion >= 3 && vfs->xSetSystemCall)
                (void) vfs->xSetSystemCall(vfs, "access", (sqlite3_syscall_ptr) effective_access);
}

static int open_from(Copying *c) {
        int code;

        heed_capabilities();
        code = sqlite3_open_v2(c->args->path, &c->from, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
        if (!c->from)
                return -ENOMEM;
        sqlite_obey(c->from, c->args->cancel);
        return sqlite_errno(code);
}

/* Holds what is there now for as long as the connection is open. */
static int hold(Copying *c) {
        return sqlite_errno(sqlite3_exec(c->from, "BEGIN; SELECT count(*) FROM sqlite_schema;", NULL, NULL,
                                         NULL));
}

static int open_to(Copying *c) {
        int code;

        staging_clear(c->args->staging);
        code = sqlite3_open_v2(c->path, &c->to,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
        if (!c->to)
                return -ENOMEM;
        if (code == SQLITE_OK)
                code = sqlite3_exec(c->to, "PRAGMA synchronous=OFF; PRAGMA journal_mode=OFF;"
                                           " PRAGMA locking_mode=EXCLUSIVE;",
                                    NULL, NULL, NULL);
        if (code != SQLITE_OK)
                return sqlite_errno(code);
        c->backup = sqlite3_backup_init(c->to, "main", c->from, "main");
        return c->backup ? 0 : sqlite_errno(sqlite3_errcode(c->to));
}

static int page_size(sqlite3 *db) {
        sqlite3_stmt *statement = NULL;
        int size = 0;

        if (sqlite3_prepare_v2(db, "PRAGMA page_size", -1, &statement, NULL) == SQLITE_OK &&
            sqlite3_step(statement) == SQLITE_ROW)
                size = sqlite3_column_int(statement, 0);
        (void) sqlite3_finalize(statement);
        return CLAMP(size, 512, 65536);
}

/* Whether the library began again: less is done than before. */
static void note_restart(Copying *c, int *done) {
        int now = sqlite3_backup_pagecount(c->backup) - sqlite3_backup_remaining(c->backup);

        if (now <= *done)
                c->result.restarts++;
        *done = now;
}

static int hold_at_last(Copying *c) {
        int r;

        do {
                r = hold(c);
                if (r == -EBUSY) {
                        (void) sqlite3_exec(c->from, "ROLLBACK", NULL, NULL, NULL);
                        if (pause_for(c, BUSY_PAUSE) < 0)
                                return is_cancelled(c) ? -ECANCELED : -EBUSY;
                }
        } while (r == -EBUSY);
        c->result.held = r >= 0;
        return r;
}

static int copy_pages(Copying *c, bool wal) {
        int pages = (int) STEP_BYTES / page_size(c->from), done = 0, r = 0;

        while (r >= 0) {
                int code = sqlite3_backup_step(c->backup, pages);

                if (is_cancelled(c))
                        return -ECANCELED;
                switch (code) {
                case SQLITE_DONE:
                        return 0;
                case SQLITE_OK:
                        more_time(c);
                        note_restart(c, &done);
                        if (!wal && !c->result.held && c->result.restarts >= SQLITE_COPY_RESTARTS)
                                r = hold_at_last(c);
                        else if (!wal && !c->result.held)
                                r = pause_for(c, PAUSE);
                        break;
                case SQLITE_BUSY:
                case SQLITE_LOCKED:
                        r = pause_for(c, BUSY_PAUSE);
                        break;
                default: /* of the many of the library */
                        return sqlite_errno(code);
                }
        }
        return r;
}

/* What failed, in words. */
static int tell(Copying *c, int error, Failure *reterr_failure) {
        const char *path = c->args->path;

        if (error == -ECANCELED || error == -ENOMEM)
                return error;
        if (error == -EBUSY)
                return failure_set(reterr_failure, error, "SQLITE_BUSY",
                                   "%s was locked by another program all the time that was waited", path);
        if (error == -ENOSPC || (c->to && sqlite3_errcode(c->to) == SQLITE_FULL))
                return failure_set(reterr_failure, -ENOSPC, "STAGING_FULL",
                                   "There is no room for the copy of %s in %s", path,
                                   c->args->staging->path);
        return failure_set(reterr_failure, error, "SQLITE_FAILED", "%s cannot be copied: %s", path,
                           c->to && sqlite3_errcode(c->from) == SQLITE_OK ? sqlite3_errmsg(c->to) :
                                                                            sqlite3_errmsg(c->from));
}

/* -EROFS without a failure: it cannot be opened without writing, somebody has just closed it. */
static int copy_active(Copying *c, bool wal, Failure *reterr_failure) {
        int r;

        r = open_from(c);
        while (r >= 0 && wal) {
                r = hold(c);
                if (r != -EBUSY)
                        break;
                (void) sqlite3_exec(c->from, "ROLLBACK", NULL, NULL, NULL);
                r = pause_for(c, BUSY_PAUSE);
        }
        if (r == -EROFS)
                return r;
        if (r >= 0)
                r = open_to(c);
        if (r >= 0)
                r = copy_pages(c, wal);
        if (r < 0) {
                r = tell(c, r, reterr_failure);
                return r == -EROFS ? -EIO : r;
        }
        return 0;
}

/* --- The face ----------------------------------------------------------------------------------------- */

static int copy_once(Copying *c, Failure *reterr_failure) {
        const SqliteCopyArgs *args = c->args;
        SqliteFile file;
        int r;

        r = sqlite_look(args->path, &file, reterr_failure);
        if (r >= 0)
                r = staging_has_room(args->staging, file.size, args->path, reterr_failure);
        if (r < 0)
                return r;
        staging_clear(args->staging);
        c->result.at_rest = file.state == SQLITE_FILE_AT_REST;
        switch (file.state) {
        case SQLITE_FILE_EMPTY:
                r = openat(args->staging->fd, COPY_NAME, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
                if (r < 0)
                        return -errno;
                safe_close(r);
                return 0;
        case SQLITE_FILE_ACTIVE:
                r = copy_active(c, file.wal, reterr_failure);
                copying_close(c);
                return r == -EROFS ? SQLITE_E_NOT_NOW : r;
        case SQLITE_FILE_AT_REST:
                return sqlite_copy_at_rest(args->path, args->staging, COPY_NAME, args->cancel,
                                           reterr_failure);
        }
        return -EINVAL;
}

static int take_copy(Copying *c) {
        struct stat st;

        c->result.fd = openat(c->args->staging->fd, COPY_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (c->result.fd < 0 || fstat(c->result.fd, &st) < 0)
                return -errno;
        c->result.size = (uint64_t) st.st_size;
        staging_clear(c->args->staging);
        return 0;
}

int sqlite_copy(const SqliteCopyArgs *args, SqliteCopy *ret, Failure *reterr_failure) {
        _cleanup_(copying_done) Copying c = { .args = args, .result = SQLITE_COPY_NULL };
        int r;

        assert(args && args->path && args->staging);
        assert(ret);

        r = asprintf_safe(&c.path, "%s/%s", args->staging->path, COPY_NAME);
        if (r < 0)
                return r;
        more_time(&c);
        do {
                r = copy_once(&c, reterr_failure);
                if (r == SQLITE_E_NOT_NOW && pause_for(&c, BUSY_PAUSE) < 0)
                        return tell(&c, is_cancelled(&c) ? -ECANCELED : -EBUSY, reterr_failure);
        } while (r == SQLITE_E_NOT_NOW);
        if (r >= 0)
                r = sqlite_check(c.path, args->path, args->cancel, reterr_failure);
        if (r < 0)
                return r;
        c.result.unchecked = r == SQLITE_E_UNCHECKED;
        r = take_copy(&c);
        if (r < 0)
                return failure_set(reterr_failure, r, "STAGING_FAILED", "The copy of %s is gone: %s",
                                   args->path, strerror(-r));
        *ret = c.result;
        c.result = SQLITE_COPY_NULL;
        return 0;
}
