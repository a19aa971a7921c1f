/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/acl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "archive/restore-meta.h"
#include "base/text.h"

#define XATTR_ACL_ACCESS "system.posix_acl_access"
#define XATTR_ACL_DEFAULT "system.posix_acl_default"
#define XATTR_CAPABILITY "security.capability"
#define SET_ID_BITS 06000U

/* The object itself, for calls that take a path: also for symbolic links and for descriptors with O_PATH. */
#define FD_PATH_SIZE (STRLEN("/proc/self/fd/") + 12)

static void fd_path(int fd, char buf[static FD_PATH_SIZE]) {
        (void) snprintf(buf, FD_PATH_SIZE, "/proc/self/fd/%d", fd);
}

typedef struct Metadata {
        RestoreRun *run;
        const Member *member;
        int fd;
        char path[FD_PATH_SIZE];
        bool foreign; /* it has another owner than it should */
        int outcome;
} Metadata;

/* Names what could not be set, unless that ends the run. */
static int could_not(Metadata *m, const char *code, const char *what, int error) {
        int r;

        assert(m);

        if (error == -ENOSPC || error == -EDQUOT || error == -EROFS || error == -ENOMEM)
                return restore_name_errno(m->run, m->member->path, error, what);
        errno = -error;
        r = restore_name(m->run, m->member->path, code, "%s: %m", what);
        if (r < 0)
                return r;
        m->outcome = RESTORE_E_NAMED;
        return 0;
}

static int set_owner(Metadata *m) {
        const Member *member = m->member;
        struct stat st;

        if (fstatat(m->fd, "", &st, AT_EMPTY_PATH) < 0)
                return could_not(m, "OWNER", "was restored, but cannot be looked at", -errno);
        if (st.st_uid == member->uid && st.st_gid == member->gid)
                return 0;
        m->foreign = true;
        /* The largest number means "leave as it is" to the kernel. */
        if (member->uid >= UINT32_MAX || member->gid >= UINT32_MAX)
                return could_not(m, "OWNER", "was restored, but with another owner", -EINVAL);
        if (fchownat(m->fd, "", (uid_t) member->uid, (gid_t) member->gid, AT_EMPTY_PATH) < 0)
                return could_not(m, "OWNER", "was restored, but with another owner", -errno);
        m->foreign = false;
        return 0;
}

static int set_mode(Metadata *m) {
        mode_t mode = m->member->mode & 07777;

        if (m->member->type == MEMBER_SYMLINK)
                return 0;
        /* Bits that lend the owner's rights were meant for another owner. */
        if (m->foreign)
                mode &= ~SET_ID_BITS;
        if (chmod(m->path, mode) < 0)
                return could_not(m, "MODE", "was restored, but with other permissions", -errno);
        return 0;
}

static int set_acl(Metadata *m, const char *text, acl_type_t type) {
        acl_t acl;
        int r;

        assert(m);

        if (!text)
                return 0;
        acl = acl_from_text(text);
        if (!acl)
                return could_not(m, "ACL", "was restored, but without its ACL",
                                 errno == ENOMEM ? -ENOMEM : -EINVAL);
        r = acl_set_file(m->path, type, acl) < 0 ? -errno : 0;
        (void) acl_free(acl);
        return r < 0 ? could_not(m, "ACL", "was restored, but without its ACL", r) : 0;
}

static int set_xattr(Metadata *m, const Xattr *x) {
        /* The ACLs came before, by their own way. */
        if (streq(x->name, XATTR_ACL_ACCESS) || streq(x->name, XATTR_ACL_DEFAULT))
                return 0;
        if (setxattr(m->path, x->name, x->value, x->size, 0) < 0)
                return could_not(m, "XATTR", "was restored, but not with all of its extended attributes",
                                 -errno);
        return 0;
}

/* Capabilities come last: whatever changes the object after them takes them away. */
static int set_xattrs(Metadata *m, bool capability) {
        assert(m);

        for (size_t i = 0; i < m->member->n_xattrs; i++) {
                const Xattr *x = m->member->xattrs + i;
                int r;

                if (streq(x->name, XATTR_CAPABILITY) != capability || (capability && m->foreign))
                        continue;
                r = set_xattr(m, x);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int set_times(Metadata *m) {
        const struct timespec times[] = {
                { .tv_nsec = UTIME_OMIT },
                { .tv_sec = (time_t) m->member->mtime_sec, .tv_nsec = (long) m->member->mtime_nsec },
        };

        if (utimensat(m->fd, "", times, AT_EMPTY_PATH) < 0)
                return could_not(m, "TIMES", "was restored, but with another time", -errno);
        return 0;
}

void restore_drop_acls(int fd) {
        char path[FD_PATH_SIZE];

        fd_path(fd, path);
        /* Where there are none, or the file system has none, nothing is to be done. */
        (void) removexattr(path, XATTR_ACL_ACCESS);
        (void) removexattr(path, XATTR_ACL_DEFAULT);
}

bool restore_has_default_acl(int fd) {
        char path[FD_PATH_SIZE];

        fd_path(fd, path);
        return getxattr(path, XATTR_ACL_DEFAULT, NULL, 0) > 0;
}

int restore_metadata(RestoreRun *r, int fd, const Member *member, bool inherits) {
        Metadata m = { .run = r, .member = member, .fd = fd };
        int k;

        assert(r);
        assert(fd >= 0);
        assert(member);

        fd_path(fd, m.path);
        if (inherits && member->type != MEMBER_SYMLINK)
                restore_drop_acls(fd);
        k = set_owner(&m);
        if (k >=
            0) /* before the mode: an owner who is not root may not set them on what cannot be written */
                k = set_xattrs(&m, /* capability= */ false);
        if (k >= 0)
                k = set_mode(&m);
        if (k >= 0)
                k = set_acl(&m, member->acl_access, ACL_TYPE_ACCESS);
        if (k >= 0 && member->type == MEMBER_DIRECTORY)
                k = set_acl(&m, member->acl_default, ACL_TYPE_DEFAULT);
        if (k >= 0)
                k = set_xattrs(&m, /* capability= */ true);
        if (k >= 0)
                k = set_times(&m);
        return k < 0 ? k : m.outcome;
}
