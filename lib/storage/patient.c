/* SPDX-License-Identifier: Apache-2.0 */

/* A storage whose calls come back. System calls on a mount whose server is gone do not: nothing ends them,
 * and a thread that waits in one cannot even be cancelled. So each call is made by a thread of its own, a
 * lane, and who called waits for it no longer than the storage may stand still. After the first call that
 * was given up the storage counts as dead, and further calls fail at once.
 *
 * A lane that was given up may come back at any time, or never. It touches nothing but itself and what it
 * works with: data is copied, entries of a listing are handed over, the caller's memory is never used. What
 * it works with stays until the process ends. */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/backend.h"

/* What a lane reads or writes at a time: as much as comes at a time from a backup into an archive. */
#define PIECE ((size_t) 512 << 10)
/* Entries of a listing that are handed over together. */
#define BATCH 256U

typedef enum LaneState {
        LANE_IDLE,
        LANE_BUSY,
        LANE_FULL, /* of entries, which it waits for its caller to take */
        LANE_DONE,
} LaneState;

typedef struct Entry {
        char *key;
        uint64_t size;
} Entry;

/* What a lane does, and what came of it. */
typedef struct Call {
        StoragePut *put;
        char *key;
        uint64_t offset;
        size_t n; /* of the lane's data */
        uint8_t sha256[32];
        bool transient;
        int64_t result;
        Failure failure;
        uint64_t size;
        StorageUsage usage;
        int stop; /* what the caller's function gave for the last entries */
        Entry entries[BATCH];
        size_t n_entries;
} Call;

typedef struct Patient Patient;
typedef struct Lane Lane;
typedef void (*LaneWork)(Lane *l);

struct Lane {
        Lane *next;
        Patient *patient; /* weak */
        LaneWork work;
        pthread_t thread;
        pthread_cond_t changed;
        LaneState state;
        usec_t since; /* CLOCK_MONOTONIC: the last sign of life */
        bool quit, given_up;
        uint8_t *data; /* PIECE bytes; NULL until it is needed */
        Call call;
};

struct Patient {
        Storage *inner;
        usec_t patience;
        pthread_mutex_t lock;
        Lane *idle;
        bool dead; /* a lane was given up */
};

/* --- Lanes -------------------------------------------------------------------------------------------- */

static void drop_entries(Call *c) {
        for (size_t i = 0; i < c->n_entries; i++)
                free(c->entries[i].key);
        c->n_entries = 0;
}

static void call_clear(Call *c) {
        drop_entries(c);
        free(c->key);
        failure_done(&c->failure);
        memset(c, 0, sizeof *c);
}

static Lane *lane_free(Lane *l) {
        if (!l)
                return NULL;
        call_clear(&l->call);
        free(l->data);
        (void) pthread_cond_destroy(&l->changed);
        return mfree(l);
}

static void set_state(Lane *l, LaneState state) {
        l->state = state;
        l->since = now_usec(CLOCK_MONOTONIC);
        (void) pthread_cond_broadcast(&l->changed);
}

static void *lane_main(void *userdata) {
        Lane *l = ASSERT_PTR(userdata);
        Patient *p = l->patient;

        (void) pthread_mutex_lock(&p->lock);
        for (;;) {
                while (l->state != LANE_BUSY && !l->quit)
                        (void) pthread_cond_wait(&l->changed, &p->lock);
                if (l->quit)
                        break;
                (void) pthread_mutex_unlock(&p->lock);
                l->work(l);
                (void) pthread_mutex_lock(&p->lock);
                set_state(l, LANE_DONE);
        }
        (void) pthread_mutex_unlock(&p->lock);
        return NULL;
}

static int lane_new(Patient *p, Lane **ret) {
        pthread_condattr_t attributes;
        Lane *l = new0(Lane, 1);
        int r;

        if (!l)
                return -ENOMEM;
        l->patient = p;
        (void) pthread_condattr_init(&attributes);
        (void) pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        (void) pthread_cond_init(&l->changed, &attributes);
        (void) pthread_condattr_destroy(&attributes);
        r = pthread_create(&l->thread, NULL, lane_main, l);
        if (r != 0) {
                lane_free(l);
                return -r;
        }
        *ret = l;
        return 0;
}

