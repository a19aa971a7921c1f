/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/text.h"
#include "store/kit-state.h"
#include "store/relay-cap.h"
#include "store/run.h"
#include "store/stored-repository.h"
#include "tests/unit/store/fixture.h"

#define SNAPSHOT "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static uint64_t add(Fixture *f, uint64_t node, uint64_t target, const char *prefix, int expected) {
        StoredRepository r = {
                .node_id = node,
                .target_id = target,
                .prefix = (char *) prefix,
                .chunker = (char *) "gear",
                .sealed = (char *) "sealed",
                .created = T0,
        };
        uint64_t id = 0;

        CHECK_INT(stored_repository_add(f->dispatcher, &r, &id), expected);
        return id;
}

static void test_repositories(void) {
        _cleanup_(stored_repository_done) StoredRepository found = STORED_REPOSITORY_NULL;
        _cleanup_(stored_repository_done) StoredRepository first = STORED_REPOSITORY_NULL;
        _cleanup_fixture_ Fixture f;
        uint64_t a, b;

        fixture_init(&f);
        CHECK_INT(stored_repository_first(f.dispatcher, 1, &first), STORE_E_NOT_FOUND);
        a = add(&f, 1, 5, "one/", 0);
        b = add(&f, 1, 6, "one/", 0);
        CHECK(a != 0 && b > a);
        add(&f, 1, 5, "other/", STORE_E_EXISTS);
        add(&f, 2, 5, "one/", STORE_E_EXISTS); /* nobody gets the place of another */
        add(&f, 2, 5, "two/", 0);
        CHECK_INT(stored_repository_find(f.dispatcher, 2, 6, &found), STORE_E_NOT_FOUND);
        CHECK_INT(stored_repository_find(f.dispatcher, 1, 6, &found), 0);
        CHECK_INT(found.id, b);
        CHECK_STR(found.prefix, "one/");
        CHECK_STR(found.chunker, "gear");
        CHECK_STR(found.sealed, "sealed");
        CHECK_INT(found.created, T0);
        CHECK(!found.has_snapshots);
        CHECK_INT(stored_repository_first(f.dispatcher, 1, &first), 0);
        CHECK_INT(first.id, a);
}

static void finish(Fixture *f, uint64_t run, uint64_t good, uint64_t bad) {
        RunTarget targets[] = {
                { .target_id = good,
                  .state = RUN_TARGET_SUCCEEDED,
                  .key = (char *) "one/",
                  .snapshot = (char *) SNAPSHOT },
                { .target_id = bad, .state = RUN_TARGET_FAILED },
        };
        RunEnd end = {
                .state = RUN_PARTIAL,
                .files = 7,
                .format = "repository",
                .files_new = 1,
                .files_changed = 2,
                .files_unchanged = 4,
                .bytes_new = 10,
                .bytes_total = 90,
                .targets = targets,
                .n_targets = ELEMENTSOF(targets),
        };

        CHECK_INT(run_finish(f->dispatcher, run, &end, T0 + 9), 0);
}

static void check_page(Fixture *f, const StoredSnapshotFilter *filter, uint64_t before, size_t expected,
                       uint64_t run) {
        _cleanup_(stored_snapshot_list_done) StoredSnapshotList list = STORED_SNAPSHOT_LIST_NULL;

        CHECK_INT(stored_snapshots_list(f->api, filter, before, 1, &list), 0);
        CHECK_INT(list.n, expected);
        if (expected == 0)
                return;
        CHECK_STR(list.items[0].id, SNAPSHOT);
        CHECK_INT(list.items[0].run_id, run);
        CHECK_INT(list.items[0].run_state, RUN_PARTIAL);
        CHECK_INT(list.items[0].finished, T0 + 9);
        CHECK_INT(list.items[0].bytes_new, 10);
        CHECK_INT(list.items[0].bytes_total, 90);
        if (run > 1)
                check_page(f, filter, list.items[0].key, 1, run - 1);
        else
                check_page(f, filter, list.items[0].key, 0, 0);
}

