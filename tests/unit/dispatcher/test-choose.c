/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "services/dispatcher/choose.h"
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
                CHECK_INT(v.reason != NULL, cases[i].reason != NULL);
                CHECK(!v.reason || strstr(v.reason, cases[i].reason));
        }
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
        RUN(test_copies);
        RUN(test_reader);
        RUN(test_key_part);
        RUN(test_key_time);
        return 0;
}
