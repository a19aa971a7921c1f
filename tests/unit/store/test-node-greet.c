/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/text.h"
#include "tests/unit/store/fixture.h"

#define OTHER_BOOT "00000000-1111-2222-3333-444444444444"

static void set_online(Fixture *f, uint64_t node) {
        const NodeHealthNote healthy = { .health = HEALTH_HEALTHY };

        CHECK_INT(node_set_state(f->dispatcher, node, NODE_PENDING, NODE_ONLINE, &healthy), 0);
}

static void hear(Fixture *f, uint64_t node, usec_t seconds) {
        Stamp heard = fixture_stamp(seconds);

        CHECK_INT(node_heard(f->api, node, &heard, T0), 0);
}

static void test_greeting(void) {
        _cleanup_(node_greeting_done) NodeGreeting g = NODE_GREETING_NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        _cleanup_fixture_ Fixture f;
        uint64_t id, command;
        bool ended;

        fixture_init(&f);
        id = fixture_node(&f, "web-1");
        CHECK_INT(node_greet(f.api, 99, 0, &g), STORE_E_NOT_FOUND);
        CHECK_INT(node_get(f.api, id, &node), 0);
        node.limits = (NodeLimits){ .jobs = 1, .bandwidth = 2, .cpu_weight = 3, .io_weight = 4 };
        CHECK_INT(node_update(f.api, &node), 0);
        CHECK_INT(node_open_pin(f.api, id), 0);
        set_online(&f, id);
        CHECK_INT(node_greet(f.api, id, 0, &g), 0);
        CHECK_STR(g.name, "web-1");
        CHECK_INT(g.state, NODE_ONLINE);
        CHECK(g.pin_open && !g.public_key && !g.sealed && !g.has_cancels);
        CHECK(g.limits.jobs == 1 && g.limits.bandwidth == 2 && g.limits.cpu_weight == 3 &&
              g.limits.io_weight == 4);

        /* One that is out is asked to end, by the next heartbeat. */
        command = fixture_command(&f, id, 0);
        const QueueClaim claim = {
                .node_id = id,
                .agent_id = "a",
                .capacity = 1,
                .probes = 1,
                .now = fixture_stamp(1),
                .wall = T0,
        };
        CommandList list = COMMAND_LIST_NULL;
        CHECK_INT(queue_claim(f.api, &claim, &list), 0);
        command_list_done(&list);
        CHECK_INT(queue_cancel(f.dispatcher, command, T0, &ended), 0);
        CHECK(!ended);
        node_greeting_done(&g);
        CHECK_INT(node_greet(f.api, id, 0, &g), 0);
        CHECK(g.has_cancels);
}

static size_t count_silent(Fixture *f, usec_t seconds, uint64_t after, uint64_t *ret_first) {
        const Stamp at = fixture_stamp(seconds);
        uint64_t ids[8];
        size_t n;

        CHECK_INT(nodes_silent(f->dispatcher, at.boot_id, at.mono, after, ids, ELEMENTSOF(ids), &n), 0);
        *ret_first = n > 0 ? ids[0] : 0;
        return n;
}

static usec_t quietest(Fixture *f, const char *boot) {
        usec_t mono;

        CHECK_INT(nodes_quietest(f->dispatcher, boot, &mono), 0);
        return mono;
}

static void test_silence(void) {
        uint64_t nodes[3], first, online;
        _cleanup_fixture_ Fixture f;
        const Stamp base = fixture_stamp(0);

        fixture_init(&f);
        CHECK(quietest(&f, base.boot_id) == USEC_INFINITY);
        for (unsigned i = 0; i < ELEMENTSOF(nodes); i++) {
                char name[] = { 'n', (char) ('0' + i), 0 };

                nodes[i] = fixture_node(&f, name);
                hear(&f, nodes[i], 10 * (i + 1));
        }
        /* Only who is online can fall silent. */
        CHECK(quietest(&f, base.boot_id) == USEC_INFINITY);
        CHECK_INT(count_silent(&f, 100, 0, &first), 0);
        set_online(&f, nodes[1]);
        set_online(&f, nodes[2]);
        CHECK_INT(nodes_count_online(f.dispatcher, &online), 0);
        CHECK_INT(online, 2);
        CHECK(quietest(&f, base.boot_id) == fixture_stamp(20).mono);
        CHECK(quietest(&f, OTHER_BOOT) == 0);
        CHECK_INT(count_silent(&f, 19, 0, &first), 0);
        CHECK_INT(count_silent(&f, 20, 0, &first), 1);
        CHECK_INT(first, nodes[1]);
        CHECK_INT(count_silent(&f, 30, 0, &first), 2);
        CHECK_INT(count_silent(&f, 30, nodes[1], &first), 1);
        CHECK_INT(first, nodes[2]);
        /* Online by the API's word, before its first row. */
        nodes[0] = fixture_node(&f, "new");
        set_online(&f, nodes[0]);
        CHECK(quietest(&f, base.boot_id) == 0);
        CHECK_INT(count_silent(&f, 0, 0, &first), 1);
        CHECK_INT(first, nodes[0]);
}

int main(void) {
        RUN(test_greeting);
        RUN(test_silence);
        return EXIT_SUCCESS;
}
