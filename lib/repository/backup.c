/* SPDX-License-Identifier: Apache-2.0 */

/* Two threads of control, as in the backup into an archive: the producer walks and commits; the caller's
 * thread watches: cancel, locks, progress, log. */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "archive/result.h"
#include "archive/sources.h"
#include "archive/streams.h"
#include "base/alloc.h"
#include "base/text.h"
#include "repository/backup-internal.h"
#include "wire/exclude.h"

/* Begins the version of the program in our snapshots. */
#define PROGRAM "backupx "

#define WATCH_INTERVAL (50 * USEC_PER_MSEC)
#define PROGRESS_INTERVAL (500 * USEC_PER_MSEC)

/* All of one run. */
typedef struct Run {
        const RepoBackupArgs *args;
        Sources sources;
        Report report;
        BackupSide *sides;
        size_t n_sides;
        PackPool *pool;
        Chunker *chunker;
        Feed *feed;
        Moment started;
        Id root;
        TreeCounts counts;

        pthread_t producer;
        bool has_report, has_producer;
        atomic_bool opened; /* sides and feed are there, for the watch too */
        atomic_bool committing;
        int error;
} Run;

void repo_backup_result_done(RepoBackupResult *r) {
        assert(r);

        backup_result_done(&r->base);
        free(r->snapshots);
        *r = REPO_BACKUP_RESULT_NULL;
}

static void run_done(Run *run) {
        assert(run);

        if (run->has_producer)
                (void) pthread_join(run->producer, NULL);
        for (size_t i = 0; i < run->n_sides; i++)
                if (run->sides[i].packer)
                        packer_stop(run->sides[i].packer, -ECANCELED);
        feed_free(run->feed);
        for (size_t i = 0; i < run->n_sides; i++)
                backup_side_done(&run->sides[i]);
        free(run->sides);
        pack_pool_free(run->pool);
        chunker_free(run->chunker);
        if (run->has_report)
                report_done(&run->report);
        sources_done(&run->sources);
}

static bool is_cancelled(const Run *run) {
        return run->args->args->cancel && atomic_load(run->args->args->cancel);
}

/* --- The producer ------------------------------------------------------------------------------------- */

/* Those that are left: their numbers. */
static size_t sides_left(const Run *run, BackupSide **ret) {
        size_t n = 0;

        for (size_t i = 0; i < run->n_sides; i++)
                if (run->sides[i].error == 0)
                        ret[n++] = &run->sides[i];
        return n;
}

static int feed_start(Run *run) {
        FeedTarget targets[FEED_TARGETS_MAX];
        BackupSide *sides[FEED_TARGETS_MAX];
        FeedArgs args = {
                .chunker = run->chunker,
                .targets = targets,
                .n_targets = sides_left(run, sides),
                .level = run->args->args->level,
                .verify = !run->args->skip_verify,
        };

        if (args.n_targets == 0)
                return -EPIPE;
        for (size_t i = 0; i < args.n_targets; i++)
                targets[i] = (FeedTarget){
                        .packer = sides[i]->packer,
                        .index = sides[i]->index,
                        .key = repository_key(sides[i]->repository),
                        .compress = repository_config(sides[i]->repository)->version > 1,
                };
        return feed_new(&args, &run->feed);
}

static int parent_load(void *userdata, const Id *tree, Buffer *ret, bool *ret_packed) {
        return blob_reader_get_packed(ASSERT_PTR(userdata), BLOB_TREE, tree, TREE_WHOLE_MAX, ret, ret_packed,
                                      /* reterr_failure= */ NULL);
}

/* The first target that has a parent is compared with; that every target has the blobs is looked at. */
static BackupSide *parent_side(Run *run) {
        for (size_t i = 0; i < run->n_sides; i++)
                if (run->sides[i].error == 0 && run->sides[i].has_parent)
                        return &run->sides[i];
        return NULL;
}

