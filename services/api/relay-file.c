/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/beneath.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"

#include "services/api/relay-file.h"
#include "services/api/relay-path.h"

#define FOLDER_MODE 0750
#define FILE_MODE 0640
#define DIGEST_BLOCK (256U << 10)
#define PUBLISH_TRIES 4U

int relay_open_base(const char *path, bool make, int *ret) {
        int fd, r;

        assert(path);
        assert(ret);

        if (make) {
                r = mkdir_p(path, FOLDER_MODE);
                if (r < 0)
                        return r;
        }
        /* As the administrator named it: links on the way to it are his. */
        fd = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret = fd;
        return 0;
}

/* The folder of a key; *ret_name is its last name. make: missing ones are made, each durably. */
static int open_parent(int base, const char *key, bool make, int *ret, const char **ret_name) {
        const char *slash = strrchr(key, '/');
        _cleanup_close_ int fd = -EBADF;

        *ret_name = slash ? slash + 1 : key;
        fd = open_beneath(base, ".", O_DIRECTORY | O_RDONLY, 0);
        if (fd < 0)
                return fd;
        for (const char *p = key; slash && p < slash;) {
                _cleanup_(freep) char *name = memdup0(p, strcspn(p, "/"));
                int next;

                if (!name)
                        return -ENOMEM;
                p += strlen(name) + 1;
                next = open_beneath(fd, name, O_DIRECTORY | O_RDONLY, 0);
                if (next == -ENOENT && make) {
                        if (mkdirat(fd, name, FOLDER_MODE) < 0 && errno != EEXIST)
                                return -errno;
                        if (fsync(fd) < 0)
                                return -errno;
                        next = open_beneath(fd, name, O_DIRECTORY | O_RDONLY, 0);
                }
                if (next < 0)
                        return next == -ENOTDIR || next == -ELOOP ? -ENOENT : next;
                safe_close(fd);
                fd = next;
        }
        *ret = TAKE_FD(fd);
        return 0;
}

static int open_file(int folder, const char *name, int flags, int *ret, uint64_t *ret_size) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        fd = open_beneath(folder, name, flags | O_NONBLOCK, 0);
        if (fd == -ELOOP || fd == -ENXIO)
                return -ENOENT;
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -ENOENT;
        *ret = TAKE_FD(fd);
        *ret_size = (uint64_t) st.st_size;
        return 0;
}

int relay_open_object(int base, const char *key, int *ret, uint64_t *ret_size) {
        _cleanup_close_ int folder = -EBADF;
        const char *name;
        int r;

        assert(key);
        assert(ret);
        assert(ret_size);

        r = open_parent(base, key, /* make= */ false, &folder, &name);
        if (r < 0)
                return r;
        return open_file(folder, name, O_RDONLY, ret, ret_size);
}

/* Folders that became empty go, too, from the innermost on. */
static void remove_empty_parents(int base, const char *key) {
        _cleanup_(freep) char *path = strdup(key);
        char *slash;

        while (path && (slash = strrchr(path, '/'))) {
                _cleanup_close_ int folder = -EBADF;
                const char *name;

                *slash = 0;
                if (open_parent(base, path, /* make= */ false, &folder, &name) < 0 ||
                    unlinkat(folder, name, AT_REMOVEDIR) < 0)
                        return;
        }
}

int relay_remove_object(int base, const char *key) {
        _cleanup_close_ int folder = -EBADF;
        const char *name;
        int r;

        assert(key);

        r = open_parent(base, key, /* make= */ false, &folder, &name);
        if (r < 0)
                return r;
        if (unlinkat(folder, name, 0) < 0)
                return errno == EISDIR ? -ENOENT : -errno;
        if (fsync(folder) < 0)
                return -errno;
        remove_empty_parents(base, key);
        return 0;
}

/* --- Staged files --------------------------------------------------------------------------------- */

