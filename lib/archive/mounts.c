/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>

#include "archive/mounts.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"

#define MOUNTINFO_MAX (16U << 20)

struct Mounts {
        char **remote;
};

/* File systems whose answers depend on this machine alone. */
static const char *const local_types[] = {
        "bcachefs", "bpf", "btrfs", "cgroup", "cgroup2", "configfs", "debugfs", "devpts",
        "devtmpfs", "efivarfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs",
        "fusectl", "hugetlbfs", "iso9660", "jfs", "mqueue", "nilfs2", "nsfs", "ntfs3",
        "overlay", "proc", "pstore", "ramfs", "reiserfs", "rpc_pipefs", "securityfs", "selinuxfs",
        "squashfs", "sysfs", "tmpfs", "tracefs", "udf", "vfat", "xfs", "zfs"
};

static bool type_is_local(const char *type, size_t n) {
        for (size_t i = 0; i < ELEMENTSOF(local_types); i++)
                if (strlen(local_types[i]) == n && memcmp(local_types[i], type, n) == 0)
                        return true;
        return false;
}

/* Octal escapes of the kernel: "\040" is a space. */
static void unescape(char *s) {
        char *to = s;

        for (const char *p = s; *p; to++) {
                if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' &&
                    p[3] >= '0' && p[3] <= '7') {
                        *to = (char) ((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
                        p += 4;
                } else
                        *to = *p++;
        }
        *to = 0;
}

/* One line: "36 35 98:0 /root /mount/point options… - type source options". */
static int line_add(Mounts *m, const char *line, const char *end) {
        const char *p = line, *separator, *type;
        _cleanup_(freep) char *path = NULL;

        assert(m);

        for (int field = 0; field < 4; field++) {
                p = memchr(p, ' ', (size_t) (end - p));
                if (!p)
                        return 0;
                p++;
        }
        separator = memmem(p, (size_t) (end - p), " - ", 3);
        if (!separator)
                return 0;
        type = separator + 3;
        if (type_is_local(type, strcspn(type, " \n")))
                return 0;
        path = memdup0(p, strcspn(p, " \n"));
        if (!path)
                return -ENOMEM;
        unescape(path);
        return path[0] == '/' ? strv_extend(&m->remote, path) : 0;
}

int mounts_parse(const char *text, Mounts **ret) {
        _cleanup_(mounts_freep) Mounts *m = NULL;

        assert(text);
        assert(ret);

        m = new0(Mounts, 1);
        if (!m)
                return -ENOMEM;
        while (*text) {
                const char *end = strchrnul(text, '\n');
                int r;

                r = line_add(m, text, end);
                if (r < 0)
                        return r;
                text = *end ? end + 1 : end;
        }
        *ret = TAKE_PTR(m);
        return 0;
}

int mounts_load(Mounts **ret) {
        _cleanup_(freep) char *text = NULL;
        int r;

        r = read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL);
        if (r < 0)
                return r;
        return mounts_parse(text, ret);
}

Mounts *mounts_free(Mounts *m) {
        if (!m)
                return NULL;
        strv_free(m->remote);
        return mfree(m);
}

bool mounts_is_remote(const Mounts *m, const char *path) {
        assert(m);
        assert(path);

        STRV_FOREACH(remote, m->remote)
                if (streq(*remote + 1, path))
                        return true;
        return false;
}

bool mounts_is_below_remote(const Mounts *m, const char *path) {
        assert(m);
        assert(path);

        STRV_FOREACH(remote, m->remote) {
                const char *rest = startswith(path, *remote);

                if (rest && (*rest == 0 || *rest == '/' || endswith(*remote, "/")))
                        return true;
        }
        return false;
}

bool fs_type_is_pseudo(uint64_t type) {
        static const uint64_t types[] = {
                PROC_SUPER_MAGIC,
                SYSFS_MAGIC,
                CGROUP_SUPER_MAGIC,
                CGROUP2_SUPER_MAGIC,
                DEBUGFS_MAGIC,
                TRACEFS_MAGIC,
                SECURITYFS_MAGIC,
                SELINUX_MAGIC,
                PSTOREFS_MAGIC,
                EFIVARFS_MAGIC,
                BPF_FS_MAGIC,
                BINFMTFS_MAGIC,
                DEVPTS_SUPER_MAGIC,
                NSFS_MAGIC,
                0x62656570, /* configfs */
                0x65735543, /* fusectl */
                0x19800202, /* mqueue */
                0x958458f6, /* hugetlbfs */
                0x67596969, /* rpc_pipefs */
        };

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (types[i] == type)
                        return true;
        return false;
}
