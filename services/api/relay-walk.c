/* SPDX-License-Identifier: Apache-2.0 */

/* Lists a tree in the order of whole keys, so that a cursor can be any key: within a folder, a sub-folder
 * sorts as its name with the '/' that follows it. One page costs the names of the folders on its way. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fd.h"
#include "base/text.h"

#include "services/api/relay-private.h"

#define DEPTH_MAX 64

typedef struct Walk {
        const char *cursor;
        uint32_t limit;
        RelayList *list;
        Buffer key; /* of where the walk stands */
} Walk;

void relay_list_done(RelayList *l) {
        assert(l);

        for (size_t i = 0; i < l->n; i++)
                free(l->items[i].key);
        free(l->items);
        *l = (RelayList){};
}

static void closedirp(DIR **d) {
        if (*d)
                closedir(*d);
}

static int open_folder(int folder, DIR **ret) {
        int fd;

        fd = openat(folder, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret = fdopendir(fd);
        if (!*ret) {
                safe_close(fd);
                return -errno;
        }
        return 0;
}

/* What could not be a key is none of ours. */
static bool is_ours(const char *name) {
        return !streq(name, ".") && !streq(name, "..") && !startswith(name, RELAY_RESERVED) &&
                        utf8_is_valid(name, strlen(name));
}

/* Adds a name, with a '/' behind where it is a folder. */
static int add_name(int folder, const char *name, char ***names) {
        _cleanup_(freep) char *text = NULL;
        struct stat st;
        int r;

        if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
                return 0;
        r = asprintf_safe(&text, "%s%s", name, S_ISDIR(st.st_mode) ? "/" : "");
        return r < 0 ? r : strv_extend(names, text);
}

static int read_names(int folder, char ***ret) {
        _cleanup_(strv_freep) char **names = NULL;
        _cleanup_(closedirp) DIR *d = NULL;
        int r;

        r = open_folder(folder, &d);
        if (r < 0)
                return r;
        for (;;) {
                const struct dirent *entry;

                errno = 0;
                entry = readdir(d);
                if (!entry && errno != 0)
                        return -errno;
                if (!entry)
                        break;
                r = is_ours(entry->d_name) ? add_name(folder, entry->d_name, &names) : 0;
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(names);
        return 0;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static int add_entry(Walk *w, uint64_t size) {
        RelayEntry *grown;
        char *key;

        assert(w);

        if (w->list->n >= w->limit) {
                w->list->more = true;
                return 0;
        }
        grown = realloc(w->list->items, (w->list->n + 1) * sizeof(RelayEntry));
        if (!grown)
                return -ENOMEM;
        w->list->items = grown;
        key = strdup(w->key.data);
        if (!key)
                return -ENOMEM;
        grown[w->list->n++] = (RelayEntry){ .key = key, .size = size };
        return 0;
}

/* Whether all below this folder's key comes before the cursor. */
static bool is_behind(const Walk *w) {
        return w->cursor && strncmp(w->key.data, w->cursor, w->key.size) < 0;
}

static int visit_file(Walk *w, int folder, const char *name) {
        struct stat st;

        if (w->cursor && strcmp(w->key.data, w->cursor) <= 0)
                return 0;
        if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        return add_entry(w, (uint64_t) st.st_size);
}

/* Opens the folder that a name with a '/' stands for; -ENOENT: it is gone. */
static int open_below(int folder, const char *name, int *ret) {
        _cleanup_(freep) char *plain = memdup0(name, strlen(name) - 1);
        int fd;

        if (!plain)
                return -ENOMEM;
        fd = openat(folder, plain, O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret = fd;
        return 0;
}

static int walk_folder(Walk *w, int folder, unsigned depth) {
        _cleanup_(strv_freep) char **names = NULL;
        size_t base = w->key.size;
        int r;

        if (depth > DEPTH_MAX)
                return -ELOOP;
        r = read_names(folder, &names);
        if (r < 0)
                return r;
        if (names)
                qsort(names, strv_length(names), sizeof(char *), compare_names);
        for (size_t i = 0; r >= 0 && names && names[i] && !w->list->more; i++) {
                _cleanup_close_ int below = -EBADF;

                r = buffer_add_string(&w->key, names[i]);
                if (r >= 0 && !endswith(names[i], "/"))
                        r = visit_file(w, folder, names[i]);
                else if (r >= 0 && !is_behind(w)) {
                        r = open_below(folder, names[i], &below);
                        r = r == -ENOENT ? 0 : r < 0 ? r :
                                                       walk_folder(w, below, depth + 1);
                }
                w->key.size = base;
                if (w->key.data)
                        w->key.data[base] = 0;
        }
        return r;
}

/* The folder of a prefix, without following a link on the way. */
static int open_prefix(int base, const char *prefix, int *ret) {
        _cleanup_close_ int fd = -EBADF;

        fd = openat(base, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        for (const char *p = prefix; *p;) {
                _cleanup_(freep) char *name = memdup0(p, strcspn(p, "/"));
                int next;

                if (!name)
                        return -ENOMEM;
                next = openat(fd, name, O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
                if (next < 0)
                        return -errno;
                safe_close(fd);
                fd = next;
                p += strlen(name) + 1;
        }
        *ret = TAKE_FD(fd);
        return 0;
}

int relay_walk(int base, const char *prefix, const char *cursor, uint32_t limit, RelayList *ret) {
        _cleanup_(relay_list_done) RelayList list = {};
        _cleanup_close_ int folder = -EBADF;
        Walk w = { .cursor = cursor, .limit = limit, .list = &list };
        int r;

        assert(prefix);
        assert(ret);

        r = open_prefix(base, prefix, &folder);
        if (r == -ENOENT || r == -ENOTDIR)
                return 0;
        if (r < 0)
                return r;
        r = buffer_add_string(&w.key, prefix);
        if (r >= 0)
                r = walk_folder(&w, folder, 0);
        buffer_done(&w.key);
        if (r < 0)
                return r;
        *ret = list;
        list = (RelayList){};
        return 0;
}
