/* SPDX-License-Identifier: Apache-2.0 */

/* What is cut into volumes, and read as one again. */

#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/volumes.h"
#include "tests/test.h"
#include "wire/json.h"

#define UNIT ((size_t) VOLUME_UNIT)

static int remove_file(const char *path, const struct stat *st, int type, struct FTW *f) {
        return remove(path);
}

typedef struct Place {
        char folder[sizeof "/tmp/backupx-volumes-XXXXXX"];
        Storage *storage;
} Place;

static void place_done(Place *p) {
        storage_free(p->storage);
        (void) nftw(p->folder, remove_file, 8, FTW_DEPTH | FTW_PHYS);
}

static void place_make(Place *p) {
        _cleanup_json_ json_t *config = NULL;
        StorageConfig c = { .id = 1, .type = "local" };

        strcpy(p->folder, "/tmp/backupx-volumes-XXXXXX");
        CHECK(mkdtemp(p->folder));
        config = json_pack("{s:s}", "path", p->folder);
        CHECK(config);
        c.config = config;
        CHECK_OK(storage_open(&c, &p->storage, NULL));
}

static char *sample(size_t n) {
        char *data = calloc(1, n + 1);

        CHECK(data);
        for (size_t i = 0, x = 1; i < n; i++) {
                x = x * 6364136223846793005ULL + 1442695040888963407ULL;
                data[i] = (char) (x >> 56);
        }
        return data;
}

/* --- Names -------------------------------------------------------------------------------------------- */

static void test_names(void) {
        static const char *const wrong[] = { ".000", ".1", ".01", ".0001", ".00a",
                                             "001", ".-01", ".00", "." };
        char suffix[VOLUME_SUFFIX_SIZE];
        size_t number;

        for (size_t i = 0; i < VOLUMES_MAX; i++) {
                CHECK_OK(volume_suffix_parse(volume_suffix(i, suffix), &number));
                CHECK_INT(number, i);
        }
        CHECK_STR(volume_suffix(0, suffix), "");
        CHECK_STR(volume_suffix(1, suffix), ".001");
        CHECK_STR(volume_suffix(999, suffix), ".999");
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                CHECK_INT(volume_suffix_parse(wrong[i], &number), -EINVAL);
}

/* --- Where volumes end -------------------------------------------------------------------------------- */

static void add_all(VolumeList *l, const char *data, size_t n, size_t step) {
        for (size_t at = 0; at < n;) {
                size_t room = volume_list_room(l, MIN(step, n - at));
                const Volume *ended;

                if (room == 0) {
                        CHECK_OK(volume_list_next(l, &ended));
                        CHECK_INT(ended->size, l->limit);
                        continue;
                }
                CHECK_OK(volume_list_add(l, data + at, room));
                at += room;
        }
}

static void test_list(void) {
        static const size_t sizes[] = { 0, 1, 2 * UNIT - 1, 2 * UNIT, 2 * UNIT + 1, 4 * UNIT, 5 * UNIT + 7 };
        _cleanup_(freep) char *data = sample(5 * UNIT + 7);
        _cleanup_(volume_list_done) VolumeList l = VOLUME_LIST_NULL;

        CHECK_OK(volume_list_init(&l, 2 * VOLUME_UNIT));
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                uint8_t whole[SHA256_SIZE], wanted[SHA256_SIZE];
                size_t n = sizes[i];

                CHECK_OK(volume_list_reset(&l));
                add_all(&l, data, n, 777777);
                CHECK_OK(volume_list_finish(&l, whole));
                CHECK_OK(sha256(data, n, wanted));
                CHECK_MEM(whole, wanted, SHA256_SIZE);
                CHECK_INT(l.size, n);
                CHECK_INT(l.n, n == 0 ? 1 : (n + 2 * UNIT - 1) / (2 * UNIT));
                for (size_t k = 0; k < l.n; k++) {
                        size_t from = k * 2 * UNIT;

                        CHECK_INT(l.volumes[k].size, MIN(2 * UNIT, n - from));
                        CHECK_OK(sha256(data + from, (size_t) l.volumes[k].size, wanted));
                        CHECK_MEM(l.volumes[k].sha256, wanted, SHA256_SIZE);
                }
        }
}

