/* SPDX-License-Identifier: Apache-2.0 */

/* backup: sources of this host into an archive or into repositories, to all targets of the task at once. A
 * target that cannot be opened does not stop the others; the run is partial then. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "agent/job/databases.h"
#include "agent/job/hooks.h"
#include "agent/job/kinds.h"
#include "agent/job/repositories.h"
#include "agent/job/repository-keys.h"
#include "agent/job/targets.h"
#include "agent/job/verdict.h"
#include "archive/backup.h"
#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "repository/backup.h"
#include "sys/log.h"
#include "wire/path.h"
#include "wire/prune.h"

typedef struct Backup {
        const JobRun *run;
        BackupSpec spec;
        JobDatabases databases; /* where it is no backup of files */
        JobHooks hooks;
        /* By the number of the target in the spec. */
        Storage *storages[SPEC_TARGETS_MAX];
        char *keys[SPEC_TARGETS_MAX];
        char *errors[SPEC_TARGETS_MAX];
        bool to_repositories;
        JobLockOwner owner; /* of locks */
        char *tags[2];      /* of snapshots */
        /* Those that could be opened, as archive_backup() gets them, and their places in the spec. */
        BackupTarget targets[SPEC_TARGETS_MAX];
        Repository *repositories[SPEC_TARGETS_MAX];
        size_t places[SPEC_TARGETS_MAX];
        size_t n_targets;
        AgeRecipient recipients[SPEC_RECIPIENTS_MAX];
        size_t n_recipients;
        BackupResult result;
        Id snapshots[SPEC_TARGETS_MAX]; /* as targets */
        BackupOutcome outcome;
} Backup;

static void backup_done(Backup *b) {
        for (size_t i = 0; i < SPEC_TARGETS_MAX; i++) {
                repository_free(b->repositories[i]);
                storage_free(b->storages[i]);
                free(b->keys[i]);
                free(b->errors[i]);
        }
        job_lock_owner_done(&b->owner);
        job_databases_done(&b->databases);
        job_hooks_done(&b->hooks);
        free(b->tags[0]);
        backup_spec_done(&b->spec);
        backup_result_done(&b->result);
        backup_outcome_done(&b->outcome);
}

/* --- Callbacks of the pipeline ------------------------------------------------------------------------ */

static void on_progress(void *userdata, const BackupProgress *p) {
        const Backup *b = ASSERT_PTR(userdata);
        JobProgress progress = {
                .phase = (char *) backup_phase_to_string(p->phase),
                .bytes_read = p->bytes_read,
                .bytes_written = p->bytes_written,
                .files_done = p->files_done,
                .current = p->current,
        };

        job_link_progress(b->run->link, &progress);
}

static void on_log(void *userdata, ArchiveLogLevel level, const char *text) {
        const Backup *b = ASSERT_PTR(userdata);

        job_link_log(b->run->link, job_log_level(level), "%s", text);
}

/* Where links are followed a path says little about the file that it leads to. */
static int check_resolved(const JobRun *run, const char *path, Failure *reterr_failure) {
        _cleanup_(freep) char *resolved = NULL;

        assert(run);

        /* Resolving touches the file system, which may be one that does not answer: only where it matters.
         */
        if (!run->policy->backup_allow && !run->policy->backup_deny)
                return 0;
        resolved = realpath(path, NULL);
        if (!resolved)
                return 0; /* reading it tells why */
        return policy_check_backup(run->policy, resolved, reterr_failure);
}

static int allowed(void *userdata, const char *path) {
        const Backup *b = ASSERT_PTR(userdata);
        const Policy *p = b->run->policy;
        int r;

        if (!p->backup_allow && !p->backup_deny)
                return 0;
        r = policy_check_backup(p, path, /* reterr_failure= */ NULL);
        if (r < 0 || !b->spec.follow_symlinks)
                return r;
        return check_resolved(b->run, path, /* reterr_failure= */ NULL);
}

/* --- Preparing ---------------------------------------------------------------------------------------- */

