/* SPDX-License-Identifier: Apache-2.0 */

#include "base/text.h"
#include "tests/test.h"
#include "wire/feature.h"

static json_t *load(const char *text) {
        json_t *json = NULL;

        CHECK_OK(json_parse_text(text, &json, NULL));
        return json;
}

static void test_needs(void) {
        static const struct {
                const char *spec;
                int error;
                const char *code, *text;
        } table[] = {
                { "{}", 0, "", NULL },
                { "{\"needs\":null}", 0, "", NULL },
                { "{\"needs\":[]}", 0, "", NULL },
                { "{\"needs\":[\"hooks\"]}", 0, "", NULL },
                { "{\"needs\":[\"hooks\",\"time-travel\"]}", -EOPNOTSUPP, "FEATURE_UNSUPPORTED",
                  "does not know 'time-travel', which this command needs: upgrade the agent" },
                { "{\"needs\":[\"Hooks\"]}", -EOPNOTSUPP, "FEATURE_UNSUPPORTED", "'Hooks'" },
                { "{\"needs\":\"hooks\"}", -EBADMSG, "FIELD_INVALID", "'needs'" },
                { "{\"needs\":[7]}", -EBADMSG, "FIELD_INVALID", "needs" },
                { "{\"needs\":[\"\"]}", -EBADMSG, "FIELD_INVALID", "needs" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                _cleanup_json_ json_t *spec = load(table[i].spec);

                CHECK_INT(spec_check_needs(spec, &failure), table[i].error);
                CHECK_STR(failure.code, table[i].code);
                if (table[i].text && !strstr(failure_message(&failure, 0), table[i].text))
                        TEST_FAIL("%s: %s", table[i].spec, failure_message(&failure, 0));
        }
}

/* What the other side said counts, not what this version knows. */
static void test_needs_of_others(void) {
        _cleanup_json_ json_t *spec = load("{\"needs\":[\"hooks\",\"next\"]}"), *none = load("{\"run\":1}"),
                              *wrong = load("{\"needs\":{}}");
        _cleanup_failure_ Failure first = FAILURE_NULL, second = FAILURE_NULL;
        char *all[] = { (char *) "next", (char *) "hooks", NULL }, *some[] = { (char *) "hooks", NULL };

        CHECK_OK(spec_check_needs_of(none, NULL, NULL, NULL));
        CHECK_OK(spec_check_needs_of(spec, all, "9", NULL));
        CHECK_INT(spec_check_needs_of(wrong, all, "9", NULL), -EBADMSG);
        CHECK_INT(spec_check_needs_of(spec, NULL, "0.1", &first), -EOPNOTSUPP);
        CHECK_STR(first.code, "FEATURE_UNSUPPORTED");
        CHECK_STR(failure_message(&first, 0),
                  "The agent of this node (version 0.1) does not know 'hooks' (hooks before and after a "
                  "backup), which this command needs: upgrade the agent");
        CHECK_INT(spec_check_needs_of(spec, some, NULL, &second), -EOPNOTSUPP);
        CHECK_STR(failure_message(&second, 0),
                  "The agent of this node does not know 'next', which this command needs: upgrade "
                  "the agent");
}

/* A version can do whatever it asks of others. */
static void test_own(void) {
        _cleanup_json_ json_t *spec = json_object();
        json_t *names = features_build();

        for (Feature f = 0; f < _FEATURE_MAX; f++)
                CHECK_OK(spec_add_need(spec, f));
        CHECK(json_equal(json_object_get(spec, "needs"), names));
        CHECK_OK(spec_check_needs(spec, NULL));
        json_decref(names);
}

int main(void) {
        RUN(test_needs);
        RUN(test_needs_of_others);
        RUN(test_own);
        return EXIT_SUCCESS;
}
