/* SPDX-License-Identifier: Apache-2.0 */

/* Files through the feed into packs on a disk, and read back from there. */

#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "crypto/random.h"
#include "repository/compress.h"
#include "repository/feed.h"
#include "tests/test.h"
#include "wire/json.h"

#define POLYNOMIAL UINT64_C(0x3DA3358B4DC173)

/* One repository, as far as the feed knows it. */
typedef struct Side {
        char folder[32];
        Storage *storage;
        CipherKey key;
        RepoIndex *index;
        Packer *packer;
        RepoIndex *written; /* from the index files */
        unsigned n_index_files;
} Side;

static int put_index(void *userdata, const void *json, size_t n, Failure *reterr_failure) {
        Side *s = userdata;
        JsonPullMemory memory = { json, n };

        s->n_index_files++;
        return repo_index_load(s->written, json_pull_memory, &memory, reterr_failure);
}

/* pool: of several sides, or NULL. */
static void side_init_in(Side *s, PackPool *pool) {
        _cleanup_json_ json_t *config = json_object();
        StorageConfig c = { .id = 1, .type = "local", .config = config };
        PackerArgs args = {
                .key = &s->key,
                .pool = pool,
                .uploads = 2,
                .index_interval = USEC_PER_MINUTE,
                .put_index = put_index,
                .userdata = s,
        };

        *s = (Side){ .folder = "/tmp/backupx-test-XXXXXX" };
        CHECK(mkdtemp(s->folder));
        CHECK_OK(json_set(config, "path", json_string(s->folder)));
        CHECK_OK(storage_open(&c, &s->storage, NULL));
        CHECK_OK(random_bytes(&s->key, sizeof s->key));
        CHECK_OK(repo_index_new(&s->index));
        CHECK_OK(repo_index_new(&s->written));
        args.storage = s->storage;
        args.prefix = "node/";
        CHECK_OK(packer_new(&args, &s->packer));
}

static void side_init(Side *s) {
        side_init_in(s, NULL);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at) {
        return remove(path);
}

