/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "repository/browse.h"
#include "repository/restore-source.h"
#include "wire/path.h"

static int explain(const char *path, int error, Failure *reterr_failure) {
        _cleanup_(freep) char *display = NULL;

        if (path_display(path, &display) < 0)
                return -ENOMEM;
        if (error == -ENOTDIR)
                return failure_set(reterr_failure, error, "NOT_A_DIRECTORY",
                                   "/%s is no directory in the snapshot", display);
        return failure_set(reterr_failure, -ENOENT, "PATH_NOT_FOUND", "The snapshot has no directory /%s",
                           display);
}

static int add_node(BrowsePage *page, const char *directory, const TreeNode *node) {
        _cleanup_(entry_done) Entry entry = ENTRY_NULL;
        _cleanup_(freep) char *path = NULL;
        int r;

        assert(node);

        r = asprintf_safe(&path, "%s%s%s", directory, directory[0] ? "/" : "", node->name);
        if (r >= 0)
                r = tree_node_to_member(node, path, &entry.member);
        if (r == -EINVAL) /* of another system */
                return 0;
        if (r < 0)
                return r;
        entry.member.size = node->type == TREE_NODE_FILE ? node->size : 0;
        return browse_page_add(page, &entry);
}

static int list_tree(const RestoreSource *source, const Id *tree, const char *directory, BrowsePage *page,
                     Failure *reterr_failure) {
        _cleanup_(tree_walk_freep) TreeWalk *walk = NULL;
        const TreeNode *node;
        const char *name;
        int r;

        assert(source);

        r = tree_walk_new(source->reader, tree, &walk);
        while (r == 0) {
                r = tree_walk_next(walk, &name, &node, reterr_failure);
                if (r <= 0)
                        return r;
                tree_walk_skip(walk);
                r = add_node(page, directory, node);
        }
        return MIN(r, 0); /* 1: the page is full */
}

int repository_browse(const RepositoryBrowseArgs *args, BrowseResult *ret, Failure *reterr_failure) {
        _cleanup_(restore_source_done) RestoreSource source = RESTORE_SOURCE_NULL;
        _cleanup_(browse_page_done) BrowsePage page = {};
        _cleanup_(tree_node_done) TreeNode node = TREE_NODE_NULL;
        _cleanup_(freep) char *path = NULL;
        const Id *tree;
        int r;

        assert(args && args->repository && args->snapshot);
        assert(ret);

        r = browse_page_init(&page, args->limit, args->cursor, reterr_failure);
        if (r < 0)
                return r;
        r = path_from_absolute(isempty(args->path) ? "/" : args->path, &path);
        if (r < 0)
                return failure_set_field(reterr_failure, r, "FIELD_INVALID", "path",
                                         "path is not an absolute path");
        r = restore_source_open(&source, args->repository, args->snapshot, reterr_failure);
        if (r < 0)
                return r;
        tree = &source.snapshot.tree;
        if (path[0]) {
                r = tree_find(source.reader, tree, path, &node, reterr_failure);
                if (r == -ENOENT || (r >= 0 && !node.has_subtree))
                        return explain(path, r < 0 ? r : -ENOTDIR, reterr_failure);
                if (r < 0)
                        return r;
                tree = &node.subtree;
        }
        r = list_tree(&source, tree, path, &page, reterr_failure);
        return r < 0 ? r : browse_page_finish(&page, ret);
}
