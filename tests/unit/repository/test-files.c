/* SPDX-License-Identifier: Apache-2.0 */

#include "base/alloc.h"
#include "base/text.h"
#include "repository/config.h"
#include "repository/file.h"
#include "repository/lock.h"
#include "repository/snapshot.h"
#include "tests/test.h"

#define HEX8 "0123456789abcdef"
#define ID_A HEX8 HEX8 HEX8 "000000000000000a"
#define ID_B HEX8 HEX8 HEX8 "000000000000000b"

static void test_snapshot(void) {
        /* As restic 0.17 writes it. */
        static const char json[] =
                        "{\"time\":\"2026-11-23T08:07:20.900046705+01:00\",\"parent\":\"" ID_A "\",\"tr"
                        "ee\":\"" ID_B
                        "\",\"paths\":[\"/srv/a\\u003cb\",\"/\"],\"hostname\":\"web-1\",\"username\":\""
                        "root\","
                        "\"uid\":1000,\"gid\":100,\"excludes\":[\"*.tmp\"],\"tags\":[\"one\",\"two\"],"
                        "\"original\":\"" ID_A "\",\"program_version\":\"restic 0.17.3\",\"summary\":{"
                        "\"backup_start\":\"2026-11-23T08:07:20.9+01:00\",\"backup_end\":\"2026-11-23T0"
                        "8:07:21+01:00\","
                        "\"files_new\":1,\"files_changed\":2,\"files_unmodified\":3,\"dirs_new\":4,\"di"
                        "rs_changed\":5,"
                        "\"dirs_unmodified\":6,\"data_blobs\":7,\"tree_blobs\":8,\"data_added\":9,"
                        "\"data_added_packed\":10,\"total_files_processed\":11,\"total_bytes_processe"
                        "d\":12}}";
        _cleanup_(snapshot_done) Snapshot s = SNAPSHOT_NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;
        _cleanup_(freep) char *again = NULL;
        size_t n;

        CHECK_OK(snapshot_parse(json, strlen(json), &s, &f));
        CHECK(s.has_parent && s.has_original && s.has_summary);
        CHECK_STR(s.paths[0], "/srv/a<b");
        CHECK_INT(s.time.offset, 3600);
        CHECK_INT(s.uid, 1000);
        CHECK_INT(s.summary.total_bytes_processed, 12);
        CHECK_OK(snapshot_format(&s, &again, &n));
        CHECK_STR(again, json);
        CHECK_INT(n, strlen(json));
}

static void test_small_snapshot(void) {
        static const char json[] = "{\"time\":\"2015-01-02T18:10:50Z\",\"tree\":\"" ID_B "\",\"paths\":"
                                   "null}";
        _cleanup_(snapshot_done) Snapshot s = SNAPSHOT_NULL;
        _cleanup_(freep) char *again = NULL;
        size_t n;

        CHECK_OK(snapshot_parse(json, strlen(json), &s, NULL));
        CHECK(!s.has_parent && !s.has_summary && !s.tags);
        CHECK_OK(snapshot_format(&s, &again, &n));
        CHECK_STR(again, json);
}

static void test_bad_snapshots(void) {
        static const char *const bad[] = {
                "",
                "{}",
                "[]",
                "{\"time\":\"2015-01-02T18:10:50Z\"}",
                "{\"tree\":\"" ID_B "\"}",
                "{\"time\":\"today\",\"tree\":\"" ID_B "\"}",
                "{\"time\":\"2015-01-02T18:10:50Z\",\"tree\":\"" ID_B "\",\"tree\":\"" ID_B "\"}",
                "{\"time\":\"2015-01-02T18:10:50Z\",\"tree\":\"" HEX8 "\"}",
                "{\"time\":\"2015-01-02T18:10:50Z\",\"tree\":\"" ID_B "\",\"uid\":-1}",
                "{\"time\":\"2015-01-02T18:10:50Z\",\"tree\":\"" ID_B "\",\"paths\":[1]}",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(snapshot_done) Snapshot s = SNAPSHOT_NULL;
                _cleanup_failure_ Failure f = FAILURE_NULL;

                CHECK_INT(snapshot_parse(bad[i], strlen(bad[i]), &s, &f), -EBADMSG);
                CHECK_STR(f.code, "SNAPSHOT_DAMAGED");
        }
}