static void test_no_limit(void) {
        _cleanup_(volume_list_done) VolumeList l = VOLUME_LIST_NULL;
        uint8_t whole[SHA256_SIZE];

        CHECK_OK(volume_list_init(&l, UINT64_MAX));
        CHECK_INT(volume_list_room(&l, 12345), 12345);
        CHECK_OK(volume_list_add(&l, "abc", 3));
        CHECK_INT(volume_list_room(&l, 12345), 12345);
        CHECK_OK(volume_list_finish(&l, whole));
        CHECK_INT(l.n, 1);
        CHECK_MEM(l.volumes[0].sha256, whole, SHA256_SIZE);
}

/* No more than there are names for. */
static void test_too_many(void) {
        _cleanup_(volume_list_done) VolumeList l = VOLUME_LIST_NULL;
        const Volume *ended;

        CHECK_OK(volume_list_init(&l, VOLUME_UNIT));
        for (size_t i = 0; i < VOLUMES_MAX; i++) {
                if (i > 0)
                        CHECK_OK(volume_list_next(&l, &ended));
                l.filled = VOLUME_UNIT; /* as if so much had come */
        }
        CHECK_INT(volume_list_next(&l, &ended), -EFBIG);
}

/* --- In a storage ------------------------------------------------------------------------------------- */

static void put_all(Storage *s, const char *key, const char *data, size_t n, VolumesPut **ret, int *error) {
        _cleanup_(volume_list_done) VolumeList l = VOLUME_LIST_NULL;
        uint8_t whole[SHA256_SIZE];
        int r;

        CHECK_OK(volume_list_init(&l, VOLUME_UNIT));
        r = volumes_put_new(s, key, ret, NULL);
        for (size_t at = 0; at < n && r >= 0;) {
                size_t room = volume_list_room(&l, MIN((size_t) 300000, n - at));
                const Volume *ended;

                if (room == 0) {
                        CHECK_OK(volume_list_next(&l, &ended));
                        r = volumes_put_next(*ret, ended->sha256, NULL);
                        continue;
                }
                CHECK_OK(volume_list_add(&l, data + at, room));
                r = volumes_put_write(*ret, data + at, room, NULL);
                at += room;
        }
        CHECK_OK(volume_list_finish(&l, whole));
        if (r >= 0)
                r = volumes_put_commit(*ret, l.volumes[l.n - 1].sha256, NULL);
        *error = r;
}

static int put(Storage *s, const char *key, const char *data, size_t n) {
        _cleanup_(volumes_put_freep) VolumesPut *p = NULL;
        int r;

        put_all(s, key, data, n, &p, &r);
        return r;
}

static void check_content(Storage *s, const char *key, const char *data, size_t n, size_t volumes) {
        _cleanup_(freep) char *back = calloc(1, n + 1);
        uint64_t first;
        Volumes v;
        size_t at;

        CHECK(back);
        CHECK_OK(storage_stat(s, key, &first, NULL));
        CHECK_OK(volumes_find(s, key, first, &v, NULL));
        CHECK_INT(v.n, volumes);
        CHECK_INT(v.size, n);
        CHECK(!v.uneven);
        for (at = 0; at < n;) {
                ssize_t k = volumes_read_at(s, key, &v, at, back + at, MIN((size_t) 700001, n - at), NULL);

                CHECK(k > 0);
                at += (size_t) k;
        }
        CHECK_MEM(back, data, n);
        CHECK_INT(volumes_read_at(s, key, &v, n, back, 1, NULL), 0);
}

