/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "archive/sources.h"
#include "base/alloc.h"
#include "base/text.h"
#include "repository/backup-internal.h"

/* While one waits for the disk or for the other end's answer, the next is on its way. */
#define UPLOADS_DEFAULT 2

void backup_side_done(BackupSide *s) {
        assert(s);

        packer_free(s->packer);
        blob_reader_free(s->reader);
        blob_reader_free(s->ahead);
        repo_index_free(s->index);
        snapshot_done(&s->parent_snapshot);
        repo_lock_watch_free(s->lock);
        failure_done(&s->failure);
}

void backup_side_init(BackupSide *s, Repository *r, const RepoBackupArgs *args, Report *report,
                      PackPool *pool) {
        assert(s);
        assert(pool);

        *s = (BackupSide){ .repository = r, .args = args, .report = report, .pool = pool };
}

/* Leaves this repository out, and says so once. */
static int side_lose(BackupSide *s, int error) {
        s->error = error;
        if (error != -ECANCELED)
                report_log(s->report, ARCHIVE_LOG_ERROR, "%s: %s",
                           storage_name(repository_storage(s->repository)),
                           failure_message(&s->failure, error));
        return error;
}

/* --- Opening ------------------------------------------------------------------------------------------ */

static bool same_paths(char *const *a, char *const *b) {
        if (strv_length(a) != strv_length(b))
                return false;
        STRV_FOREACH(path, a)
                if (!strv_contains(b, *path))
                        return false;
        return true;
}

static bool is_later(const Moment *a, const Moment *b) {
        return a->sec > b->sec || (a->sec == b->sec && a->nsec > b->nsec);
}

/* The newest snapshot of the same paths of the same host. Takes what it keeps. */
static int consider(void *userdata, const Id *id, Snapshot *snapshot) {
        BackupSide *s = ASSERT_PTR(userdata);
        const Moment *newest = &s->parent_snapshot.time, *time = &snapshot->time;

        if (!streq(strempty(snapshot->hostname), strempty(s->args->hostname)) ||
            !same_paths(snapshot->paths, s->args->args->paths) ||
            (s->has_parent && !is_later(time, newest)))
                return 0;
        snapshot_done(&s->parent_snapshot);
        s->parent_snapshot = *snapshot;
        *snapshot = SNAPSHOT_NULL;
        s->parent = *id;
        s->has_parent = true;
        return 0;
}

static int put_index(void *userdata, const void *json, size_t n, Failure *reterr_failure) {
        BackupSide *s = ASSERT_PTR(userdata);
        Id id;

        return repository_put(s->repository, REPO_FILE_INDEX, json, n, &id, reterr_failure);
}

static int packer_make(BackupSide *s) {
        PackerArgs args = {
                .storage = repository_storage(s->repository),
                .prefix = repository_prefix(s->repository),
                .key = repository_key(s->repository),
                .pool = s->pool,
                .uploads = s->args->uploads ?: UPLOADS_DEFAULT,
                .index_interval = s->args->index_interval ?: PACKER_INDEX_INTERVAL,
                .put_index = put_index,
                .userdata = s,
        };

        return packer_new(&args, &s->packer);
}

int backup_side_open(BackupSide *s) {
        const RepoLockArgs lock = {
                .owner = s->args->lock_owner,
                .username = s->args->username,
                .delay = s->args->listing_delay,
                .times = s->args->lock_times,
                .cancel = s->args->args->cancel,
        };
        int r;

        assert(s);

        r = repo_lock_watch_new(s->repository, &lock, &s->lock, &s->failure);
        if (r >= 0)
                r = repo_index_new(&s->index);
        if (r >= 0)
                r = repository_load_index(s->repository, s->index, &s->failure);
        if (r >= 0 && !s->args->stream)
                r = repository_list_snapshots(s->repository, consider, s, &s->failure);
        if (r >= 0)
                r = blob_reader_new(s->repository, s->index, &s->reader);
        if (r >= 0)
                r = blob_reader_new(s->repository, s->index, &s->ahead);
        if (r >= 0)
                r = packer_make(s);
        return r < 0 ? side_lose(s, r) : 0;
}

/* --- The lock ----------------------------------------------------------------------------------------- */

void backup_side_look(BackupSide *s) {
        assert(s);

        if (s->lock && s->packer && repo_lock_watch_alive(s->lock, /* reterr_failure= */ NULL) < 0)
                packer_stop(s->packer, -ESTALE);
}

/* What stopped the packer, or 0. */
static int why_stopped(BackupSide *s) {
        int r;

        r = packer_error(s->packer, &s->failure);
        if (r == -ESTALE && !failure_is_set(&s->failure)) /* by backup_side_look() */
                (void) !repo_lock_watch_alive(s->lock, &s->failure);
        return r;
}

void backup_side_settle(BackupSide *s) {
        int r;

        assert(s);

        if (s->error < 0 || !s->packer)
                return;
        r = why_stopped(s);
        if (r < 0)
                (void) side_lose(s, r);
}

/* --- The commit --------------------------------------------------------------------------------------- */

static int snapshot_put(BackupSide *s, const Snapshot *snapshot) {
        _cleanup_(freep) char *json = NULL;
        size_t n;
        int r;

        r = snapshot_format(snapshot, &json, &n);
        return r < 0 ? r :
                       repository_put(s->repository, REPO_FILE_SNAPSHOT, json, n, &s->snapshot, &s->failure);
}

int backup_side_commit(BackupSide *s, const Snapshot *snapshot) {
        int r;

        assert(s);
        assert(snapshot);

        r = packer_finish(s->packer);
        if (r < 0)
                r = why_stopped(s);
        else
                r = repo_lock_watch_check(s->lock, &s->failure);
        if (r >= 0)
                r = snapshot_put(s, snapshot);
        if (r < 0)
                return side_lose(s, r);
        s->committed = true;
        return 0;
}
