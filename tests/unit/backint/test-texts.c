/* SPDX-License-Identifier: Apache-2.0 */

/* The files of one call: the input, the answers, the parameters. */

#include "backint/answer.h"
#include "backint/line.h"
#include "backint/parameters.h"
#include "backint/request.h"
#include "backint/session.h"
#include "base/text.h"
#include "tests/test.h"

/* --- Lines ------------------------------------------------------------------------------------------ */

static void test_lines(void) {
        static const struct {
                const char *line;
                const char *words[5];
        } cases[] = {
                { "#PIPE /tmp/a", { "#PIPE", "/tmp/a" } },
                { "  #PIPE \t /tmp/a  ", { "#PIPE", "/tmp/a" } },
                { "#PIPE \"/tmp/a b\" 17", { "#PIPE", "/tmp/a b", "17" } },
                { "#EBID \"a\\\"b\" /x", { "#EBID", "a\"b", "/x" } },
                { "#EBID a\\\"b \"\"", { "#EBID", "a\"b", "" } },
                { "#PIPE \"/a\\b\\\\c\"", { "#PIPE", "/a\\b\\\\c" } }, /* they escape nothing here */
                { "#PIPE C:\\x", { "#PIPE", "C:\\x" } },
                { "#PIPE \"\xc3\xa4\"", { "#PIPE", "\xc3\xa4" } },
                { "", {} },
        };
        static const char *const wrong[] = {
                "#PIPE \"/tmp/a",
                "#PIPE /tmp\"a",
                "#PIPE \"/tmp\"a",
                "#PIPE \"/tmp/a\\\"",
                "#PIPE \"a\x01\"",
                "#PIPE a\x7f",
                "1 2 3 4 5 6 7 8 9",
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(strv_freep) char **words = NULL;
                size_t n = 0;

                CHECK_OK(backint_line_split(cases[i].line, strlen(cases[i].line), &words));
                for (; n < ELEMENTSOF(cases[i].words) && cases[i].words[n]; n++) {
                        CHECK(n < strv_length(words));
                        CHECK_STR(words[n], cases[i].words[n]);
                }
                CHECK_INT(strv_length(words), n);
        }
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                _cleanup_(strv_freep) char **words = NULL;

                CHECK_INT(backint_line_split(wrong[i], strlen(wrong[i]), &words), -EINVAL);
        }
}

/* What is quoted is read back as what it was. */
static void test_quoting(void) {
        static const char *const words[] = {
                "a", "", "a b", "a\"b", "\"", "a\\b", "a\\\"b", "\\\\\"x", "#x"
        };
        static const char *const wrong[] = { "a\\", "\\", "a\nb", "\x01", "\x7f" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                _cleanup_buffer_ Buffer line = BUFFER_NULL;
                _cleanup_(strv_freep) char **back = NULL;

                CHECK_OK(backint_line_quote(&line, words[i]));
                CHECK_OK(backint_line_split(line.data, line.size, &back));
                CHECK_INT(strv_length(back), 1);
                CHECK_STR(back[0], words[i]);
        }
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                _cleanup_buffer_ Buffer line = BUFFER_NULL;

                CHECK_INT(backint_line_quote(&line, wrong[i]), -EINVAL);
        }
}

/* --- Requests --------------------------------------------------------------------------------------- */

static int parse(BackintFunction function, const char *text, BackintInput *ret, Failure *failure) {
        return backint_input_parse(function, text, strlen(text), ret, failure);
}

