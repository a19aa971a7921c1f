/* SPDX-License-Identifier: Apache-2.0 */

/* The order of things, and what is looked at before anything is removed. Nothing here removes a file but
 * remove_index() and remove_pack(), and both are only reached through look_again(). */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "repository/prune-run.h"

/* How often the lock is looked for while much is removed. */
#define LOCK_CHECK_INTERVAL (30 * USEC_PER_SEC)

static const char *const prune_phase_table[_PRUNE_PHASE_MAX] = {
        [PRUNE_MARK] = "mark",
        [PRUNE_REPACK] = "repack",
        [PRUNE_WRITE_INDEX] = "write-index",
        [PRUNE_REMOVE_INDEXES] = "remove-indexes",
        [PRUNE_REMOVE_PACKS] = "remove-packs",
};
DEFINE_STRING_TABLE(prune_phase, PrunePhase);

void repository_prune_result_done(RepositoryPruneResult *r) {
        assert(r);

        free(r->refusal);
        *r = REPOSITORY_PRUNE_RESULT_NULL;
}

static void run_done(PruneRun *r) {
        repo_lock_watch_free(r->lock);
        id_set_done(&r->snapshots);
        id_set_done(&r->indexes);
        id_set_done(&r->own);
        repo_index_free(r->index);
        repo_index_free(r->fresh);
        free(r->used);
        free(r->chosen);
        free(r->packs);
        free(r->order);
        free(r->starts);
}

int prune_go_on(PruneRun *r, Failure *reterr_failure) {
        const RepositoryPruneArgs *args = r->args;

        if (args->cancel && atomic_load_explicit(args->cancel, memory_order_relaxed))
                return failure_set(reterr_failure, -ECANCELED, "CANCELLED", "The prune was cancelled");
        return r->lock ? repo_lock_watch_alive(r->lock, reterr_failure) : 0;
}

static void enter_phase(const PruneRun *r, PrunePhase phase) {
        if (r->args->on_phase)
                r->args->on_phase(r->args->userdata, phase);
}

/* --- Before anything is removed ----------------------------------------------------------------------- */

/* What we are sure of because we wrote it has to be there. */
static int check_fresh(PruneRun *r, Failure *f) {
        Repository *repository = r->args->repository;
        size_t n = r->own.n + repo_index_n_packs(r->fresh);
        int k = 0;

        for (size_t i = 0; k >= 0 && i < n; i++) {
                bool is_index = i < r->own.n;
                const Id *id = is_index ? &r->own.items[i].id :
                                          repo_index_pack(r->fresh, (uint32_t) (i - r->own.n));
                _cleanup_(freep) char *key = NULL;
                uint64_t size;

                k = prune_go_on(r, f);
                if (k >= 0)
                        k = repository_path(repository, is_index ? REPO_FILE_INDEX : REPO_FILE_PACK, id,
                                            &key);
                if (k >= 0)
                        k = storage_stat(repository_storage(repository), key, &size, f);
        }
        return k;
}

/* Each used blob has a place in a pack that stays, whatever was planned: in one that is listed and kept, or
 * in one that was written by this run. */
static int check_places(const PruneRun *r, Failure *f) {
        for (size_t i = 0; i < repo_index_n_blobs(r->index); i++) {
                bool stays = false;
                uint64_t cursor = 0;
                IndexEntry e, place;
                char hex[ID_HEX_SIZE];

                if (!bit_get(r->used, i))
                        continue;
                repo_index_get(r->index, i, &e);
                while (!stays && repo_index_find(r->index, e.blob.type, &e.blob.id, &cursor, &place)) {
                        const PrunePack *p = r->packs + place.pack;

                        stays = p->action == PRUNE_KEEP && p->listed && p->size >= p->least;
                }
                if (!stays && !repo_index_has(r->fresh, e.blob.type, &e.blob.id))
                        return failure_set(f, -EBADMSG, "PRUNE_UNSAFE",
                                           "The %s blob %.16s is used and would be lost: nothing "
                                           "is removed",
                                           blob_type_to_string(e.blob.type), id_to_hex(&e.blob.id, hex));
        }
        return 0;
}

