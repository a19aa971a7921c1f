/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/text.h"
#include "store/enrollment.h"
#include "store/install-link.h"
#include "store/node-check.h"
#include "store/node-token.h"
#include "store/schedule.h"
#include "store/target.h"
#include "tests/unit/store/fixture.h"

static void test_labels(void) {
        static const struct {
                const char *label;
                bool valid;
        } cases[] = {
                { "db", true },
                { "0", true },
                { "eu-west.1_a", true },
                { "", false },
                { "-db", false },
                { ".db", false },
                { "DB", false },
                { "a b", false },
                { "a,b", false },
                { "d\xc3\xa4", false },
        };
        char longest[NODE_LABEL_MAX + 2];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                CHECK_INT(node_label_is_valid(cases[i].label), cases[i].valid);
        memset(longest, 'a', sizeof longest - 1);
        longest[sizeof longest - 1] = 0;
        CHECK(!node_label_is_valid(longest));
        CHECK(node_label_is_valid(longest + 1));
}

static int rename_node(Fixture *f, uint64_t id, const char *name) {
        return node_update(f->api, &(const Node){ .id = id, .name = (char *) name, .enabled = true });
}

static void test_nodes(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(node_done) Node local = NODE_NULL, n = NODE_NULL;
        _cleanup_(node_list_done) NodeList l = NODE_LIST_NULL;
        uint64_t id;
        Node web;

        fixture_init(&f);
        CHECK_INT(node_get(f.scheduler, NODE_LOCAL, &local), 0);
        CHECK_STR(local.name, "local");
        CHECK_INT(local.state, NODE_PENDING);
        CHECK(local.created > T0);
        id = fixture_node(&f, "web-1");
        web = (Node){
                .id = id,
                .name = (char *) "web-2",
                .description = (char *) "a web server",
                .labels = (char *) "db eu-1",
                .limits = { .jobs = 2, .bandwidth = 1 << 20, .cpu_weight = 50, .io_weight = 10 },
        };
        CHECK_INT(node_add(f.api, "web-1", NULL, T0, &id), STORE_E_EXISTS);
        CHECK_INT(node_find(f.api, "web-1", &n), 0);
        CHECK_INT(n.id, id);
        CHECK(!n.public_key);
        CHECK(n.enabled);
        CHECK(!n.labels);
        CHECK_INT(node_update(f.api, &web), 0);
        CHECK_INT(rename_node(&f, id, "local"), STORE_E_EXISTS);
        CHECK_INT(rename_node(&f, 99, "x"), STORE_E_NOT_FOUND);
        CHECK_INT(rename_node(&f, NODE_LOCAL, "other"), NODE_E_LOCAL);
        CHECK_INT(rename_node(&f, NODE_LOCAL, "local"), 0);
        node_done(&n);
        CHECK_INT(node_get(f.api, id, &n), 0);
        CHECK_STR(n.name, "web-2");
        CHECK_STR(n.description, "a web server");
        CHECK_INT(n.revision, 2);
        CHECK(!n.enabled);
        CHECK_STR(n.labels, "db eu-1");
        CHECK(node_has_label(&n, "db") && node_has_label(&n, "eu-1"));
        CHECK(!node_has_label(&n, "eu") && !node_has_label(&n, "db eu-1") && !node_has_label(&n, ""));
        CHECK_INT(n.limits.jobs, 2);
        CHECK_INT(n.limits.bandwidth, 1 << 20);
        CHECK_INT(n.limits.cpu_weight, 50);
        CHECK_INT(n.limits.io_weight, 10);
        CHECK_INT(nodes_list(f.api, NODE_LOCAL, 10, &l), 0);
        CHECK_INT(l.n, 1);
}

static void test_node_delete(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(freep) char *recipient = NULL, *sealed = NULL;
        uint64_t id, task, command;

        fixture_init(&f);
        CHECK_INT(node_delete(f.api, NODE_LOCAL), NODE_E_LOCAL);
        CHECK_INT(node_delete(f.api, 99), STORE_E_NOT_FOUND);
        id = fixture_node(&f, "web-1");
        CHECK_INT(node_identity_set(f.dispatcher, id, "age1r", "sealed"), 0);
        task = fixture_task(&f, "t", id, fixture_target(&f, "d"), 0);
        CHECK_INT(node_delete(f.api, id), STORE_E_IN_USE);
        CHECK_INT(task_delete(f.api, task), 0);
        command = fixture_command(&f, id, 0);
        CHECK_INT(node_delete(f.api, id), STORE_E_IN_USE);
        CHECK_INT(queue_abandon(f.dispatcher, command, COMMAND_FAILED, "NODE_DELETED", NULL, T0), 0);
        CHECK_INT(node_delete(f.api, id), 0);
        /* What it wrote can still be read. */
        CHECK_INT(node_identity_get(f.dispatcher, id, &recipient, &sealed), 0);
        CHECK_STR(recipient, "age1r");
        CHECK_STR(sealed, "sealed");
        CHECK(fixture_node(&f, "web-1") > id);
}

