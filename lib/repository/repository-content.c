/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "repository/repository-internal.h"

/* Fewer digits name no snapshot, so that a slip does not. */
#define NAME_DIGITS_MIN 4

/* A list of files, made before any of them is read: no listing stays open meanwhile. */
typedef struct FileList {
        struct {
                Id id;
                uint64_t size;
        } * items;
        size_t n, allocated;
} FileList;

static void file_list_done(FileList *l) {
        free(l->items);
}

static int add_file(void *userdata, const Id *id, uint64_t size) {
        FileList *l = ASSERT_PTR(userdata);

        if (l->n == l->allocated) {
                size_t n = MAX(2 * l->allocated, (size_t) 64);
                void *grown = reallocarray(l->items, n, sizeof(*l->items));

                if (!grown)
                        return -ENOMEM;
                l->items = grown;
                l->allocated = n;
        }
        l->items[l->n].id = *id;
        l->items[l->n++].size = size;
        return 0;
}

static int compare_item(const void *a, const void *b) {
        return id_compare(a, b);
}

static bool is_listed(void *userdata, const Id *id) {
        const FileList *l = ASSERT_PTR(userdata);

        return l->n > 0 && bsearch(id, l->items, l->n, sizeof(*l->items), compare_item);
}

static int list_files(Repository *r, RepoFileType type, FileList *ret, Failure *f) {
        int k;

        assert(ret);

        k = repository_list(r, type, add_file, ret, f);
        if (k < 0)
                return k;
        if (ret->n > 0)
                qsort(ret->items, ret->n, sizeof(*ret->items), compare_item);
        return 0;
}

int repository_load_index(Repository *r, RepoIndex *x, Failure *reterr_failure) {
        _cleanup_(file_list_done) FileList files = {};
        int k;

        assert(r);
        assert(x);

        k = list_files(r, REPO_FILE_INDEX, &files, reterr_failure);
        for (size_t i = 0; i < files.n && k >= 0; i++) {
                _cleanup_(repo_file_done) RepoFile file = REPO_FILE_NULL;

                k = repository_get(r, REPO_FILE_INDEX, &files.items[i].id, files.items[i].size, &file,
                                   reterr_failure);
                if (k >= 0)
                        k = repo_index_load(x, repo_file_read, &file, reterr_failure);
        }
        if (k >= 0 && r->cache)
                repo_cache_clean(r->cache, "index", is_listed, &files);
        return k;
}

static int get_snapshot(Repository *r, const Id *id, uint64_t size, Snapshot *ret, Failure *f) {
        _cleanup_(repo_file_done) RepoFile file = REPO_FILE_NULL;
        _cleanup_failure_ Failure why = FAILURE_NULL;
        char label[REPO_FILE_LABEL_MAX];
        _cleanup_(freep) char *json = NULL;
        size_t n;
        int k;

        k = repository_get(r, REPO_FILE_SNAPSHOT, id, size, &file, f);
        if (k < 0)
                return k;
        k = repo_file_read_all(&file, SNAPSHOT_SIZE_MAX, &json, &n);
        if (k >= 0)
                k = snapshot_parse(json, n, ret, &why);
        if (k == -EBADMSG || k == -EFBIG)
                return failure_set(f, -EBADMSG, "SNAPSHOT_DAMAGED", "The %s is damaged: %s",
                                   repository_label(REPO_FILE_SNAPSHOT, id, label),
                                   failure_message(&why, k));
        return k;
}

int repository_get_snapshot(Repository *r, const Id *id, Snapshot *ret, Failure *reterr_failure) {
        assert(r);
        assert(id);
        assert(ret);

        return get_snapshot(r, id, UINT64_MAX, ret, reterr_failure);
}

int repository_list_snapshots(Repository *r, RepositorySnapshotFunc func, void *userdata,
                              Failure *reterr_failure) {
        _cleanup_(file_list_done) FileList files = {};
        int k;

        assert(r);
        assert(func);

        k = list_files(r, REPO_FILE_SNAPSHOT, &files, reterr_failure);
        if (k >= 0 && r->cache)
                repo_cache_clean(r->cache, "snapshots", is_listed, &files);
        for (size_t i = 0; i < files.n && k >= 0; i++) {
                _cleanup_(snapshot_done) Snapshot s = SNAPSHOT_NULL;

                k = get_snapshot(r, &files.items[i].id, files.items[i].size, &s, reterr_failure);
                if (k >= 0)
                        k = func(userdata, &files.items[i].id, &s);
                if (k > 0)
                        return k;
        }
        return k;
}

typedef struct Search {
        const char *name;
        bool latest;
        unsigned n; /* that were found */
        Id id;
        Snapshot snapshot;
} Search;

static void search_done(Search *s) {
        snapshot_done(&s->snapshot);
}

static int consider(void *userdata, const Id *id, Snapshot *s) {
        Search *search = ASSERT_PTR(userdata);
        const Moment *a = &search->snapshot.time, *b = &s->time;
        char hex[ID_HEX_SIZE];

        if (search->latest) {
                if (search->n > 0 && (a->sec > b->sec || (a->sec == b->sec && a->nsec >= b->nsec)))
                        return 0;
        } else if (!startswith(id_to_hex(id, hex), search->name))
                return 0;
        search->n++;
        search->id = *id;
        snapshot_done(&search->snapshot);
        search->snapshot = *s;
        *s = SNAPSHOT_NULL;
        return 0;
}

int repository_find_snapshot(Repository *r, const char *name, Id *ret_id, Snapshot *ret,
                             Failure *reterr_failure) {
        _cleanup_(search_done) Search search = { .name = name, .latest = streq(name, "latest") };
        int k;

        assert(r);
        assert(ret_id);
        assert(ret);

        if (search.latest || strlen(name) >= NAME_DIGITS_MIN) {
                k = repository_list_snapshots(r, consider, &search, reterr_failure);
                if (k < 0)
                        return k;
        }
        if (search.n == 0)
                return failure_set(reterr_failure, -ENOENT, "SNAPSHOT_MISSING",
                                   "The repository on %s has no snapshot '%s'", storage_name(r->storage),
                                   name);
        if (search.n > 1 && !search.latest)
                return failure_set(reterr_failure, -ENOTUNIQ, "SNAPSHOT_AMBIGUOUS",
                                   "The repository on %s has %u snapshots that begin with '%s'",
                                   storage_name(r->storage), search.n, name);
        *ret_id = search.id;
        *ret = search.snapshot;
        search.snapshot = SNAPSHOT_NULL;
        return 0;
}