static int open_staging(int base, bool make, int *ret) {
        int fd;

        if (make && mkdirat(base, RELAY_STAGING, 0700) < 0 && errno != EEXIST)
                return -errno;
        fd = open_beneath(base, RELAY_STAGING, O_DIRECTORY | O_RDONLY, 0);
        if (fd < 0)
                return fd;
        *ret = fd;
        return 0;
}

int relay_stage(int base, const char *name, const char *key) {
        _cleanup_close_ int folder = -EBADF, existing = -EBADF, fd = -EBADF;
        uint64_t size;
        int r;

        assert(name);
        assert(key);

        r = relay_open_object(base, key, &existing, &size);
        if (r >= 0)
                return -EEXIST;
        if (r != -ENOENT)
                return r;
        r = open_staging(base, /* make= */ true, &folder);
        if (r < 0)
                return r;
        fd = open_beneath(folder, name, O_WRONLY | O_CREAT | O_EXCL, FILE_MODE);
        return MIN(fd, 0);
}

int relay_open_staged(int base, const char *name, int *ret, uint64_t *ret_size) {
        _cleanup_close_ int folder = -EBADF;
        int r;

        assert(name);
        assert(ret);
        assert(ret_size);

        r = open_staging(base, /* make= */ false, &folder);
        if (r < 0)
                return r;
        return open_file(folder, name, O_RDWR, ret, ret_size);
}

int relay_remove_staged(int base, const char *name) {
        _cleanup_close_ int folder = -EBADF;
        int r;

        assert(name);

        r = open_staging(base, /* make= */ false, &folder);
        if (r < 0)
                return r;
        return unlinkat(folder, name, 0) < 0 ? -errno : 0;
}

static int publish_once(int base, int staging, const char *name, const char *key) {
        _cleanup_close_ int folder = -EBADF;
        const char *last;
        int r;

        r = open_parent(base, key, /* make= */ true, &folder, &last);
        if (r < 0)
                return r;
        if (renameat2(staging, name, folder, last, RENAME_NOREPLACE) < 0)
                return -errno;
        return fsync(folder) < 0 ? -errno : 0;
}

int relay_publish(int base, const char *name, int fd, const char *key) {
        _cleanup_close_ int staging = -EBADF;
        int r;

        assert(name);
        assert(key);

        if (fsync(fd) < 0)
                return -errno;
        r = open_staging(base, /* make= */ false, &staging);
        if (r < 0)
                return r;
        /* A removal in the other thread may take the folder away again that was just made. */
        r = -ENOENT;
        for (unsigned i = 0; i < PUBLISH_TRIES && r == -ENOENT; i++)
                r = publish_once(base, staging, name, key);
        return r;
}

int relay_list_staged(int base, char ***ret) {
        _cleanup_(strv_freep) char **list = NULL;
        _cleanup_close_ int fd = -EBADF;
        const struct dirent *entry;
        DIR *folder;
        int r;

        assert(ret);

        r = open_staging(base, /* make= */ false, &fd);
        if (r < 0)
                return r;
        folder = fdopendir(fd);
        if (!folder)
                return -errno;
        TAKE_FD(fd);
        while (r >= 0 && (entry = readdir(folder)))
                if (entry->d_name[0] != '.')
                        r = strv_extend(&list, entry->d_name);
        closedir(folder);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(list);
        return 0;
}

int relay_digest(int fd, uint64_t n, uint8_t ret[static SHA256_SIZE]) {
        _cleanup_(sha256_freep) Sha256 *hash = NULL;
        _cleanup_(freep) char *block = malloc(DIGEST_BLOCK);
        uint64_t offset = 0;
        int r;

        if (!block)
                return -ENOMEM;
        r = sha256_new(&hash);
        while (r >= 0 && offset < n) {
                ssize_t k = pread_full(fd, block, MIN(n - offset, (uint64_t) DIGEST_BLOCK), (off_t) offset);

                if (k <= 0)
                        return k < 0 ? (int) k : -EIO;
                r = sha256_add(hash, block, (size_t) k);
                offset += (uint64_t) k;
        }
        return r < 0 ? r : sha256_finish(hash, ret);
}
