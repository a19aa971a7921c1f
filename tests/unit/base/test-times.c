/* SPDX-License-Identifier: Apache-2.0 */

#include "base/backoff.h"
#include "base/times.h"
#include "tests/test.h"

static void test_arithmetic(void) {
        CHECK(usec_add(1, 2) == 3);
        CHECK(usec_add(USEC_INFINITY, 1) == USEC_INFINITY);
        CHECK(usec_add(1, USEC_INFINITY) == USEC_INFINITY);
        CHECK(usec_add(USEC_INFINITY - 1, 5) == USEC_INFINITY);
        CHECK(usec_sub(5, 2) == 3);
        CHECK(usec_sub(2, 5) == 0);
        CHECK(usec_sub(USEC_INFINITY, 5) == USEC_INFINITY);
}

static void test_clocks(void) {
        usec_t a = now_usec(CLOCK_MONOTONIC), b = now_usec(CLOCK_MONOTONIC);

        CHECK(b >= a);
        CHECK(now_usec(CLOCK_REALTIME) > UINT64_C(1700000000) * USEC_PER_SEC);
}

static void test_format(void) {
        char buf[RFC3339_MAX];

        CHECK_STR(format_rfc3339(buf, 0), "1970-01-01T00:00:00.000Z");
        CHECK_STR(format_rfc3339(buf, UINT64_C(1795385701123456)), "2026-11-22T22:15:01.123Z");
        CHECK_STR(format_rfc3339(buf, UINT64_C(253402300799999999)), "9999-12-31T23:59:59.999Z");
        CHECK_STR(format_rfc3339(buf, UINT64_C(253402300800000000)), "9999-12-31T23:59:59.999Z");
        CHECK_STR(format_rfc3339(buf, USEC_INFINITY), "9999-12-31T23:59:59.999Z");
}

static void test_parse(void) {
        static const struct {
                const char *text;
                usec_t t;
        } cases[] = {
                { "1970-01-01T00:00:00Z", 0 },
                { "2026-11-22T22:15:01.123Z", UINT64_C(1795385701123000) },
                { "2026-11-22T22:15:01.123456Z", UINT64_C(1795385701123456) },
                { "2026-11-22t22:15:01z", UINT64_C(1795385701000000) },
                { "2026-11-22 22:15:01Z", UINT64_C(1795385701000000) },
                { "2026-11-23T03:45:01+05:30", UINT64_C(1795385701000000) },
                { "2026-11-22T14:15:01-08:00", UINT64_C(1795385701000000) },
                { "2024-02-29T00:00:00Z", UINT64_C(1709164800000000) },
                { "2016-12-31T23:59:60Z", UINT64_C(1483228800000000) }, /* a leap second is the next one */
        };
        usec_t t = 0;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                CHECK_OK(parse_rfc3339(cases[i].text, &t));
                if (t != cases[i].t)
                        TEST_FAIL("%s is %" PRIu64 ", expected %" PRIu64, cases[i].text, t, cases[i].t);
        }
}

static void test_parse_refuses(void) {
        static const char *const texts[] = {
                "",
                "2026",
                "2026-11-22",
                "2026-11-22T22:15:01",
                "2026-11-22T22:15:01+0530",
                "2026-11-22T22:15Z",
                "26-11-22T22:15:01Z",
                "2026-13-22T22:15:01Z",
                "2026-00-22T22:15:01Z",
                "2026-11-31T22:15:01Z",
                "2026-02-29T00:00:00Z",
                "2026-11-22T24:00:00Z",
                "2026-11-22T22:60:01Z",
                "2026-11-22T22:15:61Z",
                "2026-11-22T22:15:01.Z",
                "2026-11-22T22:15:01.1234567Z",
                "2026-11-22T22:15:01Z ",
                " 2026-11-22T22:15:01Z",
                "2026-11-22T22:15:01ZZ",
                "1969-12-31T23:59:59Z",
                "2026-11-22T22:15:01+24:00",
                "+026-11-22T22:15:01Z",
        };
        usec_t t = 4711;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (parse_rfc3339(texts[i], &t) >= 0)
                        TEST_FAIL("'%s' was taken", texts[i]);
        CHECK(parse_rfc3339("1970-01-01T00:00:00+00:01", &t) < 0); /* before the epoch */
        CHECK(t == 4711);
}

static void test_backoff(void) {
        Backoff b = BACKOFF_INIT(USEC_PER_SEC, 60 * USEC_PER_SEC);
        usec_t ceiling = USEC_PER_SEC;

        /* With the largest draw the delay is the ceiling, which doubles up to the cap. */
        for (int i = 0; i < 20; i++) {
                usec_t delay = backoff_next(&b, UINT32_MAX);

                CHECK(delay <= ceiling && delay >= ceiling - ceiling / 1000);
                ceiling = MIN(2 * ceiling, 60 * USEC_PER_SEC);
        }
        CHECK_INT(b.attempts, 20);
        /* With the smallest one it is not zero. */
        CHECK(backoff_next(&b, 0) == USEC_PER_SEC / 10);
        backoff_reset(&b);
        CHECK_INT(b.attempts, 0);
        CHECK(backoff_next(&b, UINT32_MAX) <= USEC_PER_SEC);
        CHECK(backoff_next(&b, UINT32_MAX / 2) <= USEC_PER_SEC + USEC_PER_MSEC);
        /* Counting for ever does no harm. */
        b.attempts = UINT32_MAX;
        CHECK(backoff_next(&b, UINT32_MAX) <= 60 * USEC_PER_SEC);
}

int main(void) {
        RUN(test_arithmetic);
        RUN(test_clocks);
        RUN(test_format);
        RUN(test_parse);
        RUN(test_parse_refuses);
        RUN(test_backoff);
        return EXIT_SUCCESS;
}