static void test_lock(void) {
        static const char json[] = "{\"time\":\"2026-11-23T08:00:00.5Z\",\"exclusive\":true,\"hostnam"
                                   "e\":\"web-1\","
                                   "\"username\":\"root\",\"pid\":4711,\"uid\":10,"
                                   "\"backupx_command\":\"command-7-1\"}";
        _cleanup_(repo_lock_done) RepoLock l = REPO_LOCK_NULL, other = REPO_LOCK_NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;
        _cleanup_(freep) char *again = NULL;
        Moment now;
        size_t n;

        CHECK_OK(repo_lock_parse(json, strlen(json), &l, &f));
        CHECK(l.exclusive);
        CHECK_INT(l.pid, 4711);
        CHECK_STR(l.command, "command-7-1");
        CHECK_OK(repo_lock_format(&l, &again, &n));
        CHECK_STR(again, json);
        CHECK_INT(repo_lock_parse("{\"pid\":1}", 9, &other, &f), -EBADMSG);
        CHECK_STR(f.code, "LOCK_DAMAGED");

        now = l.time;
        CHECK(repo_lock_conflicts(&l, /* want_exclusive= */ false, &now));
        CHECK(repo_lock_conflicts(&l, true, &now));
        now.sec += REPO_LOCK_STALE_SEC;
        CHECK(repo_lock_conflicts(&l, false, &now));
        now.sec++;
        CHECK(!repo_lock_conflicts(&l, false, &now));
        /* A clock that is behind makes no lock stale. */
        now.sec = l.time.sec - 86400;
        CHECK(repo_lock_conflicts(&l, false, &now));
        l.exclusive = false;
        CHECK(!repo_lock_conflicts(&l, false, &now));
        CHECK(repo_lock_conflicts(&l, true, &now));
}

static void test_config(void) {
        static const char json[] =
                        "{\"version\":2,\"id\":\"" ID_A "\",\"chunker_polynomial\":\"25b468838dcb75\"}";
        static const struct {
                const char *json;
                int error;
        } bad[] = {
                { "{\"version\":3,\"id\":\"" ID_A "\",\"chunker_polynomial\":\"1\"}", -EPROTONOSUPPORT },
                { "{\"version\":0,\"id\":\"" ID_A "\",\"chunker_polynomial\":\"1\"}", -EPROTONOSUPPORT },
                { "{\"version\":2,\"id\":\"" ID_A
                  "\",\"chunker_polynomial\":\"1\",\"backupx_chunker\":\"x\"}",
                  -EPROTONOSUPPORT },
                { "{\"version\":2,\"id\":\"" HEX8 "\",\"chunker_polynomial\":\"1\"}", -EBADMSG },
                { "{\"version\":2,\"id\":\"" ID_A "\",\"chunker_polynomial\":\"\"}", -EBADMSG },
                { "{\"version\":2,\"id\":\"" ID_A "\",\"chunker_polynomial\":\"00000000000000001\"}",
                  -EBADMSG },
                { "{\"version\":2,\"id\":\"" ID_A "\",\"chunker_polynomial\":\"xyz\"}", -EBADMSG },
                { "{\"version\":2}", -EBADMSG },
        };
        _cleanup_(freep) char *same = NULL, *ours = NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;
        RepoConfig c, again;
        size_t n;

        CHECK_OK(repo_config_parse(json, strlen(json), &c, &f));
        CHECK(c.chunker_polynomial == UINT64_C(0x25b468838dcb75));
        CHECK_INT(c.chunker, CHUNKER_RABIN);
        CHECK_OK(repo_config_format(&c, &same, &n));
        CHECK_STR(same, json);
        c.chunker = CHUNKER_GEAR;
        CHECK_OK(repo_config_format(&c, &ours, &n));
        CHECK_OK(repo_config_parse(ours, n, &again, &f));
        CHECK_INT(again.chunker, CHUNKER_GEAR);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                CHECK_INT(repo_config_parse(bad[i].json, strlen(bad[i].json), &c, NULL), bad[i].error);
}

