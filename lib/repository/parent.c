/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "repository/parent.h"

typedef struct Level {
        struct Level *above;
        Buffer text;
        JsonPullMemory memory;
        TreeReader *reader; /* NULL: nothing (more) is known of this directory */
        TreeNode node;
        bool has_node; /* node is read, and not passed */
} Level;

struct Parent {
        ParentLoad load;
        void *userdata;
        Level *level;
        uint64_t unreadable;
};

static void level_end(Level *l) {
        l->reader = tree_reader_free(l->reader);
        tree_node_done(&l->node);
        l->has_node = false;
        buffer_done(&l->text);
}

void parent_leave(Parent *p) {
        Level *l = p->level;

        assert(l);

        p->level = l->above;
        level_end(l);
        free(l);
}

Parent *parent_free(Parent *p) {
        if (!p)
                return NULL;
        while (p->level)
                parent_leave(p);
        return mfree(p);
}

int parent_new(ParentLoad load, void *userdata, Parent **ret) {
        Parent *p;

        assert(load);
        assert(ret);

        p = new0(Parent, 1);
        if (!p)
                return -ENOMEM;
        p->load = load;
        p->userdata = userdata;
        *ret = p;
        return 0;
}

/* What ends the run; all else only costs the comparison. */
static bool is_fatal(int error) {
        return error == -ENOMEM || error == -ECANCELED;
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
                return 0;
        r = p->load(p->userdata, tree, &l->text);
        if (r >= 0) {
                l->memory = (JsonPullMemory){ l->text.data, l->text.size };
                r = tree_reader_new(json_pull_memory, &l->memory, &l->reader);
        }
        if (r >= 0 || is_fatal(r))
                return r;
        p->unreadable++;
        return 0;
}

int parent_find(Parent *p, const char *name, const TreeNode **ret) {
        Level *l = p->level;
        int r;

        assert(l);
        assert(name);
        assert(ret);

        *ret = NULL;
        while (l->reader) {
                if (!l->has_node) {
                        r = tree_reader_next(l->reader, &l->node, /* reterr_failure= */ NULL);
                        if (r <= 0) {
                                p->unreadable += r < 0;
                                level_end(l);
                                return is_fatal(r) ? r : 0;
                        }
                        l->has_node = true;
                }
                r = strcmp(l->node.name, name);
                if (r > 0)
                        return 0;
                if (r == 0) {
                        *ret = &l->node;
                        return 0;
                }
                l->has_node = false;
        }
        return 0;
}

uint64_t parent_unreadable(const Parent *p) {
        assert(p);

        return p->unreadable;
}
