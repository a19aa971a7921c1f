/* SPDX-License-Identifier: Apache-2.0 */

/* Two threads of control: the producer walks, finishes the objects and orders the commit; the caller's
 * thread watches: cancel, stalled targets, progress, log. Everything between them has its own lock. */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "archive/backup.h"
#include "archive/entries.h"
#include "archive/fanout.h"
#include "archive/object.h"
#include "archive/pipeline.h"
#include "archive/report.h"
#include "archive/sources.h"
#include "archive/pax.h"
#include "archive/result.h"
#include "archive/streams.h"
#include "archive/tar-sink.h"
#include "base/alloc.h"
#include "base/text.h"
#include "wire/exclude.h"

#define WATCH_INTERVAL (50 * USEC_PER_MSEC)
#define PROGRESS_INTERVAL (500 * USEC_PER_MSEC)
/* The manifest and the listing compress well at any level. */
#define MANIFEST_LEVEL 3

static const char *const backup_phase_table[_BACKUP_PHASE_MAX] = {
        [BACKUP_READING] = "reading",
        [BACKUP_COMMITTING] = "committing",
};

DEFINE_STRING_TABLE(backup_phase, BackupPhase);

static const char *const plain_names[_BACKUP_OBJECTS] = {
        [BACKUP_DATA] = ARCHIVE_DATA,
        [BACKUP_ENTRIES] = ARCHIVE_ENTRIES,
        [BACKUP_MANIFEST] = ARCHIVE_MANIFEST,
};

static const char *const sealed_names[_BACKUP_OBJECTS] = {
        [BACKUP_DATA] = ARCHIVE_DATA ARCHIVE_AGE_SUFFIX,
        [BACKUP_ENTRIES] = ARCHIVE_ENTRIES ARCHIVE_AGE_SUFFIX,
        [BACKUP_MANIFEST] = ARCHIVE_MANIFEST ARCHIVE_AGE_SUFFIX,
};

/* All of one run. */
typedef struct Backup {
        const BackupArgs *args;
        const char *const *names;
        Sources sources;
        Report report;
        Fanout *fanout;
        ObjectWriter *writers[_BACKUP_OBJECTS];
        EntriesWriter *entries;
        Pipeline *pipeline;
        BackupObject objects[_BACKUP_OBJECTS];
        uint64_t volume_max;
        usec_t started;

        pthread_t producer;
        bool has_report, has_producer;
        atomic_bool produced;   /* the producer has ended */
        atomic_bool committing; /* it is at the last step */
        int error;              /* its result */
} Backup;

static void backup_done(Backup *b) {
        assert(b);

        if (b->pipeline)
                pipeline_stop(b->pipeline, -ECANCELED);
        if (b->fanout)
                fanout_stop(b->fanout);
        if (b->has_producer)
                (void) pthread_join(b->producer, NULL);
        pipeline_free(b->pipeline);
        entries_writer_free(b->entries);
        for (size_t i = 0; i < _BACKUP_OBJECTS; i++) {
                object_writer_free(b->writers[i]);
                free(b->objects[i].name);
                free(b->objects[i].age_header);
                free(b->objects[i].volumes);
        }
        fanout_free(b->fanout);
        if (b->has_report)
                report_done(&b->report);
        sources_done(&b->sources);
}

/* --- The producer ------------------------------------------------------------------------------------- */

static int entries_sink(void *userdata, const void *p, size_t n) {
        return object_writer_write(ASSERT_PTR(userdata), p, n);
}

static int manifest_object(ManifestObject *ret, const BackupObject *object, const char *name) {
        ret->size = object->size;
        memcpy(ret->sha256, object->sha256, SHA256_SIZE);
        if (object->n_volumes > 1) {
                ret->volumes = memdup0(object->volumes, object->n_volumes * sizeof *object->volumes);
                if (!ret->volumes)
                        return -ENOMEM;
                ret->n_volumes = object->n_volumes;
        }
        return free_and_strdup(&ret->name, name);
}

static int manifest_fill(Backup *b, const PipelineResult *stream, Manifest *m) {
        const BackupArgs *args = b->args;
        int r;

        assert(stream);
        assert(m);

        m->encrypted = args->n_recipients > 0;
        m->run = args->run;
        m->attempt = args->attempt;
        m->node_id = args->node_id;
        m->task_id = args->task_id;
        m->started = b->started;
        m->finished = now_usec(CLOCK_REALTIME);
        m->files = b->report.files;
        m->directories = b->report.directories;
        m->others = b->report.others;
        m->skipped = b->report.skipped;
        m->errors = b->report.errors_total;
        m->bytes = b->report.bytes_read;
        m->plain_size = stream->plain_size;
        memcpy(m->plain_sha256, stream->plain_sha256, SHA256_SIZE);
        m->n_data_frames = stream->n_frames;
        m->data_size = stream->stream_size;
        r = free_and_strdup(&m->created_by, "backupx " BACKUPX_VERSION);
        if (r >= 0)
                r = free_and_strdup(&m->node, strempty(args->node));
        if (r >= 0)
                r = free_and_strdup(&m->task, strempty(args->task));
        STRV_FOREACH(path, b->sources.paths)
                if (r >= 0)
                        r = strv_extend(&m->sources, *path);
        if (r >= 0)
                r = manifest_object(&m->data, &b->objects[BACKUP_DATA], b->names[BACKUP_DATA]);
        if (r >= 0)
                r = manifest_object(&m->entries, &b->objects[BACKUP_ENTRIES], b->names[BACKUP_ENTRIES]);
        return r;
}

