/* SPDX-License-Identifier: Apache-2.0 */

/* No green that is not: every way in which a result can be worse than it says. */

#include "base/alloc.h"
#include "base/text.h"
#include "services/dispatcher/outcome.h"
#include "tests/test.h"

#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OTHER "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define SPEC \
        "{\"targets\":[{\"id\":5,\"name\":\"disk\",\"prefix\":\"n/t/20261122T221501.123Z-12-\"}," \
        "{\"id\":6,\"name\":\"nas\",\"prefix\":\"n/t/20261122T221501.123Z-12-\"}]}"
#define KEY "n/t/20261122T221501.123Z-12-3/"
#define GOOD(id) \
        "{\"target_id\":" #id ",\"state\":\"succeeded\",\"key\":\"" KEY "\",\"size\":77,\"sha256\":\"" HASH \
        "\"}"
#define BAD(id) "{\"target_id\":" #id ",\"state\":\"failed\",\"error\":\"the disk is full\"}"
#define NUMBERS "\"bytes_read\":100,\"bytes_written\":50,\"files\":3,\"skipped\":1,\"first_read_usec\":9"
#define ONE_ERROR \
        "\"errors\":[{\"path\":\"/etc/shadow\",\"code\":\"EACCES\",\"message\":\"Permission denied\"}]," \
        "\"errors_total\":1"
#define NO_ERRORS "\"errors\":[],\"errors_total\":0"
#define MANIFEST "\"manifest_sha256\":\"" HASH "\""
#define OBJECTS \
        "\"objects\":[{\"name\":\"data.tar.zst\",\"size\":50,\"sha256\":\"" HASH "\",\"age_header\":null}]"
#define RESULT(targets, errors) \
        "{" NUMBERS "," errors "," MANIFEST "," OBJECTS ",\"targets\":[" targets "]}"

typedef struct Case {
        const char *name;
        CommandState command;
        const char *code;
        const char *error;
        const char *result;

        RunState state;
        const char *end_code;
        unsigned committed;
} Case;

