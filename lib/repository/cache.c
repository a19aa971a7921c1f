/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "repository/cache-folder.h"
#include "repository/cache.h"
#include "repository/file.h"

#define MODE_FILE 0600

struct RepoCache {
        char *directory;
        char name[ID_HEX_SIZE]; /* of this repository's folder in it */
};

RepoCache *repo_cache_free(RepoCache *c) {
        if (!c)
                return NULL;
        free(c->directory);
        return mfree(c);
}

/* The newest stamp says which repository was used last. */
static void stamp(const RepoCache *c) {
        _cleanup_close_ int directory = cache_folder_open(AT_FDCWD, c->directory);

        if (directory >= 0)
                (void) utimensat(directory, c->name, NULL, AT_SYMLINK_NOFOLLOW);
}

int repo_cache_new(const char *directory, const Id *repository, RepoCache **ret) {
        _cleanup_(repo_cache_freep) RepoCache *c = NULL;

        assert(directory);
        assert(repository);
        assert(ret);

        c = new0(RepoCache, 1);
        if (!c || free_and_strdup(&c->directory, directory) < 0)
                return -ENOMEM;
        (void) id_to_hex(repository, c->name);
        stamp(c);
        *ret = TAKE_PTR(c);
        return 0;
}

/* The folder of one kind of files, opened anew each time: it may vanish. */
static int open_kind(const RepoCache *c, const char *kind, bool make) {
        _cleanup_close_ int directory = -EBADF, repository = -EBADF;

        assert(c);

        if (make && mkdir_p(c->directory, CACHE_FOLDER_MODE) < 0)
                return -ENOENT;
        directory = cache_folder_open(AT_FDCWD, c->directory);
        if (directory < 0)
                return directory;
        if (make && mkdirat(directory, c->name, CACHE_FOLDER_MODE) < 0 && errno != EEXIST)
                return -errno;
        repository = cache_folder_open(directory, c->name);
        if (repository < 0)
                return repository;
        if (make && mkdirat(repository, kind, CACHE_FOLDER_MODE) < 0 && errno != EEXIST)
                return -errno;
        return cache_folder_open(repository, kind);
}

int repo_cache_get(RepoCache *c, const char *kind, const Id *id, uint8_t **ret, size_t *ret_n) {
        _cleanup_close_ int folder = open_kind(c, kind, false);
        _cleanup_(freep) char *data = NULL;
        char name[ID_HEX_SIZE];
        struct stat st;
        size_t n;
        Id is;
        int r;

        assert(ret);
        assert(ret_n);

        if (folder < 0 || fstatat(folder, id_to_hex(id, name), &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(st.st_mode))
                return -ENOENT;
        r = read_file(folder, name, REPO_FILE_SIZE_MAX, &data, &n);
        if (r < 0)
                return r == -ENOMEM ? r : -ENOENT;
        if (id_of(data, n, &is) < 0 || !id_equal(&is, id)) {
                (void) unlinkat(folder, name, 0);
                return -ENOENT;
        }
        *ret = (uint8_t *) TAKE_PTR(data);
        *ret_n = n;
        return 0;
}

void repo_cache_put(RepoCache *c, const char *kind, const Id *id, const void *p, size_t n) {
        _cleanup_close_ int folder = open_kind(c, kind, true);
        char name[ID_HEX_SIZE];

        assert(id);

        if (folder >= 0)
                (void) !write_file_atomic(folder, id_to_hex(id, name), p, n, MODE_FILE);
}

void repo_cache_remove(RepoCache *c, const char *kind, const Id *id) {
        _cleanup_close_ int folder = open_kind(c, kind, false);
        char name[ID_HEX_SIZE];

        assert(id);

        if (folder >= 0)
                (void) unlinkat(folder, id_to_hex(id, name), 0);
}

typedef struct Cleaning {
        RepoCacheKeep keep;
        void *userdata;
} Cleaning;

static void clean_one(void *userdata, int folder, const char *name) {
        const Cleaning *cleaning = userdata;
        Id id;

        if (id_from_hex(name, strlen(name), &id) >= 0 && !cleaning->keep(cleaning->userdata, &id))
                (void) unlinkat(folder, name, 0);
}

void repo_cache_clean(RepoCache *c, const char *kind, RepoCacheKeep keep, void *userdata) {
        _cleanup_close_ int folder = open_kind(c, kind, false);
        Cleaning cleaning = { keep, userdata };

        assert(keep);

        if (folder >= 0)
                cache_folder_each(folder, clean_one, &cleaning);
}
