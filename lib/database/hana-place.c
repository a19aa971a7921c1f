/* SPDX-License-Identifier: Apache-2.0 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "database/hana-place.h"
#include "wire/hana.h"

#define BEGIN "backupx."

static void closedirp(DIR **d) {
        if (*d)
                (void) closedir(*d);
}

static int unusable(const char *path, int error, Failure *reterr_failure) {
        return failure_set(reterr_failure, error, "DIRECTORY_UNUSABLE",
                           "%s, into which SAP HANA is to write, cannot be used: %s. It needs to be there, "
                           "writable for the database and for the job (its group, and ReadWritePaths= in a "
                           "drop-in of backupx-backup@.service)",
                           path, strerror(-error));
}

int hana_place_open(const char *path, HanaPlace *ret, Failure *reterr_failure) {
        _cleanup_close_ int fd = -EBADF;

        assert(path);
        assert(ret);

        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return unusable(path, -errno, reterr_failure);
        if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
                return unusable(path, -errno, reterr_failure);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
                return failure_set(reterr_failure, -EBUSY, "DIRECTORY_BUSY",
                                   "Another run has SAP HANA write into %s: each task needs a directory of "
                                   "its own, or another time",
                                   path);
        *ret = (HanaPlace){ .fd = TAKE_FD(fd), .path = path };
        return 0;
}

void hana_place_done(HanaPlace *p) {
        assert(p);

        p->fd = safe_close(p->fd);
}

char *hana_name_of(const char *database, char ret[static HANA_NAME_MAX + 1]) {
        assert(hana_is_database(database));

        (void) snprintf(ret, HANA_NAME_MAX + 1, BEGIN "%s.", database);
        return ret;
}

char *hana_name_new(const char *database, int64_t now_sec, uint32_t random,
                    char ret[static HANA_NAME_MAX + 1]) {
        char at[32] = "";
        time_t t = (time_t) now_sec;
        struct tm tm;

        assert(hana_is_database(database));

        if (gmtime_r(&t, &tm))
                (void) strftime(at, sizeof(at), "%Y%m%dT%H%M%SZ", &tm);
        (void) snprintf(ret, HANA_NAME_MAX + 1, BEGIN "%s.%s-%08" PRIx32, database, at, random);
        return ret;
}

/* --- Files -------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

int hana_place_list(const HanaPlace *p, const char *begin, char ***ret) {
        _cleanup_(strv_freep) char **names = NULL;
        _cleanup_(closedirp) DIR *dir = NULL;
        const struct dirent *entry;
        int copy, r;

        assert(p);
        assert(!isempty(begin));
        assert(ret);

        copy = openat(p->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        dir = copy >= 0 ? fdopendir(copy) : NULL;
        if (!dir) {
                r = -errno;
                safe_close(copy);
                return r;
        }
        while ((errno = 0, entry = readdir(dir))) {
                if (!startswith(entry->d_name, begin))
                        continue;
                r = strv_extend(&names, entry->d_name);
                if (r < 0)
                        return r;
        }
        if (errno != 0)
                return -errno;
        if (names)
                qsort(names, strv_length(names), sizeof(char *), by_name);
        *ret = TAKE_PTR(names);
        return 0;
}

int hana_place_remove(const HanaPlace *p, const char *name) {
        assert(p);
        assert(name && !strchr(name, '/'));

        return unlinkat(p->fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int hana_place_clear(const HanaPlace *p, const char *begin) {
        _cleanup_(strv_freep) char **names = NULL;
        int r;

        r = hana_place_list(p, begin, &names);
        STRV_FOREACH(name, names)
                if (r >= 0)
                        r = hana_place_remove(p, *name);
        return r;
}
