/* SPDX-License-Identifier: Apache-2.0 */

/* The order is that of safety. First what lies beside the old database goes out of the way, by rename, so
 * that nothing of it is lost until the end; then the new one takes the name; then what was put away is
 * removed. Killed in between, there is either the old database with its log under another name, or the new
 * one without any. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "database/sqlite-file.h"
#include "database/sqlite-replace.h"

#define AWAY ".backupx-old"

static const char *const beside[] = { SQLITE_SUFFIX_WAL, SQLITE_SUFFIX_JOURNAL, SQLITE_SUFFIX_SHM };

/* Whether a process has the file open. Locks tell of those that are in the middle of something, or have a
 * write-ahead log; a lease tells of all, but it is for the owner of the file or CAP_LEASE alone. */
static int is_open(int fd) {
        int r;

        r = sqlite_is_locked(fd);
        if (r != 0)
                return r;
        if (fcntl(fd, F_SETLEASE, F_WRLCK) >= 0) {
                (void) fcntl(fd, F_SETLEASE, F_UNLCK);
                return 0;
        }
        return errno == EAGAIN || errno == EBUSY;
}

static int check_closed(int dirfd, const char *name, Failure *reterr_failure) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        int r;

        if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (!S_ISREG(st.st_mode))
                return 0;
        fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = is_open(fd);
        if (r <= 0)
                return r;
        return failure_set(reterr_failure, -ETXTBSY, "SQLITE_IN_USE",
                           "%s is open in another program: stop that first, or restore with force", name);
}

/* back: the way back. What is not there is not moved. */
static int move(int dirfd, const char *name, const char *suffix, bool back) {
        _cleanup_(freep) char *here = NULL, *away = NULL;
        int r;

        r = asprintf_safe(&here, "%s%s", name, suffix);
        if (r >= 0)
                r = asprintf_safe(&away, "%s%s" AWAY, name, suffix);
        if (r < 0)
                return r;
        return renameat(dirfd, back ? away : here, dirfd, back ? here : away) < 0 && errno != ENOENT ?
                        -errno :
                        0;
}

static int forget(int dirfd, const char *name, const char *suffix) {
        _cleanup_(freep) char *away = NULL;
        int r;

        r = asprintf_safe(&away, "%s%s" AWAY, name, suffix);
        if (r < 0)
                return r;
        return unlinkat(dirfd, away, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int sqlite_replace(int dirfd, const char *from, const char *to, bool force, Failure *reterr_failure) {
        size_t moved = 0;
        int r = 0;

        assert(from);
        assert(to);

        if (!force)
                r = check_closed(dirfd, to, reterr_failure);
        if (r < 0)
                return r;
        for (; moved < ELEMENTSOF(beside) && r >= 0; moved++)
                r = move(dirfd, to, beside[moved], /* back= */ false);
        if (r >= 0 && renameat(dirfd, from, dirfd, to) < 0)
                r = -errno;
        if (r < 0) {
                while (moved-- > 0)
                        (void) move(dirfd, to, beside[moved], /* back= */ true);
                return failure_set(reterr_failure, r, "SQLITE_FAILED", "%s cannot be replaced: %s", to,
                                   strerror(-r));
        }
        for (size_t i = 0; i < ELEMENTSOF(beside) && r >= 0; i++)
                r = forget(dirfd, to, beside[i]);
        return MIN(r, 0);
}