/* A JSON text through a file, compressed or not, whole and changed. */
static void check_file(Cipher *cipher, Compressor *compressor, const char *json) {
        _cleanup_(repo_file_done) RepoFile f = REPO_FILE_NULL;
        _cleanup_(freep) uint8_t *sealed = NULL;
        _cleanup_(freep) char *text = NULL;
        uint8_t *copy;
        size_t n, k;
        Id id;

        CHECK_OK(repo_file_seal(cipher, compressor, json, strlen(json), &sealed, &n));
        CHECK_OK(id_of(sealed, n, &id));
        copy = memdup0(sealed, n);
        CHECK(copy);
        CHECK_OK(repo_file_open(cipher, &id, copy, n, &f));
        CHECK_INT(repo_file_read_all(&f, strlen(json), &text, &k), 0);
        CHECK_STR(text, json);
        CHECK_INT(k, strlen(json));

        for (size_t i = 0; i < n; i += 7) {
                _cleanup_(repo_file_done) RepoFile bad = REPO_FILE_NULL;

                copy = memdup0(sealed, n);
                CHECK(copy);
                copy[i] ^= 4;
                CHECK_INT(repo_file_open(cipher, i % 2 ? &id : NULL, copy, n, &bad), -EBADMSG);
        }
}

static void test_files(void) {
        static const CipherKey key = { .encrypt = "key", .mac_k = "k", .mac_r = "r" };
        _cleanup_(compressor_freep) Compressor *compressor = NULL;
        _cleanup_(cipher_freep) Cipher *cipher = NULL;
        _cleanup_(freep) char *big = malloc(300001);

        CHECK(big);
        CHECK_OK(cipher_new(&key, &cipher));
        CHECK_OK(compressor_new(3, &compressor));
        memset(big, ' ', 300000);
        memcpy(big, "[", 1);
        memcpy(big + 299999, "]", 2);
        for (int compressed = 0; compressed < 2; compressed++) {
                check_file(cipher, compressed ? compressor : NULL, "{}");
                check_file(cipher, compressed ? compressor : NULL, "[1,2,3]");
        }
        check_file(cipher, compressor, big);
}

/* Sealed well, but no file: nothing, an encoding that is not known, a frame that ends early. */
static void test_bad_encodings(void) {
        static const CipherKey key = { .encrypt = "key", .mac_k = "k", .mac_r = "r" };
        static const char *const plains[] = { "", "\x03{}", "x", "\x02", "\x02\x28\xb5\x2f\xfd\x04" };
        _cleanup_(cipher_freep) Cipher *cipher = NULL;

        CHECK_OK(cipher_new(&key, &cipher));
        for (size_t i = 0; i < ELEMENTSOF(plains); i++) {
                _cleanup_(repo_file_done) RepoFile f = REPO_FILE_NULL;
                _cleanup_(freep) char *text = NULL;
                size_t n = strlen(plains[i]), k = 1;
                uint8_t *sealed = malloc(n + CIPHER_OVERHEAD);
                int r;

                CHECK(sealed);
                CHECK_OK(cipher_seal(cipher, plains[i], n, sealed));
                r = repo_file_open(cipher, NULL, sealed, n + CIPHER_OVERHEAD, &f);
                if (r >= 0)
                        r = repo_file_read_all(&f, 1000, &text, &k);
                CHECK(r == -EBADMSG || k == 0);
        }
}