static void side_done(Side *s) {
        packer_free(s->packer);
        repo_index_free(s->index);
        repo_index_free(s->written);
        storage_free(s->storage);
        CHECK_INT(nftw(s->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* The content of a blob, out of the pack that the index names, whose header has to say the same. */
static void *read_blob(Side *s, BlobType type, const Id *id, size_t *ret_n) {
        _cleanup_(cipher_freep) Cipher *cipher = NULL;
        _cleanup_(decompressor_freep) Decompressor *d = NULL;
        _cleanup_(freep) char *key = NULL;
        _cleanup_(freep) uint8_t *sealed = NULL, *packed = NULL;
        char hex[ID_HEX_SIZE];
        uint8_t *plain;
        uint64_t cursor = 0;
        IndexEntry e;
        Id found;

        CHECK(repo_index_find(s->written, type, id, &cursor, &e));
        (void) id_to_hex(repo_index_pack(s->written, e.pack), hex);
        CHECK_OK(asprintf_safe(&key, "node/data/%.2s/%s", hex, hex));
        sealed = malloc(e.blob.length);
        packed = malloc(e.blob.length);
        *ret_n = pack_blob_plain_length(&e.blob);
        plain = malloc(*ret_n + 1);
        CHECK(sealed && packed && plain);
        CHECK_INT(storage_read_at(s->storage, key, e.blob.offset, sealed, e.blob.length, NULL),
                  e.blob.length);
        CHECK_OK(cipher_new(&s->key, &cipher));
        CHECK_OK(decompressor_new(&d));
        CHECK_OK(cipher_open(cipher, sealed, e.blob.length, packed));
        if (e.blob.uncompressed_length > 0)
                CHECK_OK(decompressor_run(d, packed, e.blob.length - CIPHER_OVERHEAD, plain, *ret_n));
        else
                memcpy(plain, packed, *ret_n);
        CHECK_OK(id_of(plain, *ret_n, &found));
        CHECK(id_equal(&found, id));
        return plain;
}

static void check_file(Side *s, const IdList *l, const uint8_t *data, size_t n) {
        size_t at = 0;

        for (size_t i = 0; i < l->n; i++) {
                _cleanup_(freep) uint8_t *blob = NULL;
                size_t k;

                blob = read_blob(s, BLOB_DATA, &l->ids[i], &k);
                CHECK(k <= n - at);
                CHECK_MEM(blob, data + at, k);
                at += k;
        }
        CHECK_INT(at, n);
}

/* Every pack on the disk is called by its content, and has a header that says what the index says. */
static int check_pack(void *userdata, const char *key, uint64_t size) {
        Side *s = userdata;
        _cleanup_(cipher_freep) Cipher *cipher = NULL;
        _cleanup_(freep) uint8_t *data = malloc(size), *header = malloc(size);
        _cleanup_(freep) PackBlob *blobs = NULL;
        uint32_t header_size, number;
        size_t n;
        Id id;

        CHECK(data && header);
        CHECK_INT(storage_read_at(s->storage, key, 0, data, size, NULL), size);
        CHECK_OK(id_of(data, size, &id));
        CHECK_OK(repo_index_find_pack(s->written, &id, &number));
        CHECK_OK(pack_trailer_parse(data + size - PACK_TRAILER_SIZE, size, &header_size));
        CHECK_OK(cipher_new(&s->key, &cipher));
        size -= PACK_TRAILER_SIZE + header_size;
        CHECK_OK(cipher_open(cipher, data + size, header_size, header));
        CHECK_OK(pack_header_parse(header, header_size - CIPHER_OVERHEAD, size, &blobs, &n, NULL));
        for (size_t i = 0; i < n; i++) {
                uint64_t cursor = 0;
                IndexEntry e;

                CHECK(repo_index_find(s->written, blobs[i].type, &blobs[i].id, &cursor, &e));
                CHECK_INT(e.pack, number);
                CHECK_INT(e.blob.offset, blobs[i].offset);
                CHECK_INT(e.blob.length, blobs[i].length);
                CHECK_INT(e.blob.uncompressed_length, blobs[i].uncompressed_length);
                CHECK_INT(blobs[i].type, blobs[0].type);
        }
        return 0;
}

static uint8_t *make_data(size_t n, bool text) {
        uint8_t *data = malloc(n);
        uint64_t s = 0x1234567 + n;

        CHECK(data);
        for (size_t i = 0; i < n; i++) {
                s ^= s << 13;
                s ^= s >> 7;
                s ^= s << 17;
                data[i] = text ? (uint8_t) ("words and spaces"[s >> 60]) : (uint8_t) (s >> 24);
        }
        return data;
}

static int feed_file(Feed *f, const uint8_t *data, size_t n, IdList *l) {
        int r = 0;

        while (n > 0 && r >= 0) {
                uint8_t *room;
                size_t k;

                r = feed_space(f, &room, &k);
                if (r < 0)
                        return r;
                k = MIN(k, n);
                memcpy(room, data, k);
                r = feed_advance(f, k);
                data += k;
                n -= k;
        }
        return r < 0 ? r : feed_end(f, l);
}

static Feed *make_feed(Chunker *c, Side *sides, size_t n) {
        FeedTarget targets[3];
        FeedArgs args = { .chunker = c, .targets = targets, .n_targets = n, .level = 1, .verify = true };
        Feed *f;

        for (size_t i = 0; i < n; i++)
                /* The second one is of the version without compression. */
                targets[i] = (FeedTarget){ sides[i].packer, sides[i].index, &sides[i].key, i == 0 };
        CHECK_OK(feed_new(&args, &f));
        return f;
}

static void finish(Feed *f, Side *sides, size_t n) {
        CHECK_OK(feed_finish(f));
        for (size_t i = 0; i < n; i++) {
                CHECK_OK(packer_finish(sides[i].packer));
                CHECK_OK(storage_list(sides[i].storage, "node/data/", check_pack, &sides[i], NULL));
        }
}

/* Random data and text, large and small, twice, with two repositories. */
static void test_files(void) {
        static const size_t sizes[] = { 30 << 20, 1, 100, 3000, 600000, 20 << 20, 8 << 20 };
        uint8_t *data[ELEMENTSOF(sizes)];
        IdList lists[ELEMENTSOF(sizes)] = {}, again = ID_LIST_NULL;
        _cleanup_(chunker_freep) Chunker *c = NULL;
        Side sides[2];
        uint64_t new_bytes;
        Feed *f;

        CHECK_OK(chunker_new(CHUNKER_GEAR, POLYNOMIAL, &c));
        side_init(&sides[0]);
        side_init(&sides[1]);
        f = make_feed(c, sides, 2);
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                data[i] = make_data(sizes[i], i % 2 == 1);
                CHECK_OK(feed_file(f, data[i], sizes[i], &lists[i]));
        }
        new_bytes = feed_new_bytes(f);
        /* The second time all is known, at whatever place of a job it stands. */
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                again.n = 0;
                CHECK_OK(feed_file(f, data[i], sizes[i], &again));
                CHECK_INT(again.n, lists[i].n);
                CHECK_MEM(again.ids, lists[i].ids, again.n * sizeof(Id));
        }
        CHECK_INT(feed_new_bytes(f), new_bytes);
        finish(f, sides, 2);
        CHECK(packer_stored(sides[0].packer) < packer_stored(sides[1].packer));
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                check_file(&sides[0], &lists[i], data[i], sizes[i]);
                check_file(&sides[1], &lists[i], data[i], sizes[i]);
                free(data[i]);
                id_list_done(&lists[i]);
        }
        id_list_done(&again);
        feed_free(f);
        side_done(&sides[0]);
        side_done(&sides[1]);
}