static const Case cases[] = {
        { "all is well", COMMAND_SUCCEEDED, NULL, NULL, RESULT(GOOD(5) "," GOOD(6), NO_ERRORS),
          RUN_SUCCEEDED, NULL, 2 },
        { "one target failed", COMMAND_PARTIAL, NULL, NULL, RESULT(GOOD(5) "," BAD(6), NO_ERRORS),
          RUN_PARTIAL, "TARGETS_FAILED", 1 },
        { "one target failed, and the agent says it is green", COMMAND_SUCCEEDED, NULL, NULL,
          RESULT(GOOD(5) "," BAD(6), NO_ERRORS), RUN_PARTIAL, "TARGETS_FAILED", 1 },
        { "one target is not told of", COMMAND_SUCCEEDED, NULL, NULL, RESULT(GOOD(5), NO_ERRORS),
          RUN_PARTIAL, "TARGETS_FAILED", 1 },
        { "one target told of twice", COMMAND_SUCCEEDED, NULL, NULL, RESULT(GOOD(5) "," GOOD(5), NO_ERRORS),
          RUN_PARTIAL, "TARGETS_FAILED", 1 },
        { "targets of somebody else", COMMAND_SUCCEEDED, NULL, NULL, RESULT(GOOD(7) "," GOOD(8), NO_ERRORS),
          RUN_FAILED, "TARGETS_FAILED", 0 },
        { "no target", COMMAND_SUCCEEDED, NULL, NULL, RESULT("", NO_ERRORS), RUN_FAILED, "TARGETS_FAILED",
          0 },
        { "both targets failed", COMMAND_SUCCEEDED, NULL, NULL, RESULT(BAD(5) "," BAD(6), NO_ERRORS),
          RUN_FAILED, "TARGETS_FAILED", 0 },
        { "a file could not be read", COMMAND_PARTIAL, NULL, NULL, RESULT(GOOD(5) "," GOOD(6), ONE_ERROR),
          RUN_PARTIAL, "PATHS_FAILED", 2 },
        { "a file could not be read, and the agent says it is green", COMMAND_SUCCEEDED, NULL, NULL,
          RESULT(GOOD(5) "," GOOD(6), ONE_ERROR), RUN_PARTIAL, "PATHS_FAILED", 2 },
        { "errors without a count", COMMAND_SUCCEEDED, NULL, NULL,
          RESULT(GOOD(5) "," GOOD(6),
                 "\"errors\":[{\"path\":\"/x\",\"code\":\"E\",\"message\":\"m\"}],"
                 "\"errors_total\":0"),
          RUN_PARTIAL, "PATHS_FAILED", 2 },
        { "a file grew while it was read: all of it that was asked for is there", COMMAND_SUCCEEDED, NULL,
          NULL, RESULT(GOOD(5) "," GOOD(6), ONE_ERROR ",\"lost_total\":0"), RUN_SUCCEEDED, NULL, 2 },
        { "a file shrank, and the agent says it is green", COMMAND_SUCCEEDED, NULL, NULL,
          RESULT(GOOD(5) "," GOOD(6), ONE_ERROR ",\"lost_total\":1"), RUN_PARTIAL, "PATHS_FAILED", 2 },
        { "more was lost than there are errors, and the agent says it is green", COMMAND_SUCCEEDED, NULL,
          NULL, RESULT(GOOD(5) "," GOOD(6), NO_ERRORS ",\"lost_total\":5"), RUN_PARTIAL, "PATHS_FAILED", 2 },
        { "partial without a reason", COMMAND_PARTIAL, NULL, NULL, RESULT(GOOD(5) "," GOOD(6), NO_ERRORS),
          RUN_PARTIAL, "JOB_PARTIAL", 2 },
        { "partial with a reason", COMMAND_PARTIAL, "SOURCE_CHANGED", "it grew",
          RESULT(GOOD(5) "," GOOD(6), NO_ERRORS), RUN_PARTIAL, "SOURCE_CHANGED", 2 },
        { "failed, whatever the targets say", COMMAND_FAILED, "DISK", "full",
          RESULT(GOOD(5) "," GOOD(6), NO_ERRORS), RUN_FAILED, "DISK", 2 },
        { "failed without a word", COMMAND_FAILED, NULL, NULL, NULL, RUN_FAILED, "JOB_FAILED", 0 },
        { "failed with an empty result", COMMAND_FAILED, "JOB_KILLED", "killed", "{}", RUN_FAILED,
          "JOB_KILLED", 0 },
        { "cancelled", COMMAND_CANCELLED, NULL, NULL, NULL, RUN_CANCELLED, NULL, 0 },
        { "cancelled in the middle", COMMAND_CANCELLED, "CANCELLED", "asked for",
          RESULT(BAD(5) "," BAD(6), NO_ERRORS), RUN_CANCELLED, "CANCELLED", 0 },
        { "its time was over", COMMAND_CANCELLED, "DEADLINE_PASSED", NULL, NULL, RUN_MISSED,
          "DEADLINE_PASSED", 0 },
        { "silence", COMMAND_TIMEOUT, NULL, NULL, NULL, RUN_INTERRUPTED, "AGENT_SILENT", 0 },
        { "the agent lost it", COMMAND_FAILED, "AGENT_RESTARTED", "gone", "{}", RUN_INTERRUPTED,
          "AGENT_RESTARTED", 0 },
        { "green without a result", COMMAND_SUCCEEDED, NULL, NULL, NULL, RUN_FAILED, "RESULT_INVALID", 0 },
        { "green with an empty result", COMMAND_SUCCEEDED, NULL, NULL, "{}", RUN_FAILED, "RESULT_INVALID",
          0 },
        { "not JSON", COMMAND_SUCCEEDED, NULL, NULL, "{\"", RUN_FAILED, "RESULT_INVALID", 0 },
        { "not an object", COMMAND_SUCCEEDED, NULL, NULL, "[]", RUN_FAILED, "RESULT_INVALID", 0 },
        { "another attempt's key", COMMAND_SUCCEEDED, NULL, NULL,
          RESULT("{\"target_id\":5,\"state\":\"succeeded\",\"key\":\"n/t/20261122T221501.123Z-12-2/\","
                 "\"size\":77,"
                 "\"sha256\":\"" HASH "\"}," GOOD(6),
                 NO_ERRORS),
          RUN_PARTIAL, "TARGETS_FAILED", 1 },
        { "another node's key", COMMAND_SUCCEEDED, NULL, NULL,
          RESULT("{\"target_id\":5,\"state\":\"succeeded\",\"key\":\"other/t/20261122T221501.123Z-12-3/\","
                 "\"size\":77,"
                 "\"sha256\":\"" HASH "\"}," GOOD(6),
                 NO_ERRORS),
          RUN_PARTIAL, "TARGETS_FAILED", 1 },
        { "two manifests", COMMAND_SUCCEEDED, NULL, NULL,
          RESULT("{\"target_id\":5,\"state\":\"succeeded\",\"key\":\"" KEY
                 "\",\"size\":77,\"sha256\":\"" OTHER "\"}," GOOD(6),
                 NO_ERRORS),
          RUN_PARTIAL, "TARGETS_FAILED", 1 },
        { "no manifest", COMMAND_SUCCEEDED, NULL, NULL,
          "{" NUMBERS "," NO_ERRORS ",\"manifest_sha256\":null," OBJECTS
          ",\"targets\":[" GOOD(5) "," GOOD(6) "]}",
          RUN_FAILED, "TARGETS_FAILED", 0 },
};

