/* SPDX-License-Identifier: Apache-2.0 */
#include <locale.h>
#include <time.h>

#include "base/alloc.h"
#include "base/text.h"
#include "cli/follow.h"
#include "cli/human.h"
#include "cli/table.h"
#include "tests/test.h"

static void test_sizes(void) {
        static const struct {
                uint64_t bytes;
                const char *text;
        } cases[] = {
                { 0, "0 B" },
                { 1023, "1023 B" },
                { 1024, "1.0 KiB" },
                { 1536, "1.5 KiB" },
                { (1U << 20) - 1, "1023.9 KiB" },
                { 1U << 20, "1.0 MiB" },
                { UINT64_C(5) << 30, "5.0 GiB" },
                { UINT64_MAX, "15.9 EiB" },
        };
        char buf[HUMAN_MAX];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                CHECK_STR(human_size(buf, cases[i].bytes), cases[i].text);
}

static void test_spans(void) {
        char buf[HUMAN_MAX];

        CHECK_STR(human_span(buf, 0), "0.0 s");
        CHECK_STR(human_span(buf, 12 * USEC_PER_SEC + 450 * USEC_PER_MSEC), "12.4 s");
        CHECK_STR(human_span(buf, 61 * USEC_PER_SEC), "1 min 01 s");
        CHECK_STR(human_span(buf, 3 * USEC_PER_HOUR + 2 * USEC_PER_MINUTE), "3 h 02 min");
}

static void test_times(void) {
        char buf[HUMAN_MAX];

        CHECK(setenv("TZ", "UTC", 1) == 0);
        tzset();
        CHECK_STR(human_time(buf, "2026-11-22T22:15:01.123Z"), "2026-11-22 22:15:01");
        CHECK_STR(human_time(buf, "soon"), "soon");
}

static void test_safe(void) {
        static const struct {
                const char *in, *out;
        } cases[] = {
                { "plain", "plain" },
                { "two\nlines", "two\\x0alines" },
                { "\033[31mred", "\\x1b[31mred" },
                { "caf\xe9", "caf\\xe9" },
                { "\xe6\x97\xa5\xe6\x9c\xac", "\xe6\x97\xa5\xe6\x9c\xac" },
                { "a\xe2\x80\xae"
                  "b",
                  "a\\u202eb" }, /* text from right to left */
                { "\xc2\x9b"
                  "31m",
                  "\\u009b31m" }, /* a control sequence in one character */
                { "cut\xe6\x97", "cut\\xe6\\x97" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(freep) char *safe = NULL;

                CHECK_OK(text_safe(cases[i].in, &safe));
                CHECK_STR(safe, cases[i].out);
        }
}

static void test_table(void) {
        _cleanup_(table_done) Table t = { .n_columns = 2, .right = 1 };
        _cleanup_(freep) char *text = NULL;
        size_t n = 0;
        FILE *file = open_memstream(&text, &n);

        CHECK(file);
        CHECK_OK(table_add(&t, "ID"));
        CHECK_OK(table_add(&t, "NAME"));
        CHECK_OK(table_add(&t, "7"));
        CHECK_OK(table_add(&t, "a name"));
        CHECK_OK(table_add(&t, "1234"));
        CHECK_OK(table_add(&t, NULL));
        CHECK_OK(table_print(&t, file));
        CHECK(fclose(file) == 0);
        CHECK_STR(text, "  ID  NAME\n   7  a name\n1234  -\n");
}

static void test_width(void) {
        CHECK_INT(text_width("abc"), 3);
        if (!setlocale(LC_CTYPE, "C.UTF-8"))
                return;
        CHECK_INT(text_width("\xe6\x97\xa5\xe6\x9c\xac"), 4);
        CHECK_INT(text_width("e\xcc\x81"), 1);
}

static void test_bar(void) {
        _cleanup_json_ json_t *run =
                        json_pack("{s:s, s:i, s:{s:i, s:i, s:i}}", "state", "running", "bytes_read", 1,
                                  "progress", "bytes_read", 512, "bytes_total", 1024, "files_done", 3);
        _cleanup_(freep) char *wide = NULL, *narrow = NULL;

        CHECK(run);
        CHECK_OK(follow_bar(run, 80, &wide));
        CHECK(strstr(wide, "running"));
        CHECK(strstr(wide, "[#############-------------]  50 %"));
        CHECK(strstr(wide, "512 B, 3 files"));
        CHECK_OK(follow_bar(run, 10, &narrow));
        CHECK_INT(strlen(narrow), 9);
}

int main(void) {
        RUN(test_sizes);
        RUN(test_spans);
        RUN(test_times);
        RUN(test_safe);
        RUN(test_table);
        RUN(test_width);
        RUN(test_bar);
        return 0;
}
