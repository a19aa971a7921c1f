/* SPDX-License-Identifier: Apache-2.0 */

/* restore: a backup, or chosen paths of it, into a directory or back in place. The policy of this host is
 * asked for each directory that things are restored into, as it was resolved. */

#include <errno.h>

#include "agent/job/archives.h"
#include "agent/job/databases.h"
#include "agent/job/kinds.h"
#include "agent/job/repositories.h"
#include "agent/job/verdict.h"
#include "archive/dump.h"
#include "archive/restore.h"
#include "base/alloc.h"
#include "base/text.h"
#include "database/mysql-restore.h"
#include "database/pg-restore.h"
#include "database/sqlite-replace.h"
#include "repository/dump.h"
#include "repository/restore.h"
#include "sys/log.h"

typedef struct Restore {
        const JobRun *run;
        RestoreSpec spec;
        JobArchive archive;
        JobSnapshot snapshot; /* instead of the archive */
        RestoreResult result;
        RestoreOutcome outcome;
        Failure denied; /* the first refusal of the policy */
} Restore;

static void restore_done(Restore *s) {
        job_archive_done(&s->archive);
        job_snapshot_done(&s->snapshot);
        restore_spec_done(&s->spec);
        restore_result_done(&s->result);
        restore_outcome_done(&s->outcome);
        failure_done(&s->denied);
}

static void on_progress(void *userdata, const RestoreProgress *p) {
        const Restore *s = ASSERT_PTR(userdata);
        JobProgress progress = {
                .phase = (char *) restore_phase_to_string(p->phase),
                .bytes_read = p->bytes_read,
                .bytes_total = p->bytes_total,
                .bytes_written = p->bytes_written,
                .files_done = p->files_done,
                .files_total = p->files_total,
                .current = (char *) p->current,
        };

        job_link_progress(s->run->link, &progress);
}

static void on_log(void *userdata, ArchiveLogLevel level, const char *text) {
        const Restore *s = ASSERT_PTR(userdata);

        job_link_log(s->run->link, job_log_level(level), "%s", text);
}

static int allowed(void *userdata, const char *path) {
        Restore *s = ASSERT_PTR(userdata);

        return policy_check_restore(s->run->policy, path, &s->denied);
}

static int replace(void *userdata, int dirfd, const char *from, const char *to, Failure *reterr_failure) {
        const Restore *s = ASSERT_PTR(userdata);

        return sqlite_replace(dirfd, from, to, s->spec.force, reterr_failure);
}

static int build_result(Restore *s, json_t **ret) {
        RestoreOutcome *o = &s->outcome;
        int r;

        o->figures.bytes_read = s->result.bytes_read;
        o->figures.bytes_written = s->result.bytes_written;
        o->figures.files = s->result.files;
        o->figures.skipped = s->result.skipped;
        o->figures.errors_total = s->result.errors_total;
        r = job_take_problems(s->result.errors, s->result.n_errors, &o->figures);
        if (r >= 0 && !s->spec.in_place && s->result.roots && s->result.roots[0])
                r = free_and_strdup(&o->destination, s->result.roots[0]);
        return r < 0 ? r : restore_outcome_build(o, ret);
}

static int open_backup(Restore *s, Failure *reterr_failure) {
        assert(s);

        if (s->spec.snapshots.n > 0)
                return job_snapshot_open(s->run, &s->spec.snapshots, &s->snapshot, reterr_failure);
        return job_archive_open(s->run, &s->spec.archive, &s->archive, reterr_failure);
}

static int run_restore(Restore *s, Failure *reterr_failure) {
        bool resume = s->spec.conflict == RESTORE_CONFLICT_RESUME;
        RestoreArgs args = {
                .source = s->archive.source,
                .destination = s->spec.destination,
                .in_place = s->spec.in_place,
                .paths = s->spec.paths,
                .conflict = resume ? RESTORE_CONFLICT_OVERWRITE : s->spec.conflict,
                .cancel = job_link_cancelled(s->run->link),
                .userdata = s,
                .on_progress = on_progress,
                .on_log = on_log,
                .allowed = allowed,
                .replace = s->spec.type == SOURCE_SQLITE ? replace : NULL,
        };

        if (s->snapshot.repository) {
                const RepositoryRestoreArgs of = {
                        .repository = s->snapshot.repository,
                        .snapshot = s->snapshot.id,
                        .resume = resume,
                        .restore = args,
                };

                return repository_restore(&of, &s->result, reterr_failure);
        }
        return archive_restore(&args, &s->result, reterr_failure);
}

/* --- Into a server ------------------------------------------------------------------------------------ */

