/* SPDX-License-Identifier: Apache-2.0 */

/* Copies on this machine: how much of them stays, and where they cannot get. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "repository/cache.h"
#include "tests/test.h"

#define SIZE (64U << 10)

typedef struct Ground {
        char folder[40];
        char cache[60];
        uint8_t *data;
        Id id; /* of data */
} Ground;

static void ground_init(Ground *g) {
        *g = (Ground){ .folder = "/tmp/backupx-cache-XXXXXX" };
        CHECK(mkdtemp(g->folder));
        (void) snprintf(g->cache, sizeof g->cache, "%s/cache", g->folder);
        g->data = calloc(1, SIZE);
        CHECK(g->data);
        CHECK_OK(id_of(g->data, SIZE, &g->id));
}

static void ground_done(Ground *g) {
        _cleanup_(freep) char *command = NULL;

        free(g->data);
        CHECK_OK(asprintf_safe(&command, "rm -r %s", g->folder));
        CHECK_INT(system(command), 0);
}

static RepoCache *opened(const Ground *g, uint8_t number) {
        RepoCache *c = NULL;
        Id repository;

        memset(&repository, number, sizeof repository);
        CHECK_OK(repo_cache_new(g->cache, &repository, &c));
        return c;
}

/* Puts a copy for this repository, which was used last at that time. */
static void put(const Ground *g, uint8_t number, time_t used) {
        const struct timespec times[] = { { .tv_sec = used }, { .tv_sec = used } };
        _cleanup_(repo_cache_freep) RepoCache *c = opened(g, number);
        _cleanup_(freep) char *path = NULL;
        char hex[ID_HEX_SIZE];
        Id repository;

        repo_cache_put(c, "index", &g->id, g->data, SIZE);
        memset(&repository, number, sizeof repository);
        CHECK_OK(asprintf_safe(&path, "%s/%s", g->cache, id_to_hex(&repository, hex)));
        CHECK_INT(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool is_there(const Ground *g, uint8_t number) {
        _cleanup_(freep) char *path = NULL;
        char hex[ID_HEX_SIZE], name[ID_HEX_SIZE];
        Id repository;

        memset(&repository, number, sizeof repository);
        CHECK_OK(asprintf_safe(&path, "%s/%s/index/%s", g->cache, id_to_hex(&repository, hex),
                               id_to_hex(&g->id, name)));
        return access(path, F_OK) >= 0;
}

/* The copies of the repository that rested longest go first, and no more than it takes. */
static void test_trim(void) {
        _cleanup_(repo_cache_freep) RepoCache *used = NULL;
        Ground g;

        ground_init(&g);
        repo_cache_trim(g.cache, 1); /* there is none yet */
        put(&g, 1, 300);
        put(&g, 2, 200);
        put(&g, 3, 100);
        repo_cache_trim(g.cache, 3 * SIZE);
        CHECK(is_there(&g, 1) && is_there(&g, 2) && is_there(&g, 3));
        repo_cache_trim(g.cache, 2 * SIZE);
        CHECK(is_there(&g, 1) && is_there(&g, 2) && !is_there(&g, 3));
        used = opened(&g, 2);
        repo_cache_trim(g.cache, SIZE);
        CHECK(!is_there(&g, 1) && is_there(&g, 2));
        repo_cache_trim(g.cache, SIZE - 1); /* not even the only one */
        CHECK(!is_there(&g, 2));
        ground_done(&g);
}

/* The directory may go while it is in use, and comes back. */
static void test_vanished(void) {
        _cleanup_(repo_cache_freep) RepoCache *c = NULL;
        _cleanup_(freep) uint8_t *copy = NULL;
        _cleanup_(freep) char *command = NULL;
        size_t n = 0;
        Ground g;

        ground_init(&g);
        c = opened(&g, 1);
        repo_cache_put(c, "index", &g.id, g.data, SIZE);
        CHECK_OK(asprintf_safe(&command, "rm -r %s", g.cache));
        CHECK_INT(system(command), 0);
        CHECK_INT(repo_cache_get(c, "index", &g.id, &copy, &n), -ENOENT);
        repo_cache_remove(c, "index", &g.id);
        repo_cache_put(c, "index", &g.id, g.data, SIZE);
        CHECK_OK(repo_cache_get(c, "index", &g.id, &copy, &n));
        CHECK_INT(n, SIZE);
        ground_done(&g);
}

/* Who may write into the cache leads nobody with more rights out of it. */
static void test_links(void) {
        _cleanup_(freep) char *outside = NULL, *folder = NULL, *link = NULL, *file = NULL;
        _cleanup_(repo_cache_freep) RepoCache *c = NULL;
        char hex[ID_HEX_SIZE];
        uint8_t *copy = NULL;
        Id repository;
        Ground g;
        size_t n;

        ground_init(&g);
        memset(&repository, 1, sizeof repository);
        CHECK_OK(asprintf_safe(&outside, "%s/outside", g.folder));
        CHECK_OK(asprintf_safe(&folder, "%s/%s", g.cache, id_to_hex(&repository, hex)));
        CHECK_OK(asprintf_safe(&link, "%s/index", folder));
        CHECK_OK(asprintf_safe(&file, "%s/%s", outside, id_to_hex(&g.id, hex)));
        CHECK_OK(mkdir_p(outside, 0700));
        CHECK_OK(mkdir_p(folder, 0700));
        CHECK_INT(symlink(outside, link), 0);
        c = opened(&g, 1);
        repo_cache_put(c, "index", &g.id, g.data, SIZE);
        CHECK_INT(access(file, F_OK), -1);
        CHECK_OK(write_file_atomic(AT_FDCWD, file, g.data, SIZE, 0600));
        CHECK_INT(repo_cache_get(c, "index", &g.id, &copy, &n), -ENOENT);
        repo_cache_remove(c, "index", &g.id);
        repo_cache_trim(g.cache, 0);
        CHECK_INT(access(file, F_OK), 0);
        ground_done(&g);
}

/* Neither a link to a file is read, nor a pipe waited for. */
static void test_no_file(void) {
        _cleanup_(repo_cache_freep) RepoCache *c = NULL;
        _cleanup_(freep) char *file = NULL, *moved = NULL;
        char hex[ID_HEX_SIZE], name[ID_HEX_SIZE];
        uint8_t *copy = NULL;
        Id repository;
        Ground g;
        size_t n;

        ground_init(&g);
        put(&g, 1, 100);
        c = opened(&g, 1);
        memset(&repository, 1, sizeof repository);
        CHECK_OK(asprintf_safe(&file, "%s/%s/index/%s", g.cache, id_to_hex(&repository, hex),
                               id_to_hex(&g.id, name)));
        CHECK_OK(asprintf_safe(&moved, "%s/moved", g.folder));
        CHECK_INT(rename(file, moved), 0);
        CHECK_INT(symlink(moved, file), 0);
        CHECK_INT(repo_cache_get(c, "index", &g.id, &copy, &n), -ENOENT);
        CHECK_INT(unlink(file), 0);
        CHECK_INT(mkfifo(file, 0600), 0);
        CHECK_INT(repo_cache_get(c, "index", &g.id, &copy, &n), -ENOENT);
        ground_done(&g);
}

int main(void) {
        RUN(test_trim);
        RUN(test_vanished);
        RUN(test_links);
        RUN(test_no_file);
        return EXIT_SUCCESS;
}
