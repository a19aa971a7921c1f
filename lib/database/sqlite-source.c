/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "database/sqlite-copy.h"
#include "database/sqlite-file.h"
#include "database/sqlite-source.h"

struct SqliteSource {
        const SqliteSourceArgs *args;
        char **paths;
        size_t n, next;
        size_t n_copied;
        Staging staging;
        SqliteCopy copy; /* that is being given */
        uint64_t given;
        Failure first; /* of those that could not be copied */
        BackupStreams streams;
};

SqliteSource *sqlite_source_free(SqliteSource *s) {
        if (!s)
                return NULL;
        sqlite_copy_done(&s->copy);
        staging_done(&s->staging);
        strv_free(s->paths);
        failure_done(&s->first);
        return mfree(s);
}

/* --- Finding ------------------------------------------------------------------------------------------ */

static int add(SqliteSource *s, const char *path, Failure *reterr_failure) {
        if (strv_contains(s->paths, path))
                return 0;
        if (s->n == SQLITE_SOURCE_MAX)
                return failure_set(reterr_failure, -E2BIG, "SOURCE_INVALID",
                                   "There are more than %d databases: divide them between tasks",
                                   SQLITE_SOURCE_MAX);
        s->n++;
        return strv_extend(&s->paths, path);
}

/* named: it has to be a database; else what is none is passed over. */
static int consider(SqliteSource *s, const char *path, bool named, Failure *reterr_failure) {
        _cleanup_(freep) char *real = realpath(path, NULL);
        _cleanup_failure_ Failure refused = FAILURE_NULL;
        SqliteFile file;

        if (!real && named)
                return failure_set(reterr_failure, -errno, "SQLITE_UNREADABLE", "%s cannot be read: %m",
                                   path);
        if (!real)
                return 0;
        if (!named && s->args->allowed && s->args->allowed(s->args->userdata, real, &refused) < 0)
                return add(s, real, reterr_failure); /* said when its turn comes */
        /* What is beside a database is none, whatever the pattern. */
        if (!named && (sqlite_look(real, &file, &refused) < 0 || file.state == SQLITE_FILE_EMPTY))
                return streq(refused.code, "SQLITE_UNREADABLE") ? add(s, real, reterr_failure) : 0;
        return add(s, real, reterr_failure);
}

static int find(SqliteSource *s, const char *pattern, Failure *reterr_failure) {
        glob_t found = {};
        int r;

        if (!strpbrk(pattern, "*?["))
                return consider(s, pattern, /* named= */ true, reterr_failure);
        r = glob(pattern, GLOB_ERR, NULL, &found);
        if (r == GLOB_NOSPACE)
                r = -ENOMEM;
        else if (r == GLOB_ABORTED)
                r = failure_set(reterr_failure, -errno, "SQLITE_UNREADABLE",
                                "What %s stands for cannot be listed: %m", pattern);
        else
                r = 0;
        for (size_t i = 0; r >= 0 && i < found.gl_pathc; i++)
                r = consider(s, found.gl_pathv[i], /* named= */ false, reterr_failure);
        globfree(&found);
        return r;
}

/* As a tree has them: '/' comes before all other bytes. */
static int compare(const void *a, const void *b) {
        const char *x = *(char *const *) a, *y = *(char *const *) b;

        while (*x && *x == *y) {
                x++;
                y++;
        }
        if (*x == *y)
                return 0;
        if (*x == '/' || *y == '/')
                return *x == 0 ? -1 : *y == 0 ? 1 :
                                *x == '/'     ? -1 :
                                                1;
        return (unsigned char) *x - (unsigned char) *y;
}

/* --- Giving ------------------------------------------------------------------------------------------- */

static int copy(SqliteSource *s, const char *path, Failure *reterr_failure) {
        const SqliteCopyArgs args = { .path = path, .staging = &s->staging, .cancel = s->args->cancel };
        int r;

        if (s->args->allowed) {
                r = s->args->allowed(s->args->userdata, path, reterr_failure);
                if (r < 0)
                        return r;
        }
        return sqlite_copy(&args, &s->copy, reterr_failure);
}

