/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "archive/fanout.h"
#include "archive/report.h"
#include "base/alloc.h"
#include "base/text.h"

/* How long the end waits for a thread that may hang in a call to its storage. */
#define LEAVE_LIMIT (5 * USEC_PER_SEC)

typedef struct Block {
        struct Block *next; /* in the list of free ones */
        unsigned refs;
        unsigned object;
        bool ends; /* a volume, whose digest this is */
        uint8_t sha256[SHA256_SIZE];
        size_t size;
        /* Of whole pages at a page's start, so that a storage may pass it on to the disk without a copy. */
        _Alignas(STORAGE_ALIGNMENT) char data[FANOUT_BLOCK];
} Block;

typedef enum TargetState {
        TARGET_RUNNING,
        TARGET_COMMITTED,
        TARGET_FAILED,
} TargetState;

typedef struct Target {
        Fanout *fanout; /* weak */
        Storage *storage;
        uint64_t id;
        char *keys[_BACKUP_OBJECTS];
        pthread_t thread;
        bool started, ended;
        bool dropped; /* by the watch; the thread gives up as soon as it can */
        TargetState state;
        Failure failure;
        Block *queue[FANOUT_BLOCKS_MAX]; /* a ring */
        size_t first, n_queued;
        bool busy;    /* in a call to its storage */
        usec_t since; /* of that call, or of the last one's end */
        uint64_t written;
} Target;

struct Fanout {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        Target *targets;
        size_t n_targets;
        Block *free_blocks;
        size_t n_blocks; /* in use or free */
        Block *current[_BACKUP_OBJECTS];
        uint8_t digests[_BACKUP_OBJECTS][SHA256_SIZE]; /* of the last volumes, once committing */
        bool committing, stopped;
};

/* --- Blocks: all under the lock -------------------------------------------------------------------------
 */

static void block_unref(Fanout *f, Block *b) {
        if (--b->refs > 0)
                return;
        b->next = f->free_blocks;
        f->free_blocks = b;
}

static bool any_running(const Fanout *f) {
        for (size_t i = 0; i < f->n_targets; i++)
                if (f->targets[i].state == TARGET_RUNNING)
                        return true;
        return false;
}

/* Waits for a block. */
static int block_get(Fanout *f, unsigned object, Block **ret) {
        Block *b;

        assert(f);

        for (;;) {
                if (f->stopped)
                        return -ECANCELED;
                if (!any_running(f))
                        return -EPIPE;
                if (f->free_blocks || f->n_blocks < FANOUT_BLOCKS_MAX)
                        break;
                (void) pthread_cond_wait(&f->changed, &f->lock);
        }
        b = f->free_blocks;
        if (b)
                f->free_blocks = b->next;
        else {
                b = aligned_alloc(STORAGE_ALIGNMENT, sizeof *b);
                if (!b)
                        return -ENOMEM;
                f->n_blocks++;
        }
        b->next = NULL;
        b->refs = 1;
        b->object = object;
        b->ends = false;
        b->size = 0;
        *ret = b;
        return 0;
}

/* Hands the block to every target that runs, and the caller's reference back. */
static void block_send(Fanout *f, Block *b) {
        assert(f);
        assert(b);

        for (size_t i = 0; i < f->n_targets; i++) {
                Target *t = &f->targets[i];

                if (t->state != TARGET_RUNNING)
                        continue;
                assert(t->n_queued < FANOUT_BLOCKS_MAX);
                t->queue[(t->first + t->n_queued++) % FANOUT_BLOCKS_MAX] = b;
                b->refs++;
        }
        block_unref(f, b);
        (void) pthread_cond_broadcast(&f->changed);
}

static void queue_drop(Fanout *f, Target *t) {
        for (; t->n_queued > 0; t->n_queued--) {
                block_unref(f, t->queue[t->first]);
                t->first = (t->first + 1) % FANOUT_BLOCKS_MAX;
        }
}

/* --- The thread of a target ---------------------------------------------------------------------------- */

typedef struct Puts {
        VolumesPut *put[_BACKUP_OBJECTS];
} Puts;

static void puts_done(Puts *p) {
        for (size_t i = 0; i < _BACKUP_OBJECTS; i++)
                volumes_put_free(p->put[i]);
}

