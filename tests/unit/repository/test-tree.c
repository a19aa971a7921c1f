/* SPDX-License-Identifier: Apache-2.0 */

#include "base/alloc.h"
#include "base/failure.h"
#include "base/text.h"
#include "repository/compress.h"
#include "repository/tree.h"
#include "tests/test.h"

/* A tree that restic 0.14.0 wrote, and what it called it: a name that is no UTF-8, characters
 * that Go escapes, set-id bits, an attribute, a time before 1970. */
#define RESTIC_TREE \
        "{\"nodes\":[{\"name\":\"d\",\"type\":\"dir\",\"mode\":2147484141,\"mtime\":\"2026-11-23T07:4" \
        "9:18.210591624Z\",\"atime\":\"2026-11-23T07:49:18.210591624Z\",\"ctime\":\"2026-11-23T07:49:" \
        "18.210591624Z\",\"uid\":0,\"gid\":0,\"user\":\"root\",\"group\":\"root\",\"inode\":11067603," \
        "\"device_id\":65024,\"content\":null,\"subtree\":\"d1a8da365af5a6ed1afcfebff5fa178ccb7f26085" \
        "249fc94a6b5ed33e9222b7f\"},{\"name\":\"empty\",\"type\":\"file\",\"mode\":420,\"mtime\":\"20" \
        "26-11-23T07:49:18.210591624Z\",\"atime\":\"2026-11-23T07:49:18.210591624Z\",\"ctime\":\"2026" \
        "-11-23T07:49:18.230591623Z\",\"uid\":0,\"gid\":0,\"user\":\"root\",\"group\":\"root\",\"inod" \
        "e\":11067654,\"device_id\":65024,\"links\":1,\"extended_attributes\":[{\"name\":\"user.x\"," \
        "\"value\":\"dg==\"}],\"content\":[]},{\"name\":\"fifo\",\"type\":\"fifo\",\"mode\":33554852," \
        "\"mtime\":\"2026-11-23T07:49:18.226591623Z\",\"atime\":\"2026-11-23T07:49:18.226591623Z\",\"" \
        "ctime\":\"2026-11-23T07:49:18.226591623Z\",\"uid\":0,\"gid\":0,\"user\":\"root\",\"group\":" \
        "\"root\",\"inode\":11067715,\"device_id\":65024,\"content\":null},{\"name\":\"html\",\"type" \
        "\":\"symlink\",\"mode\":134218239,\"mtime\":\"2026-11-23T07:49:18.214591624Z\",\"atime\":\"2" \
        "026-11-23T07:49:18.214591624Z\",\"ctime\":\"2026-11-23T07:49:18.214591624Z\",\"uid\":0,\"gid" \
        "\":0,\"user\":\"root\",\"group\":\"root\",\"inode\":11067656,\"device_id\":65024,\"links\":1" \
        ",\"linktarget\":\"a\\u003cb\\u003e\\u0026c\",\"content\":null},{\"name\":\"n\\\\xffame\",\"t" \
        "ype\":\"file\",\"mode\":420,\"mtime\":\"2026-11-23T07:49:18.226591623Z\",\"atime\":\"2026-11" \
        "-23T07:49:18.226591623Z\",\"ctime\":\"2026-11-23T07:49:18.226591623Z\",\"uid\":0,\"gid\":0," \
        "\"user\":\"root\",\"group\":\"root\",\"inode\":11067658,\"device_id\":65024,\"links\":1,\"co" \
        "ntent\":[]},{\"name\":\"tab\\\\tq\\\\\\\"\\\\\\\\x\",\"type\":\"file\",\"mode\":420,\"mtime" \
        "\":\"2026-11-23T07:49:18.226591623Z\",\"atime\":\"2026-11-23T07:49:18.226591623Z\",\"ctime\"" \
        ":\"2026-11-23T07:49:18.226591623Z\",\"uid\":0,\"gid\":0,\"user\":\"root\",\"group\":\"root\"" \
        ",\"inode\":11067667,\"device_id\":65024,\"links\":1,\"content\":[]},{\"name\":\"ä\",\"type" \
        "\":\"file\",\"mode\":420,\"mtime\":\"1969-12-31T23:59:58.5Z\",\"atime\":\"1969-12-31T23:59:5" \
        "8.5Z\",\"ctime\":\"2026-11-23T07:49:18.242591622Z\",\"uid\":0,\"gid\":0,\"user\":\"root\",\"" \
        "group\":\"root\",\"inode\":11067683,\"device_id\":65024,\"links\":1,\"content\":[]}]}\n"