static int compare_listing(const PruneRun *r, RepoFileType type, const IdSet *before, const IdSet *own,
                           Failure *f) {
        _cleanup_(id_set_done) IdSet now = ID_SET_NULL;
        char hex[ID_HEX_SIZE];
        int k;

        k = id_set_list(&now, r->args->repository, type, f);
        if (k < 0)
                return k;
        for (size_t i = 0; i < now.n; i++) {
                const Id *id = &now.items[i].id;

                if (id_set_has(before, id) || id_set_has(own, id))
                        continue;
                return failure_set(f, -ESTALE, "REPOSITORY_CHANGED",
                                   "The %s %.16s appeared in the repository on %s while it was pruned: "
                                   "what it needs is not known, so nothing (more) is removed; try again",
                                   repo_file_type_to_string(type), id_to_hex(id, hex),
                                   storage_name(repository_storage(r->args->repository)));
        }
        return 0;
}

/* The lock comes last: whoever wrote something since the listings has removed it before. */
static int look_again(PruneRun *r, Failure *f) {
        IdSet none = ID_SET_NULL;
        int k;

        id_set_sort(&r->own);
        k = compare_listing(r, REPO_FILE_SNAPSHOT, &r->snapshots, &none, f);
        if (k >= 0)
                k = compare_listing(r, REPO_FILE_INDEX, &r->indexes, &r->own, f);
        if (k >= 0)
                k = prune_go_on(r, f);
        if (k >= 0)
                k = repo_lock_watch_check(r->lock, f);
        r->checked = now_usec(CLOCK_MONOTONIC);
        return k;
}

/* Between two removals. */
static int still_ours(PruneRun *r, Failure *f) {
        int k;

        k = prune_go_on(r, f);
        if (k < 0 || now_usec(CLOCK_MONOTONIC) < usec_add(r->checked, LOCK_CHECK_INTERVAL))
                return k;
        k = repo_lock_watch_check(r->lock, f);
        r->checked = now_usec(CLOCK_MONOTONIC);
        return k;
}

/* --- Removing ----------------------------------------------------------------------------------------- */

typedef enum Removal {
        REMOVAL_REFUSED,
        REMOVAL_GONE,
        REMOVAL_HIDDEN, /* from us; the storage keeps it */
} Removal;

/* Gives a Removal. */
static int remove_file(PruneRun *r, RepoFileType type, const Id *id, Failure *f) {
        _cleanup_failure_ Failure why = FAILURE_NULL;
        int k;

        k = repository_remove(r->args->repository, type, id, &why);
        if (k >= 0 || k == -ENOENT)
                return k > 0 ? REMOVAL_HIDDEN : REMOVAL_GONE;
        if (k != -EACCES && k != -EPERM)
                return failure_set(f, k, why.code, "%s", failure_message(&why, k));
        if (!r->result->refusal)
                r->result->refusal = strdup(failure_message(&why, k));
        return REMOVAL_REFUSED;
}

static int remove_index(PruneRun *r, const Id *id, Failure *f) {
        int k;

        k = remove_file(r, REPO_FILE_INDEX, id, f);
        if (k < 0)
                return k;
        if (k != REMOVAL_REFUSED) {
                r->result->indexes_removed++;
                return 0;
        }
        r->result->indexes_refused++;
        return prune_retain(r, id, f);
}

static int remove_indexes(PruneRun *r, const IdSet *files, Failure *f) {
        int k;

        if (files->n == 0)
                return 0;
        enter_phase(r, PRUNE_REMOVE_INDEXES);
        k = look_again(r, f);
        for (size_t i = 0; k >= 0 && i < files->n; i++) {
                k = still_ours(r, f);
                if (k >= 0)
                        k = remove_index(r, &files->items[i].id, f);
        }
        return k;
}

