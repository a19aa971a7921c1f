/* SPDX-License-Identifier: Apache-2.0 */

/* The listing while the archive is being written. The walk is depth-first, so that the children of a
 * directory come interleaved with those of everything below it: each open directory collects lines of its
 * own and gives them to the common list frame in runs, when there are many or when it is left. Memory: the
 * pending lines of the open directories (limited), one frame of each kind, and 80 bytes for each frame
 * written. */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "archive/listing-text.h"
#include "base/alloc.h"
#include "base/encode.h"

/* Lines of one directory are given away at this size, so that a frame is not much over its own size. */
#define RUN_SIZE (64U << 10)
/* Lines of all open directories; beyond, the largest run is given away early. */
#define PENDING_MAX (1U << 20)
/* The listing compresses to a tenth at any level: the fast one leaves the cores to the data. */
#define LISTING_LEVEL 1
#define TABLE_LINE_FRAMES 64

typedef struct Level {
        char *path;
        Buffer lines;
        uint64_t *frames; /* list frames with children of it */
        size_t n_frames;
} Level;

struct EntriesWriter {
        EntriesSink sink;
        void *userdata;
        pthread_mutex_t lock;
        FrameCompressor *compressor;

        Level *levels;
        size_t n_levels, allocated_levels;
        size_t pending;

        Buffer list, index, table; /* plain bytes of the frames being filled */
        char *index_last;
        size_t table_frames; /* frames in the table */
        uint64_t n_data_frames;
        uint64_t data_offset, data_plain_offset; /* behind the last data frame */
        EntriesFrame table_start;                /* its first, data_offset and data_plain_offset */

        EntriesFrame *frames;
        size_t n_frames, allocated_frames;
        uint64_t n_lists;
        uint64_t offset, plain_offset; /* behind the last frame written */
};

static void level_done(Level *l) {
        free(l->path);
        buffer_done(&l->lines);
        free(l->frames);
}

int entries_writer_new(EntriesSink sink, void *userdata, EntriesWriter **ret) {
        _cleanup_(entries_writer_freep) EntriesWriter *w = NULL;
        int r;

        assert(sink);
        assert(ret);

        w = new0(EntriesWriter, 1);
        if (!w)
                return -ENOMEM;
        w->sink = sink;
        w->userdata = userdata;
        r = pthread_mutex_init(&w->lock, NULL);
        if (r != 0) {
                w = mfree(w);
                return -r;
        }
        r = frame_compressor_new(LISTING_LEVEL, &w->compressor);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}

EntriesWriter *entries_writer_free(EntriesWriter *w) {
        if (!w)
                return NULL;
        for (size_t i = 0; i < w->n_levels; i++)
                level_done(&w->levels[i]);
        free(w->levels);
        for (size_t i = 0; i < w->n_frames; i++)
                free(w->frames[i].last);
        free(w->frames);
        free(w->index_last);
        buffer_done(&w->list);
        buffer_done(&w->index);
        buffer_done(&w->table);
        frame_compressor_free(w->compressor);
        (void) pthread_mutex_destroy(&w->lock);
        return mfree(w);
}

static void unlockp(pthread_mutex_t **lock) {
        (void) pthread_mutex_unlock(*lock);
}

#define _locked_ _cleanup_(unlockp) _unused_

static pthread_mutex_t *locked(pthread_mutex_t *lock) {
        (void) pthread_mutex_lock(lock);
        return lock;
}

/* Compresses what is in plain, writes it and records it with the fields that its kind has. */
static int frame_emit(EntriesWriter *w, Buffer *plain, EntriesFrame record) {
        _cleanup_(freep) void *buf = NULL;
        size_t bound = frame_bound(plain->size);
        int r;

        assert(w);

        if (plain->size == 0)
                return 0;
        if (w->n_frames == w->allocated_frames) {
                size_t n = w->allocated_frames == 0 ? 64 : 2 * w->allocated_frames;
                EntriesFrame *grown = reallocarray(w->frames, n, sizeof *grown);

                if (!grown)
                        return -ENOMEM;
                w->frames = grown;
                w->allocated_frames = n;
        }
        buf = malloc(bound);
        if (!buf)
                return -ENOMEM;
        r = frame_compress(w->compressor, plain->data, plain->size, buf, bound, &record.frame);
        if (r < 0)
                return r;
        record.frame.offset = w->offset;
        record.frame.plain_offset = w->plain_offset;
        w->offset += record.frame.size;
        w->plain_offset += record.frame.plain_size;
        w->frames[w->n_frames++] = record;
        buffer_clear(plain);
        return w->sink(w->userdata, buf, record.frame.size);
}

static int list_emit(EntriesWriter *w) {
        if (w->list.size == 0)
                return 0;
        w->n_lists++;
        return frame_emit(w, &w->list, (EntriesFrame){ .kind = ENTRIES_LIST });
}

static int index_emit(EntriesWriter *w) {
        if (w->index.size == 0)
                return 0;
        return frame_emit(w, &w->index,
                          (EntriesFrame){ .kind = ENTRIES_INDEX, .last = TAKE_PTR(w->index_last) });
}

static int table_emit(EntriesWriter *w) {
        int r;

        assert(w);

        if (w->table_frames == 0)
                return 0;
        r = buffer_add_string(&w->table, "]}\n");
        if (r < 0)
                return r;
        w->table_frames = 0;
        return frame_emit(w, &w->table, w->table_start);
}

