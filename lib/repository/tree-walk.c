/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

#include "archive/metadata.h"
#include "base/alloc.h"
#include "base/text.h"
#include "repository/tree-walk.h"

/* Levels of directories: more than a path of PATH_MAX can have, and an end for trees that hold themselves
 * (which no digest can, but a program that is wrong may find a way). */
#define DEPTH_MAX 4096

#define XATTR_ACL_ACCESS "system.posix_acl_access"
#define XATTR_ACL_DEFAULT "system.posix_acl_default"

/* An open tree. */
typedef struct Level {
        Buffer json; /* or what it is compressed to */
        TreeReader *reader;
        size_t path_size; /* of the directory */
} Level;

struct TreeWalk {
        BlobReader *reader; /* weak */
        Level **levels;     /* each stays where it is: its reader points into it */
        size_t n, allocated;
        Buffer path;
        TreeNode node;
        Id enter; /* the tree to go into next */
        bool has_enter;
};

static Level *level_free(Level *l) {
        if (!l)
                return NULL;
        tree_reader_free(l->reader);
        buffer_done(&l->json);
        return mfree(l);
}

DEFINE_CLEANUP(Level *, level_free);

static int level_open(BlobReader *reader, const Id *id, Level **ret, Failure *f) {
        _cleanup_(level_freep) Level *l = new0(Level, 1);
        bool packed;
        int r;

        if (!l)
                return -ENOMEM;
        r = blob_reader_get_packed(reader, BLOB_TREE, id, TREE_WHOLE_MAX, &l->json, &packed, f);
        if (r < 0)
                return r;
        r = (packed ? tree_reader_new_packed : tree_reader_new_text)(l->json.data, l->json.size,
                                                                     /* brief= */ false, &l->reader);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

TreeWalk *tree_walk_free(TreeWalk *w) {
        if (!w)
                return NULL;
        while (w->n > 0)
                level_free(w->levels[--w->n]);
        free(w->levels);
        buffer_done(&w->path);
        tree_node_done(&w->node);
        return mfree(w);
}

int tree_walk_new(BlobReader *reader, const Id *root, TreeWalk **ret) {
        TreeWalk *w;

        assert(reader);
        assert(root);
        assert(ret);

        w = new0(TreeWalk, 1);
        if (!w)
                return -ENOMEM;
        w->reader = reader;
        w->enter = *root;
        w->has_enter = true;
        *ret = w;
        return 0;
}

/* Goes into the directory that came last; its path is w->path. */
static int enter(TreeWalk *w, Failure *f) {
        _cleanup_(level_freep) Level *l = NULL;
        int r;

        assert(w);

        w->has_enter = false;
        if (w->n == DEPTH_MAX)
                return failure_set(f, -EBADMSG, "TREE_DAMAGED", "The directories are nested too deeply");
        if (w->n == w->allocated) {
                size_t n = MAX(2 * w->allocated, (size_t) 16);
                Level **grown = reallocarray(w->levels, n, sizeof(Level *));

                if (!grown)
                        return -ENOMEM;
                w->levels = grown;
                w->allocated = n;
        }
        r = level_open(w->reader, &w->enter, &l, f);
        if (r < 0)
                return r;
        l->path_size = w->path.size;
        w->levels[w->n++] = TAKE_PTR(l);
        return 0;
}

static int set_path(TreeWalk *w, const Level *l, const char *name) {
        int r;

        w->path.size = l->path_size;
        r = l->path_size > 0 ? buffer_add(&w->path, "/", 1) : 0;
        return r < 0 ? r : buffer_add_string(&w->path, name);
}

static int step(TreeWalk *w, Failure *f) {
        assert(w);

        if (w->has_enter) {
                int r = enter(w, f);

                if (r < 0)
                        return r;
        }
        while (w->n > 0) {
                Level *l = w->levels[w->n - 1];
                int r = tree_reader_next(l->reader, &w->node, f);

                if (r > 0) {
                        r = set_path(w, l, w->node.name);
                        w->has_enter = w->node.type == TREE_NODE_DIRECTORY;
                        w->enter = w->node.subtree;
                        return r < 0 ? r : 1;
                }
                w->path.size = l->path_size;
                if (w->path.data)
                        w->path.data[w->path.size] = 0;
                w->levels[--w->n] = level_free(l);
                if (r < 0)
                        return r;
        }
        return 0;
}

int tree_walk_next(TreeWalk *w, const char **ret_path, const TreeNode **ret_node, Failure *reterr_failure) {
        int r;

        assert(w);
        assert(ret_path);
        assert(ret_node);

        r = step(w, reterr_failure);
        *ret_path = w->path.data ? w->path.data : "";
        if (r > 0)
                *ret_node = &w->node;
        return r;
}

void tree_walk_skip(TreeWalk *w) {
        assert(w);

        w->has_enter = false;
}

/* The child called so; n bytes. */
static int find_child(BlobReader *reader, const Id *tree, const char *name, size_t n, TreeNode *ret,
                      Failure *f) {
        _cleanup_(level_freep) Level *l = NULL;
        int r;

        r = level_open(reader, tree, &l, f);
        if (r < 0)
                return r;
        while ((r = tree_reader_next(l->reader, ret, f)) > 0)
                if (strlen(ret->name) == n && memcmp(ret->name, name, n) == 0)
                        return 0;
        return r < 0 ? r : -ENOENT;
}

int tree_find(BlobReader *reader, const Id *root, const char *path, TreeNode *ret, Failure *reterr_failure) {
        _cleanup_(tree_node_done) TreeNode n = TREE_NODE_NULL;
        Id tree = *root;

        assert(reader);
        assert(path && path[0]);
        assert(ret);

        for (;;) {
                size_t length = strcspn(path, "/");
                int r;

                r = find_child(reader, &tree, path, length, &n, reterr_failure);
                if (r < 0)
                        return r;
                path += length;
                if (*path == 0)
                        break;
                path++;
                if (n.type != TREE_NODE_DIRECTORY)
                        return -ENOENT;
                tree = n.subtree;
        }
        tree_node_done(ret);
        *ret = n;
        n = TREE_NODE_NULL;
        return 0;
}

static MemberType member_type(TreeNodeType type) {
        switch (type) {
        case TREE_NODE_FILE:
                return MEMBER_FILE;
        case TREE_NODE_DIRECTORY:
                return MEMBER_DIRECTORY;
        case TREE_NODE_SYMLINK:
                return MEMBER_SYMLINK;
        case TREE_NODE_BLOCK:
                return MEMBER_BLOCK;
        case TREE_NODE_CHARACTER:
                return MEMBER_CHARACTER;
        case TREE_NODE_FIFO:
                return MEMBER_FIFO;
        case TREE_NODE_SOCKET:
        case TREE_NODE_IRREGULAR:
        case _TREE_NODE_TYPE_MAX:
        case _TREE_NODE_TYPE_INVALID:
                break;
        }
        return _MEMBER_TYPE_INVALID;
}

/* ACLs become text; one that is damaged stays an attribute that the kernel will refuse by name. */
static int copy_xattr(const Xattr *x, Member *m) {
        char **acl = streq(x->name, XATTR_ACL_ACCESS)     ? &m->acl_access :
                        streq(x->name, XATTR_ACL_DEFAULT) ? &m->acl_default :
                                                            NULL;
        Xattr *copy = m->xattrs + m->n_xattrs;
        int r;

        if (acl && !*acl) {
                r = acl_text_from_xattr(x->value, x->size, acl);
                if (r >= 0 || r == -ENOMEM)
                        return r;
        }
        copy->name = strdup(x->name);
        copy->value = memdup0(x->value, x->size);
        copy->size = x->size;
        m->n_xattrs++;
        return copy->name && copy->value ? 0 : -ENOMEM;
}

int tree_node_to_member(const TreeNode *n, const char *path, Member *ret) {
        _cleanup_(member_done) Member m = MEMBER_NULL;
        int r;

        assert(n);
        assert(path);
        assert(ret);

        m.type = member_type(n->type);
        if ((int) m.type < 0)
                return -EINVAL;
        m.mode = n->mode;
        m.uid = n->uid;
        m.gid = n->gid;
        m.mtime_sec = n->mtime.sec;
        m.mtime_nsec = n->mtime.nsec;
        m.major = major(n->device);
        m.minor = minor(n->device);
        m.xattrs = new0(Xattr, MAX(n->n_xattrs, (size_t) 1));
        if (!m.xattrs)
                return -ENOMEM;
        r = free_and_strdup(&m.path, path);
        if (r >= 0 && m.type == MEMBER_SYMLINK)
                r = free_and_strdup(&m.target, n->target);
        for (size_t i = 0; i < n->n_xattrs && r >= 0; i++)
                r = copy_xattr(n->xattrs + i, &m);
        if (r < 0)
                return r;
        member_done(ret);
        *ret = m;
        m = MEMBER_NULL;
        return 0;
}