static void test_node_contact(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(node_done) Node n = NODE_NULL;
        NodeContact c = {
                .node_id = NODE_LOCAL,
                .agent_id = "agent-1",
                .boot_id = "boot",
                .version = "0.1",
                .os = "linux",
                .arch = "x86_64",
                .hostname = "host",
                .addresses = "[]",
                .tools = "{}",
                .offered_key = "age1k",
                .capacity = 4,
                .free_bytes = 1000,
                .clock_skew_usec = -5,
        };
        Stamp first = fixture_stamp(7), later = fixture_stamp(9);

        fixture_init(&f);
        CHECK_INT(node_contact(f.api, &c), 0);
        CHECK_INT(node_heard(f.api, NODE_LOCAL, &first, T0), 0);
        CHECK_INT(node_set_duplicate(f.api, NODE_LOCAL, "agent-2"), 0);
        CHECK_INT(node_set_duplicate(f.api, 99, "agent-2"), STORE_E_NOT_FOUND);
        CHECK_INT(node_get(f.api, NODE_LOCAL, &n), 0);
        CHECK_STR(n.agent_id, "agent-1");
        CHECK_STR(n.duplicate, "agent-2");
        CHECK_STR(n.offered_key, "age1k");
        CHECK_STR(n.heard.boot_id, first.boot_id);
        CHECK_INT(n.heard.mono, 7 * USEC_PER_SEC);
        CHECK_INT(n.capacity, 4);
        CHECK_INT(n.clock_skew_usec, -5);
        CHECK(!n.public_key);
        node_done(&n);
        c = (NodeContact){ .node_id = NODE_LOCAL };
        CHECK_INT(node_contact(f.api, &c), 0);
        CHECK_INT(node_set_duplicate(f.api, NODE_LOCAL, NULL), 0);
        CHECK_INT(node_heard(f.api, NODE_LOCAL, &later, T0 + 2), 0);
        CHECK_INT(node_heard(f.api, 99, &later, T0), STORE_E_NOT_FOUND);
        CHECK_INT(node_get(f.api, NODE_LOCAL, &n), 0);
        CHECK_STR(n.agent_id, "agent-1");
        CHECK(!n.duplicate);
        CHECK_INT(n.heard.mono, 9 * USEC_PER_SEC);
        CHECK_INT(n.last_seen, T0 + 2);
        c.node_id = 99;
        CHECK_INT(node_contact(f.api, &c), STORE_E_NOT_FOUND);
}

static void test_node_state(void) {
        static const NodeHealthNote offline = { .health = HEALTH_OFFLINE };
        static const NodeHealthNote degraded = { HEALTH_DEGRADED, "twice", "[]" };
        static const NodeHealthNote healthy = { .health = HEALTH_HEALTHY };
        _cleanup_fixture_ Fixture f;
        _cleanup_(node_done) Node n = NODE_NULL;

        fixture_init(&f);
        CHECK_INT(node_set_state(f.dispatcher, NODE_LOCAL, NODE_ONLINE, NODE_OFFLINE, &offline),
                  STORE_E_STATE);
        CHECK_INT(node_set_state(f.dispatcher, NODE_LOCAL, NODE_PENDING, NODE_ONLINE, &degraded), 0);
        CHECK_INT(node_set_draining(f.dispatcher, NODE_LOCAL, true), 0);
        CHECK_INT(node_get(f.api, NODE_LOCAL, &n), 0);
        CHECK_INT(n.state, NODE_ONLINE);
        CHECK_INT(n.health, HEALTH_DEGRADED);
        CHECK_STR(n.health_reason, "twice");
        CHECK_STR(n.health_reasons, "[]");
        CHECK(n.draining);
        CHECK_INT(node_set_health(f.dispatcher, NODE_LOCAL, &healthy), 0);
        CHECK_INT(node_set_health(f.dispatcher, 99, &healthy), STORE_E_NOT_FOUND);
        node_done(&n);
        CHECK_INT(node_get(f.api, NODE_LOCAL, &n), 0);
        CHECK_INT(n.health, HEALTH_HEALTHY);
        CHECK(!n.health_reason);
}

