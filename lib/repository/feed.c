/* SPDX-License-Identifier: Apache-2.0 */

/* The file that is read stands at the end of the current job: a chunk stays there and is a blob of the job.
 * Nothing is copied but what was read beyond the last chunk of a job, at most one piece.
 *
 * To read and cut takes one processor half as long as to hash. So a chunk is handed on without its hash, and
 * a file that has not changed is read on one processor while it is hashed on another. The worker puts the id
 * in its place in the list of the file, for whose end the feeder waits. What is small, though, the feeder
 * hashes at once: it is overwritten by what follows where it is known. */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "repository/feed.h"
#include "repository/sealer.h"

#define WORKERS 2
/* One each worker, one for the feeder, and one so that nobody waits for the other. */
#define JOBS 4
#define PIECE ((size_t) 256 << 10)
/* A job goes to a worker when it has this much, or so many blobs. */
#define JOB_FULL ((size_t) 512 << 10)
#define JOB_BLOBS_MAX 128
#define JOB_CAPACITY (JOB_FULL + CHUNK_MAX + PIECE)
/* Each chunk but the last of a file fills its job, which so is worked on at once. */
_Static_assert(CHUNK_MIN >= JOB_FULL, "a worker has to come to what is waited for");
/* Memory that an idle job keeps. */
#define JOB_KEEP ((size_t) 1536 << 10)
#define ZERO_SIZES 8
/* Of zstd: higher ones take tens of MiB, beside those that the workers have. */
#define PACKED_LEVEL_MAX 3

typedef struct JobBlob {
        Id id;
        BlobType type;
        bool late;       /* id and wanted are for the worker to find */
        uint32_t wanted; /* a bit a repository */
        size_t offset, n;
        size_t packed; /* of the big one: it is compressed to so much; 0: it is not */
        size_t number; /* late: of the blob in its file */
} JobBlob;

typedef struct Job {
        struct Job *next;
        uint8_t *data;
        size_t used; /* by blobs */
        JobBlob blobs[JOB_BLOBS_MAX];
        size_t n_blobs;
        uint8_t *big; /* the only blob, where it is larger than the job's memory */
} Job;

/* The id of zeros of a size. */
typedef struct ZeroId {
        size_t n;
        Id id;
} ZeroId;

typedef struct Target {
        FeedTarget given;
        RepoIndex *fresh; /* what the given index does not have: it is under way, or stored by now */
        uint32_t pending; /* the number of its only pack, which has no name */
        atomic_bool lost;
} Target;

typedef struct Worker {
        Feed *feed; /* weak */
        Sealer *sealer;
        pthread_t thread;
        bool started;
} Worker;

struct Feed {
        const Chunker *chunker;
        Target targets[FEED_TARGETS_MAX];
        size_t n_targets;
        bool compress; /* any of them */
        int level;

        pthread_mutex_t lock;
        pthread_cond_t changed;
        Job jobs[JOBS];
        Job *idle, *first, **last;
        unsigned n_busy; /* queued or being worked on */
        bool ended;
        int error;
        IdList ids;    /* of the file that is read */
        size_t n_late; /* of them, those that workers have yet to find */
        atomic_uint_fast64_t new_bytes, new_blobs;
        Worker workers[WORKERS];

        /* The feeder's alone. */
        Job *job;
        size_t rest; /* bytes of the file behind job->used */
        size_t seen; /* of them, those that the chunker saw */
        ZeroId zeros[ZERO_SIZES];
        unsigned next_zero;
};

void id_list_done(IdList *l) {
        free(l->ids);
        *l = ID_LIST_NULL;
}

int id_list_add(IdList *l, const Id *id) {
        assert(l);

        if (l->n == l->n_allocated) {
                size_t n = l->n_allocated == 0 ? 8 : 2 * l->n_allocated;
                Id *grown = reallocarray(l->ids, n, sizeof *grown);

                if (!grown)
                        return -ENOMEM;
                l->ids = grown;
                l->n_allocated = n;
        }
        l->ids[l->n++] = *id;
        return 0;
}

