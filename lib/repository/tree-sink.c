/* SPDX-License-Identifier: Apache-2.0 */

/* A directory's own node is complete when its tree is, so it waits on the stack while its children come. */

#include <errno.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

#include "base/alloc.h"
#include "base/text.h"
#include "repository/file-blobs.h"
#include "repository/tree-blob.h"
#include "repository/tree-sink.h"

/* Text of a tree of a few nodes. */
#define TEXT_FIRST 2048

/* A directory on the way down. */
typedef struct Level {
        struct Level *above;
        TreeBlob blob;
        TreeWriter writer; /* to its text */
        TreeNode node;     /* the directory itself; the root has none */
        bool has_node;
        bool had_tree; /* in the parent */
        Id tree;       /* of the parent */
} Level;

struct TreeSink {
        Feed *feed;     /* weak */
        Report *report; /* weak */
        TreeSinkParent parent;
        FileBlobs *links;
        Level *level;
        Level *entered; /* the directory whose node came, before it is entered */
        Id root;
        TreeCounts counts;

        /* The object that is being stored. Text and attributes of the node are borrowed. */
        TreeNode node;
        IdList content;
        const ParentNode *before; /* in the parent */
        bool bare;                /* not all attributes could be kept */
        uint64_t dev, ino;
};

static Level *level_free(Level *l) {
        if (!l)
                return NULL;
        tree_blob_done(&l->blob);
        tree_writer_done(&l->writer);
        tree_node_done(&l->node);
        return mfree(l);
}

DEFINE_CLEANUP(Level *, level_free);

TreeSink *tree_sink_free(TreeSink *t) {
        if (!t)
                return NULL;
        while (t->level) {
                Level *above = t->level->above;

                level_free(t->level);
                t->level = above;
        }
        level_free(t->entered);
        file_blobs_free(t->links);
        id_list_done(&t->content);
        free(t->node.xattrs);
        return mfree(t);
}

