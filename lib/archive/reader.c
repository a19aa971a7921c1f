/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#include "archive/reader-object.h"
#include "archive/reader.h"
#include "base/alloc.h"
#include "base/text.h"

/* A header for many recipients, the nonce, and a tag for each chunk. */
#define MANIFEST_AGE_OVERHEAD \
        (AGE_HEADER_MAX + AGE_NONCE_SIZE + (MANIFEST_MAX / AGE_CHUNK_SIZE + 1) * AGE_TAG_SIZE)

#define NO_FRAME SIZE_MAX

/* The plain bytes of the frame that was read last. */
typedef struct FrameCache {
        uint8_t *data;
        size_t allocated;
        size_t number; /* NO_FRAME: none */
        Frame frame;
} FrameCache;

struct ArchiveReader {
        Manifest manifest;
        ReaderObject *data, *entries; /* NULL: not readable, their key is missing */
        FrameDecompressor *decompressor;
        uint8_t *compressed;
        size_t compressed_allocated;
        FrameCache data_cache, entries_cache; /* numbers: of the frame in its table; in the manifest */
        size_t table;                         /* whose frames are in frames; NO_FRAME: none */
        Frame *frames;
        size_t n_frames;
};

ArchiveReader *archive_reader_free(ArchiveReader *r) {
        if (!r)
                return NULL;
        manifest_done(&r->manifest);
        reader_object_free(r->data);
        reader_object_free(r->entries);
        frame_decompressor_free(r->decompressor);
        free(r->compressed);
        free(r->data_cache.data);
        free(r->entries_cache.data);
        free(r->frames);
        return mfree(r);
}

const Manifest *archive_reader_manifest(const ArchiveReader *r) {
        assert(r);

        return &r->manifest;
}

/* --- Opening ------------------------------------------------------------------------------------------ */

static int damaged(const char *key, const char *what, Failure *reterr_failure) {
        return failure_set(reterr_failure, -EBADMSG, "ARCHIVE_DAMAGED", "%s %s", key, what);
}

static int add_to_buffer(void *userdata, const void *p, size_t n) {
        return buffer_add(ASSERT_PTR(userdata), p, n);
}

/* Replaces the bytes of a whole age file by the plain ones. */
static int decrypt(Buffer *b, const uint8_t *file_key) {
        _cleanup_(age_decrypter_freep) AgeDecrypter *d = NULL;
        _cleanup_buffer_ Buffer plain = BUFFER_NULL;
        AgeKeys keys = { .file_key = file_key };
        int r;

        r = age_decrypter_new(&keys, add_to_buffer, &plain, &d);
        if (r < 0)
                return r;
        r = age_decrypter_write(d, b->data, b->size);
        if (r < 0)
                return r;
        r = age_decrypter_finish(d);
        if (r < 0)
                return r;
        buffer_done(b);
        *b = plain;
        plain = BUFFER_NULL;
        return 0;
}

/* Replaces one zstd frame by its content. */
static int decompress(Buffer *b) {
        _cleanup_buffer_ Buffer plain = BUFFER_NULL;
        unsigned long long size;
        size_t k;
        int r;

        size = ZSTD_getFrameContentSize(b->data, b->size);
        if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > MANIFEST_PLAIN_MAX)
                return -EBADMSG;
        r = buffer_reserve(&plain, (size_t) size);
        if (r < 0)
                return r;
        k = ZSTD_decompress(plain.data, (size_t) size, b->data, b->size);
        if (ZSTD_isError(k) || k != size)
                return -EBADMSG;
        plain.size = (size_t) size;
        plain.data[size] = 0;
        buffer_done(b);
        *b = plain;
        plain = BUFFER_NULL;
        return 0;
}