static void judge(const Case *c, bool cancel, RunKind kind, Outcome *ret) {
        RunTarget targets[] = { { .target_id = 5 }, { .target_id = 6 } };
        const RunTargetList list = { targets, kind == RUN_BACKUP ? ELEMENTSOF(targets) : 0 };
        const Run run = { .id = 12, .kind = kind, .spec = (char *) SPEC, .cancel = cancel };
        const Command command = {
                .id = 30,
                .run_id = 12,
                .state = c->command,
                .attempt = 3,
                .error_code = (char *) c->code,
                .error = (char *) c->error,
                .result = (char *) c->result,
        };

        CHECK_OK(outcome_judge(&run, &list, &command, ret));
}

static void test_backups(void) {
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(outcome_done) Outcome o = {};
                unsigned committed = 0;

                judge(cases + i, false, RUN_BACKUP, &o);
                if (o.end.state != cases[i].state)
                        TEST_FAIL("%s: the run is %s", cases[i].name, run_state_to_string(o.end.state));
                if (!streq_ptr(o.end.error_code, cases[i].end_code))
                        TEST_FAIL("%s: the code is %s", cases[i].name, o.end.error_code);
                for (size_t k = 0; k < o.end.n_targets; k++)
                        committed += o.end.targets[k].state == RUN_TARGET_SUCCEEDED;
                if (committed != cases[i].committed)
                        TEST_FAIL("%s: %u targets are committed", cases[i].name, committed);
                CHECK(o.end.state == RUN_SUCCEEDED || o.end.state == RUN_CANCELLED || o.end.error);
        }
}

static void test_numbers(void) {
        _cleanup_(outcome_done) Outcome o = {};

        judge(&cases[8], false, RUN_BACKUP, &o);
        CHECK_INT(o.end.bytes_read, 100);
        CHECK_INT(o.end.bytes_written, 50);
        CHECK_INT(o.end.files, 3);
        CHECK_INT(o.end.skipped, 1);
        CHECK_INT(o.end.errors_total, 1);
        CHECK_INT(o.end.first_read, 9);
        CHECK_STR(o.end.manifest_sha256, HASH);
        CHECK(strstr(o.end.error, "/etc/shadow") && strstr(o.end.error, "Permission denied"));
        CHECK(strstr(o.end.errors, "/etc/shadow"));
        CHECK(strstr(o.end.objects, "data.tar.zst"));
        CHECK_STR(o.end.targets[0].key, KEY);
        CHECK_STR(o.end.targets[0].sha256, HASH);
        CHECK_INT(o.end.targets[0].size, 77);
}

#define REPOSITORY_SPEC \
        "{\"format\":\"repository\",\"targets\":[" \
        "{\"id\":5,\"name\":\"disk\",\"prefix\":\"n/repository-1/\"}," \
        "{\"id\":6,\"name\":\"nas\",\"prefix\":\"n/repository-1/\"}]}"
#define PLACE "n/repository-1/"
#define SNAPSHOT_AT(id, key, name) \
        "{\"target_id\":" #id ",\"state\":\"succeeded\",\"key\":\"" key "\",\"size\":0," \
        "\"snapshot\":\"" name "\"}"
#define SNAPSHOTS(targets) \
        "{" NUMBERS "," NO_ERRORS ",\"files_new\":1,\"files_changed\":2,\"files_unchanged\":3," \
        "\"bytes_new\":40,\"bytes_total\":50,\"targets\":[" targets "]}"

