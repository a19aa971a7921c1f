/* SPDX-License-Identifier: Apache-2.0 */

#include "base/parse.h"
#include "tests/test.h"

static void test_u64(void) {
        uint64_t v = 77;

        CHECK_OK(parse_u64("0", 0, UINT64_MAX, &v));
        CHECK_INT(v, 0);
        CHECK_OK(parse_u64("18446744073709551615", 0, UINT64_MAX, &v));
        CHECK(v == UINT64_MAX);
        CHECK_OK(parse_u64("007", 0, 10, &v));
        CHECK_INT(v, 7);
        for (const char *const *s = (const char *const[]){ "", "-1", "+1", " 1", "1 ", "1.0", "0x1", "1e3",
                                                           "one", "١", NULL };
             *s; s++)
                CHECK_INT(parse_u64(*s, 0, UINT64_MAX, &v), -EINVAL);
        CHECK_INT(parse_u64("18446744073709551616", 0, UINT64_MAX, &v), -ERANGE);
        CHECK_INT(parse_u64("99999999999999999999999", 0, UINT64_MAX, &v), -ERANGE);
        CHECK_INT(parse_u64("4", 5, 9, &v), -ERANGE);
        CHECK_INT(parse_u64("10", 5, 9, &v), -ERANGE);
        CHECK_INT(v, 7); /* untouched */
}

static void test_u32(void) {
        uint32_t v = 1;

        CHECK_OK(parse_u32("4294967295", 0, UINT32_MAX, &v));
        CHECK(v == UINT32_MAX);
        CHECK_INT(parse_u32("4294967296", 0, UINT32_MAX, &v), -ERANGE);
        CHECK_INT(parse_u32("18446744073709551617", 0, UINT32_MAX, &v), -ERANGE);
        CHECK(v == UINT32_MAX);
}

static void test_size(void) {
        uint64_t v = 0;

        CHECK_OK(parse_size("512", &v));
        CHECK_INT(v, 512);
        CHECK_OK(parse_size("10K", &v));
        CHECK_INT(v, 10240);
        CHECK_OK(parse_size("3M", &v));
        CHECK_INT(v, 3 << 20);
        CHECK_OK(parse_size("2G", &v));
        CHECK_INT(v, INT64_C(2) << 30);
        CHECK_OK(parse_size("16777215T", &v));
        CHECK(v == UINT64_C(16777215) << 40);
        CHECK_INT(parse_size("16777216T", &v), -ERANGE);
        CHECK_INT(parse_size("10 K", &v), -EINVAL);
        CHECK_INT(parse_size("10KB", &v), -EINVAL);
        CHECK_INT(parse_size("K", &v), -EINVAL);
        CHECK_INT(parse_size("1.5G", &v), -EINVAL);
        CHECK_INT(parse_size("", &v), -EINVAL);
}

static void test_span(void) {
        static const struct {
                const char *text;
                usec_t span;
        } cases[] = {
                { "0", 0 },
                { "5", 5 * USEC_PER_SEC },
                { "250ms", 250 * USEC_PER_MSEC },
                { "30s", 30 * USEC_PER_SEC },
                { "10min", 10 * USEC_PER_MINUTE },
                { "24h", USEC_PER_DAY },
                { "7d", 7 * USEC_PER_DAY },
        };
        usec_t v = 1;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                CHECK_OK(parse_span(cases[i].text, &v));
                CHECK(v == cases[i].span);
        }
        CHECK_INT(parse_span("5 min", &v), -EINVAL);
        CHECK_INT(parse_span("5m", &v), -EINVAL);
        CHECK_INT(parse_span("-5s", &v), -EINVAL);
        CHECK_INT(parse_span("min", &v), -EINVAL);
        CHECK_INT(parse_span("99999999999999d", &v), -ERANGE);
}

static void test_boolean(void) {
        bool b = false;

        for (const char *const *s = (const char *const[]){ "yes", "true", "on", "1", NULL }; *s; s++) {
                b = false;
                CHECK_OK(parse_boolean(*s, &b));
                CHECK(b);
        }
        for (const char *const *s = (const char *const[]){ "no", "false", "off", "0", NULL }; *s; s++) {
                b = true;
                CHECK_OK(parse_boolean(*s, &b));
                CHECK(!b);
        }
        for (const char *const *s = (const char *const[]){ "", "y", "2", "yes ", "tru", NULL }; *s; s++)
                CHECK_INT(parse_boolean(*s, &b), -EINVAL);
        CHECK(!b);
}

int main(void) {
        RUN(test_u64);
        RUN(test_u32);
        RUN(test_size);
        RUN(test_span);
        RUN(test_boolean);
        return EXIT_SUCCESS;
}
