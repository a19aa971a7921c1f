/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"
#include "wire/entity.h"
#include "wire/rclone-options.h"
#include "wire/target-config.h"

static const char description[] =
                "[{\"Name\":\"big store\",\"Prefix\":\"store\",\"Description\":\"A store.\",\"Options\":["
                "{\"Name\":\"provider\",\"DefaultStr\":\"\",\"Type\":\"string\",\"Exclusive\":false,"
                "\"Examples\":[{\"Value\":\"One\"},{\"Value\":\"Two\"}]},"
                "{\"Name\":\"region\",\"Provider\":\"One\",\"Type\":\"string\",\"Exclusive\":true,"
                "\"Examples\":[{\"Value\":\"here\"},{\"Value\":\"there\"}]},"
                "{\"Name\":\"region\",\"Provider\":\"!One\",\"Type\":\"string\"},"
                "{\"Name\":\"host\",\"Required\":true,\"DefaultStr\":\"\",\"Type\":\"string\","
                "\"Help\":\"Its name.\"},"
                "{\"Name\":\"pass\",\"IsPassword\":true,\"Type\":\"string\"},"
                "{\"Name\":\"tries\",\"Type\":\"int\",\"DefaultStr\":\"10\",\"Advanced\":true},"
                "{\"Name\":\"quick\",\"Type\":\"bool\",\"DefaultStr\":\"false\"},"
                "{\"Name\":\"pick_command\",\"Type\":\"string\"}]},"
                "{\"Name\":\"wrap\",\"Prefix\":\"wrap\","
                "\"Options\":[{\"Name\":\"remote\",\"Required\":true}]}]";

static void parse(RcloneDescription *ret) {
        CHECK_OK(rclone_description_parse(description, strlen(description), ret, NULL));
}

static void test_description(void) {
        _cleanup_(rclone_description_done) RcloneDescription d = {};
        const RcloneBackend *b;

        parse(&d);
        CHECK_INT(d.n, 2);
        CHECK(!rclone_backend_find(&d, "big store"));
        b = rclone_backend_find(&d, "store");
        CHECK(b);
        CHECK_STR(b->title, "big store");
        CHECK_STR(b->about, "A store.");
        CHECK_INT(b->n_options, 8);
        CHECK_STR(rclone_option_find(b, "host")->help, "Its name.");
        CHECK(rclone_option_find(b, "host")->is_required);
        CHECK_STR(rclone_option_find(b, "region")->choices[1], "there");
        CHECK_INT(rclone_option_find(b, "tries")->kind, RCLONE_NUMBER);
        CHECK_STR(rclone_option_find(b, "tries")->standard, "10");
        CHECK_INT(rclone_option_find(b, "quick")->kind, RCLONE_SWITCH);
        CHECK(rclone_option_find(b, "pass")->is_secret);
        CHECK(!rclone_option_find(b, "host")->is_secret);
        CHECK(!rclone_option_find(b, "nothing"));
}

/* Of every option that the rclone of this machine has. */
static void test_passwords(void) {
        _cleanup_(rclone_description_done) RcloneDescription d = {};
        _cleanup_(freep) char *text = malloc(RCLONE_DESCRIPTION_MAX);
        FILE *program = popen("rclone config providers 2>/dev/null", "r");
        size_t n;

        CHECK(rclone_name_is_password("key_file_pass"));
        CHECK(!rclone_name_is_password("client_secret"));
        CHECK(!rclone_name_is_password("token"));
        CHECK(text && program);
        n = fread(text, 1, RCLONE_DESCRIPTION_MAX, program);
        if (pclose(program) != 0)
                return; /* there is none */
        CHECK_OK(rclone_description_parse(text, n, &d, NULL));
        CHECK(d.n > 10);
        for (size_t i = 0; i < d.n; i++)
                for (size_t j = 0; j < d.backends[i].n_options; j++)
                        CHECK_INT(rclone_name_is_password(d.backends[i].options[j].name),
                                  d.backends[i].options[j].is_password);
}

static void test_no_description(void) {
        static const char *const texts[] = {
                "",
                "{}",
                "[1]",
                "[{\"Prefix\":7}]",
                "[{\"Prefix\":\"a\",\"Options\":[{\"Name\":[]}]}]",
                "[{\"Prefix\":\"a\",\"Options\":{}}]",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                RcloneDescription d = {};

                CHECK_INT(rclone_description_parse(texts[i], strlen(texts[i]), &d, &failure), -EBADMSG);
                CHECK(failure_is_set(&failure));
                CHECK_INT(d.n, 0);
        }
}

