/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "services/dispatcher/outcome.h"
#include "wire/path.h"
#include "wire/result.h"

/* Codes of agents that say that a job's end was not seen. */
static const char *const lost_codes[] = { "AGENT_RESTARTED", "JOB_LOST", "NODE_DISABLED" };

void outcome_init(Outcome *o) {
        assert(o);

        memset(o, 0, sizeof *o);
}

void outcome_done(Outcome *o) {
        assert(o);

        free(o->code);
        free(o->error);
        free(o->errors);
        free(o->objects);
        for (size_t i = 0; i < o->end.n_targets; i++)
                run_target_done(o->targets + i);
        outcome_init(o);
}

static int conclude(Outcome *o, RunState state, const char *code, const char *text) {
        o->end.state = state;
        o->end.error_code = code;
        if (!text)
                return 0;
        free(o->error);
        o->error = strdup(text);
        o->end.error = o->error;
        return o->error ? 0 : -ENOMEM;
}

static int add_state(Outcome *o, const RunEnd *earlier) {
        assert(o);
        assert(earlier);

        if (earlier->state != RUN_SUCCEEDED && (o->end.state == RUN_SUCCEEDED || o->end.state == RUN_MISSED))
                return conclude(o, earlier->state, earlier->error_code, earlier->error);
        /* A part was done: missed is what was not begun at all. */
        if (o->end.state == RUN_MISSED)
                o->end.state = RUN_PARTIAL;
        return 0;
}

static int keep_code(Outcome *o) {
        int r;

        if (!o->end.error_code)
                return 0;
        r = free_and_strdup(&o->code, o->end.error_code);
        o->end.error_code = o->code;
        return MIN(r, 0);
}

int outcome_add(Outcome *o, const Outcome *earlier) {
        int r;

        assert(o);
        assert(earlier);

        o->end.bytes_read += earlier->end.bytes_read;
        o->end.bytes_written += earlier->end.bytes_written;
        o->end.files += earlier->end.files;
        o->end.skipped += earlier->end.skipped;
        o->end.errors_total += earlier->end.errors_total;
        if (!o->errors && earlier->errors) {
                o->errors = strdup(earlier->errors);
                if (!o->errors)
                        return -ENOMEM;
                o->end.errors = o->errors;
        }
        r = add_state(o, &earlier->end);
        /* Codes belong to the commands, which the caller may let go of. */
        return r < 0 ? r : keep_code(o);
}

/* Ends that no result makes better. Gives false where the result decides. */
static bool ended_badly(const Command *c) {
        return c->state == COMMAND_FAILED || c->state == COMMAND_CANCELLED;
}

static int conclude_as_told(Outcome *o, const Command *c) {
        if (c->state == COMMAND_CANCELLED)
                return conclude(o, RUN_CANCELLED, c->error_code, c->error);
        return conclude(o, RUN_FAILED, c->error_code ? c->error_code : "JOB_FAILED",
                        c->error ? c->error : "The job failed and did not say why");
}

/* A result that is not what it should be. */
static int conclude_invalid(Outcome *o, const Command *c, const char *why) {
        return ended_badly(c) ? conclude_as_told(o, c) : conclude(o, RUN_FAILED, "RESULT_INVALID", why);
}

/* --- Backups --- */

/* The prefix that the spec gave this target; NULL: it is not in the spec. */
static const char *spec_prefix(const json_t *spec, uint64_t target_id) {
        const json_t *targets = json_object_get(spec, "targets"), *t;
        size_t i;

        json_array_foreach((json_t *) targets, i,
                           t) if ((uint64_t) json_integer_value(json_object_get(t, "id")) ==
                                  target_id) return json_string_value(json_object_get(t, "prefix"));
        return NULL;
}

