/* SPDX-License-Identifier: Apache-2.0 */

/* One operation on a storage:
 * storage-do [--stall SECONDS] [--cancel-after MILLISECONDS] FILE VERB [KEY [OFFSET SIZE]]
 *
 * FILE: {"type":…, "config":{…}, "secrets":{…}}. Verbs: probe, put (of the standard input), get (to the
 * standard output), stat, list, remove. A failure is one line of the standard error, "CODE FIELD message",
 * and exit status 1. */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/parse.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "storage/storage.h"
#include "tests/test.h"
#include "wire/json.h"

#define PART (256U << 10)

typedef struct Do {
        Storage *storage;
        atomic_bool cancel;
        uint64_t cancel_after; /* milliseconds; 0: never */
        uint64_t stall;        /* seconds */
        char **words;          /* behind the verb */
} Do;

static void *cancel_later(void *userdata) {
        Do *d = userdata;
        const struct timespec span = { (time_t) (d->cancel_after / 1000),
                                       (long) (d->cancel_after % 1000) * 1000000 };

        (void) nanosleep(&span, NULL);
        atomic_store(&d->cancel, true);
        return NULL;
}

static int do_probe(Do *d, Failure *f) {
        StorageUsage usage;
        int r;

        r = storage_probe(d->storage, &usage, f);
        if (r >= 0)
                printf("%" PRIu64 " %" PRIu64 "\n", usage.free_bytes, usage.total_bytes);
        return r;
}

static int do_put(Do *d, Failure *f) {
        _cleanup_(storage_put_freep) StoragePut *p = NULL;
        _cleanup_(sha256_freep) Sha256 *h = NULL;
        _cleanup_(freep) char *buf = malloc(PART);
        uint8_t digest[SHA256_SIZE];
        ssize_t n = 0;
        int r;

        CHECK(buf);
        CHECK_OK(sha256_new(&h));
        r = storage_put_new(d->storage, d->words[0], &p, f);
        while (r >= 0 && (n = read(STDIN_FILENO, buf, PART)) > 0) {
                CHECK_OK(sha256_add(h, buf, (size_t) n));
                r = storage_put_write(p, buf, (size_t) n, f);
        }
        CHECK_OK(sha256_finish(h, digest));
        return r < 0 ? r : storage_put_commit(p, digest, f);
}

/* All of it, or SIZE bytes at OFFSET. */
static int do_get(Do *d, Failure *f) {
        uint64_t offset = 0, left = UINT64_MAX;
        _cleanup_(freep) char *buf = malloc(PART);

        CHECK(buf);
        if (d->words[1]) {
                CHECK_OK(parse_u64(d->words[1], 0, INT64_MAX, &offset));
                CHECK_OK(parse_u64(d->words[2], 0, INT64_MAX, &left));
        }
        while (left > 0) {
                size_t part = MIN(left, (uint64_t) PART);
                ssize_t n = storage_read_at(d->storage, d->words[0], offset, buf, part, f);

                if (n <= 0)
                        return (int) n;
                CHECK_INT(fwrite(buf, 1, (size_t) n, stdout), n);
                offset += (uint64_t) n;
                left -= (uint64_t) n;
        }
        return 0;
}

static int do_stat(Do *d, Failure *f) {
        uint64_t size;
        int r;

        r = storage_stat(d->storage, d->words[0], &size, f);
        if (r >= 0)
                printf("%" PRIu64 "\n", size);
        return r;
}

static int print_key(void *userdata, const char *key, uint64_t size) {
        printf("%" PRIu64 " %s\n", size, key);
        return 0;
}

static int do_list(Do *d, Failure *f) {
        return storage_list(d->storage, strempty(d->words[0]), print_key, NULL, f);
}

static int do_remove(Do *d, Failure *f) {
        return storage_remove(d->storage, d->words[0], f);
}

static int run(Do *d, const json_t *target, const char *verb, Failure *f) {
        static const struct {
                const char *verb;
                int (*func)(Do *d, Failure *f);
        } verbs[] = {
                { "probe", do_probe },
                { "put", do_put },
                { "get", do_get },
                { "stat", do_stat },
                { "list", do_list },
                { "remove", do_remove },
        };
        const StorageConfig config = {
                .id = 1,
                .name = "tested",
                .type = json_string_value(json_object_get(target, "type")),
                .config = json_object_get(target, "config"),
                .secrets = json_object_get(target, "secrets"),
                .cancel = &d->cancel,
                .stall = d->stall * USEC_PER_SEC,
        };
        int r;

        r = storage_open(&config, &d->storage, f);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(verbs); i++)
                if (streq(verbs[i].verb, verb))
                        return verbs[i].func(d, f);
        return r < 0 ? r : -EINVAL;
}

int main(int argc, char *argv[]) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *target = NULL;
        Do d = {};
        pthread_t thread;
        int i = 1, r;

        for (; i + 1 < argc && startswith(argv[i], "--"); i += 2)
                CHECK_OK(parse_u64(argv[i + 1], 0, INT64_MAX,
                                   streq(argv[i], "--stall") ? &d.stall : &d.cancel_after));
        CHECK(i + 1 < argc);
        target = json_load_file(argv[i], 0, NULL);
        CHECK(target);
        d.words = argv + i + 2;
        if (d.cancel_after > 0)
                CHECK_INT(pthread_create(&thread, NULL, cancel_later, &d), 0);
        r = run(&d, target, argv[i + 1], &failure);
        storage_free(d.storage);
        if (r < 0)
                fprintf(stderr, "%s %s %s\n", failure.code[0] ? failure.code : "-", failure.field ?: "-",
                        failure_message(&failure, r));
        if (d.cancel_after > 0)
                CHECK_INT(pthread_join(thread, NULL), 0);
        return r < 0 ? 1 : 0;
}
