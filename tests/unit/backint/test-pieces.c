/* SPDX-License-Identifier: Apache-2.0 */

/* What a piece becomes: its key, its object, its row. */

#include <stdlib.h>
#include <unistd.h>

#include "backint/catalog.h"
#include "backint/parent.h"
#include "backint/piece-name.h"
#include "backint/piece.h"
#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"

#define TIME (UINT64_C(1795472101) * USEC_PER_SEC + 123 * USEC_PER_MSEC)

static const uint8_t random_part[8] = { 1, 2, 3, 4, 5, 6, 7, 255 };

/* --- Keys ------------------------------------------------------------------------------------------- */

static void test_ebid(void) {
        char ebid[BACKINT_EBID_MAX], text[RFC3339_MAX];
        static const char *const wrong[] = {
                "",
                "x",
                "20261122T221501.123Z",
                "20261122T221501.123Z-0123456789abcde",
                "20261122T221501.123Z-0123456789abcdeg",
                "20261122T221501.123Z-0123456789abcdef0",
                "20261322T221501.123Z-0123456789abcdef",
                "../../../../../../../../../../../../../",
        };
        usec_t time;

        (void) backint_ebid_make(ebid, TIME, random_part);
        CHECK_INT(strlen(ebid), 37);
        CHECK_STR(ebid + 20, "-01020304050607ff");
        CHECK_OK(backint_ebid_time(ebid, &time));
        CHECK_STR(format_rfc3339(text, time), "2026-11-23T22:15:01.123Z");
        CHECK_INT(time, TIME);
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                CHECK_INT(backint_ebid_time(wrong[i], &time), -EINVAL);
}

static void test_keys(void) {
        static const struct {
                const char *user, *name, *place;
        } cases[] = {
                { "HDB", "/usr/sap/HDB/log_backup_1_0", "p/HDB/usr/sap/HDB/log_backup_1_0/" },
                { "T1@HDB", "/a b", "p/T1@HDB/a%20b/" },
                { "a/b", "/x", "p/a%2Fb/x/" },
                { "H", "//a//b", "p/H/%00/a/%00/b/" },
                { "H", "/a/", "p/H/a/%00/" },
                { "H", "/a/../.", "p/H/a/%2E%2E/%2E/" },
                { "H", "/...", "p/H/.../" },
                { "H", "/100%\"", "p/H/100%25%22/" },
                { "H", "/\xc3\xa4", "p/H/%C3%A4/" },
        };
        char ebid[BACKINT_EBID_MAX];

        (void) backint_ebid_make(ebid, TIME, random_part);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(freep) char *place = NULL, *key = NULL, *below = NULL, *name = NULL, *back = NULL;
                bool sealed = i % 2 == 0, was_sealed;
                size_t volume;

                CHECK_OK(backint_key_prefix("p/", cases[i].user, cases[i].name, &place));
                CHECK_STR(place, cases[i].place);
                CHECK_OK(backint_key_make("p/", cases[i].user, cases[i].name, ebid, sealed, &key));
                CHECK(startswith(key, place));
                CHECK(endswith(key, sealed ? ".zst.age" : ".zst"));
                CHECK_OK(backint_key_prefix("p/", cases[i].user, NULL, &below));
                CHECK_OK(backint_key_parse(below, key, &name, &back, &was_sealed, &volume));
                CHECK_STR(name, cases[i].name);
                CHECK_STR(back, ebid);
                CHECK(was_sealed == sealed);
                CHECK_INT(volume, 0);
        }
}

static void test_keys_of_volumes(void) {
        char ebid[BACKINT_EBID_MAX];

        (void) backint_ebid_make(ebid, TIME, random_part);
        for (size_t i = 0; i < VOLUMES_MAX; i += 111) {
                _cleanup_(freep) char *first = NULL, *key = NULL, *name = NULL, *back = NULL;
                bool sealed = i % 2 == 0, was_sealed;
                size_t volume;

                CHECK_OK(backint_key_make("", "HDB", "/a", ebid, sealed, &first));
                CHECK_OK(volume_key(first, i, &key));
                CHECK_OK(backint_key_parse("HDB/", key, &name, &back, &was_sealed, &volume));
                CHECK_STR(name, "/a");
                CHECK_STR(back, ebid);
                CHECK(was_sealed == sealed);
                CHECK_INT(volume, i);
        }
}

