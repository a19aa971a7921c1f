/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "base/times.h"
#include "repository/cache-folder.h"
#include "repository/cache.h"

/* Folders looked at; further ones are removed at another time. */
#define REPOSITORIES_MAX 4096

typedef struct Kept {
        char name[ID_HEX_SIZE];
        uint64_t size;
        int64_t used_sec;
        long used_nsec;
} Kept;

typedef struct Trim {
        Kept *items;
        size_t n;
        uint64_t size;
} Trim;

static void add_file(void *userdata, int folder, const char *name) {
        uint64_t *size = userdata;
        struct stat st;

        if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) >= 0)
                *size += (uint64_t) st.st_size;
}

static void add_kind(void *userdata, int folder, const char *name) {
        _cleanup_close_ int kind = cache_folder_open(folder, name);

        if (kind >= 0)
                cache_folder_each(kind, add_file, userdata);
}

static void add_repository(void *userdata, int folder, const char *name) {
        _cleanup_close_ int repository = -EBADF;
        Trim *t = userdata;
        struct stat st;
        Kept *k;
        Id id;

        if (t->n == REPOSITORIES_MAX || id_from_hex(name, strlen(name), &id) < 0)
                return;
        repository = cache_folder_open(folder, name);
        if (repository < 0 || fstat(repository, &st) < 0)
                return;
        k = t->items + t->n++;
        *k = (Kept){ .used_sec = st.st_mtim.tv_sec, .used_nsec = st.st_mtim.tv_nsec };
        memcpy(k->name, name, sizeof(k->name));
        cache_folder_each(repository, add_kind, &k->size);
        t->size += k->size;
}

static void remove_file(void *userdata, int folder, const char *name) {
        (void) userdata;
        (void) unlinkat(folder, name, 0);
}

static void remove_kind(void *userdata, int folder, const char *name) {
        _cleanup_close_ int kind = cache_folder_open(folder, name);

        (void) userdata;
        if (kind >= 0)
                cache_folder_each(kind, remove_file, NULL);
        (void) unlinkat(folder, name, AT_REMOVEDIR);
}

static void remove_repository(int directory, const char *name) {
        _cleanup_close_ int repository = cache_folder_open(directory, name);

        if (repository >= 0)
                cache_folder_each(repository, remove_kind, NULL);
        (void) unlinkat(directory, name, AT_REMOVEDIR);
}

static int compare_used(const void *a, const void *b) {
        const Kept *x = a, *y = b;

        if (x->used_sec != y->used_sec)
                return x->used_sec < y->used_sec ? -1 : 1;
        return (x->used_nsec > y->used_nsec) - (x->used_nsec < y->used_nsec);
}

void repo_cache_trim(const char *directory, uint64_t limit) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_(freep) Kept *items = NULL;
        Trim t = {};

        assert(directory);

        fd = cache_folder_open(AT_FDCWD, directory);
        if (fd < 0)
                return;
        t.items = items = new0(Kept, REPOSITORIES_MAX);
        if (!items)
                return;
        cache_folder_each(fd, add_repository, &t);
        if (t.size <= limit)
                return;
        qsort(t.items, t.n, sizeof(*t.items), compare_used);
        for (size_t i = 0; i < t.n && t.size > limit; i++) {
                remove_repository(fd, t.items[i].name);
                t.size -= t.items[i].size;
        }
}
