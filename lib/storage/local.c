/* SPDX-License-Identifier: Apache-2.0 */

/* A directory of this host. Keys are paths below it; open_beneath() keeps them there, whatever links
 * somebody put in the way. An object is a file without a name until its commit (O_TMPFILE), so that a job
 * that is killed leaves nothing; where the file system cannot do that, a file with a temporary name. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "storage/backend.h"
#include "storage/direct.h"
#include "storage/tree.h"

/* After each of this many bytes writing to the disk is begun, so that the commit does not wait for all of
 * it. */
#define FLUSH_INTERVAL (UINT64_C(32) << 20)
#define PROBE_SIZE 4096

typedef struct Local {
        char *path;
} Local;

typedef struct LocalPut {
        int parent; /* the directory it will be in */
        int fd;
        char *name; /* in parent; points into the key */
        char *temp; /* NULL: it has no name yet */
        uint64_t flushed;
        DirectWrite direct;
        unsigned created; /* so many directories at the end of the key were made for it */
} LocalPut;

/* --- Words -------------------------------------------------------------------------------------------- */

static int local_failure(const Storage *s, int error, const char *key, Failure *f) {
        const Local *l = s->backend;

        switch (-error) {
        case ENOSPC:
        case EDQUOT:
                return failure_set(f, error, "STORAGE_FULL", "There is no space left in '%s' (%s).", l->path,
                                   s->name);
        case EROFS:
        case EACCES:
        case EPERM:
                return failure_set(
                                f, error, "STORAGE_DENIED",
                                "Not allowed to write to '%s' (%s): %m. Allow it on that host, as root, "
                                "with: "
                                "backupx agent allow-storage %s",
                                l->path, s->name, l->path);
        case EEXIST:
                return failure_set(f, error, "OBJECT_EXISTS", "'%s' already exists in '%s' (%s).", key,
                                   l->path, s->name);
        case ENOENT:
                return failure_set(f, error, "OBJECT_NOT_FOUND", "There is no '%s' in '%s' (%s).", key,
                                   l->path, s->name);
        case ELOOP:
        case EXDEV:
                return failure_set(
                                f, error, "STORAGE_LINK",
                                "A symbolic link stands in the way of '%s' in '%s' (%s); it is not "
                                "followed.",
                                key, l->path, s->name);
        }
        return failure_set(f, error, "STORAGE_FAILED", "'%s' in '%s' (%s): %m.", key, l->path, s->name);
}

/* --- The root ----------------------------------------------------------------------------------------- */

