/* SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>

#include "agent/daemon/http-multi.h"
#include "agent/daemon/options.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "crypto/pin.h"
#include "tests/folder.h"
#include "tests/test.h"

static int load(AgentOptions *ret, Failure *f, const char *const *arguments) {
        char *argv[20] = { (char *) "backupx-agent" };
        int argc = 1;

        for (; *arguments; arguments++)
                argv[argc++] = (char *) *arguments;
        return agent_options_load(argc, argv, ret, f);
}

#define LOAD(ret, f, ...) load(ret, f, (const char *const[]){ __VA_ARGS__, NULL })

static char *write_config(const char *text) {
        _cleanup_(freep) char *below = test_folder_below();
        char *path;

        CHECK_OK(asprintf_safe(&path, "%s/config.yaml", below));
        CHECK_OK(write_file_atomic(AT_FDCWD, path, text, strlen(text), 0600));
        return path;
}

static void test_flags(void) {
        _cleanup_(agent_options_done) AgentOptions o = AGENT_OPTIONS_NULL;
        _cleanup_(freep) char *config = write_config("");

        CHECK_OK(LOAD(&o, NULL, "--config", config, "--master", "https://m:8340/", "--token", "bxn_x",
                      "--insecure-tls", "--temp-dir=/t", "--proxy-url", "http://p:3128", "--ca-cert",
                      "/ca.pem"));
        CHECK_INT(o.verb, AGENT_RUN);
        CHECK_STR(o.master, "https://m:8340");
        CHECK_STR(o.token, "bxn_x");
        CHECK_STR(o.temp_dir, "/t");
        CHECK_STR(o.proxy_url, "http://p:3128");
        CHECK_STR(o.ca_cert, "/ca.pem");
        CHECK(o.insecure_tls);
        CHECK_INT(o.capacity, 2);
        CHECK_INT(o.probe_capacity, 4);
        CHECK_STR(o.state_dir, "/var/lib/backupx-agent");
        CHECK_STR(o.results_dir, "/var/lib/backupx-agent/results");
}

/* As the guide writes them. */
static void test_single_dash(void) {
        _cleanup_(agent_options_done) AgentOptions o = AGENT_OPTIONS_NULL;
        _cleanup_(freep) char *config = write_config("");

        CHECK_OK(LOAD(&o, NULL, "-config", config, "-master", "http://m", "-token", "t", "-temp-dir", "/t",
                      "-insecure-tls"));
        CHECK_STR(o.master, "http://m");
        CHECK_STR(o.token, "t");
        CHECK(o.insecure_tls);
}

static void test_precedence(void) {
        _cleanup_(agent_options_done) AgentOptions env = AGENT_OPTIONS_NULL, file = AGENT_OPTIONS_NULL,
                                                   flag = AGENT_OPTIONS_NULL;
        _cleanup_(freep) char *empty = write_config(""),
                              *config = write_config("master: https://file\ncapacity: 5\n");

        CHECK_OK(setenv("BACKUPX_AGENT_MASTER", "https://env", 1));
        CHECK_OK(setenv("BACKUPX_AGENT_STATE_DIR", "/env/state", 1));
        CHECK_OK(LOAD(&env, NULL, "--config", empty));
        CHECK_STR(env.master, "https://env");
        CHECK_OK(LOAD(&file, NULL, "--config", config));
        CHECK_STR(file.master, "https://file");
        CHECK_STR(file.state_dir, "/env/state");
        CHECK_STR(file.results_dir, "/env/state/results");
        CHECK_INT(file.capacity, 5);
        CHECK_OK(LOAD(&flag, NULL, "--config", config, "--master", "https://flag"));
        CHECK_STR(flag.master, "https://flag");
        CHECK_OK(unsetenv("BACKUPX_AGENT_MASTER"));
        CHECK_OK(unsetenv("BACKUPX_AGENT_STATE_DIR"));
}

/* A token given as a file replaces a weaker source's token itself, and the other way round. */
static void test_token_sources(void) {
        _cleanup_(agent_options_done) AgentOptions a = AGENT_OPTIONS_NULL, b = AGENT_OPTIONS_NULL;
        _cleanup_(freep) char *one = write_config("master: https://m\ntoken: t1\n"),
                              *two = write_config("master: https://m\ntoken_file: /f\n");

        CHECK_OK(LOAD(&a, NULL, "--config", one, "--token-file", "/g"));
        CHECK(!a.token);
        CHECK_STR(a.token_file, "/g");
        CHECK_OK(LOAD(&b, NULL, "--config", two, "--token", "t2"));
        CHECK(!b.token_file);
        CHECK_STR(b.token, "t2");
}

