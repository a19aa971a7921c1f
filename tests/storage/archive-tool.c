/* SPDX-License-Identifier: Apache-2.0 */

/* Runs lib/archive alone, for tests: archive-tool [options] SOURCE…
 *
 *   --target DIR      a local target (repeatable)      --key PREFIX        default "run/"
 *   --exclude P       (repeatable)                     --recipient age1…   (repeatable)
 *   --level N  --one-file-system  --follow-symlinks    --cancel-after MS
 *   --source-stall MS  --target-stall MS
 *   --volume-max MIB      of one object; more becomes volumes
 *   --relay URL TOKEN ID  a relay target (repeatable)
 *   --storage FILE        a target of any type: JSON with type, config, secrets (repeatable)
 *   --stream PATH         standard input as a file of unknown size; the sources say what it is of
 *
 * Log lines go to stderr, the result as JSON to stdout. Exit status: 0 succeeded, 3 partial, 4 failed, 5
 * cancelled. */

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "archive/streams.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/text.h"
#include "tests/storage/tool.h"
#include "wire/path.h"

typedef struct Tool {
        BackupArgs args;
        BackupTarget targets[BACKUP_TARGETS_MAX];
        AgeRecipient recipients[8];
        char **paths, **excludes;
        const char *key;
        BackupStreams streams;
        const char *stream; /* until it was given */
        ToolCancel cancel;
} Tool;

static void add_target(Tool *t, const char *type, json_t *config, json_t *secrets, const char *url) {
        Failure failure = FAILURE_NULL;
        size_t n = t->args.n_targets++;
        StorageConfig c = {
                .id = n + 1,
                .type = type,
                .config = config,
                .secrets = secrets,
                .context = { .master_url = url, .attempt = 1 },
                .cancel = &t->cancel.flag,
        };
        int r;

        if (n >= BACKUP_TARGETS_MAX)
                exit(2);
        r = storage_open(&c, &t->targets[n].storage, &failure);
        if (r < 0)
                tool_die("target", &failure, r);
        json_decref(config);
        json_decref(secrets);
}

static void add_described(Tool *t, const char *path) {
        json_t *o = json_load_file(path, 0, NULL);

        if (!o)
                exit(2);
        add_target(t, json_string_value(json_object_get(o, "type")),
                   json_incref(json_object_get(o, "config")), json_incref(json_object_get(o, "secrets")),
                   NULL);
        json_decref(o);
}

static void add_recipient(Tool *t, const char *text) {
        int r = age_recipient_parse(text, &t->recipients[t->args.n_recipients++]);

        if (r < 0)
                tool_die("recipient", NULL, r);
}

static int stream_next(void *userdata, BackupStream *ret, Failure *reterr_failure) {
        Tool *t = userdata;

        if (!t->stream)
                return 0;
        ret->path = strdup(t->stream);
        ret->mode = 0600;
        t->stream = NULL;
        return ret->path ? 1 : -ENOMEM;
}

static ssize_t stream_read(void *userdata, void *p, size_t n, Failure *reterr_failure) {
        return read_full(STDIN_FILENO, p, n);
}

static void parse_option(Tool *t, int c, char *argv[]) {
        switch (c) {
        case 't':
                add_target(t, "local", json_pack("{s:s}", "path", optarg), NULL, NULL);
                break;
        case 'r':
                /* URL TOKEN: the second word is the next argument. */
                add_target(t, "relay", json_object(), json_pack("{s:s}", "relay_token", argv[optind]),
                           optarg);
                optind++;
                break;
        case 'k':
                t->key = optarg;
                break;
        case 'e':
                if (strv_extend(&t->excludes, optarg) < 0)
                        exit(2);
                break;
        case 'a':
                add_recipient(t, optarg);
                break;
        case 'l':
                t->args.level = atoi(optarg);
                break;
        case 'o':
                t->args.one_file_system = true;
                break;
        case 'f':
                t->args.follow_symlinks = true;
                break;
        case 'c':
                t->cancel.after = (unsigned) atoi(optarg);
                break;
        case 's':
                t->args.source_stall = (usec_t) atoi(optarg) * USEC_PER_MSEC;
                break;
        case 'S':
                t->args.target_stall = (usec_t) atoi(optarg) * USEC_PER_MSEC;
                break;
        case 'd':
                add_described(t, optarg);
                break;
        case 'v':
                t->args.volume_max = (uint64_t) atoi(optarg) * VOLUME_UNIT;
                break;
        case 'x':
                t->stream = optarg;
                t->streams = (BackupStreams){ t, stream_next, stream_read };
                t->args.streams = &t->streams;
                break;
        case '?':
                exit(2);
        }
}

