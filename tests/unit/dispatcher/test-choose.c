/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "services/dispatcher/choose.h"
#include "services/dispatcher/health.h"
#include "tests/test.h"

#define SILENT (46 * USEC_PER_SEC)
#define OFF ((int64_t) (6 * USEC_PER_MINUTE))

static void test_node_state(void) {
        static const struct {
                NodeView view;
                NodeState state;
                NodeHealth health;
                const char *reason; /* a part of it */
        } cases[] = {
                /* Never heard, whoever listens. */
                { { NODE_PENDING, .listening = true, .silence = SILENT },
                  NODE_PENDING,
                  HEALTH_OFFLINE,
                  "seen yet" },
                { { NODE_PENDING }, NODE_PENDING, HEALTH_OFFLINE, "seen yet" },
                /* Heard. */
                { { NODE_PENDING, .heard = true, .has_key = true }, NODE_ONLINE, HEALTH_HEALTHY, NULL },
                { { NODE_OFFLINE, .heard = true, .has_key = true }, NODE_ONLINE, HEALTH_HEALTHY, NULL },
                { { NODE_ONLINE, .heard = true, .has_key = true, .listening = true },
                  NODE_ONLINE,
                  HEALTH_HEALTHY,
                  NULL },
                /* Heard, but. */
                { { NODE_ONLINE, .heard = true }, NODE_ONLINE, HEALTH_DEGRADED, "key yet" },
                { { NODE_ONLINE, .heard = true, .has_key = true, .duplicate = true },
                  NODE_ONLINE,
                  HEALTH_DEGRADED,
                  "second agent" },
                { { NODE_ONLINE, .heard = true, .has_key = true, .key_differs = true },
                  NODE_ONLINE,
                  HEALTH_DEGRADED,
                  "another key" },
                { { NODE_ONLINE, .heard = true, .has_key = true, .clock_skew_usec = OFF },
                  NODE_ONLINE,
                  HEALTH_DEGRADED,
                  "clock" },
                { { NODE_ONLINE, .heard = true, .has_key = true, .clock_skew_usec = -OFF },
                  NODE_ONLINE,
                  HEALTH_DEGRADED,
                  "clock" },
                /* Silence counts while somebody listens, and not a second before the 45th. */
                { { NODE_ONLINE, .has_key = true, .listening = true, .silence = SILENT },
                  NODE_OFFLINE,
                  HEALTH_OFFLINE,
                  "45 seconds" },
                { { NODE_ONLINE, .has_key = true, .listening = true, .silence = NODE_OFFLINE_USEC },
                  NODE_OFFLINE,
                  HEALTH_OFFLINE,
                  "45 seconds" },
                { { NODE_ONLINE, .has_key = true, .listening = true, .silence = NODE_OFFLINE_USEC - 1 },
                  NODE_ONLINE,
                  HEALTH_HEALTHY,
                  NULL },
                { { NODE_ONLINE, .has_key = true, .listening = false, .silence = SILENT },
                  NODE_ONLINE,
                  HEALTH_HEALTHY,
                  NULL },
                /* An API that has just started to listen brings nobody back. */
                { { NODE_OFFLINE, .has_key = true, .listening = true, .silence = 0 },
                  NODE_OFFLINE,
                  HEALTH_OFFLINE,
                  "45 seconds" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                NodeVerdict v = choose_node_state(&cases[i].view);

                if (v.state != cases[i].state || v.health != cases[i].health)
                        TEST_FAIL("case %zu: %s, %s", i, node_state_to_string(v.state),
                                  node_health_to_string(v.health));
                CHECK_INT(v.reasons != 0, cases[i].reason != NULL);
                CHECK(v.reasons == 0 ||
                      strstr(node_reason_text(choose_first_reason(v.reasons)), cases[i].reason));
        }
}

/* All that is wrong is told, and each reason goes with its cause. */
static void test_reasons(void) {
        NodeView v = {
                NODE_ONLINE,
                .heard = true,
                .duplicate = true,
                .key_differs = true,
                .token_old = true,
                .check_failed = true,
                .clock_skew_usec = OFF,
                .has_facts = true,
                .free_bytes = NODE_FREE_MIN - 1,
        };

        CHECK_INT(choose_node_state(&v).reasons,
                  1U << REASON_DUPLICATE | 1U << REASON_KEY_MISMATCH | 1U << REASON_KEY_MISSING |
                                  1U << REASON_CLOCK_SKEW | 1U << REASON_DISK_LOW | 1U << REASON_TOKEN_OLD |
                                  1U << REASON_CHECK_FAILED);
        v.duplicate = v.key_differs = v.token_old = v.check_failed = false;
        v.has_key = true;
        CHECK_INT(choose_node_state(&v).reasons, 1U << REASON_CLOCK_SKEW | 1U << REASON_DISK_LOW);
        v.clock_skew_usec = 0;
        CHECK_INT(choose_node_state(&v).reasons, 1U << REASON_DISK_LOW);
        v.free_bytes = NODE_FREE_MIN;
        CHECK_INT(choose_node_state(&v).health, HEALTH_HEALTHY);
        /* What was never told is not zero. */
        v.has_facts = false;
        v.free_bytes = 0;
        CHECK_INT(choose_node_state(&v).health, HEALTH_HEALTHY);
        /* Silent because its key is refused: both are told. */
        v.heard = false;
        v.state = NODE_OFFLINE;
        v.key_differs = true;
        CHECK_INT(choose_node_state(&v).reasons, 1U << REASON_SILENT | 1U << REASON_KEY_MISMATCH);
        v.key_differs = false;
        v.disabled = true;
        CHECK_INT(choose_node_state(&v).state, NODE_OFFLINE);
        CHECK_INT(choose_node_state(&v).reasons, 1U << REASON_DISABLED);
        v.state = NODE_PENDING;
        CHECK_INT(choose_node_state(&v).state, NODE_PENDING);
        CHECK_INT(choose_first_reason(0), _NODE_REASON_INVALID);
        for (int i = 0; i < _NODE_REASON_MAX; i++) {
                CHECK(node_reason_to_string((NodeReason) i));
                CHECK(node_reason_text((NodeReason) i));
        }
}

static void test_reasons_text(void) {
        const unsigned two = 1U << REASON_CLOCK_SKEW | 1U << REASON_DISK_LOW;
        _cleanup_(freep) char *first = NULL, *second = NULL, *none = NULL;
        const usec_t then = 1700000000 * USEC_PER_SEC;

        CHECK(health_reasons_match(NULL, 0));
        CHECK(!health_reasons_match(NULL, two));
        CHECK_INT(health_reasons_format(1U << REASON_DISK_LOW, NULL, then, &first), 0);
        CHECK(strstr(first, "\"code\":\"DISK_LOW\""));
        CHECK(strstr(first, "2023-11-14T22:13:20"));
        CHECK(health_reasons_match(first, 1U << REASON_DISK_LOW));
        CHECK(!health_reasons_match(first, two));
        CHECK(!health_reasons_match(first, 0));
        /* What was there before keeps its time. */
        CHECK_INT(health_reasons_format(two, first, then + USEC_PER_DAY, &second), 0);
        CHECK(health_reasons_match(second, two));
        CHECK(strstr(second, "2023-11-14T22:13:20"));
        CHECK(strstr(second, "2023-11-15T22:13:20"));
        CHECK_INT(health_reasons_format(0, second, then, &none), 0);
        CHECK(!none);
        CHECK_INT(health_reasons_format(1U << REASON_SILENT, "not JSON", then, &none), 0);
        CHECK(health_reasons_match(none, 1U << REASON_SILENT));
}

static void test_pool(void) {
        static const struct {
                PoolNode nodes[3];
                uint64_t chosen; /* 0: none */
        } cases[] = {
                { { { 1, false, 0, 4 }, { 2, false, 0, 4 } }, 0 },
                /* The free one, not the one that is away. */
                { { { 1, false, 0, 4 }, { 2, true, 3, 4 } }, 2 },
                { { { 1, true, 3, 4 }, { 2, true, 2, 4 } }, 2 },
                /* Of what it can take, not in numbers. */
                { { { 1, true, 2, 2 }, { 2, true, 3, 8 } }, 2 },
                { { { 1, true, 1, 1 }, { 2, true, 4, 8 }, { 3, true, 3, 4 } }, 2 },
                /* As free as the other: the one with less, then the older one. */
                { { { 1, true, 2, 4 }, { 2, true, 1, 2 } }, 2 },
                { { { 3, true, 0, 4 }, { 2, true, 0, 4 } }, 2 },
                { { { 3, true, 0, 4 }, { 2, true, 0, 8 } }, 2 },
                /* Nobody told what it can take. */
                { { { 1, true, 1, 0 }, { 2, true, 1, 2 } }, 2 },
                { { { 1, true, 0, 0 } }, 1 },
                { { { 1, true, UINT32_MAX, UINT32_MAX }, { 2, true, UINT32_MAX - 1, UINT32_MAX } }, 2 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const PoolNode *best = choose_pool_node(cases[i].nodes, ELEMENTSOF(cases[i].nodes));

                if ((best ? best->id : 0) != cases[i].chosen)
                        TEST_FAIL("case %zu: node %" PRIu64, i, best ? best->id : 0);
        }
        CHECK(!choose_pool_node(NULL, 0));
}

static void test_copies(void) {
        static const CopyView copies[] = {
                { RUN_TARGET_SUCCEEDED, "relay" },
                { RUN_TARGET_FAILED, "local" },
                { RUN_TARGET_SUCCEEDED, "local" },
                { RUN_TARGET_SUCCEEDED, NULL },
                { RUN_TARGET_PENDING, "relay" },
        };
        size_t order[ELEMENTSOF(copies)];

        /* The writer reads its own directory first. */
        CHECK_INT(choose_copies(copies, ELEMENTSOF(copies), 5, 5, order), 2);
        CHECK_INT(order[0], 2);
        CHECK_INT(order[1], 0);
        /* Another node cannot. */
        CHECK_INT(choose_copies(copies, ELEMENTSOF(copies), 5, 6, order), 1);
        CHECK_INT(order[0], 0);
        CHECK_INT(choose_copies(copies + 1, 4, 5, 6, order), 0);
        CHECK_INT(choose_copies(NULL, 0, 5, 6, NULL), 0);
}

static void test_reader(void) {
        static const CopyView relay[] = { { RUN_TARGET_SUCCEEDED, "relay" } };
        static const CopyView disk[] = { { RUN_TARGET_SUCCEEDED, "local" } };
        static const CopyView broken[] = { { RUN_TARGET_FAILED, "relay" } };

        CHECK_INT(choose_reader(relay, 1, 5, true, true), 5);
        CHECK_INT(choose_reader(relay, 1, 5, false, true), NODE_LOCAL);
        CHECK_INT(choose_reader(relay, 1, 5, false, false), 0);
        CHECK_INT(choose_reader(disk, 1, 5, true, true), 5);
        CHECK_INT(choose_reader(disk, 1, 5, false, true), 0);
        CHECK_INT(choose_reader(disk, 1, NODE_LOCAL, true, true), NODE_LOCAL);
        CHECK_INT(choose_reader(broken, 1, 5, true, true), 0);
        CHECK_INT(choose_reader(NULL, 0, 5, true, true), 0);
}

static void test_key_part(void) {
        static const struct {
                const char *name, *part;
        } cases[] = {
                { "etc", "etc" },
                { "web-1.example.com", "web-1.example.com" },
                { "a/b", "a_b" },
                { "..", "_." },
                { ".", "_" },
                { "", "_" },
                { "my files", "my_files" },
                { "a\nb\177c", "a_b_c" },
                { "caf\303\251", "caf\303\251" },
                { "0123456789012345678901234567890123456789012345678901234567890123456789",
                  "0123456789012345678901234567890123456789012345678901234567890123" },
                /* Not cut in the middle of a character. */
                { "012345678901234567890123456789012345678901234567890123456789012\303\251",
                  "012345678901234567890123456789012345678901234567890123456789012" },
        };
        char part[CHOOSE_PART_MAX + 1];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                CHECK_STR(choose_key_part(cases[i].name, part), cases[i].part);
}

static void test_key_time(void) {
        char text[CHOOSE_TIME_MAX];
        usec_t t;

        CHECK_OK(parse_rfc3339("2026-11-22T22:15:01.123456Z", &t));
        CHECK_STR(choose_key_time(t, text), "20261122T221501.123Z");
        CHECK_STR(choose_key_time(0, text), "19700101T000000.000Z");
}

int main(void) {
        RUN(test_node_state);
        RUN(test_reasons);
        RUN(test_reasons_text);
        RUN(test_pool);
        RUN(test_copies);
        RUN(test_reader);
        RUN(test_key_part);
        RUN(test_key_time);
        return 0;
}