static void test_wrong_keys(void) {
        static const char *const keys[] = {
                "HDB/a",
                "HDB/a/20261122T221501.123Z-0123456789abcdef",
                "HDB/a/20261122T221501.123Z-0123456789abcdef.gz",
                "HDB/a/20261122T221501.123Z-0123456789abcdef.zst.tmp",
                "HDB/a/20261122T221501.123Z-0123456789abcdef.zst.000",
                "HDB/a/20261122T221501.123Z-0123456789abcdef.zst.1000",
                "HDB/a/20261122T221501.123Z-0123456789abcdef.zst.001.age",
                "HDB/a/20261122T221501.123Z-0123456789abcdef.zst.age.001.002",
                "HDB/a/20261122T221501.123Z-0123456789abcdef.zstx",
                "HDB/a/x.zst",
                "HDB/a%/20261122T221501.123Z-0123456789abcdef.zst",
                "HDB/a%2/20261122T221501.123Z-0123456789abcdef.zst",
                "HDB/a%2g/20261122T221501.123Z-0123456789abcdef.zst",
                "HDB/a%0A/20261122T221501.123Z-0123456789abcdef.zst",
                "HDB/a%FF/20261122T221501.123Z-0123456789abcdef.zst",
                "HDB/a b/20261122T221501.123Z-0123456789abcdef.zst",
                "HDC/a/20261122T221501.123Z-0123456789abcdef.zst",
        };
        _cleanup_(freep) char *name = NULL, *ebid = NULL, *key = NULL, *large = calloc(1, 400);
        bool sealed;
        size_t volume;

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                CHECK_INT(backint_key_parse("HDB/", keys[i], &name, &ebid, &sealed, &volume), -EINVAL);
        CHECK_INT(backint_key_prefix("", "HDB", "a", &key), -EINVAL);
        CHECK_INT(backint_key_prefix("", "", "/a", &key), -EINVAL);
        CHECK(large);
        memset(large, 'a', 399);
        large[0] = '/';
        CHECK_INT(backint_key_make("", "HDB", large, "e", false, &key), -EINVAL);
}

/* --- Objects ---------------------------------------------------------------------------------------- */

typedef struct Read {
        Buffer data;
        char *head;
        int refuse; /* what the sink gives */
} Read;

static int to_buffer(void *userdata, const void *p, size_t n) {
        return buffer_add(userdata, p, n);
}

static const PieceWriterCalls to_one_buffer = { .data = to_buffer };

static int on_head(void *userdata, const PieceHead *head) {
        Read *read = userdata;

        CHECK(!read->head);
        return asprintf_safe(&read->head, "%s %s %s %s", head->ebid, head->user, head->name, head->kind);
}

static int on_data(void *userdata, const void *p, size_t n) {
        Read *read = userdata;

        CHECK(read->head);
        return read->refuse < 0 ? read->refuse : buffer_add(&read->data, p, n);
}

static void read_done(Read *read) {
        buffer_done(&read->data);
        free(read->head);
}

static int read_object(const AgeKeys *keys, const char *p, size_t n, size_t step, Read *read,
                       PieceSummary *ret) {
        static const PieceReaderCalls calls = { .head = on_head, .data = on_data };
        _cleanup_(piece_reader_freep) PieceReader *r = NULL;

        CHECK_OK(piece_reader_new(keys, &calls, read, &r));
        for (size_t at = 0; at < n; at += step) {
                int k = piece_reader_write(r, p + at, MIN(step, n - at));

                if (k < 0)
                        return k;
        }
        return piece_reader_finish(r, ret);
}

static void write_object(PieceWriter *w, const char *data, size_t n, Buffer *out, PieceSummary *ret) {
        PieceHead head = { .ebid = "e", .user = "HDB", .name = "/a \"b", .kind = "pipe" };

        CHECK_OK(piece_writer_begin(w, &head, &to_one_buffer, out));
        for (size_t at = 0; at < n;) {
                size_t room;
                void *space;

                CHECK_OK(piece_writer_space(w, &space, &room));
                CHECK(room > 0);
                room = MIN(MIN(room, n - at), (size_t) 300000);
                memcpy(space, data + at, room);
                CHECK_OK(piece_writer_advance(w, room));
                at += room;
        }
        CHECK_OK(piece_writer_finish(w, ret));
        CHECK_INT(ret->size, n);
        CHECK_INT(ret->stored_size, out->size);
}

/* Half of it can be compressed. */
static char *sample(size_t n) {
        char *data = calloc(1, n + 1);

        CHECK(data);
        for (size_t i = 0, x = 1; i < n; i++) {
                x = x * 6364136223846793005ULL + 1442695040888963407ULL;
                data[i] = i / 4096 % 2 == 0 ? (char) (x >> 56) : 'a';
        }
        return data;
}