static void test_pin(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(node_done) Node n = NODE_NULL;

        fixture_init(&f);
        CHECK_INT(node_pin_key(f.dispatcher, 99, "age1a"), STORE_E_NOT_FOUND);
        CHECK_INT(node_pin_key(f.dispatcher, NODE_LOCAL, "age1a"), 0);
        CHECK_INT(node_pin_key(f.dispatcher, NODE_LOCAL, "age1a"), 0);
        CHECK_INT(node_pin_key(f.dispatcher, NODE_LOCAL, "age1b"), NODE_E_KEY_MISMATCH);
        CHECK_INT(node_open_pin(f.api, NODE_LOCAL), 0);
        CHECK_INT(node_open_pin(f.api, 99), STORE_E_NOT_FOUND);
        CHECK_INT(node_pin_key(f.dispatcher, NODE_LOCAL, "age1b"), 0);
        /* Once. */
        CHECK_INT(node_pin_key(f.dispatcher, NODE_LOCAL, "age1a"), NODE_E_KEY_MISMATCH);
        CHECK_INT(node_get(f.api, NODE_LOCAL, &n), 0);
        CHECK_STR(n.public_key, "age1b");
        CHECK(!n.pin_open);
        CHECK_INT(node_identity_set(f.dispatcher, NODE_LOCAL, "age1r", "sealed"), 0);
        CHECK_INT(node_identity_set(f.dispatcher, NODE_LOCAL, "age1s", "other"), STORE_E_EXISTS);
        node_done(&n);
        CHECK_INT(node_get(f.api, NODE_LOCAL, &n), 0);
        CHECK_STR(n.archive_recipient, "age1r");
}

static const uint8_t hash_1[TOKEN_HASH_SIZE] = { 1 }, hash_2[TOKEN_HASH_SIZE] = { 2 },
                     hash_3[TOKEN_HASH_SIZE] = { 3 };

static int token_lives(Fixture *f, const uint8_t hash[static TOKEN_HASH_SIZE], usec_t now, NodeToken *ret) {
        return node_token_find(f->api, hash, now, ret);
}

/* The token that is handed over to who shows this one. */
static int handed_over(Fixture *f, uint64_t shown, char **ret_sealed) {
        _cleanup_(node_greeting_done) NodeGreeting g = NODE_GREETING_NULL;

        CHECK_INT(node_greet(f->api, NODE_LOCAL, shown, &g), 0);
        *ret_sealed = TAKE_PTR(g.sealed);
        return *ret_sealed ? 0 : STORE_E_NOT_FOUND;
}

static void test_rotation(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(freep) char *sealed = NULL;
        NodeToken old, new;

        fixture_init(&f);
        CHECK_INT(node_token_add(f.api, 99, hash_1, NULL, T0, false), STORE_E_NOT_FOUND);
        CHECK_INT(node_token_add(f.api, NODE_LOCAL, hash_1, NULL, T0, false), 0);
        CHECK_INT(node_token_add(f.api, NODE_LOCAL, hash_1, NULL, T0, false), STORE_E_EXISTS);
        CHECK_INT(token_lives(&f, hash_1, T0, &old), 0);
        CHECK_INT(old.node_id, NODE_LOCAL);
        CHECK_INT(old.valid_until, 0);
        CHECK_INT(node_token_used(f.api, old.id, T0 + 1), 0);

        CHECK_INT(node_token_add(f.api, NODE_LOCAL, hash_2, "blob", T0 + 10, false), 0);
        CHECK_INT(token_lives(&f, hash_1, T0 + 10 + NODE_TOKEN_GRACE_USEC - 1, &old), 0);
        CHECK_INT(token_lives(&f, hash_1, T0 + 10 + NODE_TOKEN_GRACE_USEC, &old), STORE_E_NOT_FOUND);
        CHECK_INT(token_lives(&f, hash_2, T0 + 10, &new), 0);
        CHECK_INT(handed_over(&f, new.id, &sealed), STORE_E_NOT_FOUND);
        CHECK_INT(handed_over(&f, 0, &sealed), STORE_E_NOT_FOUND);
        CHECK_INT(handed_over(&f, old.id, &sealed), 0);
        CHECK_STR(sealed, "blob");
        sealed = mfree(sealed);
        CHECK_INT(node_token_used(f.api, new.id, T0 + 20), 0);
        CHECK_INT(node_token_used(f.api, new.id, T0 + 30), 0);
        CHECK_INT(handed_over(&f, old.id, &sealed), STORE_E_NOT_FOUND);
        CHECK_INT(token_lives(&f, hash_2, T0, &new), 0);
        CHECK_INT(new.first_used, T0 + 20);
        CHECK_INT(new.last_used, T0 + 30);

        CHECK_INT(node_token_add(f.api, NODE_LOCAL, hash_3, NULL, T0 + 40, true), 0);
        CHECK_INT(token_lives(&f, hash_2, T0 + 40, &new), STORE_E_NOT_FOUND);
        CHECK_INT(node_tokens_revoke(f.api, NODE_LOCAL), 0);
        CHECK_INT(token_lives(&f, hash_3, T0 + 40, &new), STORE_E_NOT_FOUND);
        CHECK_INT(node_token_used(f.api, new.id, T0), STORE_E_NOT_FOUND);
}

