/* SPDX-License-Identifier: Apache-2.0 */

/* A tree in small pieces. What was understood is written again and must be understood the same way; names
 * are such that a restore may use them. */

#include "base/text.h"
#include "repository/compress.h"
#include "repository/tree.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ssize_t read_piece(void *userdata, void *buf, size_t n) {
        return json_pull_memory(userdata, buf, MIN(n, (size_t) 7));
}

static void check_again(const TreeNode *n) {
        _cleanup_(tree_writer_done) TreeWriter w = TREE_WRITER_NULL;
        _cleanup_(tree_node_done) TreeNode again = TREE_NODE_NULL;
        _cleanup_(tree_reader_freep) TreeReader *t = NULL;
        _cleanup_buffer_ Buffer out = BUFFER_NULL;
        JsonPullMemory m;

        CHECK_OK(tree_writer_begin(&w, &out));
        CHECK_OK(tree_writer_add(&w, n));
        CHECK_OK(tree_writer_end(&w));
        m = (JsonPullMemory){ out.data, out.size };
        CHECK_OK(tree_reader_new(json_pull_memory, &m, &t));
        CHECK_INT(tree_reader_next(t, &again, NULL), 1);
        CHECK_STR(again.name, n->name);
        CHECK_INT(again.type, n->type);
        CHECK_INT(again.mode, n->mode);
        CHECK(streq_ptr(again.target, n->target));
        if (n->type == TREE_NODE_FILE)
                CHECK_INT(again.n_content, n->n_content);
        CHECK_INT(again.n_xattrs, n->n_xattrs);
        CHECK_INT(tree_reader_next(t, &again, NULL), 0);
}

/* A brief node says what a whole one does, and its text is a node that says the same. */
static void check_brief(TreeReader *brief, const TreeNode *n) {
        _cleanup_(tree_node_done) TreeNode b = TREE_NODE_NULL, again = TREE_NODE_NULL;
        _cleanup_(tree_writer_done) TreeWriter w = TREE_WRITER_NULL;
        _cleanup_(tree_reader_freep) TreeReader *t = NULL;
        _cleanup_buffer_ Buffer out = BUFFER_NULL;
        TreeText text;

        CHECK_INT(tree_reader_next(brief, &b, NULL), 1);
        CHECK_STR(b.name, n->name);
        CHECK_INT(b.type, n->type);
        CHECK_INT(b.inode, n->inode);
        CHECK_INT(b.device_id, n->device_id);
        CHECK_INT(b.n_content, n->n_content);
        tree_reader_text(brief, &text);
        CHECK_OK(tree_writer_begin(&w, &out));
        CHECK_OK(tree_writer_add_text(&w, b.name, &text, 77));
        CHECK_OK(tree_writer_end(&w));
        CHECK_OK(tree_reader_new_text(out.data, out.size, /* brief= */ false, &t));
        CHECK_INT(tree_reader_next(t, &again, NULL), 1);
        CHECK_INT(again.device_id, text.device_from < text.device_to ? 77 : 0);
        CHECK_INT(again.mode, n->mode);
        CHECK_INT(again.n_xattrs, n->n_xattrs);
        CHECK(streq_ptr(again.target, n->target));
        CHECK_INT(tree_reader_next(t, &again, NULL), 0);
}

static void pack(const uint8_t *data, size_t size, Buffer *ret) {
        _cleanup_(compressor_freep) Compressor *c = NULL;

        CHECK_OK(compressor_new(1, &c));
        CHECK_OK(compressor_add(c, data, size, ret));
        CHECK_OK(compressor_end(c, ret));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(tree_node_done) TreeNode n = TREE_NODE_NULL;
        _cleanup_(tree_reader_freep) TreeReader *t = NULL, *brief = NULL, *packed = NULL;
        _cleanup_buffer_ Buffer frame = BUFFER_NULL;
        JsonPullMemory m = { (const char *) data, size };
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        CHECK_OK(tree_reader_new(read_piece, &m, &t));
        CHECK_OK(tree_reader_new_text((const char *) data, size, /* brief= */ true, &brief));
        pack(data, size, &frame);
        CHECK_OK(tree_reader_new_packed(frame.data, frame.size, /* brief= */ true, &packed));
        while ((r = tree_reader_next(t, &n, &failure)) > 0) {
                CHECK(tree_name_is_valid(n.name));
                check_again(&n);
                check_brief(brief, &n);
                check_brief(packed, &n);
        }
        if (r < 0)
                CHECK(failure_is_set(&failure));
        return 0;
}