/* A job writes under the name of its own attempt and nowhere else. */
static bool key_is_ours(const json_t *spec, const ResultTarget *t, uint32_t attempt) {
        _cleanup_(freep) char *key = NULL;
        const char *prefix = spec_prefix(spec, t->target_id);

        if (!prefix || !t->key || asprintf_safe(&key, "%s%" PRIu32 "/", prefix, attempt) < 0)
                return false;
        return streq(key, t->key);
}

static const ResultTarget *find_result(const BackupOutcome *b, uint64_t target_id) {
        for (size_t i = 0; i < b->n_targets; i++)
                if (b->targets[i].target_id == target_id)
                        return b->targets + i;
        return NULL;
}

static int fail_target(RunTarget *t, const char *code, const char *text) {
        t->state = RUN_TARGET_FAILED;
        t->error_code = strdup(code);
        t->error = strdup(text);
        return t->error_code && t->error ? 0 : -ENOMEM;
}

static bool spec_is_repository(const json_t *spec) {
        return streq_ptr(json_string_value(json_object_get(spec, "format")), FORMAT_REPOSITORY);
}

/* The place of a repository is the one that the spec named, whatever the attempt. */
static int judge_snapshot(const json_t *spec, const ResultTarget *found, RunTarget *t) {
        const char *prefix = spec_prefix(spec, found->target_id);

        if (!found->snapshot)
                return fail_target(t, "RESULT_INVALID", "The job reported no snapshot for this target");
        if (!prefix || !streq_ptr(prefix, found->key))
                return fail_target(t, "RESULT_INVALID", "The job reported a place that it was not given");
        t->state = RUN_TARGET_SUCCEEDED;
        t->size = found->size;
        t->key = strdup(found->key);
        t->snapshot = strdup(found->snapshot);
        return t->key && t->snapshot ? 0 : -ENOMEM;
}

static int judge_target(const json_t *spec, const Command *c, const BackupOutcome *b, RunTarget *t) {
        const ResultTarget *found = find_result(b, t->target_id);
        char hex[65];

        assert(c);
        assert(b);

        if (!found)
                return fail_target(t, "TARGET_NOT_WRITTEN", "The job did not report about this target");
        if (!found->succeeded)
                return fail_target(t, "TARGET_FAILED",
                                   found->error ? found->error : "The job did not say why");
        if (spec_is_repository(spec))
                return judge_snapshot(spec, found, t);
        if (found->snapshot)
                return fail_target(t, "RESULT_INVALID", "The job reported a snapshot instead of an archive");
        if (!b->has_manifest || memcmp(found->sha256, b->manifest_sha256, sizeof found->sha256) != 0)
                return fail_target(t, "RESULT_INVALID", "The job reported another manifest for this target");
        if (!key_is_ours(spec, found, c->attempt))
                return fail_target(t, "RESULT_INVALID", "The job reported a place that it was not given");
        t->state = RUN_TARGET_SUCCEEDED;
        t->size = found->size;
        t->key = strdup(found->key);
        t->sha256 = strdup(hex_encode(found->sha256, sizeof found->sha256, hex));
        return t->key && t->sha256 ? 0 : -ENOMEM;
}

static int judge_targets(const json_t *spec, const RunTargetList *targets, const Command *c,
                         const BackupOutcome *b, Outcome *o, size_t *ret_committed) {
        size_t n = MIN(targets->n, ELEMENTSOF(o->targets)), committed = 0;

        o->end.targets = o->targets;
        for (size_t i = 0; i < n; i++) {
                RunTarget *t = o->targets + i;
                int r;

                t->target_id = targets->items[i].target_id;
                o->end.n_targets = i + 1;
                r = judge_target(spec, c, b, t);
                if (r < 0)
                        return r;
                committed += t->state == RUN_TARGET_SUCCEEDED;
        }
        *ret_committed = committed;
        return 0;
}

static int format_part(json_t *result, const char *key, char **ret) {
        const json_t *part = json_object_get(result, key);

        return part ? json_format(part, ret, NULL) : 0;
}

