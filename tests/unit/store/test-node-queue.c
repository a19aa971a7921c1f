/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/node-token.h"
#include "store/queue-wait.h"
#include "store/run.h"
#include "store/task.h"
#include "tests/unit/store/fixture.h"

static void test_waits_for(void) {
        static const struct {
                Node node;
                Command command;
                NodeQueue queue;
                const char *part; /* NULL: it waits for nothing */
        } cases[] = {
                { { .enabled = true, .state = NODE_ONLINE, .capacity = 2 },
                  { .run_id = 1 },
                  {},
                  "to take it" },
                { { .enabled = false, .state = NODE_ONLINE }, { .run_id = 1 }, {}, "disabled" },
                { { .enabled = true, .state = NODE_ONLINE, .draining = true }, {}, {}, "drained" },
                { { .enabled = true, .state = NODE_OFFLINE }, {}, {}, "offline" },
                { { .enabled = true, .state = NODE_PENDING }, {}, {}, "not installed" },
                { { .enabled = true, .state = NODE_ONLINE, .capacity = 2 },
                  { .run_id = 1 },
                  { .running = 1, .dispatched = 1 },
                  "2 of 2" },
                /* The limit counts where it is lower. */
                { { .enabled = true, .state = NODE_ONLINE, .capacity = 4, .limits = { .jobs = 1 } },
                  { .run_id = 1 },
                  { .running = 1 },
                  "1 of 1" },
                { { .enabled = true, .state = NODE_ONLINE, .capacity = 1, .limits = { .jobs = 9 } },
                  { .run_id = 1 },
                  { .running = 1 },
                  "1 of 1" },
                /* A question has a place of its own. */
                { { .enabled = true, .state = NODE_ONLINE, .capacity = 1 },
                  {},
                  { .running = 1 },
                  "to take it" },
                { { .enabled = true, .state = NODE_ONLINE },
                  { .state = COMMAND_DISPATCHED },
                  {},
                  "to accept it" },
                { { .enabled = true, .state = NODE_ONLINE }, { .state = COMMAND_ACCEPTED }, {}, NULL },
                { { .enabled = true, .state = NODE_ONLINE }, { .state = COMMAND_TIMEOUT }, {}, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(freep) char *text = NULL;

                CHECK_INT(queue_waits_for(&cases[i].command, &cases[i].node, &cases[i].queue, &text), 0);
                if (!text != !cases[i].part || (text && !strstr(text, cases[i].part)))
                        TEST_FAIL("case %zu: %s", i, strempty(text));
        }
}

/* A task that names a label, and its run. */
static uint64_t labelled_run(Fixture *f) {
        uint64_t task = fixture_task(f, "pool", NODE_LOCAL, fixture_target(f, "disk"), 0);
        _cleanup_(task_done) Task t = TASK_NULL;

        CHECK_INT(task_get(f->api, task, &t), 0);
        t.node_label = strdup("db");
        CHECK(t.node_label);
        CHECK_INT(task_update(f->api, &t), 0);
        task_done(&t);
        CHECK_INT(task_get(f->api, task, &t), 0);
        CHECK_INT(t.node_id, 0);
        CHECK_STR(t.node_label, "db");
        CHECK(!t.node_name);
        return fixture_run(f, task);
}

static void test_label(void) {
        _cleanup_(command_list_done) CommandList l = COMMAND_LIST_NULL;
        static const NodeHealthNote fine = { .health = HEALTH_HEALTHY };
        _cleanup_(run_done) Run run = RUN_NULL;
        uint64_t id, node, command;
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        node = fixture_node(&f, "web-1");
        id = labelled_run(&f);
        CHECK_INT(run_get(f.api, id, &run), 0);
        CHECK_INT(run.node_id, 0);
        CHECK(!run.node_name);
        CHECK_STR(run.node_label, "db");
        /* The reason is written once. */
        CHECK_INT(run_set_waiting(f.dispatcher, id, "a node"), 0);
        CHECK_INT(run_set_waiting(f.dispatcher, id, "a node"), STORE_E_STATE);
        CHECK_INT(run_set_waiting(f.dispatcher, id, NULL), 0);
        /* It gets a node, and gives it back. */
        CHECK_INT(run_set_node(f.dispatcher, id, node, "web-1"), 0);
        command = fixture_command(&f, node, id);
        CHECK_INT(run_set_command(f.dispatcher, id, command, NULL), 0);
        CHECK_INT(run_set_node(f.dispatcher, id, node, "web-1"), STORE_E_STATE);
        CHECK_INT(queue_list_stranded(f.dispatcher, &l), 0);
        CHECK_INT(l.n, 1); /* the node is not online */
        command_list_done(&l);
        CHECK_INT(node_set_state(f.dispatcher, node, NODE_PENDING, NODE_ONLINE, &fine), 0);
        CHECK_INT(queue_list_stranded(f.dispatcher, &l), 0);
        CHECK_INT(l.n, 0);
        CHECK_INT(node_set_draining(f.dispatcher, node, true), 0);
        command_list_done(&l);
        CHECK_INT(queue_list_stranded(f.dispatcher, &l), 0);
        CHECK_INT(l.n, 1);
        CHECK_INT(l.items[0].id, command);
        CHECK_INT(queue_abandon(f.dispatcher, command, COMMAND_CANCELLED, "NODE_LEFT", NULL, T0), 0);
        CHECK_INT(run_requeue(f.dispatcher, id), 0);
        run_done(&run);
        CHECK_INT(run_get(f.api, id, &run), 0);
        CHECK_INT(run.node_id, 0);
        CHECK(!run.node_name);
}

static uint64_t add_prune_command(Fixture *f, uint64_t run, uint64_t node) {
        const CommandNew n = {
                .run_id = run, .node_id = node, .kind = "prune", .spec = "{}", .secrets = "sealed"
        };
        uint64_t id = 0;

        CHECK_INT(queue_add(f->dispatcher, &n, T0, &id), 0);
        CHECK_INT(run_set_command(f->dispatcher, run, id, NULL), 0);
        return id;
}

/* What the master's own node is to do for another one does not wait there: backups would wait, too. */
static void test_stranded_prune(void) {
        static const NodeHealthNote fine = { .health = HEALTH_HEALTHY };
        _cleanup_(command_list_done) CommandList l = COMMAND_LIST_NULL;
        RunNew n = { .kind = RUN_PRUNE, .state = RUN_QUEUED };
        uint64_t node, prune = 0, command;
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        node = fixture_node(&f, "web-1");
        n.source_run = fixture_run(&f, fixture_task(&f, "etc", node, fixture_target(&f, "one"), 0));
        CHECK_INT(run_finish(f.dispatcher, n.source_run, &(RunEnd){ .state = RUN_SUCCEEDED }, T0), 0);
        CHECK_INT(run_add(f.scheduler, &n, T0, &prune), 0);
        command = add_prune_command(&f, prune, NODE_LOCAL);
        CHECK_INT(queue_list_stranded(f.dispatcher, &l), 0);
        CHECK_INT(l.n, 1);
        CHECK_INT(l.items[0].id, command);
        command_list_done(&l);
        CHECK_INT(node_set_state(f.dispatcher, NODE_LOCAL, NODE_PENDING, NODE_ONLINE, &fine), 0);
        CHECK_INT(queue_list_stranded(f.dispatcher, &l), 0);
        CHECK_INT(l.n, 0);
        CHECK_INT(queue_abandon(f.dispatcher, command, COMMAND_CANCELLED, "NODE_LEFT", NULL, T0), 0);
        CHECK_INT(run_requeue(f.dispatcher, prune), 0);
        (void) add_prune_command(&f, prune, node); /* its own part waits for it */
        command_list_done(&l);
        CHECK_INT(queue_list_stranded(f.dispatcher, &l), 0);
        CHECK_INT(l.n, 0);
}

static void test_disabled(void) {
        _cleanup_(command_list_done) CommandList l = COMMAND_LIST_NULL;
        _cleanup_fixture_ Fixture f;
        uint64_t node, waits, probe;
        Node n;

        fixture_init(&f);
        node = fixture_node(&f, "web-1");
        waits = fixture_command(&f, node, fixture_run(&f, fixture_task(&f, "etc", node, 0, 0)));
        probe = fixture_command(&f, node, 0);
        CHECK_INT(queue_list_disabled(f.dispatcher, &l), 0);
        CHECK_INT(l.n, 0);
        n = (Node){ .id = node, .name = (char *) "web-1", .enabled = false };
        CHECK_INT(node_update(f.api, &n), 0);
        /* What waits may wait; nobody waits for an answer. */
        CHECK_INT(queue_list_disabled(f.dispatcher, &l), 0);
        CHECK_INT(l.n, 1);
        CHECK_INT(l.items[0].id, probe);
        CHECK_INT(fixture_command_state(&f, waits), COMMAND_PENDING);
}

/* The token of the machine is set once: what came after it by rotation stays. */
static void test_local_token(void) {
        static const uint8_t first[TOKEN_HASH_SIZE] = { 1 }, rotated[TOKEN_HASH_SIZE] = { 2 };
        static const uint8_t second[TOKEN_HASH_SIZE] = { 3 };
        _cleanup_fixture_ Fixture f;
        NodeToken t;

        fixture_init(&f);
        CHECK_INT(node_token_set_local(f.api, first, T0), 1);
        CHECK_INT(node_token_set_local(f.api, first, T0 + 1), 0);
        CHECK_INT(node_token_add(f.api, NODE_LOCAL, rotated, NULL, T0 + 2, false), 0);
        CHECK_INT(node_token_set_local(f.api, first, T0 + 3), 0);
        CHECK_INT(node_token_find(f.api, rotated, T0 + 4, &t), 0);
        CHECK_INT(node_token_find(f.api, first, T0 + 2 + NODE_TOKEN_GRACE_USEC, &t), STORE_E_NOT_FOUND);
        CHECK_INT(node_token_set_local(f.api, first, T0 + 3 + NODE_TOKEN_GRACE_USEC), 0);
        CHECK_INT(node_token_find(f.api, rotated, T0 + 4 + NODE_TOKEN_GRACE_USEC, &t), 0);
        /* Another one is a reinstall. */
        CHECK_INT(node_token_set_local(f.api, second, T0 + 5), 1);
        CHECK_INT(node_token_find(f.api, rotated, T0 + 6, &t), STORE_E_NOT_FOUND);
        CHECK_INT(node_token_find(f.api, second, T0 + 6, &t), 0);
}

static void test_token_old(void) {
        static const uint8_t old[TOKEN_HASH_SIZE] = { 1 }, new[TOKEN_HASH_SIZE] = { 2 };
        _cleanup_fixture_ Fixture f;
        uint64_t node, ids[4];
        NodeToken t;
        size_t n;

        fixture_init(&f);
        node = fixture_node(&f, "web-1");
        CHECK_INT(node_token_add(f.api, node, old, NULL, T0, false), 0);
        CHECK_INT(nodes_token_old(f.dispatcher, T0 + 10, T0 + 10, ids, 4, &n), 0);
        CHECK_INT(n, 0); /* never used, but it is the only one */
        CHECK_INT(node_token_find(f.api, old, T0, &t), 0);
        CHECK_INT(node_token_used(f.api, t.id, T0 + 1), 0);
        CHECK_INT(node_token_add(f.api, node, new, "sealed", T0 + 100, false), 0);
        CHECK_INT(nodes_token_old(f.dispatcher, T0 + 100, T0 + 150, ids, 4, &n), 0);
        CHECK_INT(n, 0); /* a moment ago */
        CHECK_INT(nodes_token_old(f.dispatcher, T0 + 101, T0 + 150, ids, 4, &n), 0);
        CHECK_INT(n, 1);
        CHECK_INT(ids[0], node);
        CHECK_INT(node_token_find(f.api, new, T0 + 200, &t), 0);
        CHECK_INT(node_token_used(f.api, t.id, T0 + 200), 0);
        CHECK_INT(nodes_token_old(f.dispatcher, T0 + 300, T0 + 300, ids, 4, &n), 0);
        CHECK_INT(n, 0);
}

int main(void) {
        RUN(test_waits_for);
        RUN(test_label);
        RUN(test_stranded_prune);
        RUN(test_disabled);
        RUN(test_local_token);
        RUN(test_token_old);
        return 0;
}