static void check_sizes(int level, const AgeRecipient *recipients, size_t n, const AgeKeys *keys) {
        static const size_t sizes[] = { 0, 1, 1000, PIECE_FRAME - 1, PIECE_FRAME, PIECE_FRAME + 1, 2500000 };
        static const size_t steps[] = { 7919, 1 << 20, 100000000 };
        _cleanup_(piece_writer_freep) PieceWriter *w = NULL;
        _cleanup_(freep) char *data = sample(2500000);

        CHECK_OK(piece_writer_new(level, recipients, n, UINT64_MAX, &w));
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                _cleanup_buffer_ Buffer object = BUFFER_NULL;
                PieceSummary written, read;

                write_object(w, data, sizes[i], &object, &written);
                for (size_t k = 0; k < ELEMENTSOF(steps); k++) {
                        _cleanup_(read_done) Read back = {};

                        CHECK_OK(read_object(keys, object.data, object.size, steps[k], &back, &read));
                        CHECK_STR(back.head, "e HDB /a \"b pipe");
                        CHECK_INT(back.data.size, sizes[i]);
                        CHECK(sizes[i] == 0 || memcmp(back.data.data, data, sizes[i]) == 0);
                        CHECK_INT(read.stored_size, written.stored_size);
                        CHECK_MEM(read.sha256, written.sha256, SHA256_SIZE);
                }
        }
}

static void test_objects(void) {
        AgeIdentity identity, other;
        AgeRecipient recipient;
        AgeKeys keys = { .identities = &identity, .n_identities = 1 };
        AgeKeys others = { .identities = &other, .n_identities = 1 };
        _cleanup_(piece_writer_freep) PieceWriter *w = NULL;
        _cleanup_buffer_ Buffer object = BUFFER_NULL;
        _cleanup_(read_done) Read back = {};
        PieceSummary summary;

        CHECK_OK(age_identity_generate(&identity));
        CHECK_OK(age_identity_generate(&other));
        CHECK_OK(age_identity_recipient(&identity, &recipient));
        check_sizes(3, NULL, 0, NULL);
        check_sizes(0, NULL, 0, NULL);
        check_sizes(1, &recipient, 1, &keys);

        CHECK_OK(piece_writer_new(1, &recipient, 1, UINT64_MAX, &w));
        write_object(w, "x", 1, &object, &summary);
        CHECK_INT(read_object(&others, object.data, object.size, object.size, &back, &summary), -ENOKEY);
        CHECK(!back.head);
}

/* Any byte that is changed, and any end before the end, is found; nothing of a changed frame comes out. */
static void test_damage(void) {
        _cleanup_(piece_writer_freep) PieceWriter *w = NULL;
        _cleanup_(freep) char *data = sample(20000);
        _cleanup_buffer_ Buffer object = BUFFER_NULL;
        PieceSummary summary;

        CHECK_OK(piece_writer_new(3, NULL, 0, UINT64_MAX, &w));
        write_object(w, data, 20000, &object, &summary);
        for (size_t i = 0; i < object.size; i += i < 200 || i > object.size - 100 ? 1 : 61) {
                _cleanup_(read_done) Read changed = {}, cut = {};
                int r;

                object.data[i] ^= 0x20;
                r = read_object(NULL, object.data, object.size, object.size, &changed, &summary);
                /* Names may change: those who ask compare them with what they asked for. */
                CHECK(r == -EBADMSG || !streq_ptr(changed.head, "e HDB /a \"b pipe"));
                CHECK(changed.data.size == 0 || memcmp(changed.data.data, data, changed.data.size) == 0);
                object.data[i] ^= 0x20;
                CHECK_INT(read_object(NULL, object.data, i, object.size, &cut, &summary), -EBADMSG);
        }
        CHECK_OK(buffer_add(&object, "x", 1));
        {
                _cleanup_(read_done) Read longer = {};

                CHECK_INT(read_object(NULL, object.data, object.size, object.size, &longer, &summary),
                          -EBADMSG);
        }
}