static int read_spec(Backup *b, Failure *reterr_failure) {
        int r;

        assert(b);

        r = backup_spec_parse(b->run->start->spec, &b->spec, reterr_failure);
        if (r < 0)
                return r;
        b->to_repositories = streq(b->spec.format, FORMAT_REPOSITORY);
        if (b->to_repositories || streq(b->spec.format, FORMAT_ARCHIVE))
                return 0;
        return failure_set(reterr_failure, -EOPNOTSUPP, "FORMAT_UNKNOWN",
                           "This agent cannot back up in the format '%s': is it older than the master?",
                           b->spec.format);
}

static int check_sources(Backup *b, Failure *reterr_failure) {
        int r;

        assert(b);

        STRV_FOREACH(path, b->spec.paths) {
                r = policy_check_backup(b->run->policy, *path, reterr_failure);
                if (r >= 0)
                        r = check_resolved(b->run, *path, reterr_failure);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int parse_recipients(Backup *b, Failure *reterr_failure) {
        assert(b);

        STRV_FOREACH(text, b->spec.recipients) {
                int r;

                if (b->n_recipients >= ELEMENTSOF(b->recipients))
                        return failure_set(reterr_failure, -E2BIG, "FIELD_INVALID",
                                           "There are too many recipients");
                r = age_recipient_parse(*text, &b->recipients[b->n_recipients]);
                if (r < 0)
                        return failure_set(reterr_failure, r, "FIELD_INVALID", "This is not a recipient: %s",
                                           *text);
                b->n_recipients++;
        }
        return 0;
}

/* Where the spec says: of an archive, each attempt has a place of its own. */
static int name_place(const Backup *b, const SpecTarget *target, char **ret) {
        assert(b);

        if (b->to_repositories)
                return free_and_strdup(ret, strempty(target->prefix));
        return asprintf_safe(ret, "%s%" PRIu64 "/", strempty(target->prefix), b->run->start->name.attempt);
}

/* What is backed up is as good without it. */
static void keep_key(const Backup *b, size_t i) {
        const SpecTarget *target = b->spec.targets + i;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        r = job_repository_keep_key(b->run, target, b->storages[i], b->recipients, b->n_recipients,
                                    &failure);
        if (r < 0)
                job_link_log(b->run->link, LOG_WARNING,
                             "The password for the offline keys could not be put on target %s: %s",
                             target->name, failure_message(&failure, r));
}

static int open_target(Backup *b, size_t i) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        const SpecTarget *target = b->spec.targets + i;
        int r;

        r = name_place(b, target, &b->keys[i]);
        if (r < 0)
                return r;
        r = job_target_open(b->run, target, &b->storages[i], &failure);
        if (r >= 0 && b->to_repositories)
                r = job_repository_open(b->run, target, b->storages[i], &b->repositories[b->n_targets],
                                        &failure);
        if (r >= 0 && b->to_repositories)
                keep_key(b, i);
        if (r < 0) {
                job_link_log(b->run->link, LOG_ERR, "Target %s: %s", target->name,
                             failure_message(&failure, r));
                return asprintf_safe(&b->errors[i], "%s", failure_message(&failure, r));
        }
        b->targets[b->n_targets] = (BackupTarget){ .storage = b->storages[i], .key = b->keys[i] };
        b->places[b->n_targets++] = i;
        return 0;
}

static int open_targets(Backup *b, Failure *reterr_failure) {
        assert(b);

        for (size_t i = 0; i < b->spec.n_targets; i++) {
                int r = open_target(b, i);

                if (r < 0)
                        return r;
        }
        if (b->n_targets > 0)
                return 0;
        return failure_set(reterr_failure, -ENOTCONN, "NO_TARGET", "No target can be used: %s",
                           b->spec.n_targets > 0 ? strempty(b->errors[0]) : "the task has none");
}

static int run_repositories(Backup *b, const BackupArgs *base, Failure *reterr_failure) {
        RepoBackupResult result = REPO_BACKUP_RESULT_NULL;
        RepoBackupArgs args = {
                .args = base,
                .repositories = b->repositories,
                .hostname = b->spec.node_name,
                .username = "root",
        };
        BackupOutcome *o = &b->outcome;
        int r;

        r = job_lock_owner_init(&b->owner, b->run->start, reterr_failure);
        if (r < 0)
                return r;
        args.lock_owner = job_lock_owner(&b->owner);
        r = prune_tag(b->spec.task_id, &b->tags[0]);
        if (r < 0)
                return r;
        args.tags = b->tags;
        r = repository_backup(&args, &result, reterr_failure);
        if (r < 0)
                return r;
        o->has_counts = true;
        o->files_new = result.counts.files_new;
        o->files_changed = result.counts.files_changed;
        o->files_unchanged = result.counts.files_unchanged;
        o->bytes_total = result.counts.bytes;
        o->bytes_new = result.new_bytes;
        for (size_t i = 0; i < result.base.n_targets; i++)
                b->snapshots[i] = result.snapshots[i];
        b->result = result.base;
        result.base = BACKUP_RESULT_NULL;
        repo_backup_result_done(&result);
        return 0;
}

static int run_backup(Backup *b, Failure *reterr_failure) {
        BackupArgs args = {
                .paths = b->spec.paths,
                .excludes = b->spec.excludes,
                .one_file_system = b->spec.one_file_system,
                .follow_symlinks = b->spec.follow_symlinks,
                .level = (int) b->spec.level,
                .recipients = b->recipients,
                .n_recipients = b->n_recipients,
                .targets = b->targets,
                .n_targets = b->n_targets,
                .cancel = job_link_cancelled(b->run->link),
                .run = b->spec.run,
                .attempt = b->run->start->name.attempt,
                .node_id = b->spec.node_id,
                .task_id = b->spec.task_id,
                .node = b->spec.node_name,
                .task = b->spec.task_name,
                .userdata = b,
                .on_progress = on_progress,
                .on_log = on_log,
                .allowed = allowed,
        };

        if (b->spec.type != SOURCE_FILE) {
                int r = job_databases_open(b->run, &b->spec, &b->databases, &args, reterr_failure);

                if (r < 0)
                        return r;
        }
        return b->to_repositories ? run_repositories(b, &args, reterr_failure) :
                                    archive_backup(&args, &b->result, reterr_failure);
}

/* --- The result ------------------------------------------------------------------------------------- */

/* One volume; the header is in the first. */
static int put_volume(const BackupObject *from, size_t i, ResultObject *to) {
        int r;

        assert(from);
        assert(to);

        r = volume_key(from->name, i, &to->name);
        if (r < 0)
                return r;
        to->size = from->volumes[i].size;
        memcpy(to->sha256, from->volumes[i].sha256, sizeof(to->sha256));
        if (!from->age_header || i > 0)
                return 0;
        return base64_encode(BASE64_STANDARD, from->age_header, from->age_header_size, &to->age_header);
}

static int put_objects(Backup *b) {
        BackupOutcome *o = &b->outcome;
        size_t n = 0;

        if (!b->result.objects[BACKUP_MANIFEST].name)
                return 0;
        for (size_t i = 0; i < _BACKUP_OBJECTS; i++)
                n += b->result.objects[i].n_volumes;
        o->objects = new0(ResultObject, n);
        if (!o->objects)
                return -ENOMEM;
        for (size_t i = 0; i < _BACKUP_OBJECTS; i++)
                for (size_t k = 0; k < b->result.objects[i].n_volumes; k++) {
                        int r = put_volume(b->result.objects + i, k, o->objects + o->n_objects++);

                        if (r < 0)
                                return r;
                }
        o->has_manifest = true;
        memcpy(o->manifest_sha256, b->result.objects[BACKUP_MANIFEST].sha256, sizeof(o->manifest_sha256));
        return 0;
}

static int put_snapshot(const Id *id, ResultTarget *to) {
        char hex[ID_HEX_SIZE];

        return free_and_strdup(&to->snapshot, id_to_hex(id, hex));
}

static int put_target(Backup *b, size_t i, const BackupTargetResult *from) {
        size_t place = b->places[i];
        ResultTarget *to = b->outcome.targets + place;
        int r;

        assert(from);

        if (from->abandoned) { /* a thread hangs in it: it is gone with the process */
                b->storages[place] = NULL;
                b->repositories[i] = NULL;
        }
        to->succeeded = from->succeeded;
        if (!from->succeeded)
                return free_and_strdup(&to->error, failure_message(&from->failure, -EIO));
        to->size = from->size;
        memcpy(to->sha256, b->outcome.manifest_sha256, sizeof(to->sha256));
        r = b->to_repositories ? put_snapshot(&b->snapshots[i], to) : 0;
        return r < 0 ? r : free_and_strdup(&to->key, b->keys[place]);
}

static int put_targets(Backup *b) {
        BackupOutcome *o = &b->outcome;
        int r;

        o->targets = new0(ResultTarget, b->spec.n_targets);
        if (!o->targets)
                return -ENOMEM;
        o->n_targets = b->spec.n_targets;
        for (size_t i = 0; i < o->n_targets; i++) {
                o->targets[i].target_id = b->spec.targets[i].id;
                o->targets[i].error = TAKE_PTR(b->errors[i]);
        }
        for (size_t i = 0; i < MIN(b->n_targets, b->result.n_targets); i++) {
                r = put_target(b, i, b->result.targets + i);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int build_result(Backup *b, json_t **ret) {
        BackupOutcome *o = &b->outcome;
        int r;

        o->figures.bytes_read = b->result.bytes_read;
        o->figures.bytes_written = b->result.bytes_written;
        o->figures.files = b->result.files;
        o->figures.skipped = b->result.skipped;
        o->figures.errors_total = b->result.errors_total;
        o->lost_total = b->result.lost_total;
        o->first_read_usec = b->result.first_read;
        r = job_take_problems(b->result.errors, b->result.n_errors, &o->figures);
        if (r >= 0)
                r = put_objects(b);
        if (r >= 0)
                r = put_targets(b);
        return r < 0 ? r : backup_outcome_build(o, ret);
}

/* A target that could not even be opened makes the run partial, as one that failed later does. */
static ResultStatus status_of(const Backup *b) {
        ResultStatus status = job_result_status(b->result.state);

        return status == RESULT_SUCCEEDED && b->n_targets < b->spec.n_targets ? RESULT_PARTIAL : status;
}

/* Between the hooks. */
static int run_hooked(Backup *b, Failure *reterr_failure) {
        bool cancelled;
        int r;

        r = job_hooks_begin(b->run, &b->spec, &b->hooks, reterr_failure);
        if (r < 0)
                return r;
        r = run_backup(b, reterr_failure);
        if (r >= 0 && (status_of(b) == RESULT_SUCCEEDED || status_of(b) == RESULT_PARTIAL))
                job_databases_stored(&b->databases);
        cancelled = atomic_load(job_link_cancelled(b->run->link));
        job_hooks_end(&b->hooks, r >= 0 ? status_of(b) : cancelled ? RESULT_CANCELLED :
                                                                     RESULT_FAILED);
        return r;
}

static void tell_missing_target(const Backup *b, Failure *failure) {
        for (size_t i = 0; i < b->outcome.n_targets; i++)
                if (b->outcome.targets[i].error) {
                        (void) failure_set(failure, -EIO, "TARGET_FAILED", "Target %s: %s",
                                           b->spec.targets[i].name, b->outcome.targets[i].error);
                        return;
                }
}

static int back_up(Backup *b, JobOutcome *ret, Failure *reterr_failure) {
        int r;

        assert(b);
        assert(ret);

        r = read_spec(b, reterr_failure);
        if (r >= 0)
                r = check_sources(b, reterr_failure);
        if (r >= 0)
                r = parse_recipients(b, reterr_failure);
        if (r >= 0)
                r = open_targets(b, reterr_failure);
        if (r >= 0)
                r = run_hooked(b, reterr_failure);
        if (r < 0)
                return r;
        r = build_result(b, &ret->result);
        if (r < 0)
                return r;
        ret->status = status_of(b);
        ret->failure = b->result.failure;
        b->result.failure = FAILURE_NULL;
        if (ret->status == RESULT_PARTIAL && !failure_is_set(&ret->failure))
                tell_missing_target(b, &ret->failure);
        job_hooks_judge(&b->hooks, ret);
        return 0;
}

void job_kind_backup(const JobRun *run, JobOutcome *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(backup_done) Backup b = {
                .run = run,
                .hooks = JOB_HOOKS_NULL,
                .result = BACKUP_RESULT_NULL,
        };
        int r;

        assert(run);
        assert(ret);

        r = back_up(&b, ret, &failure);
        if (r < 0)
                job_outcome_fail(run, ret, &failure, r);
}