static int manifest_write(Backup *b, const Manifest *m) {
        _cleanup_(frame_compressor_freep) FrameCompressor *c = NULL;
        _cleanup_buffer_ Buffer text = BUFFER_NULL;
        _cleanup_(freep) void *packed = NULL;
        Frame frame;
        int r;

        assert(b);

        r = manifest_format(m, &text);
        if (r < 0)
                return r;
        if (text.size > MANIFEST_PLAIN_MAX)
                return -EFBIG;
        packed = malloc(frame_bound(text.size));
        if (!packed)
                return -ENOMEM;
        r = frame_compressor_new(MANIFEST_LEVEL, &c);
        if (r >= 0)
                r = frame_compress(c, text.data, text.size, packed, frame_bound(text.size), &frame);
        if (r >= 0)
                r = object_writer_write(b->writers[BACKUP_MANIFEST], packed, frame.size);
        if (r >= 0)
                r = object_writer_finish(b->writers[BACKUP_MANIFEST], &b->objects[BACKUP_MANIFEST]);
        return r;
}

/* The end of the stream, the listing, the manifest, and the order to commit. */
static int produce_end(Backup *b) {
        _cleanup_(manifest_done) Manifest m = MANIFEST_NULL;
        PipelineResult stream;
        int r;

        assert(b);

        r = pipeline_zeros(b->pipeline, PAX_TRAILER);
        if (r >= 0)
                r = pipeline_finish(b->pipeline, &stream);
        if (r >= 0)
                r = object_writer_finish(b->writers[BACKUP_DATA], &b->objects[BACKUP_DATA]);
        if (r >= 0)
                r = entries_writer_finish(b->entries, &m.frames, &m.n_frames);
        if (r >= 0)
                r = object_writer_finish(b->writers[BACKUP_ENTRIES], &b->objects[BACKUP_ENTRIES]);
        if (r >= 0)
                r = manifest_fill(b, &stream, &m);
        if (r >= 0)
                r = manifest_write(b, &m);
        if (r < 0)
                return r;
        atomic_store(&b->committing, true);
        return fanout_commit(b->fanout, b->objects);
}

/* Where an object has more volumes than there may be: what to do. */
static void explain_full(Backup *b) {
        for (size_t i = 0; i < _BACKUP_OBJECTS; i++) {
                if (!object_writer_is_full(b->writers[i]))
                        continue;
                (void) failure_set(&b->report.failure, -EFBIG, "STORAGE_TOO_LARGE",
                                   "%s has more than %d volumes of %" PRIu64 " MiB, which is as much as one "
                                   "of the targets takes as an object: raise its part_size, block_size or "
                                   "volume_size.",
                                   b->names[i], VOLUMES_MAX, b->volume_max / VOLUME_UNIT);
        }
}

static void *produce_main(void *userdata) {
        Backup *b = ASSERT_PTR(userdata);
        _cleanup_(tar_sink_done) TarSink sink = TAR_SINK(b->pipeline, b->entries);
        int r;

        r = (b->args->streams ? streams_run : walk_run)(b->args, &b->sources, &tar_sink, &sink, &b->report);
        if (r >= 0)
                r = produce_end(b);
        b->error = r;
        if (r < 0) {
                explain_full(b);
                pipeline_stop(b->pipeline, r);
                fanout_stop(b->fanout);
        }
        atomic_store(&b->produced, true);
        return NULL;
}

/* --- The watch ---------------------------------------------------------------------------------------- */

static bool is_cancelled(const Backup *b) {
        return b->args->cancel && atomic_load(b->args->cancel);
}

/* Until the producer and all targets have ended. */
static void watch(Backup *b) {
        usec_t stall = b->args->target_stall > 0 ? b->args->target_stall : BACKUP_TARGET_STALL, told = 0;
        BackupProgress p = {};
        bool stopped = false;

        while (!atomic_load(&b->produced) || !fanout_is_done(b->fanout)) {
                struct timespec interval = { .tv_nsec = WATCH_INTERVAL * 1000 };
                usec_t now = now_usec(CLOCK_MONOTONIC);
                BackupPhase phase = atomic_load(&b->committing) ? BACKUP_COMMITTING : BACKUP_READING;
                bool due = now >= usec_add(told, PROGRESS_INTERVAL) || phase != p.phase;

                if (is_cancelled(b) && !stopped) {
                        pipeline_stop(b->pipeline, -ECANCELED);
                        fanout_stop(b->fanout);
                        stopped = true;
                }
                fanout_watch(b->fanout, stall, &b->report);
                p.phase = phase;
                p.bytes_written = fanout_written(b->fanout);
                report_flush(&b->report, b->args, due ? &p : NULL);
                if (due)
                        told = now;
                (void) nanosleep(&interval, NULL);
        }
        p.phase = BACKUP_COMMITTING;
        p.bytes_written = fanout_written(b->fanout);
        report_flush(&b->report, b->args, &p);
}

