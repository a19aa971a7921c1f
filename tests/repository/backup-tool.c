/* SPDX-License-Identifier: Apache-2.0 */

/* Backs up into repositories of restic's format, without daemons: backup-tool [options] SOURCE…
 *
 *   --repository DIR  (repeatable; or @FILE, see tool-storage.h); the password is in $RESTIC_PASSWORD
 *   --init            makes them, with one polynomial
 *   --derived         makes their master key of the password, as jobs do
 *   --stream NAME     standard input as a file of this name; the sources say what it is of
 *   --time-ahead SEC  the run says that it began so much later
 *   --lock-times MS MS MS  of a refresh, after one that failed, until it is given up
 *   --exclude P  --level N  --host NAME  --uploads N  --no-verify  --cancel-after MS  --index-interval MS
 *   --one-file-system  --follow-symlinks  --source-stall MS
 *
 * Log lines go to stderr, the result as JSON to stdout. Exit status: 0 succeeded, 3 partial, 4 failed, 5
 * cancelled. */

#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "repository/backup.h"
#include "repository/polynomial.h"
#include "tests/repository/tool-storage.h"
#include "tests/storage/tool.h"
#include "wire/json.h"

typedef struct Tool {
        BackupArgs args;
        RepoBackupArgs repo_args;
        BackupTarget targets[BACKUP_TARGETS_MAX];
        Repository *repositories[BACKUP_TARGETS_MAX];
        RepoStream stream;
        char **folders, **paths, **excludes;
        ToolCancel cancel;
        bool init, derived;
} Tool;

static void check(const char *what, int r) {
        if (r < 0)
                tool_die(what, NULL, r);
}

static ssize_t stream_read(void *userdata, void *buf, size_t n) {
        return read_full(STDIN_FILENO, buf, n);
}

static usec_t msec(const char *text) {
        return (usec_t) atoi(text) * USEC_PER_MSEC;
}

/* Times, and what of the sources is taken. */
static void parse_limit(Tool *t, int c, char *argv[]) {
        switch (c) {
        case 'c':
                t->cancel.after = (unsigned) atoi(optarg);
                break;
        case 'o':
                t->args.one_file_system = true;
                break;
        case 'f':
                t->args.follow_symlinks = true;
                break;
        case 's':
                t->args.source_stall = msec(optarg);
                break;
        case 'I':
                t->repo_args.index_interval = msec(optarg);
                break;
        case 'T':
                t->repo_args.started = moment_now();
                t->repo_args.started.sec += atoi(optarg);
                break;
        case 'L':
                t->repo_args.lock_times.refresh = msec(optarg);
                t->repo_args.lock_times.retry = msec(argv[optind++]);
                t->repo_args.lock_times.give_up = msec(argv[optind++]);
                break;
        default:
                exit(2);
        }
}

static void parse_option(Tool *t, int c, char *argv[]) {
        switch (c) {
        case 'r':
                check("memory", strv_extend(&t->folders, optarg));
                break;
        case 'i':
                t->init = true;
                break;
        case 'd':
                t->derived = true;
                break;
        case 'x':
                t->stream = (RepoStream){ .name = optarg, .read = stream_read };
                t->repo_args.stream = &t->stream;
                break;
        case 'e':
                check("memory", strv_extend(&t->excludes, optarg));
                break;
        case 'l':
                t->args.level = atoi(optarg);
                break;
        case 'h':
                t->repo_args.hostname = optarg;
                break;
        case 'u':
                t->repo_args.uploads = (unsigned) atoi(optarg);
                break;
        case 'n':
                t->repo_args.skip_verify = true;
                break;
        default:
                parse_limit(t, c, argv);
        }
}

