/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "base/times.h"
#include "sys/config.h"
#include "sys/log.h"
#include "tests/test.h"

typedef struct Sample {
        char *listen;
        char **directories;
        bool strict;
        uint32_t count;
        uint64_t size;
        usec_t span;
        int level;
        char *top;
        char *inner_key;
        char *inner_file;
        char *outer_deep;
} Sample;

static const ConfigItem items[] = {
        { "server", "listen", config_parse_string, offsetof(Sample, listen) },
        { "relay", "directories", config_parse_paths, offsetof(Sample, directories) },
        { "server", "strict", config_parse_boolean, offsetof(Sample, strict) },
        { "server", "count", config_parse_u32, offsetof(Sample, count) },
        { "server", "size", config_parse_size, offsetof(Sample, size) },
        { "server", "span", config_parse_span, offsetof(Sample, span) },
        { "log", "level", config_parse_log_level, offsetof(Sample, level) },
        { "server", "inner", config_parse_string, offsetof(Sample, inner_key) },
        { "server.inner", "file", config_parse_path, offsetof(Sample, inner_file) },
        { "server.outer", "deep", config_parse_string, offsetof(Sample, outer_deep) },
        { NULL, "top", config_parse_path, offsetof(Sample, top) },
};

static void sample_done(Sample *s) {
        free(s->listen);
        strv_free(s->directories);
        free(s->top);
        free(s->inner_key);
        free(s->inner_file);
        free(s->outer_deep);
}

static ConfigArgs args_of(Sample *s) {
        return (ConfigArgs){
                .items = items, .n_items = ELEMENTSOF(items), .environment = "SAMPLE", .target = s
        };
}

static int parse(Sample *s, const char *text, Failure *failure) {
        const ConfigArgs args = args_of(s);

        return config_parse(&args, "sample.yaml", text, strlen(text), failure);
}

static void test_all_types(void) {
        _cleanup_(sample_done) Sample s = {};

        CHECK_OK(parse(&s,
                       "# comment\nserver:\n  listen: '[::1]:80'\n  strict: yes\n  count: 7\n"
                       "  size: 2K\n  span: 5min\nrelay:\n  directories:\n    - /a\n    - /b c\n"
                       "log: {level: debug}\ntop: /x\n",
                       NULL));
        CHECK_STR(s.listen, "[::1]:80");
        CHECK(s.strict);
        CHECK_INT(s.count, 7);
        CHECK_INT(s.size, 2048);
        CHECK_INT(s.span, 5 * USEC_PER_MINUTE);
        CHECK_INT(s.level, 7);
        CHECK_STR(s.directories[1], "/b c");
        CHECK_STR(s.top, "/x");
        /* One value where a list is fine; a later document wins. */
        CHECK_OK(parse(&s, "relay:\n  directories: /c\n", NULL));
        CHECK_INT(strv_length(s.directories), 1);
        CHECK_STR(s.directories[0], "/c");
}

static void test_inner_section(void) {
        _cleanup_(sample_done) Sample s = {};
        _cleanup_failure_ Failure deep = FAILURE_NULL, unknown = FAILURE_NULL, twice = FAILURE_NULL;

        CHECK_OK(parse(&s, "server:\n  inner: off\n  count: 7\n", NULL));
        CHECK_STR(s.inner_key, "off");
        CHECK_OK(parse(&s, "server:\n  inner:\n    file: /a\n  count: 8\n", NULL));
        CHECK_STR(s.inner_file, "/a");
        CHECK_INT(s.count, 8);
        CHECK(parse(&s, "server:\n  inner:\n    file: {a: b}\n", &deep) < 0);
        CHECK(parse(&s, "server:\n  inner:\n    size: 1\n", &unknown) < 0);
        CHECK_STR(unknown.message, "sample.yaml:3: unknown key 'server.inner.size'");
        CHECK(parse(&s, "server:\n  inner: {file: /a, file: /b}\n", &twice) < 0);
        CHECK(strstr(twice.message, "'server.inner.file' is set twice"));
}

static void test_nothing(void) {
        static const char *const empty[] = { "", "\n", "# only\n",
                                             "---\n", "server:\n", "server: ~\nlog:\n",
                                             "server:\n  outer:\n  strict: yes\n",
                                             "{}" };

        for (size_t i = 0; i < ELEMENTSOF(empty); i++) {
                _cleanup_(sample_done) Sample s = {};
                _cleanup_failure_ Failure failure = FAILURE_NULL;

                if (parse(&s, empty[i], &failure) < 0)
                        TEST_FAIL("'%s': %s", empty[i], failure.message);
        }
}

