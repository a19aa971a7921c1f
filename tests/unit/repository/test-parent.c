/* SPDX-License-Identifier: Apache-2.0 */

/* Trees in memory beside a walk that goes through some of them. */

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "repository/compress.h"
#include "repository/parent.h"
#include "tests/test.h"

#define TREES_MAX 4096

typedef struct Ground {
        struct {
                Id id;
                Buffer text;
        } trees[TREES_MAX];
        size_t n;
        size_t whole;            /* larger ones come compressed; 0: none */
        atomic_uint ahead, here; /* trees that were loaded by each */
} Ground;

/* A name for trees that are not there. */
static const Id nowhere = { { 1 } };

static void ground_done(Ground *g) {
        for (size_t i = 0; i < g->n; i++)
                buffer_done(&g->trees[i].text);
        free(g);
}

DEFINE_CLEANUP(Ground *, ground_done);

static int load(Ground *g, const Id *id, Buffer *ret) {
        for (size_t i = 0; i < g->n; i++)
                if (id_equal(&g->trees[i].id, id))
                        return buffer_add(ret, g->trees[i].text.data, g->trees[i].text.size);
        return -ENOENT;
}

typedef struct Reader {
        Ground *ground;
        atomic_uint *count;
} Reader;

static int load_counted(void *userdata, const Id *tree, Buffer *ret, bool *ret_packed) {
        _cleanup_(compressor_freep) Compressor *c = NULL;
        _cleanup_buffer_ Buffer text = BUFFER_NULL;
        Reader *r = ASSERT_PTR(userdata);
        int k;

        (*r->count)++;
        k = load(r->ground, tree, &text);
        *ret_packed = k >= 0 && r->ground->whole > 0 && text.size > r->ground->whole;
        if (k < 0 || !*ret_packed) {
                *ret = text;
                text = BUFFER_NULL;
                return k;
        }
        CHECK_OK(compressor_new(3, &c));
        CHECK_OK(compressor_add(c, text.data, text.size, ret));
        CHECK_OK(compressor_end(c, ret));
        return 0;
}

/* A tree that is being made: files and directories in the order of their names. */
typedef struct Making {
        Buffer text;
        TreeWriter writer;
} Making;

static void making_begin(Making *m) {
        *m = (Making){};
        CHECK_OK(tree_writer_begin(&m->writer, &m->text));
}

static void making_add(Making *m, const char *name, const Id *subtree) {
        TreeNode n = {
                .name = (char *) name,
                .type = subtree ? TREE_NODE_DIRECTORY : TREE_NODE_FILE,
                .inode = 5,
                .device_id = 6,
                .user = (char *) "root",
                .has_subtree = subtree,
        };

        if (subtree)
                n.subtree = *subtree;
        CHECK_OK(tree_writer_add(&m->writer, &n));
}

static Id making_end(Ground *g, Making *m) {
        Id id;

        CHECK_OK(tree_writer_end(&m->writer));
        tree_writer_done(&m->writer);
        CHECK_OK(id_of(m->text.data, m->text.size, &id));
        CHECK(g->n < TREES_MAX);
        g->trees[g->n].id = id;
        g->trees[g->n++].text = m->text;
        return id;
}

/* A directory of so many directories at each of so many levels, with a file beside them. */
static Id make_levels(Ground *g, unsigned depth, unsigned width, const char *salt) {
        Making m;

        making_begin(&m);
        for (unsigned i = 0; depth > 0 && i < width; i++) {
                char name[32], below[64];
                Id id;

                (void) snprintf(name, sizeof(name), "d%u", i);
                (void) snprintf(below, sizeof(below), "%.50s%u", salt, i);
                id = make_levels(g, depth - 1, width, below);
                making_add(&m, name, &id);
        }
        making_add(&m, "file", NULL);
        making_add(&m, salt, NULL);
        return making_end(g, &m);
}

static void start(Ground *g, Reader readers[static 2], const Id *root, Parent **ret) {
        const ParentFrom ahead = { .load = load_counted, .userdata = &readers[0] };
        const ParentFrom here = { .load = load_counted, .userdata = &readers[1] };

        readers[0] = (Reader){ g, &g->ahead };
        readers[1] = (Reader){ g, &g->here };
        CHECK_OK(parent_new(root, &ahead, &here, ret));
}

