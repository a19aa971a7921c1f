/* SPDX-License-Identifier: Apache-2.0 */

/* What every type of storage must do: storage-tool local DIR PREFIX | relay URL TOKEN ID PREFIX [NOREMOVE]
 *
 * Keys are below PREFIX, which ends in '/'. NOREMOVE: this capability may not remove. */

#include <stdlib.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "storage/storage.h"
#include "tests/test.h"
#include "wire/json.h"

#define LARGE ((20U << 20) + 12345)

typedef struct Tool {
        Storage *storage;
        const char *prefix;
        bool may_remove;
} Tool;

static char *key_of(const Tool *t, const char *name) {
        char *key = NULL;

        CHECK_OK(asprintf_safe(&key, "%s%s", t->prefix, name));
        return key;
}

#define CHECK_STORAGE(expression) \
        do { \
                _cleanup_failure_ Failure failure = FAILURE_NULL; \
                intmax_t _r = (intmax_t) (expression); \
                if (_r < 0) \
                        TEST_FAIL("%s: %s", #expression, failure_message(&failure, (int) _r)); \
        } while (0)

/* Bytes that are different at every place. */
static char *make_data(size_t n) {
        char *data = malloc(n + 1);
        uint64_t x = n;

        CHECK(data);
        for (size_t i = 0; i < n; i++) {
                x = x * 6364136223846793005U + 1442695040888963407U;
                data[i] = (char) (x >> 56);
        }
        return data;
}

static int put(const Tool *t, const char *key, const char *data, size_t n, size_t step, Failure *failure) {
        _cleanup_(storage_put_freep) StoragePut *p = NULL;
        uint8_t digest[SHA256_SIZE];
        int r;

        CHECK_OK(sha256(data, n, digest));
        r = storage_put_new(t->storage, key, &p, failure);
        for (size_t at = 0; r >= 0 && at < n; at += step)
                r = storage_put_write(p, data + at, MIN(step, n - at), failure);
        return r < 0 ? r : storage_put_commit(p, digest, failure);
}

static void check_content(const Tool *t, const char *key, const char *data, size_t n) {
        static const size_t offsets[] = { 0, 1, 4095, 65536, (8U << 20) - 1, 8U << 20 };
        _cleanup_(freep) char *buf = malloc(n + 10);
        uint64_t size = 0;
        ssize_t k;

        CHECK_STORAGE(storage_stat(t->storage, key, &size, &failure));
        CHECK_INT(size, n);
        CHECK_STORAGE(k = storage_read_at(t->storage, key, 0, buf, n + 10, &failure));
        CHECK_INT(k, n);
        CHECK_MEM(buf, data, n);
        for (size_t i = 0; i < ELEMENTSOF(offsets); i++) {
                size_t expected = offsets[i] < n ? MIN(n - offsets[i], (size_t) 1000) : 0;

                CHECK_STORAGE(k = storage_read_at(t->storage, key, offsets[i], buf, 1000, &failure));
                CHECK_INT(k, expected);
                CHECK_MEM(buf, data + MIN(offsets[i], n), expected);
        }
}

static void test_objects(const Tool *t) {
        static const size_t sizes[] = { 0, 1, 65536, 8U << 20, LARGE };

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                _cleanup_(freep) char *data = make_data(sizes[i]), *name = NULL, *key = NULL;

                CHECK_OK(asprintf_safe(&name, "sizes/%zu", sizes[i]));
                key = key_of(t, name);
                CHECK_STORAGE(put(t, key, data, sizes[i], 700001, &failure));
                check_content(t, key, data, sizes[i]);
        }
}

static void test_never_replaced(const Tool *t) {
        _cleanup_failure_ Failure why = FAILURE_NULL;
        _cleanup_(freep) char *key = key_of(t, "once");

        CHECK_STORAGE(put(t, key, "first", 5, 5, &failure));
        CHECK_INT(put(t, key, "second", 6, 6, &why), -EEXIST);
        CHECK(failure_is_set(&why));
        check_content(t, key, "first", 5);
}