/* What every kind of result has. */
static void take_figures(Outcome *o, const ResultFigures *figures) {
        o->end.bytes_read = figures->bytes_read;
        o->end.bytes_written = figures->bytes_written;
        o->end.files = figures->files;
        o->end.skipped = figures->skipped;
        o->end.errors_total = figures->errors_total;
}

static void take_counts(Outcome *o, const BackupOutcome *b) {
        assert(o);
        assert(b);

        o->end.files_new = b->files_new;
        o->end.files_changed = b->files_changed;
        o->end.files_unchanged = b->files_unchanged;
        o->end.bytes_new = b->bytes_new;
        o->end.bytes_total = b->bytes_total;
}

static int explain_errors(Outcome *o, const ResultFigures *figures, uint64_t total, const char *what) {
        _cleanup_(freep) char *path = NULL, *text = NULL;
        const ResultError *errors = figures->errors;
        int r;

        if (figures->n_errors == 0 || !errors[0].path)
                r = asprintf_safe(&text, "%" PRIu64 " paths could not be %s", total, what);
        else {
                r = path_display(errors[0].path, &path);
                if (r < 0)
                        return r;
                r = asprintf_safe(&text, "%" PRIu64 " %s could not be %s; the first is %s: %s", total,
                                  total == 1 ? "path" : "paths", what, path, errors[0].message);
        }
        if (r < 0)
                return r;
        return conclude(o, RUN_PARTIAL, "PATHS_FAILED", text);
}

static int explain_targets(Outcome *o, size_t committed) {
        _cleanup_(freep) char *text = NULL;
        const char *why = NULL;
        int r;

        assert(o);

        for (size_t i = 0; i < o->end.n_targets && !why; i++)
                why = o->targets[i].error;
        r = asprintf_safe(&text, "%zu of %zu targets hold the backup: %s", committed, o->end.n_targets,
                          why ? why : "the others did not report");
        if (r < 0)
                return r;
        return conclude(o, committed > 0 ? RUN_PARTIAL : RUN_FAILED, "TARGETS_FAILED", text);
}

/* The worse of what the agent says and of what it shows. */
static int judge_backup_state(const Command *c, const BackupOutcome *b, size_t committed, Outcome *o) {
        assert(c);
        assert(b);
        assert(o);

        if (ended_badly(c))
                return conclude_as_told(o, c);
        if (committed < o->end.n_targets || committed == 0)
                return explain_targets(o, committed);
        if (c->state == COMMAND_PARTIAL && c->error)
                return conclude(o, RUN_PARTIAL, c->error_code, c->error);
        if (b->lost_total > 0)
                return explain_errors(o, &b->figures, b->lost_total, "backed up completely");
        if (c->state == COMMAND_PARTIAL)
                return conclude(o, RUN_PARTIAL, "JOB_PARTIAL", "The job did not say what is missing");
        return conclude(o, RUN_SUCCEEDED, NULL, NULL);
}

static int judge_backup(const Run *run, const RunTargetList *targets, const Command *c, json_t *result,
                        Outcome *o) {
        _cleanup_(backup_outcome_done) BackupOutcome b = BACKUP_OUTCOME_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *spec = NULL;
        size_t committed;
        int r;

        assert(run);
        assert(o);

        r = backup_outcome_parse(result, &b, &failure);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return conclude_invalid(o, c, failure_message(&failure, r));
        if (run->spec) {
                r = json_parse_text(run->spec, &spec, NULL);
                if (r == -ENOMEM)
                        return r;
        }
        take_figures(o, &b.figures);
        o->end.first_read = b.first_read_usec;
        r = judge_targets(spec, targets, c, &b, o, &committed);
        if (r < 0)
                return r;
        r = format_part(result, "errors", &o->errors);
        if (r >= 0)
                r = format_part(result, "objects", &o->objects);
        if (r < 0)
                return r;
        o->end.errors = o->errors;
        o->end.objects = o->objects;
        if (committed > 0)
                o->end.format = spec_is_repository(spec) ? FORMAT_REPOSITORY : FORMAT_ARCHIVE;
        if (b.has_counts)
                take_counts(o, &b);
        if (b.has_manifest && committed > 0 && !spec_is_repository(spec)) {
                hex_encode(b.manifest_sha256, sizeof b.manifest_sha256, o->manifest_sha256);
                o->end.manifest_sha256 = o->manifest_sha256;
        }
        return judge_backup_state(c, &b, committed, o);
}