static int refuse(const Storage *s, Failure *f) {
        const Patient *p = s->backend;

        return failure_set(f, -ETIMEDOUT, "STORAGE_STALLED",
                           "'%s' (%s) did not answer for %" PRIu64
                           " s. If it is a mount, its server may be gone: look at it on this host.",
                           strempty(storage_directory(p->inner)), s->name, p->patience / USEC_PER_SEC);
}

/* One that is free, for a call about this key (may be NULL). It is the caller's alone. */
static int lane_take(Storage *s, const char *key, Lane **ret, Failure *f) {
        Patient *p = s->backend;
        Lane *l = NULL;
        bool dead;
        int r = 0;

        (void) pthread_mutex_lock(&p->lock);
        dead = p->dead;
        if (!dead && p->idle) {
                l = p->idle;
                p->idle = l->next;
        }
        (void) pthread_mutex_unlock(&p->lock);
        if (dead)
                return refuse(s, f);
        if (!l)
                r = lane_new(p, &l);
        if (r < 0)
                return r;
        *ret = l;
        return free_and_strdup(&l->call.key, key);
}

/* Gives it back, whatever came of it. One that was given up is left to itself. */
static void lane_release(Lane *l) {
        Patient *p = l->patient;

        if (l->given_up)
                return;
        call_clear(&l->call);
        (void) pthread_mutex_lock(&p->lock);
        l->state = LANE_IDLE;
        l->next = p->idle;
        p->idle = l;
        (void) pthread_mutex_unlock(&p->lock);
}

/* With the lock: waits until it is not busy any more. Gives whether that came about. */
static bool wait_for_lane(Patient *p, Lane *l) {
        while (l->state == LANE_BUSY) {
                usec_t since = MAX(l->since, storage_last_progress(p->inner));
                usec_t until = usec_add(since, p->patience);
                const struct timespec at = { (time_t) (until / USEC_PER_SEC),
                                             (long) (until % USEC_PER_SEC * 1000) };

                if (now_usec(CLOCK_MONOTONIC) >= until) {
                        l->given_up = l->quit = p->dead = true;
                        return false;
                }
                (void) pthread_cond_timedwait(&l->changed, &p->lock, &at);
        }
        return true;
}

static int hand_over(Call *c, StorageListFunc func, void *userdata) {
        int r = 0;

        for (size_t i = 0; i < c->n_entries && r == 0; i++)
                r = func(userdata, c->entries[i].key, c->entries[i].size);
        drop_entries(c);
        return r;
}

/* Has it do the work. func: of a listing. Negative: the call failed, or was given up. */
static int64_t lane_run(Storage *s, Lane *l, LaneWork work, StorageListFunc func, void *userdata,
                        Failure *f) {
        Patient *p = s->backend;
        bool back;

        l->work = work;
        (void) pthread_mutex_lock(&p->lock);
        set_state(l, LANE_BUSY);
        while ((back = wait_for_lane(p, l)) && l->state == LANE_FULL) {
                (void) pthread_mutex_unlock(&p->lock);
                l->call.stop = hand_over(&l->call, func, userdata);
                (void) pthread_mutex_lock(&p->lock);
                set_state(l, LANE_BUSY);
        }
        (void) pthread_mutex_unlock(&p->lock);
        if (!back)
                return refuse(s, f);
        storage_moved(s);
        if (l->call.result < 0 && f) {
                *f = l->call.failure;
                l->call.failure = FAILURE_NULL;
        }
        return l->call.result;
}

/* --- Objects that are put ----------------------------------------------------------------------------- */

static void work_put_new(Lane *l) {
        Call *c = &l->call;

        c->result = storage_put_new(l->patient->inner, c->key, &c->put, &c->failure);
}

static void set_transient(const Call *c) {
        if (c->transient)
                storage_put_set_transient(c->put);
}

static void work_put_write(Lane *l) {
        Call *c = &l->call;

        set_transient(c);
        c->result = storage_put_write(c->put, l->data, c->n, &c->failure);
}

static void work_put_commit(Lane *l) {
        Call *c = &l->call;

        set_transient(c);
        c->result = storage_put_commit(c->put, c->sha256, &c->failure);
}

static void work_put_free(Lane *l) {
        l->call.put = storage_put_free(l->call.put);
        l->call.result = 0;
}

static int patient_put_new(StoragePut *put, Failure *reterr_failure) {
        Lane *l = NULL;
        int r;

        r = lane_take(put->storage, put->key, &l, reterr_failure);
        if (r >= 0)
                r = (int) lane_run(put->storage, l, work_put_new, NULL, NULL, reterr_failure);
        if (r >= 0)
                put->backend = TAKE_PTR(l->call.put);
        if (l)
                lane_release(l);
        return r;
}