static void test_check(void) {
        static const struct {
                const char *config, *secrets, *field; /* NULL: all is well */
        } table[] = {
                { "{'host':'h'}", "{}", NULL },
                { "{'host':'h','path':'a','read_back':true}", "{'pass':'x'}", NULL },
                { "{'host':'h','provider':'Three','region':'anywhere'}", "{}", NULL },
                { "{'host':'h','provider':'One','region':'there'}", "{}", NULL },
                { "{'host':'h','provider':'One','region':'anywhere'}", "{}", "config.region" },
                { "{'host':'h','tries':'-3','quick':'yes'}", "{}", NULL },
                { "{}", "{}", "config.host" },
                { "{'host':'h','tries':'many'}", "{}", "config.tries" },
                { "{'host':'h','quick':'perhaps'}", "{}", "config.quick" },
                { "{'host':'h','hots':'h'}", "{}", "config.hots" },
                { "{'host':'h','pass':'x'}", "{}", "config.pass" },
                { "{'host':'h','pick_command':'id'}", "{}", "config.pick_command" },
                { "{'host':'h','type':'local'}", "{}", "config.type" },
                { "{'host':':local,x=y:'}", "{}", "config.host" },
                { "{'host':'a\\nb'}", "{}", "config.host" },
                { "{'host':7}", "{}", "config.host" },
                { "{'host':'h'}", "{'passe':'x'}", "secrets.passe" },
                { "{'host':'h'}", "{'pick_command':'x'}", "secrets.pick_command" },
        };
        _cleanup_(rclone_description_done) RcloneDescription d = {};
        const RcloneBackend *b;

        parse(&d);
        b = rclone_backend_find(&d, "store");
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_json_ json_t *config = NULL, *secrets = NULL;
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                char texts[2][256];

                for (size_t k = 0; k < 2; k++) {
                        (void) snprintf(texts[k], sizeof texts[k], "%s",
                                        k == 0 ? table[i].config : table[i].secrets);
                        for (char *p = texts[k]; (p = strchr(p, '\'')); p++)
                                *p = '"';
                        CHECK_OK(json_parse_strict(texts[k], strlen(texts[k]), JSON_DEPTH_DEFAULT,
                                                   k == 0 ? &config : &secrets, NULL));
                }
                CHECK_INT(rclone_options_check(b, config, secrets, &failure), table[i].field ? -EINVAL : 0);
                if (table[i].field)
                        CHECK_STR(failure.field, table[i].field);
        }
}

static void test_form(void) {
        _cleanup_(rclone_description_done) RcloneDescription d = {};
        _cleanup_json_ json_t *whole = NULL, *brief = NULL;
        const json_t *options, *pass;

        parse(&d);
        CHECK_OK(rclone_backend_build(d.backends, true, &whole));
        CHECK_OK(rclone_backend_build(d.backends, false, &brief));
        CHECK(!json_object_get(brief, "options"));
        CHECK_STR(json_string_value(json_object_get(brief, "name")), "store");
        options = json_object_get(whole, "options");
        /* Not the command. */
        CHECK_INT(json_array_size(options), 7);
        pass = json_array_get(options, 4);
        CHECK_STR(json_string_value(json_object_get(pass, "name")), "pass");
        CHECK(json_is_true(json_object_get(pass, "secret")));
        CHECK_STR(json_string_value(json_object_get(json_array_get(options, 5), "kind")), "number");
        CHECK_INT(json_array_size(json_object_get(json_array_get(options, 1), "choices")), 2);
}

static void test_types(void) {
        static const char *const wrong[] = { "rclone", "rclone:", "rclone:a,b=c",
                                             "rclone::local", "rclone:A", "rclone:a:b" };

        CHECK_STR(rclone_type_backend("rclone:s3"), "s3");
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                CHECK(!rclone_type_backend(wrong[i]));
                CHECK(!target_type_find(wrong[i]));
        }
        CHECK(target_type_find("rclone:anything_new"));
}

/* --- As a request gives a target ---------------------------------------------------------------------- */

static int read_target(const char *type, const char *config, const char *secrets, Target *target,
                       Failure *failure) {
        _cleanup_json_ json_t *json = NULL;
        const json_t *found = NULL;
        char text[1024];

        (void) snprintf(text, sizeof text, "{'name':'t','type':'%s','config':%s,'secrets':%s}", type, config,
                        secrets);
        for (char *p = text; (p = strchr(p, '\'')); p++)
                *p = '"';
        CHECK_OK(json_parse_strict(text, strlen(text), JSON_DEPTH_BODY, &json, NULL));
        return target_from_json(json, target, &found, failure);
}