/* A rotation that follows another before the agent heard of the first: the last one is handed over. */
static void test_rotation_twice(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(freep) char *sealed = NULL;
        NodeToken old;

        fixture_init(&f);
        CHECK_INT(node_token_add(f.api, NODE_LOCAL, hash_1, NULL, T0, false), 0);
        CHECK_INT(node_token_add(f.api, NODE_LOCAL, hash_2, "second", T0 + 1, false), 0);
        CHECK_INT(node_token_add(f.api, NODE_LOCAL, hash_3, "third", T0 + 2, false), 0);
        CHECK_INT(token_lives(&f, hash_1, T0 + 2, &old), 0);
        CHECK_INT(old.valid_until, T0 + 1 + NODE_TOKEN_GRACE_USEC);
        CHECK_INT(handed_over(&f, old.id, &sealed), 0);
        CHECK_STR(sealed, "third");
}

static void test_local_token(void) {
        _cleanup_fixture_ Fixture f;
        NodeToken t;

        fixture_init(&f);
        CHECK_INT(node_token_set_local(f.api, hash_1, T0), 1);
        CHECK_INT(node_token_set_local(f.api, hash_1, T0), 0);
        CHECK_INT(node_token_set_local(f.api, hash_2, T0), 1);
        CHECK_INT(token_lives(&f, hash_1, T0, &t), STORE_E_NOT_FOUND);
        CHECK_INT(token_lives(&f, hash_2, T0, &t), 0);
}

static void test_enrollment(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(node_done) Node n = NODE_NULL;
        const usec_t end = T0 + USEC_PER_HOUR;
        uint64_t id, got = 0;
        NodeToken t;

        fixture_init(&f);
        CHECK_INT(enrollment_add(f.api, 99, hash_1, T0, end, 0), STORE_E_NOT_FOUND);
        id = fixture_node(&f, "web-1");
        CHECK_INT(enrollment_add(f.api, id, hash_1, T0, end, 5), 0);
        CHECK_INT(enrollment_add(f.api, id, hash_1, T0, end, 5), STORE_E_EXISTS);
        CHECK_INT(node_get(f.api, id, &n), 0);
        CHECK(n.pin_open);
        CHECK_INT(enrollment_find(f.api, hash_2, T0, &got), STORE_E_NOT_FOUND);
        CHECK_INT(enrollment_find(f.api, hash_1, end, &got), ENROLLMENT_E_EXPIRED);
        CHECK_INT(enrollment_find(f.api, hash_1, T0, &got), 0);
        CHECK_INT(got, id);
        CHECK_INT(enrollment_use(f.api, hash_2, "age1a", T0, &got), STORE_E_NOT_FOUND);
        CHECK_INT(enrollment_use(f.api, hash_1, "age1a", end, &got), ENROLLMENT_E_EXPIRED);
        CHECK_INT(enrollment_use(f.api, hash_1, "age1a", T0 + 1, &got), 0);
        CHECK_INT(got, id);
        /* The reply was lost: again with the same key, not with another one. */
        CHECK_INT(node_token_add(f.api, id, hash_2, NULL, T0 + 1, true), 0);
        CHECK_INT(enrollment_use(f.api, hash_1, "age1b", T0 + 2, &got), ENROLLMENT_E_USED);
        CHECK_INT(enrollment_use(f.api, hash_1, "age1a", T0 + 2, &got), 0);
        CHECK_INT(node_token_add(f.api, id, hash_3, NULL, T0 + 2, true), 0);
        /* The agent is in contact: the link has done its work. */
        CHECK_INT(token_lives(&f, hash_3, T0 + 3, &t), 0);
        CHECK_INT(node_token_used(f.api, t.id, T0 + 3), 0);
        CHECK_INT(enrollment_use(f.api, hash_1, "age1a", T0 + 4, &got), ENROLLMENT_E_USED);
}

