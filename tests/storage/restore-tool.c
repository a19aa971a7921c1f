/* SPDX-License-Identifier: Apache-2.0 */

/* Runs the restore and the browse of lib/archive alone, for tests: restore-tool [options] [PATH…]
 *
 * --target DIR           a local target with a copy (repeatable)    --key PREFIX      default "run/"
 * --identity AGE-SECRET-KEY-1…                                      --manifest HEX    SHA-256 of the
 * manifest --destination DIR or --in-place                                   --conflict RULE   default
 * "fail" --refuse DIR           what the policy refuses                    --cancel-after MS --browse PATH
 * --limit N --cursor C   one page of a directory instead
 *
 * Log lines go to stderr, the result as JSON to stdout. Exit status: 0 succeeded, 3 partial, 4 failed, 5
 * cancelled. */

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "archive/browse.h"
#include "archive/manifest.h"
#include "base/encode.h"
#include "base/parse.h"
#include "base/text.h"
#include "tests/storage/tool.h"
#include "wire/path.h"

#define COPIES_MAX 4

typedef struct Tool {
        RestoreArgs args;
        ArchivePlace copies[COPIES_MAX];
        const char *key, *refuse, *browse, *cursor;
        char **paths;
        uint8_t manifest[SHA256_SIZE];
        uint8_t keys[3][AGE_FILE_KEY_SIZE];
        AgeIdentity identity;
        uint64_t limit;
        ToolCancel cancel;
        uint64_t progress;
} Tool;

static void add_target(Tool *t, const char *path) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        json_t *config = json_pack("{s:s}", "path", path);
        size_t n = t->args.source.n_copies++;
        StorageConfig c = { .id = n + 1, .type = "local", .config = config, .cancel = &t->cancel.flag };
        int r;

        if (n >= COPIES_MAX)
                exit(2);
        r = storage_open(&c, &t->copies[n].storage, &failure);
        if (r < 0)
                tool_die("target", &failure, r);
        json_decref(config);
}

static void parse_number(const char *text, uint64_t *ret) {
        if (parse_u64(text, 0, UINT32_MAX, ret) < 0)
                exit(2);
}

static void parse_option(Tool *t, int c) {
        switch (c) {
        case 't':
                add_target(t, optarg);
                break;
        case 'k':
                t->key = optarg;
                break;
        case 'i':
                if (age_identity_parse(optarg, &t->identity) < 0)
                        exit(2);
                t->args.source.encrypted = true;
                break;
        case 'm':
                if (hex_decode(optarg, t->manifest, sizeof(t->manifest)) < 0)
                        exit(2);
                t->args.source.manifest_sha256 = t->manifest;
                break;
        case 'd':
                t->args.destination = optarg;
                break;
        case 'p':
                t->args.in_place = true;
                break;
        case 'c':
                t->args.conflict = restore_conflict_from_string(optarg);
                break;
        case 'r':
                t->refuse = optarg;
                break;
        case 'b':
                t->browse = optarg;
                break;
        case 'l':
                parse_number(optarg, &t->limit);
                break;
        case 'C':
                t->cursor = optarg;
                break;
        case 'a':
                parse_number(optarg, &t->cancel.after);
                break;
        case '?':
                exit(2);
        }
}