static size_t count_distinct(const IdList *l) {
        size_t n = 0;

        for (size_t i = 0; i < l->n; i++) {
                size_t k = 0;

                while (!id_equal(&l->ids[k], &l->ids[i]))
                        k++;
                n += k == i;
        }
        return n;
}

/* The same chunks again and again, while those before them are still on their way: each is stored once, and
 * the list of the file has them in their order. */
static void test_repeated(void) {
        const size_t part = 3 << 20, times = 16, n = part * times;
        _cleanup_(chunker_freep) Chunker *c = NULL;
        _cleanup_(freep) uint8_t *data = make_data(n, false);
        _cleanup_(id_list_done) IdList l = ID_LIST_NULL;
        size_t distinct;
        Side s;
        Feed *f;

        for (size_t i = 1; i < times; i++)
                memcpy(data + i * part, data, part);
        CHECK_OK(chunker_new(CHUNKER_GEAR, POLYNOMIAL, &c));
        side_init(&s);
        f = make_feed(c, &s, 1);
        CHECK_OK(feed_file(f, data, n, &l));
        distinct = count_distinct(&l);
        CHECK(distinct < l.n / 2);
        finish(f, &s, 1);
        CHECK_INT(feed_new_blobs(f), distinct);
        CHECK_INT(repo_index_n_blobs(s.written), distinct);
        check_file(&s, &l, data, n);
        feed_free(f);
        side_done(&s);
}

/* Whoever waits for the blobs of a file gets the error as well. */
static void test_stopped(void) {
        _cleanup_(chunker_freep) Chunker *c = NULL;
        _cleanup_(freep) uint8_t *data = make_data(20 << 20, false);
        _cleanup_(id_list_done) IdList l = ID_LIST_NULL;
        Side s;
        Feed *f;

        CHECK_OK(chunker_new(CHUNKER_GEAR, POLYNOMIAL, &c));
        side_init(&s);
        f = make_feed(c, &s, 1);
        CHECK_OK(feed_file(f, data, 10 << 20, &l));
        feed_stop(f, -ECANCELED);
        CHECK_INT(feed_end(f, &l), -ECANCELED);
        CHECK_INT(feed_file(f, data + (10 << 20), 10 << 20, &l), -ECANCELED);
        feed_free(f);
        side_done(&s);
}

