/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "repository/compress.h"
#include "repository/go-mode.h"
#include "repository/go-text.h"
#include "repository/tree.h"

struct TreeReader {
        JsonPull *pull;
        const char *source; /* of a tree in memory; weak */
        Decompressor *decompressor;
        const char *node; /* the last one, where there is no source; NULL: not kept */
        bool brief;
        bool begun, ended;
        size_t from, to, device_from, device_to; /* where the last node and its device_id stand */
        char *last;
        Buffer text;
};

TreeReader *tree_reader_free(TreeReader *t) {
        if (!t)
                return NULL;
        json_pull_free(t->pull);
        decompressor_free(t->decompressor);
        free(t->last);
        buffer_done(&t->text);
        return mfree(t);
}

int tree_reader_new(JsonPullRead read, void *source, TreeReader **ret) {
        _cleanup_(tree_reader_freep) TreeReader *t = NULL;
        int r;

        assert(read);
        assert(ret);

        t = new0(TreeReader, 1);
        if (!t)
                return -ENOMEM;
        r = json_pull_new(read, source, &t->pull);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

int tree_reader_new_text(const char *text, size_t n, bool brief, TreeReader **ret) {
        _cleanup_(tree_reader_freep) TreeReader *t = NULL;
        int r;

        assert(text);
        assert(ret);

        t = new0(TreeReader, 1);
        if (!t)
                return -ENOMEM;
        t->source = text;
        t->brief = brief;
        r = json_pull_new_text(text, n, &t->pull);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

static ssize_t read_packed(void *userdata, void *buf, size_t n) {
        return decompressor_read(userdata, buf, n);
}

int tree_reader_new_packed(const char *packed, size_t n, bool brief, TreeReader **ret) {
        _cleanup_(tree_reader_freep) TreeReader *t = NULL;
        int r;

        assert(packed);
        assert(ret);

        t = new0(TreeReader, 1);
        if (!t)
                return -ENOMEM;
        t->brief = brief;
        r = decompressor_new(&t->decompressor);
        if (r >= 0)
                r = decompressor_begin(t->decompressor, packed, n);
        if (r >= 0)
                r = json_pull_new(read_packed, t->decompressor, &t->pull);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

void tree_reader_text(const TreeReader *t, TreeText *ret) {
        assert(t && (t->source || t->decompressor));
        assert(ret);

        *ret = (TreeText){};
        if (!t->source && !t->node)
                return;
        *ret = (TreeText){
                .data = t->source ? t->source + t->from : t->node,
                .n = t->to - t->from,
                .device_from = t->device_from - t->from,
                .device_to = t->device_to - t->from,
        };
}

/* --- Values ------------------------------------------------------------------------------------------ */

typedef int (*ReadField)(TreeReader *t, TreeNode *n, void *field);

static int read_string(TreeReader *t, TreeNode *n, void *field) {
        char **ret = field;
        const char *text;
        size_t size;
        int r;

        r = json_pull_string(t->pull, &text, &size);
        if (r < 0)
                return r;
        if (size == 0)
                return 0;
        return free_and_strdup(ret, text);
}

static int read_name(TreeReader *t, TreeNode *n, void *field) {
        char **ret = field;
        const char *text;
        size_t size;
        int r;

        assert(t);
        assert(ret);

        r = json_pull_string(t->pull, &text, &size);
        if (r < 0)
                return r;
        buffer_clear(&t->text);
        r = go_text_unquote(&t->text, text, size);
        if (r < 0)
                return r == -EINVAL ? -EBADMSG : r;
        if (t->text.size > TREE_NAME_MAX)
                return -EBADMSG;
        return free_and_strdup(ret, t->text.data);
}

static int read_type(TreeReader *t, TreeNode *n, void *field) {
        TreeNodeType *ret = field;
        const char *text;
        size_t size;
        int r;

        assert(ret);

        r = json_pull_string(t->pull, &text, &size);
        if (r < 0)
                return r;
        r = tree_node_type_from_string(text);
        *ret = r < 0 ? TREE_NODE_IRREGULAR : (TreeNodeType) r;
        return 0;
}

static int read_mode(TreeReader *t, TreeNode *n, void *field) {
        uint32_t *ret = field;
        uint64_t v = 0;
        int r;

        assert(ret);

        r = json_pull_u64(t->pull, UINT32_MAX, &v);
        if (r < 0)
                return r;
        *ret = go_mode_permissions((uint32_t) v);
        return 0;
}

static int read_moment(TreeReader *t, TreeNode *n, void *field) {
        const char *text;
        size_t size;
        int r;

        r = json_pull_string(t->pull, &text, &size);
        if (r < 0)
                return r;
        return moment_parse(text, size, field) < 0 ? -EBADMSG : 0;
}

static int read_u32(TreeReader *t, TreeNode *n, void *field) {
        uint32_t *ret = field;
        uint64_t v = 0;
        int r;

        assert(ret);

        r = json_pull_u64(t->pull, UINT32_MAX, &v);
        if (r < 0)
                return r;
        *ret = (uint32_t) v;
        return 0;
}

static int read_u64(TreeReader *t, TreeNode *n, void *field) {
        return json_pull_u64(t->pull, UINT64_MAX, field);
}

/* Its value comes next: white space before it was taken. */
static int read_device_id(TreeReader *t, TreeNode *n, void *field) {
        int r;

        assert(t);

        t->device_from = json_pull_offset(t->pull);
        r = json_pull_u64(t->pull, UINT64_MAX, field);
        t->device_to = json_pull_offset(t->pull);
        return r;
}

static int read_id(JsonPull *p, Id *ret) {
        const char *text;
        size_t size;
        int r;

        r = json_pull_string(p, &text, &size);
        if (r < 0)
                return r;
        return id_from_hex(text, size, ret) < 0 ? -EBADMSG : 0;
}

static int read_subtree(TreeReader *t, TreeNode *n, void *field) {
        assert(n);

        n->has_subtree = true;
        return read_id(t->pull, field);
}

static int read_binary(JsonPull *p, void **ret, size_t *ret_n) {
        const char *text;
        size_t size;
        int r;

        assert(ret);

        r = json_pull_string(p, &text, &size);
        if (r < 0)
                return r;
        free(*ret);
        *ret = NULL;
        r = base64_decode(BASE64_STANDARD, text, size, ret, ret_n);
        return r == -EINVAL ? -EBADMSG : r;
}

/* Wins over the target as text, which has lost what is not UTF-8. */
static int read_raw_target(TreeReader *t, TreeNode *n, void *field) {
        _cleanup_(freep) void *bytes = NULL;
        size_t size;
        int r;

        assert(n);

        r = read_binary(t->pull, &bytes, &size);
        if (r < 0)
                return r;
        if (size == 0 || memchr(bytes, 0, size))
                return -EBADMSG;
        free(n->target);
        n->target = TAKE_PTR(bytes);
        return 0;
}

static int read_content(TreeReader *t, TreeNode *n, void *field) {
        size_t allocated = 0;
        int r;

        assert(t);
        assert(n);

        r = json_pull_enter_array(t->pull);
        while (r >= 0) {
                r = json_pull_element(t->pull);
                if (r <= 0)
                        break;
                if (n->n_content == TREE_CONTENT_MAX)
                        return -EBADMSG;
                if (n->n_content == allocated) {
                        Id *grown = reallocarray(n->content, allocated = MAX(2 * allocated, (size_t) 4),
                                                 sizeof(Id));

                        if (!grown)
                                return -ENOMEM;
                        n->content = grown;
                }
                r = read_id(t->pull, n->content + n->n_content);
                if (r >= 0)
                        n->n_content++;
        }
        return r;
}

static int read_xattr(TreeReader *t, Xattr *x) {
        const char *key;
        int r;

        assert(t);
        assert(x);

        r = json_pull_enter_object(t->pull);
        while (r >= 0) {
                r = json_pull_member(t->pull, &key);
                if (r <= 0)
                        break;
                if (streq(key, "name"))
                        r = read_string(t, NULL, &x->name);
                else if (streq(key, "value") && json_pull_peek(t->pull) != JSON_PULL_NULL)
                        r = read_binary(t->pull, &x->value, &x->size);
                else
                        r = json_pull_skip(t->pull);
        }
        return r < 0 || x->name ? r : -EBADMSG;
}

static int read_xattrs(TreeReader *t, TreeNode *n, void *field) {
        int r;

        assert(t);
        assert(n);

        r = json_pull_enter_array(t->pull);
        while (r >= 0) {
                Xattr *grown;

                r = json_pull_element(t->pull);
                if (r <= 0)
                        break;
                if (n->n_xattrs == TREE_XATTRS_MAX)
                        return -EBADMSG;
                grown = reallocarray(n->xattrs, n->n_xattrs + 1, sizeof(Xattr));
                if (!grown)
                        return -ENOMEM;
                n->xattrs = grown;
                grown[n->n_xattrs++] = (Xattr){};
                r = read_xattr(t, grown + n->n_xattrs - 1);
        }
        return r;
}

/* --- Nodes ------------------------------------------------------------------------------------------- */

typedef struct Field {
        const char *key;
        ReadField read;
        size_t offset;
        bool brief; /* wanted of a brief node, too */
} Field;

#define FIELD(name, function, member, brief) \
        { name, function, offsetof(TreeNode, member), brief }

static const Field fields[] = {
        FIELD("name", read_name, name, true),
        FIELD("type", read_type, type, true),
        FIELD("mode", read_mode, mode, false),
        FIELD("mtime", read_moment, mtime, true),
        FIELD("atime", read_moment, atime, false),
        FIELD("ctime", read_moment, ctime, true),
        FIELD("uid", read_u32, uid, false),
        FIELD("gid", read_u32, gid, false),
        FIELD("user", read_string, user, false),
        FIELD("group", read_string, group, false),
        FIELD("inode", read_u64, inode, true),
        FIELD("device_id", read_device_id, device_id, true),
        FIELD("size", read_u64, size, true),
        FIELD("links", read_u64, links, false),
        FIELD("linktarget", read_string, target, false),
        FIELD("linktarget_raw", read_raw_target, target, false),
        FIELD("extended_attributes", read_xattrs, xattrs, false),
        FIELD("device", read_u64, device, false),
        FIELD("content", read_content, content, true),
        FIELD("subtree", read_subtree, subtree, true),
};

/* Fields come in the order of the table, so the search goes on where it was. */
static size_t find_field(const char *key, size_t from) {
        for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
                size_t at = (from + i) % ELEMENTSOF(fields);

                if (streq(fields[at].key, key))
                        return at;
        }
        return ELEMENTSOF(fields);
}

static int read_fields(TreeReader *t, TreeNode *n) {
        size_t field = 0;
        uint32_t found = 0;
        const char *key;
        int r;

        assert(t);
        assert(n);

        n->type = _TREE_NODE_TYPE_INVALID;
        r = json_pull_peek(t->pull);
        t->from = t->device_from = t->device_to = json_pull_offset(t->pull);
        if (t->decompressor && t->brief)
                json_pull_keep(t->pull);
        if (r >= 0)
                r = json_pull_enter_object(t->pull);
        while (r >= 0) {
                r = json_pull_member(t->pull, &key);
                if (r <= 0)
                        break;
                field = find_field(key, field);
                r = json_pull_peek(t->pull);
                if (r < 0)
                        break;
                if (field < ELEMENTSOF(fields) && r != JSON_PULL_NULL) {
                        if (found & UINT32_C(1) << field)
                                return -EBADMSG;
                        found |= UINT32_C(1) << field;
                }
                if (field == ELEMENTSOF(fields) || r == JSON_PULL_NULL || (t->brief && !fields[field].brief))
                        r = json_pull_skip(t->pull);
                else
                        r = fields[field].read(t, n, (char *) n + fields[field].offset);
        }
        t->to = json_pull_offset(t->pull);
        return r;
}

static int read_node(TreeReader *t, TreeNode *n) {
        size_t size;
        int r = read_fields(t, n);

        t->node = NULL;
        if (r < 0 || !t->decompressor || !t->brief)
                return r;
        r = json_pull_kept(t->pull, &t->node, &size);
        if (r == -EFBIG)
                t->node = NULL;
        return r == -EFBIG ? 0 : r;
}

/* Whether a node can be what it says. */
static bool is_possible(const TreeReader *t, const TreeNode *n) {
        assert(n);

        if ((int) n->type < 0 || !tree_name_is_valid(n->name) || (t->last && strcmp(n->name, t->last) <= 0))
                return false;
        if (n->type == TREE_NODE_DIRECTORY && !n->has_subtree)
                return false;
        return n->type != TREE_NODE_SYMLINK || n->target || t->brief;
}

/* Goes to the first node; an absent list is empty. */
static int begin(TreeReader *t) {
        const char *key;
        int r;

        assert(t);

        t->begun = true;
        r = json_pull_enter_object(t->pull);
        while (r >= 0) {
                r = json_pull_member(t->pull, &key);
                if (r <= 0)
                        break;
                if (!streq(key, "nodes")) {
                        r = json_pull_skip(t->pull);
                        continue;
                }
                r = json_pull_peek(t->pull);
                if (r == JSON_PULL_ARRAY)
                        return json_pull_enter_array(t->pull) < 0 ? -EBADMSG : 1;
                if (r >= 0)
                        r = r == JSON_PULL_NULL ? json_pull_skip(t->pull) : -EBADMSG;
        }
        return r;
}

/* Behind the last node. */
static int end(TreeReader *t) {
        const char *key;
        int r;

        assert(t);

        for (;;) {
                r = json_pull_member(t->pull, &key);
                if (r <= 0)
                        break;
                if (streq(key, "nodes"))
                        return -EBADMSG;
                r = json_pull_skip(t->pull);
                if (r < 0)
                        break;
        }
        return r < 0 ? r : json_pull_end(t->pull);
}

static int next_node(TreeReader *t, TreeNode *n) {
        int r = 1;

        assert(t);

        if (t->ended)
                return 0;
        if (!t->begun) {
                r = begin(t);
                if (r < 0)
                        return r;
        }
        if (r > 0)
                r = json_pull_element(t->pull);
        else {
                t->ended = true;
                return json_pull_end(t->pull);
        }
        if (r < 0)
                return r;
        if (r == 0) {
                t->ended = true;
                return end(t);
        }
        r = read_node(t, n);
        if (r < 0)
                return r;
        if (!is_possible(t, n))
                return -EBADMSG;
        r = free_and_strdup(&t->last, n->name);
        return r < 0 ? r : 1;
}

int tree_reader_next(TreeReader *t, TreeNode *ret, Failure *reterr_failure) {
        _cleanup_(tree_node_done) TreeNode n = TREE_NODE_NULL;
        int r;

        assert(t);
        assert(ret);

        r = next_node(t, &n);
        if (r == -EBADMSG)
                return failure_set(reterr_failure, r, "TREE_DAMAGED",
                                   "The directory is no valid tree: see its byte %" PRIu64,
                                   json_pull_offset(t->pull));
        if (r <= 0)
                return r;
        tree_node_done(ret);
        *ret = n;
        n = TREE_NODE_NULL;
        return 1;
}