static void test_backup_input(void) {
        _cleanup_(backint_input_done) BackintInput input = BACKINT_INPUT_NULL;

        CHECK_OK(parse(BACKINT_BACKUP,
                       "#SOFTWAREID \"backint 1.04\" \"HANA HDB server 2.00.059\"\r\n"
                       "#TOOLOPTION \"x=y z\"\n"
                       "a comment \"with one mark\n"
                       "\n"
                       "#PIPE \"/usr/sap/HDB/a b\"\n"
                       "#PIPE /usr/sap/HDB/c 1048576\n"
                       "#FILE /d",
                       &input, NULL));
        CHECK_INT(input.version, 104);
        CHECK_INT(input.n_requests, 3);
        CHECK_INT(input.requests[0].keyword, BACKINT_PIPE);
        CHECK_STR(input.requests[0].name, "/usr/sap/HDB/a b");
        CHECK_STR(input.requests[1].name, "/usr/sap/HDB/c");
        CHECK(!input.requests[1].destination);
        CHECK_INT(input.requests[2].keyword, BACKINT_FILE);
}

static void test_other_inputs(void) {
        _cleanup_(backint_input_done) BackintInput restore = BACKINT_INPUT_NULL,
                                                   inquire = BACKINT_INPUT_NULL,
                                                   removal = BACKINT_INPUT_NULL;

        CHECK_OK(parse(BACKINT_RESTORE, "#EBID e /a\n#EBID e /a /b\n#NULL /a\n#NULL /a \"/c d\"\n", &restore,
                       NULL));
        CHECK_INT(restore.n_requests, 4);
        CHECK_STR(restore.requests[0].ebid, "e");
        CHECK(!restore.requests[0].destination);
        CHECK_STR(restore.requests[1].destination, "/b");
        CHECK(!restore.requests[2].ebid);
        CHECK_STR(restore.requests[3].name, "/a");
        CHECK_STR(restore.requests[3].destination, "/c d");

        CHECK_OK(parse(BACKINT_INQUIRE, "#NULL\n#NULL /a\n#EBID e\n#EBID e /a", &inquire, NULL));
        CHECK_INT(inquire.n_requests, 4);
        CHECK(!inquire.requests[0].name && !inquire.requests[0].ebid);
        CHECK(!inquire.requests[2].name);

        CHECK_OK(parse(BACKINT_DELETE, "#EBID e /a\n", &removal, NULL));
        CHECK_STR(removal.requests[0].name, "/a");
}

static void test_wrong_inputs(void) {
        static const struct {
                BackintFunction function;
                const char *text, *place;
        } cases[] = {
                { BACKINT_BACKUP, "\n#PIPE\n", "Line 2 " },
                { BACKINT_BACKUP, "#PIPE a b", "Line 1 " },
                { BACKINT_BACKUP, "#PIPE a 1 2", "Line 1 " },
                { BACKINT_BACKUP, "#PIPE a -1", "Line 1 " },
                { BACKINT_BACKUP, "#PIPE \"\"", "Line 1 " },
                { BACKINT_BACKUP, "#PIPE a\\", "Line 1 " },
                { BACKINT_BACKUP, "#EBID a b", "Line 1 " },
                { BACKINT_BACKUP, "x\n#PIPE \"a", "Line 2 " },
                { BACKINT_BACKUP, "#PIPE \xff", "UTF-8" },
                { BACKINT_RESTORE, "#EBID a", "Line 1 " },
                { BACKINT_RESTORE, "#NULL", "Line 1 " },
                { BACKINT_RESTORE, "#PIPE a", "Line 1 " },
                { BACKINT_INQUIRE, "#NULL a b", "Line 1 " },
                { BACKINT_DELETE, "#EBID a", "Line 1 " },
                { BACKINT_DELETE, "#NULL a", "Line 1 " },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(backint_input_done) BackintInput input = BACKINT_INPUT_NULL;
                _cleanup_failure_ Failure failure = FAILURE_NULL;

                CHECK_INT(parse(cases[i].function, cases[i].text, &input, &failure), -EBADMSG);
                CHECK_STR(failure.code, "BACKINT_INPUT");
                CHECK(strstr(failure.message, cases[i].place));
        }
}