/* Gives the pending lines of one level to the list frame. */
static int level_flush(EntriesWriter *w, Level *l) {
        uint64_t *grown;
        int r;

        assert(w);
        assert(l);

        if (l->lines.size == 0)
                return 0;
        r = buffer_add_string(&w->list, "{\"dir\":");
        if (r >= 0)
                r = listing_text_path(&w->list, l->path);
        if (r >= 0)
                r = buffer_add_string(&w->list, "}\n");
        if (r >= 0)
                r = buffer_add(&w->list, l->lines.data, l->lines.size);
        if (r < 0)
                return r;
        w->pending -= l->lines.size;
        buffer_done(&l->lines);
        if (l->n_frames == 0 || l->frames[l->n_frames - 1] != w->n_lists) {
                grown = reallocarray(l->frames, l->n_frames + 1, sizeof *grown);
                if (!grown)
                        return -ENOMEM;
                l->frames = grown;
                l->frames[l->n_frames++] = w->n_lists;
        }
        return w->list.size >= FRAME_LIST_SIZE ? list_emit(w) : 0;
}

int entries_writer_enter(EntriesWriter *w, const char *path) {
        _cleanup_(freep) char *copy = NULL;

        assert(w);
        assert(path);

        _locked_ pthread_mutex_t *lock = locked(&w->lock);
        copy = memdup0(path, strlen(path));
        if (!copy)
                return -ENOMEM;
        if (w->n_levels == w->allocated_levels) {
                size_t n = w->allocated_levels == 0 ? 32 : 2 * w->allocated_levels;
                Level *grown = reallocarray(w->levels, n, sizeof *grown);

                if (!grown)
                        return -ENOMEM;
                w->levels = grown;
                w->allocated_levels = n;
        }
        w->levels[w->n_levels++] = (Level){ .path = TAKE_PTR(copy) };
        return 0;
}

static int pending_limit(EntriesWriter *w) {
        Level *largest = &w->levels[w->n_levels - 1];

        if (largest->lines.size >= RUN_SIZE)
                return level_flush(w, largest);
        if (w->pending <= PENDING_MAX)
                return 0;
        for (size_t i = 0; i < w->n_levels; i++)
                if (w->levels[i].lines.size > largest->lines.size)
                        largest = &w->levels[i];
        return level_flush(w, largest);
}

int entries_writer_add(EntriesWriter *w, const Entry *e) {
        Buffer *lines;
        size_t before;
        int r;

        assert(w);
        assert(e);

        _locked_ pthread_mutex_t *lock = locked(&w->lock);
        if (w->n_levels == 0) {
                /* The root itself, which is in no directory. */
                r = buffer_add_string(&w->list, "{\"dir\":null}\n");
                if (r < 0)
                        return r;
                return listing_text_entry(&w->list, e);
        }
        lines = &w->levels[w->n_levels - 1].lines;
        before = lines->size;
        r = listing_text_entry(lines, e);
        if (r < 0)
                return r;
        w->pending += lines->size - before;
        return pending_limit(w);
}

int entries_writer_leave(EntriesWriter *w) {
        Level *l;
        int r;

        assert(w);

        _locked_ pthread_mutex_t *lock = locked(&w->lock);
        assert(w->n_levels > 0);
        l = &w->levels[w->n_levels - 1];
        r = level_flush(w, l);
        if (r >= 0)
                r = buffer_add_string(&w->index, "{\"index\":");
        if (r >= 0)
                r = listing_text_path(&w->index, l->path);
        if (r >= 0)
                r = buffer_add_string(&w->index, ",\"frames\":[");
        for (size_t i = 0; r >= 0 && i < l->n_frames; i++)
                r = buffer_printf(&w->index, "%s%" PRIu64, i == 0 ? "" : ",", l->frames[i]);
        if (r >= 0)
                r = buffer_add_string(&w->index, "]}\n");
        if (r < 0)
                return r;
        free(w->index_last);
        w->index_last = TAKE_PTR(l->path);
        level_done(l);
        w->n_levels--;
        return w->index.size >= FRAME_LIST_SIZE ? index_emit(w) : 0;
}

int entries_writer_add_frame(EntriesWriter *w, const Frame *f) {
        char hex[SHA256_HEX_SIZE];
        int r = 0;

        assert(w);
        assert(f);

        _locked_ pthread_mutex_t *lock = locked(&w->lock);
        if (w->table_frames == 0)
                w->table_start = (EntriesFrame){
                        .kind = ENTRIES_TABLE,
                        .first = w->n_data_frames,
                        .data_offset = w->data_offset,
                        .data_plain_offset = w->data_plain_offset,
                };
        if (w->table_frames % TABLE_LINE_FRAMES == 0)
                r = buffer_printf(&w->table, "%s{\"table\":[", w->table_frames == 0 ? "" : "]}\n");
        else
                r = buffer_add_string(&w->table, ",");
        if (r >= 0)
                r = buffer_printf(&w->table, "[%" PRIu32 ",%" PRIu32 ",\"%s\"]", f->size, f->plain_size,
                                  hex_encode(f->sha256, sizeof f->sha256, hex));
        if (r < 0)
                return r;
        w->table_frames++;
        w->n_data_frames++;
        w->data_offset += f->size;
        w->data_plain_offset += f->plain_size;
        return w->table.size >= FRAME_LIST_SIZE ? table_emit(w) : 0;
}

int entries_writer_finish(EntriesWriter *w, EntriesFrame **ret, size_t *ret_n) {
        int r;

        assert(w);
        assert(ret);
        assert(ret_n);

        while (w->n_levels > 0) {
                r = entries_writer_leave(w);
                if (r < 0)
                        return r;
        }
        _locked_ pthread_mutex_t *lock = locked(&w->lock);
        r = list_emit(w);
        if (r >= 0)
                r = index_emit(w);
        if (r >= 0)
                r = table_emit(w);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w->frames);
        *ret_n = w->n_frames;
        w->n_frames = 0;
        return 0;
}