static int set_error(Feed *f, int error) {
        (void) pthread_mutex_lock(&f->lock);
        if (f->error == 0)
                f->error = error;
        (void) pthread_cond_broadcast(&f->changed);
        (void) pthread_mutex_unlock(&f->lock);
        return error;
}

void feed_stop(Feed *f, int error) {
        assert(f);
        assert(error < 0);

        (void) set_error(f, error);
}

/* --- What is known ------------------------------------------------------------------------------------ */

/* With the lock. */
static bool target_has(const Target *t, BlobType type, const Id *id) {
        return repo_index_has(t->given.index, type, id) || repo_index_has(t->fresh, type, id);
}

bool feed_knows(Feed *f, BlobType type, const Id *id) {
        bool knows = true;

        assert(f);
        assert(id);

        (void) pthread_mutex_lock(&f->lock);
        for (size_t i = 0; knows && i < f->n_targets; i++)
                knows = f->targets[i].lost || target_has(&f->targets[i], type, id);
        (void) pthread_mutex_unlock(&f->lock);
        return knows;
}

/* With the lock: the repositories that do not have this blob; it is under way to them from now on. */
static int find_wanted(Feed *f, JobBlob *b) {
        const PackBlob pending = { .id = b->id, .type = b->type, .length = CIPHER_OVERHEAD };
        size_t left = 0;

        b->wanted = 0;
        for (size_t i = 0; i < f->n_targets; i++) {
                Target *t = &f->targets[i];
                int r;

                if (t->lost)
                        continue;
                left++;
                if (target_has(t, b->type, &b->id))
                        continue;
                r = repo_index_add(t->fresh, t->pending, &pending);
                if (r < 0)
                        return r;
                b->wanted |= UINT32_C(1) << i;
        }
        if (b->wanted != 0) {
                f->new_bytes += b->n;
                f->new_blobs++;
        }
        return left > 0 ? 0 : -EPIPE;
}

/* --- Workers ------------------------------------------------------------------------------------------ */

static Job *job_take(Feed *f) {
        Job *job = NULL;

        (void) pthread_mutex_lock(&f->lock);
        while (f->error == 0 && !f->first && !f->ended)
                (void) pthread_cond_wait(&f->changed, &f->lock);
        if (f->error == 0 && f->first) {
                job = f->first;
                f->first = job->next;
                if (!f->first)
                        f->last = &f->first;
        }
        (void) pthread_mutex_unlock(&f->lock);
        return job;
}

static void job_release(Feed *f, Job *job) {
        job->big = mfree(job->big);
        if (job->used > JOB_KEEP)
                (void) madvise(job->data + JOB_KEEP, JOB_CAPACITY - JOB_KEEP, MADV_DONTNEED);
        job->used = job->n_blobs = 0;
        (void) pthread_mutex_lock(&f->lock);
        job->next = f->idle;
        f->idle = job;
        f->n_busy--;
        (void) pthread_cond_broadcast(&f->changed);
        (void) pthread_mutex_unlock(&f->lock);
}

/* Into the packs of one repository. A packer that fails loses its repository; what else fails is fatal. */
static int blob_pack(Worker *w, size_t number, const JobBlob *blob) {
        Target *t = &w->feed->targets[number];
        PackBlob b = { .id = blob->id, .type = blob->type };
        PackSlot slot;
        int r;

        sealer_measure(w->sealer, t->given.compress, &b);
        if (packer_reserve(t->given.packer, &b, &slot) < 0) {
                t->lost = true;
                return 0;
        }
        r = sealer_seal(w->sealer, number, &b, slot.data);
        if (r < 0)
                packer_stop(t->given.packer, r);
        packer_filled(t->given.packer, &slot);
        return r;
}