/* --- The result --------------------------------------------------------------------------------------- */

static int result_fill(Backup *b, BackupResult *r) {
        int k;

        assert(r);

        r->n_targets = b->args->n_targets;
        fanout_results(b->fanout, r->targets);
        r->bytes_written = fanout_written(b->fanout);
        backup_result_settle(r, &b->report, b->error, is_cancelled(b));
        if (r->state != ARCHIVE_SUCCEEDED && r->state != ARCHIVE_PARTIAL)
                return 0;
        for (size_t i = 0; i < _BACKUP_OBJECTS; i++) {
                k = free_and_strdup(&b->objects[i].name, b->names[i]);
                if (k < 0)
                        return k;
                r->objects[i] = b->objects[i];
                b->objects[i] = (BackupObject){};
        }
        return 0;
}

/* --- The face ----------------------------------------------------------------------------------------- */

static int args_check(const BackupArgs *args, const Sources *sources, Failure *reterr_failure) {
        _cleanup_(excludes_freep) Excludes *excludes = NULL;

        assert(args);
        assert(sources);

        if (args->n_targets == 0 || args->n_targets > BACKUP_TARGETS_MAX)
                return failure_set(reterr_failure, -EINVAL, "TARGETS_INVALID",
                                   "A backup has 1 to %d targets.", BACKUP_TARGETS_MAX);
        if (args->level < BACKUP_LEVEL_MIN || args->level > BACKUP_LEVEL_MAX)
                return failure_set(reterr_failure, -EINVAL, "LEVEL_INVALID",
                                   "The compression level is %d to %d.", BACKUP_LEVEL_MIN, BACKUP_LEVEL_MAX);
        return excludes_new(args->excludes, sources->paths, &excludes, reterr_failure);
}

/* All targets get the same objects: one manifest describes them. */
static uint64_t volume_max(const BackupArgs *args) {
        uint64_t least = args->volume_max > 0 ? args->volume_max : UINT64_MAX;

        for (size_t i = 0; i < args->n_targets; i++)
                least = MIN(least, storage_object_max(args->targets[i].storage));
        return least;
}

static int writers_new(Backup *b) {
        const BackupArgs *args = b->args;
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < _BACKUP_OBJECTS; i++)
                r = object_writer_new(b->fanout, i, args->recipients, args->n_recipients, b->volume_max,
                                      &b->writers[i]);
        if (r >= 0)
                r = entries_writer_new(entries_sink, b->writers[BACKUP_ENTRIES], &b->entries);
        if (r >= 0)
                r = pipeline_new(args->level, b->writers[BACKUP_DATA], b->entries, &b->pipeline);
        return r;
}

static int backup_start(Backup *b, BackupResult *result, Failure *reterr_failure) {
        const BackupArgs *args = b->args;
        int r;

        assert(result);

        b->names = args->n_recipients > 0 ? sealed_names : plain_names;
        b->volume_max = volume_max(args);
        b->started = now_usec(CLOCK_REALTIME);
        r = sources_init(&b->sources, args->paths, reterr_failure);
        if (r < 0)
                return r;
        r = args_check(args, &b->sources, reterr_failure);
        if (r < 0)
                return r;
        r = report_init(&b->report);
        if (r < 0)
                return r;
        b->has_report = true;
        result->targets = new0(BackupTargetResult, args->n_targets);
        if (!result->targets)
                return -ENOMEM;
        r = fanout_new(args->targets, args->n_targets, b->names, &b->fanout);
        if (r >= 0)
                r = writers_new(b);
        if (r < 0)
                return r;
        r = pthread_create(&b->producer, NULL, produce_main, b);
        if (r != 0)
                return -r;
        b->has_producer = true;
        return 0;
}

int archive_backup(const BackupArgs *args, BackupResult *ret, Failure *reterr_failure) {
        _cleanup_(backup_result_done) BackupResult result = BACKUP_RESULT_NULL;
        _cleanup_(backup_done) Backup b = { .args = args };
        int r;

        assert(args);
        assert(args->targets || args->n_targets == 0);
        assert(ret);

        r = backup_start(&b, &result, reterr_failure);
        if (r < 0)
                return failure_set(reterr_failure, r, "ARCHIVE_FAILED", "The backup could not begin: %m.");
        watch(&b);
        (void) pthread_join(b.producer, NULL);
        b.has_producer = false;
        r = result_fill(&b, &result);
        if (r < 0)
                return r;
        *ret = result;
        result = BACKUP_RESULT_NULL;
        return 0;
}