static int produce_files(Run *run) {
        _cleanup_(parent_freep) Parent *parent = NULL;
        _cleanup_(tree_sink_freep) TreeSink *sink = NULL;
        BackupSide *side = parent_side(run), *sides[FEED_TARGETS_MAX];
        const RepoIndex *indexes[FEED_TARGETS_MAX];
        ParentFrom ahead = { parent_load, side ? side->ahead : NULL, indexes, sides_left(run, sides) };
        ParentFrom here = ahead;
        TreeSinkParent with = {};
        int r = 0;

        for (size_t i = 0; i < ahead.n_indexes; i++)
                indexes[i] = sides[i]->index;
        here.userdata = side ? side->reader : NULL;
        if (side)
                r = parent_new(&side->parent_snapshot.tree, &ahead, &here, &parent);
        if (side && r >= 0)
                with = (TreeSinkParent){
                        .parent = parent,
                        .tree = side->parent_snapshot.tree,
                        .started = side->parent_snapshot.time.sec,
                        .ours = startswith(strempty(side->parent_snapshot.program_version), PROGRAM),
                };
        if (r >= 0)
                r = tree_sink_new(run->feed, &run->report, side ? &with : NULL, &sink);
        if (r >= 0)
                r = (run->args->args->streams ? streams_run : walk_run)(run->args->args, &run->sources,
                                                                        &tree_sink, sink, &run->report);
        if (r < 0)
                return r;
        if (parent && parent_unreadable(parent) > 0)
                report_log(&run->report, ARCHIVE_LOG_WARNING,
                           "%" PRIu64 " directories of the last snapshot could not be read; their files "
                           "were read again. Check the repository.",
                           parent_unreadable(parent));
        tree_sink_result(sink, &run->root, &run->counts);
        return 0;
}

/* The root with the one file of a stream. */
static int stream_tree(Run *run, IdList *content) {
        _cleanup_(tree_writer_done) TreeWriter w = TREE_WRITER_NULL;
        _cleanup_buffer_ Buffer text = BUFFER_NULL;
        TreeNode n = {
                .name = (char *) run->args->stream->name,
                .type = TREE_NODE_FILE,
                .mode = 0600,
                .mtime = run->started,
                .atime = run->started,
                .ctime = run->started,
                .size = run->counts.bytes,
                .links = 1,
                .content = content->ids,
                .n_content = content->n,
        };
        int r;

        r = tree_writer_begin(&w, &text);
        if (r >= 0)
                r = tree_writer_add(&w, &n);
        if (r >= 0)
                r = tree_writer_end(&w);
        return r < 0 ? r : feed_blob(run->feed, BLOB_TREE, &text, &run->root);
}

static int produce_stream(Run *run) {
        _cleanup_(id_list_done) IdList content = ID_LIST_NULL;
        const RepoStream *stream = run->args->stream;
        uint8_t *room;
        size_t space;
        ssize_t n;
        int r;

        do {
                if (is_cancelled(run))
                        return -ECANCELED;
                r = feed_space(run->feed, &room, &space);
                if (r < 0)
                        return r;
                n = stream->read(stream->userdata, room, space);
                if (n < 0)
                        return (int) n;
                report_first_read(&run->report);
                r = feed_advance(run->feed, (size_t) n);
                if (r < 0)
                        return r;
                run->counts.bytes += (uint64_t) n;
                run->report.bytes_read += (uint64_t) n;
        } while (n > 0);
        r = feed_end(run->feed, &content);
        if (r < 0)
                return r;
        run->counts.files_new = 1;
        run->report.files++;
        return stream_tree(run, &content);
}

static void snapshot_summary(const Run *run, SnapshotSummary *s) {
        const TreeCounts *c = &run->counts;

        *s = (SnapshotSummary){
                .backup_start = run->started,
                .backup_end = moment_now(),
                .files_new = c->files_new,
                .files_changed = c->files_changed,
                .files_unmodified = c->files_unchanged,
                .dirs_new = c->dirs_new,
                .dirs_changed = c->dirs_changed,
                .dirs_unmodified = c->dirs_unchanged,
                .data_blobs = feed_new_blobs(run->feed),
                .data_added = feed_new_bytes(run->feed),
                .total_files_processed = c->files_new + c->files_changed + c->files_unchanged,
                .total_bytes_processed = c->bytes,
        };
}