static void test_install_link(void) {
        const usec_t end = T0 + USEC_PER_HOUR, week = 7 * USEC_PER_DAY;
        const StoreRetention keep = STORE_RETENTION_DEFAULT;
        InstallLink link = { .node_id = 99, .created = T0, .expires = end, .sealed = "sealed" };
        _cleanup_(freep) char *sealed = NULL, *second = NULL;
        _cleanup_fixture_ Fixture f;
        uint64_t got = 0;
        bool more;

        fixture_init(&f);
        CHECK_INT(install_link_add(f.api, hash_1, &link), STORE_E_NOT_FOUND);
        link.node_id = fixture_node(&f, "web-1");
        CHECK_INT(install_link_add(f.api, hash_1, &link), 0);
        CHECK_INT(install_link_find(f.api, hash_2, T0, &got, &sealed), STORE_E_NOT_FOUND);
        CHECK_INT(install_link_find(f.api, hash_1, end, &got, &sealed), INSTALL_LINK_E_EXPIRED);
        CHECK_INT(install_link_use(f.api, hash_1, end), INSTALL_LINK_E_USED);
        CHECK_INT(install_link_find(f.api, hash_1, end - 1, &got, &sealed), 0);
        CHECK_INT(got, link.node_id);
        CHECK_STR(sealed, "sealed");
        /* Once, and nothing of it is kept. */
        CHECK_INT(install_link_use(f.api, hash_1, T0 + 1), 0);
        CHECK_INT(install_link_use(f.api, hash_1, T0 + 1), INSTALL_LINK_E_USED);
        CHECK_INT(install_link_find(f.api, hash_1, T0 + 2, &got, &second), INSTALL_LINK_E_USED);
        CHECK(!second);
        /* Known as used or expired for a week. */
        CHECK_INT(store_clean(f.api, &keep, end + week - 1, &more), 0);
        CHECK_INT(install_link_find(f.api, hash_1, end + week, &got, &second), INSTALL_LINK_E_USED);
        CHECK_INT(store_clean(f.api, &keep, end + week, &more), 0);
        CHECK_INT(install_link_find(f.api, hash_1, end + week, &got, &second), STORE_E_NOT_FOUND);
        /* It goes with its node. */
        CHECK_INT(install_link_add(f.api, hash_2, &link), 0);
        CHECK_INT(node_delete(f.api, link.node_id), 0);
        CHECK_INT(install_link_find(f.api, hash_2, T0, &got, &second), STORE_E_NOT_FOUND);
}

static void test_targets(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(target_done) Target t = TARGET_NULL;
        _cleanup_(target_list_done) TargetList l = TARGET_LIST_NULL;
        _cleanup_(freep) char *secrets = NULL;
        Target new = {
                .name = (char *) "s3",
                .type = (char *) "s3",
                .config = (char *) "{\"bucket\":\"b\"}",
                .secret_names = (char *) "[\"key\"]",
                .created = T0,
        };

        fixture_init(&f);
        CHECK_INT(target_add(f.api, &new, "sealed", &new.id), 0);
        CHECK_INT(target_add(f.api, &new, NULL, &new.id), STORE_E_EXISTS);
        CHECK_INT(target_set_tested(f.api, new.id, true, "{}", T0 + 1), 0);
        CHECK_INT(target_get(f.api, new.id, &t), 0);
        CHECK(t.has_secrets);
        CHECK_STR(t.secret_names, "[\"key\"]");
        CHECK_STR(t.config, new.config);
        CHECK(t.test_ok);
        CHECK_INT(t.tested, T0 + 1);
        target_done(&t);

        new.name = (char *) "s3-b";
        new.updated = T0 + 2;
        new.secret_names = NULL;
        CHECK_INT(target_update(f.api, &new, NULL), 0);
        CHECK_INT(target_find(f.scheduler, "s3-b", &t), 0);
        CHECK(t.has_secrets);
        CHECK_STR(t.secret_names, "[\"key\"]");
        CHECK_INT(t.revision, 2);
        CHECK_INT(t.updated, T0 + 2);
        CHECK_INT(t.tested, 0);
        target_done(&t);
        CHECK_INT(target_get_secrets(f.dispatcher, new.id, &secrets), 0);
        CHECK_STR(secrets, "sealed");
        secrets = mfree(secrets);
        CHECK_INT(target_update(f.api, &new, ""), 0);
        CHECK_INT(target_get(f.api, new.id, &t), 0);
        CHECK(!t.has_secrets);
        CHECK(!t.secret_names);
        CHECK_INT(target_get_secrets(f.dispatcher, new.id, &secrets), 0);
        CHECK(!secrets);
        CHECK_INT(target_get_secrets(f.dispatcher, 99, &secrets), STORE_E_NOT_FOUND);
        CHECK_INT(target_get_secrets(f.api, new.id, &secrets), -EPERM);
        (void) fixture_target(&f, "disk");
        new.name = (char *) "disk";
        CHECK_INT(target_update(f.api, &new, NULL), STORE_E_EXISTS);
        new.id = 99;
        CHECK_INT(target_update(f.api, &new, NULL), STORE_E_NOT_FOUND);
        CHECK_INT(target_set_tested(f.api, 99, true, NULL, T0), STORE_E_NOT_FOUND);
        CHECK_INT(targets_list(f.api, 0, 10, &l), 0);
        CHECK_INT(l.n, 2);
}

