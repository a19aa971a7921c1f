/* SPDX-License-Identifier: Apache-2.0 */

#include <syslog.h>

#include "agent/common/log-ring.h"
#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"
#include "wire/agent.h"

static uint64_t sequence_of(const json_t *lines, size_t i) {
        return (uint64_t) json_integer_value(json_object_get(json_array_get(lines, i), "seq"));
}

static const char *text_of(const json_t *lines, size_t i) {
        return json_string_value(json_object_get(json_array_get(lines, i), "text"));
}

static void test_numbers(void) {
        _cleanup_(log_ring_done) LogRing ring = LOG_RING_NULL;
        _cleanup_json_ json_t *lines = NULL;
        uint64_t last = 0;

        CHECK_INT(log_ring_batch(&ring, 0, 10, 1000, &lines, &last), 0);
        CHECK_OK(log_ring_add(&ring, LOG_INFO, 1, "one"));
        CHECK_OK(log_ring_add(&ring, LOG_WARNING, 2, "two"));
        CHECK_OK(log_ring_add(&ring, LOG_ERR, 3, "three"));
        CHECK_INT(log_ring_batch(&ring, 1, 10, 1000, &lines, &last), 2);
        CHECK_INT(last, 3);
        CHECK_INT(sequence_of(lines, 0), 2);
        CHECK_STR(text_of(lines, 0), "two");
        CHECK_STR(json_string_value(json_object_get(json_array_get(lines, 0), "level")), "warning");
        CHECK_STR(json_string_value(json_object_get(json_array_get(lines, 1), "level")), "error");
        CHECK(log_ring_has_after(&ring, 2));
        CHECK(!log_ring_has_after(&ring, 3));
        log_ring_drop(&ring, 2);
        CHECK_INT(ring.n, 1);
        log_ring_drop(&ring, 99);
        CHECK_INT(ring.n, 0);
        CHECK_OK(log_ring_add(&ring, LOG_INFO, 4, "four"));
        CHECK_INT(ring.last, 4);
}

static void test_limits_of_a_batch(void) {
        _cleanup_(log_ring_done) LogRing ring = LOG_RING_NULL;
        _cleanup_json_ json_t *few = NULL, *small = NULL, *rest = NULL;
        uint64_t last;

        for (unsigned i = 0; i < 100; i++)
                CHECK_OK(log_ring_add(&ring, LOG_INFO, i, "0123456789"));
        CHECK_INT(log_ring_batch(&ring, 0, 7, 1000000, &few, &last), 7);
        CHECK_INT(last, 7);
        CHECK_INT(log_ring_batch(&ring, 7, 1000, 30, &small, &last), 3);
        CHECK_INT(last, 10);
        /* What fits is what a batch would end with. */
        CHECK(log_ring_fits(&ring, 0, 100, 1000));
        CHECK(log_ring_fits(&ring, 90, 10, 91));
        CHECK(!log_ring_fits(&ring, 0, 99, 1000));
        CHECK(!log_ring_fits(&ring, 0, 100, 990));
        CHECK(log_ring_fits(&ring, 99, 1, 1));
        CHECK(log_ring_fits(&ring, 100, 0, 0));
        CHECK_INT(log_ring_rest(&ring, 40, &rest, &last), 60);
        CHECK_INT(last, 100);
}

static void test_overflow(void) {
        _cleanup_(log_ring_done) LogRing ring = LOG_RING_NULL;
        _cleanup_json_ json_t *lines = NULL;
        uint64_t last;

        for (unsigned i = 0; i < LOG_RING_LINES + 5; i++)
                CHECK_OK(log_ring_add(&ring, LOG_INFO, i, "x"));
        CHECK_INT(ring.n, LOG_RING_LINES);
        CHECK_INT(log_ring_batch(&ring, 0, 1, 100, &lines, &last), 1);
        CHECK_INT(last, 6); /* the gap shows */
}

static void test_byte_limit(void) {
        _cleanup_(log_ring_done) LogRing ring = LOG_RING_NULL;
        char text[AGENT_LOG_LINE_MAX + 1];

        memset(text, 'a', sizeof(text) - 1);
        text[sizeof(text) - 1] = 0;
        for (unsigned i = 0; i < 1000; i++)
                CHECK_OK(log_ring_add(&ring, LOG_INFO, i, text));
        CHECK(ring.bytes <= LOG_RING_BYTES);
        CHECK(ring.n >= LOG_RING_BYTES / AGENT_LOG_LINE_MAX - 1);
        CHECK_INT(ring.last, 1000);
}

static void test_texts(void) {
        _cleanup_(log_ring_done) LogRing ring = LOG_RING_NULL;
        _cleanup_json_ json_t *lines = NULL;
        char longer[AGENT_LOG_LINE_MAX + 100];
        uint64_t last;

        /* Two bytes a letter, so that the limit falls into one. */
        memset(longer, 'a', 1);
        for (size_t i = 1; i + 2 < sizeof(longer); i += 2)
                memcpy(longer + i, "ö", 2);
        longer[sizeof(longer) - 1 - (sizeof(longer) % 2 == 0)] = 0;
        CHECK_OK(log_ring_add(&ring, LOG_INFO, 1, "broken \xff bytes"));
        CHECK_OK(log_ring_add(&ring, LOG_INFO, 1, longer));
        CHECK_INT(log_ring_batch(&ring, 0, 10, 100000, &lines, &last), 2);
        CHECK(strcasestr(text_of(lines, 0), "\\xff"));
        CHECK(strlen(text_of(lines, 1)) <= AGENT_LOG_LINE_MAX);
        CHECK(utf8_is_valid(text_of(lines, 1), strlen(text_of(lines, 1))));
}

static void test_repeats(void) {
        _cleanup_(log_ring_done) LogRing ring = LOG_RING_NULL, copy = LOG_RING_NULL;
        _cleanup_json_ json_t *lines = NULL;
        uint64_t last;

        CHECK_OK(log_ring_add(&ring, LOG_INFO, USEC_PER_SEC, "one"));
        CHECK_OK(log_ring_add(&ring, LOG_INFO, USEC_PER_SEC, "two"));
        CHECK_INT(log_ring_batch(&ring, 0, 10, 100000, &lines, &last), 2);
        CHECK_OK(log_ring_read(&copy, lines));
        CHECK_OK(log_ring_read(&copy, lines));
        CHECK_INT(copy.n, 2);
        CHECK_INT(copy.last, 2);
        CHECK_OK(json_array_append_new(lines, json_string("no line")));
        CHECK_OK(log_ring_read(&copy, lines));
        CHECK_INT(copy.n, 2);
        CHECK_OK(log_ring_read(&copy, NULL));
}

int main(void) {
        RUN(test_numbers);
        RUN(test_limits_of_a_batch);
        RUN(test_overflow);
        RUN(test_byte_limit);
        RUN(test_texts);
        RUN(test_repeats);
        return 0;
}
