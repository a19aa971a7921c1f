/* SPDX-License-Identifier: Apache-2.0 */

/* A walk enters a directory when it comes to its name, before the names behind it: so does this one. The
 * trees that are still to be read are a stack, the next one on top. Directories that are gone were read for
 * nothing, and are passed over by who takes. */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "repository/parent-tree.h"

/* Text of the trees that wait; their nodes take as much again. */
#define AHEAD_BYTES ((size_t) 1 << 20)
#define AHEAD_TREES 512
/* Who waits for room is woken when there is this much of it, not for each tree. */
#define AHEAD_ROOM (AHEAD_BYTES / 2)
/* Trees that are known and not read: 2 MiB. Beyond, nothing more is read ahead. */
#define PENDING_MAX ((size_t) 1 << 16)

struct ParentAhead {
        ParentFrom from;

        pthread_mutex_t lock;
        pthread_cond_t room, there;
        ParentTree *first, **last;
        ParentTree *given; /* back */
        size_t n, bytes;
        bool stop;  /* nobody wants more */
        bool ended; /* nothing more comes */

        pthread_t thread;
        bool started;

        /* The thread's alone. */
        Id *pending;
        size_t n_pending, n_allocated;
};

/* --- The thread --------------------------------------------------------------------------------------- */

static int pending_add(ParentAhead *a, const Id *id) {
        if (a->n_pending == a->n_allocated) {
                size_t n = MAX(2 * a->n_allocated, (size_t) 64);
                Id *grown;

                if (a->n_pending == PENDING_MAX)
                        return -EFBIG;
                grown = reallocarray(a->pending, n, sizeof(Id));
                if (!grown)
                        return -ENOMEM;
                a->pending = grown;
                a->n_allocated = n;
        }
        a->pending[a->n_pending++] = *id;
        return 0;
}

/* Those from this one on, so that the first is on top. */
static void pending_turn(ParentAhead *a, size_t from) {
        for (size_t i = from, j = a->n_pending; i + 1 < j; i++, j--) {
                Id id = a->pending[i];

                a->pending[i] = a->pending[j - 1];
                a->pending[j - 1] = id;
        }
}

static int pending_add_large(ParentAhead *a, const ParentTree *t) {
        _cleanup_(tree_reader_freep) TreeReader *reader = NULL;
        _cleanup_(tree_node_done) TreeNode node = TREE_NODE_NULL;
        int r;

        r = parent_tree_read(t, &reader);
        while (r >= 0) {
                r = tree_reader_next(reader, &node, /* reterr_failure= */ NULL);
                if (r <= 0) /* what is wrong with it is told by who takes it */
                        return r == -ENOMEM ? r : 0;
                r = node.has_subtree ? pending_add(a, &node.subtree) : 0;
        }
        return r;
}

/* The directories in a tree. */
static int pending_add_tree(ParentAhead *a, const ParentTree *t) {
        size_t from = a->n_pending;
        int r = 0;

        if (t->large)
                r = pending_add_large(a, t);
        for (size_t i = 0; r >= 0 && i < t->n_nodes; i++)
                if (t->nodes[i].node.has_subtree)
                        r = pending_add(a, &t->nodes[i].node.subtree);
        pending_turn(a, from);
        return r;
}

static bool is_full(const ParentAhead *a) {
        return a->bytes >= AHEAD_BYTES || a->n >= AHEAD_TREES;
}

static void free_all(ParentTree *t) {
        while (t) {
                ParentTree *gone = t;

                t = gone->next;
                parent_tree_free(gone);
        }
}

/* Takes the tree over. */
static int put(ParentAhead *a, ParentTree *t) {
        ParentTree *given;
        int r = 0;

        (void) pthread_mutex_lock(&a->lock);
        while (!a->stop && is_full(a))
                (void) pthread_cond_wait(&a->room, &a->lock);
        if (a->stop)
                r = -ECANCELED;
        else {
                *a->last = t;
                a->last = &t->next;
                a->n++;
                a->bytes += t->text.size;
                (void) pthread_cond_signal(&a->there);
        }
        given = TAKE_PTR(a->given);
        (void) pthread_mutex_unlock(&a->lock);
        free_all(given);
        if (r < 0)
                parent_tree_free(t);
        return r;
}