static void parse_argv(Tool *t, int argc, char *argv[]) {
        static const struct option options[] = {
                { "repository", required_argument, NULL, 'r' },
                { "init", no_argument, NULL, 'i' },
                { "derived", no_argument, NULL, 'd' },
                { "stream", required_argument, NULL, 'x' },
                { "exclude", required_argument, NULL, 'e' },
                { "level", required_argument, NULL, 'l' },
                { "host", required_argument, NULL, 'h' },
                { "uploads", required_argument, NULL, 'u' },
                { "no-verify", no_argument, NULL, 'n' },
                { "cancel-after", required_argument, NULL, 'c' },
                { "time-ahead", required_argument, NULL, 'T' },
                { "lock-times", required_argument, NULL, 'L' },
                { "index-interval", required_argument, NULL, 'I' },
                { "one-file-system", no_argument, NULL, 'o' },
                { "follow-symlinks", no_argument, NULL, 'f' },
                { "source-stall", required_argument, NULL, 's' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                parse_option(t, c, argv);
        for (; optind < argc; optind++)
                check("memory", strv_extend(&t->paths, argv[optind]));
}

/* --- Repositories ------------------------------------------------------------------------------------- */

static void open_repository(Tool *t, const char *folder, uint64_t polynomial) {
        RepositoryArgs args = { .prefix = "", .password = getenv("RESTIC_PASSWORD") };
        RepositoryNew new = {
                .chunker_polynomial = polynomial, .chunker = CHUNKER_GEAR, .derived = t->derived
        };
        Failure failure = FAILURE_NULL;
        size_t n = t->args.n_targets++;
        int r;

        r = tool_storage_open(folder, n + 1, &t->cancel.flag, &t->targets[n].storage, &failure);
        args.storage = t->targets[n].storage;
        if (r >= 0 && t->init)
                r = repository_init(&args, &new, &failure);
        if (r >= 0)
                r = repository_open(&args, &t->repositories[n], &failure);
        if (r < 0)
                tool_die("repository", &failure, r);
}

static void open_repositories(Tool *t) {
        uint64_t polynomial = 0;

        check("polynomial", polynomial_random(&polynomial));
        STRV_FOREACH(folder, t->folders)
                if (t->args.n_targets < BACKUP_TARGETS_MAX)
                        open_repository(t, *folder, polynomial);
}

/* --- The result --------------------------------------------------------------------------------------- */

static void set_number(json_t *o, const char *key, uint64_t n) {
        check(key, json_set(o, key, json_integer((json_int_t) n)));
}

static void set_text(json_t *o, const char *key, const char *s) {
        check(key, json_set(o, key, json_string(strempty(s))));
}

static json_t *errors_json(const BackupResult *r) {
        json_t *a = json_array();

        for (size_t i = 0; i < r->n_errors; i++) {
                json_t *o = json_object();

                set_text(o, "path", r->errors[i].path);
                set_text(o, "code", r->errors[i].code);
                set_text(o, "message", r->errors[i].message);
                check("lost", json_set(o, "lost", json_boolean(r->errors[i].lost)));
                check("error", json_append(a, o));
        }
        return a;
}

static json_t *targets_json(const RepoBackupResult *r) {
        json_t *a = json_array();

        for (size_t i = 0; i < r->base.n_targets; i++) {
                const BackupTargetResult *t = &r->base.targets[i];
                char hex[ID_HEX_SIZE];
                json_t *o = json_object();

                check("succeeded", json_set(o, "succeeded", json_boolean(t->succeeded)));
                set_number(o, "size", t->size);
                set_text(o, "code", t->failure.code);
                set_text(o, "error", t->failure.message);
                set_text(o, "snapshot", t->succeeded ? id_to_hex(&r->snapshots[i], hex) : "");
                check("target", json_append(a, o));
        }
        return a;
}

static void print_result(const RepoBackupResult *r) {
        const TreeCounts *c = &r->counts;
        json_t *o = json_object();

        set_text(o, "state", archive_state_to_string(r->base.state));
        set_text(o, "code", r->base.failure.code);
        set_text(o, "message", r->base.failure.message);
        set_number(o, "bytes_read", r->base.bytes_read);
        set_number(o, "bytes_written", r->base.bytes_written);
        set_number(o, "files", r->base.files);
        set_number(o, "directories", r->base.directories);
        set_number(o, "skipped", r->base.skipped);
        set_number(o, "lost_total", r->base.lost_total);
        set_number(o, "files_new", c->files_new);
        set_number(o, "files_changed", c->files_changed);
        set_number(o, "files_unchanged", c->files_unchanged);
        set_number(o, "dirs_new", c->dirs_new);
        set_number(o, "dirs_changed", c->dirs_changed);
        set_number(o, "dirs_unchanged", c->dirs_unchanged);
        set_number(o, "bytes", c->bytes);
        set_number(o, "new_blobs", r->new_blobs);
        set_number(o, "new_bytes", r->new_bytes);
        check("errors", json_set(o, "errors", errors_json(&r->base)));
        check("targets", json_set(o, "targets", targets_json(r)));
        tool_print(o);
}

static int run(Tool *t, Failure *reterr_failure) {
        _cleanup_(repo_backup_result_done) RepoBackupResult result = REPO_BACKUP_RESULT_NULL;
        int r;

        tool_cancel_start(&t->cancel);
        r = repository_backup(&t->repo_args, &result, reterr_failure);
        if (r < 0)
                return r;
        print_result(&result);
        return tool_status(result.base.state);
}

int main(int argc, char *argv[]) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        Tool t = { .args.level = 3, .repo_args = { .hostname = "host", .username = "root" } };
        int r;

        parse_argv(&t, argc, argv);
        open_repositories(&t);
        t.args.targets = t.targets;
        t.args.paths = t.paths;
        t.args.excludes = t.excludes;
        t.args.cancel = &t.cancel.flag;
        t.args.on_log = tool_log;
        t.repo_args.args = &t.args;
        t.repo_args.repositories = t.repositories;
        r = run(&t, &failure);
        if (r < 0)
                tool_die("backup", &failure, r);
        for (size_t i = 0; i < t.args.n_targets; i++) {
                repository_free(t.repositories[i]);
                storage_free(t.targets[i].storage);
        }
        strv_free(t.folders);
        strv_free(t.paths);
        strv_free(t.excludes);
        return r;
}
