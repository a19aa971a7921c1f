/* SPDX-License-Identifier: Apache-2.0 */

#include "base/alloc.h"
#include "base/failure.h"
#include "base/text.h"
#include "repository/index.h"
#include "tests/test.h"

/* Ids with the same first bytes, which somebody can find: a table that trusts
 * them would be a list. */
static Id id_number(uint32_t v) {
        Id id = {};

        memcpy(id.bytes + 8, &v, sizeof(v));
        return id;
}

static void test_pack_header(void) {
        PackBlob blobs[] = {
                { .id = id_number(1), .type = BLOB_DATA, .length = 100 },
                { id_number(2), BLOB_DATA, .offset = 100, .length = 50, .uncompressed_length = 70 },
                { .id = id_number(3), .type = BLOB_TREE, .offset = 150, .length = 32 },
                { id_number(4), BLOB_TREE, .offset = 182, .length = 33, .uncompressed_length = 1 },
        };
        _cleanup_buffer_ Buffer header = BUFFER_NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;
        _cleanup_(freep) PackBlob *again = NULL;
        PackBlob *none = NULL;
        size_t n;

        for (size_t i = 0; i < ELEMENTSOF(blobs); i++)
                CHECK_OK(pack_header_add(&header, blobs + i));
        CHECK_INT(header.size, 2 * 37 + 2 * 41);
        CHECK_OK(pack_header_parse(header.data, header.size, 215, &again, &n, &f));
        CHECK_INT(n, ELEMENTSOF(blobs));
        for (size_t i = 0; i < n; i++) {
                CHECK(id_equal(&again[i].id, &blobs[i].id));
                CHECK_INT(again[i].type, blobs[i].type);
                CHECK_INT(again[i].offset, blobs[i].offset);
                CHECK_INT(again[i].length, blobs[i].length);
                CHECK_INT(again[i].uncompressed_length, blobs[i].uncompressed_length);
        }
        CHECK_INT(pack_header_parse(header.data, header.size, 214, &none, &n, &f), -EBADMSG);
        CHECK_STR(f.code, "PACK_DAMAGED");
        CHECK_INT(pack_header_parse(header.data, header.size - 1, 215, &none, &n, NULL), -EBADMSG);
        header.data[0] = 4; /* a type that is not known */
        CHECK_INT(pack_header_parse(header.data, header.size, 215, &none, &n, NULL), -EBADMSG);
        header.data[0] = 0;
        header.data[1] = 31; /* shorter than what seals it */
        CHECK_INT(pack_header_parse(header.data, header.size, 146, &none, &n, NULL), -EBADMSG);
        CHECK(!none);
}