/* The configured directory, as the administrator wrote it. Its last part is made where it is missing. */
static int root_open(const Storage *s, bool make, Failure *f) {
        const Local *l = s->backend;
        int fd;

        fd = open(l->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT && make) {
                if (mkdir(l->path, TREE_DIRECTORY_MODE) < 0) {
                        if (errno != EEXIST && errno != ENOENT)
                                return local_failure(s, -errno, "", f);
                } else
                        (void) !fsync_parent(AT_FDCWD, l->path); /* it may be unreadable */
                fd = open(l->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        }
        if (fd >= 0)
                return fd;
        if (errno == ENOENT || errno == ENOTDIR)
                return failure_set(
                                f, -errno, "STORAGE_MISSING",
                                "The directory '%s' (%s) does not exist on this host. Make it, and allow "
                                "it as root "
                                "with: backupx agent allow-storage %s",
                                l->path, s->name, l->path);
        return local_failure(s, -errno, "", f);
}

/* --- The configuration -------------------------------------------------------------------------------- */

static void local_close(Storage *s) {
        Local *l = s->backend;

        if (!l)
                return;
        free(l->path);
        free(l);
}

static int local_open(Storage *s, const StorageConfig *config, Failure *reterr_failure) {
        const char *path = json_string_value(json_object_get(config->config, "path"));
        Local *l;

        assert(s);

        l = new0(Local, 1);
        if (!l)
                return -ENOMEM;
        s->backend = l;
        if (!path || path[0] != '/')
                return failure_set_field(reterr_failure, -EINVAL, "FIELD_INVALID", "config.path",
                                         "A local target needs the absolute path of a directory (%s).",
                                         s->name);
        return free_and_strdup(&l->path, path);
}

static const char *local_directory(const Storage *s) {
        const Local *l = s->backend;

        return l->path;
}

/* --- Writing ------------------------------------------------------------------------------------------ */

static int temp_open(LocalPut *p) {
        uint8_t random[8];
        char hex[2 * sizeof random + 1];
        int r;

        assert(p);

        p->fd = openat(p->parent, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, TREE_FILE_MODE);
        if (p->fd >= 0)
                return 0;
        if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
                return -errno;
        if (getentropy(random, sizeof random) < 0)
                return -errno;
        r = asprintf_safe(&p->temp, TREE_TEMP_PREFIX "%s" TREE_TEMP_SUFFIX,
                          hex_encode(random, sizeof random, hex));
        if (r < 0)
                return r;
        p->fd = tree_open(p->parent, p->temp, O_CREAT | O_EXCL | O_RDWR);
        if (p->fd < 0) {
                p->temp = mfree(p->temp);
                return p->fd;
        }
        return 0;
}

static int local_put_new(StoragePut *put, Failure *reterr_failure) {
        _cleanup_close_ int root = -EBADF;
        char *slash = strrchr(put->key, '/');
        struct stat st;
        LocalPut *p;
        int r;

        p = new0(LocalPut, 1);
        if (!p)
                return -ENOMEM;
        p->parent = p->fd = -EBADF;
        p->name = slash ? slash + 1 : put->key;
        put->backend = p;
        root = root_open(put->storage, /* make= */ true, reterr_failure);
        if (root < 0)
                return root;
        p->parent = tree_make_parent(root, put->key, &p->created);
        if (p->parent < 0)
                return local_failure(put->storage, p->parent, put->key, reterr_failure);
        if (fstatat(p->parent, p->name, &st, AT_SYMLINK_NOFOLLOW) >= 0)
                return local_failure(put->storage, -EEXIST, put->key, reterr_failure);
        r = temp_open(p);
        if (r < 0)
                return local_failure(put->storage, r, put->key, reterr_failure);
        direct_init(&p->direct, p->fd);
        return 0;
}

static int local_put_write(StoragePut *put, const void *data, size_t n, Failure *reterr_failure) {
        LocalPut *p = put->backend;
        int r;

        if (storage_is_cancelled(put->storage))
                return -ECANCELED;
        r = direct_write(&p->direct, data, n, put->size);
        if (r < 0)
                return local_failure(put->storage, r, put->key, reterr_failure);
        storage_moved(put->storage);
        if (p->direct.on)
                p->flushed = put->size + n;
        else if (put->size + n - p->flushed >= FLUSH_INTERVAL) {
                (void) sync_file_range(p->fd, (off64_t) p->flushed, (off64_t) (put->size + n - p->flushed),
                                       SYNC_FILE_RANGE_WRITE);
                p->flushed = put->size + n;
        }
        return 0;
}

/* Gives the file its name, which must not be taken. */
static int name_give(LocalPut *p) {
        char link[48];

        assert(p);

        if (!p->temp) {
                (void) snprintf(link, sizeof link, "/proc/self/fd/%d", p->fd);
                return linkat(AT_FDCWD, link, p->parent, p->name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
        }
        if (renameat2(p->parent, p->temp, p->parent, p->name, RENAME_NOREPLACE) >= 0) {
                p->temp = mfree(p->temp);
                return 0;
        }
        if (errno != EINVAL && errno != ENOSYS)
                return -errno;
        /* A file system without that flag: a second name refuses as well. */
        if (linkat(p->parent, p->temp, p->parent, p->name, 0) < 0)
                return -errno;
        (void) unlinkat(p->parent, p->temp, 0);
        p->temp = mfree(p->temp);
        return 0;
}

static int local_put_commit(StoragePut *put, const uint8_t sha256[static 32], Failure *reterr_failure) {
        LocalPut *p = put->backend;
        struct stat st;
        int r = 0;

        if (fdatasync(p->fd) < 0 || fstat(p->fd, &st) < 0)
                r = -errno;
        else if ((uint64_t) st.st_size != put->size)
                r = -EIO;
        if (r >= 0)
                r = name_give(p);
        if (r >= 0 && fsync(p->parent) < 0) {
                r = -errno;
                (void) unlinkat(p->parent, p->name, 0);
        }
        if (r < 0)
                return local_failure(put->storage, r, put->key, reterr_failure);
        storage_moved(put->storage);
        return 0;
}

static void local_put_free(StoragePut *put) {
        LocalPut *p = put->backend;

        if (p->temp)
                (void) unlinkat(p->parent, p->temp, 0);
        safe_close(p->fd);
        safe_close(p->parent);
        if (!put->committed && p->created > 0) {
                _cleanup_close_ int root = root_open(put->storage, /* make= */ false, /* f= */ NULL);

                if (root >= 0)
                        tree_prune(root, put->key, p->created);
        }
        free(p->temp);
        free(p);
}

/* --- Reading ------------------------------------------------------------------------------------------ */

/* A regular file below the root. */
static int object_open(Storage *s, const char *key, struct stat *ret_stat, Failure *f) {
        _cleanup_close_ int root = -EBADF, fd = -EBADF;

        assert(ret_stat);

        root = root_open(s, /* make= */ false, f);
        if (root < 0)
                return root;
        fd = tree_open(root, key, O_RDONLY | O_NONBLOCK);
        if (fd < 0)
                return local_failure(s, fd, key, f);
        if (fstat(fd, ret_stat) < 0)
                return local_failure(s, -errno, key, f);
        if (!S_ISREG(ret_stat->st_mode))
                return local_failure(s, -ENOENT, key, f);
        return TAKE_FD(fd);
}

static ssize_t local_read_at(Storage *s, const char *key, uint64_t offset, void *buf, size_t n,
                             Failure *reterr_failure) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        ssize_t k;

        if (storage_is_cancelled(s))
                return -ECANCELED;
        fd = object_open(s, key, &st, reterr_failure);
        if (fd < 0)
                return fd;
        k = pread_full(fd, buf, n, (off_t) offset);
        if (k < 0)
                return local_failure(s, (int) k, key, reterr_failure);
        storage_moved(s);
        return k;
}

static int local_stat(Storage *s, const char *key, uint64_t *ret_size, Failure *reterr_failure) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        fd = object_open(s, key, &st, reterr_failure);
        if (fd < 0)
                return fd;
        *ret_size = (uint64_t) st.st_size;
        return 0;
}

