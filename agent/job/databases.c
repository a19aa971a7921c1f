/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <syslog.h>

#include "agent/common/tools.h"
#include "agent/job/databases.h"
#include "base/text.h"
#include "sys/log.h"

void job_databases_done(JobDatabases *d) {
        if (!d)
                return;
        d->sqlite = sqlite_source_free(d->sqlite);
        d->mysql = mysql_source_free(d->mysql);
        d->pg = pg_source_free(d->pg);
        d->hana = hana_source_free(d->hana);
}

static int allowed(void *userdata, const char *path, Failure *reterr_failure) {
        const JobDatabases *d = ASSERT_PTR(userdata);

        return policy_check_backup(d->run->policy, path, reterr_failure);
}

static int find_tool(void *userdata, const char *name, char **ret) {
        const JobRun *run = ASSERT_PTR(userdata);

        return tool_find(run->tools_path, name, ret);
}

ToolFinder job_tool_finder(const JobRun *run) {
        /* Whoever says where tools are says where all of them are. */
        return (ToolFinder){ find_tool, (void *) run,
                             streq(run->tools_path, TOOLS_PATH_DEFAULT) ? pg_versions_default : NULL };
}

ToolFinder job_hana_finder(const JobRun *run) {
        ToolFinder finder = job_tool_finder(run);

        if (finder.versions)
                finder.versions = hana_places_default;
        return finder;
}

static int open_sqlite(const BackupSpec *spec, JobDatabases *d, BackupArgs *args, Failure *reterr_failure) {
        int r;

        d->sqlite_args = (SqliteSourceArgs){
                .patterns = spec->database.paths,
                .staging = d->run->staging_dir,
                .cancel = job_link_cancelled(d->run->link),
                .allowed = allowed,
                .userdata = d,
        };
        r = sqlite_source_new(&d->sqlite_args, &d->sqlite, reterr_failure);
        if (r < 0)
                return r;
        args->paths = sqlite_source_paths(d->sqlite);
        args->streams = sqlite_source_streams(d->sqlite);
        return 0;
}

static int open_mysql(const BackupSpec *spec, JobDatabases *d, BackupArgs *args, Failure *reterr_failure) {
        int r;

        d->mysql_args = (MysqlSourceArgs){
                .source = &spec->database,
                .password = d->run->start->secrets.database,
                .finder = job_tool_finder(d->run),
                .cancel = job_link_cancelled(d->run->link),
        };
        r = mysql_source_new(&d->mysql_args, &d->mysql, reterr_failure);
        if (r < 0)
                return r;
        if (spec->database.one_snapshot)
                job_link_log(d->run->link, LOG_INFO, "One snapshot of %zu databases",
                             mysql_source_count(d->mysql));
        args->paths = mysql_source_paths(d->mysql);
        args->streams = mysql_source_streams(d->mysql);
        return 0;
}

static int open_postgresql(const BackupSpec *spec, JobDatabases *d, BackupArgs *args,
                           Failure *reterr_failure) {
        int r;

        d->pg_args = (PgSourceArgs){
                .source = &spec->database,
                .password = d->run->start->secrets.database,
                .finder = job_tool_finder(d->run),
                .cancel = job_link_cancelled(d->run->link),
        };
        r = pg_source_new(&d->pg_args, &d->pg, reterr_failure);
        if (r < 0)
                return r;
        args->paths = pg_source_paths(d->pg);
        args->streams = pg_source_streams(d->pg);
        return 0;
}

static int open_saphana(const BackupSpec *spec, JobDatabases *d, BackupArgs *args, Failure *reterr_failure) {
        int r;

        d->hana_args = (HanaSourceArgs){
                .source = &spec->database,
                .password = d->run->start->secrets.database,
                .finder = job_hana_finder(d->run),
                .cancel = job_link_cancelled(d->run->link),
                .allowed = allowed,
                .userdata = d,
        };
        r = hana_source_new(&d->hana_args, &d->hana, reterr_failure);
        if (r < 0)
                return r;
        args->paths = hana_source_paths(d->hana);
        args->streams = hana_source_streams(d->hana);
        return 0;
}

void job_databases_stored(JobDatabases *d) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(d);

        if (!d->hana)
                return;
        r = hana_source_stored(d->hana, &failure);
        if (r < 0)
                job_link_log(d->run->link, LOG_WARNING, "%s", failure_message(&failure, r));
}

int job_databases_open(const JobRun *run, const BackupSpec *spec, JobDatabases *ret, BackupArgs *args,
                       Failure *reterr_failure) {
        assert(run);
        assert(spec);
        assert(ret);
        assert(args);

        ret->run = run;
        switch (spec->type) {
        case SOURCE_SQLITE:
                return open_sqlite(spec, ret, args, reterr_failure);
        case SOURCE_MYSQL:
                return open_mysql(spec, ret, args, reterr_failure);
        case SOURCE_POSTGRESQL:
                return open_postgresql(spec, ret, args, reterr_failure);
        case SOURCE_SAPHANA:
                return open_saphana(spec, ret, args, reterr_failure);
        case SOURCE_FILE:
        case _SOURCE_TYPE_MAX:
        case _SOURCE_TYPE_INVALID:
                break;
        }
        return -EINVAL;
}