static void test_errors(void) {
        static const struct {
                const char *text, *start;
        } table[] = {
                { "server:\n  lisen: x\n", "sample.yaml:2: unknown key 'server.lisen'" },
                { "servre:\n  listen: x\n", "sample.yaml:1: unknown section 'servre'" },
                { "x: 1\n", "sample.yaml:1: unknown key 'x'" },
                { "server: 3\n", "sample.yaml:1: 'server' is a section" },
                { "server:\n  outer: 3\n", "sample.yaml:2: 'server.outer' is a section" },
                { "server:\n  outer: [a]\n", "sample.yaml:2: 'server.outer' is a section" },
                { "server:\n  count: -1\n", "sample.yaml:2: server.count: '-1' is not" },
                { "server:\n  count: 4294967296\n", "sample.yaml:2: server.count:" },
                { "server:\n  strict: perhaps\n", "sample.yaml:2: server.strict:" },
                { "server:\n  listen: a\n  listen: b\n", "sample.yaml:3: 'server.listen' is set twice" },
                { "server:\n  listen: [a, b]\n", "sample.yaml:2: server.listen: one value" },
                { "server:\n  listen: {a: b}\n", "sample.yaml:2: a plain value" },
                { "relay:\n  directories: [[a]]\n", "sample.yaml:2: a plain value" },
                { "relay:\n  directories: [a]\n",
                  "sample.yaml:2: relay.directories: 'a' is not an absolute" },
                { "top: x\n", "sample.yaml:1: top: 'x' is not an absolute path" },
                { "log:\n  level: loud\n", "sample.yaml:2: log.level:" },
                { "server:\n  span: 3 weeks\n", "sample.yaml:2: server.span:" },
                { "- a\n", "sample.yaml:1: sections are expected" },
                { "a: [\n", "sample.yaml:" },
                { "server: &x\n  listen: *x\n", "sample.yaml:2: aliases" },
                { "server:\n  listen: a\n---\nlog:\n", "sample.yaml:" },
                { "\ttab: 1\n", "sample.yaml:1: not valid YAML" },
                { "server:\n  listen: \"a\\0b\"\n", "sample.yaml:2: a NUL" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(sample_done) Sample s = {};
                _cleanup_failure_ Failure failure = FAILURE_NULL;

                if (parse(&s, table[i].text, &failure) >= 0)
                        TEST_FAIL("'%s' was taken", table[i].text);
                CHECK_STR(failure.code, "CONFIG_INVALID");
                if (!startswith(failure.message, table[i].start))
                        TEST_FAIL("'%s': the message is '%s'", table[i].text, failure.message);
        }
}

/* What is another program's is read over, however it looks; what is ours is still checked. */
static void test_shared(void) {
        static const ConfigItem few[] = { { "log", "level", config_parse_log_level,
                                            offsetof(Sample, level) } };
        _cleanup_(sample_done) Sample s = {};
        const ConfigArgs args = { .items = few, .n_items = ELEMENTSOF(few), .shared = true, .target = &s };
        static const char good[] =
                        "server:\n  listen: x\n  deep:\n    - [a, {b: c}]\nrelay: {directories: [/a]}\n"
                        "top: 1\nlog:\n  target: [x]\n  level: debug\n  last: ~\n";
        static const char bad[] = "server:\n  listen: x\nlog:\n  level: loud\n";

        CHECK_OK(config_parse(&args, "shared.yaml", good, sizeof(good) - 1, NULL));
        CHECK_INT(s.level, LOG_DEBUG);
        CHECK(config_parse(&args, "shared.yaml", bad, sizeof(bad) - 1, NULL) < 0);
}

static void write_text(const char *path, const char *text) {
        CHECK_OK(write_file_atomic(AT_FDCWD, path, text, strlen(text), 0600));
}

static void test_load(void) {
        char folder[] = "/tmp/backupx-test-config-XXXXXX";
        _cleanup_(freep) char *path = NULL, *drop_ins = NULL, *a = NULL, *b = NULL, *c = NULL;
        _cleanup_(sample_done) Sample s = {};
        _cleanup_failure_ Failure failure = FAILURE_NULL, missing = FAILURE_NULL;
        ConfigArgs args = args_of(&s);

        CHECK(mkdtemp(folder));
        CHECK_OK(asprintf_safe(&path, "%s/c.yaml", folder));
        CHECK_OK(asprintf_safe(&drop_ins, "%s.d", path));
        CHECK_OK(asprintf_safe(&a, "%s/10-a.yaml", drop_ins));
        CHECK_OK(asprintf_safe(&b, "%s/20-b.yaml", drop_ins));
        CHECK_OK(asprintf_safe(&c, "%s/30-c.conf", drop_ins));
        args.path = path;

        /* A missing file is fine, unless it was named. */
        CHECK_OK(config_load(&args, NULL));
        args.required = true;
        CHECK_INT(config_load(&args, &missing), -ENOENT);
        CHECK(strstr(missing.message, path));

        CHECK(mkdir(drop_ins, 0700) == 0);
        write_text(path, "server:\n  listen: file\n  count: 1\n  size: 1\n");
        write_text(b, "server:\n  count: 3\n");
        write_text(a, "server:\n  count: 2\n  size: 2\n");
        write_text(c, "nonsense");
        CHECK(setenv("SAMPLE_SERVER_SIZE", "3", 1) == 0);
        CHECK(setenv("SAMPLE_RELAY_DIRECTORIES", "/x:/y:", 1) == 0);
        CHECK(setenv("SAMPLE_TOP", "/t", 1) == 0);
        CHECK(setenv("SAMPLE_SERVER_INNER_FILE", "/i", 1) == 0);
        CHECK_OK(config_load(&args, NULL));
        CHECK_STR(s.listen, "file");
        CHECK_INT(s.count, 3);
        CHECK_INT(s.size, 3);
        CHECK_INT(strv_length(s.directories), 2);
        CHECK_STR(s.top, "/t");
        CHECK_STR(s.inner_file, "/i");

        CHECK(setenv("SAMPLE_LOG_LEVEL", "loud", 1) == 0);
        CHECK(config_load(&args, &failure) < 0);
        CHECK(startswith(failure.message, "Environment variable SAMPLE_LOG_LEVEL: "));

        CHECK(unlink(path) == 0 && unlink(a) == 0 && unlink(b) == 0 && unlink(c) == 0);
        CHECK(rmdir(drop_ins) == 0 && rmdir(folder) == 0);
}

int main(void) {
        RUN(test_all_types);
        RUN(test_inner_section);
        RUN(test_nothing);
        RUN(test_errors);
        RUN(test_shared);
        RUN(test_load);
        return EXIT_SUCCESS;
}
