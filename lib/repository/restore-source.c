/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "archive/restore-object.h"
#include "base/alloc.h"
#include "base/text.h"
#include "repository/restore-source.h"
#include "wire/path.h"

void restore_source_done(RestoreSource *s) {
        assert(s);

        snapshot_done(&s->snapshot);
        blob_reader_free(s->reader);
        repo_index_free(s->index);
        *s = RESTORE_SOURCE_NULL;
}

int restore_source_open(RestoreSource *s, Repository *r, const char *name, Failure *reterr_failure) {
        _cleanup_buffer_ Buffer root = BUFFER_NULL;
        bool packed;
        Id id;
        int k;

        assert(s);
        assert(r);

        s->repository = r;
        k = repository_find_snapshot(r, name, &id, &s->snapshot, reterr_failure);
        if (k >= 0)
                k = repo_index_new(&s->index);
        if (k >= 0)
                k = repository_load_index(r, s->index, reterr_failure);
        if (k >= 0)
                k = blob_reader_new(r, s->index, &s->reader);
        if (k >= 0) /* before anything is touched */
                k = blob_reader_get_packed(s->reader, BLOB_TREE, &s->snapshot.tree, TREE_WHOLE_MAX, &root,
                                           &packed, reterr_failure);
        return k < 0 ? k : 0;
}

uint64_t restore_source_size(const RestoreSource *s, const TreeNode *n) {
        uint64_t size = 0;

        assert(s);
        assert(n);

        for (size_t i = 0; i < n->n_content; i++) {
                uint64_t cursor = 0;
                IndexEntry e;

                if (repo_index_find(s->index, BLOB_DATA, n->content + i, &cursor, &e))
                        size += pack_blob_plain_length(&e.blob);
        }
        return size;
}

/* --- Selections -------------------------------------------------------------------------------------- */

static int add_selection(RestoreSource *s, RestoreRun *run, const char *absolute) {
        _cleanup_(tree_node_done) TreeNode n = TREE_NODE_NULL;
        _cleanup_(freep) char *path = NULL, *display = NULL;
        Failure *f = &run->result->failure;
        int r;

        if (path_display(absolute, &display) < 0)
                return -ENOMEM;
        r = path_from_absolute(absolute, &path);
        if (r == -EINVAL)
                return failure_set(f, r, "PATH_INVALID", "The chosen path %s is not an absolute one",
                                   display);
        if (r >= 0 && path[0])
                r = tree_find(s->reader, &s->snapshot.tree, path, &n, f);
        if (r == -ENOENT)
                return failure_set(f, r, "PATH_MISSING", "The snapshot does not have %s", display);
        if (r < 0)
                return r;
        run->selections[run->n_selections++].path = TAKE_PTR(path);
        return 0;
}

int restore_source_select(RestoreSource *s, RestoreRun *run) {
        size_t n = strv_length(run->args->paths);
        char *const everything[] = { (char *) "/", NULL };
        int r;

        assert(s);
        assert(run);

        STRV_FOREACH(path, s->snapshot.paths) {
                _cleanup_(freep) char *source = NULL;

                /* Those of a program that ran elsewhere may be none of ours. */
                r = path_from_absolute(*path, &source);
                if (r == -ENOMEM)
                        return r;
                if (r >= 0)
                        r = strv_extend(&run->sources, source);
                if (r == -ENOMEM)
                        return r;
        }
        run->selections = new0(Selection, MAX(n, (size_t) 1));
        if (!run->selections)
                return -ENOMEM;
        STRV_FOREACH(path, n > 0 ? run->args->paths : everything) {
                r = add_selection(s, run, *path);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- The origin -------------------------------------------------------------------------------------- */

static int lookup(RestoreRun *r, const char *path, Member *ret) {
        _cleanup_(tree_node_done) TreeNode n = TREE_NODE_NULL;
        RestoreSource *s = ASSERT_PTR(r->origin_data);
        int k;

        if (!path[0])
                return -ENOENT;
        k = tree_find(s->reader, &s->snapshot.tree, path, &n, &r->result->failure);
        if (k < 0)
                return k;
        k = tree_node_to_member(&n, path, ret);
        return k == -EINVAL ? -ENOENT : k;
}

static int list(RestoreRun *r, const char *directory, RestoreListFunc func, void *userdata) {
        _cleanup_(tree_node_done) TreeNode n = TREE_NODE_NULL;
        RestoreSource *s = ASSERT_PTR(r->origin_data);
        _cleanup_(tree_walk_freep) TreeWalk *walk = NULL;
        _cleanup_buffer_ Buffer path = BUFFER_NULL;
        const TreeNode *node;
        const char *name;
        int k;

        k = directory[0] ? tree_find(s->reader, &s->snapshot.tree, directory, &n, &r->result->failure) : 0;
        if (k >= 0 && directory[0] && !n.has_subtree)
                return -ENOENT;
        if (k >= 0)
                k = tree_walk_new(s->reader, directory[0] ? &n.subtree : &s->snapshot.tree, &walk);
        while (k >= 0) {
                k = tree_walk_next(walk, &name, &node, &r->result->failure);
                if (k <= 0)
                        break;
                tree_walk_skip(walk);
                buffer_clear(&path);
                k = buffer_printf(&path, "%s%s%s", directory, directory[0] ? "/" : "", name);
                if (k >= 0)
                        k = func(userdata, path.data, node->type == TREE_NODE_DIRECTORY);
                if (k > 0)
                        return k;
        }
        return k;
}

/* The blobs of one file, one after the other. */
typedef struct NodeContent {
        RestoreRun *run;
        const TreeNode *node;
        const char *path;
        size_t next;
        uint64_t offset;
        Buffer blob;
} NodeContent;

static ssize_t next_blob(void *userdata, const void **ret, uint64_t *ret_offset) {
        NodeContent *c = ASSERT_PTR(userdata);
        RestoreSource *s = ASSERT_PTR(c->run->origin_data);
        _cleanup_failure_ Failure f = FAILURE_NULL;
        int r;

        if (c->next == c->node->n_content)
                return 0;
        r = blob_reader_get(s->reader, BLOB_DATA, c->node->content + c->next, &c->blob, &f);
        if (r == -EBADMSG || r == -ENOENT) {
                int k = restore_name(c->run, c->path, "DAMAGED", "was not restored: %s",
                                     failure_message(&f, r));

                return k < 0 ? k : -ENODATA;
        }
        if (r < 0)
                return r;
        c->next++;
        *ret = c->blob.data;
        *ret_offset = c->offset;
        c->offset += c->blob.size;
        return (ssize_t) c->blob.size;
}

static int copy(RestoreRun *r, const Member *link) {
        _cleanup_(tree_node_done) TreeNode n = TREE_NODE_NULL;
        RestoreSource *s = ASSERT_PTR(r->origin_data);
        _cleanup_(member_done) Member m = MEMBER_NULL;
        NodeContent c = { .run = r, .node = &n, .path = link->path };
        RestoreContent content = { next_blob, &c };
        int k;

        k = tree_find(s->reader, &s->snapshot.tree, link->path, &n, &r->result->failure);
        if (k >= 0)
                k = tree_node_to_member(&n, link->path, &m);
        if (k < 0)
                return k;
        m.size = restore_source_size(s, &n);
        m.sparse = m.type == MEMBER_FILE;
        k = restore_object(r, &m, &content);
        buffer_done(&c.blob);
        return k != 0 ? k : restore_links_add_alias(r->links, link->target, link->path);
}

const RestoreOrigin restore_origin_repository = { .lookup = lookup, .list = list, .copy = copy };