/* Holes between data: few blobs, and few of them stored. */
static void test_holes(void) {
        _cleanup_(chunker_freep) Chunker *c = NULL;
        _cleanup_(freep) uint8_t *data = make_data(700000, false), *whole = NULL;
        _cleanup_(id_list_done) IdList l = ID_LIST_NULL;
        size_t hole = 5 * CHUNK_MAX + 12345, n = 3 * 700000 + 2 * hole;
        Side s;
        Feed *f;

        CHECK_OK(chunker_new(CHUNKER_GEAR, POLYNOMIAL, &c));
        whole = calloc(1, n);
        CHECK(whole);
        for (size_t i = 0; i < 3; i++)
                memcpy(whole + i * (700000 + hole), data, 700000);
        side_init(&s);
        f = make_feed(c, &s, 1);
        CHECK_OK(feed_file(f, data, 700000, &l));
        CHECK_OK(feed_zeros(f, hole));
        CHECK_OK(feed_file(f, data, 700000, &l));
        CHECK_OK(feed_zeros(f, hole));
        CHECK_OK(feed_file(f, data, 700000, &l));
        CHECK(l.n >= 15 && l.n <= 18);
        CHECK(feed_new_blobs(f) <= 4);
        finish(f, &s, 1);
        check_file(&s, &l, whole, n);
        feed_free(f);
        side_done(&s);
}

/* Small and large trees beside data; many small blobs make more than one job. */
static void test_blobs(void) {
        _cleanup_(chunker_freep) Chunker *c = NULL;
        _cleanup_(freep) uint8_t *big = make_data(CHUNK_MAX + 5000000, true), *back = NULL;
        _cleanup_buffer_ Buffer text = BUFFER_NULL;
        Side s;
        Feed *f;
        Id first, last = {}, huge;
        size_t n;

        CHECK_OK(chunker_new(CHUNKER_RABIN, POLYNOMIAL, &c));
        side_init(&s);
        f = make_feed(c, &s, 1);
        for (unsigned i = 0; i < 3000; i++) {
                buffer_clear(&text);
                CHECK_OK(buffer_printf(&text, "tree number %u", i));
                CHECK_OK(feed_blob(f, i % 3 == 0 ? BLOB_TREE : BLOB_DATA, &text, i == 0 ? &first : &last));
                CHECK(text.size > 0);
        }
        buffer_clear(&text);
        CHECK_OK(buffer_add(&text, big, CHUNK_MAX + 5000000));
        CHECK_OK(feed_blob(f, BLOB_TREE, &text, &huge));
        CHECK_INT(text.size, 0);
        CHECK(feed_knows(f, BLOB_TREE, &first));
        CHECK(!feed_knows(f, BLOB_DATA, &first));
        finish(f, &s, 1);
        CHECK_INT(s.n_index_files, 1);
        CHECK_INT(repo_index_n_blobs(s.written), 3001);
        back = read_blob(&s, BLOB_TREE, &huge, &n);
        CHECK_INT(n, CHUNK_MAX + 5000000);
        CHECK_MEM(back, big, n);
        feed_free(f);
        side_done(&s);
}

/* One that was packed before it came: what its name is must come out, or the feed fails. */
static void test_packed(void) {
        const size_t n = 20 << 20;
        _cleanup_(chunker_freep) Chunker *c = NULL;
        _cleanup_(freep) uint8_t *data = make_data(n, true);
        Side sides[2];

        CHECK_OK(chunker_new(CHUNKER_GEAR, POLYNOMIAL, &c));
        for (unsigned i = 0; i < 3; i++) {
                _cleanup_(compressor_freep) Compressor *compressor = NULL;
                _cleanup_(freep) uint8_t *back = NULL;
                _cleanup_buffer_ Buffer packed = BUFFER_NULL;
                Feed *f;
                size_t size;
                Id id;

                side_init(&sides[0]);
                side_init(&sides[1]);
                f = make_feed(c, sides, i == 2 ? 2 : 1);
                CHECK_OK(id_of(data, n - i, &id)); /* the second one is shorter than it says */
                CHECK_INT(feed_compressor(f, &compressor), i == 2 ? -EOPNOTSUPP : 0);
                if (i < 2) {
                        CHECK_OK(compressor_add(compressor, data, n, &packed));
                        CHECK_OK(compressor_end(compressor, &packed));
                        CHECK_OK(feed_blob_packed(f, BLOB_TREE, &id, n, &packed));
                        CHECK_INT(packed.size, 0);
                        CHECK(feed_knows(f, BLOB_TREE, &id));
                }
                if (i == 0) {
                        finish(f, sides, 1);
                        back = read_blob(&sides[0], BLOB_TREE, &id, &size);
                        CHECK_INT(size, n);
                        CHECK_MEM(back, data, n);
                } else if (i == 1)
                        CHECK_INT(feed_finish(f), -EBADMSG);
                feed_free(f);
                side_done(&sides[0]);
                side_done(&sides[1]);
        }
}