/* Two at once: the first commit has the name. */
static void test_race(const Tool *t) {
        _cleanup_(storage_put_freep) StoragePut *one = NULL, *other = NULL;
        _cleanup_(freep) char *key = key_of(t, "race");
        uint8_t digest[SHA256_SIZE];
        uint64_t size;

        CHECK_STORAGE(storage_put_new(t->storage, key, &one, &failure));
        CHECK_STORAGE(storage_put_new(t->storage, key, &other, &failure));
        CHECK_STORAGE(storage_put_write(one, "one", 3, &failure));
        CHECK_STORAGE(storage_put_write(other, "other", 5, &failure));
        CHECK_INT(storage_stat(t->storage, key, &size, NULL), -ENOENT);
        CHECK_OK(sha256("other", 5, digest));
        CHECK_STORAGE(storage_put_commit(other, digest, &failure));
        CHECK_OK(sha256("one", 3, digest));
        CHECK_INT(storage_put_commit(one, digest, NULL), -EEXIST);
        check_content(t, key, "other", 5);
}

static int count_key(void *userdata, const char *key, uint64_t size) {
        ++*(uint64_t *) userdata;
        return 0;
}

/* What was not committed is not there, in no way. */
static void test_given_up(const Tool *t) {
        _cleanup_(freep) char *key = key_of(t, "given-up/x"), *prefix = key_of(t, "given-up/");
        _cleanup_(freep) char *data = make_data(9U << 20);
        uint64_t size = 0, n = 0;
        StoragePut *p = NULL;

        CHECK_STORAGE(storage_put_new(t->storage, key, &p, &failure));
        CHECK_STORAGE(storage_put_write(p, data, 9U << 20, &failure));
        CHECK_INT(storage_stat(t->storage, key, &size, NULL), -ENOENT);
        CHECK_STORAGE(storage_list(t->storage, prefix, count_key, &n, &failure));
        CHECK_INT(n, 0);
        storage_put_free(p);
        CHECK_INT(storage_stat(t->storage, key, &size, NULL), -ENOENT);
        CHECK_STORAGE(put(t, key, "now", 3, 3, &failure));
        check_content(t, key, "now", 3);
}

typedef struct Listing {
        char **keys;
        uint64_t sizes;
} Listing;

static int collect(void *userdata, const char *key, uint64_t size) {
        Listing *l = userdata;

        CHECK_OK(strv_extend(&l->keys, key));
        l->sizes += size;
        return 0;
}

static int stop_at_once(void *userdata, const char *key, uint64_t size) {
        return 7;
}

static void test_list(const Tool *t) {
        static const char *const names[] = { "list/a/1", "list/a-b", "list/a/b/2",
                                             "list/a.c/3", "list/z", "list/a0" };
        static const char *const order[] = { "list/a-b", "list/a.c/3", "list/a/1",
                                             "list/a/b/2", "list/a0", "list/z" };
        _cleanup_(freep) char *prefix = key_of(t, "list/"), *below = key_of(t, "list/a/"),
                              *none = key_of(t, "no/");
        Listing all = {}, some = {};
        uint64_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_(freep) char *key = key_of(t, names[i]);

                CHECK_STORAGE(put(t, key, "12345", i, 2, &failure));
        }
        CHECK_STORAGE(storage_list(t->storage, prefix, collect, &all, &failure));
        CHECK_INT(strv_length(all.keys), ELEMENTSOF(order));
        CHECK_INT(all.sizes, 15);
        for (size_t i = 0; i < ELEMENTSOF(order); i++)
                CHECK_STR(all.keys[i] + strlen(t->prefix), order[i]);
        CHECK_STORAGE(storage_list(t->storage, below, collect, &some, &failure));
        CHECK_INT(strv_length(some.keys), 2);
        CHECK_STORAGE(storage_list(t->storage, none, count_key, &n, &failure));
        CHECK_INT(n, 0);
        CHECK_INT(storage_list(t->storage, prefix, stop_at_once, NULL, NULL), 7);
        strv_free(all.keys);
        strv_free(some.keys);
}

static void test_missing(const Tool *t) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(freep) char *key = key_of(t, "nothing/here");
        uint64_t size = 17;
        char buf[4];

        CHECK_INT(storage_stat(t->storage, key, &size, &failure), -ENOENT);
        CHECK_INT(size, 17);
        CHECK(failure_is_set(&failure));
        CHECK_INT(storage_read_at(t->storage, key, 0, buf, sizeof buf, NULL), -ENOENT);
}

