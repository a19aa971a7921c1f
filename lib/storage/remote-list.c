/* SPDX-License-Identifier: Apache-2.0 */

/* Listings of a remote tree, directory by directory, and what dead puts left in it. */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/remote.h"

void remote_list_done(RemoteList *list) {
        assert(list);

        for (size_t i = 0; i < list->n; i++)
                free(list->items[i].name);
        free(list->items);
        *list = (RemoteList){};
}

static bool name_is_valid(const char *name) {
        return !strchr(name, '/') && storage_key_is_valid(name);
}

int remote_list_add(RemoteList *list, const char *name, bool is_directory, uint64_t size, usec_t modified) {
        RemoteEntry *e;
        int r;

        assert(list);

        if (!name_is_valid(name))
                return 0;
        if (list->n >= REMOTE_LIST_MAX)
                return -E2BIG;
        if (list->n >= list->allocated) {
                size_t allocated = list->allocated == 0 ? 64 : 2 * list->allocated;
                RemoteEntry *grown = reallocarray(list->items, allocated, sizeof *grown);

                if (!grown)
                        return -ENOMEM;
                list->items = grown;
                list->allocated = allocated;
        }
        e = list->items + list->n;
        *e = (RemoteEntry){ .size = size, .modified = modified, .is_directory = is_directory };
        r = asprintf_safe(&e->name, "%s%s", name, is_directory ? "/" : "");
        if (r < 0)
                return r;
        list->n++;
        return 0;
}

static int compare_entries(const void *a, const void *b) {
        return strcmp(((const RemoteEntry *) a)->name, ((const RemoteEntry *) b)->name);
}

/* One directory, sorted; key is "" or ends in '/'. */
static int read_directory(Storage *s, const char *key, RemoteList *ret, Failure *f) {
        RemoteTry t = remote_try(s, key, f);
        _cleanup_(freep) char *path = NULL;
        const Remote *m = s->backend;
        size_t n;
        int r;

        assert(ret);

        r = remote_path(m, key, &path);
        if (r < 0)
                return r;
        n = strlen(path);
        if (n > 1)
                path[n - 1] = 0;
        while (remote_try_next(&t)) {
                remote_list_done(ret);
                t.result = m->ops->list(t.session, isempty(path) ? "." : path, ret);
                if (t.result == -E2BIG)
                        remote_session_error(t.session, 0, "it has more than %u entries", REMOTE_LIST_MAX);
        }
        if (t.result >= 0 && ret->n > 1)
                qsort(ret->items, ret->n, sizeof *ret->items, compare_entries);
        return t.result;
}

typedef struct Listing {
        Storage *storage;
        StorageListFunc func;
        void *userdata;
        Failure *failure;
} Listing;

/* Depth is limited, so recursion is. */
static int list_directory(const Listing *l, const char *prefix, RemoteList *entries, unsigned depth) {
        int r;

        assert(l);

        if (depth > REMOTE_DEPTH_MAX)
                return remote_failure(l->storage, -ELOOP, prefix, "it has too many levels", l->failure);
        for (size_t i = 0; i < entries->n; i++) {
                const RemoteEntry *e = entries->items + i;
                _cleanup_(remote_list_done) RemoteList below = {};
                _cleanup_(freep) char *key = NULL;

                if (isempty(prefix) && streq(e->name, REMOTE_TEMP "/"))
                        continue;
                r = asprintf_safe(&key, "%s%s", prefix, e->name);
                if (r < 0)
                        return r;
                if (!e->is_directory)
                        r = l->func(l->userdata, key, e->size);
                else {
                        _cleanup_failure_ Failure failure = FAILURE_NULL;

                        r = read_directory(l->storage, key, &below, &failure);
                        /* Gone since; that is no failure of the listing. */
                        if (r == -ENOENT)
                                continue;
                        if (r < 0) {
                                remote_failure_move(&failure, l->failure);
                                return r;
                        }
                        r = list_directory(l, key, &below, depth + 1);
                }
                if (r != 0)
                        return r;
        }
        return 0;
}

/* Nothing below a prefix is an empty list; a target that is not there is not. */
static int check_base(Storage *s, Failure *f) {
        _cleanup_(remote_list_done) RemoteList entries = {};
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        const Remote *m = s->backend;
        int r;

        r = read_directory(s, "", &entries, &failure);
        if (r == -ENOENT)
                return failure_set(f, r, "STORAGE_MISSING",
                                   "The directory of %s (%s) does not exist on the server.", m->place,
                                   s->name);
        remote_failure_move(&failure, f);
        return r;
}

int remote_list(Storage *s, const char *prefix, StorageListFunc func, void *userdata,
                Failure *reterr_failure) {
        _cleanup_(remote_list_done) RemoteList entries = {};
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        const Listing l = { s, func, userdata, reterr_failure };
        int r;

        assert(prefix);

        r = read_directory(s, prefix, &entries, &failure);
        if (r == -ENOENT)
                return check_base(s, reterr_failure);
        if (r < 0) {
                remote_failure_move(&failure, reterr_failure);
                return r;
        }
        return list_directory(&l, prefix, &entries, 0);
}

/* --- Leftovers ----------------------------------------------------------------------------------------- */

void remote_sweep(Storage *s, const char *own) {
        _cleanup_(remote_list_done) RemoteList entries = {};
        const Remote *m = s->backend;
        RemoteSession *x = NULL;
        usec_t now = 0;

        assert(own);

        if (remote_session_get(s, /* end= */ 0, &x, /* f= */ NULL) < 0)
                return;
        own = strrchr(own, '/') + 1;
        {
                _cleanup_(freep) char *path = NULL;

                if (remote_path(m, REMOTE_TEMP, &path) >= 0)
                        (void) !m->ops->list(x, path, &entries);
        }
        for (size_t i = 0; i < entries.n; i++)
                if (streq(entries.items[i].name, own))
                        now = entries.items[i].modified;
        for (size_t i = 0; i < entries.n && now > 0 && !x->broken; i++) {
                const RemoteEntry *e = entries.items + i;
                _cleanup_(freep) char *path = NULL;

                if (e->is_directory || e->modified == 0 || usec_add(e->modified, REMOTE_LEFTOVER_AGE) > now)
                        continue;
                if (asprintf_safe(&path, "%s" REMOTE_TEMP "/%s", m->base, e->name) >= 0)
                        (void) m->ops->remove(x, path);
        }
        remote_session_put(x);
}