/* A storage that fails is left out, and the other one gets everything; with none left it is an error. */
static void test_lost(void) {
        _cleanup_(chunker_freep) Chunker *c = NULL;
        _cleanup_(freep) uint8_t *data = make_data(80 << 20, false);
        _cleanup_(id_list_done) IdList l = ID_LIST_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        Side sides[2];
        Feed *f;

        CHECK_OK(chunker_new(CHUNKER_GEAR, POLYNOMIAL, &c));
        side_init(&sides[0]);
        side_init(&sides[1]);
        packer_stop(sides[1].packer, -ENOSPC);
        f = make_feed(c, sides, 2);
        CHECK_OK(feed_file(f, data, 40 << 20, &l));
        CHECK_OK(feed_finish(f));
        CHECK_OK(packer_finish(sides[0].packer));
        CHECK_INT(packer_finish(sides[1].packer), -ENOSPC);
        CHECK_INT(packer_error(sides[1].packer, &failure), -ENOSPC);
        check_file(&sides[0], &l, data, 40 << 20);
        packer_stop(sides[0].packer, -EIO);
        CHECK_INT(feed_file(f, data + (40 << 20), 40 << 20, &l), -EPIPE);
        feed_free(f);
        side_done(&sides[0]);
        side_done(&sides[1]);
}

/* Three repositories in the memory of one pack, which one of them leaves on the way; then a blob that is
 * larger than all of it. */
static void test_pool(void) {
        const size_t limit = 10 << 20, big = 3 * CHUNK_MAX;
        _cleanup_(chunker_freep) Chunker *c = NULL;
        _cleanup_(pack_pool_freep) PackPool *pool = NULL;
        _cleanup_(freep) uint8_t *data = make_data(40 << 20, false), *back = NULL;
        _cleanup_buffer_ Buffer text = BUFFER_NULL;
        _cleanup_(id_list_done) IdList first = ID_LIST_NULL, second = ID_LIST_NULL;
        Side sides[3];
        Id huge;
        Feed *f;
        size_t n;

        CHECK_OK(chunker_new(CHUNKER_GEAR, POLYNOMIAL, &c));
        CHECK_OK(pack_pool_new(limit, &pool));
        for (size_t i = 0; i < 3; i++)
                side_init_in(&sides[i], pool);
        f = make_feed(c, sides, 3);
        CHECK_OK(feed_file(f, data, 20 << 20, &first));
        packer_stop(sides[2].packer, -ENOSPC);
        CHECK_OK(feed_file(f, data + (20 << 20), 20 << 20, &second));
        CHECK_OK(feed_finish(f));
        CHECK(pool->most <= limit);
        CHECK_OK(buffer_add(&text, data, big));
        CHECK_OK(feed_blob(f, BLOB_TREE, &text, &huge));
        finish(f, sides, 2);
        CHECK_INT(pool->most, big + CIPHER_OVERHEAD);
        CHECK_INT(pool->n_closed, 0);
        for (size_t i = 0; i < 2; i++) {
                check_file(&sides[i], &first, data, 20 << 20);
                check_file(&sides[i], &second, data + (20 << 20), 20 << 20);
                back = mfree(back);
                back = read_blob(&sides[i], BLOB_TREE, &huge, &n);
                CHECK_INT(n, big);
                CHECK_MEM(back, data, n);
        }
        feed_free(f);
        for (size_t i = 0; i < 3; i++)
                side_done(&sides[i]);
}

int main(void) {
        RUN(test_files);
        RUN(test_repeated);
        RUN(test_stopped);
        RUN(test_holes);
        RUN(test_blobs);
        RUN(test_packed);
        RUN(test_lost);
        RUN(test_pool);
        return 0;
}
