/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "repository/go-mode.h"
#include "repository/go-text.h"
#include "repository/tree.h"

#define DIGITS_MAX 20 /* of 64 bits */

void tree_writer_done(TreeWriter *w) {
        assert(w);

        free(w->last);
        *w = TREE_WRITER_NULL;
}

int tree_writer_begin(TreeWriter *w, Buffer *out) {
        assert(w);
        assert(out);

        *w = (TreeWriter){ .out = out };
        return buffer_add_string(out, "{\"nodes\":[");
}

int tree_writer_end(TreeWriter *w) {
        assert(w && w->out);

        return buffer_add_string(w->out, "]}\n");
}

static int add_name(Buffer *out, const char *name) {
        _cleanup_buffer_ Buffer quoted = BUFFER_NULL;
        int r;

        r = buffer_add_string(out, "{\"name\":");
        if (r >= 0)
                r = go_text_quote(&quoted, name);
        return r < 0 ? r : go_text_add_json(out, quoted.data);
}

/* Nodes are many, and a format string is slow to follow. */
static int add_key(Buffer *out, const char *key) {
        int r;

        r = buffer_add(out, ",\"", 2);
        if (r >= 0)
                r = buffer_add_string(out, key);
        return r < 0 ? r : buffer_add(out, "\":", 2);
}

static int add_quoted(Buffer *out, const char *text) {
        int r;

        r = buffer_add(out, "\"", 1);
        if (r >= 0)
                r = buffer_add_string(out, text);
        return r < 0 ? r : buffer_add(out, "\"", 1);
}

/* A field that is left out where it is empty. */
static int add_text(Buffer *out, const char *key, const char *value) {
        int r;

        if (isempty(value))
                return 0;
        r = add_key(out, key);
        return r < 0 ? r : go_text_add_json(out, value);
}

/* Of a number; they end where the buffer does. */
static const char *format_digits(uint64_t value, char buf[static DIGITS_MAX]) {
        char *s = buf + DIGITS_MAX;

        do
                *--s = (char) ('0' + value % 10);
        while ((value /= 10) > 0);
        return s;
}

static int add_digits(Buffer *out, const char *key, uint64_t value) {
        char digits[DIGITS_MAX];
        const char *s = format_digits(value, digits);
        int r;

        r = add_key(out, key);
        return r < 0 ? r : buffer_add(out, s, (size_t) (digits + DIGITS_MAX - s));
}

static int add_number(Buffer *out, const char *key, uint64_t value) {
        return value == 0 ? 0 : add_digits(out, key, value);
}

static int add_moment(Buffer *out, const char *key, const Moment *m) {
        char text[MOMENT_TEXT_MAX];
        int r;

        r = add_key(out, key);
        return r < 0 ? r : add_quoted(out, moment_format(m, text));
}

static int add_base64(Buffer *out, const void *p, size_t n) {
        _cleanup_(freep) char *text = NULL;
        int r;

        r = base64_encode(BASE64_STANDARD, p, n, &text);
        return r < 0 ? r : add_quoted(out, text);
}

static int add_xattrs(Buffer *out, const TreeNode *n) {
        int r;

        assert(n);

        if (n->n_xattrs == 0)
                return 0;
        r = buffer_add_string(out, ",\"extended_attributes\":[");
        for (size_t i = 0; i < n->n_xattrs && r >= 0; i++) {
                r = buffer_add_string(out, i > 0 ? ",{\"name\":" : "{\"name\":");
                if (r >= 0)
                        r = go_text_add_json(out, n->xattrs[i].name);
                if (r >= 0)
                        r = buffer_add_string(out, ",\"value\":");
                if (r >= 0)
                        r = add_base64(out, n->xattrs[i].value, n->xattrs[i].size);
                if (r >= 0)
                        r = buffer_add_string(out, "}");
        }
        return r < 0 ? r : buffer_add_string(out, "]");
}

