/* SPDX-License-Identifier: Apache-2.0 */

/* Single operations, for what goes wrong: see conformance.h. */

#include <pthread.h>
#include <time.h>

#include "tests/storage/conformance.h"

/* --- What the cases share ----------------------------------------------------------------------------- */

char *key_of(const Tool *t, const char *name) {
        char *key = NULL;

        CHECK_OK(asprintf_safe(&key, "%s%s", t->prefix, name));
        return key;
}

char *make_data(size_t n) {
        char *data = malloc(n + 1);
        uint64_t x = n;

        CHECK(data);
        for (size_t i = 0; i < n; i++) {
                x = x * 6364136223846793005U + 1442695040888963407U;
                data[i] = (char) (x >> 56);
        }
        return data;
}

int put(const Tool *t, const char *key, const char *data, size_t n, size_t step, Failure *failure) {
        _cleanup_(storage_put_freep) StoragePut *p = NULL;
        uint8_t digest[SHA256_SIZE];
        int r;

        CHECK_OK(sha256(data, n, digest));
        r = storage_put_new(t->storage, key, &p, failure);
        if (r >= 0 && t->transient)
                storage_put_set_transient(p);
        for (size_t at = 0; r >= 0 && at < n; at += step)
                r = storage_put_write(p, data + at, MIN(step, n - at), failure);
        return r < 0 ? r : storage_put_commit(p, digest, failure);
}

void check_content(const Tool *t, const char *key, const char *data, size_t n) {
        const size_t offsets[] = { 0, 1, 4095, 65536, t->part - 1, t->part };
        _cleanup_(freep) char *buf = malloc(n + 10);
        uint64_t size = 0;
        ssize_t k;

        CHECK(buf);
        CHECK_STORAGE(storage_stat(t->storage, key, &size, &failure));
        CHECK_INT(size, n);
        CHECK_STORAGE(k = storage_read_at(t->storage, key, 0, buf, n + 10, &failure));
        CHECK_INT(k, n);
        CHECK_MEM(buf, data, n);
        for (size_t i = 0; i < ELEMENTSOF(offsets); i++) {
                size_t expected = offsets[i] < n ? MIN(n - offsets[i], (size_t) 1000) : 0;
                char some[1000];

                CHECK_STORAGE(k = storage_read_at(t->storage, key, offsets[i], some, sizeof some, &failure));
                CHECK_INT(k, expected);
                CHECK_MEM(some, data + MIN(offsets[i], n), expected);
        }
}

/* --- Cancelling --------------------------------------------------------------------------------------- */

typedef struct Alarm {
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t change;
        atomic_bool *cancel;
        usec_t at; /* CLOCK_MONOTONIC */
        bool over, rang;
} Alarm;

static void *ring(void *userdata) {
        Alarm *a = userdata;
        const struct timespec at = { (time_t) (a->at / USEC_PER_SEC), (long) (a->at % USEC_PER_SEC) * 1000 };

        CHECK_INT(pthread_mutex_lock(&a->lock), 0);
        while (!a->over && !a->rang)
                if (pthread_cond_clockwait(&a->change, &a->lock, CLOCK_MONOTONIC, &at) == ETIMEDOUT) {
                        a->rang = true;
                        atomic_store(a->cancel, true);
                }
        CHECK_INT(pthread_mutex_unlock(&a->lock), 0);
        return NULL;
}

static void alarm_set(Alarm *a, const Tool *t, uint64_t after_ms) {
        *a = (Alarm){ .lock = PTHREAD_MUTEX_INITIALIZER,
                      .change = PTHREAD_COND_INITIALIZER,
                      .cancel = t->cancel,
                      .at = now_usec(CLOCK_MONOTONIC) + after_ms * USEC_PER_MSEC };
        CHECK_INT(pthread_create(&a->thread, NULL, ring, a), 0);
}

static void alarm_end(Alarm *a) {
        CHECK_INT(pthread_mutex_lock(&a->lock), 0);
        a->over = true;
        CHECK_INT(pthread_cond_signal(&a->change), 0);
        CHECK_INT(pthread_mutex_unlock(&a->lock), 0);
        CHECK_INT(pthread_join(a->thread, NULL), 0);
        atomic_store(a->cancel, false);
}

/* --- Operations --------------------------------------------------------------------------------------- */

static int nothing(void *userdata, const char *key, uint64_t size) {
        return 0;
}

static int get(const Tool *t, const char *key, size_t n, Failure *failure) {
        _cleanup_(freep) char *data = make_data(n), *buf = malloc(n + 1);
        ssize_t k;

        CHECK(buf);
        k = storage_read_at(t->storage, key, 0, buf, n + 1, failure);
        if (k < 0)
                return (int) k;
        CHECK_INT(k, n);
        CHECK_MEM(buf, data, n);
        return 0;
}

static int operate(const Tool *t, const char *what, const char *key, size_t size, Failure *failure) {
        StorageUsage usage;
        uint64_t found = 0;

        if (streq(what, "put")) {
                _cleanup_(freep) char *data = make_data(size);

                return put(t, key, data, size, 1U << 20, failure);
        }
        if (streq(what, "get"))
                return get(t, key, size, failure);
        if (streq(what, "stat"))
                return storage_stat(t->storage, key, &found, failure);
        if (streq(what, "list"))
                return storage_list(t->storage, t->prefix, nothing, NULL, failure);
        if (streq(what, "remove"))
                return storage_remove(t->storage, key, failure);
        CHECK_STR(what, "probe");
        return storage_probe(t->storage, &usage, failure);
}

void operation_run(const Tool *t, const json_t *operation) {
        const char *what = json_string_value(json_object_get(operation, "do"));
        const json_t *after = json_object_get(operation, "cancel_after");
        size_t size = (size_t) json_integer_value(json_object_get(operation, "size"));
        const char *name = json_string_value(json_object_get(operation, "key"));
        _cleanup_(freep) char *key = key_of(t, strempty(name));
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *line = NULL;
        _cleanup_(freep) char *text = NULL;
        usec_t start = now_usec(CLOCK_MONOTONIC), end;
        Alarm alarm;
        int r;

        if (after)
                alarm_set(&alarm, t, (uint64_t) json_integer_value(after));
        r = operate(t, strempty(what), key, size, &failure);
        end = now_usec(CLOCK_MONOTONIC);
        if (after)
                alarm_end(&alarm);
        line = json_pack("{s:i, s:s, s:s, s:f, s:f}", "result", r, "code", failure.code, "message",
                         r < 0 ? failure_message(&failure, r) : "", "seconds",
                         (double) (end - start) / USEC_PER_SEC, "after_cancel",
                         after && end > alarm.at ? (double) (end - alarm.at) / USEC_PER_SEC : 0.0);
        CHECK(line);
        CHECK_OK(json_format(line, &text, NULL));
        CHECK(puts(text) >= 0);
        CHECK_INT(fflush(stdout), 0);
}