static int need_data(Lane *l) {
        if (!l->data && posix_memalign((void **) &l->data, STORAGE_ALIGNMENT, PIECE) != 0)
                return -ENOMEM;
        return 0;
}

static int put_piece(StoragePut *put, const uint8_t *data, size_t n, bool first, Failure *f) {
        Lane *l = NULL;
        int r;

        r = lane_take(put->storage, NULL, &l, f);
        if (r >= 0)
                r = need_data(l);
        if (r >= 0) {
                memcpy(l->data, data, n);
                l->call.n = n;
                l->call.put = put->backend;
                l->call.transient = first && put->transient;
                r = (int) lane_run(put->storage, l, work_put_write, NULL, NULL, f);
        }
        if (l)
                lane_release(l);
        return r;
}

static int patient_put_write(StoragePut *put, const void *data, size_t n, Failure *reterr_failure) {
        int r = 0;

        for (size_t done = 0; done < n && r >= 0; done += PIECE)
                r = put_piece(put, (const uint8_t *) data + done, MIN(PIECE, n - done),
                              put->size == 0 && done == 0, reterr_failure);
        return r;
}

static int patient_put_commit(StoragePut *put, const uint8_t sha256[static 32], Failure *reterr_failure) {
        Lane *l = NULL;
        int r;

        r = lane_take(put->storage, NULL, &l, reterr_failure);
        if (r >= 0) {
                memcpy(l->call.sha256, sha256, sizeof l->call.sha256);
                l->call.put = put->backend;
                l->call.transient = put->size == 0 && put->transient;
                r = (int) lane_run(put->storage, l, work_put_commit, NULL, NULL, reterr_failure);
        }
        if (l)
                lane_release(l);
        return r;
}

/* Of a storage that is dead it stays: a lane may hang in it. */
static void patient_put_free(StoragePut *put) {
        Lane *l = NULL;
        int r;

        r = lane_take(put->storage, NULL, &l, NULL);
        if (r >= 0) {
                l->call.put = put->backend;
                (void) lane_run(put->storage, l, work_put_free, NULL, NULL, NULL);
        }
        if (l)
                lane_release(l);
}

/* --- Reading ------------------------------------------------------------------------------------------ */

static void work_read(Lane *l) {
        Call *c = &l->call;

        c->result = storage_read_at(l->patient->inner, c->key, c->offset, l->data, c->n, &c->failure);
}

static ssize_t read_piece(Storage *s, const char *key, uint64_t offset, uint8_t *buf, size_t n, Failure *f) {
        Lane *l = NULL;
        ssize_t k;

        k = lane_take(s, key, &l, f);
        if (k >= 0)
                k = need_data(l);
        if (k >= 0) {
                l->call.offset = offset;
                l->call.n = n;
                k = (ssize_t) lane_run(s, l, work_read, NULL, NULL, f);
        }
        if (k > 0)
                memcpy(buf, l->data, (size_t) k);
        if (l)
                lane_release(l);
        return k;
}

static ssize_t patient_read_at(Storage *s, const char *key, uint64_t offset, void *buf, size_t n,
                               Failure *reterr_failure) {
        size_t done = 0;

        while (done < n) {
                size_t piece = MIN(PIECE, n - done);
                ssize_t k;

                k = read_piece(s, key, offset + done, (uint8_t *) buf + done, piece, reterr_failure);
                if (k < 0)
                        return k;
                done += (size_t) k;
                if ((size_t) k < piece)
                        break;
        }
        return (ssize_t) done;
}

static void work_stat(Lane *l) {
        Call *c = &l->call;

        c->result = storage_stat(l->patient->inner, c->key, &c->size, &c->failure);
}

static int patient_stat(Storage *s, const char *key, uint64_t *ret_size, Failure *reterr_failure) {
        Lane *l = NULL;
        int r;

        r = lane_take(s, key, &l, reterr_failure);
        if (r >= 0)
                r = (int) lane_run(s, l, work_stat, NULL, NULL, reterr_failure);
        if (r >= 0)
                *ret_size = l->call.size;
        if (l)
                lane_release(l);
        return r;
}

/* --- Listing ------------------------------------------------------------------------------------------ */

