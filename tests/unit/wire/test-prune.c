/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/text.h"
#include "repository/forget.h"
#include "tests/test.h"
#include "wire/prune.h"

#define ID "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define COPY \
        "{\"target\":{\"id\":5,\"name\":\"disk\",\"type\":\"local\",\"config\":{\"path\":\"/s\"}," \
        "\"prefix\":\"n/repository-1/\"},\"id\":\"" ID "\"}"
#define SPEC(rest) "{\"run\":13,\"source_run\":12,\"snapshots\":[" COPY "]" rest "}"

static json_t *load(const char *text) {
        json_t *json = NULL;

        CHECK_OK(json_parse_text(text, &json, NULL));
        return json;
}

/* 1, 0 or a negative errno, as retention_read() gives it. */
static int read_text(const char *text, Retention *ret) {
        _cleanup_json_ json_t *json = load(text);
        JsonReader r;

        (void) json_reader_init(&r, json, NULL);
        return retention_read(&r, "retention", ret);
}

static void test_retention(void) {
        static const char *const good = "{\"last\":1,\"hourly\":2,\"daily\":3,\"weekly\":4,\"monthly\":5,"
                                        "\"yearly\":100000,\"within\":\"2y5m7d3h\"}";
        _cleanup_(freep) char *whole = NULL;
        _cleanup_json_ json_t *built = NULL, *same = load(good);
        Retention r = RETENTION_NULL;

        CHECK(retention_is_empty(&r));
        CHECK_OK(asprintf_safe(&whole, "{\"retention\":%s}", good));
        CHECK_INT(read_text(whole, &r), 1);
        CHECK(!retention_is_empty(&r));
        CHECK_INT(r.last, 1);
        CHECK_INT(r.hourly, 2);
        CHECK_INT(r.daily, 3);
        CHECK_INT(r.weekly, 4);
        CHECK_INT(r.monthly, 5);
        CHECK_INT(r.yearly, 100000);
        CHECK_STR(r.within, "2y5m7d3h");
        CHECK_OK(retention_build(&r, &built));
        CHECK(json_equal(built, same));
        CHECK_INT(read_text("{}", &r), 0);
        CHECK_INT(read_text("{\"retention\":null}", &r), 0);
        CHECK_INT(read_text("{\"retention\":{\"within\":\"1h\"}}", &r), 1);
        CHECK_INT(r.last, 0);
}

static void test_retention_refused(void) {
        static const char *const bad[] = {
                "[]",
                "3",
                "{}",
                "{\"last\":0}",
                "{\"last\":-1}",
                "{\"last\":100001}",
                "{\"last\":\"3\"}",
                "{\"keep\":3}",
                "{\"last\":3,\"surprise\":1}",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(freep) char *text = NULL;
                Retention r = RETENTION_NULL;

                CHECK_OK(asprintf_safe(&text, "{\"retention\":%s}", bad[i]));
                if (read_text(text, &r) != -EBADMSG)
                        TEST_FAIL("%s was taken", bad[i]);
                CHECK(retention_is_empty(&r));
        }
}

/* What tasks may have is what the repository understands. */
static void test_spans(void) {
        static const char *const spans[] = { "1d", "30d", "2y5m7d3h", "100000h", "1y1h", "", "d", "1",
                                             "1w", "1d1d", "1h1d", "1d ", "-1d", "+1d", "0d", "1D",
                                             "1.5d", "100001d", "9999999d", "1y5m7d3h1h", "00000000001d" };

        for (size_t i = 0; i < ELEMENTSOF(spans); i++) {
                _cleanup_(freep) char *text = NULL;
                Retention r = RETENTION_NULL;
                ForgetSpan span;

                CHECK_OK(asprintf_safe(&text, "{\"retention\":{\"last\":1,\"within\":\"%s\"}}", spans[i]));
                if (read_text(text, &r) > 0 && !isempty(r.within))
                        CHECK_OK(forget_span_parse(r.within, &span, NULL));
                if (!isempty(r.within) != (i < 5))
                        TEST_FAIL("'%s' was %s", spans[i], i < 5 ? "refused" : "taken");
        }
}