static int read_manifest(ArchiveReader *r, const ArchiveReaderArgs *args, Failure *reterr_failure) {
        const char *name = args->encrypted ? ARCHIVE_MANIFEST ARCHIVE_AGE_SUFFIX : ARCHIVE_MANIFEST;
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        _cleanup_(freep) char *key = NULL;
        uint8_t digest[SHA256_SIZE];
        int k;

        assert(r);

        k = asprintf_safe(&key, "%s%s", args->key, name);
        if (k < 0)
                return k;
        k = reader_object_load(args->storage, args->key, name, MANIFEST_MAX + MANIFEST_AGE_OVERHEAD, &b,
                               reterr_failure);
        if (k < 0)
                return k;
        k = sha256(b.data, b.size, digest);
        if (k < 0)
                return k;
        if (args->manifest_sha256 && memcmp(digest, args->manifest_sha256, sizeof(digest)) != 0)
                return damaged(key, "is not the manifest that this run wrote", reterr_failure);
        if (args->encrypted) {
                k = decrypt(&b, args->manifest_key);
                if (k == -ENOMEM)
                        return k;
                if (k < 0)
                        return damaged(key, "cannot be decrypted with the key that was kept for it",
                                       reterr_failure);
        }
        k = decompress(&b);
        if (k < 0)
                return k == -ENOMEM ? k : damaged(key, "cannot be decompressed", reterr_failure);
        k = manifest_parse(b.data, b.size, &r->manifest, reterr_failure);
        if (k < 0)
                return k;
        if (r->manifest.encrypted != args->encrypted)
                return damaged(key, "says another encryption than the run has", reterr_failure);
        return 0;
}

/* The size of the listing before encryption: its frames follow each other. */
static uint64_t entries_size(const Manifest *m) {
        const Frame *last = m->n_frames > 0 ? &m->frames[m->n_frames - 1].frame : NULL;

        return last ? last->offset + last->size : 0;
}

static int open_object(const ArchiveReaderArgs *args, const ManifestObject *object, const uint8_t *file_key,
                       uint64_t plain_size, ReaderObject **ret, Failure *reterr_failure) {
        int k;

        assert(args);
        assert(object);

        if (args->encrypted && !file_key)
                return reader_object_check(args->storage, args->key, object, reterr_failure);
        k = reader_object_open(args->storage, args->key, object, args->encrypted ? file_key : NULL, ret,
                               reterr_failure);
        if (k < 0)
                return k;
        if (reader_object_size(*ret) != plain_size)
                return damaged(reader_object_key(*ret), "has another size than its manifest says",
                               reterr_failure);
        return 0;
}

int archive_reader_new(const ArchiveReaderArgs *args, ArchiveReader **ret, Failure *reterr_failure) {
        _cleanup_(archive_reader_freep) ArchiveReader *r = NULL;
        int k;

        assert(args);
        assert(args->storage);
        assert(args->key);
        assert(!args->encrypted || args->manifest_key);
        assert(ret);

        r = new0(ArchiveReader, 1);
        if (!r)
                return -ENOMEM;
        r->table = r->data_cache.number = r->entries_cache.number = NO_FRAME;
        k = frame_decompressor_new(&r->decompressor);
        if (k < 0)
                return k;
        k = read_manifest(r, args, reterr_failure);
        if (k < 0)
                return k;
        k = open_object(args, &r->manifest.data, args->data_key, r->manifest.data_size, &r->data,
                        reterr_failure);
        if (k < 0)
                return k;
        k = open_object(args, &r->manifest.entries, args->entries_key, entries_size(&r->manifest),
                        &r->entries, reterr_failure);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}

/* --- Frames ------------------------------------------------------------------------------------------- */

static int reserve(uint8_t **p, size_t *allocated, size_t n) {
        uint8_t *grown;

        if (n <= *allocated)
                return 0;
        grown = realloc(*p, n);
        if (!grown)
                return -ENOMEM;
        *p = grown;
        *allocated = n;
        return 0;
}

/* Reads a frame into the cache, checked. */
static int load_frame(ArchiveReader *r, ReaderObject *object, FrameCache *cache, size_t number,
                      const Frame *frame, Failure *reterr_failure) {
        int k;

        assert(r);
        assert(cache);

        if (cache->number == number)
                return 0;
        cache->number = NO_FRAME;
        k = reserve(&r->compressed, &r->compressed_allocated, frame->size);
        if (k >= 0)
                k = reserve(&cache->data, &cache->allocated, frame->plain_size);
        if (k < 0)
                return k;
        k = reader_object_read(object, frame->offset, r->compressed, frame->size, reterr_failure);
        if (k < 0)
                return k;
        k = frame_decompress(r->decompressor, frame, r->compressed, cache->data);
        if (k == -EBADMSG)
                return damaged(reader_object_key(object), "has a part that is not what was written",
                               reterr_failure);
        if (k < 0)
                return k;
        cache->frame = *frame;
        cache->number = number;
        return 0;
}