static void test_target(void) {
        _cleanup_(target_done) Target target = TARGET_NULL;

        CHECK_OK(read_target("rclone:sftp", "{'path':'a/b','host':'h','port':22,'quick':true}",
                             "{'pass':'x'}", &target, NULL));
        CHECK_STR(target.type, "rclone:sftp");
        CHECK(strstr(target.config, "\"port\":\"22\""));
        CHECK(strstr(target.config, "\"quick\":\"true\""));
        CHECK(strstr(target.config, "\"path\":\"a/b\""));
}

static void test_refused_targets(void) {
        static const struct {
                const char *type, *config, *secrets, *field;
        } table[] = {
                { "rclone:sftp", "{'path':':local:/etc'}", "{}", "config.path" },
                { "rclone:sftp", "{'path':'a/../b'}", "{}", "config.path" },
                { "rclone:sftp", "{'path':'-x'}", "{}", "config.path" },
                { "rclone:sftp", "{'host':':sftp,ssh=id:'}", "{}", "config.host" },
                { "rclone:sftp", "{'ssh':'id'}", "{}", "config.ssh" },
                { "rclone:sftp", "{'server_command':'id'}", "{}", "config.server_command" },
                { "rclone:sftp", "{'pass':'secret'}", "{}", "config.pass" },
                { "rclone:sftp", "{'Host':'h'}", "{}", "config.Host" },
                { "rclone:sftp", "{'host':{}}", "{}", "config.host" },
                { "rclone:sftp", "{}", "{'server_command':'id'}", "secrets" },
                { "rclone:webdav", "{}", "{'bearer_token_command':'id'}", "secrets" },
                { "rclone:union", "{'upstreams':'a: b:'}", "{}", "config.upstreams" },
                { "rclone:crypt", "{'remote':'other:x'}", "{}", "config.remote" },
                { "rclone:crypt", "{'remote':':local:/x'}", "{}", "config.remote" },
                { "rclone:crypt", "{'remote':'/a/../b'}", "{}", "config.remote" },
                { "rclone:local", "{'path':'relative'}", "{}", "config.path" },
                { "rclone:local", "{}", "{}", "config.path" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(target_done) Target target = TARGET_NULL;
                _cleanup_failure_ Failure failure = FAILURE_NULL;

                CHECK_INT(read_target(table[i].type, table[i].config, table[i].secrets, &target, &failure),
                          -EBADMSG);
                CHECK_STR(failure.field, table[i].field);
        }
}

static void test_too_many(void) {
        _cleanup_(target_done) Target target = TARGET_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        char config[1000] = "{'a0':'x'";

        for (unsigned i = 1; i < RCLONE_GIVEN_MAX + 10; i++)
                (void) snprintf(config + strlen(config), sizeof config - strlen(config), ",'a%u':'x'", i);
        (void) snprintf(config + strlen(config), sizeof config - strlen(config), "}");
        CHECK_INT(read_target("rclone:sftp", config, "{}", &target, &failure), -EBADMSG);
}

static void test_directory(void) {
        static const struct {
                const char *type, *config, *directory;
        } table[] = {
                { "rclone:local", "{\"path\":\"/mnt/disk\"}", "/mnt/disk" },
                { "rclone:crypt", "{\"remote\":\"/mnt/disk\",\"path\":\"x\"}", "/mnt/disk" },
                { "rclone:sftp", "{\"path\":\"/mnt/disk\"}", NULL },
                { "sftp", "{\"path\":\"/mnt/disk\",\"remote\":\"/x\"}", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_json_ json_t *config = NULL;

                CHECK_OK(json_parse_strict(table[i].config, strlen(table[i].config), JSON_DEPTH_DEFAULT,
                                           &config, NULL));
                CHECK(streq_ptr(rclone_directory(table[i].type, config), table[i].directory));
        }
}

int main(void) {
        RUN(test_description);
        RUN(test_passwords);
        RUN(test_no_description);
        RUN(test_check);
        RUN(test_form);
        RUN(test_types);
        RUN(test_target);
        RUN(test_refused_targets);
        RUN(test_too_many);
        RUN(test_directory);
        return EXIT_SUCCESS;
}
