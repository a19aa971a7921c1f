/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/restore-place.h"
#include "base/alloc.h"
#include "base/beneath.h"
#include "base/fd.h"
#include "base/text.h"

/* The kernel gives -EAGAIN when something is renamed while it resolves; a few tries are enough for an honest
 * machine, and a bound for another one. */

bool path_is_within(const char *path, const char *directory) {
        size_t n = strlen(directory);

        if (n == 0)
                return true;
        return strncmp(path, directory, n) == 0 && (path[n] == 0 || path[n] == '/');
}

const char *path_name(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

size_t path_parent_length(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? (size_t) (slash - path) : 0;
}

int path_from_absolute(const char *absolute, char **ret) {
        _cleanup_(freep) char *path = NULL;
        size_t n = 0;

        assert(absolute);
        assert(ret);

        if (absolute[0] != '/')
                return -EINVAL;
        path = malloc(strlen(absolute) + 1);
        if (!path)
                return -ENOMEM;
        for (const char *p = absolute; *p;) {
                size_t k = strcspn(p, "/");

                if ((k == 1 && p[0] == '.') || (k == 2 && p[0] == '.' && p[1] == '.'))
                        return -EINVAL;
                if (k > 0) {
                        if (n > 0)
                                path[n++] = '/';
                        memcpy(path + n, p, k);
                        n += k;
                }
                p += k;
                p += strspn(p, "/");
        }
        path[n] = 0;
        *ret = TAKE_PTR(path);
        return 0;
}

int place_open(int fd, const char *path, int flags) {
        _cleanup_close_ int step = -EBADF;

        assert(fd >= 0);
        assert(path);

        /* The kernel takes PATH_MAX bytes at a time. */
        while (strlen(path) >= PATH_MAX) {
                _cleanup_(freep) char *part = NULL;
                size_t n = PATH_MAX - 1;
                int next;

                while (n > 0 && path[n] != '/')
                        n--;
                if (n == 0)
                        return -ENAMETOOLONG;
                part = memdup0(path, n);
                if (!part)
                        return -ENOMEM;
                next = open_beneath(step >= 0 ? step : fd, part, O_PATH | O_DIRECTORY, 0);
                if (next < 0)
                        return next;
                (void) safe_close(step);
                step = next;
                path += n + 1;
        }
        return open_beneath(step >= 0 ? step : fd, path[0] ? path : ".", flags, 0);
}

static void place_done(Place *p) {
        free(p->prefix);
        free(p->path);
        free(p->missing);
        p->fd = safe_close(p->fd);
}

void places_done(Places *p) {
        assert(p);

        for (size_t i = 0; i < p->n; i++)
                place_done(p->items + i);
        free(p->items);
        *p = (Places){};
}

/* What the kernel calls the directory. */
static int read_resolved(int fd, char **ret) {
        char link[STRLEN("/proc/self/fd/") + 12], buf[PATH_MAX + 1];
        ssize_t n;

        (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, buf, sizeof(buf) - 1);
        if (n < 0)
                return -errno;
        buf[n] = 0;
        return free_and_strdup(ret, buf);
}

/* Opens the deepest directory on the way to path that there is; gives the length of its path. */
static int open_deepest(const char *path, size_t *ret_length, Failure *reterr_failure) {
        _cleanup_(freep) char *at = strdup(path);

        if (!at)
                return -ENOMEM;
        for (;;) {
                size_t n = strlen(at);
                int fd, error;

                fd = open(n > 0 ? at : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (fd >= 0) {
                        *ret_length = n;
                        return fd;
                }
                error = -errno;
                if (n == 0 || (error != -ENOENT && error != -ENOTDIR))
                        return failure_set(reterr_failure, error, "DESTINATION_UNUSABLE",
                                           "The destination %s cannot be opened: %m", n > 0 ? at : "/");
                at[n - strlen(strrchr(at, '/'))] = 0;
        }
}

int places_add(Places *p, const char *path, const char *prefix, bool is_destination,
               Failure *reterr_failure) {
        _cleanup_(freep) char *relative = NULL, *absolute = NULL;
        Place place = { .fd = -EBADF }, *grown;
        size_t length = 0;
        int r;

        assert(p);
        assert(path);
        assert(prefix);

        r = path_from_absolute(path, &relative);
        if (r < 0)
                return r;
        r = asprintf_safe(&absolute, "%s%s", relative[0] ? "/" : "", relative);
        if (r < 0)
                return r;
        grown = reallocarray(p->items, p->n + 1, sizeof(Place));
        if (!grown)
                return -ENOMEM;
        p->items = grown;

        place.fd = open_deepest(absolute, &length, reterr_failure);
        if (place.fd < 0)
                return place.fd;
        r = read_resolved(place.fd, &place.path);
        if (r >= 0 && is_destination)
                r = free_and_strdup(&place.prefix, prefix);
        else if (r >= 0) {
                /* In place the path and the prefix are the same. */
                place.prefix = memdup0(relative, length > 0 ? length - 1 : 0);
                r = place.prefix ? 0 : -ENOMEM;
        }
        if (r >= 0 && is_destination && absolute[length])
                r = free_and_strdup(&place.missing, absolute + length + 1);
        if (r < 0) {
                place_done(&place);
                return r;
        }
        p->items[p->n++] = place;
        return 0;
}

Place *places_find(const Places *p, const char *path) {
        Place *best = NULL;

        assert(p);
        assert(path);

        for (size_t i = 0; i < p->n; i++) {
                if (!path_is_within(path, p->items[i].prefix))
                        continue;
                /* The outer one: what is in it comes in one piece, so its times are set when all of it is
                 * there. */
                if (!best || strlen(p->items[i].prefix) < strlen(best->prefix))
                        best = p->items + i;
        }
        return best;
}

int place_make(Place *p, Failure *reterr_failure) {
        _cleanup_(freep) char *missing = NULL, *path = NULL;
        char *rest, *name;
        int r;

        assert(p);

        missing = TAKE_PTR(p->missing);
        if (!missing)
                return 0;
        rest = missing;
        while ((name = strsep(&rest, "/"))) {
                int fd;

                if (mkdirat(p->fd, name, 0755) < 0 && errno != EEXIST)
                        return failure_set(reterr_failure, -errno, "DESTINATION_UNUSABLE",
                                           "The directory %s cannot be made in %s: %m", name, p->path);
                fd = openat(p->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (fd < 0)
                        return failure_set(reterr_failure, -errno, "DESTINATION_UNUSABLE",
                                           "The directory %s in %s cannot be opened: %m", name, p->path);
                (void) safe_close(p->fd);
                p->fd = fd;
        }
        p->made = true;
        r = read_resolved(p->fd, &path);
        if (r < 0)
                return r;
        free(p->path);
        p->path = TAKE_PTR(path);
        return 0;
}

const char *place_relative(const Place *p, const char *path) {
        size_t n;

        assert(p);
        assert(path);

        n = strlen(p->prefix);
        assert(path_is_within(path, p->prefix));
        return n == 0 ? path : path[n] == '/' ? path + n + 1 :
                                                path + n;
}