/* --- Restores --- */

static int judge_restore(const Command *c, json_t *result, Outcome *o) {
        _cleanup_(restore_outcome_done) RestoreOutcome x = RESTORE_OUTCOME_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(c);
        assert(o);

        r = restore_outcome_parse(result, &x, &failure);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return conclude_invalid(o, c, failure_message(&failure, r));
        take_figures(o, &x.figures);
        r = format_part(result, "errors", &o->errors);
        if (r < 0)
                return r;
        o->end.errors = o->errors;

        if (ended_badly(c))
                return conclude_as_told(o, c);
        if (c->state == COMMAND_PARTIAL && c->error)
                return conclude(o, RUN_PARTIAL, c->error_code, c->error);
        if (o->end.errors_total > 0)
                return explain_errors(o, &x.figures, x.figures.errors_total, "restored");
        if (c->state == COMMAND_PARTIAL)
                return conclude(o, RUN_PARTIAL, "JOB_PARTIAL", "The job did not say what is missing");
        return conclude(o, RUN_SUCCEEDED, NULL, NULL);
}

/* --- All --- */

static bool code_is_lost(const char *code) {
        for (size_t i = 0; i < ELEMENTSOF(lost_codes); i++)
                if (streq_ptr(code, lost_codes[i]))
                        return true;
        return false;
}

/* Ends that need no result. Gives 1 when it was one of them. */
static int judge_without_result(const Run *run, const Command *c, Outcome *o) {
        int r;

        assert(run);

        if (c->state == COMMAND_TIMEOUT)
                r = conclude(o, RUN_INTERRUPTED, "AGENT_SILENT",
                             "The agent was not heard for ten minutes while the run was on it");
        else if (c->state == COMMAND_CANCELLED && streq_ptr(c->error_code, "DEADLINE_PASSED") &&
                 !run->cancel)
                r = conclude(o, RUN_MISSED, "DEADLINE_PASSED",
                             "The run waited for its node until its time was over; was the agent offline?");
        else if (c->state == COMMAND_FAILED && code_is_lost(c->error_code))
                r = conclude(o, RUN_INTERRUPTED, c->error_code,
                             c->error ? c->error : "The agent lost the job");
        else if (c->result)
                return 0;
        else
                r = conclude_invalid(o, c, "The agent reported an end without a result");
        return r < 0 ? r : 1;
}

int outcome_judge(const Run *run, const RunTargetList *targets, const Command *command, Outcome *ret) {
        _cleanup_json_ json_t *result = NULL;
        int r;

        assert(run);
        assert(targets);
        assert(command);
        assert(ret);

        outcome_init(ret);
        r = judge_without_result(run, command, ret);
        if (r != 0)
                return r < 0 ? r : 0;
        r = json_parse_text(command->result, &result, NULL);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || !json_is_object(result))
                return conclude_invalid(ret, command, "The result of the agent is not readable");
        switch (run->kind) {
        case RUN_BACKUP:
                return judge_backup(run, targets, command, result, ret);
        case RUN_RESTORE:
        case RUN_PRUNE:
        case RUN_VERIFY: /* reports the same figures, and what it found as the end of the command */
                return judge_restore(command, result, ret);
        case _RUN_KIND_MAX:
        case _RUN_KIND_INVALID:
                break;
        }
        return conclude(ret, RUN_FAILED, "RUN_UNKNOWN", "This version does not know such runs");
}