static void test_keys(const Tool *t) {
        static const char *const bad[] = { "", "/x", "x/", "a//b", "../x", "a/../b", "a/./b", ".", "a/.." };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                StoragePut *p = NULL;
                uint64_t size;
                char c;

                CHECK(!storage_key_is_valid(bad[i]));
                CHECK_INT(storage_put_new(t->storage, bad[i], &p, NULL), -EINVAL);
                CHECK_INT(storage_stat(t->storage, bad[i], &size, NULL), -EINVAL);
                CHECK_INT(storage_read_at(t->storage, bad[i], 0, &c, 1, NULL), -EINVAL);
                CHECK_INT(storage_remove(t->storage, bad[i], NULL), -EINVAL);
        }
        CHECK_INT(storage_list(t->storage, "no-slash", count_key, NULL, NULL), -EINVAL);
}

/* Names that a URL or a shell would change. */
static void test_odd_names(const Tool *t) {
        static const char *const names[] = { "odd/a b", "odd/100%25", "odd/q?x=1&y#z",
                                             "odd/\xc3\xa9\xe2\x82\xac", "odd/a+b" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_(freep) char *key = key_of(t, names[i]);

                CHECK_STORAGE(put(t, key, names[i], strlen(names[i]), 3, &failure));
                check_content(t, key, names[i], strlen(names[i]));
        }
}

static void test_remove(const Tool *t) {
        _cleanup_(freep) char *key = key_of(t, "removed/x");
        uint64_t size;

        CHECK_STORAGE(put(t, key, "x", 1, 1, &failure));
        if (!t->may_remove) {
                CHECK_INT(storage_remove(t->storage, key, NULL), -EACCES);
                check_content(t, key, "x", 1);
                return;
        }
        CHECK_STORAGE(storage_remove(t->storage, key, &failure));
        CHECK_INT(storage_stat(t->storage, key, &size, NULL), -ENOENT);
        CHECK_INT(storage_remove(t->storage, key, NULL), -ENOENT);
}

static void test_wrong_digest(const Tool *t) {
        _cleanup_(storage_put_freep) StoragePut *p = NULL;
        _cleanup_(freep) char *key = key_of(t, "wrong");
        uint8_t digest[SHA256_SIZE] = {};
        uint64_t size;

        CHECK_STORAGE(storage_put_new(t->storage, key, &p, &failure));
        CHECK_STORAGE(storage_put_write(p, "data", 4, &failure));
        CHECK(storage_put_commit(p, digest, NULL) < 0);
        CHECK_INT(storage_stat(t->storage, key, &size, NULL), -ENOENT);
}

int main(int argc, char *argv[]) {
        bool relay = argc >= 6 && streq(argv[1], "relay");
        _cleanup_failure_ Failure why = FAILURE_NULL;
        _cleanup_json_ json_t *config = NULL, *secrets = NULL;
        StorageConfig c = { .id = 1, .name = "tested" };
        Tool t = { .may_remove = argc < 7 };
        int r;

        CHECK(relay || (argc == 4 && streq(argv[1], "local")));
        c.type = argv[1];
        if (relay) {
                secrets = json_pack("{s:s}", "relay_token", argv[3]);
                c.context.master_url = argv[2];
                c.context.attempt = 1;
                CHECK_OK(parse_u64(argv[4], 1, INT64_MAX, &c.id));
        } else
                config = json_pack("{s:s}", "path", argv[2]);
        c.config = config;
        c.secrets = secrets;
        t.prefix = argv[relay ? 5 : 3];
        r = storage_open(&c, &t.storage, &why);
        if (r < 0)
                TEST_FAIL("%s", failure_message(&why, r));

        test_objects(&t);
        test_never_replaced(&t);
        test_race(&t);
        test_given_up(&t);
        test_list(&t);
        test_missing(&t);
        test_keys(&t);
        test_odd_names(&t);
        test_remove(&t);
        if (relay)
                test_wrong_digest(&t);
        else {
                StorageUsage usage;

                CHECK_STORAGE(storage_probe(t.storage, &usage, &failure));
                CHECK(usage.total_bytes > usage.free_bytes);
        }
        storage_free(t.storage);
        return 0;
}