#define RESTIC_TREE_ID "5a8e34d86fce350e447917ca6e12cb7cd31a9d399f07bc5faecc726264e682e1"

static TreeReader *reader_of(JsonPullMemory *m, const char *json) {
        TreeReader *t;

        *m = (JsonPullMemory){ json, strlen(json) };
        CHECK_OK(tree_reader_new(json_pull_memory, m, &t));
        return t;
}

/* Reading and writing again gives the same bytes, so the same digest. */
static void test_restic_tree(void) {
        _cleanup_(tree_writer_done) TreeWriter w = TREE_WRITER_NULL;
        _cleanup_(tree_node_done) TreeNode n = TREE_NODE_NULL;
        _cleanup_(tree_reader_freep) TreeReader *t = NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;
        _cleanup_buffer_ Buffer out = BUFFER_NULL;
        char hex[ID_HEX_SIZE];
        JsonPullMemory m;
        size_t count = 0;
        Id id;
        int r;

        t = reader_of(&m, RESTIC_TREE);
        CHECK_OK(tree_writer_begin(&w, &out));
        while ((r = tree_reader_next(t, &n, &f)) > 0) {
                if (streq(n.name, "n\xff"
                                  "ame"))
                        count |= 1;
                if (streq(n.name, "tab\tq\"\\x"))
                        count |= 2;
                if (streq(n.name, "html")) {
                        CHECK_STR(n.target, "a<b>&c");
                        CHECK_INT(n.mode, 0777);
                        count |= 8;
                }
                if (streq(n.name, "\xc3\xa4")) {
                        CHECK_INT(n.mtime.sec, -2);
                        CHECK_INT(n.mtime.nsec, 500000000);
                        count |= 16;
                }
                if (streq(n.name, "empty")) {
                        CHECK_INT(n.n_xattrs, 1);
                        CHECK_STR(n.xattrs[0].name, "user.x");
                        CHECK_INT(n.n_content, 0);
                        count |= 32;
                }
                CHECK_OK(tree_writer_add(&w, &n));
        }
        CHECK_OK(r);
        CHECK_INT(count, 59);
        CHECK_OK(tree_writer_end(&w));
        CHECK_STR(out.data, RESTIC_TREE);
        CHECK_OK(id_of(out.data, out.size, &id));
        CHECK_STR(id_to_hex(&id, hex), RESTIC_TREE_ID);
}

#define HEX8 "0123456789abcdef"
#define HEX64 HEX8 HEX8 HEX8 HEX8
#define TIMES "\"mtime\":\"2020-01-01T00:00:00+01:00\""

/* Fields of newer versions, of other systems, and what old ones leave out. */
static void test_other_fields(void) {
        static const char json[] =
                        "{\"new\":[1,{\"a\":null}],\"nodes\":["
                        "{\"name\":\"a\",\"type\":\"symlink\"," TIMES ",\"linktarget\":\"x\\ufffd\","
                        "\"linktarget_raw\":\"eP8=\",\"generic_attributes\":{\"windows.x\":[1.5e3,true]},"
                        "\"content\":null},"
                        "{\"name\":\"b\",\"type\":\"file\",\"mode\":12583277,\"content\":["
                        "\"" HEX64 "\",\"" HEX64
                        "\"],\"extended_attributes\":[{\"name\":\"user.e\",\"value\":null}]},"
                        "{\"name\":\"c\",\"type\":\"door\"}"
                        "],\"later\":false} ";
        _cleanup_(tree_node_done) TreeNode n = TREE_NODE_NULL;
        _cleanup_(tree_reader_freep) TreeReader *t = NULL;
        JsonPullMemory m;

        t = reader_of(&m, json);
        CHECK_INT(tree_reader_next(t, &n, NULL), 1);
        CHECK_STR(n.target, "x\xff");
        CHECK_INT(n.mtime.sec, 1577833200);
        CHECK_INT(n.mtime.offset, 3600);
        CHECK_INT(tree_reader_next(t, &n, NULL), 1);
        CHECK(!n.target);
        CHECK_INT(n.mode, 06555);
        CHECK_INT(n.n_content, 2);
        CHECK_INT(n.xattrs[0].size, 0);
        CHECK_INT(tree_reader_next(t, &n, NULL), 1);
        CHECK_INT(n.type, TREE_NODE_IRREGULAR);
        CHECK_INT(tree_reader_next(t, &n, NULL), 0);
        CHECK_INT(tree_reader_next(t, &n, NULL), 0);
}