static const ParentNode *find(Parent *p, const char *name) {
        const ParentNode *n;

        CHECK_OK(parent_find(p, name, &n));
        return n;
}

/* Goes through all directories but those whose name is left out. */
static unsigned walk(Ground *g, Parent *p, const Id *tree, unsigned depth, unsigned width, const char *but) {
        _cleanup_buffer_ Buffer text = BUFFER_NULL;
        unsigned count = 1;

        CHECK_OK(parent_enter(p, tree));
        CHECK_OK(load(g, tree, &text));
        for (unsigned i = 0; depth > 0 && i < width; i++) {
                const ParentNode *n;
                char name[32];
                Id below;

                (void) snprintf(name, sizeof(name), "d%u", i);
                if (streq(name, but))
                        continue;
                n = find(p, name);
                CHECK(n && n->node.has_subtree);
                below = n->node.subtree;
                count += walk(g, p, &below, depth - 1, width, but);
        }
        CHECK(!find(p, "e"));
        CHECK(find(p, "file"));
        CHECK(parent_is(p, &text));
        CHECK_OK(buffer_add(&text, "x", 1));
        CHECK(!parent_is(p, &text));
        CHECK(!find(p, "zz"));
        parent_leave(p);
        return count;
}

/* Every tree is read once, and by the thread, those of directories that are gone as well. */
static void test_walk(void) {
        static const char *const without[] = { "", "d0", "d2", "d4" };

        for (size_t i = 0; i < ELEMENTSOF(without); i++) {
                _cleanup_(ground_donep) Ground *g = new0(Ground, 1);
                Reader readers[2]; /* until the thread has ended */
                _cleanup_(parent_freep) Parent *p = NULL;
                Id root;

                CHECK(g);
                root = make_levels(g, 4, 5, "s");
                CHECK_INT(g->n, 781);
                start(g, readers, &root, &p);
                CHECK_INT(walk(g, p, &root, 4, 5, without[i]), i == 0 ? 781 : 341);
                CHECK_INT(g->here, 0);
                CHECK(g->ahead <= 781);
                CHECK_INT(parent_unreadable(p), 0);
        }
}

/* A directory of many files is read while it is walked; what is in it is still read ahead. */
static void check_large(bool packed) {
        _cleanup_(ground_donep) Ground *g = new0(Ground, 1);
        Reader readers[2]; /* until the thread has ended */
        _cleanup_(parent_freep) Parent *p = NULL;
        const ParentNode *n;
        Making m;
        Id below, root;

        CHECK(g);
        g->whole = packed ? 100 << 10 : 0;
        below = make_levels(g, 0, 0, "s");
        making_begin(&m);
        making_add(&m, "a", &below);
        for (unsigned i = 0; i < 20000; i++) {
                char name[32];

                (void) snprintf(name, sizeof(name), "f%05u", i);
                making_add(&m, name, NULL);
        }
        making_add(&m, "z", &below);
        root = making_end(g, &m);
        start(g, readers, &root, &p);
        CHECK_OK(parent_enter(p, &root));
        CHECK(find(p, "a"));
        CHECK_INT(walk(g, p, &below, 0, 0, ""), 1);
        n = find(p, "f04321");
        CHECK(n && n->node.inode == 5 && n->text.n > 20);
        CHECK(strncmp(n->text.data, "{\"name\":\"f04321\"", 16) == 0);
        CHECK_STR(n->node.name, "f04321");
        CHECK(find(p, "z"));
        CHECK_INT(walk(g, p, &below, 0, 0, ""), 1);
        CHECK_INT(parent_is(p, &g->trees[1].text), !packed);
        parent_leave(p);
        CHECK_INT(g->here, 0);
        CHECK_INT(g->ahead, 3);
}

static void test_large(void) {
        check_large(/* packed= */ false);
        check_large(/* packed= */ true);
}

static RepoIndex *make_index(const Id *ids, size_t n) {
        RepoIndex *x;
        uint32_t pack;

        CHECK_OK(repo_index_new(&x));
        CHECK_OK(repo_index_add_pack(x, &nowhere, &pack));
        for (size_t i = 0; i < n; i++) {
                const PackBlob b = { .id = ids[i], .type = BLOB_DATA, .length = 100 };

                CHECK_OK(repo_index_add(x, pack, &b));
        }
        return x;
}