/* A piece that failed in the middle leaves nothing in the next one. */
static void test_writer_again(void) {
        PieceHead head = { .ebid = "x", .user = "x", .name = "x", .kind = "file" };
        _cleanup_buffer_ Buffer lost = BUFFER_NULL, object = BUFFER_NULL;
        _cleanup_(piece_writer_freep) PieceWriter *w = NULL;
        _cleanup_(read_done) Read back = {}, refused = { .refuse = -EPIPE };
        PieceSummary summary;
        size_t room;
        void *space;

        CHECK_OK(piece_writer_new(3, NULL, 0, UINT64_MAX, &w));
        CHECK_OK(piece_writer_begin(w, &head, &to_one_buffer, &lost));
        CHECK_OK(piece_writer_space(w, &space, &room));
        memset(space, 'x', room);
        CHECK_OK(piece_writer_advance(w, room));
        CHECK_OK(piece_writer_space(w, &space, &room));
        CHECK_OK(piece_writer_advance(w, 10));
        write_object(w, "abc", 3, &object, &summary);
        CHECK_OK(read_object(NULL, object.data, object.size, 5, &back, &summary));
        CHECK_STR(back.data.data, "abc");
        /* What the destination says comes back as it is. */
        CHECK_INT(read_object(NULL, object.data, object.size, 5, &refused, &summary), -EPIPE);
}

/* --- Volumes ---------------------------------------------------------------------------------------- */

#define CUT_MAX 8

typedef struct Cut {
        Buffer volumes[CUT_MAX];
        uint8_t digests[CUT_MAX][SHA256_SIZE];
        size_t n; /* that have ended */
} Cut;

static int to_volume(void *userdata, const void *p, size_t n) {
        Cut *cut = userdata;

        return buffer_add(&cut->volumes[cut->n], p, n);
}

static int to_next_volume(void *userdata, const uint8_t sha256[static SHA256_SIZE]) {
        Cut *cut = userdata;

        CHECK(cut->n + 1 < CUT_MAX);
        memcpy(cut->digests[cut->n++], sha256, SHA256_SIZE);
        return 0;
}

static void cut_done(Cut *cut) {
        for (size_t i = 0; i < CUT_MAX; i++)
                buffer_done(&cut->volumes[i]);
}

/* Bytes that no compressor makes smaller. */
static void write_random(PieceWriter *w, Cut *cut, size_t n, PieceSummary *ret) {
        static const PieceWriterCalls calls = { .data = to_volume, .next = to_next_volume };
        PieceHead head = { .ebid = "e", .user = "HDB", .name = "/a \"b", .kind = "pipe" };
        uint64_t x = 1;

        CHECK_OK(piece_writer_begin(w, &head, &calls, cut));
        while (n > 0) {
                size_t room;
                void *space;

                CHECK_OK(piece_writer_space(w, &space, &room));
                room = MIN(room, n);
                for (size_t i = 0; i < room; i++) {
                        x = x * 6364136223846793005ULL + 1442695040888963407ULL;
                        ((char *) space)[i] = (char) (x >> 56);
                }
                CHECK_OK(piece_writer_advance(w, room));
                n -= room;
        }
        CHECK_OK(piece_writer_finish(w, ret));
        memcpy(cut->digests[cut->n++], piece_writer_last(w)->sha256, SHA256_SIZE);
}

static void check_volumes(const AgeRecipient *recipients, size_t n, const AgeKeys *keys) {
        _cleanup_buffer_ Buffer whole = BUFFER_NULL;
        _cleanup_(piece_writer_freep) PieceWriter *w = NULL;
        _cleanup_(cut_done) Cut cut = {}, again = {};
        _cleanup_(read_done) Read back = {};
        PieceSummary written, read;
        uint8_t digest[SHA256_SIZE];

        CHECK_OK(piece_writer_new(1, recipients, n, 2 * VOLUME_UNIT, &w));
        write_random(w, &cut, 5 << 20, &written);
        CHECK_INT(cut.n, 3);
        for (size_t i = 0; i < cut.n; i++) {
                if (i + 1 < cut.n)
                        CHECK_INT(cut.volumes[i].size, 2 * VOLUME_UNIT);
                CHECK_OK(sha256(cut.volumes[i].data, cut.volumes[i].size, digest));
                CHECK_MEM(digest, cut.digests[i], SHA256_SIZE);
                CHECK_OK(buffer_add(&whole, cut.volumes[i].data, cut.volumes[i].size));
        }
        CHECK_INT(written.stored_size, whole.size);
        CHECK_OK(sha256(whole.data, whole.size, digest));
        CHECK_MEM(digest, written.sha256, SHA256_SIZE);
        CHECK_OK(read_object(keys, whole.data, whole.size, 1 << 20, &back, &read));
        CHECK_INT(back.data.size, 5 << 20);
        CHECK_MEM(read.sha256, written.sha256, SHA256_SIZE);
        /* The next one begins with the first volume. */
        write_random(w, &again, 10, &written);
        CHECK_INT(again.n, 1);
        CHECK_MEM(again.digests[0], written.sha256, SHA256_SIZE);
}

