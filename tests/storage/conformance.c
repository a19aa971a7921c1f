/* SPDX-License-Identifier: Apache-2.0 */

/* What every type of storage must do. Reads one object of JSON:
 *
 *   type, id, config, secrets, master_url, ca_cert, pin: of the target
 *   prefix       keys are below it; ends in '/'
 *   cases        names of the table at the end of this file
 *   part         the size of the parts in which this type sends; objects around it are written
 *   pages        how many objects the long listing has
 *   pages_there  they were put there by somebody else
 *   large        bytes of the large object
 *   transient    objects are put as such that will be removed soon
 *   may_remove   false: this capability may not
 *   usage        whether the type says how full it is
 *   without      characters that names of this type do not have
 *   operations   instead of cases: see conformance.h
 *
 * Ends with 0 or says what was not as it should be. */

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/storage/conformance.h"

#define DEFAULT_PART (8U << 20)
#define THREADS 4

static void test_objects(const Tool *t) {
        const size_t sizes[] = { 0, 1, 65536, t->part - 1, t->part, t->part + 1, 2 * t->part + 12345 };

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                _cleanup_(freep) char *data = make_data(sizes[i]), *name = NULL, *key = NULL;

                CHECK_OK(asprintf_safe(&name, "sizes/%zu", sizes[i]));
                key = key_of(t, name);
                CHECK_STORAGE(put(t, key, data, sizes[i], 700001, &failure));
                check_content(t, key, data, sizes[i]);
        }
}

/* Ranges that end with the object, go beyond it, or begin there. */
static void test_ranges(const Tool *t) {
        static const struct {
                uint64_t offset;
                size_t n, expected;
        } ranges[] = {
                { 0, 1, 1 },
                { 99999, 1, 1 },
                { 99999, 2, 1 },
                { 100000, 1, 0 },
                { 1000000, 7, 0 },
                { 50000, 100000, 50000 },
                { 0, 100000, 100000 },
                { 7, 0, 0 },
        };
        _cleanup_(freep) char *data = make_data(100000), *key = key_of(t, "ranges"), *buf = malloc(100001);

        CHECK(buf);
        CHECK_STORAGE(put(t, key, data, 100000, 100000, &failure));
        for (size_t i = 0; i < ELEMENTSOF(ranges); i++) {
                ssize_t k;

                memset(buf, 0x55, 100001);
                CHECK_STORAGE(k = storage_read_at(t->storage, key, ranges[i].offset, buf, ranges[i].n,
                                                  &failure));
                CHECK_INT(k, ranges[i].expected);
                CHECK_MEM(buf, data + MIN(ranges[i].offset, 100000), ranges[i].expected);
                CHECK_INT(buf[ranges[i].expected], 0x55);
        }
}

static void test_never_replaced(const Tool *t) {
        _cleanup_failure_ Failure why = FAILURE_NULL;
        _cleanup_(freep) char *key = key_of(t, "once");

        CHECK_STORAGE(put(t, key, "first", 5, 5, &failure));
        CHECK_INT(put(t, key, "second", 6, 6, &why), -EEXIST);
        CHECK_STR(why.code, t->relay ? "RELAY_EXISTS" : "OBJECT_EXISTS");
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
        _cleanup_(freep) char *data = make_data(t->part + 1000000);
        uint64_t size = 0, n = 0;
        StoragePut *p = NULL;

        CHECK_STORAGE(storage_put_new(t->storage, key, &p, &failure));
        CHECK_STORAGE(storage_put_write(p, data, t->part + 1000000, &failure));
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
        static const char *const names[] = {
                "odd/ a b",
                "odd/!'()*$&,:;=@",
                "odd/100%25",
                "odd/<&>\"'",
                "odd/[x]{y}^`|~\\",
                "odd/a+b",
                "odd/q?x=1&y#z",
                "odd/tab\there",
                "odd/\xc3\xa9\xe2\x82\xac",
        };
        _cleanup_(freep) char *prefix = key_of(t, "odd/");
        Listing l = {};
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_(freep) char *key = key_of(t, names[i]);

                if (strpbrk(names[i], t->without))
                        continue;
                n++;
                CHECK_STORAGE(put(t, key, names[i], strlen(names[i]), 3, &failure));
                check_content(t, key, names[i], strlen(names[i]));
        }
        CHECK_STORAGE(storage_list(t->storage, prefix, collect, &l, &failure));
        CHECK_INT(strv_length(l.keys), n);
        for (size_t i = ELEMENTSOF(names); i-- > 0;)
                if (!strpbrk(names[i], t->without))
                        CHECK_STR(l.keys[--n] + strlen(t->prefix), names[i]);
        strv_free(l.keys);
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