static void add_file(Making *m, const char *name, Id *content, size_t n) {
        TreeNode node = {
                .name = (char *) name, .type = TREE_NODE_FILE, .content = content, .n_content = n
        };

        CHECK_OK(tree_writer_add(&m->writer, &node));
}

/* A file counts as stored where every repository has all of it. */
static void test_stored(void) {
        Id ids[] = { { { 1 } }, { { 2 } }, { { 3 } } };
        _cleanup_(repo_index_freep) RepoIndex *first = make_index(ids, 2), *second = make_index(ids + 1, 2);
        const RepoIndex *const indexes[] = { first, second };
        _cleanup_(ground_donep) Ground *g = new0(Ground, 1);
        Reader reader;
        ParentFrom from = { .load = load_counted, .userdata = &reader, .indexes = indexes };
        Making m;
        Id root;

        CHECK(g);
        reader = (Reader){ g, &g->ahead };
        making_begin(&m);
        add_file(&m, "all", ids, 3);
        add_file(&m, "both", ids + 1, 1);
        add_file(&m, "first", ids, 2);
        add_file(&m, "none", NULL, 0);
        root = making_end(g, &m);
        for (from.n_indexes = 0; from.n_indexes <= 2; from.n_indexes++) {
                _cleanup_(parent_freep) Parent *p = NULL;

                CHECK_OK(parent_new(&root, &from, &from, &p));
                CHECK_OK(parent_enter(p, &root));
                CHECK(!find(p, "all")->stored);
                CHECK(find(p, "both")->stored == (from.n_indexes > 0));
                CHECK(find(p, "first")->stored == (from.n_indexes == 1));
                CHECK(find(p, "none")->stored == (from.n_indexes > 0));
                parent_leave(p);
        }
}

/* What is not there or is no tree is not compared with; all else is. */
static void test_unreadable(void) {
        _cleanup_(ground_donep) Ground *g = new0(Ground, 1);
        Reader readers[2]; /* until the thread has ended */
        _cleanup_(parent_freep) Parent *p = NULL;
        Id good, bad, root;
        Making m;

        CHECK(g);
        good = make_levels(g, 0, 0, "s");
        making_begin(&m);
        making_add(&m, "a", NULL);
        making_add(&m, "b", NULL);
        bad = making_end(g, &m);
        g->trees[g->n - 1].text.size -= 20;
        making_begin(&m);
        making_add(&m, "bad", &bad);
        making_add(&m, "good", &good);
        making_add(&m, "nowhere", &nowhere);
        root = making_end(g, &m);
        start(g, readers, &root, &p);
        CHECK_OK(parent_enter(p, &root));
        CHECK(find(p, "bad"));
        CHECK_OK(parent_enter(p, &bad));
        CHECK(find(p, "a"));
        CHECK(!find(p, "b"));
        CHECK(!find(p, "c"));
        parent_leave(p);
        CHECK_INT(parent_unreadable(p), 1);
        CHECK(find(p, "good"));
        CHECK_INT(walk(g, p, &good, 0, 0, ""), 1);
        CHECK(find(p, "nowhere"));
        CHECK_OK(parent_enter(p, &nowhere));
        CHECK(!find(p, "a"));
        CHECK_INT(parent_unreadable(p), 2);
        parent_leave(p);
        /* A new directory. */
        CHECK_OK(parent_enter(p, NULL));
        CHECK(!find(p, "a"));
        parent_leave(p);
        CHECK_INT(parent_unreadable(p), 2);
        CHECK_INT(g->here, 0);
        /* One that does not come any more is read here. */
        CHECK_INT(walk(g, p, &good, 0, 0, ""), 1);
        CHECK_INT(g->here, 1);
        parent_leave(p);
}

/* It ends wherever it is. */
static void test_end(void) {
        _cleanup_(ground_donep) Ground *g = new0(Ground, 1);
        Id root;

        CHECK(g);
        root = make_levels(g, 4, 5, "s");
        for (unsigned i = 0; i < 20; i++) {
                Parent *p = NULL;
                Reader readers[2];

                start(g, readers, &root, &p);
                if (i % 2 == 0) {
                        CHECK_OK(parent_enter(p, &root));
                        CHECK(find(p, "d0"));
                }
                parent_free(p);
        }
}

int main(void) {
        RUN(test_walk);
        RUN(test_large);
        RUN(test_stored);
        RUN(test_unreadable);
        RUN(test_end);
        return 0;
}