/* To every target that is left; one that fails is left out. */
static int produce_commit(Run *run) {
        const RepoBackupArgs *args = run->args;
        Snapshot s = {
                .time = run->started,
                .tree = run->root,
                .paths = run->sources.paths,
                .hostname = (char *) args->hostname,
                .username = (char *) args->username,
                .excludes = (char **) args->args->excludes,
                .tags = (char **) args->tags,
                .has_summary = true,
                .program_version = (char *) PROGRAM BACKUPX_VERSION,
        };
        size_t committed = 0;

        snapshot_summary(run, &s.summary);
        atomic_store(&run->committing, true);
        for (size_t i = 0; i < run->n_sides; i++) {
                BackupSide *side = &run->sides[i];

                if (side->error < 0)
                        continue;
                s.has_parent = side->has_parent;
                s.parent = side->parent;
                if (backup_side_commit(side, &s) >= 0)
                        committed++;
                if (is_cancelled(run))
                        break;
        }
        return committed > 0 ? 0 : is_cancelled(run) ? -ECANCELED :
                                                       -EPIPE;
}

static int produce(Run *run) {
        size_t left = 0;
        int r;

        for (size_t i = 0; i < run->n_sides; i++)
                left += backup_side_open(&run->sides[i]) >= 0;
        if (left == 0)
                return is_cancelled(run) ? -ECANCELED : -EPIPE;
        r = feed_start(run);
        if (r < 0)
                return r;
        atomic_store(&run->opened, true);
        r = run->args->stream ? produce_stream(run) : produce_files(run);
        if (r >= 0)
                r = feed_finish(run->feed);
        for (size_t i = 0; r < 0 && i < run->n_sides; i++)
                backup_side_settle(&run->sides[i]);
        return r < 0 ? r : produce_commit(run);
}

static void *produce_main(void *userdata) {
        Run *run = ASSERT_PTR(userdata);

        run->error = produce(run);
        return NULL;
}

/* --- The watch ---------------------------------------------------------------------------------------- */

static void stop_all(Run *run) {
        feed_stop(run->feed, -ECANCELED);
        for (size_t i = 0; i < run->n_sides; i++)
                if (run->sides[i].packer)
                        packer_stop(run->sides[i].packer, -ECANCELED);
}

static uint64_t written(const Run *run) {
        uint64_t most = 0;

        for (size_t i = 0; atomic_load(&run->opened) && i < run->n_sides; i++)
                if (run->sides[i].packer)
                        most = MAX(most, packer_stored(run->sides[i].packer));
        return most;
}

/* Waits for it until then. */
static bool producer_ended(Run *run, usec_t until) {
        const struct timespec time = {
                .tv_sec = (time_t) (until / USEC_PER_SEC),
                .tv_nsec = (long) (until % USEC_PER_SEC * 1000),
        };

        return pthread_clockjoin_np(run->producer, /* retval= */ NULL, CLOCK_MONOTONIC, &time) == 0;
}

static void watch(Run *run) {
        BackupProgress p = {};
        usec_t told = 0;

        while (run->has_producer) {
                usec_t now = now_usec(CLOCK_MONOTONIC);
                BackupPhase phase = atomic_load(&run->committing) ? BACKUP_COMMITTING : BACKUP_READING;
                bool due = now >= usec_add(told, PROGRESS_INTERVAL) || phase != p.phase;

                if (atomic_load(&run->opened)) {
                        if (is_cancelled(run))
                                stop_all(run);
                        for (size_t i = 0; i < run->n_sides; i++)
                                backup_side_look(&run->sides[i]);
                }
                p.phase = phase;
                p.bytes_written = written(run);
                report_flush(&run->report, run->args->args, due ? &p : NULL);
                if (due)
                        told = now;
                run->has_producer = !producer_ended(run, now + WATCH_INTERVAL);
        }
        p.phase = BACKUP_COMMITTING;
        p.bytes_written = written(run);
        report_flush(&run->report, run->args->args, &p);
}

/* --- The face ----------------------------------------------------------------------------------------- */

static void result_fill(Run *run, RepoBackupResult *r) {
        BackupResult *base = &r->base;

        assert(r);

        base->n_targets = run->n_sides;
        for (size_t i = 0; i < run->n_sides; i++) {
                BackupSide *s = &run->sides[i];
                BackupTargetResult *t = &base->targets[i];

                t->id = storage_id(repository_storage(s->repository));
                t->succeeded = s->committed;
                t->size = s->committed && s->packer ? packer_stored(s->packer) : 0;
                t->failure = s->failure;
                s->failure = FAILURE_NULL;
                if (s->committed)
                        r->snapshots[i] = s->snapshot;
        }
        base->bytes_written = written(run);
        r->counts = run->counts;
        if (run->feed) {
                r->new_blobs = feed_new_blobs(run->feed);
                r->new_bytes = feed_new_bytes(run->feed);
        }
        backup_result_settle(base, &run->report, run->error, is_cancelled(run));
}

