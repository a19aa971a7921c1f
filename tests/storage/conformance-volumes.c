/* SPDX-License-Identifier: Apache-2.0 */

/* What is larger than one object: puts that wait for their commit, and volumes. See conformance.h. */

#include "storage/volumes.h"
#include "tests/storage/conformance.h"

/* A put of all of it that waits for its commit. */
static StoragePut *put_sealed(const Tool *t, const char *key, const char *data, size_t n) {
        StoragePut *p = NULL;
        uint64_t size;

        CHECK_STORAGE(storage_put_new(t->storage, key, &p, &failure));
        CHECK_STORAGE(storage_put_write(p, data, n, &failure));
        CHECK_STORAGE(storage_put_seal(p, &failure));
        CHECK_INT(storage_stat(t->storage, key, &size, NULL), -ENOENT);
        return p;
}

static void check_sealed(const Tool *t, const char *name, const char *data, size_t n) {
        _cleanup_(freep) char *key = key_of(t, name);
        uint8_t digest[SHA256_SIZE];
        StoragePut *p;

        CHECK_OK(sha256(data, n, digest));
        p = put_sealed(t, key, data, n);
        CHECK_STORAGE(storage_put_commit(p, digest, &failure));
        storage_put_free(p);
        check_content(t, key, data, n);
}

void test_sealed(const Tool *t) {
        static const char *const names[] = { "sealed/a", "sealed/b", "sealed/c", "sealed/d", "sealed/e" };
        const size_t sizes[] = { 1, t->part - 1, t->part, t->part + 1, 2 * t->part + 5 };
        _cleanup_(freep) char *data = make_data(2 * t->part + 5), *key = key_of(t, "sealed/x");
        uint8_t digest[SHA256_SIZE];
        StoragePut *p;
        uint64_t size;

        if (!storage_can_seal(t->storage))
                return;
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++)
                check_sealed(t, names[i], data, sizes[i]);

        /* Given up: nothing was there, and the name is free. */
        p = put_sealed(t, key, data, t->part + 1);
        storage_put_free(p);
        CHECK_INT(storage_stat(t->storage, key, &size, NULL), -ENOENT);

        /* Somebody else was faster. */
        CHECK_OK(sha256(data, t->part + 1, digest));
        p = put_sealed(t, key, data, t->part + 1);
        CHECK_STORAGE(put(t, key, "first", 5, 5, &failure));
        CHECK_INT(storage_put_commit(p, digest, NULL), -EEXIST);
        storage_put_free(p);
        check_content(t, key, "first", 5);
}

/* Several puts of one thread wait at once. */
void test_volumes(const Tool *t) {
        const size_t unit = (size_t) VOLUME_UNIT, n = 3 * unit + unit / 2;
        _cleanup_(freep) char *data = make_data(n), *back = malloc(n), *key = key_of(t, "volumes/x.zst");
        _cleanup_(volumes_put_freep) VolumesPut *p = NULL;
        uint8_t digest[SHA256_SIZE];
        uint64_t size;
        Volumes v;

        CHECK(back);
        CHECK_STORAGE(volumes_put_new(t->storage, key, &p, &failure));
        for (size_t at = 0; at < n; at += unit) {
                size_t part = MIN(unit, n - at);

                CHECK_STORAGE(volumes_put_write(p, data + at, part, &failure));
                CHECK_OK(sha256(data + at, part, digest));
                if (at + part < n)
                        CHECK_STORAGE(volumes_put_next(p, digest, &failure));
        }
        if (storage_can_seal(t->storage))
                CHECK_INT(storage_stat(t->storage, key, &size, NULL), -ENOENT);
        CHECK_STORAGE(volumes_put_commit(p, digest, &failure));
        CHECK_STORAGE(storage_stat(t->storage, key, &size, &failure));
        CHECK_STORAGE(volumes_find(t->storage, key, size, &v, &failure));
        CHECK_INT(v.n, 4);
        CHECK_INT(v.size, n);
        for (size_t at = 0; at < n;) {
                ssize_t k;

                CHECK_STORAGE(k = volumes_read_at(t->storage, key, &v, at, back + at, n - at, &failure));
                CHECK(k > 0);
                at += (size_t) k;
        }
        CHECK_MEM(back, data, n);
        if (!t->may_remove)
                return;
        CHECK_STORAGE(volumes_remove(t->storage, key, v.n, &failure));
        CHECK_INT(volumes_remove_rest(t->storage, key, NULL), 0);
        CHECK_INT(storage_stat(t->storage, key, &size, NULL), -ENOENT);
}
