/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/job/databases.h"

void job_databases_done(JobDatabases *d) {
        if (!d)
                return;
        d->sqlite = sqlite_source_free(d->sqlite);
}

static int allowed(void *userdata, const char *path, Failure *reterr_failure) {
        const JobDatabases *d = ASSERT_PTR(userdata);

        return policy_check_backup(d->run->policy, path, reterr_failure);
}

int job_databases_open(const JobRun *run, const BackupSpec *spec, JobDatabases *ret, BackupArgs *args,
                       Failure *reterr_failure) {
        int r;

        assert(run);
        assert(spec && spec->type == SOURCE_SQLITE);
        assert(ret);
        assert(args);

        ret->run = run;
        ret->sqlite_args = (SqliteSourceArgs){
                .patterns = spec->database.paths,
                .staging = run->staging_dir,
                .cancel = job_link_cancelled(run->link),
                .allowed = allowed,
                .userdata = ret,
        };
        r = sqlite_source_new(&ret->sqlite_args, &ret->sqlite, reterr_failure);
        if (r < 0)
                return r;
        args->paths = sqlite_source_paths(ret->sqlite);
        args->streams = sqlite_source_streams(ret->sqlite);
        return 0;
}