/* --- Memory ------------------------------------------------------------------------------------------- */

/* The most that was resident since this program began; what it grew from does not count. */
static unsigned long peak_kib(void) {
        FILE *file = fopen("/proc/self/status", "re");
        unsigned long kib = 0;
        char line[256];

        CHECK(file);
        while (kib == 0 && fgets(line, sizeof line, file))
                if (strncmp(line, "VmHWM:", STRLEN("VmHWM:")) == 0)
                        kib = strtoul(line + STRLEN("VmHWM:"), NULL, 10);
        CHECK_INT(fclose(file), 0);
        CHECK(kib > 0);
        return kib;
}

/* Of this program, and of the largest one that it started and saw end. */
static void print_peaks(void) {
        struct rusage children;

        CHECK_INT(getrusage(RUSAGE_CHILDREN, &children), 0);
        printf("kib %lu\nchild_kib %ld\n", peak_kib(), children.ru_maxrss);
}

/* --- Many at once ------------------------------------------------------------------------------------- */

typedef struct Worker {
        const Tool *t;
        pthread_t thread;
        unsigned number, of;
        const char *key; /* test_visibility */
        size_t size;
        atomic_bool *done;
        sem_t *absent;
} Worker;

static void *put_page(void *userdata) {
        const Worker *w = userdata;

        for (unsigned i = w->number; i < w->t->pages; i += w->of) {
                _cleanup_(freep) char *name = NULL, *key = NULL;

                CHECK_OK(asprintf_safe(&name, "pages/%u/%05u", i % 7, i));
                key = key_of(w->t, name);
                CHECK_STORAGE(put(w->t, key, "x", i % 2, 1, &failure));
        }
        return NULL;
}

