/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "repository/forget-run.h"
#include "repository/id-set.h"
#include "repository/lock-watch.h"

typedef struct ForgetRun {
        const RepositoryForgetArgs *args;
        RepositoryForgetResult *result;
        size_t allocated;
        Sha256 *digest;
        RepoLockWatch *lock; /* NULL in a dry run */
} ForgetRun;

static void run_done(ForgetRun *r) {
        sha256_free(r->digest);
        repo_lock_watch_free(r->lock);
}

void repository_forget_result_done(RepositoryForgetResult *r) {
        assert(r);

        for (size_t i = 0; i < r->n_items; i++)
                snapshot_done(&r->items[i].snapshot);
        free(r->items);
        free(r->refusal);
        *r = REPOSITORY_FORGET_RESULT_NULL;
}

static int go_on(const ForgetRun *r, Failure *f) {
        const atomic_bool *cancel = r->args->cancel;

        if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
                return failure_set(f, -ECANCELED, "CANCELLED", "It was cancelled");
        return r->lock ? repo_lock_watch_alive(r->lock, f) : 0;
}

/* --- Groups ------------------------------------------------------------------------------------------- */

static bool has_all(char *const *have, char *const *wanted) {
        STRV_FOREACH(s, wanted)
                if (!strv_contains(have, *s))
                        return false;
        return true;
}

static bool has_any(char *const *have, char *const *wanted) {
        STRV_FOREACH(s, wanted)
                if (strv_contains(have, *s))
                        return true;
        return false;
}

static bool is_meant(const RepositoryForgetArgs *args, const Snapshot *s) {
        return (!args->hostname || streq_ptr(args->hostname, s->hostname)) &&
                        has_all(s->paths, args->paths) && has_all(s->tags, args->tags);
}

static int add_text(Sha256 *h, const char *s) {
        return sha256_add(h, strempty(s), strlen(strempty(s)) + 1);
}