static void parse_argv(Tool *t, int argc, char *argv[]) {
        static const struct option options[] = {
                { "target", required_argument, NULL, 't' },
                { "relay", required_argument, NULL, 'r' },
                { "key", required_argument, NULL, 'k' },
                { "exclude", required_argument, NULL, 'e' },
                { "recipient", required_argument, NULL, 'a' },
                { "level", required_argument, NULL, 'l' },
                { "one-file-system", no_argument, NULL, 'o' },
                { "follow-symlinks", no_argument, NULL, 'f' },
                { "cancel-after", required_argument, NULL, 'c' },
                { "stream", required_argument, NULL, 'x' },
                { "storage", required_argument, NULL, 'd' },
                { "volume-max", required_argument, NULL, 'v' },
                { "source-stall", required_argument, NULL, 's' },
                { "target-stall", required_argument, NULL, 'S' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                parse_option(t, c, argv);
        for (; optind < argc; optind++)
                if (strv_extend(&t->paths, argv[optind]) < 0)
                        exit(2);
}

static void on_progress(void *userdata, const BackupProgress *p) {
}

static json_t *errors_json(const BackupResult *r) {
        json_t *a = json_array();

        for (size_t i = 0; i < r->n_errors; i++)
                if (json_append(a,
                                json_pack("{s:o,s:s,s:s,s:b}", "path", json_from_path(r->errors[i].path),
                                          "code", r->errors[i].code, "message", r->errors[i].message, "lost",
                                          (int) r->errors[i].lost)) < 0)
                        exit(2);
        return a;
}

static json_t *targets_json(const BackupResult *r) {
        json_t *a = json_array();

        for (size_t i = 0; i < r->n_targets; i++)
                if (json_append(a,
                                json_pack("{s:I,s:b,s:I,s:s,s:s}", "id", (json_int_t) r->targets[i].id,
                                          "succeeded", (int) r->targets[i].succeeded, "size",
                                          (json_int_t) r->targets[i].size, "code",
                                          r->targets[i].failure.code, "error",
                                          strempty(r->targets[i].failure.message))) < 0)
                        exit(2);
        return a;
}

static json_t *objects_json(const BackupResult *r) {
        char hex[SHA256_HEX_SIZE];
        json_t *a = json_array();

        for (size_t i = 0; i < _BACKUP_OBJECTS; i++)
                if (r->objects[i].name &&
                    json_append(a,
                                json_pack("{s:s,s:I,s:I,s:s}", "name", r->objects[i].name, "size",
                                          (json_int_t) r->objects[i].size, "volumes",
                                          (json_int_t) r->objects[i].n_volumes, "sha256",
                                          hex_encode(r->objects[i].sha256, SHA256_SIZE, hex))) < 0)
                        exit(2);
        return a;
}

static void print_result(const BackupResult *r) {
        json_t *o = json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:o}", "state",
                              archive_state_to_string(r->state), "code", r->failure.code, "message",
                              strempty(r->failure.message), "bytes_read", (json_int_t) r->bytes_read,
                              "bytes_written", (json_int_t) r->bytes_written, "files", (json_int_t) r->files,
                              "directories", (json_int_t) r->directories, "skipped", (json_int_t) r->skipped,
                              "errors_total", (json_int_t) r->errors_total, "lost_total",
                              (json_int_t) r->lost_total, "errors", errors_json(r), "targets",
                              targets_json(r), "objects", objects_json(r));

        tool_print(o);
}

int main(int argc, char *argv[]) {
        _cleanup_(backup_result_done) BackupResult result = BACKUP_RESULT_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        Tool t = { .key = "run/", .args.level = 3 };
        int r;

        parse_argv(&t, argc, argv);
        for (size_t i = 0; i < t.args.n_targets; i++)
                t.targets[i].key = t.key;
        t.args.targets = t.targets;
        t.args.recipients = t.recipients;
        t.args.paths = t.paths;
        t.args.excludes = t.excludes;
        t.args.cancel = &t.cancel.flag;
        t.args.run = t.args.attempt = 1;
        t.args.node = "test";
        t.args.task = "test";
        t.args.on_log = tool_log;
        t.args.on_progress = on_progress;
        tool_cancel_start(&t.cancel);
        r = archive_backup(&t.args, &result, &failure);
        if (r < 0)
                tool_die("backup", &failure, r);
        print_result(&result);
        (void) fflush(stdout);
        /* As the job: nobody waits for a thread that hangs. */
        for (size_t i = 0; i < t.args.n_targets; i++)
                if (result.targets[i].abandoned)
                        _exit(tool_status(result.state));
                else
                        storage_free(t.targets[i].storage);
        strv_free(t.paths);
        strv_free(t.excludes);
        return tool_status(result.state);
}