static void test_target_delete(void) {
        _cleanup_fixture_ Fixture f;
        RunEnd end = { .state = RUN_SUCCEEDED };
        uint64_t target, other, task, run;
        Task t;

        fixture_init(&f);
        target = fixture_target(&f, "a");
        other = fixture_target(&f, "b");
        task = fixture_task(&f, "t", NODE_LOCAL, target, 0);
        CHECK_INT(target_delete(f.api, target), STORE_E_IN_USE);
        run = fixture_run(&f, task);
        CHECK_INT(task_get(f.api, task, &t), 0);
        t.target_ids[0] = other;
        CHECK_INT(task_update(f.api, &t), 0);
        task_done(&t);
        CHECK_INT(target_delete(f.api, target), STORE_E_IN_USE);
        CHECK_INT(run_finish(f.dispatcher, run, &end, T0), 0);
        CHECK_INT(target_delete(f.api, target), 0);
        CHECK_INT(target_delete(f.api, target), STORE_E_NOT_FOUND);
}

static void test_tasks(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(task_done) Task t = TASK_NULL, again = TASK_NULL;
        _cleanup_(task_list_done) TaskList all = TASK_LIST_NULL, of_node = TASK_LIST_NULL;
        uint64_t a, b, c, id, other;

        fixture_init(&f);
        a = fixture_target(&f, "a");
        b = fixture_target(&f, "b");
        c = fixture_target(&f, "c");
        id = fixture_task(&f, "etc", NODE_LOCAL, b, a);
        CHECK_INT(task_get(f.scheduler, id, &t), 0);
        CHECK_STR(t.name, "etc");
        CHECK_STR(t.node_name, "local");
        CHECK_INT(t.n_targets, 2);
        CHECK_INT(t.target_ids[0], b);
        CHECK_INT(t.target_ids[1], a);
        CHECK_INT(t.revision, 1);
        CHECK(t.schedule_catch_up);

        other = fixture_node(&f, "web-1");
        t.node_id = other;
        t.target_ids[0] = c;
        t.target_ids[2] = b;
        t.n_targets = 3;
        t.updated = T0 + 1;
        CHECK_INT(free_and_strdup(&t.schedule_expression, NULL), 0);
        CHECK_INT(task_update(f.api, &t), 0);
        CHECK_INT(task_find(f.api, "etc", &again), 0);
        CHECK_INT(again.n_targets, 3);
        CHECK_INT(again.target_ids[2], b);
        CHECK(!again.schedule_expression);
        CHECK_STR(again.node_name, "web-1");
        CHECK_INT(again.revision, 2);

        CHECK_INT(task_set_enabled(f.api, id, false, T0 + 2), 0);
        CHECK_INT(task_set_enabled(f.api, 99, false, T0 + 2), STORE_E_NOT_FOUND);
        (void) fixture_task(&f, "home", NODE_LOCAL, 0, 0);
        CHECK_INT(tasks_list(f.api, 0, 10, &all), 0);
        CHECK_INT(all.n, 2);
        CHECK(!all.items[0].enabled);
        CHECK_INT(all.items[1].n_targets, 0);
        CHECK_INT(tasks_list_of_node(f.api, other, 0, 10, &of_node), 0);
        CHECK_INT(of_node.n, 1);
        CHECK_INT(of_node.items[0].id, id);
}