static int local_list(Storage *s, const char *prefix, StorageListFunc func, void *userdata,
                      Failure *reterr_failure) {
        _cleanup_close_ int root = -EBADF, fd = -EBADF;
        int r;

        root = root_open(s, /* make= */ false, reterr_failure);
        if (root < 0)
                return root;
        fd = tree_open(root, isempty(prefix) ? "." : prefix, O_RDONLY | O_DIRECTORY);
        if (fd == -ENOENT)
                return 0;
        if (fd < 0)
                return local_failure(s, fd, prefix, reterr_failure);
        r = tree_list(fd, prefix, func, userdata);
        return r < 0 ? local_failure(s, r, prefix, reterr_failure) : r;
}

static int local_remove(Storage *s, const char *key, Failure *reterr_failure) {
        _cleanup_close_ int root = -EBADF, parent = -EBADF;
        _cleanup_(freep) char *path = memdup0(key, strlen(key));
        char *slash;

        if (!path)
                return -ENOMEM;
        root = root_open(s, /* make= */ false, reterr_failure);
        if (root < 0)
                return root;
        slash = strrchr(path, '/');
        if (slash)
                *slash = 0;
        parent = tree_open(root, slash ? path : ".", O_RDONLY | O_DIRECTORY);
        if (parent < 0)
                return local_failure(s, parent, key, reterr_failure);
        if (unlinkat(parent, slash ? slash + 1 : path, 0) < 0)
                return local_failure(s, -errno, key, reterr_failure);
        if (fsync(parent) < 0)
                return local_failure(s, -errno, key, reterr_failure);
        tree_prune(root, key, UINT32_MAX);
        return 0;
}

/* A file that never gets a name. */
static int probe_write(int root) {
        _cleanup_(freep) char *data = malloc(PROBE_SIZE), *back = malloc(PROBE_SIZE);
        LocalPut p = { .parent = root, .fd = -EBADF };
        ssize_t n;
        int r;

        if (!data || !back)
                return -ENOMEM;
        memset(data, 'x', PROBE_SIZE);
        r = temp_open(&p);
        if (r < 0)
                return r;
        r = write_full(p.fd, data, PROBE_SIZE);
        if (r >= 0 && fdatasync(p.fd) < 0)
                r = -errno;
        if (r >= 0) {
                n = pread_full(p.fd, back, PROBE_SIZE, 0);
                r = n < 0 ? (int) n : n == PROBE_SIZE && memcmp(data, back, PROBE_SIZE) == 0 ? 0 :
                                                                                               -EIO;
        }
        if (p.temp && unlinkat(root, p.temp, 0) < 0 && r >= 0)
                r = -errno;
        free(p.temp);
        safe_close(p.fd);
        return r;
}

static int local_probe(Storage *s, StorageUsage *ret, Failure *reterr_failure) {
        _cleanup_close_ int root = -EBADF;
        struct statvfs v;
        int r;

        root = root_open(s, /* make= */ true, reterr_failure);
        if (root < 0)
                return root;
        r = probe_write(root);
        if (r >= 0 && fstatvfs(root, &v) < 0)
                r = -errno;
        if (r < 0)
                return local_failure(s, r, "a test file", reterr_failure);
        *ret = (StorageUsage){
                .free_bytes = (uint64_t) v.f_bavail * v.f_frsize,
                .total_bytes = (uint64_t) v.f_blocks * v.f_frsize,
        };
        return 0;
}

const StorageType storage_type_local = {
        .name = "local",
        .open = local_open,
        .close = local_close,
        .directory = local_directory,
        .put_new = local_put_new,
        .put_write = local_put_write,
        .put_commit = local_put_commit,
        .put_free = local_put_free,
        .read_at = local_read_at,
        .stat = local_stat,
        .list = local_list,
        .remove = local_remove,
        .probe = local_probe,
};
