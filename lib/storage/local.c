/* SPDX-License-Identifier: Apache-2.0 */

/* A directory of this host. Keys are paths below it; open_beneath() keeps them there, whatever links
 * somebody put in the way. An object is a file without a name until its commit (O_TMPFILE), so that a job
 * that is killed leaves nothing; where the file system cannot do that, a file with a temporary name. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/beneath.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/text.h"
#include "storage/backend.h"

#define OBJECT_MODE 0600
#define DIRECTORY_MODE 0700
#define TEMP_PREFIX ".backupx-"
#define TEMP_SUFFIX ".part"
/* After each of this many bytes writing to the disk is begun, so that the commit does not wait for all of
 * it. */
#define FLUSH_INTERVAL (UINT64_C(32) << 20)
/* Directories below each other in a listing: ours are four deep. */
#define LIST_DEPTH_MAX 32
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

/* --- Paths -------------------------------------------------------------------------------------------- */

static int open_below(int dirfd, const char *path, int flags) {
        return open_beneath(dirfd, path, flags, OBJECT_MODE);
}

/* The configured directory, as the administrator wrote it. Its last part is made where it is missing. */
static int root_open(const Storage *s, bool make, Failure *f) {
        const Local *l = s->backend;
        int fd;

        fd = open(l->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT && make) {
                if (mkdir(l->path, DIRECTORY_MODE) < 0 && errno != EEXIST && errno != ENOENT)
                        return local_failure(s, -errno, "", f);
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

/* Opens the directory that holds key, making what is missing of it. Counts what was made. */
static int parent_make(int root, const char *key, unsigned *ret_created) {
        _cleanup_close_ int fd = fcntl(root, F_DUPFD_CLOEXEC, 3);
        unsigned created = 0;

        if (fd < 0)
                return -errno;
        for (const char *p = key, *slash; (slash = strchr(p, '/')); p = slash + 1) {
                char name[256];
                int next;

                (void) snprintf(name, sizeof name, "%.*s", (int) (slash - p), p);
                next = open_below(fd, name, O_RDONLY | O_DIRECTORY);
                if (next == -ENOENT) {
                        if (mkdirat(fd, name, DIRECTORY_MODE) >= 0) {
                                created++;
                                (void) fsync(fd);
                        } else if (errno != EEXIST)
                                return -errno;
                        next = open_below(fd, name, O_RDONLY | O_DIRECTORY);
                } else if (next >= 0)
                        created = 0;
                if (next < 0)
                        return next;
                safe_close(fd);
                fd = next;
        }
        *ret_created = created;
        return TAKE_FD(fd);
}

/* Removes up to n directories at the end of the key's path, while they are empty. */
static void parents_prune(int root, const char *key, unsigned n) {
        _cleanup_(freep) char *path = memdup0(key, strlen(key));

        while (path && n-- > 0) {
                char *slash = strrchr(path, '/'), *above;
                _cleanup_close_ int fd = -EBADF;

                if (!slash)
                        return;
                *slash = 0;
                above = strrchr(path, '/');
                if (above)
                        *above = 0;
                fd = open_below(root, above ? path : ".", O_RDONLY | O_DIRECTORY);
                if (fd < 0 || unlinkat(fd, above ? above + 1 : path, AT_REMOVEDIR) < 0)
                        return;
                if (above)
                        *above = '/';
        }
}

static bool is_temp(const char *name) {
        return startswith(name, TEMP_PREFIX) && endswith(name, TEMP_SUFFIX);
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

        p->fd = openat(p->parent, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, OBJECT_MODE);
        if (p->fd >= 0)
                return 0;
        if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
                return -errno;
        if (getentropy(random, sizeof random) < 0)
                return -errno;
        r = asprintf_safe(&p->temp, TEMP_PREFIX "%s" TEMP_SUFFIX, hex_encode(random, sizeof random, hex));
        if (r < 0)
                return r;
        p->fd = open_below(p->parent, p->temp, O_CREAT | O_EXCL | O_RDWR);
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
        p->parent = parent_make(root, put->key, &p->created);
        if (p->parent < 0)
                return local_failure(put->storage, p->parent, put->key, reterr_failure);
        if (fstatat(p->parent, p->name, &st, AT_SYMLINK_NOFOLLOW) >= 0)
                return local_failure(put->storage, -EEXIST, put->key, reterr_failure);
        r = temp_open(p);
        return r < 0 ? local_failure(put->storage, r, put->key, reterr_failure) : 0;
}

static int local_put_write(StoragePut *put, const void *data, size_t n, Failure *reterr_failure) {
        LocalPut *p = put->backend;
        int r;

        if (storage_is_cancelled(put->storage))
                return -ECANCELED;
        r = write_full(p->fd, data, n);
        if (r < 0)
                return local_failure(put->storage, r, put->key, reterr_failure);
        storage_moved(put->storage);
        if (put->size + n - p->flushed >= FLUSH_INTERVAL) {
                (void) sync_file_range(p->fd, (off64_t) p->flushed, (off64_t) (put->size + n - p->flushed),
                                       SYNC_FILE_RANGE_WRITE);
                p->flushed = put->size + n;
        }
        return 0;
}

/* Gives the file its name, which must not be taken. */
static int name_give(LocalPut *p) {
        char link[48];

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
                        parents_prune(root, put->key, p->created);
        }
        free(p->temp);
        free(p);
}

/* --- Reading ------------------------------------------------------------------------------------------ */

/* A regular file below the root. */
static int object_open(Storage *s, const char *key, struct stat *ret_stat, Failure *f) {
        _cleanup_close_ int root = -EBADF, fd = -EBADF;

        root = root_open(s, /* make= */ false, f);
        if (root < 0)
                return root;
        fd = open_below(root, key, O_RDONLY | O_NONBLOCK);
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

typedef struct Listing {
        StorageListFunc func;
        void *userdata;
} Listing;

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* The names in a directory, those of directories with a '/' behind them, so that their order is that of
 * keys. */
static int names_read(int fd, char ***ret) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t n = 0, allocated = 0;
        const struct dirent *d;
        DIR *dir;
        int copy, r = 0;

        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        dir = copy < 0 ? NULL : fdopendir(copy);
        if (!dir) {
                r = -errno;
                safe_close(copy);
                return r;
        }
        while (r >= 0 && (errno = 0, d = readdir(dir))) {
                struct stat st;

                if (streq(d->d_name, ".") || streq(d->d_name, "..") || is_temp(d->d_name))
                        continue;
                if (fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
                    (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
                        continue;
                if (n + 1 >= allocated) {
                        size_t size = allocated == 0 ? 64 : 2 * allocated;
                        char **grown = reallocarray(names, size, sizeof *grown);

                        if (!grown) {
                                r = -ENOMEM;
                                break;
                        }
                        names = grown;
                        allocated = size;
                }
                r = asprintf_safe(&names[n], "%s%s", d->d_name, S_ISDIR(st.st_mode) ? "/" : "");
                names[r < 0 ? n : ++n] = NULL;
        }
        if (r >= 0 && errno != 0)
                r = -errno;
        (void) closedir(dir);
        if (r < 0)
                return r;
        if (n > 1)
                qsort(names, n, sizeof *names, compare_names);
        *ret = TAKE_PTR(names);
        return 0;
}

/* Depth is limited, so recursion is. */
static int list_directory(const Listing *l, int fd, const char *prefix, unsigned depth) {
        _cleanup_(strv_freep) char **names = NULL;
        int r;

        if (depth > LIST_DEPTH_MAX)
                return -ELOOP;
        r = names_read(fd, &names);
        if (r < 0)
                return r;
        STRV_FOREACH(name, names) {
                _cleanup_(freep) char *key = NULL;
                _cleanup_close_ int child = -EBADF;
                struct stat st;

                r = asprintf_safe(&key, "%s%s", prefix, *name);
                if (r < 0)
                        return r;
                child = open_below(fd, *name, endswith(*name, "/") ? O_RDONLY | O_DIRECTORY : O_PATH);
                /* Gone since; that is no failure of the listing. */
                if (child == -ENOENT)
                        continue;
                if (child < 0)
                        return child;
                if (endswith(*name, "/"))
                        r = list_directory(l, child, key, depth + 1);
                else
                        r = fstat(child, &st) < 0 ? -errno :
                                                    l->func(l->userdata, key, (uint64_t) st.st_size);
                if (r != 0)
                        return r;
        }
        return 0;
}

static int local_list(Storage *s, const char *prefix, StorageListFunc func, void *userdata,
                      Failure *reterr_failure) {
        Listing l = { func, userdata };
        _cleanup_close_ int root = -EBADF, fd = -EBADF;
        int r;

        root = root_open(s, /* make= */ false, reterr_failure);
        if (root < 0)
                return root;
        fd = open_below(root, isempty(prefix) ? "." : prefix, O_RDONLY | O_DIRECTORY);
        if (fd == -ENOENT)
                return 0;
        if (fd < 0)
                return local_failure(s, fd, prefix, reterr_failure);
        r = list_directory(&l, fd, prefix, 0);
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
        parent = open_below(root, slash ? path : ".", O_RDONLY | O_DIRECTORY);
        if (parent < 0)
                return local_failure(s, parent, key, reterr_failure);
        if (unlinkat(parent, slash ? slash + 1 : path, 0) < 0)
                return local_failure(s, -errno, key, reterr_failure);
        if (fsync(parent) < 0)
                return local_failure(s, -errno, key, reterr_failure);
        parents_prune(root, key, UINT32_MAX);
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