static void parse_argv(Tool *t, int argc, char *argv[]) {
        static const struct option options[] = {
                { "target", required_argument, NULL, 't' },
                { "key", required_argument, NULL, 'k' },
                { "identity", required_argument, NULL, 'i' },
                { "manifest", required_argument, NULL, 'm' },
                { "destination", required_argument, NULL, 'd' },
                { "in-place", no_argument, NULL, 'p' },
                { "conflict", required_argument, NULL, 'c' },
                { "refuse", required_argument, NULL, 'r' },
                { "browse", required_argument, NULL, 'b' },
                { "limit", required_argument, NULL, 'l' },
                { "cursor", required_argument, NULL, 'C' },
                { "cancel-after", required_argument, NULL, 'a' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                parse_option(t, c);
        for (; optind < argc; optind++)
                if (strv_extend(&t->paths, argv[optind]) < 0)
                        exit(2);
}

/* What the dispatcher does: the file key of an object from its header. */
static void unwrap(Tool *t, const char *name, uint8_t ret[static AGE_FILE_KEY_SIZE]) {
        AgeKeys keys = { .identities = &t->identity, .n_identities = 1 };
        char header[4096], key[4096];
        size_t length;
        ssize_t n = -ENOENT;
        int r;

        (void) snprintf(key, sizeof(key), "%s%s%s", t->key, name, ARCHIVE_AGE_SUFFIX);
        for (size_t i = 0; i < t->args.source.n_copies && n <= 0; i++)
                n = storage_read_at(t->copies[i].storage, key, 0, header, sizeof(header), NULL);
        r = n < 0 ? (int) n : age_header_length(header, (size_t) n, &length);
        if (r >= 0)
                r = age_header_unwrap(header, length, &keys, ret);
        if (r < 0)
                tool_die("file key", NULL, r);
}

static void on_progress(void *userdata, const RestoreProgress *p) {
        Tool *t = userdata;

        t->progress++;
        if (p->bytes_total > 0 && p->bytes_read > p->bytes_total)
                fprintf(stderr, "progress: %" PRIu64 " of %" PRIu64 "\n", p->bytes_read, p->bytes_total);
}

static int allowed(void *userdata, const char *path) {
        const Tool *t = userdata;

        fprintf(stderr, "asked: %s\n", path);
        return t->refuse && startswith(path, t->refuse) ? -EACCES : 0;
}

static json_t *errors_json(const RestoreResult *r) {
        json_t *a = json_array();

        for (size_t i = 0; i < r->n_errors; i++)
                if (json_append(a,
                                json_pack("{s:o,s:s,s:s}", "path", json_from_path(r->errors[i].path),
                                          "code", r->errors[i].code, "message", r->errors[i].message)) <
                    0)
                        exit(2);
        return a;
}

static void print_result(const RestoreResult *r) {
        struct rusage usage;

        (void) getrusage(RUSAGE_SELF, &usage);
        tool_print(json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:I}", "state",
                             archive_state_to_string(r->state), "code", r->failure.code, "message",
                             strempty(r->failure.message), "bytes_read", (json_int_t) r->bytes_read,
                             "bytes_written", (json_int_t) r->bytes_written, "files", (json_int_t) r->files,
                             "directories", (json_int_t) r->directories, "skipped", (json_int_t) r->skipped,
                             "errors_total", (json_int_t) r->errors_total, "errors", errors_json(r),
                             "peak_kib", (json_int_t) usage.ru_maxrss));
}

static int browse(Tool *t) {
        _cleanup_(browse_result_done) BrowseResult result = BROWSE_RESULT_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        BrowseArgs args = {
                .source = t->args.source, .path = t->browse, .limit = t->limit, .cursor = t->cursor
        };
        json_t *a = json_array();
        int r;

        r = archive_browse(&args, &result, &failure);
        if (r < 0) {
                json_decref(a);
                tool_print(json_pack("{s:s,s:s}", "code", failure.code, "message",
                                     failure_message(&failure, r)));
                return 4;
        }
        for (size_t i = 0; i < result.n_entries; i++) {
                const Member *m = &result.entries[i].member;

                if (json_append(a,
                                json_pack("{s:o,s:s,s:I}", "path", json_from_path(m->path), "type",
                                          member_type_to_string(m->type), "size",
                                          (json_int_t) m->size)) < 0)
                        exit(2);
        }
        tool_print(json_pack("{s:o,s:s?}", "entries", a, "next_cursor", result.next_cursor));
        return 0;
}

static int restore(Tool *t) {
        _cleanup_(restore_result_done) RestoreResult result = RESTORE_RESULT_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        tool_cancel_start(&t->cancel);
        r = archive_restore(&t->args, &result, &failure);
        if (r < 0)
                tool_die("restore", &failure, r);
        print_result(&result);
        return tool_status(result.state);
}

int main(int argc, char *argv[]) {
        Tool t = { .key = "run/", .limit = 1000 };
        ArchiveSource *s = &t.args.source;
        int status;

        parse_argv(&t, argc, argv);
        for (size_t i = 0; i < s->n_copies; i++)
                t.copies[i].key = t.key;
        s->copies = t.copies;
        if (s->encrypted) {
                unwrap(&t, ARCHIVE_DATA, t.keys[0]);
                unwrap(&t, ARCHIVE_ENTRIES, t.keys[1]);
                unwrap(&t, ARCHIVE_MANIFEST, t.keys[2]);
                s->data_key = t.keys[0];
                s->entries_key = t.keys[1];
                s->manifest_key = t.keys[2];
        }
        t.args.paths = t.paths;
        t.args.cancel = &t.cancel.flag;
        t.args.userdata = &t;
        t.args.on_log = tool_log;
        t.args.on_progress = on_progress;
        t.args.allowed = allowed;
        status = t.browse ? browse(&t) : restore(&t);
        for (size_t i = 0; i < s->n_copies; i++)
                storage_free(t.copies[i].storage);
        strv_free(t.paths);
        return status;
}