/* One frame of the listing, by its number in the manifest. */
static int load_entries_frame(ArchiveReader *r, size_t number, Failure *reterr_failure) {
        if (!r->entries)
                return failure_set(reterr_failure, -ENOKEY, "KEY_MISSING",
                                   "The key of the listing is missing");
        return load_frame(r, r->entries, &r->entries_cache, number, &r->manifest.frames[number].frame,
                          reterr_failure);
}

/* Reads the table with the frame of the data object that holds the plain offset. */
static int load_table(ArchiveReader *r, uint64_t offset, Failure *reterr_failure) {
        const Manifest *m = &r->manifest;
        size_t number = NO_FRAME, n;
        Frame *frames;
        int k;

        for (size_t i = 0; i < m->n_frames; i++) {
                if (m->frames[i].kind != ENTRIES_TABLE)
                        continue;
                if (m->frames[i].data_plain_offset > offset)
                        break;
                number = i;
        }
        if (number == NO_FRAME)
                return damaged(reader_object_key(r->entries), "does not say where the data is",
                               reterr_failure);
        if (r->table == number)
                return 0;
        k = load_entries_frame(r, number, reterr_failure);
        if (k < 0)
                return k;
        k = entries_parse_table(r->entries_cache.data, r->entries_cache.frame.plain_size, m->frames + number,
                                &frames, &n);
        if (k < 0)
                return k == -ENOMEM ?
                                k :
                                damaged(reader_object_key(r->entries), "is not well-formed", reterr_failure);
        free(r->frames);
        r->frames = frames;
        r->n_frames = n;
        r->table = number;
        r->data_cache.number = NO_FRAME;
        return 0;
}

/* The frame of the loaded table that holds the plain offset; NO_FRAME: none. */
static size_t find_frame(const ArchiveReader *r, uint64_t offset) {
        size_t low = 0, high = r->n_frames;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                const Frame *f = r->frames + middle;

                if (offset < f->plain_offset)
                        high = middle;
                else if (offset - f->plain_offset < f->plain_size)
                        return middle;
                else
                        low = middle + 1;
        }
        return NO_FRAME;
}

static bool cache_holds(const FrameCache *c, uint64_t offset) {
        return c->number != NO_FRAME && offset >= c->frame.plain_offset &&
                        offset - c->frame.plain_offset < c->frame.plain_size;
}

static int load_data(ArchiveReader *r, uint64_t offset, Failure *reterr_failure) {
        size_t number;
        int k;

        assert(r);

        if (cache_holds(&r->data_cache, offset))
                return 0;
        if (!r->data || !r->entries)
                return failure_set(reterr_failure, -ENOKEY, "KEY_MISSING",
                                   "The keys of the data are missing");
        number = r->table != NO_FRAME ? find_frame(r, offset) : NO_FRAME;
        if (number == NO_FRAME) {
                k = load_table(r, offset, reterr_failure);
                if (k < 0)
                        return k;
                number = find_frame(r, offset);
        }
        if (number == NO_FRAME)
                return damaged(reader_object_key(r->entries), "does not say where the data is",
                               reterr_failure);
        return load_frame(r, r->data, &r->data_cache, number, r->frames + number, reterr_failure);
}

ssize_t archive_reader_pread(ArchiveReader *r, uint64_t offset, void *buf, size_t n,
                             Failure *reterr_failure) {
        const FrameCache *cache;
        size_t from;
        int k;

        assert(r);
        assert(buf || n == 0);

        if (offset >= r->manifest.plain_size || n == 0)
                return 0;
        k = load_data(r, offset, reterr_failure);
        if (k < 0)
                return k;
        cache = &r->data_cache;
        from = (size_t) (offset - cache->frame.plain_offset);
        n = MIN(n, cache->frame.plain_size - from);
        memcpy(buf, cache->data + from, n);
        return (ssize_t) n;
}

/* --- The listing -------------------------------------------------------------------------------------- */

/* The number in the manifest of the list frame with this number among list frames; NO_FRAME: there is
 * none. */
static size_t find_list_frame(const Manifest *m, uint64_t number) {
        for (size_t i = 0; i < m->n_frames; i++) {
                if (m->frames[i].kind != ENTRIES_LIST)
                        continue;
                if (number-- == 0)
                        return i;
        }
        return NO_FRAME;
}