int tree_sink_new(Feed *feed, Report *report, const TreeSinkParent *parent, TreeSink **ret) {
        _cleanup_(tree_sink_freep) TreeSink *t = NULL;
        int r;

        assert(feed);
        assert(report);
        assert(ret);

        t = new0(TreeSink, 1);
        if (!t)
                return -ENOMEM;
        t->feed = feed;
        t->report = report;
        if (parent)
                t->parent = *parent;
        r = file_blobs_new(FILE_BLOBS_BUDGET, &t->links);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

void tree_sink_result(const TreeSink *t, Id *ret_root, TreeCounts *ret_counts) {
        assert(t);
        assert(!t->level);

        *ret_root = t->root;
        *ret_counts = t->counts;
}

/* --- Nodes -------------------------------------------------------------------------------------------- */

static TreeNodeType type_of(MemberType type) {
        switch (type) {
        case MEMBER_FILE:
        case MEMBER_HARDLINK: /* which the walk does not give us */
                return TREE_NODE_FILE;
        case MEMBER_DIRECTORY:
                return TREE_NODE_DIRECTORY;
        case MEMBER_SYMLINK:
                return TREE_NODE_SYMLINK;
        case MEMBER_FIFO:
                return TREE_NODE_FIFO;
        case MEMBER_CHARACTER:
                return TREE_NODE_CHARACTER;
        case MEMBER_BLOCK:
                return TREE_NODE_BLOCK;
        case _MEMBER_TYPE_MAX:
        case _MEMBER_TYPE_INVALID:
                break;
        }
        return TREE_NODE_IRREGULAR;
}

/* JSON holds names in UTF-8 only. */
static int xattrs_borrow(TreeSink *t, const Member *m) {
        free(t->node.xattrs);
        t->node.xattrs = NULL;
        t->node.n_xattrs = 0;
        t->bare = false;
        if (m->n_xattrs == 0)
                return 0;
        t->node.xattrs = new0(Xattr, m->n_xattrs);
        if (!t->node.xattrs)
                return -ENOMEM;
        for (size_t i = 0; i < m->n_xattrs; i++)
                if (utf8_is_valid(m->xattrs[i].name, strlen(m->xattrs[i].name)))
                        t->node.xattrs[t->node.n_xattrs++] = m->xattrs[i];
        t->bare = t->node.n_xattrs < m->n_xattrs;
        if (t->bare)
                report_problem(t->report, m->path, "METADATA", /* lost= */ true,
                               "An attribute whose name is not UTF-8 cannot be kept in this format.");
        return 0;
}

static int node_fill(TreeSink *t, const Member *m, const FsStat *st) {
        const char *slash = strrchr(m->path, '/');
        TreeNode *n = &t->node;

        n->name = slash ? (char *) slash + 1 : m->path;
        n->type = type_of(m->type);
        n->mode = m->mode;
        n->mtime = (Moment){ .sec = st->mtime_sec, .nsec = st->mtime_nsec };
        /* As restic has it unless asked: else every look at a file would make a new tree. */
        n->atime = n->mtime;
        n->ctime = (Moment){ .sec = st->ctime_sec, .nsec = st->ctime_nsec };
        n->uid = st->uid;
        n->gid = st->gid;
        n->user = m->user;
        n->group = m->group;
        n->inode = st->ino;
        n->device_id = st->dev;
        n->size = m->type == MEMBER_FILE ? m->size : 0;
        n->links = st->nlink;
        n->target = m->target;
        n->device = m->type == MEMBER_CHARACTER || m->type == MEMBER_BLOCK ? makedev(m->major, m->minor) : 0;
        return xattrs_borrow(t, m);
}

static int copy_text(char **ret, const char *s) {
        *ret = s ? strdup(s) : NULL;
        return s && !*ret ? -ENOMEM : 0;
}

static int copy_xattrs(TreeNode *ret, const TreeNode *n) {
        if (n->n_xattrs == 0)
                return 0;
        ret->xattrs = new0(Xattr, n->n_xattrs);
        if (!ret->xattrs)
                return -ENOMEM;
        for (; ret->n_xattrs < n->n_xattrs; ret->n_xattrs++) {
                const Xattr *from = &n->xattrs[ret->n_xattrs];
                Xattr x = { .name = strdup(from->name), .value = memdup0(from->value, from->size) };

                if (!x.name || !x.value) {
                        free(x.name);
                        free(x.value);
                        return -ENOMEM;
                }
                x.size = from->size;
                ret->xattrs[ret->n_xattrs] = x;
        }
        return 0;
}

/* Makes what is borrowed our own. */
static int node_copy(TreeNode *ret, const TreeNode *n) {
        int r;

        *ret = *n;
        ret->name = ret->user = ret->group = ret->target = NULL;
        ret->xattrs = NULL;
        ret->n_xattrs = 0;
        ret->content = NULL;
        ret->n_content = 0;
        r = copy_text(&ret->name, n->name);
        if (r >= 0)
                r = copy_text(&ret->user, n->user);
        if (r >= 0)
                r = copy_text(&ret->group, n->group);
        return r < 0 ? r : copy_xattrs(ret, n);
}

/* --- Directories -------------------------------------------------------------------------------------- */

static int sink_enter(void *userdata, const char *path) {
        TreeSink *t = ASSERT_PTR(userdata);
        _cleanup_(level_freep) Level *l = TAKE_PTR(t->entered);
        int r;

        if (!l) {
                /* The root, which has no node. */
                assert(!t->level);
                l = new0(Level, 1);
                if (!l)
                        return -ENOMEM;
                l->had_tree = t->parent.parent != NULL;
                l->tree = t->parent.tree;
        }
        r = buffer_reserve(&l->blob.text, TEXT_FIRST);
        if (r >= 0)
                r = tree_writer_begin(&l->writer, &l->blob.text);
        if (r >= 0 && t->parent.parent)
                r = parent_enter(t->parent.parent, l->had_tree ? &l->tree : NULL);
        if (r < 0)
                return r;
        l->above = t->level;
        t->level = TAKE_PTR(l);
        return 0;
}

static void count_directory(TreeSink *t, const Level *l, const Id *tree) {
        if (!l->had_tree)
                t->counts.dirs_new++;
        else if (id_equal(&l->tree, tree))
                t->counts.dirs_unchanged++;
        else
                t->counts.dirs_changed++;
}

static int add_node(TreeSink *t, const TreeNode *n) {
        int r = tree_writer_add(&t->level->writer, n);

        return r < 0 ? r : tree_blob_take(&t->level->blob, t->feed);
}

/* Most trees are what they were: to see that is cheaper than their digest. */
static int store_tree(TreeSink *t, Level *l, Id *ret) {
        if (t->parent.parent && l->had_tree && !l->blob.digest &&
            parent_is(t->parent.parent, &l->blob.text) && feed_knows(t->feed, BLOB_TREE, &l->tree)) {
                *ret = l->tree;
                return 0;
        }
        return tree_blob_store(&l->blob, t->feed, ret);
}

static int sink_leave(void *userdata) {
        TreeSink *t = ASSERT_PTR(userdata);
        _cleanup_(level_freep) Level *l = NULL;
        Id tree;
        int r;

        assert(t->level);

        l = t->level;
        t->level = l->above;
        r = tree_writer_end(&l->writer);
        if (r >= 0)
                r = store_tree(t, l, &tree);
        if (t->parent.parent)
                parent_leave(t->parent.parent);
        if (r < 0)
                return r;
        if (!l->has_node) {
                t->root = tree;
                return 0;
        }
        count_directory(t, l, &tree);
        l->node.has_subtree = true;
        l->node.subtree = tree;
        return add_node(t, &l->node);
}

/* The node of a directory that will be entered next. */
static int directory_end(TreeSink *t) {
        _cleanup_(level_freep) Level *l = new0(Level, 1);
        int r;

        assert(!t->entered);

        if (!l)
                return -ENOMEM;
        r = node_copy(&l->node, &t->node);
        if (r < 0)
                return r;
        l->has_node = true;
        l->had_tree = t->before && t->before->node.has_subtree;
        if (l->had_tree)
                l->tree = t->before->node.subtree;
        t->entered = TAKE_PTR(l);
        return 0;
}

/* --- Files -------------------------------------------------------------------------------------------- */

static bool moment_equal(const Moment *a, const Moment *b) {
        return a->sec == b->sec && a->nsec == b->nsec;
}

/* Whether the content is what the parent has. */
static bool is_unchanged(const TreeSink *t, const ParentNode *before, const FsStat *st) {
        const TreeNode *old = before ? &before->node : NULL;
        const Moment mtime = { .sec = st->mtime_sec, .nsec = st->mtime_nsec };
        const Moment ctime = { .sec = st->ctime_sec, .nsec = st->ctime_nsec };

        if (!old || old->type != TREE_NODE_FILE || old->size != st->size || old->inode != st->ino ||
            !moment_equal(&old->mtime, &mtime) || !moment_equal(&old->ctime, &ctime) ||
            ctime.sec >= t->parent.started - TREE_UNCHANGED_MARGIN_SEC)
                return false;
        if (before->stored)
                return true;
        for (size_t i = 0; i < old->n_content; i++)
                if (!feed_knows(t->feed, BLOB_DATA, &old->content[i]))
                        return false;
        return true;
}

/* Takes the text of the parent's node where nothing of the file has changed. */
static int sink_known(void *userdata, const char *path, const FsStat *st) {
        TreeSink *t = ASSERT_PTR(userdata);
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        const ParentNode *old;
        int r;

        if (!t->parent.parent || !t->parent.ours)
                return 0;
        r = parent_find(t->parent.parent, name, &old);
        if (r < 0 || !old || !is_unchanged(t, old, st) || old->node.device_id == 0 || !old->text.data)
                return MIN(r, 0);
        t->counts.files_unchanged++;
        t->counts.bytes += st->size;
        /* Other than the inode the device may change with every boot; hard links are found by both. */
        r = tree_writer_add_text(&t->level->writer, name, &old->text, st->dev);
        if (r >= 0)
                r = tree_blob_take(&t->level->blob, t->feed);
        return r < 0 ? r : 1;
}

static int content_take(TreeSink *t, const Id *ids, size_t n) {
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i++)
                r = id_list_add(&t->content, &ids[i]);
        return r < 0 ? r : 1;
}