static int blob_work(Worker *w, const Job *job, const JobBlob *blob) {
        const uint8_t *data = job->big ?: job->data + blob->offset;
        int r;

        if (blob->packed > 0)
                r = sealer_load_packed(w->sealer, &blob->id, blob->n, job->big, blob->packed);
        else
                r = sealer_load(w->sealer, data, blob->n, w->feed->compress);
        for (size_t i = 0; r >= 0 && i < w->feed->n_targets; i++)
                if (blob->wanted & UINT32_C(1) << i && !w->feed->targets[i].lost)
                        r = blob_pack(w, i, blob);
        return r;
}

/* What was left to us: the id of a chunk, for the list of its file, and who wants it. */
static int blob_identify(Feed *f, const Job *job, JobBlob *blob) {
        int r;

        r = id_of(job->data + blob->offset, blob->n, &blob->id);
        (void) pthread_mutex_lock(&f->lock);
        if (r >= 0)
                r = find_wanted(f, blob);
        if (r >= 0) {
                f->ids.ids[blob->number] = blob->id;
                if (--f->n_late == 0)
                        (void) pthread_cond_broadcast(&f->changed);
        }
        (void) pthread_mutex_unlock(&f->lock);
        return r;
}

/* What the feeder may wait for comes first. */
static int job_work(Worker *w, Job *job) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < job->n_blobs; i++)
                if (job->blobs[i].late)
                        r = blob_identify(w->feed, job, &job->blobs[i]);
        for (size_t i = 0; r >= 0 && i < job->n_blobs; i++)
                if (job->blobs[i].wanted != 0)
                        r = blob_work(w, job, &job->blobs[i]);
        return r;
}

static void *work_main(void *userdata) {
        Worker *w = ASSERT_PTR(userdata);
        Job *job;

        while ((job = job_take(w->feed))) {
                int r = job_work(w, job);

                if (r < 0)
                        (void) set_error(w->feed, r);
                job_release(w->feed, job);
        }
        return NULL;
}

/* --- Jobs --------------------------------------------------------------------------------------------- */

static void job_submit(Feed *f) {
        Job *job = TAKE_PTR(f->job);

        (void) pthread_mutex_lock(&f->lock);
        job->next = NULL;
        *f->last = job;
        f->last = &job->next;
        f->n_busy++;
        (void) pthread_cond_broadcast(&f->changed);
        (void) pthread_mutex_unlock(&f->lock);
}

/* An empty job for the feeder; waits until there is one. */
static int job_get(Feed *f) {
        int r;

        if (f->job)
                return 0;
        (void) pthread_mutex_lock(&f->lock);
        while (f->error == 0 && !f->idle)
                (void) pthread_cond_wait(&f->changed, &f->lock);
        r = f->error;
        if (r == 0) {
                f->job = f->idle;
                f->idle = f->job->next;
        }
        (void) pthread_mutex_unlock(&f->lock);
        return r;
}

/* Hands the job on where it is full; the rest of the file goes to the next one. */
static int job_turn(Feed *f) {
        Job *full = f->job, *next;
        int r;

        if (full->used < JOB_FULL && full->n_blobs < JOB_BLOBS_MAX)
                return 0;
        f->job = NULL;
        r = job_get(f);
        next = f->job;
        f->job = full;
        if (r < 0)
                return r;
        memcpy(next->data, full->data + full->used, f->rest);
        job_submit(f);
        f->job = next;
        return 0;
}

static void job_add(Feed *f, const JobBlob *b) {
        Job *job = f->job;

        job->blobs[job->n_blobs] = *b;
        job->blobs[job->n_blobs++].offset = job->used;
        job->used += b->n;
}

