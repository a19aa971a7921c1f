/* SPDX-License-Identifier: Apache-2.0 */

/* self_check: what a job of this host can do, as its own sandbox lets it, behind what the agent found. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/job/kinds.h"
#include "agent/job/tools-run.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "wire/check.h"

/* Room for the index of an archive and for a test. */
#define FREE_WARNING (UINT64_C(1) << 30)
#define FREE_ERROR (UINT64_C(16) << 20)
#define PROC_STATUS_MAX 8192

static int check_directory(json_t *items, const char *name, const char *path, const char *hint) {
        struct statvfs fs;
        uint64_t free_bytes;

        if (access(path, W_OK | X_OK) < 0)
                return check_add(items, name, CHECK_STATE_ERROR, hint, "Jobs cannot write to %s: %m", path);
        if (statvfs(path, &fs) < 0)
                return check_add(items, name, CHECK_STATE_ERROR, hint, "%s cannot be looked at: %m", path);
        free_bytes = (uint64_t) fs.f_bavail * fs.f_frsize;
        if (free_bytes < FREE_WARNING)
                return check_add(items, name,
                                 free_bytes < FREE_ERROR ? CHECK_STATE_ERROR : CHECK_STATE_WARNING,
                                 "Make room there, or move it to a larger file system",
                                 "Only %" PRIu64 " MiB are free at %s", free_bytes >> 20, path);
        return check_add(items, name, CHECK_STATE_OK, NULL, "Jobs can write to %s, %" PRIu64 " GiB are free",
                         path, free_bytes >> 30);
}

static int check_storage(const JobRun *run, json_t *items) {
        int r;

        assert(run);

        r = check_directory(items, "results", run->start->context.results_dir,
                            "Look at owner, mode and the file system of this directory");
        if (r >= 0 && access(run->storage_dir, F_OK) >= 0)
                r = check_directory(items, "storage", run->storage_dir,
                                    "Look at owner, mode and the file system of this directory");
        STRV_FOREACH(path, run->policy->storage_allow) {
                _cleanup_(freep) char *hint = NULL;

                if (r < 0)
                        return r;
                r = asprintf_safe(&hint, "Is it mounted? Else: backupx agent allow-storage %s",
                                  *path);
                if (r >= 0)
                        r = check_directory(items, "storage", *path, hint);
        }
        return r;
}

/* The capabilities in effect; 0: unknown. */
static uint64_t read_capabilities(void) {
        _cleanup_(freep) char *text = NULL;
        const char *line;
        uint64_t caps = 0;

        if (read_file(AT_FDCWD, "/proc/self/status", PROC_STATUS_MAX, &text, NULL) < 0)
                return 0;
        line = strstr(text, "\nCapEff:");
        if (!line || sscanf(line, "\nCapEff: %" SCNx64, &caps) != 1)
                return 0;
        return caps;
}

static int check_reading(json_t *items) {
        if (read_capabilities() & (UINT64_C(1) << CAP_DAC_READ_SEARCH))
                return check_add(items, "reading", CHECK_STATE_OK, NULL, "Jobs can read every file");
        return check_add(items, "reading", CHECK_STATE_WARNING,
                         "Use the units of the package, or start the agent as root",
                         "Jobs run as user %u without the right to read the files of others",
                         (unsigned) geteuid());
}

static int check_restore(const JobRun *run, json_t *items) {
        return check_add(items, "restore", CHECK_STATE_OK, NULL, "%s",
                         run->policy->restore_off ?
                                         "Switched off by the policy of this host" :
                                         strv_length(run->policy->restore_allow) > 0 ?
                                         "Allowed to some directories by the policy of this host" :
                                         "Allowed");
}

static int check_tools(const JobRun *run, json_t *items, json_t **ret) {
        unsigned silent = 0;
        int r;

        assert(run);

        r = tools_ask(run->tools_path, job_link_cancelled(run->link), ret, &silent);
        if (r < 0)
                return r;
        if (silent > 0)
                return check_add(items, "tools", CHECK_STATE_WARNING,
                                 "Those with the version '?' did not answer: try them by hand",
                                 "%u of %zu tools do not tell their version", silent,
                                 json_object_size(*ret));
        return check_add(items, "tools", CHECK_STATE_OK, NULL, "%zu found", json_object_size(*ret));
}

static int self_check(const JobRun *run, JobOutcome *ret) {
        _cleanup_json_ json_t *report = json_object(), *items = NULL;
        json_t *tools = NULL;
        int r;

        assert(run);
        assert(ret);

        items = run->start->checks ? json_copy(run->start->checks) : json_array();
        if (!items || !report)
                return -ENOMEM;
        r = check_reading(items);
        if (r >= 0)
                r = check_storage(run, items);
        if (r >= 0)
                r = check_restore(run, items);
        if (r >= 0)
                r = check_tools(run, items, &tools);
        if (r >= 0)
                r = json_set(report, "tools", tools);
        if (r >= 0)
                r = json_set(report, "items", TAKE_PTR(items));
        if (r < 0)
                return r;
        ret->result = TAKE_PTR(report);
        return 0;
}

void job_kind_self_check(const JobRun *run, JobOutcome *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(run);
        assert(ret);

        r = self_check(run, ret);
        if (r < 0)
                job_outcome_fail(run, ret, &failure, r);
        else
                ret->status = RESULT_SUCCEEDED;
}