static void test_refused(void) {
#define NODE(name) "{\"name\":\"" name "\",\"type\":\"fifo\"}"
        static const char *const bad[] = {
                "",
                "[]",
                "{\"nodes\":[]",
                "{\"nodes\":[]}{}",
                "{\"nodes\":[],\"nodes\":[]}",
                "{\"nodes\":[{}]}",
                "{\"nodes\":[" NODE("") "]}",
                "{\"nodes\":[" NODE(".") "]}",
                "{\"nodes\":[" NODE("..") "]}",
                "{\"nodes\":[" NODE("a/b") "]}",
                "{\"nodes\":[" NODE("\\\\x2f") "]}",
                "{\"nodes\":[" NODE("\\\\x00") "]}",
                "{\"nodes\":[" NODE("\\\\q") "]}",
                "{\"nodes\":[" NODE("\\\"") "]}",
                "{\"nodes\":[" NODE("a") "," NODE("a") "]}",
                "{\"nodes\":[" NODE("b") "," NODE("a") "]}",
                "{\"nodes\":[{\"name\":\"a\",\"name\":\"a\",\"type\":\"fifo\"}]}",
                "{\"nodes\":[{\"name\":\"a\",\"type\":\"dir\"}]}",
                "{\"nodes\":[{\"name\":\"a\",\"type\":\"symlink\"}]}",
                "{\"nodes\":[{\"name\":\"a\",\"type\":\"file\",\"content\":[\"00\"]}]}",
                "{\"nodes\":[{\"name\":\"a\",\"type\":\"file\",\"size\":-1}]}",
                "{\"nodes\":[{\"name\":\"a\",\"type\":\"file\",\"uid\":4294967296}]}",
                "{\"nodes\":[{\"name\":\"a\",\"type\":\"file\",\"mtime\":\"yesterday\"}]}",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(tree_node_done) TreeNode n = TREE_NODE_NULL;
                _cleanup_(tree_reader_freep) TreeReader *t = NULL;
                _cleanup_failure_ Failure f = FAILURE_NULL;
                JsonPullMemory m;
                int r;

                t = reader_of(&m, bad[i]);
                while ((r = tree_reader_next(t, &n, &f)) > 0)
                        ;
                if (r != -EBADMSG)
                        TEST_FAIL("taken: %s", bad[i]);
                CHECK_STR(f.code, "TREE_DAMAGED");
        }
}

/* A writer keeps the order that readers need. */
static void test_writer(void) {
        _cleanup_(tree_writer_done) TreeWriter w = TREE_WRITER_NULL;
        _cleanup_buffer_ Buffer out = BUFFER_NULL;
        TreeNode n = { .type = TREE_NODE_SYMLINK, .target = (char *) "t\xff" };
        static const struct {
                const char *name;
                int result;
        } rows[] = {
                { "b", 0 },
                { "b", -EINVAL },
                { "a", -EINVAL },
                { "b\xff", 0 },
                { "c/d", -EINVAL },
                { "..", -EINVAL },
        };

        CHECK_OK(tree_writer_begin(&w, &out));
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                n.name = (char *) rows[i].name;
                CHECK_INT(tree_writer_add(&w, &n), rows[i].result);
        }
        CHECK_OK(tree_writer_end(&w));
        CHECK(strstr(out.data, "\"linktarget\":\"t\\ufffd\",\"linktarget_raw\":\"dP8=\""));
        CHECK(strstr(out.data, "{\"name\":\"b\\\\xff\""));
}

