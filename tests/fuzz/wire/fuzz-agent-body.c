/* SPDX-License-Identifier: Apache-2.0 */

/* What an agent may send, and what a master may: every body and spec on the same document. */

#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"
#include "wire/agent.h"
#include "wire/check.h"
#include "wire/discovery.h"
#include "wire/prune.h"
#include "wire/task-test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_bodies(json_t *json) {
        EnrollBody enroll = {};
        HeartbeatBody heartbeat = {};
        ClaimBody claim = {};
        ProgressBody progress = {};
        ResultBody result = {};
        uint64_t attempt;

        if (enroll_body_parse(json, &enroll, NULL) >= 0)
                enroll_body_done(&enroll);
        if (heartbeat_body_parse(json, &heartbeat, NULL) >= 0)
                heartbeat_body_done(&heartbeat);
        if (claim_body_parse(json, &claim, NULL) >= 0)
                claim_body_done(&claim);
        if (accept_body_parse(json, &attempt, NULL) >= 0)
                CHECK(attempt <= UINT32_MAX);
        if (progress_body_parse(json, &progress, NULL) >= 0)
                progress_body_done(&progress);
        if (result_body_parse(json, &result, NULL) >= 0)
                result_body_done(&result);
}

/* What was taken can be built, and what was built is taken. */
static void round_trip(const json_t *json) {
        _cleanup_(backup_spec_done) BackupSpec backup = BACKUP_SPEC_NULL, again = BACKUP_SPEC_NULL;
        _cleanup_(backup_outcome_done) BackupOutcome outcome = BACKUP_OUTCOME_NULL;
        _cleanup_(restore_spec_done) RestoreSpec restore = RESTORE_SPEC_NULL;
        _cleanup_json_ json_t *a = NULL, *b = NULL, *c = NULL;

        if (backup_spec_parse(json, &backup, NULL) >= 0) {
                CHECK_OK(backup_spec_build(&backup, &a));
                CHECK_OK(backup_spec_parse(a, &again, NULL));
        }
        if (backup_outcome_parse(json, &outcome, NULL) >= 0)
                CHECK_OK(backup_outcome_build(&outcome, &b));
        if (restore_spec_parse(json, &restore, NULL) >= 0)
                CHECK_OK(restore_spec_build(&restore, &c));
}

/* The same of what removes snapshots. */
static void round_trip_prune(const json_t *json) {
        _cleanup_(prune_outcome_done) PruneOutcome outcome = PRUNE_OUTCOME_NULL;
        _cleanup_(prune_spec_done) PruneSpec spec = PRUNE_SPEC_NULL, again = PRUNE_SPEC_NULL;
        _cleanup_json_ json_t *a = NULL, *b = NULL;

        if (prune_spec_parse(json, &spec, NULL) >= 0) {
                CHECK(!spec.tag == retention_is_empty(&spec.retention));
                CHECK_OK(prune_spec_build(&spec, &a));
                CHECK_OK(prune_spec_parse(a, &again, NULL));
        }
        if (prune_outcome_parse(json, &outcome, NULL) >= 0)
                CHECK_OK(prune_outcome_build(&outcome, &b));
}

/* The same of what is asked of databases. */
static void round_trip_questions(const json_t *json) {
        _cleanup_(discovery_spec_done) DiscoverySpec discovery = DISCOVERY_SPEC_NULL,
                                                     discovery_again = DISCOVERY_SPEC_NULL;
        _cleanup_(task_test_spec_done) TaskTestSpec spec = TASK_TEST_SPEC_NULL, again = TASK_TEST_SPEC_NULL;
        _cleanup_json_ json_t *a = NULL, *b = NULL;
        JsonReader reader;

        if (task_test_spec_parse(json, &spec, NULL) >= 0) {
                CHECK_OK(task_test_spec_build(&spec, &a));
                CHECK_OK(task_test_spec_parse(a, &again, NULL));
        }
        (void) json_reader_init(&reader, json, NULL);
        CHECK_OK(discovery_spec_read(&reader, &discovery));
        if (reader.error < 0)
                return;
        CHECK(strv_length(discovery.sqlite) <= DISCOVERY_GLOBS_MAX);
        CHECK_OK(discovery_spec_build(&discovery, &b));
        (void) json_reader_init(&reader, b, NULL);
        CHECK_OK(discovery_spec_read(&reader, &discovery_again));
        CHECK_OK(json_reader_finish(&reader));
        CHECK_INT(discovery_again.type, discovery.type);
}

/* The normal form of a report stays as it is. */
static void check_report(const json_t *json) {
        _cleanup_json_ json_t *report = NULL, *again = NULL;
        _cleanup_(freep) char *summary = NULL;

        if (check_report_parse(json, &report, NULL) < 0)
                return;
        CHECK_OK(check_report_parse(report, &again, NULL));
        CHECK(json_equal(report, again));
        CHECK_OK(check_summary(json_object_get(report, "items"), &summary));
        CHECK(!summary == (check_worst(json_object_get(report, "items"), NULL) == CHECK_STATE_OK));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(restore_outcome_done) RestoreOutcome outcome = RESTORE_OUTCOME_NULL;
        _cleanup_(command_secrets_done) CommandSecrets secrets = COMMAND_SECRETS_NULL;
        _cleanup_(listing_spec_done) ListingSpec browse = LISTING_SPEC_NULL, dir = LISTING_SPEC_NULL;
        _cleanup_(spec_target_done) SpecTarget target = SPEC_TARGET_NULL;
        _cleanup_(verify_spec_done) VerifySpec verify = VERIFY_SPEC_NULL;
        _cleanup_(read_spec_done) ReadSpec read = READ_SPEC_NULL;
        _cleanup_json_ json_t *json = NULL;
        int r;

        if (json_parse_strict(data, size, JSON_DEPTH_DEFAULT, &json, NULL) < 0)
                return 0;
        parse_bodies(json);
        check_report(json);
        round_trip(json);
        if (spec_check_needs(json, NULL) == -EBADMSG)
                CHECK_INT(spec_check_needs_of(json, NULL, NULL, NULL), -EBADMSG);
        round_trip_prune(json);
        round_trip_questions(json);
        r = restore_outcome_parse(json, &outcome, NULL);
        CHECK(r <= 0);
        r = command_secrets_parse(json, &secrets, NULL);
        CHECK(r <= 0);
        r = listing_spec_parse(json, COMMAND_BROWSE, &browse, NULL);
        CHECK(r <= 0);
        r = listing_spec_parse(json, COMMAND_LIST_DIR, &dir, NULL);
        CHECK(r <= 0);
        r = read_spec_parse(json, &read, NULL);
        CHECK(r < 0 || (read.length > 0 && read.length <= READ_LENGTH_MAX && read.path[0] == '/'));
        r = verify_spec_parse(json, &verify, NULL);
        CHECK(r < 0 || (verify.snapshots.n > 0 && verify.share <= verify.shares));
        r = test_storage_spec_parse(json, &target, NULL);
        CHECK(r <= 0);
        return 0;
}