static void test_task_refusals(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(task_done) Task t = TASK_NULL;
        uint64_t a, id, run;
        RunEnd end = { .state = RUN_FAILED };

        fixture_init(&f);
        a = fixture_target(&f, "a");
        id = fixture_task(&f, "etc", NODE_LOCAL, a, 0);
        CHECK_INT(task_get(f.api, id, &t), 0);
        CHECK_INT(task_add(f.api, &t, &id), STORE_E_EXISTS);
        CHECK_INT(free_and_strdup(&t.name, "home"), 0);
        t.node_id = 99;
        CHECK_INT(task_add(f.api, &t, &id), TASK_E_NODE);
        CHECK_INT(task_update(f.api, &t), TASK_E_NODE);
        t.node_id = NODE_LOCAL;
        t.target_ids[0] = 99;
        CHECK_INT(task_add(f.api, &t, &id), TASK_E_TARGET);
        CHECK_INT(task_update(f.api, &t), TASK_E_TARGET);
        t.target_ids[0] = t.target_ids[1] = a;
        t.n_targets = 2;
        CHECK_INT(task_add(f.api, &t, &id), TASK_E_TARGET);
        task_done(&t);
        /* Nothing of all that stayed. */
        CHECK_INT(task_get(f.api, id, &t), 0);
        CHECK_STR(t.name, "etc");
        CHECK_INT(t.revision, 1);
        CHECK_INT(t.target_ids[0], a);

        run = fixture_run(&f, id);
        CHECK_INT(task_delete(f.api, id), TASK_E_RUNNING);
        CHECK_INT(run_finish(f.dispatcher, run, &end, T0), 0);
        CHECK_INT(task_delete(f.api, id), 0);
        CHECK_INT(task_delete(f.api, id), STORE_E_NOT_FOUND);
        t.id = 99;
        CHECK_INT(task_update(f.api, &t), STORE_E_NOT_FOUND);
}

static void test_schedules(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(schedule_done) Schedule x = SCHEDULE_NULL, none = SCHEDULE_NULL;
        _cleanup_(schedule_list_done) ScheduleList l = SCHEDULE_LIST_NULL;
        _cleanup_(task_done) Task t = TASK_NULL;
        uint64_t id, by_hand;

        fixture_init(&f);
        id = fixture_task(&f, "etc", NODE_LOCAL, 0, 0);
        by_hand = fixture_task(&f, "home", NODE_LOCAL, 0, 0);
        CHECK_INT(task_get(f.api, by_hand, &t), 0);
        CHECK_INT(free_and_strdup(&t.schedule_expression, NULL), 0);
        CHECK_INT(task_update(f.api, &t), 0);
        CHECK_INT(schedule_get(f.scheduler, SCHEDULE_BACKUP, by_hand, &none), STORE_E_NOT_FOUND);
        CHECK_INT(schedule_get(f.scheduler, SCHEDULE_BACKUP, id, &x), 0);
        CHECK_STR(x.expression, "0 2 * * *");
        CHECK_STR(x.timezone, "UTC");
        CHECK(x.catch_up);
        CHECK(x.task_enabled);
        CHECK_INT(x.revision, 0);
        CHECK_INT(x.task_revision, 1);
        x.revision = 1;
        x.next = T0 + 5;
        x.last = T0;
        CHECK_INT(schedule_put(f.scheduler, &x), 0);
        CHECK_INT(free_and_strdup(&x.error, "position 3: no such day"), 0);
        CHECK_INT(schedule_put(f.scheduler, &x), 0);
        CHECK_INT(schedule_put(f.api, &x), -EPERM);
        CHECK_INT(schedules_list(f.api, SCHEDULE_BACKUP, 0, 10, &l), 0);
        CHECK_INT(l.n, 1);
        CHECK_INT(l.items[0].next, T0 + 5);
        CHECK_INT(l.items[0].last, T0);
        CHECK_STR(l.items[0].error, "position 3: no such day");
        CHECK_INT(task_delete(f.api, id), 0);
        CHECK_INT(schedule_put(f.scheduler, &x), STORE_E_NOT_FOUND);
}