/* Something that people should know, but that is no loss. */
static int note(const SqliteCopy *c, char **ret) {
        if (c->unchecked)
                return asprintf_safe(ret, "not all of its tables could be checked: they use functions or "
                                          "collations that only its owner has");
        if (c->held)
                return asprintf_safe(ret, "it was written to all the time, so that writers had to wait "
                                          "until it was copied: a write-ahead log (PRAGMA "
                                          "journal_mode=WAL) helps");
        return 0;
}

static int skip(SqliteSource *s, BackupStream *ret, const Failure *why, int error) {
        ret->lost = strdup(failure_message(why, error));
        if (!ret->lost)
                return -ENOMEM;
        (void) failure_set(&s->first, error, failure_is_set(why) ? why->code : "SQLITE_FAILED", "%s",
                           ret->lost);
        return 0;
}

static int source_next(void *userdata, BackupStream *ret, Failure *reterr_failure) {
        _cleanup_failure_ Failure why = FAILURE_NULL;
        SqliteSource *s = ASSERT_PTR(userdata);
        const char *path;
        int r;

        sqlite_copy_done(&s->copy);
        s->given = 0;
        if (s->next == s->n)
                return s->n_copied > 0 ? 0 :
                                         failure_set(reterr_failure, -EIO, s->first.code, "%s",
                                                     failure_message(&s->first, -EIO));
        path = s->paths[s->next++];
        r = copy(s, path, &why);
        if (r == -ECANCELED || r == -ENOMEM)
                return r;
        ret->path = strdup(path + 1);
        ret->like = strdup(path);
        if (!ret->path || !ret->like)
                return -ENOMEM;
        if (r < 0)
                r = skip(s, ret, &why, r);
        else {
                s->n_copied++;
                ret->sized = true;
                ret->size = s->copy.size;
                r = note(&s->copy, &ret->note);
        }
        return r < 0 ? r : 1;
}

static ssize_t source_read(void *userdata, void *p, size_t n, Failure *reterr_failure) {
        SqliteSource *s = ASSERT_PTR(userdata);
        ssize_t k;

        k = pread_full(s->copy.fd, p, n, (off_t) s->given);
        if (k < 0)
                return failure_set(reterr_failure, (int) k, "STAGING_FAILED",
                                   "The copy of %s cannot be read: %s", s->paths[s->next - 1],
                                   strerror((int) -k));
        s->given += (uint64_t) k;
        return k;
}

/* --- The face ----------------------------------------------------------------------------------------- */

int sqlite_source_new(const SqliteSourceArgs *args, SqliteSource **ret, Failure *reterr_failure) {
        _cleanup_(sqlite_source_freep) SqliteSource *s = NULL;
        int r = 0;

        assert(args && args->staging);
        assert(ret);

        s = new0(SqliteSource, 1);
        if (!s)
                return -ENOMEM;
        s->args = args;
        s->staging = STAGING_NULL;
        s->copy = SQLITE_COPY_NULL;
        s->streams = (BackupStreams){ s, source_next, source_read };
        STRV_FOREACH(pattern, args->patterns)
                if (r >= 0)
                        r = find(s, *pattern, reterr_failure);
        if (r < 0)
                return r;
        if (s->n == 0)
                return failure_set(reterr_failure, -ENOENT, "SOURCE_EMPTY",
                                   "No database of SQLite is where this task looks for some: %s",
                                   args->patterns ? strempty(args->patterns[0]) : "");
        qsort(s->paths, s->n, sizeof(char *), compare);
        r = staging_open(args->staging, args->staging_max, &s->staging, reterr_failure);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

char *const *sqlite_source_paths(const SqliteSource *s) {
        assert(s);

        return s->paths;
}

const BackupStreams *sqlite_source_streams(const SqliteSource *s) {
        assert(s);

        return &s->streams;
}
