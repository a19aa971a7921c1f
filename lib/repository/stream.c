/* SPDX-License-Identifier: Apache-2.0 */

/* A ring of slots, in the order in which they were added. Slots of neighbouring blobs in one pack make a
 * group: it is read with one call, by the helper that takes it. A slot is taken out when it is ready, so the
 * order stays, whichever helper is faster. The group that is being made is given to the helpers when the
 * next blob does not belong to it, or when the one who adds has to wait. */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "repository/chunker.h"
#include "repository/stream.h"

#define SLOTS 4096
#define GROUPS 512
#define ZEROS_MAX 16
#define ZEROS_FIXED 2
#define GROUP_BYTES ((uint64_t) 2 << 20) /* sealed; a single blob may have more */
#define GROUP_GAP (64U << 10)            /* bytes that are read for nothing rather than asked for anew */

typedef struct Slot {
        uint64_t number; /* since the beginning */
        void *mark;
        PackBlob blob;
        uint8_t *data;
        uint32_t size;
        bool counted; /* in the bytes of the stream */
        bool ready;
        int error;
} Slot;

/* A blob of nothing but zeros. */
typedef struct Zeros {
        Id id;
        uint32_t size;
} Zeros;

typedef struct Group {
        uint64_t first, end; /* of slots; marks between them do not count */
        uint32_t pack;
        uint64_t from, to; /* bytes of the pack */
} Group;

struct BlobStream {
        Repository *repository;
        const RepoIndex *index;
        pthread_mutex_t lock;
        pthread_cond_t room, work, ready;
        pthread_t threads[STREAM_THREADS_MAX];
        unsigned n_threads;
        bool stop, ended, has_open;
        int result;
        uint64_t added, taken; /* slots */
        uint64_t groups_added, groups_taken;
        size_t bytes;           /* of content in slots that were not taken */
        Group open;             /* being made */
        uint8_t *last;          /* the data that the taker has */
        Zeros zeros[ZEROS_MAX]; /* as both chunkers cut them; then what was found */
        size_t n_zeros, next_zeros;
        Slot slots[SLOTS];
        Group groups[GROUPS];
};

/* --- Helpers ----------------------------------------------------------------------------------------- */

typedef struct Helper {
        BlobStream *stream;
        BlobDecoder *decoder;
        BlobReader *reader; /* for blobs whose first place is damaged */
        uint8_t *sealed;
        size_t allocated;
} Helper;

static void helper_done(Helper *h) {
        blob_decoder_free(h->decoder);
        blob_reader_free(h->reader);
        free(h->sealed);
}

/* Reads what the group needs; fewer bytes where the pack is shorter than the index says. */
static ssize_t read_group(Helper *h, const Group *g) {
        size_t size = (size_t) (g->to - g->from);
        _cleanup_(freep) char *key = NULL;
        int r;

        if (size > h->allocated) {
                free(h->sealed);
                h->sealed = malloc(size);
                h->allocated = h->sealed ? size : 0;
                if (!h->sealed)
                        return -ENOMEM;
        }
        r = repository_path(h->stream->repository, REPO_FILE_PACK,
                            repo_index_pack(h->stream->index, g->pack), &key);
        if (r < 0)
                return r;
        return storage_read_at(repository_storage(h->stream->repository), key, g->from, h->sealed, size,
                               /* reterr_failure= */ NULL);
}

/* Tries everything that the index knows of the blob. */
static int read_elsewhere(Helper *h, Slot *s) {
        _cleanup_buffer_ Buffer content = BUFFER_NULL;
        int r;

        if (!h->reader) {
                r = blob_reader_new(h->stream->repository, h->stream->index, &h->reader);
                if (r < 0)
                        return r;
        }
        r = blob_reader_get(h->reader, s->blob.type, &s->blob.id, &content, NULL);
        if (r < 0)
                return r;
        s->size = (uint32_t) content.size;
        s->data = (uint8_t *) buffer_take(&content);
        return s->data ? 0 : -ENOMEM;
}