/* 1: the content is known without reading. */
static int file_begin(TreeSink *t, const FsStat *st) {
        const Id *ids;
        size_t n;

        t->content.n = 0;
        t->counts.bytes += t->node.size;
        if (is_unchanged(t, t->before, st))
                return content_take(t, t->before->node.content, t->before->node.n_content);
        if (st->nlink > 1 && file_blobs_find(t->links, st->dev, st->ino, &ids, &n))
                return content_take(t, ids, n);
        return 0;
}

/* A file that was read again, and is what it was, is unchanged. */
static void count_file(TreeSink *t) {
        const TreeNode *old = t->before ? &t->before->node : NULL;

        if (!old || old->type != TREE_NODE_FILE)
                t->counts.files_new++;
        else if (moment_equal(&old->mtime, &t->node.mtime) && old->n_content == t->content.n &&
                 (old->n_content == 0 ||
                  memcmp(old->content, t->content.ids, old->n_content * sizeof(Id)) == 0))
                t->counts.files_unchanged++;
        else
                t->counts.files_changed++;
}

static int file_end(TreeSink *t, bool incomplete) {
        int r;

        r = feed_end(t->feed, &t->content);
        if (r < 0)
                return r;
        count_file(t);
        if (t->node.links > 1 && !incomplete)
                file_blobs_add(t->links, t->dev, t->ino, t->node.links, t->content.ids, t->content.n);
        return 0;
}

