/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "archive/pipeline.h"
#include "base/alloc.h"

#define WORKERS 2
/* The strongest levels need 35 MiB a worker for a frame of 2 MiB. */
#define WORKERS_STRONG 1
#define LEVEL_STRONG 16
/* One a worker, one at each end, and one so that nobody waits for the other. */
#define SLOTS 5

typedef struct Slot {
        char *plain;
        size_t plain_size;
        char *packed;
        Frame frame;
        bool is_packed;
} Slot;

struct Pipeline {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        Slot slots[SLOTS];
        size_t packed_size; /* of the packed buffers */
        /* Numbers of frames; number i is in slot i % SLOTS. */
        uint64_t filled, claimed, hashed, written;
        bool ended;
        int error;

        ObjectWriter *data;
        EntriesWriter *entries;
        Sha256 *sha256;
        FrameCompressor *compressors[WORKERS];
        size_t n_workers;
        pthread_t threads[WORKERS + 2];
        size_t n_threads;
        size_t next_compressor;

        /* The reader's alone. */
        Slot *current;
        uint64_t offset;
        uint64_t stream_size;
};

static int set_error(Pipeline *p, int error) {
        (void) pthread_mutex_lock(&p->lock);
        if (p->error == 0)
                p->error = error;
        (void) pthread_cond_broadcast(&p->changed);
        (void) pthread_mutex_unlock(&p->lock);
        return error;
}

void pipeline_stop(Pipeline *p, int error) {
        assert(p);
        assert(error < 0);

        (void) set_error(p, error);
}

/* --- Threads ------------------------------------------------------------------------------------------ */

/* Waits for number *next to be filled and takes it: the slot, or NULL when there is no more to do. */
static Slot *slot_claim(Pipeline *p, uint64_t *next) {
        Slot *slot = NULL;

        assert(p);

        (void) pthread_mutex_lock(&p->lock);
        while (p->error == 0 && *next == p->filled && !p->ended)
                (void) pthread_cond_wait(&p->changed, &p->lock);
        if (p->error == 0 && *next < p->filled) {
                slot = &p->slots[*next % SLOTS];
                (*next)++;
        }
        (void) pthread_mutex_unlock(&p->lock);
        return slot;
}

static void *compress_main(void *userdata) {
        Pipeline *p = ASSERT_PTR(userdata);
        FrameCompressor *c;
        Slot *slot;

        (void) pthread_mutex_lock(&p->lock);
        c = p->compressors[p->next_compressor++];
        (void) pthread_mutex_unlock(&p->lock);
        while ((slot = slot_claim(p, &p->claimed))) {
                int r;

                r = frame_compress(c, slot->plain, slot->plain_size, slot->packed, p->packed_size,
                                   &slot->frame);
                if (r < 0) {
                        (void) set_error(p, r);
                        break;
                }
                (void) pthread_mutex_lock(&p->lock);
                slot->is_packed = true;
                (void) pthread_cond_broadcast(&p->changed);
                (void) pthread_mutex_unlock(&p->lock);
        }
        return NULL;
}

static void *hash_main(void *userdata) {
        Pipeline *p = ASSERT_PTR(userdata);
        uint64_t next = 0;
        Slot *slot;

        while ((slot = slot_claim(p, &next))) {
                int r;

                r = sha256_add(p->sha256, slot->plain, slot->plain_size);
                if (r < 0) {
                        (void) set_error(p, r);
                        break;
                }
                (void) pthread_mutex_lock(&p->lock);
                p->hashed = next;
                (void) pthread_cond_broadcast(&p->changed);
                (void) pthread_mutex_unlock(&p->lock);
        }
        return NULL;
}

/* The next slot in order, compressed; NULL at the end. */
static Slot *packed_wait(Pipeline *p) {
        Slot *slot;

        assert(p);

        (void) pthread_mutex_lock(&p->lock);
        slot = &p->slots[p->written % SLOTS];
        while (p->error == 0 && !(p->written < p->filled && slot->is_packed) &&
               !(p->ended && p->written == p->filled))
                (void) pthread_cond_wait(&p->changed, &p->lock);
        if (p->error != 0 || p->written == p->filled)
                slot = NULL;
        (void) pthread_mutex_unlock(&p->lock);
        return slot;
}

static void *write_main(void *userdata) {
        Pipeline *p = ASSERT_PTR(userdata);
        Slot *slot;

        while ((slot = packed_wait(p))) {
                int r;

                r = object_writer_write(p->data, slot->packed, slot->frame.size);
                if (r >= 0)
                        r = entries_writer_add_frame(p->entries, &slot->frame);
                if (r < 0) {
                        (void) set_error(p, r);
                        break;
                }
                (void) pthread_mutex_lock(&p->lock);
                p->stream_size += slot->frame.size;
                slot->is_packed = false;
                p->written++;
                (void) pthread_cond_broadcast(&p->changed);
                (void) pthread_mutex_unlock(&p->lock);
        }
        return NULL;
}

typedef void *(*ThreadFunc)(void *userdata);

static int thread_start(Pipeline *p, ThreadFunc func) {
        int r = pthread_create(&p->threads[p->n_threads], NULL, func, p);

        if (r != 0)
                return -r;
        p->n_threads++;
        return 0;
}

/* --- The face ----------------------------------------------------------------------------------------- */

static int slots_new(Pipeline *p) {
        p->packed_size = frame_bound(FRAME_DATA_MAX);
        for (size_t i = 0; i < SLOTS; i++) {
                p->slots[i].plain = malloc(FRAME_DATA_MAX);
                p->slots[i].packed = malloc(p->packed_size);
                if (!p->slots[i].plain || !p->slots[i].packed)
                        return -ENOMEM;
        }
        return 0;
}