static void test_spec(void) {
        static const char *const bad[] = {
                "{\"run\":13,\"source_run\":12,\"snapshots\":[],\"prune\":[5]}",
                SPEC(",\"tag\":\"backupx-task-3\""),
                SPEC(",\"retention\":{\"last\":3}"),
                SPEC(",\"tag\":\"backupx-task-3\",\"retention\":{}"),
                SPEC(",\"prune\":[0]"),
                SPEC(",\"prune\":[\"5\"]"),
                SPEC(",\"prune\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]"),
        };
        _cleanup_json_ json_t *good = load(SPEC(",\"tag\":\"backupx-task-3\",\"retention\":{\"last\":3},"
                                                "\"prune\":[5,7]")),
                              *space = load(SPEC(",\"prune\":[]")), *built = NULL, *plain = NULL;
        _cleanup_(prune_spec_done) PruneSpec s = PRUNE_SPEC_NULL, only = PRUNE_SPEC_NULL;

        CHECK_OK(prune_spec_parse(good, &s, NULL));
        CHECK_INT(s.snapshots.n, 1);
        CHECK_STR(s.tag, "backupx-task-3");
        CHECK_INT(s.retention.last, 3);
        CHECK(prune_spec_names(&s, 5) && prune_spec_names(&s, 7) && !prune_spec_names(&s, 6));
        CHECK_OK(prune_spec_build(&s, &built));
        CHECK(json_equal(built, good));
        CHECK_OK(prune_spec_parse(space, &only, NULL));
        CHECK(!only.tag);
        CHECK_OK(prune_spec_build(&only, &plain));
        CHECK(json_equal(plain, space));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(prune_spec_done) PruneSpec none = PRUNE_SPEC_NULL;
                _cleanup_json_ json_t *json = load(bad[i]);

                if (prune_spec_parse(json, &none, NULL) != -EBADMSG)
                        TEST_FAIL("%s was taken", bad[i]);
        }
}

static void test_request(void) {
        _cleanup_json_ json_t *none = load("{}"), *bad = load("{\"space\":\"later\"}"),
                              *more = load("{\"space\":\"due\",\"more\":1}");
        PruneWhen when = PRUNE_NEVER;

        CHECK_OK(prune_request_parse(none, &when, NULL));
        CHECK_INT(when, PRUNE_NOW);
        CHECK_INT(prune_request_parse(bad, &when, NULL), -EBADMSG);
        CHECK_INT(prune_request_parse(more, &when, NULL), -EBADMSG);
        for (PruneWhen w = 0; w < _PRUNE_WHEN_MAX; w++) {
                _cleanup_json_ json_t *json = NULL;

                CHECK_OK(prune_request_build(w, &json));
                CHECK_OK(prune_request_parse(json, &when, NULL));
                CHECK_INT(when, w);
        }
}

#define OUTCOME(rows) "{\"bytes_read\":1,\"bytes_written\":2,\"files\":3,\"repositories\":[" rows "]}"

static void test_outcome(void) {
        static const char *const bad[] = {
                OUTCOME("{}"),
                OUTCOME("{\"target_id\":5,\"snapshots\":[\"short\"]}"),
                OUTCOME("{\"target_id\":5,\"snapshots\":[7]}"),
                OUTCOME("{\"target_id\":5,\"snapshots\":\"" ID "\"}"),
                "{\"repositories\":[]}",
        };
        _cleanup_json_ json_t *good = load(OUTCOME("{\"target_id\":5,\"removed\":2,\"pruned\":true,"
                                                   "\"snapshots\":[\"" ID "\"]},{\"target_id\":6}")),
                              *built = NULL;
        _cleanup_(prune_outcome_done) PruneOutcome o = PRUNE_OUTCOME_NULL, again = PRUNE_OUTCOME_NULL;

        CHECK_OK(prune_outcome_parse(good, &o, NULL));
        CHECK_INT(o.n_targets, 2);
        CHECK_INT(o.targets[0].target_id, 5);
        CHECK_INT(o.targets[0].removed, 2);
        CHECK(o.targets[0].pruned && !o.targets[1].pruned);
        CHECK_INT(json_array_size(o.targets[0].snapshots), 1);
        CHECK(!o.targets[1].snapshots); /* not known, which is not the same as none */
        CHECK_OK(prune_outcome_build(&o, &built));
        CHECK_OK(prune_outcome_parse(built, &again, NULL));
        CHECK_INT(again.n_targets, 2);
        CHECK(json_equal(again.targets[0].snapshots, o.targets[0].snapshots));
        CHECK(!again.targets[1].snapshots);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(prune_outcome_done) PruneOutcome none = PRUNE_OUTCOME_NULL;
                _cleanup_json_ json_t *json = load(bad[i]);

                if (prune_outcome_parse(json, &none, NULL) != -EBADMSG)
                        TEST_FAIL("%s was taken", bad[i]);
        }
}

int main(void) {
        RUN(test_retention);
        RUN(test_retention_refused);
        RUN(test_spans);
        RUN(test_spec);
        RUN(test_request);
        RUN(test_outcome);
        return EXIT_SUCCESS;
}
