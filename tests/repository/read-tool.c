/* SPDX-License-Identifier: Apache-2.0 */

/* Reads repositories with lib/repository alone, for tests: read-tool FOLDER PASSWORD COMMAND …
 * FOLDER may be @FILE, see tool-storage.h.
 *
 * init        snapshots        ls SNAPSHOT        dump SNAPSHOT PATH        check [SHARE OF]        stats
 * restore SNAPSHOT DIRECTORY RULE [PATH…]    with fail, skip, overwrite or resume as the rule
 *
 * Exit status: 0 succeeded, 2 an error, 3 partial or damaged, 4 failed. */

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "archive/restore-place.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/text.h"
#include "repository/check.h"
#include "repository/dump.h"
#include "repository/polynomial.h"
#include "repository/restore.h"
#include "repository/stats.h"
#include "repository/tree-walk.h"
#include "tests/repository/tool-storage.h"

typedef struct Tool {
        Storage *storage;
        RepositoryArgs args;
        Repository *repository;
        RepoIndex *index;
        BlobReader *reader;
        Snapshot snapshot;
} Tool;

static _noreturn_ void die(const char *what, const Failure *f, int r) {
        fprintf(stderr, "read-tool: %s: [%s] %s\n", what, f ? f->code : "", failure_message(f, r));
        exit(2);
}

static void open_storage(Tool *t, const char *folder) {
        _cleanup_failure_ Failure f = FAILURE_NULL;
        int r;

        r = tool_storage_open(folder, 1, /* cancel= */ NULL, &t->storage, &f);
        if (r < 0)
                die("storage", &f, r);
        t->args.storage = t->storage;
        t->args.cache = getenv("READ_TOOL_CACHE");
}

static void open_repository(Tool *t) {
        _cleanup_failure_ Failure f = FAILURE_NULL;
        int r;

        r = repository_open(&t->args, &t->repository, &f);
        if (r < 0)
                die("open", &f, r);
}

static void open_snapshot(Tool *t, const char *name) {
        _cleanup_failure_ Failure f = FAILURE_NULL;
        Id id;
        int r;

        r = repository_find_snapshot(t->repository, name, &id, &t->snapshot, &f);
        if (r >= 0)
                r = repo_index_new(&t->index);
        if (r >= 0)
                r = repository_load_index(t->repository, t->index, &f);
        if (r >= 0)
                r = blob_reader_new(t->repository, t->index, &t->reader);
        if (r < 0)
                die(name, &f, r);
}

static int run_init(Tool *t) {
        _cleanup_failure_ Failure f = FAILURE_NULL;
        RepositoryNew n = { .chunker = CHUNKER_GEAR, .hostname = "test", .username = "root" };
        int r;

        r = polynomial_random(&n.chunker_polynomial);
        if (r >= 0)
                r = repository_init(&t->args, &n, &f);
        if (r < 0)
                die("init", &f, r);
        return 0;
}

static int show_snapshot(void *userdata, const Id *id, Snapshot *s) {
        char hex[ID_HEX_SIZE], time[MOMENT_TEXT_MAX];

        printf("%s %s %s\n", id_to_hex(id, hex), moment_format(&s->time, time), strempty(s->hostname));
        return 0;
}

static int run_snapshots(Tool *t) {
        _cleanup_failure_ Failure f = FAILURE_NULL;
        int r = repository_list_snapshots(t->repository, show_snapshot, NULL, &f);

        if (r < 0)
                die("snapshots", &f, r);
        return 0;
}

static int run_ls(Tool *t, const char *name) {
        _cleanup_(tree_walk_freep) TreeWalk *w = NULL;
        const TreeNode *node;
        const char *path;
        int status = 0;

        open_snapshot(t, name);
        if (tree_walk_new(t->reader, &t->snapshot.tree, &w) < 0)
                return 2;
        for (;;) {
                _cleanup_failure_ Failure f = FAILURE_NULL;
                int r = tree_walk_next(w, &path, &node, &f);

                if (r == 0)
                        return status;
                if (r < 0) {
                        fprintf(stderr, "/%s: %s\n", path, failure_message(&f, r));
                        status = 3;
                } else
                        printf("/%s%c", path, 0);
        }
}

static int run_dump(Tool *t, const char *name, const char *path) {
        _cleanup_failure_ Failure f = FAILURE_NULL;
        RepositoryDumpArgs args = { t->repository, name, path, .fd = STDOUT_FILENO };
        int r;

        r = repository_dump(&args, &f);
        if (r < 0)
                die("dump", &f, r);
        return 0;
}

static void show_log(void *userdata, ArchiveLogLevel level, const char *text) {
        fprintf(stderr, "%s\n", text);
}