/* What both sides know. */
static void test_versions(void) {
        static const struct {
                const char *text;
                unsigned version;
        } cases[] = {
                { "backint 1.04", 104 },
                { "backint 1.5", 150 },
                { "backint 1.50", 150 },
                { "backint 1.0", 104 },
                { "backint 2.10", 150 },
                { "backint", 104 },
                { "1.50", 104 },
                { "backint 1.", 104 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(backint_input_done) BackintInput input = BACKINT_INPUT_NULL;
                char line[100];

                (void) snprintf(line, sizeof line, "#SOFTWAREID \"%s\" \"HANA\"\n", cases[i].text);
                CHECK_OK(parse(BACKINT_INQUIRE, line, &input, NULL));
                CHECK_INT(input.version, cases[i].version);
        }
}

/* --- Answers ---------------------------------------------------------------------------------------- */

static void test_answers(void) {
        _cleanup_buffer_ Buffer out = BUFFER_NULL;

        CHECK_OK(backint_answer_format(&out, BACKINT_SAVED,
                                       (const char *const[]){ "e", "/a \"b\"", "17", NULL }));
        CHECK_OK(backint_answer_format(&out, BACKINT_NOTFOUND, (const char *const[]){ NULL }));
        /* Nothing of a reason can be taken for an answer. */
        CHECK_OK(backint_comment_format(&out, "#SAVED \"x\"\n#SAVED \"y\""));
        CHECK_STR(out.data, "#SAVED \"e\" \"/a \\\"b\\\"\" \"17\"\n#NOTFOUND\n"
                            "  #SAVED \"x\"?#SAVED \"y\"\n");
        CHECK_INT(backint_answer_format(&out, BACKINT_ERROR, (const char *const[]){ "a\n", NULL }), -EINVAL);
}

/* --- Parameters ------------------------------------------------------------------------------------- */

#define RECIPIENT "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"

static int read_parameters(const char *text, BackintParameters *ret, Failure *failure) {
        return backint_parameters_parse("param", text, strlen(text), ret, failure);
}

static void test_parameters(void) {
        _cleanup_(backint_parameters_done) BackintParameters p = BACKINT_PARAMETERS_NULL, least = p;

        CHECK_OK(read_parameters("# of the production system\n"
                                 "; another\n"
                                 "\n"
                                 "#STORAGE_TYPE = s3\n"
                                 "#STORAGE_CONFIG=/etc/s3.json\r\n"
                                 "  STORAGE_SECRETS\t=  /etc/s3.secrets  \n"
                                 "#KEY_PREFIX = hana/HDB/\n"
                                 "#PARALLEL_FACTOR = 4\n"
                                 "#COMPRESS = false\n"
                                 "#COMPRESSION_LEVEL = 9\n"
                                 "#AGE_RECIPIENTS = " RECIPIENT "," RECIPIENT "\n"
                                 "#AGE_IDENTITY_FILE = /etc/identity\n"
                                 "#CATALOG_DB = /var/a=b.db\n"
                                 "#LOG_FILE = /var/log/x\n"
                                 "#PIPE_TIMEOUT = 90s\n"
                                 "#END_TIMEOUT = 3s",
                                 &p, NULL));
        CHECK_STR(p.storage_type, "s3");
        CHECK_STR(p.storage_config, "/etc/s3.json");
        CHECK_STR(p.storage_secrets, "/etc/s3.secrets");
        CHECK_STR(p.key_prefix, "hana/HDB/");
        CHECK_INT(p.parallel, 4);
        CHECK(!p.compress);
        CHECK_INT(p.level, 9);
        CHECK_INT(strv_length(p.recipients), 2);
        CHECK_STR(p.catalog, "/var/a=b.db");
        CHECK_STR(p.log_file, "/var/log/x");
        CHECK_INT(p.pipe_timeout, 90 * USEC_PER_SEC);
        CHECK_INT(p.end_timeout, 3 * USEC_PER_SEC);

        CHECK_OK(read_parameters("#STORAGE_TYPE = local\n#STORAGE_CONFIG_JSON = {\"path\": \"/x\"}\n",
                                 &least, NULL));
        CHECK_STR(least.storage_config_json, "{\"path\": \"/x\"}");
        CHECK_STR(least.key_prefix, "");
        CHECK_INT(least.parallel, BACKINT_PARALLEL_DEFAULT);
        CHECK(least.compress);
        CHECK(!least.catalog);
        CHECK_INT(least.end_timeout, BACKINT_END_TIMEOUT_DEFAULT);
}

static void test_wrong_parameters(void) {
        static const struct {
                const char *text, *place;
        } cases[] = {
                { "", "STORAGE_TYPE" },
                { "#STORAGE_TYPE = relay", "param:1: " },
                { "#STORAGE_TYPE =", "param:1: " },
                { "\n#STORAGE_TYPE local", "param:2: " },
                { "#STORAGE_TYPE = s3\n#STORAGE_TYPE = s3", "param:2: " },
                { "#STORAGE_TYPE = s3\n#STORAGE_SECRET = /x", "param:2: " },
                { "#STORAGE_TYPE = s3\n#storage_config = /x", "param:2: " },
                { "#STORAGE_TYPE = s3\n#STORAGE_CONFIG = x.json", "param:2: " },
                { "#STORAGE_TYPE = s3\n#STORAGE_CONFIG = /x\n#STORAGE_CONFIG_JSON = {}", "one of them" },
                { "#STORAGE_TYPE = s3\n#PARALLEL_FACTOR = 0", "param:2: " },
                { "#STORAGE_TYPE = s3\n#PARALLEL_FACTOR = 33", "param:2: " },
                { "#STORAGE_TYPE = s3\n#PARALLEL_FACTOR = four", "param:2: " },
                { "#STORAGE_TYPE = s3\n#COMPRESSION_LEVEL = 20", "param:2: " },
                { "#STORAGE_TYPE = s3\n#COMPRESS = maybe", "param:2: " },
                { "#STORAGE_TYPE = s3\n#KEY_PREFIX = ../x", "param:2: " },
                { "#STORAGE_TYPE = s3\n#KEY_PREFIX = /", "param:2: " },
                { "#STORAGE_TYPE = s3\n#AGE_RECIPIENTS = age1x", "param:2: " },
                { "#STORAGE_TYPE = s3\n#AGE_RECIPIENTS = ,", "param:2: " },
                { "#STORAGE_TYPE = s3\n#PIPE_TIMEOUT = 0", "param:2: " },
                { "#STORAGE_TYPE = s3\n#END_TIMEOUT = 2d", "param:2: " },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(backint_parameters_done) BackintParameters p = BACKINT_PARAMETERS_NULL;
                _cleanup_failure_ Failure failure = FAILURE_NULL;

                CHECK_INT(read_parameters(cases[i].text, &p, &failure), -EINVAL);
                CHECK_STR(failure.code, "BACKINT_PARAMETERS");
                CHECK(strstr(failure.message, cases[i].place));
        }
}

/* What stands in the wrong line may be a secret. */
static void test_values_are_not_told(void) {
        _cleanup_(backint_parameters_done) BackintParameters p = BACKINT_PARAMETERS_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;

        CHECK_INT(read_parameters("#SECRET_ACCESS_KEY = hunter2", &p, &failure), -EINVAL);
        CHECK(!strstr(failure.message, "hunter2"));
}

/* Streams share what is given to parts. */
static void test_parts(void) {
        CHECK_INT(backint_part_mib(8, 2000), 5);
        CHECK_INT(backint_part_mib(32, 2000), 5);
        CHECK_INT(backint_part_mib(8, 1), 32);
        CHECK_INT(backint_part_mib(4, 3), 13);
        CHECK_INT(backint_part_mib(8, 0), 32);
}

int main(void) {
        RUN(test_lines);
        RUN(test_quoting);
        RUN(test_backup_input);
        RUN(test_other_inputs);
        RUN(test_wrong_inputs);
        RUN(test_versions);
        RUN(test_answers);
        RUN(test_parameters);
        RUN(test_wrong_parameters);
        RUN(test_values_are_not_told);
        RUN(test_parts);
        return 0;
}