/* --- The sink ----------------------------------------------------------------------------------------- */

static int sink_begin(void *userdata, Entry *entry, const FsStat *st) {
        TreeSink *t = ASSERT_PTR(userdata);
        int r;

        t->before = NULL;
        t->dev = st->dev;
        t->ino = st->ino;
        r = node_fill(t, &entry->member, st);
        if (r < 0 || isempty(entry->member.path))
                return r;
        if (t->parent.parent) {
                r = parent_find(t->parent.parent, t->node.name, &t->before);
                if (r < 0)
                        return r;
        }
        return t->node.type == TREE_NODE_FILE ? file_begin(t, st) : 0;
}

static int sink_space(void *userdata, void **ret, size_t *ret_n) {
        TreeSink *t = ASSERT_PTR(userdata);
        uint8_t *p;
        int r;

        r = feed_space(t->feed, &p, ret_n);
        if (r >= 0)
                *ret = p;
        return r;
}

static int sink_advance(void *userdata, size_t n) {
        TreeSink *t = ASSERT_PTR(userdata);

        return feed_advance(t->feed, n);
}

static int sink_zeros(void *userdata, uint64_t n) {
        TreeSink *t = ASSERT_PTR(userdata);

        return feed_zeros(t->feed, n);
}

static int sink_end(void *userdata, const Entry *entry) {
        TreeSink *t = ASSERT_PTR(userdata);
        int r;

        /* The root of the file system has no name to be called by. */
        if (isempty(entry->member.path))
                return 0;
        if (t->node.type == TREE_NODE_DIRECTORY)
                return directory_end(t);
        if (t->node.type == TREE_NODE_FILE) {
                r = file_end(t, entry->incomplete);
                if (r < 0)
                        return r;
                /* Of a stream it is known only now. */
                t->counts.bytes += entry->member.size - t->node.size;
                t->node.size = entry->member.size;
                t->node.content = t->content.ids;
                t->node.n_content = t->content.n;
                /* No file has this inode: the next backup must not take it for unchanged. */
                if (entry->incomplete || entry->bare || t->bare) {
                        t->node.inode = 0;
                        t->node.links = 1;
                }
        }
        r = add_node(t, &t->node);
        t->node.content = NULL;
        t->node.n_content = 0;
        return r;
}

const WalkSink tree_sink = {
        .enter = sink_enter,
        .leave = sink_leave,
        .known = sink_known,
        .begin = sink_begin,
        .space = sink_space,
        .advance = sink_advance,
        .zeros = sink_zeros,
        .end = sink_end,
        .hole_min = TREE_HOLE_MIN,
        .extents_max = TREE_EXTENTS_MAX,
};
