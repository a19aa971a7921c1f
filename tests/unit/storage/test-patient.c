/* SPDX-License-Identifier: Apache-2.0 */

/* That nothing is changed by the way through other threads. What hangs is in tests/repository. */

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "storage/storage.h"
#include "tests/test.h"
#include "wire/json.h"

/* More than is handed over at a time, and no multiple of it. */
#define N_OBJECTS 600U
#define LARGE (((size_t) 3 << 20) + 12345)

typedef struct Ground {
        char folder[40];
        Storage *storage;
} Ground;

static void ground_init(Ground *g) {
        StorageConfig c = { .id = 7, .type = "local", .patience = USEC_PER_HOUR };
        _cleanup_json_ json_t *config = NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;

        strcpy(g->folder, "/tmp/backupx-test-XXXXXX");
        CHECK(mkdtemp(g->folder));
        config = json_pack("{s:s}", "path", g->folder);
        CHECK(config);
        c.config = config;
        CHECK_OK(storage_open(&c, &g->storage, &f));
}

static void ground_done(Ground *g) {
        _cleanup_(freep) char *command = NULL;

        g->storage = storage_free(g->storage);
        CHECK_OK(asprintf_safe(&command, "rm -r %s", g->folder));
        CHECK_INT(system(command), 0);
}

static int put(Ground *g, const char *key, const void *data, size_t n, Failure *f) {
        _cleanup_(storage_put_freep) StoragePut *p = NULL;
        uint8_t digest[SHA256_SIZE];
        int r;

        CHECK_OK(sha256(data, n, digest));
        r = storage_put_new(g->storage, key, &p, f);
        if (r >= 0)
                storage_put_set_transient(p);
        if (r >= 0)
                r = storage_put_write(p, data, n, f);
        return r < 0 ? r : storage_put_commit(p, digest, f);
}

static void test_objects(void) {
        _cleanup_failure_ Failure f = FAILURE_NULL, none = FAILURE_NULL;
        _cleanup_(freep) uint8_t *data = malloc(LARGE), *back = calloc(1, LARGE + 1);
        StorageUsage usage = {};
        uint64_t size = 0;
        Ground g;

        CHECK(data && back);
        for (size_t i = 0; i < LARGE; i++)
                data[i] = (uint8_t) (i * 7 + i / 4093);
        ground_init(&g);
        CHECK_STR(storage_directory(g.storage), g.folder);
        CHECK_INT(storage_id(g.storage), 7);
        CHECK_OK(storage_probe(g.storage, &usage, NULL));
        CHECK(usage.total_bytes > 0);
        CHECK_OK(put(&g, "a/large", data, LARGE, NULL));
        CHECK_OK(put(&g, "a/empty", "", 0, NULL));
        CHECK_OK(storage_stat(g.storage, "a/large", &size, NULL));
        CHECK_INT(size, LARGE);
        CHECK_INT(storage_read_at(g.storage, "a/large", 0, back, LARGE + 1, NULL), LARGE);
        CHECK(memcmp(data, back, LARGE) == 0);
        CHECK_INT(storage_read_at(g.storage, "a/large", 1000, back, (1 << 20) + 1, NULL), (1 << 20) + 1);
        CHECK(memcmp(data + 1000, back, (1 << 20) + 1) == 0);
        CHECK_INT(storage_read_at(g.storage, "a/large", LARGE, back, 10, NULL), 0);
        CHECK_INT(put(&g, "a/large", data, 10, &f), -EEXIST);
        CHECK_STR(f.code, "OBJECT_EXISTS");
        CHECK(storage_last_progress(g.storage) > 0);
        CHECK_OK(storage_remove(g.storage, "a/large", NULL));
        CHECK_INT(storage_read_at(g.storage, "a/large", 0, back, 10, &none), -ENOENT);
        CHECK_STR(none.code, "OBJECT_NOT_FOUND");
        ground_done(&g);
}

typedef struct Seen {
        Ground *ground;
        unsigned n, end;
        char last[40];
} Seen;

/* In the listing, another call. */
static int see(void *userdata, const char *key, uint64_t size) {
        Seen *s = ASSERT_PTR(userdata);
        char byte;

        CHECK(strcmp(s->last, key) < 0);
        CHECK_INT(size, 1);
        (void) snprintf(s->last, sizeof s->last, "%s", key);
        CHECK_INT(storage_read_at(s->ground->storage, key, 0, &byte, 1, NULL), 1);
        CHECK_INT(byte, 'x');
        s->n++;
        return s->n == s->end ? 42 : 0;
}

static void test_lists(void) {
        static const unsigned ends[] = { 1, 255, 256, 257, 511, 513, N_OBJECTS };
        Ground g;

        ground_init(&g);
        for (unsigned i = 0; i < N_OBJECTS; i++) {
                char key[40];

                (void) snprintf(key, sizeof key, "many/%05u", i);
                CHECK_OK(put(&g, key, "x", 1, NULL));
        }
        CHECK_INT(storage_list(g.storage, "", see, &(Seen){ .ground = &g }, NULL), 0);
        CHECK_INT(storage_list(g.storage, "none/", see, &(Seen){ .ground = &g }, NULL), 0);
        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                Seen seen = { .ground = &g, .end = ends[i] };

                CHECK_INT(storage_list(g.storage, "many/", see, &seen, NULL), 42);
                CHECK_INT(seen.n, ends[i]);
        }
        ground_done(&g);
}

/* A put that was not committed leaves nothing, and a storage is freed with lanes at rest. */
static void test_undone(void) {
        _cleanup_(storage_put_freep) StoragePut *p = NULL;
        uint64_t size;
        Ground g;

        ground_init(&g);
        CHECK_OK(storage_put_new(g.storage, "a/b", &p, NULL));
        CHECK_OK(storage_put_write(p, "x", 1, NULL));
        p = storage_put_free(p);
        CHECK_INT(storage_stat(g.storage, "a/b", &size, NULL), -ENOENT);
        ground_done(&g);
}

int main(void) {
        RUN(test_objects);
        RUN(test_lists);
        RUN(test_undone);
        return EXIT_SUCCESS;
}