/* The list frames that hold the children of a directory. -ENOENT. */
static int find_directory(ArchiveReader *r, const char *directory, uint64_t **ret, size_t *ret_n,
                          Failure *reterr_failure) {
        const Manifest *m = &r->manifest;
        int k;

        for (size_t i = 0; i < m->n_frames; i++) {
                if (m->frames[i].kind != ENTRIES_INDEX || entries_compare(m->frames[i].last, directory) < 0)
                        continue;
                k = load_entries_frame(r, i, reterr_failure);
                if (k < 0)
                        return k;
                k = entries_parse_index(r->entries_cache.data, r->entries_cache.frame.plain_size, directory,
                                        ret, ret_n);
                if (k < 0)
                        return k == -ENOMEM ? k :
                                              damaged(reader_object_key(r->entries), "is not well-formed",
                                                      reterr_failure);
                return k > 0 ? 0 : -ENOENT;
        }
        return -ENOENT;
}

/* Tells errors of the parser from what the caller's function gave. */
typedef struct Listing {
        EntriesFunc func;
        void *userdata;
        int stopped;
} Listing;

static int list_entry(void *userdata, const char *directory, Entry *e) {
        Listing *l = ASSERT_PTR(userdata);

        l->stopped = l->func(l->userdata, directory, e);
        return l->stopped;
}

static int list_frame(ArchiveReader *r, size_t number, const char *directory, Listing *l,
                      Failure *reterr_failure) {
        int k;

        assert(r);
        assert(l);

        k = load_entries_frame(r, number, reterr_failure);
        if (k < 0)
                return k;
        k = entries_parse_list(r->entries_cache.data, r->entries_cache.frame.plain_size, directory,
                               list_entry, l);
        if (k == -EBADMSG && l->stopped == 0)
                return damaged(reader_object_key(r->entries), "is not well-formed", reterr_failure);
        return k;
}

int archive_reader_list(ArchiveReader *r, const char *directory, EntriesFunc func, void *userdata,
                        Failure *reterr_failure) {
        Listing listing = { .func = func, .userdata = userdata };
        _cleanup_(freep) uint64_t *frames = NULL;
        size_t n = 0;
        int k;

        assert(r);
        assert(directory);
        assert(func);

        k = find_directory(r, directory, &frames, &n, reterr_failure);
        if (k < 0)
                return k;
        for (size_t i = 0; i < n; i++) {
                size_t number = find_list_frame(&r->manifest, frames[i]);

                if (number == NO_FRAME)
                        return damaged(reader_object_key(r->entries), "is not well-formed", reterr_failure);
                k = list_frame(r, number, directory, &listing, reterr_failure);
                if (k != 0)
                        return k;
        }
        return 0;
}

typedef struct Lookup {
        const char *path;
        Entry *ret;
} Lookup;

static int match_entry(void *userdata, const char *directory, Entry *e) {
        Lookup *l = ASSERT_PTR(userdata);

        if (!streq(e->member.path, l->path))
                return 0;
        *l->ret = *e;
        *e = ENTRY_NULL;
        return 1;
}

/* The root is in no directory; where it is a source it is the first thing that was written. */
static int lookup_root(ArchiveReader *r, Lookup *lookup, Failure *reterr_failure) {
        Listing listing = { .func = match_entry, .userdata = lookup };
        size_t number = find_list_frame(&r->manifest, 0);

        return number == NO_FRAME ? 0 : list_frame(r, number, NULL, &listing, reterr_failure);
}

int archive_reader_lookup(ArchiveReader *r, const char *path, Entry *ret, Failure *reterr_failure) {
        Lookup lookup = { .path = path, .ret = ret };
        _cleanup_(freep) char *directory = NULL;
        const char *slash;
        int k;

        assert(r);
        assert(path);
        assert(ret);

        if (!path[0])
                k = lookup_root(r, &lookup, reterr_failure);
        else {
                slash = strrchr(path, '/');
                directory = memdup0(path, slash ? (size_t) (slash - path) : 0);
                if (!directory)
                        return -ENOMEM;
                k = archive_reader_list(r, directory, match_entry, &lookup, reterr_failure);
        }
        if (k < 0)
                return k;
        return k > 0 ? 0 : -ENOENT;
}