static int puts_write(Target *t, Puts *p, const Block *b, Failure *failure) {
        int r;

        if (!p->put[b->object]) {
                r = volumes_put_new(t->storage, t->keys[b->object], &p->put[b->object], failure);
                if (r < 0)
                        return r;
        }
        r = volumes_put_write(p->put[b->object], b->data, b->size, failure);
        if (r >= 0 && b->ends)
                r = volumes_put_next(p->put[b->object], b->sha256, failure);
        return r;
}

/* Data, then entries, then the manifest. Where a later one fails, the earlier ones are removed again as far
 * as the storage lets us; without a manifest they are no archive. */
static int puts_commit(Target *t, Puts *p, Failure *failure) {
        assert(t);
        assert(p);

        for (unsigned i = 0; i < _BACKUP_OBJECTS; i++) {
                int r = p->put[i] ? volumes_put_commit(p->put[i], t->fanout->digests[i], failure) : -EINVAL;

                if (r >= 0)
                        continue;
                for (unsigned k = 0; k < i; k++)
                        volumes_put_undo(p->put[k]);
                return r;
        }
        return 0;
}

/* Under the lock; waits for something to do. False: there is nothing more to write. */
static bool target_wait(Target *t) {
        Fanout *f = t->fanout;

        while (!f->stopped && !t->dropped && t->n_queued == 0 && !f->committing)
                (void) pthread_cond_wait(&f->changed, &f->lock);
        return !f->stopped && !t->dropped && t->n_queued > 0;
}

static void target_busy(Target *t, bool busy) {
        t->busy = busy;
        t->since = now_usec(CLOCK_MONOTONIC);
}

/* Writes what comes until all is written; 0 then. Under the lock, which is given up for each call to the
 * storage. */
static int target_write_all(Target *t, Puts *puts, Failure *failure) {
        Fanout *f = t->fanout;

        while (target_wait(t)) {
                Block *b = t->queue[t->first];
                int r;

                t->first = (t->first + 1) % FANOUT_BLOCKS_MAX;
                t->n_queued--;
                target_busy(t, true);
                (void) pthread_mutex_unlock(&f->lock);
                r = puts_write(t, puts, b, failure);
                (void) pthread_mutex_lock(&f->lock);
                target_busy(t, false);
                t->written += b->size;
                block_unref(f, b);
                (void) pthread_cond_broadcast(&f->changed);
                if (r < 0)
                        return r;
        }
        return f->stopped || t->dropped ? -ECANCELED : 0;
}

static void *target_main(void *userdata) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        Target *t = userdata;
        Fanout *f = t->fanout;
        Puts puts = {};
        int r;

        (void) pthread_mutex_lock(&f->lock);
        r = target_write_all(t, &puts, &failure);
        target_busy(t, true);
        (void) pthread_mutex_unlock(&f->lock);
        if (r >= 0)
                r = puts_commit(t, &puts, &failure);
        puts_done(&puts);
        (void) pthread_mutex_lock(&f->lock);
        target_busy(t, false);
        if (!t->dropped) {
                t->state = r < 0 ? TARGET_FAILED : TARGET_COMMITTED;
                if (r < 0 && !failure_is_set(&failure))
                        (void) failure_set(&failure, r, "TARGET_FAILED", "Could not write to %s: %m.",
                                           storage_name(t->storage));
                t->failure = failure;
                failure = FAILURE_NULL;
        }
        queue_drop(f, t);
        t->ended = true;
        (void) pthread_cond_broadcast(&f->changed);
        (void) pthread_mutex_unlock(&f->lock);
        return NULL;
}

/* --- The face -------------------------------------------------------------------------------------------
 */