static int fill_slot(Helper *h, const Group *g, ssize_t n, Slot *s) {
        _cleanup_(freep) uint8_t *data = NULL;
        uint64_t at = s->blob.offset - g->from;
        int r;

        assert(h);
        assert(s);

        r = n < 0 ? (int) n : at + s->blob.length > (uint64_t) n ? -EBADMSG :
                                                                   0;
        if (r >= 0) {
                data = malloc(s->size > 0 ? s->size : 1);
                r = data ? blob_decode(h->decoder, &s->blob, h->sealed + at, data) : -ENOMEM;
        }
        if (r >= 0) {
                s->data = TAKE_PTR(data);
                return 0;
        }
        return r == -ENOMEM || r == -ECANCELED ? r : read_elsewhere(h, s);
}

/* The rest of a hole is cut to the same size again and again: the first such blob tells of the others. */
static void find_hole(BlobStream *s, Slot *slot) {
        Zeros *z;

        if (!slot->data || slot->size == 0 || slot->data[0] != 0 ||
            memcmp(slot->data, slot->data + 1, slot->size - 1) != 0)
                return;
        slot->data = mfree(slot->data);
        (void) pthread_mutex_lock(&s->lock);
        z = s->zeros + ZEROS_FIXED + s->next_zeros++ % (ZEROS_MAX - ZEROS_FIXED);
        *z = (Zeros){ slot->blob.id, slot->size };
        s->n_zeros = MAX(s->n_zeros, (size_t) (z - s->zeros) + 1);
        (void) pthread_mutex_unlock(&s->lock);
}

/* Whether slot i is a blob of the group that is worked on. Marks between its blobs may have been taken by
 * now, and their slots be used again. */
static bool is_waiting(BlobStream *s, uint64_t i) {
        const Slot *slot = s->slots + i % SLOTS;
        bool waiting;

        (void) pthread_mutex_lock(&s->lock);
        waiting = slot->number == i && !slot->ready;
        (void) pthread_mutex_unlock(&s->lock);
        return waiting;
}

static void work_on(Helper *h, const Group *g) {
        BlobStream *s = h->stream;
        ssize_t n;

        n = read_group(h, g);
        for (uint64_t i = g->first; i < g->end; i++) {
                Slot *slot = s->slots + i % SLOTS;

                if (!is_waiting(s, i))
                        continue;
                slot->error = fill_slot(h, g, n, slot);
                find_hole(s, slot);
                (void) pthread_mutex_lock(&s->lock);
                slot->ready = true;
                if (i == s->taken)
                        (void) pthread_cond_signal(&s->ready);
                (void) pthread_mutex_unlock(&s->lock);
        }
}

/* The next group, or false when there will be none. */
static bool take_group(BlobStream *s, Group *ret) {
        bool there;

        (void) pthread_mutex_lock(&s->lock);
        while (!s->stop && s->groups_taken == s->groups_added && !s->ended)
                (void) pthread_cond_wait(&s->work, &s->lock);
        there = !s->stop && s->groups_taken < s->groups_added;
        if (there)
                *ret = s->groups[s->groups_taken++ % GROUPS];
        (void) pthread_mutex_unlock(&s->lock);
        return there;
}

static void *help(void *userdata) {
        _cleanup_(helper_done) Helper h = { .stream = ASSERT_PTR(userdata) };
        Group g;
        int r;

        r = blob_decoder_new(repository_key(h.stream->repository), &h.decoder);
        if (r < 0) { /* the taker must not wait for what never comes */
                (void) pthread_mutex_lock(&h.stream->lock);
                h.stream->stop = h.stream->ended = true;
                h.stream->result = r;
                (void) pthread_cond_broadcast(&h.stream->ready);
                (void) pthread_cond_broadcast(&h.stream->room);
                (void) pthread_mutex_unlock(&h.stream->lock);
                return NULL;
        }
        while (take_group(h.stream, &g))
                work_on(&h, &g);
        return NULL;
}