static void *ahead_main(void *userdata) {
        ParentAhead *a = ASSERT_PTR(userdata);
        int r = 0;

        while (r >= 0 && a->n_pending > 0) {
                const Id id = a->pending[--a->n_pending];
                ParentTree *t;

                r = parent_tree_load(&a->from, &id, &t);
                if (r < 0)
                        break;
                r = pending_add_tree(a, t);
                if (put(a, t) < 0)
                        break;
        }
        (void) pthread_mutex_lock(&a->lock);
        a->ended = true;
        (void) pthread_cond_signal(&a->there);
        (void) pthread_mutex_unlock(&a->lock);
        return NULL;
}

/* --- The face ----------------------------------------------------------------------------------------- */

ParentAhead *parent_ahead_free(ParentAhead *a) {
        if (!a)
                return NULL;
        (void) pthread_mutex_lock(&a->lock);
        a->stop = true;
        (void) pthread_cond_signal(&a->room);
        (void) pthread_mutex_unlock(&a->lock);
        if (a->started)
                (void) pthread_join(a->thread, NULL);
        free_all(a->first);
        free_all(a->given);
        free(a->pending);
        (void) pthread_cond_destroy(&a->room);
        (void) pthread_cond_destroy(&a->there);
        (void) pthread_mutex_destroy(&a->lock);
        return mfree(a);
}

int parent_ahead_new(const Id *root, const ParentFrom *from, ParentAhead **ret) {
        _cleanup_(parent_ahead_freep) ParentAhead *a = NULL;
        int r;

        assert(root);
        assert(from && from->load);
        assert(ret);

        a = new0(ParentAhead, 1);
        if (!a)
                return -ENOMEM;
        (void) pthread_mutex_init(&a->lock, NULL);
        (void) pthread_cond_init(&a->room, NULL);
        (void) pthread_cond_init(&a->there, NULL);
        a->from = *from;
        a->last = &a->first;
        r = pending_add(a, root);
        if (r < 0)
                return r;
        r = pthread_create(&a->thread, NULL, ahead_main, a);
        if (r != 0)
                return -r;
        a->started = true;
        *ret = TAKE_PTR(a);
        return 0;
}

/* With the lock: the next one, or NULL when there will be none. */
static ParentTree *next(ParentAhead *a) {
        ParentTree *t;

        while (!a->first && !a->ended)
                (void) pthread_cond_wait(&a->there, &a->lock);
        t = a->first;
        if (!t)
                return NULL;
        a->first = t->next;
        if (!a->first)
                a->last = &a->first;
        t->next = NULL;
        a->n--;
        a->bytes -= t->text.size;
        if (a->bytes <= AHEAD_ROOM && a->n <= AHEAD_TREES / 2)
                (void) pthread_cond_signal(&a->room);
        return t;
}

int parent_ahead_take(ParentAhead *a, const Id *id, ParentTree **ret) {
        int r = -ENOENT;

        assert(a);
        assert(id);
        assert(ret);

        (void) pthread_mutex_lock(&a->lock);
        for (;;) {
                ParentTree *t = next(a);

                if (!t)
                        break;
                if (id_equal(&t->id, id)) {
                        *ret = t;
                        r = 0;
                        break;
                }
                parent_tree_free(t);
        }
        (void) pthread_mutex_unlock(&a->lock);
        return r;
}

void parent_ahead_give(ParentAhead *a, ParentTree *t) {
        assert(a);
        assert(t);

        (void) pthread_mutex_lock(&a->lock);
        if (!a->ended && !t->large) {
                t->next = a->given;
                a->given = TAKE_PTR(t);
        }
        (void) pthread_mutex_unlock(&a->lock);
        parent_tree_free(t);
}