static void test_storage(void) {
        static const struct {
                size_t size, volumes;
        } cases[] = {
                { 0, 1 },
                { 5, 1 },
                { UNIT, 1 },
                { UNIT + 1, 2 },
                { 3 * UNIT, 3 },
                { 3 * UNIT + 10, 4 },
        };
        _cleanup_(freep) char *data = sample(3 * UNIT + 10);
        _cleanup_(place_done) Place p = {};
        uint64_t size;

        place_make(&p);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                CHECK_OK(put(p.storage, "a/b.zst", data, cases[i].size));
                check_content(p.storage, "a/b.zst", data, cases[i].size, cases[i].volumes);
                CHECK_INT(put(p.storage, "a/b.zst", data, 1), -EEXIST);
                check_content(p.storage, "a/b.zst", data, cases[i].size, cases[i].volumes);
                CHECK_OK(volumes_remove(p.storage, "a/b.zst", cases[i].volumes, NULL));
                CHECK_INT(storage_stat(p.storage, "a/b.zst", &size, NULL), -ENOENT);
                CHECK_INT(volumes_remove_rest(p.storage, "a/b.zst", NULL), 0);
                CHECK_INT(volumes_remove(p.storage, "a/b.zst", 1, NULL), -ENOENT);
        }
}

/* What is given up leaves nothing, and so does what fails in the middle. */
static void test_undo(void) {
        _cleanup_(freep) char *data = sample(3 * UNIT);
        _cleanup_(place_done) Place p = {};
        uint64_t size;
        int r;

        place_make(&p);
        CHECK_OK(put(p.storage, "k.002", "taken", 5));
        CHECK_INT(put(p.storage, "k", data, 3 * UNIT), -EEXIST);
        CHECK_INT(storage_stat(p.storage, "k", &size, NULL), -ENOENT);
        CHECK_INT(storage_stat(p.storage, "k.001", &size, NULL), -ENOENT);
        CHECK_OK(storage_stat(p.storage, "k.002", &size, NULL));
        CHECK_INT(size, 5);
        {
                _cleanup_(volumes_put_freep) VolumesPut *three = NULL;

                put_all(p.storage, "x", data, 2 * UNIT + 1, &three, &r);
                CHECK_OK(r);
                check_content(p.storage, "x", data, 2 * UNIT + 1, 3);
                volumes_put_undo(three);
        }
        for (size_t i = 0; i < 3; i++) {
                _cleanup_(freep) char *key = NULL;

                CHECK_OK(volume_key("x", i, &key));
                CHECK_INT(storage_stat(p.storage, key, &size, NULL), -ENOENT);
        }
}

/* A removal that was cut off behind the first one is brought to its end. */
static void test_rest(void) {
        _cleanup_(freep) char *data = sample(3 * UNIT);
        _cleanup_(place_done) Place p = {};
        uint64_t size;

        place_make(&p);
        CHECK_OK(put(p.storage, "k", data, 3 * UNIT));
        CHECK_OK(storage_remove(p.storage, "k", NULL));
        CHECK_INT(volumes_remove_rest(p.storage, "k", NULL), 2);
        CHECK_INT(storage_stat(p.storage, "k.001", &size, NULL), -ENOENT);
        CHECK_INT(storage_stat(p.storage, "k.002", &size, NULL), -ENOENT);
}

static void test_uneven(void) {
        Volumes v = volumes_of_one(VOLUME_UNIT);

        CHECK(volumes_may_follow(VOLUME_UNIT));
        CHECK(!volumes_may_follow(0));
        CHECK(!volumes_may_follow(VOLUME_UNIT + 1));
        volumes_add(&v, 5);
        CHECK(!v.uneven);
        CHECK_INT(v.size, VOLUME_UNIT + 5);
        volumes_add(&v, 5);
        CHECK(v.uneven);
        v = volumes_of_one(VOLUME_UNIT);
        volumes_add(&v, 2 * VOLUME_UNIT);
        CHECK(v.uneven);
}

int main(void) {
        RUN(test_names);
        RUN(test_list);
        RUN(test_no_limit);
        RUN(test_too_many);
        RUN(test_storage);
        RUN(test_undo);
        RUN(test_rest);
        RUN(test_uneven);
        return 0;
}