static int remove_pack(PruneRun *r, const PrunePack *p, Failure *f) {
        RepositoryPruneResult *result = r->result;
        int k;

        assert(p->action != PRUNE_KEEP);

        k = p->action == PRUNE_RETAIN ? REMOVAL_REFUSED : remove_file(r, REPO_FILE_PACK, &p->id, f);
        if (k < 0)
                return k;
        result->packs_removed += k != REMOVAL_REFUSED;
        result->bytes_removed += k != REMOVAL_REFUSED ? p->size : 0;
        result->packs_hidden += k == REMOVAL_HIDDEN;
        result->bytes_hidden += k == REMOVAL_HIDDEN ? p->size : 0;
        result->packs_refused += k == REMOVAL_REFUSED;
        result->bytes_refused += k == REMOVAL_REFUSED ? p->size : 0;
        return 0;
}

/* A snapshot that was listed too late may need what no index names any more. All of it is there yet. Below
 * a lock that is not ours another prune may be removing it. */
static void undo(PruneRun *r, int error) {
        if (error == -ESTALE && repo_lock_watch_check(r->lock, NULL) >= 0)
                (void) !prune_restore_indexes(r, NULL);
}

static int remove_packs(PruneRun *r, Failure *f) {
        int k;

        enter_phase(r, PRUNE_REMOVE_PACKS);
        k = look_again(r, f);
        if (k < 0) {
                undo(r, k);
                return k;
        }
        for (size_t i = 0; k >= 0 && i < r->n_packs; i++) {
                if (r->packs[i].action == PRUNE_KEEP || !r->packs[i].listed)
                        continue;
                k = still_ours(r, f);
                if (k >= 0)
                        k = remove_pack(r, r->packs + i, f);
        }
        return k;
}

/* --- The whole ---------------------------------------------------------------------------------------- */

static int carry_out(PruneRun *r, Failure *f) {
        _cleanup_(id_set_done) IdSet files = ID_SET_NULL;
        int k;

        enter_phase(r, PRUNE_REPACK);
        k = prune_repack(r, f);
        if (k >= 0)
                k = prune_classify_indexes(r, &files, f);
        if (k >= 0) {
                enter_phase(r, PRUNE_WRITE_INDEX);
                k = look_again(r, f);
        }
        if (k >= 0)
                k = prune_write_indexes(r, f);
        if (k >= 0)
                k = check_fresh(r, f);
        if (k >= 0)
                k = check_places(r, f);
        if (k >= 0)
                k = remove_indexes(r, &files, f);
        return k < 0 ? k : remove_packs(r, f);
}

static int prune(PruneRun *r, Failure *f) {
        const RepositoryPruneArgs *args = r->args;
        const RepoLockArgs lock = {
                .exclusive = true,
                .owner = args->lock_owner,
                .username = args->username,
                .delay = args->listing_delay,
                .times = args->lock_times,
                .cancel = args->cancel,
        };
        int k = 0;

        if (!args->dry_run)
                k = repo_lock_watch_new(args->repository, &lock, &r->lock, f);
        if (k >= 0)
                k = repo_index_new(&r->index);
        if (k >= 0)
                k = repo_index_new(&r->fresh);
        if (k < 0)
                return k;
        enter_phase(r, PRUNE_MARK);
        k = prune_mark(r, f);
        if (k >= 0)
                k = prune_plan(r, f);
        return k < 0 || args->dry_run ? k : carry_out(r, f);
}

int repository_prune(const RepositoryPruneArgs *args, RepositoryPruneResult *ret, Failure *reterr_failure) {
        _cleanup_(run_done) PruneRun run = { .args = args, .result = ret };

        assert(args && args->repository);
        assert(args->unused_percent <= 100);
        assert(ret);

        *ret = REPOSITORY_PRUNE_RESULT_NULL;
        return prune(&run, reterr_failure);
}