static int give_dump(void *userdata, const char *path, int fd, Failure *reterr_failure) {
        const Restore *s = ASSERT_PTR(userdata);
        const atomic_bool *cancel = job_link_cancelled(s->run->link);

        if (s->snapshot.repository) {
                const RepositoryDumpArgs args = {
                        .repository = s->snapshot.repository,
                        .snapshot = s->snapshot.id,
                        .path = path,
                        .fd = fd,
                        .cancel = cancel,
                };

                return repository_dump(&args, reterr_failure);
        }

        const ArchiveDumpArgs args = {
                .source = s->archive.source, .path = path, .fd = fd, .cancel = cancel
        };

        return archive_dump(&args, NULL, reterr_failure);
}

static int into_mysql(Restore *s, int *ret_given, Failure *given, Failure *reterr_failure) {
        _cleanup_(mysql_restore_freep) MysqlRestore *to = NULL;
        const DatabaseRestore *d = &s->spec.database;
        const MysqlRestoreArgs args = {
                .server = &d->server,
                .password = s->run->start->secrets.database,
                .database = d->name,
                .drop = d->drop,
                .finder = job_tool_finder(s->run),
                .cancel = job_link_cancelled(s->run->link),
        };
        int r;

        r = mysql_restore_new(&args, &to, reterr_failure);
        if (r < 0)
                return r;
        *ret_given = mysql_restore_give(to, d->path, give_dump, s, given);
        return mysql_restore_end(to, reterr_failure);
}

static int into_postgresql(Restore *s, int *ret_given, Failure *given, Failure *reterr_failure) {
        _cleanup_(pg_restore_freep) PgRestore *to = NULL;
        const DatabaseRestore *d = &s->spec.database;
        const PgRestoreArgs args = {
                .server = &d->server,
                .password = s->run->start->secrets.database,
                .database = d->name,
                .drop = d->drop,
                .schemas = d->schemas,
                .tables = d->tables,
                .no_owners = d->no_owners,
                .finder = job_tool_finder(s->run),
                .cancel = job_link_cancelled(s->run->link),
        };
        int r;

        r = pg_restore_new(&args, &to, reterr_failure);
        if (r < 0)
                return r;
        *ret_given = give_dump(s, d->path, pg_restore_fd(to), given);
        return pg_restore_end(to, reterr_failure);
}

static int restore_database(Restore *s, Failure *reterr_failure) {
        _cleanup_failure_ Failure given = FAILURE_NULL;
        int r, k = 0;

        if (!source_type_has_dumps(s->spec.type))
                return failure_set(reterr_failure, -EOPNOTSUPP, "DESTINATION_INVALID",
                                   "This backup has no dump that a server would take");
        if (s->spec.type == SOURCE_POSTGRESQL)
                r = into_postgresql(s, &k, &given, reterr_failure);
        else
                r = into_mysql(s, &k, &given, reterr_failure);
        if (k < 0 && k != -EPIPE && (r >= 0 || r == -ENODATA))
                return failure_set(reterr_failure, k, failure_is_set(&given) ? given.code : "RESTORE_FAILED",
                                   "Database '%s' is not %s: %s", s->spec.database.name,
                                   r >= 0 ? "whole" : "touched", failure_message(&given, k));
        if (r < 0)
                return r;
        s->result.files = 1;
        s->result.state = ARCHIVE_SUCCEEDED;
        return 0;
}

static int restore(Restore *s, JobOutcome *ret, Failure *reterr_failure) {
        int r;

        assert(s);
        assert(ret);

        r = policy_check_restore_any(s->run->policy, reterr_failure);
        if (r >= 0)
                r = restore_spec_parse(s->run->start->spec, &s->spec, reterr_failure);
        if (r >= 0 && s->spec.destination)
                r = policy_check_restore(s->run->policy, s->spec.destination, reterr_failure);
        if (r >= 0)
                r = open_backup(s, reterr_failure);
        if (r >= 0)
                r = s->spec.database.path ? restore_database(s, reterr_failure) :
                                            run_restore(s, reterr_failure);
        if (r < 0)
                return r;
        r = build_result(s, &ret->result);
        if (r < 0)
                return r;
        ret->status = job_result_status(s->result.state);
        /* Our own refusal is the cause, whatever the engine says about it. */
        if (failure_is_set(&s->denied) && ret->status != RESULT_SUCCEEDED) {
                ret->failure = s->denied;
                s->denied = FAILURE_NULL;
        } else {
                ret->failure = s->result.failure;
                s->result.failure = FAILURE_NULL;
        }
        return 0;
}

void job_kind_restore(const JobRun *run, JobOutcome *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(restore_done) Restore s = { .run = run, .result = RESTORE_RESULT_NULL };
        int r;

        assert(run);
        assert(ret);

        r = restore(&s, ret, &failure);
        if (r < 0)
                job_outcome_fail(run, ret, &failure, r);
}
