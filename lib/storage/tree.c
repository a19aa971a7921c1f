/* SPDX-License-Identifier: Apache-2.0 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/beneath.h"
#include "base/fd.h"
#include "base/text.h"
#include "storage/tree.h"

/* Directories below each other in a listing: ours are four deep. */
#define LIST_DEPTH_MAX 32

int tree_open(int dirfd, const char *path, int flags) {
        return open_beneath(dirfd, path, flags, TREE_FILE_MODE);
}

int tree_make_parent(int root, const char *key, unsigned *ret_created) {
        _cleanup_close_ int fd = fcntl(root, F_DUPFD_CLOEXEC, 3);
        unsigned created = 0;

        if (fd < 0)
                return -errno;
        for (const char *p = key, *slash; (slash = strchr(p, '/')); p = slash + 1) {
                char name[256];
                int next;

                (void) snprintf(name, sizeof name, "%.*s", (int) (slash - p), p);
                next = tree_open(fd, name, O_RDONLY | O_DIRECTORY);
                if (next == -ENOENT) {
                        if (mkdirat(fd, name, TREE_DIRECTORY_MODE) >= 0) {
                                created++;
                                (void) fsync(fd);
                        } else if (errno != EEXIST)
                                return -errno;
                        next = tree_open(fd, name, O_RDONLY | O_DIRECTORY);
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

void tree_prune(int root, const char *key, unsigned n) {
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
                fd = tree_open(root, above ? path : ".", O_RDONLY | O_DIRECTORY);
                if (fd < 0 || unlinkat(fd, above ? above + 1 : path, AT_REMOVEDIR) < 0)
                        return;
                if (above)
                        *above = '/';
        }
}

/* --- Listing ------------------------------------------------------------------------------------------ */

typedef struct Listing {
        StorageListFunc func;
        void *userdata;
} Listing;

typedef struct Names {
        char **items; /* ends with NULL */
        size_t n, allocated;
} Names;

static bool is_temp(const char *name) {
        return startswith(name, TREE_TEMP_PREFIX) && endswith(name, TREE_TEMP_SUFFIX);
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static int names_add(Names *names, const char *name, bool is_directory) {
        int r;

        assert(names);

        if (names->n + 1 >= names->allocated) {
                size_t size = names->allocated == 0 ? 64 : 2 * names->allocated;
                char **grown = reallocarray(names->items, size, sizeof *grown);

                if (!grown)
                        return -ENOMEM;
                names->items = grown;
                names->allocated = size;
                names->items[names->n] = NULL;
        }
        r = asprintf_safe(&names->items[names->n], "%s%s", name, is_directory ? "/" : "");
        if (r < 0) {
                names->items[names->n] = NULL;
                return r;
        }
        names->items[++names->n] = NULL;
        return 0;
}

/* Ours are directories and files; what else somebody put there, and what is gone by now, is passed over. */
static int names_add_entry(Names *names, int fd, const char *name) {
        struct stat st;

        if (streq(name, ".") || streq(name, "..") || is_temp(name))
                return 0;
        if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
                return 0;
        return names_add(names, name, S_ISDIR(st.st_mode));
}

static int names_collect(Names *names, DIR *dir) {
        int r = 0;

        while (r >= 0) {
                const struct dirent *d;

                errno = 0;
                d = readdir(dir);
                if (!d)
                        return -errno;
                r = names_add_entry(names, dirfd(dir), d->d_name);
        }
        return r;
}

/* The names in a directory, those of directories with a '/' behind them, so that their order is that of
 * keys. */
static int names_read(int fd, char ***ret) {
        Names names = {};
        DIR *dir;
        int copy, r;

        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        dir = copy < 0 ? NULL : fdopendir(copy);
        if (!dir) {
                r = -errno;
                safe_close(copy);
                return r;
        }
        r = names_collect(&names, dir);
        (void) closedir(dir);
        if (r < 0) {
                strv_free(names.items);
                return r;
        }
        if (names.n > 1)
                qsort(names.items, names.n, sizeof *names.items, compare_names);
        *ret = names.items;
        return 0;
}

/* Depth is limited, so recursion is. */
static int list_directory(const Listing *l, int fd, const char *prefix, unsigned depth) {
        _cleanup_(strv_freep) char **names = NULL;
        int r;

        assert(l);

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
                child = tree_open(fd, *name, endswith(*name, "/") ? O_RDONLY | O_DIRECTORY : O_PATH);
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

int tree_list(int fd, const char *prefix, StorageListFunc func, void *userdata) {
        const Listing l = { func, userdata };

        assert(fd >= 0);
        assert(prefix);
        assert(func);

        return list_directory(&l, fd, prefix, 0);
}