/* --- Making ------------------------------------------------------------------------------------------ */

static int find_zeros(BlobStream *s) {
        _cleanup_(freep) uint8_t *zeros = new0(uint8_t, CHUNK_MAX);
        int r;

        if (!zeros)
                return -ENOMEM;
        s->zeros[0].size = CHUNK_MIN;
        s->zeros[1].size = CHUNK_MAX;
        s->n_zeros = ZEROS_FIXED;
        r = id_of(zeros, CHUNK_MIN, &s->zeros[0].id);
        return r < 0 ? r : id_of(zeros, CHUNK_MAX, &s->zeros[1].id);
}

BlobStream *blob_stream_free(BlobStream *s, BlobStreamMarkFree mark_free) {
        if (!s)
                return NULL;
        blob_stream_stop(s);
        for (unsigned i = 0; i < s->n_threads; i++)
                (void) pthread_join(s->threads[i], NULL);
        for (uint64_t i = s->taken; i < s->added; i++) {
                Slot *slot = s->slots + i % SLOTS;

                if (slot->mark && mark_free)
                        mark_free(slot->mark);
                free(slot->data);
        }
        free(s->last);
        (void) pthread_cond_destroy(&s->room);
        (void) pthread_cond_destroy(&s->work);
        (void) pthread_cond_destroy(&s->ready);
        (void) pthread_mutex_destroy(&s->lock);
        return mfree(s);
}

int blob_stream_new(Repository *r, const RepoIndex *x, unsigned n_threads, BlobStream **ret) {
        BlobStream *s;
        int k;

        assert(r);
        assert(x);
        assert(n_threads > 0 && n_threads <= STREAM_THREADS_MAX);
        assert(ret);

        s = new0(BlobStream, 1);
        if (!s)
                return -ENOMEM;
        s->repository = r;
        s->index = x;
        (void) pthread_mutex_init(&s->lock, NULL);
        (void) pthread_cond_init(&s->room, NULL);
        (void) pthread_cond_init(&s->work, NULL);
        (void) pthread_cond_init(&s->ready, NULL);
        k = find_zeros(s);
        for (unsigned i = 0; i < n_threads && k >= 0; i++) {
                k = -pthread_create(s->threads + i, NULL, help, s);
                s->n_threads += k >= 0;
        }
        if (k < 0) {
                (void) blob_stream_free(s, NULL);
                return k;
        }
        *ret = s;
        return 0;
}

/* --- Adding ------------------------------------------------------------------------------------------ */

/* Gives the group that is being made to the helpers. */
static void close_group(BlobStream *s) {
        if (!s->has_open)
                return;
        s->groups[s->groups_added++ % GROUPS] = s->open;
        s->has_open = false;
        (void) pthread_cond_signal(&s->work);
}

/* The lock is held, here and below. */
static bool has_room(const BlobStream *s, size_t size) {
        return s->added - s->taken < SLOTS && s->groups_added - s->groups_taken < GROUPS - 1 &&
                        (s->bytes == 0 || s->bytes + size <= STREAM_BYTES);
}

static int wait_room(BlobStream *s, size_t size) {
        while (!s->stop && !has_room(s, size)) {
                close_group(s);
                (void) pthread_cond_wait(&s->room, &s->lock);
        }
        return s->stop ? -ECANCELED : 0;
}

/* A slot that needs no work. */
static void add_ready(BlobStream *s, const Slot *slot) {
        s->slots[s->added % SLOTS] = *slot;
        s->slots[s->added % SLOTS].ready = true;
        s->slots[s->added % SLOTS].number = s->added;
        if (s->added++ == s->taken)
                (void) pthread_cond_signal(&s->ready);
}

int blob_stream_mark(BlobStream *s, void *mark) {
        int r;

        assert(s);
        assert(mark);

        (void) pthread_mutex_lock(&s->lock);
        r = wait_room(s, 0);
        if (r >= 0)
                add_ready(s, &(Slot){ .mark = mark });
        (void) pthread_mutex_unlock(&s->lock);
        return r;
}