static int target_init(Target *t, Fanout *f, const BackupTarget *args, const char *const names[]) {
        assert(t);
        assert(args);

        t->fanout = f;
        t->storage = args->storage;
        t->id = storage_id(args->storage);
        for (size_t i = 0; i < _BACKUP_OBJECTS; i++) {
                int r = asprintf_safe(&t->keys[i], "%s%s", args->key, names[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}

int fanout_new(const BackupTarget *targets, size_t n_targets,
               const char *const names[static _BACKUP_OBJECTS], Fanout **ret) {
        _cleanup_(fanout_freep) Fanout *f = NULL;
        pthread_condattr_t attributes;
        int r;

        assert(targets || n_targets == 0);
        assert(ret);

        f = new0(Fanout, 1);
        if (!f)
                return -ENOMEM;
        (void) pthread_mutex_init(&f->lock, NULL);
        (void) pthread_condattr_init(&attributes);
        (void) pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        (void) pthread_cond_init(&f->changed, &attributes);
        (void) pthread_condattr_destroy(&attributes);
        f->targets = new0(Target, n_targets + 1);
        if (!f->targets)
                return -ENOMEM;
        for (; f->n_targets < n_targets; f->n_targets++) {
                r = target_init(&f->targets[f->n_targets], f, &targets[f->n_targets], names);
                if (r < 0) {
                        f->n_targets++;
                        return r;
                }
        }
        for (size_t i = 0; i < n_targets; i++) {
                r = pthread_create(&f->targets[i].thread, NULL, target_main, &f->targets[i]);
                if (r != 0)
                        return -r;
                f->targets[i].started = true;
        }
        *ret = TAKE_PTR(f);
        return 0;
}

/* Waits for all threads; false where one does not end. */
static bool threads_wait(Fanout *f) {
        usec_t end = usec_add(now_usec(CLOCK_MONOTONIC), LEAVE_LIMIT);
        struct timespec at = { .tv_sec = (time_t) (end / USEC_PER_SEC),
                               .tv_nsec = (long) (end % USEC_PER_SEC * 1000) };
        bool all = true;

        assert(f);

        (void) pthread_mutex_lock(&f->lock);
        for (size_t i = 0; i < f->n_targets; i++) {
                Target *t = &f->targets[i];
                int r = 0;

                while (t->started && !t->ended && r == 0)
                        r = pthread_cond_timedwait(&f->changed, &f->lock, &at);
                all &= !t->started || t->ended;
        }
        (void) pthread_mutex_unlock(&f->lock);
        return all;
}

static void target_done(Target *t) {
        if (t->started)
                (void) pthread_join(t->thread, NULL);
        for (size_t i = 0; i < _BACKUP_OBJECTS; i++)
                free(t->keys[i]);
        failure_done(&t->failure);
}

Fanout *fanout_free(Fanout *f) {
        if (!f)
                return NULL;
        fanout_stop(f);
        if (!threads_wait(f)) {
                /* One hangs in its storage and still uses what is ours: all of it stays. */
                for (size_t i = 0; i < f->n_targets; i++)
                        if (f->targets[i].started)
                                (void) pthread_detach(f->targets[i].thread);
                return NULL;
        }
        for (size_t i = 0; i < f->n_targets; i++)
                target_done(&f->targets[i]);
        free(f->targets);
        for (size_t i = 0; i < _BACKUP_OBJECTS; i++)
                free(f->current[i]);
        for (Block *b = f->free_blocks, *next; b; b = next) {
                next = b->next;
                free(b);
        }
        (void) pthread_mutex_destroy(&f->lock);
        (void) pthread_cond_destroy(&f->changed);
        return mfree(f);
}

int fanout_write(Fanout *f, unsigned object, const void *p, size_t n) {
        const char *from = p;
        int r = 0;

        assert(f);
        assert(object < _BACKUP_OBJECTS);
        assert(p || n == 0);

        while (n > 0) {
                Block *b = f->current[object];
                size_t part;

                if (!b) {
                        (void) pthread_mutex_lock(&f->lock);
                        r = block_get(f, object, &b);
                        (void) pthread_mutex_unlock(&f->lock);
                        if (r < 0)
                                return r;
                        f->current[object] = b;
                }
                part = MIN(n, FANOUT_BLOCK - b->size);
                memcpy(b->data + b->size, from, part);
                b->size += part;
                from += part;
                n -= part;
                if (b->size < FANOUT_BLOCK)
                        continue;
                f->current[object] = NULL;
                (void) pthread_mutex_lock(&f->lock);
                block_send(f, b);
                (void) pthread_mutex_unlock(&f->lock);
        }
        return 0;
}

int fanout_next(Fanout *f, unsigned object, const uint8_t sha256[static SHA256_SIZE]) {
        Block *b;
        int r = 0;

        assert(f);
        assert(object < _BACKUP_OBJECTS);

        (void) pthread_mutex_lock(&f->lock);
        b = TAKE_PTR(f->current[object]);
        if (!b) /* what was in it has just gone */
                r = block_get(f, object, &b);
        if (r >= 0) {
                b->ends = true;
                memcpy(b->sha256, sha256, SHA256_SIZE);
                block_send(f, b);
        }
        (void) pthread_mutex_unlock(&f->lock);
        return r;
}

int fanout_commit(Fanout *f, const BackupObject objects[static _BACKUP_OBJECTS]) {
        int r;

        assert(f);
        assert(objects);

        (void) pthread_mutex_lock(&f->lock);
        for (size_t i = 0; i < _BACKUP_OBJECTS; i++) {
                Block *b = TAKE_PTR(f->current[i]);

                if (b)
                        block_send(f, b);
                assert(objects[i].n_volumes > 0);
                memcpy(f->digests[i], objects[i].volumes[objects[i].n_volumes - 1].sha256, SHA256_SIZE);
        }
        r = f->stopped ? -ECANCELED : any_running(f) ? 0 :
                                                       -EPIPE;
        f->committing = true;
        (void) pthread_cond_broadcast(&f->changed);
        (void) pthread_mutex_unlock(&f->lock);
        return r;
}

void fanout_stop(Fanout *f) {
        assert(f);

        (void) pthread_mutex_lock(&f->lock);
        f->stopped = true;
        (void) pthread_cond_broadcast(&f->changed);
        (void) pthread_mutex_unlock(&f->lock);
}

/* A thread that hangs keeps the block in its hand for good: one more may be made in its place. */
static void target_drop(Fanout *f, Target *t, usec_t stall) {
        t->dropped = true;
        t->state = TARGET_FAILED;
        (void) failure_set(&t->failure, -ETIMEDOUT, "TARGET_STALLED",
                           "%s took no data for %" PRIu64 " s and was dropped; the other targets went on.",
                           storage_name(t->storage), stall / USEC_PER_SEC);
        queue_drop(f, t);
        f->n_blocks--;
        (void) pthread_cond_broadcast(&f->changed);
}

void fanout_watch(Fanout *f, usec_t stall, Report *report) {
        usec_t now = now_usec(CLOCK_MONOTONIC);

        assert(f);
        assert(report);

        (void) pthread_mutex_lock(&f->lock);
        for (size_t i = 0; i < f->n_targets; i++) {
                Target *t = &f->targets[i];
                usec_t last = MAX(t->since, storage_last_progress(t->storage));

                if (t->state != TARGET_RUNNING || !t->busy || usec_add(last, stall) > now)
                        continue;
                target_drop(f, t, stall);
                report_log(report, ARCHIVE_LOG_ERROR, "%s", failure_message(&t->failure, -ETIMEDOUT));
        }
        (void) pthread_mutex_unlock(&f->lock);
}

bool fanout_is_done(Fanout *f) {
        bool running;

        assert(f);

        (void) pthread_mutex_lock(&f->lock);
        running = any_running(f);
        (void) pthread_mutex_unlock(&f->lock);
        return !running;
}

uint64_t fanout_written(Fanout *f) {
        uint64_t most = 0;

        assert(f);

        (void) pthread_mutex_lock(&f->lock);
        for (size_t i = 0; i < f->n_targets; i++)
                most = MAX(most, f->targets[i].written);
        (void) pthread_mutex_unlock(&f->lock);
        return most;
}

void fanout_results(Fanout *f, BackupTargetResult *ret) {
        assert(f);
        assert(ret);

        (void) pthread_mutex_lock(&f->lock);
        for (size_t i = 0; i < f->n_targets; i++) {
                Target *t = &f->targets[i];

                ret[i] = (BackupTargetResult){
                        .id = t->id,
                        .succeeded = t->state == TARGET_COMMITTED,
                        .size = t->state == TARGET_COMMITTED ? t->written : 0,
                        .abandoned = !t->ended,
                        .failure = t->failure,
                };
                t->failure = FAILURE_NULL;
        }
        (void) pthread_mutex_unlock(&f->lock);
}