static void judge_snapshots(const char *spec, const char *result, RunState state, unsigned committed,
                            Outcome *ret) {
        RunTarget targets[] = { { .target_id = 5 }, { .target_id = 6 } };
        const RunTargetList list = { targets, ELEMENTSOF(targets) };
        const Run run = { .id = 12, .kind = RUN_BACKUP, .spec = (char *) spec };
        const Command command = {
                .id = 30, .run_id = 12, .state = COMMAND_SUCCEEDED, .attempt = 3, .result = (char *) result
        };
        unsigned n = 0;

        CHECK_OK(outcome_judge(&run, &list, &command, ret));
        for (size_t k = 0; k < ret->end.n_targets; k++)
                n += ret->end.targets[k].state == RUN_TARGET_SUCCEEDED;
        if (ret->end.state != state || n != committed)
                TEST_FAIL("%s: the run is %s, %u targets are committed", result,
                          run_state_to_string(ret->end.state), n);
}

/* A snapshot for what was to be a repository, an archive for what was to be one; each where it was told. */
static void test_snapshots(void) {
        static const struct {
                const char *spec, *result;
                RunState state;
                unsigned committed;
        } bad[] = {
                { REPOSITORY_SPEC,
                  SNAPSHOTS(SNAPSHOT_AT(5, PLACE, HASH) "," SNAPSHOT_AT(6, "n/repository-2/", HASH)),
                  RUN_PARTIAL, 1 },
                { REPOSITORY_SPEC,
                  SNAPSHOTS(SNAPSHOT_AT(5, PLACE, HASH) "," SNAPSHOT_AT(6, "n/repository-1/3/", HASH)),
                  RUN_PARTIAL, 1 },
                { REPOSITORY_SPEC, SNAPSHOTS(SNAPSHOT_AT(5, PLACE, HASH)), RUN_PARTIAL, 1 },
                { REPOSITORY_SPEC, SNAPSHOTS(SNAPSHOT_AT(5, PLACE, "latest")), RUN_FAILED, 0 },
                { REPOSITORY_SPEC, RESULT(GOOD(5) "," GOOD(6), NO_ERRORS), RUN_FAILED, 0 },
                { SPEC, SNAPSHOTS(SNAPSHOT_AT(5, KEY, HASH) "," SNAPSHOT_AT(6, KEY, HASH)), RUN_FAILED, 0 },
        };
        _cleanup_(outcome_done) Outcome good = {};

        judge_snapshots(REPOSITORY_SPEC,
                        SNAPSHOTS(SNAPSHOT_AT(5, PLACE, HASH) "," SNAPSHOT_AT(6, PLACE,
                                                                              OTHER)),
                        RUN_SUCCEEDED, 2, &good);
        CHECK_STR(good.end.format, "repository");
        CHECK(!good.end.manifest_sha256);
        CHECK_STR(good.end.targets[0].snapshot, HASH);
        CHECK_STR(good.end.targets[1].snapshot, OTHER);
        CHECK_STR(good.end.targets[1].key, "n/repository-1/");
        CHECK_INT(good.end.files_new, 1);
        CHECK_INT(good.end.files_changed, 2);
        CHECK_INT(good.end.files_unchanged, 3);
        CHECK_INT(good.end.bytes_new, 40);
        CHECK_INT(good.end.bytes_total, 50);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(outcome_done) Outcome o = {};

                judge_snapshots(bad[i].spec, bad[i].result, bad[i].state, bad[i].committed, &o);
        }
}

/* A person's cancellation that met the deadline is a cancellation. */
static void test_cancelled_at_deadline(void) {
        static const Case c = { .command = COMMAND_CANCELLED, .code = "DEADLINE_PASSED" };
        _cleanup_(outcome_done) Outcome o = {};

        judge(&c, true, RUN_BACKUP, &o);
        CHECK_INT(o.end.state, RUN_CANCELLED);
}