/* The checks of a task have a schedule of their own beside that of its backups. */
static void test_verify_schedules(void) {
        _cleanup_(schedule_done) Schedule backup = SCHEDULE_NULL, verify = SCHEDULE_NULL;
        _cleanup_(schedule_list_done) ScheduleList l = SCHEDULE_LIST_NULL;
        _cleanup_(task_done) Task t = TASK_NULL, read = TASK_NULL;
        _cleanup_fixture_ Fixture f;
        uint64_t id;

        fixture_init(&f);
        id = fixture_task(&f, "etc", NODE_LOCAL, 0, 0);
        (void) fixture_task(&f, "home", NODE_LOCAL, 0, 0);
        CHECK_INT(schedule_get(f.scheduler, SCHEDULE_VERIFY, id, &verify), STORE_E_NOT_FOUND);
        CHECK_INT(task_get(f.api, id, &t), 0);
        CHECK(!t.verify_expression);
        CHECK_INT(t.verify_shares, 0);
        CHECK_OK(free_and_strdup(&t.verify_expression, "0 5 * * *"));
        CHECK_OK(free_and_strdup(&t.verify_timezone, "Europe/Berlin"));
        t.verify_catch_up = true;
        t.verify_shares = 7;
        CHECK_INT(task_update(f.api, &t), 0);
        CHECK_INT(task_get(f.api, id, &read), 0);
        CHECK_STR(read.verify_expression, "0 5 * * *");
        CHECK_STR(read.schedule_expression, "0 2 * * *");
        CHECK_INT(read.updated, t.updated);

        CHECK_INT(schedule_get(f.scheduler, SCHEDULE_VERIFY, id, &verify), 0);
        CHECK_INT(verify.kind, SCHEDULE_VERIFY);
        CHECK_STR(verify.expression, "0 5 * * *");
        CHECK_STR(verify.timezone, "Europe/Berlin");
        CHECK(verify.catch_up);
        CHECK_INT(verify.shares, 7);
        verify.next = T0 + 9;
        CHECK_INT(schedule_put(f.scheduler, &verify), 0);
        CHECK_INT(schedule_get(f.scheduler, SCHEDULE_BACKUP, id, &backup), 0);
        CHECK_INT(backup.kind, SCHEDULE_BACKUP);
        CHECK_INT(backup.next, 0); /* not touched */
        CHECK_STR(backup.expression, "0 2 * * *");
        CHECK_INT(schedules_list(f.api, SCHEDULE_VERIFY, 0, 10, &l), 0);
        CHECK_INT(l.n, 1);
        CHECK_INT(l.items[0].next, T0 + 9);
}

static void test_node_checks(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(node_check_done) NodeCheck read = NODE_CHECK_NULL;
        NodeCheck check = { .at = T0, .state = NODE_CHECK_FAILED };
        uint64_t ids[4], second;
        size_t n = 9;

        fixture_init(&f);
        check.source = (char *) "master";
        check.summary = (char *) "1 error: disk";
        check.report = (char *) "{}";
        second = fixture_node(&f, "web-1");
        CHECK_INT(node_check_get(f.api, second, &read), STORE_E_NOT_FOUND);
        check.node_id = 4711;
        CHECK_INT(node_check_set(f.api, &check), STORE_E_NOT_FOUND);
        check.node_id = second;
        CHECK_INT(node_check_set(f.api, &check), 0);
        check.node_id = NODE_LOCAL;
        CHECK_INT(node_check_set(f.api, &check), 0);
        CHECK_INT(node_checks_failed(f.dispatcher, 0, ids, ELEMENTSOF(ids), &n), 0);
        CHECK_INT(n, 2);
        CHECK_INT(ids[0], NODE_LOCAL);
        CHECK_INT(ids[1], second);
        CHECK_INT(node_checks_failed(f.dispatcher, NODE_LOCAL, ids, 1, &n), 0);
        CHECK_INT(n, 1);
        CHECK_INT(ids[0], second);
        /* The next one takes its place. */
        check.state = 1;
        check.summary = NULL;
        CHECK_INT(node_check_set(f.api, &check), 0);
        CHECK_INT(node_check_get(f.api, NODE_LOCAL, &read), 0);
        CHECK_INT(read.state, 1);
        CHECK_INT(read.at, T0);
        CHECK(!read.summary);
        CHECK_STR(read.report, "{}");
        CHECK_INT(node_delete(f.api, second), 0);
        CHECK_INT(node_checks_failed(f.dispatcher, 0, ids, ELEMENTSOF(ids), &n), 0);
        CHECK_INT(n, 0);
}

int main(void) {
        RUN(test_labels);
        RUN(test_nodes);
        RUN(test_node_delete);
        RUN(test_node_contact);
        RUN(test_node_state);
        RUN(test_pin);
        RUN(test_rotation);
        RUN(test_rotation_twice);
        RUN(test_local_token);
        RUN(test_enrollment);
        RUN(test_install_link);
        RUN(test_targets);
        RUN(test_target_delete);
        RUN(test_tasks);
        RUN(test_task_refusals);
        RUN(test_schedules);
        RUN(test_verify_schedules);
        RUN(test_node_checks);
        return EXIT_SUCCESS;
}
