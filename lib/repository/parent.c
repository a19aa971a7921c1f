/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "repository/parent.h"

typedef struct Level {
        struct Level *above;
        ParentTree *tree;       /* or NULL */
        size_t next;            /* of its nodes */
        TreeReader *reader;     /* of a large tree */
        ParentNode read;        /* by it */
        const ParentNode *node; /* not passed; or NULL */
        bool ended;             /* nothing more is known of this directory */
} Level;

struct Parent {
        ParentFrom here;
        ParentAhead *ahead;
        Level *level;
        uint64_t unreadable;
};

void parent_leave(Parent *p) {
        Level *l = p->level;

        assert(l);

        p->level = l->above;
        tree_reader_free(l->reader);
        tree_node_done(&l->read.node);
        if (l->tree)
                parent_ahead_give(p->ahead, l->tree);
        free(l);
}

Parent *parent_free(Parent *p) {
        if (!p)
                return NULL;
        while (p->level)
                parent_leave(p);
        parent_ahead_free(p->ahead);
        return mfree(p);
}

int parent_new(const Id *root, const ParentFrom *ahead, const ParentFrom *here, Parent **ret) {
        _cleanup_(parent_freep) Parent *p = NULL;
        int r;

        assert(here && here->load);
        assert(ret);

        p = new0(Parent, 1);
        if (!p)
                return -ENOMEM;
        p->here = *here;
        r = parent_ahead_new(root, ahead, &p->ahead);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

/* What ends the run; all else only costs the comparison. */
static bool is_fatal(int error) {
        return error == -ENOMEM || error == -ECANCELED;
}

/* Nothing more comes of this directory. */
static int end(Parent *p, Level *l, int error) {
        l->ended = true;
        l->node = NULL;
        p->unreadable += error < 0;
        return is_fatal(error) ? error : 0;
}

int parent_enter(Parent *p, const Id *tree) {
        Level *l;
        int r;

        assert(p);

        l = new0(Level, 1);
        if (!l)
                return -ENOMEM;
        l->above = p->level;
        p->level = l;
        if (!tree)
                return end(p, l, 0);
        r = parent_ahead_take(p->ahead, tree, &l->tree);
        if (r == -ENOENT)
                r = parent_tree_load(&p->here, tree, &l->tree);
        if (r < 0)
                return r;
        if (l->tree->large && l->tree->error >= 0)
                return parent_tree_read(l->tree, &l->reader);
        return is_fatal(l->tree->error) ? l->tree->error : 0;
}

/* The next node, to l->node; NULL: there is none. */
static int advance(Parent *p, Level *l) {
        int r;

        if (!l->reader) {
                if (l->next == l->tree->n_nodes)
                        return end(p, l, l->tree->error);
                l->node = &l->tree->nodes[l->next++];
                return 0;
        }
        r = tree_reader_next(l->reader, &l->read.node, /* reterr_failure= */ NULL);
        if (r <= 0)
                return end(p, l, r);
        tree_reader_text(l->reader, &l->read.text);
        l->node = &l->read;
        return 0;
}

int parent_find(Parent *p, const char *name, const ParentNode **ret) {
        Level *l = p->level;
        int r;

        assert(l);
        assert(name);
        assert(ret);

        *ret = NULL;
        while (!l->ended) {
                if (!l->node) {
                        r = advance(p, l);
                        if (r < 0 || l->ended)
                                return r;
                }
                r = strcmp(l->node->node.name, name);
                if (r > 0)
                        return 0;
                if (r == 0) {
                        *ret = l->node;
                        return 0;
                }
                l->node = NULL;
        }
        return 0;
}

bool parent_is(const Parent *p, const Buffer *text) {
        const Level *l = p->level;

        assert(l);
        assert(text);

        return l->tree && !l->tree->packed && l->tree->text.size == text->size && text->size > 0 &&
                        memcmp(l->tree->text.data, text->data, text->size) == 0;
}

uint64_t parent_unreadable(const Parent *p) {
        assert(p);

        return p->unreadable;
}
