/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/job/look.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "database/sqlite-file.h"
#include "database/staging.h"
#include "wire/check.h"

#define BAD_MAX 5U /* told of */

/* How many there are of each; the first of the bad ones have items. */
typedef struct Count {
        const char *name; /* of the items */
        size_t good, bad;
        uint64_t largest;
} Count;

static int add_bad(const Look *l, Count *c, const Failure *failure, int error) {
        if (c->bad++ >= BAD_MAX)
                return 0;
        return look_failed(l, c->name, failure, error);
}

static int end_count(const Look *l, const Count *c, const char *what) {
        if (c->bad > BAD_MAX)
                return check_add(l->items, c->name, CHECK_STATE_ERROR, NULL, "%zu more cannot be read",
                                 c->bad - BAD_MAX);
        if (c->bad > 0)
                return 0;
        return check_add(l->items, c->name, CHECK_STATE_OK, NULL, "%zu %s can be read", c->good, what);
}

/* --- Files -------------------------------------------------------------------------------------------- */

/* What is neither file nor directory is told by a backup, and not read. */
static int open_path(const char *path, Failure *reterr_failure) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        if (lstat(path, &st) < 0)
                return failure_set(reterr_failure, -errno,
                                   errno == ENOENT ? "PATH_NOT_FOUND" : "NOT_READABLE",
                                   "%s cannot be read: %m", path);
        if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
                return 0;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return failure_set(reterr_failure, -errno, "NOT_READABLE", "%s cannot be read: %m", path);
        return 0;
}

int look_at_files(const Look *l, char *const *paths) {
        Count c = { .name = "paths" };
        int r = 0;

        assert(l);

        STRV_FOREACH(path, paths) {
                _cleanup_failure_ Failure failure = FAILURE_NULL;

                if (atomic_load(job_link_cancelled(l->run->link)))
                        return -ECANCELED;
                r = policy_check_backup(l->run->policy, *path, &failure);
                if (r >= 0)
                        r = open_path(*path, &failure);
                if (r >= 0) {
                        c.good++;
                        continue;
                }
                r = add_bad(l, &c, &failure, r);
                if (r < 0)
                        return r;
        }
        return end_count(l, &c, "paths");
}

/* --- SQLite ------------------------------------------------------------------------------------------- */

/* named: it has to be a database; else what is none is passed over. */
static int look_at_database(const Look *l, const char *path, bool named, Count *c) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        SqliteFile file = {};
        int r;

        if (atomic_load(job_link_cancelled(l->run->link)))
                return -ECANCELED;
        r = policy_check_backup(l->run->policy, path, &failure);
        if (r >= 0) {
                r = sqlite_look(path, &file, &failure);
                if (!named && (r == -EBADMSG || (r >= 0 && file.state == SQLITE_FILE_EMPTY)))
                        return 0;
        }
        if (r < 0)
                return add_bad(l, c, &failure, r);
        c->good++;
        c->largest = MAX(c->largest, file.size);
        return 0;
}

static int look_at_pattern(const Look *l, const char *pattern, Count *c) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        glob_t found = {};
        int r;

        if (!database_name_is_pattern(pattern))
                return look_at_database(l, pattern, /* named= */ true, c);
        r = glob(pattern, GLOB_ERR, NULL, &found);
        if (r == GLOB_NOSPACE)
                r = -ENOMEM;
        else if (r == GLOB_ABORTED) {
                r = failure_set(&failure, -EIO, "SQLITE_UNREADABLE", "What %s stands for cannot be listed",
                                pattern);
                r = add_bad(l, c, &failure, r);
        } else
                r = 0;
        for (size_t i = 0; r >= 0 && i < found.gl_pathc; i++)
                r = look_at_database(l, found.gl_pathv[i], /* named= */ false, c);
        globfree(&found);
        return r;
}

/* One copy at a time lies there. Where there is no such directory yet, nobody knows. */
static int look_at_room(const Look *l, const Count *c) {
        struct statvfs fs;
        uint64_t room;

        if (statvfs(l->run->staging_dir, &fs) < 0)
                return 0;
        room = (uint64_t) fs.f_bavail * fs.f_frsize;
        if (room >= c->largest + STAGING_RESERVE)
                return 0;
        return check_add(l->items, "staging", CHECK_STATE_ERROR,
                         "Make room there, or move it to a larger file system",
                         "The copy of the largest database takes %" PRIu64 " MiB, and %" PRIu64
                         " MiB are free at %s, where %u MiB have to stay so",
                         c->largest >> 20, room >> 20, l->run->staging_dir, STAGING_RESERVE >> 20);
}

int look_at_sqlite(const Look *l) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        Count c = { .name = "databases" };
        int r = 0;

        assert(l);

        STRV_FOREACH(pattern, l->source->paths)
                if (r >= 0)
                        r = look_at_pattern(l, *pattern, &c);
        if (r < 0)
                return r;
        if (c.good == 0 && c.bad == 0) {
                (void) failure_set(&failure, -ENOENT, "SOURCE_EMPTY",
                                   "No database of SQLite is where this task looks for some");
                return look_failed(l, "databases", &failure, -ENOENT);
        }
        r = end_count(l, &c, "databases of SQLite");
        return r < 0 ? r : look_at_room(l, &c);
}