static void test_snapshots(void) {
        _cleanup_(stored_repository_done) StoredRepository good = STORED_REPOSITORY_NULL;
        _cleanup_(stored_repository_done) StoredRepository bad = STORED_REPOSITORY_NULL;
        _cleanup_(run_target_list_done) RunTargetList targets = RUN_TARGET_LIST_NULL;
        _cleanup_(run_done) Run run = RUN_NULL;
        uint64_t one, two, task, first;
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        one = fixture_target(&f, "one");
        two = fixture_target(&f, "two");
        task = fixture_task(&f, "etc", NODE_LOCAL, one, two);
        add(&f, NODE_LOCAL, one, "one/", 0);
        add(&f, NODE_LOCAL, two, "one/", 0);
        first = fixture_run(&f, task);
        finish(&f, first, one, two);
        finish(&f, fixture_run(&f, task), one, two);
        CHECK_INT(stored_repository_find(f.dispatcher, NODE_LOCAL, one, &good), 0);
        CHECK(good.has_snapshots);
        CHECK_INT(stored_repository_find(f.dispatcher, NODE_LOCAL, two, &bad), 0);
        CHECK(!bad.has_snapshots); /* what failed there says nothing of it */

        CHECK_INT(run_get(f.api, first, &run), 0);
        CHECK_STR(run.format, "repository");
        CHECK_INT(run.archives, 1);
        CHECK_INT(run.files_new, 1);
        CHECK_INT(run.files_changed, 2);
        CHECK_INT(run.files_unchanged, 4);
        CHECK_INT(run.bytes_new, 10);
        CHECK_INT(run.bytes_total, 90);
        CHECK_INT(run_targets_get(f.api, first, &targets), 0);
        CHECK_STR(targets.items[0].snapshot, SNAPSHOT);
        CHECK(!targets.items[1].snapshot);

        check_page(&f, &(StoredSnapshotFilter){}, 0, 1, 2);
        check_page(&f, &(StoredSnapshotFilter){ .target_id = one, .task_id = task, .node_id = 1 }, 0, 1, 2);
        check_page(&f, &(StoredSnapshotFilter){ .target_id = two }, 0, 0, 0);
        check_page(&f, &(StoredSnapshotFilter){ .node_id = 77 }, 0, 0, 0);
        check_page(&f, &(StoredSnapshotFilter){ .task_id = 77 }, 0, 0, 0);
}

static void test_locks(void) {
        uint64_t command, other, writer = 0;
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        command = fixture_command(&f, NODE_LOCAL, 0);
        other = fixture_command(&f, NODE_LOCAL, 0);
        CHECK_INT(relay_lock_find(f.api, 5, "one/locks/a", &writer), STORE_E_NOT_FOUND);
        CHECK_INT(relay_lock_add(f.api, 5, "one/locks/a", command), 0);
        CHECK_INT(relay_lock_find(f.api, 5, "one/locks/a", &writer), 0);
        CHECK_INT(writer, command);
        CHECK_INT(relay_lock_find(f.api, 6, "one/locks/a", &writer), STORE_E_NOT_FOUND);
        CHECK_INT(relay_lock_forget(f.api, 5, "one/locks/a"), 0);
        CHECK_INT(relay_lock_find(f.api, 5, "one/locks/a", &writer), STORE_E_NOT_FOUND);
        CHECK_INT(relay_lock_forget(f.api, 5, "one/locks/a"), 0);
        /* The name of one that went unseen is free for the next that writes it. */
        CHECK_INT(relay_lock_add(f.api, 5, "one/locks/a", command), 0);
        CHECK_INT(relay_lock_add(f.api, 5, "one/locks/a", other), 0);
        CHECK_INT(relay_lock_find(f.api, 5, "one/locks/a", &writer), 0);
        CHECK_INT(writer, other);
}

static void check_kit(Fixture *f, usec_t written, uint64_t repositories, uint64_t identities,
                      uint64_t targets) {
        KitState state;

        CHECK_INT(kit_state_read(f->dispatcher, &state), 0);
        CHECK_INT(state.written, written);
        CHECK_INT(state.repositories, repositories);
        CHECK_INT(state.identities, identities);
        CHECK_INT(state.targets, targets);
        CHECK_INT(kit_state_is_old(&state), repositories + identities + targets > 0);
}

/* A kit is old when something was made or changed that it does not have. */
static void test_kit(void) {
        _cleanup_fixture_ Fixture f;
        KitContent kit = { .written = T0 + 5, .identities = 1 };
        uint64_t node;

        fixture_init(&f);
        check_kit(&f, 0, 0, 0, 0);
        node = fixture_node(&f, "web-1");
        fixture_target(&f, "disk");
        kit.repository = add(&f, node, 5, "one/", 0);
        CHECK_INT(node_identity_set(f.dispatcher, node, "age1", "sealed"), 0);
        check_kit(&f, 0, 1, 1, 1);
        CHECK_INT(kit_state_note(f.dispatcher, &kit), -EPERM);
        CHECK_INT(kit_state_note(f.api, &kit), 0);
        check_kit(&f, kit.written, 0, 0, 0);
        add(&f, node, 6, "one/", 0);
        check_kit(&f, kit.written, 1, 0, 0);
        CHECK_INT(node_identity_set(f.dispatcher, fixture_node(&f, "web-2"), "age1", "sealed"), 0);
        check_kit(&f, kit.written, 1, 1, 0);
        kit.written = T0 - 1; /* before the target was made */
        CHECK_INT(kit_state_note(f.api, &kit), 0);
        check_kit(&f, kit.written, 1, 1, 1);
}

int main(void) {
        RUN(test_kit);
        RUN(test_repositories);
        RUN(test_snapshots);
        RUN(test_locks);
        return EXIT_SUCCESS;
}