/* The first n bytes of the rest are a blob. id: NULL where a worker is to find it. */
static int rest_take(Feed *f, size_t n, const Id *id) {
        JobBlob b = { .type = BLOB_DATA, .late = !id, .id = id ? *id : (Id){}, .n = n };
        Job *job = f->job;
        int r;

        (void) pthread_mutex_lock(&f->lock);
        b.number = f->ids.n;
        r = id_list_add(&f->ids, &b.id);
        if (r >= 0 && b.late)
                f->n_late++;
        else if (r >= 0)
                r = find_wanted(f, &b);
        (void) pthread_mutex_unlock(&f->lock);
        if (r < 0)
                return r;
        f->rest -= n;
        f->seen = 0;
        if (!b.late && b.wanted == 0) {
                memmove(job->data + job->used, job->data + job->used + n, f->rest);
                return 0;
        }
        job_add(f, &b);
        return job_turn(f);
}

/* What is left of a file, or comes before a hole. Nearly all files have no more than this one chunk, so the
 * hash is made here: to hand it on would take longer. */
static int rest_end(Feed *f) {
        Id id;
        int r;

        if (f->rest == 0)
                return 0;
        r = id_of(f->job->data + f->job->used, f->rest, &id);
        return r < 0 ? r : rest_take(f, f->rest, &id);
}

/* A blob of the file that is there already. */
static int file_add(Feed *f, const Id *id) {
        int r;

        (void) pthread_mutex_lock(&f->lock);
        r = id_list_add(&f->ids, id);
        (void) pthread_mutex_unlock(&f->lock);
        return r;
}

/* Gives the blobs of the file, as soon as each is known. */
static int file_end(Feed *f, IdList *l) {
        IdList taken;
        int r;

        (void) pthread_mutex_lock(&f->lock);
        while (f->error == 0 && f->n_late > 0)
                (void) pthread_cond_wait(&f->changed, &f->lock);
        r = f->error;
        if (r == 0 && l->n == 0) {
                taken = f->ids;
                f->ids = *l;
                *l = taken;
        }
        for (size_t i = 0; r == 0 && i < f->ids.n; i++)
                r = id_list_add(l, &f->ids.ids[i]);
        f->ids.n = 0;
        (void) pthread_mutex_unlock(&f->lock);
        return r;
}

/* --- Zeros -------------------------------------------------------------------------------------------- */

/* Zeros of few sizes come again and again. data holds them, or is NULL. */
static int zeros_id(Feed *f, const uint8_t *data, size_t n, Id *ret) {
        _cleanup_(freep) uint8_t *made = NULL;
        ZeroId *z;
        int r;

        for (size_t i = 0; i < ZERO_SIZES; i++)
                if (f->zeros[i].n == n) {
                        *ret = f->zeros[i].id;
                        return 0;
                }
        if (!data)
                data = made = calloc(1, n);
        if (!data)
                return -ENOMEM;
        r = id_of(data, n, ret);
        if (r < 0)
                return r;
        z = &f->zeros[f->next_zero++ % ZERO_SIZES];
        z->n = n;
        z->id = *ret;
        return 0;
}

static int zeros_blob(Feed *f, size_t n) {
        uint8_t *room;
        size_t space;
        Id id;
        int r;

        r = zeros_id(f, NULL, n, &id);
        if (r < 0)
                return r;
        if (feed_knows(f, BLOB_DATA, &id))
                return file_add(f, &id);
        r = feed_space(f, &room, &space);
        if (r < 0)
                return r;
        memset(f->job->data + f->job->used, 0, n);
        f->rest = n;
        return rest_take(f, n, &id);
}

int feed_zeros(Feed *f, uint64_t n) {
        int r;

        assert(f);

        r = rest_end(f);
        while (r >= 0 && n > 0) {
                size_t k = (size_t) MIN(n, (uint64_t) chunker_zeros(f->chunker));

                r = zeros_blob(f, k);
                n -= k;
        }
        return r;
}

/* --- Files -------------------------------------------------------------------------------------------- */