/* What restic wrote, taken over as text: the same, but for the device. */
static void test_text(void) {
        _cleanup_(tree_writer_done) TreeWriter w = TREE_WRITER_NULL, same = TREE_WRITER_NULL;
        _cleanup_buffer_ Buffer out = BUFFER_NULL, other = BUFFER_NULL;
        _cleanup_(tree_node_done) TreeNode n = TREE_NODE_NULL;
        _cleanup_(tree_reader_freep) TreeReader *t = NULL;
        TreeText text;

        CHECK_OK(tree_reader_new_text(RESTIC_TREE, strlen(RESTIC_TREE), /* brief= */ true, &t));
        CHECK_OK(tree_writer_begin(&w, &out));
        CHECK_OK(tree_writer_begin(&same, &other));
        while (tree_reader_next(t, &n, NULL) > 0) {
                CHECK_INT(n.device_id, 65024);
                CHECK(!n.user && !n.target && !n.xattrs && n.mode == 0);
                tree_reader_text(t, &text);
                CHECK_OK(tree_writer_add_text(&w, n.name, &text, n.device_id));
                CHECK_INT(tree_writer_add_text(&w, n.name, &text, n.device_id), -EINVAL);
                CHECK_OK(tree_writer_add_text(&same, n.name, &text, 7));
        }
        CHECK_OK(tree_writer_end(&w));
        CHECK_OK(tree_writer_end(&same));
        CHECK_STR(out.data, RESTIC_TREE);
        CHECK(strstr(other.data, "\"inode\":11067603,\"device_id\":7,\"content\":null"));
        CHECK(!strstr(other.data, "65024"));
}

/* More than any window holds, with a file of more blobs than a text is kept of. */
static void make_many(Buffer *ret) {
        _cleanup_(tree_writer_done) TreeWriter w = TREE_WRITER_NULL;
        _cleanup_(freep) Id *ids = new0(Id, 16000);

        CHECK(ids);
        CHECK_OK(tree_writer_begin(&w, ret));
        for (unsigned i = 0; i < 3000; i++) {
                char name[32];
                TreeNode n = { .name = name, .content = ids, .n_content = i == 1001 ? 16000 : i % 3 };

                (void) snprintf(name, sizeof(name), "file-%05u", i);
                n.type = i % 5 == 0 ? TREE_NODE_FIFO : TREE_NODE_FILE;
                n.inode = i;
                n.device_id = i % 7; /* not written where it is 0 */
                CHECK_OK(tree_writer_add(&w, &n));
        }
        CHECK_OK(tree_writer_end(&w));
}

static void pack(const Buffer *text, Buffer *ret) {
        _cleanup_(compressor_freep) Compressor *c = NULL;

        CHECK_OK(compressor_new(3, &c));
        CHECK_OK(compressor_add(c, text->data, text->size, ret));
        CHECK_OK(compressor_end(c, ret));
}

/* Compressed it says the same, down to the text of its nodes. */
static void test_packed(void) {
        _cleanup_(tree_node_done) TreeNode n = TREE_NODE_NULL, other = TREE_NODE_NULL;
        _cleanup_(tree_reader_freep) TreeReader *t = NULL, *plain = NULL;
        _cleanup_buffer_ Buffer text = BUFFER_NULL, packed = BUFFER_NULL;
        TreeText a, b;
        unsigned without = 0;

        make_many(&text);
        pack(&text, &packed);
        CHECK_OK(tree_reader_new_packed(packed.data, packed.size, /* brief= */ true, &t));
        CHECK_OK(tree_reader_new_text(text.data, text.size, /* brief= */ true, &plain));
        for (unsigned i = 0; i < 3000; i++) {
                CHECK_INT(tree_reader_next(t, &n, NULL), 1);
                CHECK_INT(tree_reader_next(plain, &other, NULL), 1);
                CHECK_STR(n.name, other.name);
                CHECK_INT(n.n_content, other.n_content);
                tree_reader_text(t, &a);
                tree_reader_text(plain, &b);
                if (!a.data) {
                        CHECK_INT(i, 1001);
                        without++;
                        continue;
                }
                CHECK(a.n == b.n && memcmp(a.data, b.data, a.n) == 0);
                CHECK(a.device_from == b.device_from && a.device_to == b.device_to);
        }
        CHECK_INT(without, 1);
        CHECK_INT(tree_reader_next(t, &n, NULL), 0);
        t = tree_reader_free(t);
        /* Whole nodes, too; and not beyond what is damaged. */
        CHECK_OK(tree_reader_new_packed(packed.data, packed.size / 2, /* brief= */ false, &t));
        CHECK_INT(tree_reader_next(t, &n, NULL), 1);
        CHECK_INT(n.type, TREE_NODE_FIFO);
        while (tree_reader_next(t, &n, NULL) > 0)
                continue;
        CHECK_INT(tree_reader_next(t, &n, NULL), -EBADMSG);
}

int main(void) {
        RUN(test_restic_tree);
        RUN(test_other_fields);
        RUN(test_refused);
        RUN(test_writer);
        RUN(test_text);
        RUN(test_packed);
        return EXIT_SUCCESS;
}