static void test_trailer(void) {
        static const struct {
                uint32_t header;
                uint64_t pack;
                bool good;
        } rows[] = {
                { 32, 36, true },
                { 31, 1000, false },
                { 33, 36, false },
                { PACK_HEADER_SIZE_MAX, UINT64_C(1) << 30, true },
                { PACK_HEADER_SIZE_MAX + 1, UINT64_C(1) << 30, false },
                { UINT32_MAX, UINT64_MAX, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                uint8_t trailer[PACK_TRAILER_SIZE];
                uint32_t size = 0;

                pack_trailer_format(rows[i].header, trailer);
                CHECK_INT(pack_trailer_parse(trailer, rows[i].pack, &size), rows[i].good ? 0 : -EBADMSG);
                CHECK_INT(size, rows[i].good ? rows[i].header : 0);
        }
}

static void load(RepoIndex *x, const char *json) {
        _cleanup_failure_ Failure f = FAILURE_NULL;
        JsonPullMemory m = { json, strlen(json) };

        if (repo_index_load(x, json_pull_memory, &m, &f) < 0)
                TEST_FAIL("%s", failure_message(&f, 0));
}

#define HEX8 "0123456789abcdef"
#define ID_A HEX8 HEX8 HEX8 "000000000000000a"
#define ID_B HEX8 HEX8 HEX8 "000000000000000b"
#define ID_C HEX8 HEX8 HEX8 "000000000000000c"

/* The same blob in two packs, the same pack in two files, the list alone as old versions wrote it. */
static void test_load(void) {
        static const char first[] =
                        "{\"supersedes\":[\"" ID_C "\"],\"packs\":[{\"id\":\"" ID_B "\",\"blobs\":["
                        "{\"id\":\"" ID_A "\",\"type\":\"data\",\"offset\":0,\"length\":40},"
                        "{\"id\":\"" ID_A "\",\"type\":\"tree\",\"offset\":40,\"length\":50,"
                        "\"uncompressed_length\":99}]}]}";
        static const char second[] =
                        "[{\"blobs\":[{\"id\":\"" ID_A "\",\"type\":\"data\",\"offset\":7,\"length\":40}],"
                        "\"id\":\"" ID_A "\",\"new\":{}},{\"id\":\"" ID_B "\",\"blobs\":["
                        "{\"id\":\"" ID_A "\",\"type\":\"data\",\"offset\":0,\"length\":40}]}]";
        _cleanup_(repo_index_freep) RepoIndex *x = NULL;
        const Id *superseded;
        uint64_t cursor = 0;
        IndexEntry e;
        uint32_t pack;
        size_t n;
        Id a, b;

        CHECK_OK(id_from_hex(ID_A, ID_HEX_LENGTH, &a));
        CHECK_OK(id_from_hex(ID_B, ID_HEX_LENGTH, &b));
        CHECK_OK(repo_index_new(&x));
        load(x, first);
        load(x, second);
        load(x, "{\"packs\":null}");
        CHECK_INT(repo_index_n_blobs(x), 3);
        CHECK_INT(repo_index_n_packs(x), 2);
        CHECK(repo_index_find(x, BLOB_DATA, &a, &cursor, &e));
        CHECK(id_equal(repo_index_pack(x, e.pack), &b));
        CHECK_INT(e.blob.offset, 0);
        CHECK(repo_index_find(x, BLOB_DATA, &a, &cursor, &e));
        CHECK(id_equal(repo_index_pack(x, e.pack), &a));
        CHECK_INT(e.blob.offset, 7);
        CHECK(!repo_index_find(x, BLOB_DATA, &a, &cursor, &e));
        cursor = 0;
        CHECK(repo_index_find(x, BLOB_TREE, &a, &cursor, &e));
        CHECK_INT(e.blob.uncompressed_length, 99);
        CHECK(!repo_index_has(x, BLOB_TREE, &b));
        CHECK_OK(repo_index_find_pack(x, &a, &pack));
        CHECK_INT(pack, 1);
        superseded = repo_index_superseded(x, &n);
        CHECK_INT(n, 1);
        CHECK_INT(superseded[0].bytes[31], 0x0c);
}

static void test_refused(void) {
        static const char *const bad[] = {
                "{}",
                "{\"packs\":[]",
                "{\"packs\":[],\"packs\":[]}",
                "{\"packs\":[{\"id\":\"" ID_A "\"}]}",
                "{\"packs\":[{\"blobs\":[]}]}",
                "{\"packs\":[{\"id\":\"" ID_A "\",\"id\":\"" ID_B "\",\"blobs\":[]}]}",
                "{\"packs\":[{\"id\":\"" ID_A "\",\"blobs\":[{\"id\":\"" ID_B
                "\",\"type\":\"data\",\"offset\":0}]}]}",
                "{\"packs\":[{\"id\":\"" ID_A "\",\"blobs\":[{\"id\":\"" ID_B
                "\",\"type\":\"data\",\"offset\":0,\"length\":31}]}]}",
                "{\"packs\":[{\"id\":\"" ID_A "\",\"blobs\":[{\"id\":\"" ID_B
                "\",\"type\":\"blob\",\"offset\":0,\"length\":40}]}]}",
                "{\"packs\":[{\"id\":\"" ID_A "\",\"blobs\":[{\"id\":\"" ID_B
                "\",\"type\":\"data\",\"offset\":0,\"offset\":0,\"length\":40}]}]}",
                "{\"packs\":[{\"id\":\"0A\",\"blobs\":[]}]}",
                "{\"packs\":[]} x",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(repo_index_freep) RepoIndex *x = NULL;
                _cleanup_failure_ Failure f = FAILURE_NULL;
                JsonPullMemory m = { bad[i], strlen(bad[i]) };

                CHECK_OK(repo_index_new(&x));
                if (repo_index_load(x, json_pull_memory, &m, &f) != -EBADMSG)
                        TEST_FAIL("taken: %s", bad[i]);
                CHECK_STR(f.code, "INDEX_DAMAGED");
        }
}

/* Through the writer and back, and how much memory that takes. */
static void test_many(void) {
        enum {
                PACKS = 200,
                BLOBS = 1000,
        };
        _cleanup_(repo_index_freep) RepoIndex *x = NULL;
        _cleanup_(freep) PackBlob *blobs = new0(PackBlob, BLOBS);
        _cleanup_buffer_ Buffer json = BUFFER_NULL;
        IndexFileWriter w;
        uint64_t cursor;
        IndexEntry e;
        Id id;

        CHECK(blobs);
        CHECK_OK(index_file_begin(&w, &json, NULL, 0));
        for (uint32_t p = 0; p < PACKS; p++) {
                for (uint32_t i = 0; i < BLOBS; i++)
                        blobs[i] = (PackBlob){
                                .id = id_number(p * BLOBS + i),
                                .type = p % 2 ? BLOB_TREE : BLOB_DATA,
                                .offset = i * 100,
                                .length = 100,
                                .uncompressed_length = i % 3 * 50,
                        };
                id = id_number(UINT32_MAX - p);
                CHECK_OK(index_file_add(&w, &id, blobs, BLOBS));
        }
        CHECK_OK(index_file_end(&w));
        CHECK_OK(repo_index_new(&x));
        load(x, json.data);
        CHECK_INT(repo_index_n_blobs(x), PACKS * BLOBS);
        CHECK_INT(repo_index_n_packs(x), PACKS);
        for (uint32_t i = 0; i < PACKS * BLOBS; i++) {
                cursor = 0;
                id = id_number(i);
                CHECK(repo_index_find(x, i / BLOBS % 2 ? BLOB_TREE : BLOB_DATA, &id, &cursor, &e));
                CHECK_INT(e.pack, i / BLOBS);
                CHECK_INT(e.blob.offset, i % BLOBS * 100);
                CHECK_INT(e.blob.uncompressed_length, i % BLOBS % 3 * 50);
        }
        id = id_number(PACKS * BLOBS);
        CHECK(!repo_index_has(x, BLOB_DATA, &id));
        CHECK(repo_index_memory(x) < PACKS * BLOBS * 60);
}

int main(void) {
        RUN(test_pack_header);
        RUN(test_trailer);
        RUN(test_load);
        RUN(test_refused);
        RUN(test_many);
        return EXIT_SUCCESS;
}
