/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "repository/cache.h"
#include "repository/file.h"

#define MODE_DIRECTORY 0700
#define MODE_FILE 0600

struct RepoCache {
        char *path; /* of this repository's folder */
};

RepoCache *repo_cache_free(RepoCache *c) {
        if (!c)
                return NULL;
        free(c->path);
        return mfree(c);
}

int repo_cache_new(const char *directory, const Id *repository, RepoCache **ret) {
        _cleanup_(repo_cache_freep) RepoCache *c = NULL;
        char hex[ID_HEX_SIZE];

        assert(directory);
        assert(repository);
        assert(ret);

        c = new0(RepoCache, 1);
        if (!c || asprintf_safe(&c->path, "%s/%s", directory, id_to_hex(repository, hex)) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(c);
        return 0;
}

static int path_of(const RepoCache *c, const char *kind, const Id *id, char **ret) {
        char hex[ID_HEX_SIZE];

        assert(c);

        return asprintf_safe(ret, "%s/%s/%s", c->path, kind, id_to_hex(id, hex));
}

int repo_cache_get(RepoCache *c, const char *kind, const Id *id, uint8_t **ret, size_t *ret_n) {
        _cleanup_(freep) char *path = NULL, *data = NULL;
        size_t n;
        Id is;
        int r;

        assert(ret);
        assert(ret_n);

        r = path_of(c, kind, id, &path);
        if (r < 0)
                return r;
        r = read_file(AT_FDCWD, path, REPO_FILE_SIZE_MAX, &data, &n);
        if (r < 0)
                return r == -ENOMEM ? r : -ENOENT;
        if (id_of(data, n, &is) < 0 || !id_equal(&is, id)) {
                (void) unlink(path);
                return -ENOENT;
        }
        *ret = (uint8_t *) TAKE_PTR(data);
        *ret_n = n;
        return 0;
}

void repo_cache_put(RepoCache *c, const char *kind, const Id *id, const void *p, size_t n) {
        _cleanup_(freep) char *path = NULL, *folder = NULL;

        assert(c);

        if (asprintf_safe(&folder, "%s/%s", c->path, kind) < 0 || path_of(c, kind, id, &path) < 0)
                return;
        if (mkdir_p(folder, MODE_DIRECTORY) >= 0)
                (void) !write_file_atomic(AT_FDCWD, path, p, n, MODE_FILE);
}

void repo_cache_remove(RepoCache *c, const char *kind, const Id *id) {
        _cleanup_(freep) char *path = NULL;

        if (path_of(c, kind, id, &path) >= 0)
                (void) unlink(path);
}

void repo_cache_clean(RepoCache *c, const char *kind, RepoCacheKeep keep, void *userdata) {
        _cleanup_(freep) char *path = NULL;
        struct dirent *entry;
        DIR *folder;

        assert(c);
        assert(keep);

        if (asprintf_safe(&path, "%s/%s", c->path, kind) < 0)
                return;
        folder = opendir(path);
        if (!folder)
                return;
        while ((entry = readdir(folder))) {
                Id id;

                if (id_from_hex(entry->d_name, strlen(entry->d_name), &id) >= 0 && !keep(userdata, &id))
                        (void) unlinkat(dirfd(folder), entry->d_name, 0);
        }
        (void) closedir(folder);
}