int pipeline_new(int level, ObjectWriter *data, EntriesWriter *entries, Pipeline **ret) {
        _cleanup_(pipeline_freep) Pipeline *p = NULL;
        int r;

        assert(data);
        assert(entries);
        assert(ret);

        p = new0(Pipeline, 1);
        if (!p)
                return -ENOMEM;
        (void) pthread_mutex_init(&p->lock, NULL);
        (void) pthread_cond_init(&p->changed, NULL);
        p->data = data;
        p->entries = entries;
        p->n_workers = level >= LEVEL_STRONG ? WORKERS_STRONG : WORKERS;
        r = slots_new(p);
        if (r < 0)
                return r;
        r = sha256_new(&p->sha256);
        if (r < 0)
                return r;
        for (size_t i = 0; i < p->n_workers; i++) {
                r = frame_compressor_new(level, &p->compressors[i]);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; r >= 0 && i < p->n_workers; i++)
                r = thread_start(p, compress_main);
        if (r >= 0)
                r = thread_start(p, hash_main);
        if (r >= 0)
                r = thread_start(p, write_main);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

static void threads_join(Pipeline *p) {
        for (size_t i = 0; i < p->n_threads; i++)
                (void) pthread_join(p->threads[i], NULL);
        p->n_threads = 0;
}

Pipeline *pipeline_free(Pipeline *p) {
        if (!p)
                return NULL;
        pipeline_stop(p, -ECANCELED);
        threads_join(p);
        for (size_t i = 0; i < SLOTS; i++) {
                free(p->slots[i].plain);
                free(p->slots[i].packed);
        }
        for (size_t i = 0; i < WORKERS; i++)
                frame_compressor_free(p->compressors[i]);
        sha256_free(p->sha256);
        (void) pthread_mutex_destroy(&p->lock);
        (void) pthread_cond_destroy(&p->changed);
        return mfree(p);
}

/* Waits for a slot that everybody is through with. */
static int slot_open(Pipeline *p) {
        int r;

        assert(p);

        if (p->current)
                return 0;
        (void) pthread_mutex_lock(&p->lock);
        while (p->error == 0 && p->filled >= MIN(p->hashed, p->written) + SLOTS)
                (void) pthread_cond_wait(&p->changed, &p->lock);
        r = p->error;
        (void) pthread_mutex_unlock(&p->lock);
        if (r < 0)
                return r;
        p->current = &p->slots[p->filled % SLOTS];
        p->current->plain_size = 0;
        return 0;
}

static void slot_send(Pipeline *p) {
        if (!p->current || p->current->plain_size == 0)
                return;
        p->current = NULL;
        (void) pthread_mutex_lock(&p->lock);
        p->filled++;
        (void) pthread_cond_broadcast(&p->changed);
        (void) pthread_mutex_unlock(&p->lock);
}

int pipeline_member(Pipeline *p, uint64_t size) {
        assert(p);

        /* A small member is never cut; a large one begins a frame unless that would leave a tiny one behind.
         */
        if (p->current && p->current->plain_size + size > FRAME_DATA_MAX &&
            (size <= FRAME_DATA_MAX || p->current->plain_size >= FRAME_DATA_MAX / 2))
                slot_send(p);
        return slot_open(p);
}

int pipeline_space(Pipeline *p, void **ret, size_t *ret_n) {
        int r;

        assert(p);
        assert(ret);
        assert(ret_n);

        if (p->current && p->current->plain_size == FRAME_DATA_MAX)
                slot_send(p);
        r = slot_open(p);
        if (r < 0)
                return r;
        *ret = p->current->plain + p->current->plain_size;
        *ret_n = FRAME_DATA_MAX - p->current->plain_size;
        return 0;
}

void pipeline_advance(Pipeline *p, size_t n) {
        assert(p);
        assert(p->current);
        assert(n <= FRAME_DATA_MAX - p->current->plain_size);

        p->current->plain_size += n;
        p->offset += n;
}

int pipeline_write(Pipeline *p, const void *data, size_t n) {
        const char *from = data;

        assert(p);
        assert(data || n == 0);

        while (n > 0) {
                void *space;
                size_t room;
                int r;

                r = pipeline_space(p, &space, &room);
                if (r < 0)
                        return r;
                room = MIN(room, n);
                memcpy(space, from, room);
                pipeline_advance(p, room);
                from += room;
                n -= room;
        }
        return 0;
}

int pipeline_zeros(Pipeline *p, uint64_t n) {
        assert(p);

        while (n > 0) {
                void *space;
                size_t room;
                int r;

                r = pipeline_space(p, &space, &room);
                if (r < 0)
                        return r;
                room = (size_t) MIN((uint64_t) room, n);
                memset(space, 0, room);
                pipeline_advance(p, room);
                n -= room;
        }
        return 0;
}

uint64_t pipeline_offset(const Pipeline *p) {
        assert(p);

        return p->offset;
}

int pipeline_finish(Pipeline *p, PipelineResult *ret) {
        int r;

        assert(p);
        assert(ret);

        slot_send(p);
        (void) pthread_mutex_lock(&p->lock);
        p->ended = true;
        (void) pthread_cond_broadcast(&p->changed);
        (void) pthread_mutex_unlock(&p->lock);
        threads_join(p);
        if (p->error < 0)
                return p->error;
        r = sha256_finish(p->sha256, ret->plain_sha256);
        if (r < 0)
                return r;
        ret->plain_size = p->offset;
        ret->n_frames = p->written;
        ret->stream_size = p->stream_size;
        return 0;
}