static void test_restores(void) {
        static const struct {
                CommandState command;
                const char *result;
                RunState state;
        } restores[] = {
                { COMMAND_SUCCEEDED, "{" NUMBERS "," NO_ERRORS ",\"destination\":\"/srv\"}", RUN_SUCCEEDED },
                { COMMAND_SUCCEEDED, "{" NUMBERS "," ONE_ERROR ",\"destination\":\"/srv\"}", RUN_PARTIAL },
                { COMMAND_PARTIAL, "{" NUMBERS "," NO_ERRORS ",\"destination\":\"/srv\"}", RUN_PARTIAL },
                { COMMAND_FAILED, "{" NUMBERS "," NO_ERRORS ",\"destination\":\"/srv\"}", RUN_FAILED },
                { COMMAND_CANCELLED, "{" NUMBERS "," NO_ERRORS ",\"destination\":\"/srv\"}", RUN_CANCELLED },
                { COMMAND_SUCCEEDED, "{\"files\":\"many\"}", RUN_FAILED },
        };

        for (size_t i = 0; i < ELEMENTSOF(restores); i++) {
                const Case c = { .command = restores[i].command, .result = restores[i].result };
                _cleanup_(outcome_done) Outcome o = {};

                judge(&c, false, RUN_RESTORE, &o);
                if (o.end.state != restores[i].state)
                        TEST_FAIL("restore %zu is %s", i, run_state_to_string(o.end.state));
        }
}

/* What the end of a run says of which two parts were done; NULL: no trouble. */
static void test_parts(void) {
        static const struct {
                RunState first;
                const char *first_code;
                RunState last;
                const char *last_code;

                RunState state;
                const char *code;
        } ends[] = {
                { RUN_SUCCEEDED, NULL, RUN_SUCCEEDED, NULL, RUN_SUCCEEDED, NULL },
                { RUN_FAILED, "ONE", RUN_SUCCEEDED, NULL, RUN_FAILED, "ONE" },
                { RUN_PARTIAL, "ONE", RUN_SUCCEEDED, NULL, RUN_PARTIAL, "ONE" },
                { RUN_SUCCEEDED, NULL, RUN_FAILED, "TWO", RUN_FAILED, "TWO" },
                { RUN_FAILED, "ONE", RUN_FAILED, "TWO", RUN_FAILED, "TWO" },
                { RUN_SUCCEEDED, NULL, RUN_MISSED, "TWO", RUN_PARTIAL, "TWO" },
                { RUN_FAILED, "ONE", RUN_MISSED, "TWO", RUN_FAILED, "ONE" },
                { RUN_FAILED, "ONE", RUN_CANCELLED, "TWO", RUN_CANCELLED, "TWO" },
                { RUN_SUCCEEDED, NULL, RUN_INTERRUPTED, "TWO", RUN_INTERRUPTED, "TWO" },
        };

        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                char first_code[] = "ONE";
                const char *text;
                Outcome first = { .end = { .state = ends[i].first,
                                           .error_code = ends[i].first_code ? first_code : NULL,
                                           .error = ends[i].first_code ? "of the first" : NULL,
                                           .bytes_read = 1,
                                           .bytes_written = 2,
                                           .files = 3,
                                           .errors_total = 4 },
                                  .errors = (char *) "[]" };
                _cleanup_(outcome_done) Outcome last = {
                        .end = { .state = ends[i].last,
                                 .error_code = ends[i].last_code,
                                 .error = ends[i].last_code ? "of the last" : NULL,
                                 .bytes_read = 10,
                                 .bytes_written = 20,
                                 .files = 30,
                                 .errors_total = 40 }
                };

                CHECK_OK(outcome_add(&last, &first));
                first_code[0] = 'x'; /* nothing points into the first one any more */
                if (last.end.state != ends[i].state || !streq_ptr(last.end.error_code, ends[i].code))
                        TEST_FAIL("%zu: the run is %s, %s", i, run_state_to_string(last.end.state),
                                  last.end.error_code);
                text = !ends[i].code ? "" : streq(ends[i].code, "ONE") ? "of the first" :
                                                                         "of the last";
                CHECK_STR(strempty(last.end.error), text);
                CHECK_INT(last.end.bytes_read, 11);
                CHECK_INT(last.end.bytes_written, 22);
                CHECK_INT(last.end.files, 33);
                CHECK_INT(last.end.errors_total, 44);
                CHECK_STR(last.end.errors, "[]");
        }
}

int main(void) {
        RUN(test_backups);
        RUN(test_numbers);
        RUN(test_snapshots);
        RUN(test_cancelled_at_deadline);
        RUN(test_restores);
        RUN(test_parts);
        return 0;
}