static void test_verbs(void) {
        _cleanup_(freep) char *config = write_config("master: https://m\n");
        static const struct {
                const char *argument;
                AgentVerb verb;
        } cases[] = {
                { "enroll", AGENT_ENROLL },
                { "wait-online", AGENT_WAIT_ONLINE },
                { "--help", AGENT_HELP },
                { "-help", AGENT_HELP },
                { "--version", AGENT_VERSION },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(agent_options_done) AgentOptions o = AGENT_OPTIONS_NULL;

                CHECK_OK(LOAD(&o, NULL, "--config", config, cases[i].argument));
                CHECK_INT(o.verb, cases[i].verb);
        }
}

static void test_refused(void) {
        static const struct {
                const char *text;
                const char *word; /* that the message has to hold */
        } cases[] = {
                { "master: https://m\nmaster_url: x\n", "config.yaml:2" },
                { "master: https://m\ncapacity: many\n", "config.yaml:2" },
                { "master: https://m\ncapacity: 0\n", "capacity" },
                { "master: https://m\ncapacity: 1000\n", "capacity" },
                { "master: ftp://m\n", "https://" },
                { "master: https://\n", "host" },
                { "master: https://user@m\n", "user" },
                { "master: https://m/?q\n", "path" },
                { "master: 'https://m m'\n", "spaces" },
                { "master: https://m\npin: abc\n", "pin" },
                { "master: http://m\npin: sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
                  "https://, not" },
                { "", "No master" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(agent_options_done) AgentOptions o = AGENT_OPTIONS_NULL;
                _cleanup_(freep) char *config = write_config(cases[i].text);
                _cleanup_failure_ Failure f = FAILURE_NULL;

                CHECK(LOAD(&o, &f, "--config", config) < 0);
                if (!strstr(failure_message(&f, 0), cases[i].word))
                        TEST_FAIL("'%s' does not say '%s'", failure_message(&f, 0), cases[i].word);
        }
}

static void test_bad_flags(void) {
        _cleanup_(agent_options_done) AgentOptions o = AGENT_OPTIONS_NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL, g = FAILURE_NULL, h = FAILURE_NULL, i = FAILURE_NULL;

        CHECK(LOAD(&o, &f, "--mistress", "x") < 0);
        CHECK(strstr(f.message, "--mistress"));
        CHECK(LOAD(&o, &g, "--token") < 0);
        CHECK(strstr(g.message, "--token"));
        CHECK(LOAD(&o, &h, "start") < 0);
        CHECK(strstr(h.message, "start"));
        CHECK(LOAD(&o, &i, "--config", "/nonexistent/config.yaml") < 0);
        CHECK(strstr(i.message, "/nonexistent/config.yaml"));
}

static void test_pins(void) {
        static const char hex[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        static const char base64[] = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        _cleanup_(freep) char *a = NULL, *b = NULL, *c = NULL, *d = NULL;
        _cleanup_(freep) char *prefixed = NULL;

        CHECK_OK(asprintf_safe(&prefixed, "sha256//%s", base64));
        CHECK_OK(pin_normalize(hex, &a, NULL));
        CHECK_STR(a, prefixed);
        CHECK_OK(pin_normalize(base64, &b, NULL));
        CHECK_STR(b, prefixed);
        CHECK_OK(pin_normalize(prefixed, &c, NULL));
        CHECK_STR(c, prefixed);
        CHECK_INT(pin_normalize("sha256//AAAA", &d, NULL), -EINVAL);
        CHECK_INT(pin_normalize("", &d, NULL), -EINVAL);
}

static void test_exposed(void) {
        CHECK(!http_url_is_exposed("https://backup.example.com"));
        CHECK(!http_url_is_exposed("http://127.0.0.1:8340"));
        CHECK(!http_url_is_exposed("http://localhost:8340"));
        CHECK(!http_url_is_exposed("http://localhost"));
        CHECK(!http_url_is_exposed("http://[::1]:8340"));
        CHECK(http_url_is_exposed("http://localhost.example.com"));
        CHECK(http_url_is_exposed("http://backup"));
}

int main(void) {
        _cleanup_test_folder_ char *folder = test_folder_enter();

        RUN(test_flags);
        RUN(test_single_dash);
        RUN(test_precedence);
        RUN(test_token_sources);
        RUN(test_verbs);
        RUN(test_refused);
        RUN(test_bad_flags);
        RUN(test_pins);
        RUN(test_exposed);
        return 0;
}