/* One chunking serves all: they have to agree on it. */
static int chunker_make(Run *run, Failure *reterr_failure) {
        const RepoConfig *c = repository_config(run->args->repositories[0]);

        for (size_t i = 1; i < run->n_sides; i++) {
                const RepoConfig *other = repository_config(run->args->repositories[i]);

                if (other->chunker_polynomial != c->chunker_polynomial || other->chunker != c->chunker)
                        return failure_set(reterr_failure, -EINVAL, "REPOSITORIES_DIFFER",
                                           "The repositories of this backup were not made for each other: "
                                           "they cut files in different places, so one pass over the files "
                                           "cannot serve both. Back up to each in a task of its own.");
        }
        return chunker_new(c->chunker, c->chunker_polynomial, &run->chunker);
}

static int args_check(const RepoBackupArgs *args, Failure *reterr_failure) {
        const BackupArgs *a = args->args;

        if (a->n_targets == 0 || a->n_targets > BACKUP_TARGETS_MAX)
                return failure_set(reterr_failure, -EINVAL, "TARGETS_INVALID",
                                   "A backup has 1 to %d targets.", BACKUP_TARGETS_MAX);
        if (a->level < BACKUP_LEVEL_MIN || a->level > BACKUP_LEVEL_MAX)
                return failure_set(reterr_failure, -EINVAL, "LEVEL_INVALID",
                                   "The compression level is %d to %d.", BACKUP_LEVEL_MIN, BACKUP_LEVEL_MAX);
        if (args->stream && !tree_name_is_valid(args->stream->name))
                return failure_set(reterr_failure, -EINVAL, "NAME_INVALID",
                                   "'%s' cannot be the name of a file.", strempty(args->stream->name));
        return 0;
}

static int run_start(Run *run, RepoBackupResult *result, Failure *reterr_failure) {
        const RepoBackupArgs *args = run->args;
        _cleanup_(excludes_freep) Excludes *excludes = NULL;
        int r;

        r = args_check(args, reterr_failure);
        if (r >= 0)
                r = sources_init(&run->sources, args->args->paths, reterr_failure);
        if (r >= 0)
                r = excludes_new(args->args->excludes, run->sources.paths, &excludes, reterr_failure);
        if (r >= 0)
                r = report_init(&run->report);
        if (r < 0)
                return r;
        run->has_report = true;
        run->sides = new0(BackupSide, args->args->n_targets);
        result->base.targets = new0(BackupTargetResult, args->args->n_targets);
        result->snapshots = new0(Id, args->args->n_targets);
        if (!run->sides || !result->base.targets || !result->snapshots)
                return -ENOMEM;
        r = pack_pool_new(PACK_POOL_LIMIT, &run->pool);
        if (r < 0)
                return r;
        for (; run->n_sides < args->args->n_targets; run->n_sides++)
                backup_side_init(&run->sides[run->n_sides], args->repositories[run->n_sides], args,
                                 &run->report, run->pool);
        r = chunker_make(run, reterr_failure);
        if (r < 0)
                return r;
        r = pthread_create(&run->producer, NULL, produce_main, run);
        if (r != 0)
                return -r;
        run->has_producer = true;
        return 0;
}

int repository_backup(const RepoBackupArgs *args, RepoBackupResult *ret, Failure *reterr_failure) {
        _cleanup_(repo_backup_result_done) RepoBackupResult result = REPO_BACKUP_RESULT_NULL;
        _cleanup_(run_done) Run run = { .args = args, .started = args->started };
        int r;

        assert(args);
        assert(args->args);
        assert(args->repositories || args->args->n_targets == 0);
        assert(ret);

        if (run.started.sec == 0)
                run.started = moment_now();
        r = run_start(&run, &result, reterr_failure);
        if (r < 0)
                return failure_set(reterr_failure, r, "BACKUP_FAILED", "The backup could not begin: %m.");
        watch(&run);
        result_fill(&run, &result);
        *ret = result;
        result = REPO_BACKUP_RESULT_NULL;
        return 0;
}