static int add_target(Buffer *out, const char *target) {
        int r;

        r = add_text(out, "linktarget", target);
        if (r < 0 || isempty(target) || utf8_is_valid(target, strlen(target)))
                return r;
        r = buffer_add_string(out, ",\"linktarget_raw\":");
        return r < 0 ? r : add_base64(out, target, strlen(target));
}

/* A list for files, also an empty one; null for all else. */
static int add_content(Buffer *out, const TreeNode *n) {
        char hex[ID_HEX_SIZE];
        int r;

        assert(n);

        if (n->type != TREE_NODE_FILE)
                return buffer_add_string(out, ",\"content\":null");
        r = buffer_add_string(out, ",\"content\":[");
        for (size_t i = 0; i < n->n_content && r >= 0; i++) {
                r = i > 0 ? buffer_add(out, ",", 1) : 0;
                if (r >= 0)
                        r = add_quoted(out, id_to_hex(n->content + i, hex));
        }
        return r < 0 ? r : buffer_add_string(out, "]");
}

/* What stat says, in the order of restic's struct. */
static int add_stat(Buffer *out, const TreeNode *n) {
        int r;

        assert(n);

        r = add_text(out, "type", tree_node_type_to_string(n->type));
        if (r >= 0)
                r = add_number(out, "mode", go_mode(n->type, n->mode));
        if (r >= 0)
                r = add_moment(out, "mtime", &n->mtime);
        if (r >= 0)
                r = add_moment(out, "atime", &n->atime);
        if (r >= 0)
                r = add_moment(out, "ctime", &n->ctime);
        if (r >= 0)
                r = add_digits(out, "uid", n->uid);
        if (r >= 0)
                r = add_digits(out, "gid", n->gid);
        if (r >= 0)
                r = add_text(out, "user", n->user);
        if (r >= 0)
                r = add_text(out, "group", n->group);
        if (r >= 0)
                r = add_number(out, "inode", n->inode);
        if (r >= 0)
                r = add_number(out, "device_id", n->device_id);
        if (r >= 0)
                r = add_number(out, "size", n->size);
        return r < 0 ? r : add_number(out, "links", n->links);
}

static int add_node(Buffer *out, const TreeNode *n) {
        char hex[ID_HEX_SIZE];
        int r;

        assert(n);

        r = add_name(out, n->name);
        if (r >= 0)
                r = add_stat(out, n);
        if (r >= 0)
                r = add_target(out, n->target);
        if (r >= 0)
                r = add_xattrs(out, n);
        if (r >= 0)
                r = add_number(out, "device", n->device);
        if (r >= 0)
                r = add_content(out, n);
        if (r >= 0 && n->has_subtree)
                r = add_text(out, "subtree", id_to_hex(&n->subtree, hex));
        return r < 0 ? r : buffer_add_string(out, "}");
}

/* What comes before a node: it has to be behind the last one. */
static int begin_node(TreeWriter *w, const char *name) {
        if (!tree_name_is_valid(name) || (w->last && strcmp(name, w->last) <= 0))
                return -EINVAL;
        return w->last ? buffer_add(w->out, ",", 1) : 0;
}

int tree_writer_add(TreeWriter *w, const TreeNode *n) {
        int r;

        assert(w && w->out);
        assert(n);

        r = begin_node(w, n->name);
        if (r >= 0)
                r = add_node(w->out, n);
        return r < 0 ? r : free_and_strdup(&w->last, n->name);
}

int tree_writer_add_text(TreeWriter *w, const char *name, const TreeText *text, uint64_t device_id) {
        char digits[DIGITS_MAX];
        const char *device = format_digits(device_id, digits);
        int r;

        assert(w && w->out);
        assert(text && text->device_from <= text->device_to && text->device_to <= text->n);

        r = begin_node(w, name);
        if (r >= 0)
                r = buffer_add(w->out, text->data, text->device_from);
        if (r >= 0 && text->device_from < text->device_to)
                r = buffer_add(w->out, device, (size_t) (digits + DIGITS_MAX - device));
        if (r >= 0)
                r = buffer_add(w->out, text->data + text->device_to, text->n - text->device_to);
        return r < 0 ? r : free_and_strdup(&w->last, name);
}