/* A chunk that is followed by more of its file. */
static int chunk_take(Feed *f, size_t n) {
        const uint8_t *p = f->job->data + f->job->used;
        Id id;
        int r;

        if (n != chunker_zeros(f->chunker) || p[0] != 0 || memcmp(p, p + 1, n - 1) != 0)
                return rest_take(f, n, NULL);
        r = zeros_id(f, p, n, &id);
        return r < 0 ? r : rest_take(f, n, &id);
}

int feed_space(Feed *f, uint8_t **ret, size_t *ret_n) {
        int r;

        assert(f);
        assert(ret);
        assert(ret_n);

        r = job_get(f);
        if (r < 0)
                return r;
        assert(f->rest < CHUNK_MAX);
        *ret = f->job->data + f->job->used + f->rest;
        *ret_n = PIECE;
        return 0;
}

int feed_advance(Feed *f, size_t n) {
        size_t cut;
        int r;

        assert(f);
        assert(f->job);
        assert(n <= PIECE);

        f->rest += n;
        for (;;) {
                cut = chunker_cut(f->chunker, f->job->data + f->job->used, f->seen, f->rest);
                if (cut == 0)
                        break;
                r = chunk_take(f, cut);
                if (r < 0)
                        return r;
        }
        f->seen = f->rest;
        return 0;
}

int feed_end(Feed *f, IdList *l) {
        int r;

        assert(f);
        assert(l);

        r = rest_end(f);
        return r < 0 ? r : file_end(f, l);
}

/* --- Whole blobs -------------------------------------------------------------------------------------- */

/* One that is larger than the memory of a job keeps its own. */
static int blob_big(Feed *f, const JobBlob *blob, Buffer *b) {
        int r;

        if (f->job->n_blobs > 0)
                job_submit(f);
        r = job_get(f);
        if (r < 0)
                return r;
        f->job->big = (uint8_t *) buffer_take(b);
        job_add(f, blob);
        f->job->used = 0;
        job_submit(f);
        return 0;
}

static int blob_add(Feed *f, const JobBlob *blob, Buffer *b) {
        int r;

        r = job_get(f);
        if (r < 0)
                return r;
        if (b->size > CHUNK_MAX)
                return blob_big(f, blob, b);
        memcpy(f->job->data + f->job->used, b->data, b->size);
        job_add(f, blob);
        return job_turn(f);
}

int feed_blob(Feed *f, BlobType type, Buffer *b, Id *ret) {
        JobBlob blob = { .type = type };
        int r;

        assert(f);
        assert(f->rest == 0);
        assert(b && b->size > 0);
        assert(ret);

        blob.n = b->size;
        r = id_of(b->data, b->size, &blob.id);
        if (r < 0)
                return r;
        (void) pthread_mutex_lock(&f->lock);
        r = find_wanted(f, &blob);
        (void) pthread_mutex_unlock(&f->lock);
        if (r >= 0 && blob.wanted != 0)
                r = blob_add(f, &blob, b);
        if (r < 0)
                return r;
        *ret = blob.id;
        return 0;
}

int feed_blob_packed(Feed *f, BlobType type, const Id *id, size_t n, Buffer *packed) {
        JobBlob blob = { .id = *id, .type = type, .n = n, .packed = packed->size };
        int r;

        assert(f);
        assert(f->rest == 0);
        assert(n > 0 && packed->size > 0);

        (void) pthread_mutex_lock(&f->lock);
        r = find_wanted(f, &blob);
        (void) pthread_mutex_unlock(&f->lock);
        if (r < 0 || blob.wanted == 0)
                return r;
        r = job_get(f);
        return r < 0 ? r : blob_big(f, &blob, packed);
}

int feed_compressor(const Feed *f, Compressor **ret) {
        assert(f);
        assert(ret);

        for (size_t i = 0; i < f->n_targets; i++)
                if (!f->targets[i].given.compress)
                        return -EOPNOTSUPP;
        return compressor_new(MIN(f->level, PACKED_LEVEL_MAX), ret);
}

/* --- The face ----------------------------------------------------------------------------------------- */