static void test_pieces(void) {
        _cleanup_(decompressor_freep) Decompressor *d = NULL;
        _cleanup_(compressor_freep) Compressor *c = NULL;
        _cleanup_buffer_ Buffer frame = BUFFER_NULL;
        uint8_t piece[1000], *out;
        size_t size = 1000 * sizeof piece, at = 0;
        ssize_t n;

        CHECK_OK(compressor_new(1, &c));
        CHECK_OK(decompressor_new(&d));
        for (unsigned i = 0; i < 1000; i++) {
                memset(piece, (int) (i * i % 251), sizeof piece);
                CHECK_OK(compressor_add(c, piece, sizeof piece, &frame));
        }
        CHECK_OK(compressor_end(c, &frame));
        out = malloc(size);
        CHECK(out);
        CHECK_INT(decompressor_run(d, frame.data, frame.size, out, size - 1), -EBADMSG);
        CHECK_INT(decompressor_run(d, frame.data, frame.size - 1, out, size), -EBADMSG);
        CHECK_OK(decompressor_run(d, frame.data, frame.size, out, size));
        CHECK_INT(out[999 * sizeof piece], 999 * 999 % 251);
        CHECK_OK(decompressor_begin(d, frame.data, frame.size));
        while ((n = decompressor_read(d, piece, sizeof piece)) > 0) {
                CHECK_MEM(piece, out + at, (size_t) n);
                at += (size_t) n;
        }
        CHECK_OK(n);
        CHECK_INT(at, size);
        free(out);
}

/* A frame that is made by one compressor; gives its size. */
static size_t compress(Compressor *c, const char *text, size_t n, uint8_t *out, size_t room) {
        ssize_t k = compressor_run(c, text, n, out, room);

        CHECK(k > 0);
        return (size_t) k;
}

/* Small and large content is compressed with other parameters: one after the other, after a frame that was
 * not ended and after one that had no room, each gives what it gives alone. */
static void test_sizes(void) {
        static const size_t sizes[] = { 1 << 20, 100, 256 << 10, (256 << 10) - 1, 3 << 20, 5000 };
        const size_t room = compressor_bound(3 << 20);
        _cleanup_(freep) char *text = malloc(3 << 20);
        _cleanup_(freep) uint8_t *out = malloc(room), *alone = malloc(room);
        _cleanup_(compressor_freep) Compressor *c = NULL;
        _cleanup_(decompressor_freep) Decompressor *d = NULL;
        _cleanup_(freep) char *back = malloc(3 << 20);
        _cleanup_buffer_ Buffer begun = BUFFER_NULL;

        CHECK(text && out && alone && back);
        for (size_t i = 0, s = 1; i < 3 << 20; i++) {
                s = s * 6364136223846793005U + 1442695040888963407U;
                text[i] = "words and spaces"[s >> 60];
        }
        CHECK_OK(compressor_new(3, &c));
        CHECK_OK(decompressor_new(&d));
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                _cleanup_(compressor_freep) Compressor *fresh = NULL;
                size_t n = compress(c, text, sizes[i], out, room);

                CHECK_OK(compressor_new(3, &fresh));
                CHECK_INT(compress(fresh, text, sizes[i], alone, room), n);
                CHECK_MEM(out, alone, n);
                CHECK_OK(decompressor_run(d, out, n, back, sizes[i]));
                CHECK_MEM(back, text, sizes[i]);
                if (i % 2 == 0)
                        CHECK_OK(compressor_add(c, text, 1000, &begun));
                else
                        CHECK_INT(compressor_run(c, text, sizes[i], out, 10), -ENOBUFS);
        }
}

int main(void) {
        RUN(test_snapshot);
        RUN(test_small_snapshot);
        RUN(test_bad_snapshots);
        RUN(test_lock);
        RUN(test_config);
        RUN(test_files);
        RUN(test_bad_encodings);
        RUN(test_pieces);
        RUN(test_sizes);
        return EXIT_SUCCESS;
}