/* In the lane: waits until its caller has taken what there is. */
static int ask_to_take(Lane *l) {
        Patient *p = l->patient;
        int r;

        (void) pthread_mutex_lock(&p->lock);
        if (!l->given_up)
                set_state(l, LANE_FULL);
        while (l->state == LANE_FULL)
                (void) pthread_cond_wait(&l->changed, &p->lock);
        r = l->given_up ? -ETIMEDOUT : l->call.stop;
        (void) pthread_mutex_unlock(&p->lock);
        return r;
}

static int collect(void *userdata, const char *key, uint64_t size) {
        Lane *l = ASSERT_PTR(userdata);
        Call *c = &l->call;
        char *copy;

        if (c->n_entries == BATCH) {
                int r = ask_to_take(l);

                if (r != 0)
                        return r;
        }
        copy = strdup(key);
        if (!copy)
                return -ENOMEM;
        c->entries[c->n_entries++] = (Entry){ copy, size };
        return 0;
}

static void work_list(Lane *l) {
        Call *c = &l->call;

        c->result = storage_list(l->patient->inner, strempty(c->key), collect, l, &c->failure);
}

static int patient_list(Storage *s, const char *prefix, StorageListFunc func, void *userdata,
                        Failure *reterr_failure) {
        Lane *l = NULL;
        int r;

        r = lane_take(s, prefix, &l, reterr_failure);
        if (r >= 0)
                r = (int) lane_run(s, l, work_list, func, userdata, reterr_failure);
        if (r == 0)
                r = hand_over(&l->call, func, userdata);
        if (l)
                lane_release(l);
        return r;
}

/* --- The rest ----------------------------------------------------------------------------------------- */

static void work_remove(Lane *l) {
        Call *c = &l->call;

        c->result = storage_remove(l->patient->inner, c->key, &c->failure);
}

static int patient_remove(Storage *s, const char *key, Failure *reterr_failure) {
        Lane *l = NULL;
        int r;

        r = lane_take(s, key, &l, reterr_failure);
        if (r >= 0)
                r = (int) lane_run(s, l, work_remove, NULL, NULL, reterr_failure);
        if (l)
                lane_release(l);
        return r;
}

static void work_probe(Lane *l) {
        Call *c = &l->call;

        c->result = storage_probe(l->patient->inner, &c->usage, &c->failure);
}

static int patient_probe(Storage *s, StorageUsage *ret, Failure *reterr_failure) {
        Lane *l = NULL;
        int r;

        r = lane_take(s, NULL, &l, reterr_failure);
        if (r >= 0)
                r = (int) lane_run(s, l, work_probe, NULL, NULL, reterr_failure);
        if (r >= 0)
                *ret = l->call.usage;
        if (l)
                lane_release(l);
        return r;
}

static const char *patient_directory(const Storage *s) {
        const Patient *p = s->backend;

        return storage_directory(p->inner);
}

/* Nobody is in a call any more but lanes that were given up: what they work with stays. */
static void patient_close(Storage *s) {
        Patient *p = s->backend;

        if (!p)
                return;
        while (p->idle) {
                Lane *l = p->idle;

                p->idle = l->next;
                (void) pthread_mutex_lock(&p->lock);
                l->quit = true;
                (void) pthread_cond_broadcast(&l->changed);
                (void) pthread_mutex_unlock(&p->lock);
                (void) pthread_join(l->thread, NULL);
                lane_free(l);
        }
        if (p->dead)
                return;
        storage_free(p->inner);
        (void) pthread_mutex_destroy(&p->lock);
        free(p);
}

static int patient_open(Storage *s, const StorageConfig *config, Failure *reterr_failure) {
        StorageConfig inner = *config;
        Patient *p;

        assert(config->patience > 0);

        p = new0(Patient, 1);
        if (!p)
                return -ENOMEM;
        s->backend = p;
        (void) pthread_mutex_init(&p->lock, NULL);
        p->patience = config->patience;
        inner.patience = 0;
        return storage_open(&inner, &p->inner, reterr_failure);
}

const StorageType storage_type_patient = {
        .name = "patient",
        .open = patient_open,
        .close = patient_close,
        .directory = patient_directory,
        .put_new = patient_put_new,
        .put_write = patient_put_write,
        .put_commit = patient_put_commit,
        .put_free = patient_put_free,
        .read_at = patient_read_at,
        .stat = patient_stat,
        .list = patient_list,
        .remove = patient_remove,
        .probe = patient_probe,
};