static void test_volumes(void) {
        AgeIdentity identity;
        AgeRecipient recipient;
        AgeKeys keys = { .identities = &identity, .n_identities = 1 };

        CHECK_OK(age_identity_generate(&identity));
        CHECK_OK(age_identity_recipient(&identity, &recipient));
        check_volumes(NULL, 0, NULL);
        check_volumes(&recipient, 1, &keys);
}

/* --- The catalog ------------------------------------------------------------------------------------ */

static void test_catalog(void) {
        char folder[] = "/tmp/backupx-catalog-XXXXXX", path[100];
        BackintCatalogRow row = { .ebid = "e1",
                                  .user = "HDB",
                                  .name = "/a",
                                  .key = "k",
                                  .saved = TIME,
                                  .summary = { .size = 1, .stored_size = UINT64_C(1) << 40 } };
        PieceSummary found;

        CHECK(mkdtemp(folder));
        (void) snprintf(path, sizeof path, "%s/c.db", folder);
        memset(row.summary.sha256, 7, SHA256_SIZE);
        for (int i = 0; i < 2; i++) {
                _cleanup_(backint_catalog_freep) BackintCatalog *a = NULL, *b = NULL;
                _cleanup_failure_ Failure failure = FAILURE_NULL;

                CHECK_OK(backint_catalog_open(path, &a, NULL));
                CHECK_OK(backint_catalog_open(path, &b, NULL));
                CHECK_INT(backint_catalog_find(a, "e1", &found, NULL), 0);
                CHECK_OK(backint_catalog_add(a, &row, NULL));
                CHECK_INT(backint_catalog_find(b, "e1", &found, NULL), 1);
                CHECK_INT(found.size, 1);
                CHECK_INT(found.stored_size, UINT64_C(1) << 40);
                CHECK_MEM(found.sha256, row.summary.sha256, SHA256_SIZE);
                CHECK(backint_catalog_add(b, &row, &failure) < 0);
                CHECK(strstr(failure.message, path));
                CHECK_OK(backint_catalog_remove(b, "e1", NULL));
                CHECK_OK(backint_catalog_remove(b, "e1", NULL));
                CHECK_INT(backint_catalog_find(a, "e1", &found, NULL), 0);
        }
        CHECK_OK(unlink(path));
        CHECK_OK(rmdir(folder));
}

/* Not a file of ours: it is left as it is. */
static void test_other_files(void) {
        char path[] = "/tmp/backupx-catalog-XXXXXX";
        _cleanup_(backint_catalog_freep) BackintCatalog *c = NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int fd = mkstemp(path);

        CHECK(fd >= 0);
        for (int i = 0; i < 1000; i++)
                CHECK_INT(write(fd, "no database\n", 12), 12);
        CHECK_INT(backint_catalog_open(path, &c, &failure), -EBADMSG);
        CHECK_INT(backint_catalog_open("/dev/null/x.db", &c, NULL), -EACCES);
        CHECK_INT(lseek(fd, 0, SEEK_END), 12000);
        (void) close(fd);
        CHECK_OK(unlink(path));
}

/* --- The caller ------------------------------------------------------------------------------------- */

static void test_parent(void) {
        CHECK(!backint_stat_is_ending("17 (hdbindexserver) S 1 2 3 0 -1 4194560 5 6"));
        CHECK(!backint_stat_is_ending("17 (a) Z (b) R 1 2 3 0 -1 64 5 6"));
        CHECK(backint_stat_is_ending("17 (x) R 1 2 3 0 -1 4194564 5 6"));
        CHECK(backint_stat_is_ending("17 (x) Z 1 2 3 0 -1 4194316 5 6"));
        CHECK(!backint_stat_is_ending("17 (x) R 1 2"));
        CHECK(!backint_stat_is_ending(""));
        CHECK(backint_parent_lives(getppid()));
        CHECK(!backint_parent_lives(getpid()));
}

int main(void) {
        RUN(test_ebid);
        RUN(test_keys);
        RUN(test_keys_of_volumes);
        RUN(test_wrong_keys);
        RUN(test_objects);
        RUN(test_damage);
        RUN(test_writer_again);
        RUN(test_volumes);
        RUN(test_catalog);
        RUN(test_other_files);
        RUN(test_parent);
        return 0;
}