static int compare_text(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* The order of paths and tags makes no difference. */
static int add_list(Sha256 *h, char *const *list) {
        size_t n = strv_length(list);
        _cleanup_(freep) char **sorted = new0(char *, n + 1);
        int r = 0;

        if (!sorted)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                sorted[i] = list[i];
        if (n > 0)
                qsort(sorted, n, sizeof(*sorted), compare_text);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = add_text(h, sorted[i]);
        return r < 0 ? r : add_text(h, ""); /* no path or tag is empty: the end of the list */
}

static int group_of(ForgetRun *r, const Snapshot *s, Id *ret) {
        unsigned by = r->args->group_by;
        int k = 0;

        if (by & FORGET_GROUP_HOST)
                k = add_text(r->digest, s->hostname);
        if (k >= 0 && by & FORGET_GROUP_PATHS)
                k = add_list(r->digest, s->paths);
        if (k >= 0 && by & FORGET_GROUP_TAGS)
                k = add_list(r->digest, s->tags);
        return k < 0 ? k : sha256_finish(r->digest, ret->bytes);
}

/* Takes what it keeps. */
static int add_snapshot(void *userdata, const Id *id, Snapshot *s) {
        ForgetRun *r = ASSERT_PTR(userdata);
        RepositoryForgetResult *result = r->result;
        Id group;
        int k;

        k = go_on(r, NULL);
        if (k < 0 || !is_meant(r->args, s))
                return k;
        k = group_of(r, s, &group);
        if (k < 0)
                return k;
        if (result->n_items == r->allocated) {
                size_t n = MAX(2 * r->allocated, (size_t) 64);
                ForgetItem *grown = reallocarray(result->items, n, sizeof(ForgetItem));

                if (!grown)
                        return -ENOMEM;
                result->items = grown;
                r->allocated = n;
        }
        result->items[result->n_items++] = (ForgetItem){ .id = *id, .group = group, .snapshot = *s };
        *s = SNAPSHOT_NULL;
        return 0;
}

/* --- The policy --------------------------------------------------------------------------------------- */

static int compare_items(const void *a, const void *b) {
        const ForgetItem *x = a, *y = b;
        const Moment *p = &x->snapshot.time, *q = &y->snapshot.time;
        int k = id_compare(&x->group, &y->group);

        if (k != 0)
                return k;
        if (p->sec != q->sec)
                return p->sec > q->sec ? -1 : 1;
        if (p->nsec != q->nsec)
                return p->nsec > q->nsec ? -1 : 1;
        return id_compare(&x->id, &y->id);
}

/* n items of one group. times and reasons: room for so many. */
static void apply_to_group(const ForgetRun *r, ForgetItem *items, size_t n, Moment *times,
                           ForgetReasons *reasons) {
        const RepositoryForgetArgs *args = r->args;
        bool any = false;

        for (size_t i = 0; i < n; i++)
                times[i] = items[i].snapshot.time;
        forget_apply(args->policy, times, n, &args->now, reasons);
        for (size_t i = 0; i < n; i++) {
                items[i].reasons = reasons[i];
                if (has_any(items[i].snapshot.tags, args->keep_tags))
                        items[i].reasons |= FORGET_BECAUSE_TAG;
                any = any || items[i].reasons != 0;
        }
        if (!any)
                items[0].reasons = FORGET_BECAUSE_LAST;
}

static int apply(ForgetRun *r) {
        ForgetItem *items = r->result->items;
        size_t n = r->result->n_items, end;
        _cleanup_(freep) Moment *times = new0(Moment, n + 1);
        _cleanup_(freep) ForgetReasons *reasons = new0(ForgetReasons, n + 1);

        if (!times || !reasons)
                return -ENOMEM;
        if (n > 0)
                qsort(items, n, sizeof(*items), compare_items);
        for (size_t i = 0; i < n; i = end) {
                for (end = i + 1; end < n && id_equal(&items[end].group, &items[i].group);)
                        end++;
                apply_to_group(r, items + i, end - i, times, reasons);
        }
        for (size_t i = 0; i < n; i++)
                r->result->kept += items[i].reasons != 0;
        return 0;
}

/* --- Removing ----------------------------------------------------------------------------------------- */

static int remove_one(ForgetRun *r, ForgetItem *item, Failure *f) {
        _cleanup_failure_ Failure why = FAILURE_NULL;
        RepositoryForgetResult *result = r->result;
        int k;

        assert(item->reasons == 0);

        k = repository_remove(r->args->repository, REPO_FILE_SNAPSHOT, &item->id, &why);
        if (k == -EACCES || k == -EPERM) {
                result->refused++;
                if (!result->refusal)
                        result->refusal = strdup(failure_message(&why, k));
                return 0;
        }
        if (k < 0 && k != -ENOENT)
                return failure_set(f, k, why.code, "%s", failure_message(&why, k));
        item->removed = true;
        result->removed++;
        return 0;
}

/* What is not listed any more was removed by somebody else. */
static int remove_all(ForgetRun *r, Failure *f) {
        _cleanup_(id_set_done) IdSet now = ID_SET_NULL;
        RepositoryForgetResult *result = r->result;
        int k;

        if (result->kept == result->n_items)
                return 0;
        k = id_set_list(&now, r->args->repository, REPO_FILE_SNAPSHOT, f);
        if (k >= 0)
                k = repo_lock_watch_check(r->lock, f);
        for (size_t i = 0; k >= 0 && i < result->n_items; i++) {
                ForgetItem *item = result->items + i;

                if (item->reasons != 0 || !id_set_has(&now, &item->id))
                        continue;
                k = go_on(r, f);
                if (k >= 0)
                        k = remove_one(r, item, f);
        }
        return k;
}

int repository_forget(const RepositoryForgetArgs *args, RepositoryForgetResult *ret,
                      Failure *reterr_failure) {
        _cleanup_(run_done) ForgetRun run = { .args = args, .result = ret };
        const RepoLockArgs lock = {
                .exclusive = true,
                .owner = args->lock_owner,
                .username = args->username,
                .delay = args->listing_delay,
                .times = args->lock_times,
                .cancel = args->cancel,
        };
        int k;

        assert(args && args->repository && args->policy);
        assert(ret);

        *ret = REPOSITORY_FORGET_RESULT_NULL;
        k = sha256_new(&run.digest);
        if (k >= 0 && !args->dry_run)
                k = repo_lock_watch_new(args->repository, &lock, &run.lock, reterr_failure);
        if (k >= 0)
                k = repository_list_snapshots(args->repository, add_snapshot, &run, reterr_failure);
        if (k >= 0)
                k = apply(&run);
        return k < 0 || args->dry_run ? k : remove_all(&run, reterr_failure);
}