static int run_restore(Tool *t, char *argv[]) {
        _cleanup_(restore_result_done) RestoreResult result = RESTORE_RESULT_NULL;
        RepositoryRestoreArgs args = { .repository = t->repository, .snapshot = argv[0] };
        _cleanup_failure_ Failure f = FAILURE_NULL;
        int r;

        args.restore.destination = argv[1];
        args.restore.on_log = show_log;
        args.resume = streq(argv[2], "resume");
        args.restore.conflict = restore_conflict_from_string(args.resume ? "overwrite" : argv[2]);
        args.restore.paths = argv + 3;
        r = repository_restore(&args, &result, &f);
        if (r < 0)
                die("restore", &f, r);
        fprintf(stderr, "%s\n", failure_is_set(&result.failure) ? failure_message(&result.failure, 0) : "");
        printf("{\"state\":%d,\"code\":\"%s\",\"files\":%" PRIu64 ",\"directories\":%" PRIu64 ",\"skipp"
               "ed\":%" PRIu64
               ",\"errors\":%" PRIu64 ",\"bytes_read\":%" PRIu64 "}\n",
               (int) result.state, result.failure.code, result.files, result.directories, result.skipped,
               result.errors_total, result.bytes_read);
        return result.state == ARCHIVE_SUCCEEDED ? 0 : result.state == ARCHIVE_PARTIAL ? 3 :
                                                                                         4;
}

/* Without a share: the structure alone. */
static int run_check(Tool *t, const char *share, const char *shares) {
        _cleanup_(repository_check_result_done) RepositoryCheckResult result = REPOSITORY_CHECK_RESULT_NULL;
        RepositoryCheckArgs args = { .repository = t->repository };
        _cleanup_failure_ Failure f = FAILURE_NULL;
        int r;

        if (share && parse_u32(shares, 1, 1000, &args.shares) < 0)
                return 2;
        if (share && parse_u32(share, 1, args.shares, &args.share) < 0)
                return 2;
        r = repository_check(&args, &result, &f);
        if (r < 0)
                die("check", &f, r);
        for (size_t i = 0; i < result.n_problems; i++)
                fprintf(stderr, "%s\n", result.problems[i]);
        printf("{\"snapshots\":%" PRIu64 ",\"trees\":%" PRIu64 ",\"packs\":%" PRIu64 ",\"blobs\":%" PRIu64
               ",\"packs_read\":%" PRIu64 ",\"packs_unknown\":%" PRIu64 ",\"blobs_unused\":%" PRIu64
               ",\"problems\":%" PRIu64 "}\n",
               result.snapshots, result.trees, result.packs, result.blobs, result.packs_read,
               result.packs_unknown, result.blobs_unused, result.problems_total);
        return result.problems_total > 0 ? 3 : 0;
}

static int run_stats(Tool *t) {
        _cleanup_failure_ Failure f = FAILURE_NULL;
        RepositoryStats s;
        int r = repository_stats(t->repository, &s, &f);

        if (r < 0)
                die("stats", &f, r);
        printf("{\"snapshots\":%" PRIu64 ",\"files\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"blobs\":%" PRIu64
               ",\"bytes_plain\":%" PRIu64 ",\"bytes_stored\":%" PRIu64 ",\"more\":%" PRIu64 "}\n",
               s.snapshots, s.files, s.bytes, s.blobs, s.bytes_plain, s.bytes_stored, s.bytes_stored_more);
        return 0;
}

static int run(Tool *t, int argc, char *argv[]) {
        const char *command = argv[0];

        if (streq(command, "init"))
                return run_init(t);
        open_repository(t);
        if (streq(command, "snapshots"))
                return run_snapshots(t);
        if (streq(command, "ls") && argc == 2)
                return run_ls(t, argv[1]);
        if (streq(command, "dump") && argc == 3)
                return run_dump(t, argv[1], argv[2]);
        if (streq(command, "stats"))
                return run_stats(t);
        if (streq(command, "check") && (argc == 1 || argc == 3))
                return run_check(t, argv[1], argc > 1 ? argv[2] : NULL);
        if (streq(command, "restore") && argc >= 4)
                return run_restore(t, argv + 1);
        return 2;
}

int main(int argc, char *argv[]) {
        struct rusage usage;
        Tool t = {};
        int status;

        if (argc < 4)
                return 2;
        open_storage(&t, argv[1]);
        t.args.password = argv[2];
        status = run(&t, argc - 3, argv + 3);
        snapshot_done(&t.snapshot);
        blob_reader_free(t.reader);
        repo_index_free(t.index);
        repository_free(t.repository);
        storage_free(t.storage);
        if (getenv("READ_TOOL_USAGE") && getrusage(RUSAGE_SELF, &usage) >= 0)
                fprintf(stderr, "peak %ld KiB\n", usage.ru_maxrss);
        return status;
}