uint64_t feed_new_bytes(const Feed *f) {
        assert(f);

        return f->new_bytes;
}

uint64_t feed_new_blobs(const Feed *f) {
        assert(f);

        return f->new_blobs;
}

int feed_finish(Feed *f) {
        int r;

        assert(f);
        assert(f->rest == 0);

        if (f->job && f->job->n_blobs > 0)
                job_submit(f);
        (void) pthread_mutex_lock(&f->lock);
        while (f->error == 0 && f->n_busy > 0)
                (void) pthread_cond_wait(&f->changed, &f->lock);
        r = f->error;
        (void) pthread_mutex_unlock(&f->lock);
        return r;
}

Feed *feed_free(Feed *f) {
        if (!f)
                return NULL;
        (void) pthread_mutex_lock(&f->lock);
        f->ended = true;
        if (f->error == 0)
                f->error = -ECANCELED;
        (void) pthread_cond_broadcast(&f->changed);
        (void) pthread_mutex_unlock(&f->lock);
        for (size_t i = 0; i < WORKERS; i++) {
                if (f->workers[i].started)
                        (void) pthread_join(f->workers[i].thread, NULL);
                sealer_free(f->workers[i].sealer);
        }
        for (size_t i = 0; i < f->n_targets; i++)
                repo_index_free(f->targets[i].fresh);
        for (size_t i = 0; i < JOBS; i++) {
                if (f->jobs[i].data)
                        (void) munmap(f->jobs[i].data, JOB_CAPACITY);
                free(f->jobs[i].big);
        }
        id_list_done(&f->ids);
        (void) pthread_cond_destroy(&f->changed);
        (void) pthread_mutex_destroy(&f->lock);
        return mfree(f);
}

static int jobs_new(Feed *f) {
        for (size_t i = 0; i < JOBS; i++) {
                void *p = mmap(NULL, JOB_CAPACITY, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

                if (p == MAP_FAILED)
                        return -ENOMEM;
                f->jobs[i].data = p;
                f->jobs[i].next = f->idle;
                f->idle = &f->jobs[i];
        }
        return 0;
}

static int workers_start(Feed *f, const FeedArgs *args) {
        const CipherKey *keys[FEED_TARGETS_MAX];
        int r;

        for (size_t i = 0; i < args->n_targets; i++)
                keys[i] = args->targets[i].key;
        for (size_t i = 0; i < WORKERS; i++) {
                Worker *w = &f->workers[i];

                w->feed = f;
                r = sealer_new(keys, args->n_targets, args->level, args->verify, &w->sealer);
                if (r < 0)
                        return r;
                r = pthread_create(&w->thread, NULL, work_main, w);
                if (r != 0)
                        return -r;
                w->started = true;
        }
        return 0;
}

int feed_new(const FeedArgs *args, Feed **ret) {
        _cleanup_(feed_freep) Feed *f = NULL;
        int r = 0;

        assert(args);
        assert(args->chunker);
        assert(args->n_targets > 0 && args->n_targets <= FEED_TARGETS_MAX);
        assert(ret);

        f = new0(Feed, 1);
        if (!f)
                return -ENOMEM;
        (void) pthread_mutex_init(&f->lock, NULL);
        (void) pthread_cond_init(&f->changed, NULL);
        f->chunker = args->chunker;
        f->level = args->level;
        f->last = &f->first;
        for (; f->n_targets < args->n_targets && r >= 0; f->n_targets++) {
                Target *t = &f->targets[f->n_targets];

                t->given = args->targets[f->n_targets];
                f->compress |= t->given.compress;
                r = repo_index_new(&t->fresh);
                if (r >= 0)
                        r = repo_index_add_pack(t->fresh, &(Id){}, &t->pending);
        }
        if (r >= 0)
                r = jobs_new(f);
        if (r >= 0)
                r = workers_start(f, args);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(f);
        return 0;
}