static void run_workers(const Tool *t, void *(*work)(void *) ) {
        Worker workers[THREADS];

        for (unsigned i = 0; i < THREADS; i++) {
                workers[i] = (Worker){ .t = t, .number = i, .of = THREADS };
                CHECK_INT(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
        }
        for (unsigned i = 0; i < THREADS; i++)
                CHECK_INT(pthread_join(workers[i].thread, NULL), 0);
}

/* More than one page of any server. */
static void test_pages(const Tool *t) {
        _cleanup_(freep) char *prefix = key_of(t, "pages/"), *few = key_of(t, "pages/3/");
        Listing l = {};

        usec_t start;

        if (!t->pages_there)
                run_workers(t, put_page);
        start = now_usec(CLOCK_MONOTONIC);
        CHECK_STORAGE(storage_list(t->storage, prefix, collect, &l, &failure));
        printf("list %.3f\n", (double) (now_usec(CLOCK_MONOTONIC) - start) / USEC_PER_SEC);
        CHECK_INT(strv_length(l.keys), t->pages);
        CHECK_INT(l.sizes, t->pages / 2);
        for (size_t i = 1; i < t->pages; i++)
                CHECK(strcmp(l.keys[i - 1], l.keys[i]) < 0);
        strv_free(l.keys);
        l = (Listing){};
        CHECK_STORAGE(storage_list(t->storage, few, collect, &l, &failure));
        CHECK_INT(strv_length(l.keys), (t->pages + 3) / 7);
        strv_free(l.keys);
        print_peaks();
}

static void *put_and_read(void *userdata) {
        const Worker *w = userdata;

        for (size_t i = 0; i < 3; i++) {
                size_t n = i * w->t->part + w->number;
                _cleanup_(freep) char *name = NULL, *key = NULL, *data = make_data(n);

                CHECK_OK(asprintf_safe(&name, "concurrent/%u/%zu", w->number, i));
                key = key_of(w->t, name);
                CHECK_STORAGE(put(w->t, key, data, n, 300001, &failure));
                check_content(w->t, key, data, n);
        }
        return NULL;
}

static void test_concurrent(const Tool *t) {
        run_workers(t, put_and_read);
}

/* A reader sees nothing, or the whole object. */
static void *watch(void *userdata) {
        Worker *w = userdata;
        _cleanup_(freep) char *data = make_data(w->size);

        while (true) {
                bool last = atomic_load(w->done);
                uint64_t size = 0;
                int r;

                r = storage_stat(w->t->storage, w->key, &size, NULL);
                if (r >= 0) {
                        check_content(w->t, w->key, data, w->size);
                        return NULL;
                }
                CHECK_INT(r, -ENOENT);
                CHECK(!last);
                CHECK_INT(sem_post(w->absent), 0);
        }
}

static void test_visibility(const Tool *t) {
        const size_t n = t->part + 777;
        _cleanup_(freep) char *key = key_of(t, "visible/once"), *data = make_data(n);
        _cleanup_(storage_put_freep) StoragePut *p = NULL;
        uint8_t digest[SHA256_SIZE];
        atomic_bool done = false;
        sem_t absent;
        Worker w = { .t = t, .key = key, .size = n, .done = &done, .absent = &absent };

        CHECK_INT(sem_init(&absent, 0, 0), 0);
        CHECK_OK(sha256(data, n, digest));
        CHECK_STORAGE(storage_put_new(t->storage, key, &p, &failure));
        CHECK_STORAGE(storage_put_write(p, data, n, &failure));
        CHECK_INT(pthread_create(&w.thread, NULL, watch, &w), 0);
        CHECK_INT(sem_wait(&absent), 0);
        CHECK_STORAGE(storage_put_commit(p, digest, &failure));
        atomic_store(&done, true);
        CHECK_INT(pthread_join(w.thread, NULL), 0);
        CHECK_INT(sem_destroy(&absent), 0);
}

/* --- Large -------------------------------------------------------------------------------------------- */

static void fill_block(char *block, size_t n, uint64_t at) {
        for (size_t i = 0; i < n; i += sizeof at) {
                uint64_t x = (at + i) * 6364136223846793005U + 1442695040888963407U;

                memcpy(block + i, &x, sizeof x);
        }
}

static void test_large(const Tool *t) {
        const size_t step = 1U << 20;
        _cleanup_(freep) char *key = key_of(t, "large"), *block = malloc(step), *back = malloc(step);
        _cleanup_(storage_put_freep) StoragePut *p = NULL;
        _cleanup_(sha256_freep) Sha256 *hash = NULL;
        uint8_t digest[SHA256_SIZE];
        usec_t start = now_usec(CLOCK_MONOTONIC);
        uint64_t size = 0;
        ssize_t k;

        CHECK(block && back);
        CHECK_OK(sha256_new(&hash));
        CHECK_STORAGE(storage_put_new(t->storage, key, &p, &failure));
        for (uint64_t at = 0; at < t->large; at += step) {
                fill_block(block, step, at);
                CHECK_OK(sha256_add(hash, block, step));
                CHECK_STORAGE(storage_put_write(p, block, step, &failure));
        }
        CHECK_OK(sha256_finish(hash, digest));
        CHECK_STORAGE(storage_put_commit(p, digest, &failure));
        printf("put %.3f\n", (double) (now_usec(CLOCK_MONOTONIC) - start) / USEC_PER_SEC);
        CHECK_STORAGE(storage_stat(t->storage, key, &size, &failure));
        CHECK_INT(size, t->large);
        start = now_usec(CLOCK_MONOTONIC);
        for (uint64_t at = 0; at < t->large; at += step) {
                fill_block(block, step, at);
                CHECK_STORAGE(k = storage_read_at(t->storage, key, at, back, step, &failure));
                CHECK_INT(k, step);
                CHECK_MEM(back, block, step);
        }
        printf("get %.3f\n", (double) (now_usec(CLOCK_MONOTONIC) - start) / USEC_PER_SEC);
        print_peaks();
}

static void test_probe(const Tool *t) {
        StorageUsage usage;

        CHECK_STORAGE(storage_probe(t->storage, &usage, &failure));
        if (t->usage)
                CHECK(usage.total_bytes > usage.free_bytes);
}

/* --- All of them -------------------------------------------------------------------------------------- */

static const struct {
        const char *name;
        void (*run)(const Tool *t);
} cases[] = {
        { "objects", test_objects },
        { "ranges", test_ranges },
        { "never replaced", test_never_replaced },
        { "race", test_race },
        { "given up", test_given_up },
        { "sealed", test_sealed },
        { "volumes", test_volumes },
        { "list", test_list },
        { "pages", test_pages },
        { "missing", test_missing },
        { "keys", test_keys },
        { "odd names", test_odd_names },
        { "remove", test_remove },
        { "wrong digest", test_wrong_digest },
        { "concurrent", test_concurrent },
        { "visibility", test_visibility },
        { "large", test_large },
        { "probe", test_probe },
};

static json_t *read_input(void) {
        _cleanup_buffer_ Buffer text = BUFFER_NULL;
        json_t *json = NULL;
        char buf[4096];
        ssize_t n;

        while ((n = read(STDIN_FILENO, buf, sizeof buf)) > 0)
                CHECK_OK(buffer_add(&text, buf, (size_t) n));
        CHECK_OK(json_parse_strict(text.data, text.size, JSON_DEPTH_DEFAULT, &json, NULL));
        return json;
}

static uint64_t number(const json_t *input, const char *name, uint64_t otherwise) {
        const json_t *v = json_object_get(input, name);

        return json_is_integer(v) ? (uint64_t) json_integer_value(v) : otherwise;
}

static void run_case(const Tool *t, const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (streq(cases[i].name, strempty(name))) {
                        usec_t start = now_usec(CLOCK_MONOTONIC);

                        cases[i].run(t);
                        fprintf(stderr, "# %s: %.3f s\n", name,
                                (double) (now_usec(CLOCK_MONOTONIC) - start) / USEC_PER_SEC);
                        return;
                }
        TEST_FAIL("there is no case '%s'", strempty(name));
}

int main(void) {
        _cleanup_json_ json_t *input = read_input();
        _cleanup_failure_ Failure why = FAILURE_NULL;
        const char *text = json_string_value(json_object_get(input, "type"));
        atomic_bool cancel = false;
        Pace pace = PACE_INIT;
        Tool t = {
                .prefix = strempty(json_string_value(json_object_get(input, "prefix"))),
                .may_remove = !json_is_false(json_object_get(input, "may_remove")),
                .usage = json_is_true(json_object_get(input, "usage")),
                .relay = streq_ptr(text, "relay"),
                .without = strempty(json_string_value(json_object_get(input, "without"))),
                .part = (size_t) number(input, "part", DEFAULT_PART),
                .pages = (unsigned) number(input, "pages", 1050),
                .pages_there = json_is_true(json_object_get(input, "pages_there")),
                .large = number(input, "large", 64U << 20),
                .transient = json_is_true(json_object_get(input, "transient")),
                .cancel = &cancel,
        };
        const StorageConfig config = {
                .id = number(input, "id", 1),
                .name = "tested",
                .type = text,
                .config = json_object_get(input, "config"),
                .secrets = json_object_get(input, "secrets"),
                .context = { .master_url = json_string_value(json_object_get(input, "master_url")),
                             .ca_cert = json_string_value(json_object_get(input, "ca_cert")),
                             .pin = json_string_value(json_object_get(input, "pin")),
                             .attempt = 1 },
                .cancel = &cancel,
                .pace = &pace,
                .stall = number(input, "stall_ms", 60000) * USEC_PER_MSEC,
                .retry = number(input, "retry_ms", 60000) * USEC_PER_MSEC,
                .patience = number(input, "patience_ms", 0) * USEC_PER_MSEC,
        };
        json_t *item;
        size_t i;
        int r;

        pace_set(&pace, number(input, "rate", 0));
        r = storage_open(&config, &t.storage, &why);
        if (r < 0)
                TEST_FAIL("%s: %s", why.code, failure_message(&why, r));
        json_array_foreach(json_object_get(input, "cases"), i, item) run_case(&t, json_string_value(item));
        json_array_foreach(json_object_get(input, "operations"), i, item) operation_run(&t, item);
        storage_free(t.storage);
        return 0;
}