static bool is_zeros(const BlobStream *s, const PackBlob *b) {
        for (size_t i = 0; i < s->n_zeros; i++)
                if (pack_blob_plain_length(b) == s->zeros[i].size && id_equal(&b->id, &s->zeros[i].id))
                        return true;
        return false;
}

/* Adds the blob to the group that is being made, or to a new one. */
static void add_to_group(BlobStream *s, const IndexEntry *e) {
        const PackBlob *b = &e->blob;
        Group *g = &s->open;

        if (s->has_open &&
            (g->pack != e->pack || b->offset < g->to || b->offset > g->to + GROUP_GAP ||
             b->offset + (uint64_t) b->length - g->from > GROUP_BYTES))
                close_group(s);
        if (!s->has_open) {
                *g = (Group){ .first = s->added, .pack = e->pack, .from = b->offset };
                s->has_open = true;
        }
        g->to = b->offset + (uint64_t) b->length;
        s->slots[s->added % SLOTS] = (Slot){
                .number = s->added, .blob = *b, .size = pack_blob_plain_length(b), .counted = true
        };
        s->bytes += pack_blob_plain_length(b);
        g->end = ++s->added;
}

int blob_stream_add(BlobStream *s, const Id *id) {
        uint64_t cursor = 0;
        IndexEntry e = {};
        bool known;
        int r;

        assert(s);
        assert(id);

        known = repo_index_find(s->index, BLOB_DATA, id, &cursor, &e);
        (void) pthread_mutex_lock(&s->lock);
        r = wait_room(s, known ? pack_blob_plain_length(&e.blob) : 0);
        if (r >= 0 && !known)
                add_ready(s, &(Slot){ .blob = { .id = *id }, .error = -ENOENT });
        else if (r >= 0 && is_zeros(s, &e.blob))
                add_ready(s, &(Slot){ .blob = e.blob, .size = pack_blob_plain_length(&e.blob) });
        else if (r >= 0)
                add_to_group(s, &e);
        (void) pthread_mutex_unlock(&s->lock);
        return r;
}

void blob_stream_end(BlobStream *s, int error) {
        assert(s);

        (void) pthread_mutex_lock(&s->lock);
        close_group(s);
        s->ended = true;
        if (s->result >= 0)
                s->result = error;
        (void) pthread_cond_broadcast(&s->work);
        (void) pthread_cond_signal(&s->ready);
        (void) pthread_mutex_unlock(&s->lock);
}

/* --- Taking ------------------------------------------------------------------------------------------ */

int blob_stream_next(BlobStream *s, BlobStreamItem *ret) {
        Slot *slot;
        int r = 1;

        assert(s);
        assert(ret);

        free(s->last);
        s->last = NULL;
        (void) pthread_mutex_lock(&s->lock);
        slot = s->slots + s->taken % SLOTS;
        while (!s->stop && !(s->taken < s->added && slot->ready) && !(s->ended && s->taken == s->added))
                (void) pthread_cond_wait(&s->ready, &s->lock);
        if (s->stop || s->taken == s->added)
                r = s->stop && s->result >= 0 ? -ECANCELED : s->result;
        else {
                *ret = (BlobStreamItem){ slot->mark, slot->blob, slot->data, slot->size, slot->error };
                s->last = slot->data;
                slot->data = NULL;
                s->taken++;
                if (slot->counted)
                        s->bytes -= MIN(s->bytes, (size_t) pack_blob_plain_length(&slot->blob));
                (void) pthread_cond_signal(&s->room);
        }
        (void) pthread_mutex_unlock(&s->lock);
        return r;
}

void blob_stream_stop(BlobStream *s) {
        assert(s);

        (void) pthread_mutex_lock(&s->lock);
        s->stop = true;
        (void) pthread_cond_broadcast(&s->room);
        (void) pthread_cond_broadcast(&s->work);
        (void) pthread_cond_broadcast(&s->ready);
        (void) pthread_mutex_unlock(&s->lock);
}
