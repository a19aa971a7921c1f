/* SPDX-License-Identifier: Apache-2.0 */

/* What becomes of snapshots that are removed, and who waits for whom. */

#include <inttypes.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/stored-repository.h"
#include "tests/unit/store/fixture.h"

#define SNAPSHOT_A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define SNAPSHOT_B "11112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

typedef struct Place {
        uint64_t target, other, task;
} Place;

/* A task of node 1 with two targets, each with a repository of that node. */
static Place make_place(Fixture *f, const char *retention) {
        Place p = { fixture_target(f, "one"), fixture_target(f, "two"), 0 };
        _cleanup_(task_done) Task t = TASK_NULL;

        p.task = fixture_task(f, "etc", NODE_LOCAL, p.target, p.other);
        CHECK_INT(task_get(f->api, p.task, &t), 0);
        CHECK(!t.retention);
        CHECK_OK(free_and_strdup(&t.retention, retention));
        CHECK_OK(free_and_strdup(&t.format, "repository"));
        CHECK_INT(task_update(f->api, &t), 0);
        for (size_t i = 0; i < 2; i++) {
                StoredRepository r = {
                        .node_id = NODE_LOCAL,
                        .target_id = i == 0 ? p.target : p.other,
                        .prefix = (char *) "one/",
                        .chunker = (char *) "gear",
                        .sealed = (char *) "sealed",
                        .created = T0,
                };
                uint64_t id;

                CHECK_INT(stored_repository_add(f->dispatcher, &r, &id), 0);
        }
        return p;
}

/* A run that left this snapshot in both. */
static uint64_t back_up(Fixture *f, const Place *p, const char *snapshot, RunState state, usec_t at) {
        uint64_t run = fixture_run(f, p->task);
        const RunTarget targets[] = {
                { .target_id = p->target,
                  .state = RUN_TARGET_SUCCEEDED,
                  .key = (char *) "one/",
                  .snapshot = (char *) snapshot },
                { .target_id = p->other,
                  .state = RUN_TARGET_SUCCEEDED,
                  .key = (char *) "one/",
                  .snapshot = (char *) snapshot },
        };
        const RunEnd end = { .state = state, .format = "repository", .targets = targets, .n_targets = 2 };

        CHECK_INT(run_finish(f->dispatcher, run, &end, at), 0);
        return run;
}

static size_t count_snapshots(Fixture *f, uint64_t target) {
        _cleanup_(stored_snapshot_list_done) StoredSnapshotList list = STORED_SNAPSHOT_LIST_NULL;
        const StoredSnapshotFilter filter = { .target_id = target };

        CHECK_INT(stored_snapshots_list(f->api, &filter, 0, 10, &list), 0);
        return list.n;
}

static void check_run(Fixture *f, uint64_t id, uint64_t archives, RunTargetState first,
                      RunTargetState second) {
        _cleanup_(run_target_list_done) RunTargetList targets = RUN_TARGET_LIST_NULL;
        _cleanup_(run_done) Run run = RUN_NULL;

        CHECK_INT(run_get(f->api, id, &run), 0);
        CHECK_INT(run.archives, archives);
        CHECK_INT(run_targets_get(f->api, id, &targets), 0);
        CHECK_INT(targets.items[0].state, first);
        CHECK_INT(targets.items[1].state, second);
        CHECK(targets.items[0].snapshot); /* its name stays on record */
}

static void test_removed(void) {
        _cleanup_fixture_ Fixture f;
        uint64_t old, new;
        Place p;

        fixture_init(&f);
        p = make_place(&f, NULL);
        old = back_up(&f, &p, SNAPSHOT_A, RUN_SUCCEEDED, T0 + 10);
        new = back_up(&f, &p, SNAPSHOT_B, RUN_PARTIAL, T0 + 20);
        CHECK_INT(count_snapshots(&f, 0), 4);

        /* What was committed after the job looked is not judged by what it saw. */
        CHECK_INT(stored_snapshots_set_listed(f.dispatcher, NODE_LOCAL, p.target, "[]", T0 + 9), 0);
        CHECK_INT(count_snapshots(&f, 0), 4);
        CHECK_INT(stored_snapshots_set_listed(f.dispatcher, NODE_LOCAL, p.target, "[\"" SNAPSHOT_B "\"]",
                                              T0 + 30),
                  0);
        CHECK_INT(count_snapshots(&f, p.target), 1);
        CHECK_INT(count_snapshots(&f, p.other), 2);
        check_run(&f, old, 1, RUN_TARGET_REMOVED, RUN_TARGET_SUCCEEDED);
        check_run(&f, new, 2, RUN_TARGET_SUCCEEDED, RUN_TARGET_SUCCEEDED);

        /* Another node, or none, says nothing of it. */
        CHECK_INT(stored_snapshots_set_listed(f.dispatcher, 77, p.other, "[]", T0 + 30), 0);
        CHECK_INT(count_snapshots(&f, p.other), 2);
        CHECK_INT(stored_snapshots_set_listed(f.dispatcher, NODE_LOCAL, p.other, "[]", T0 + 30), 0);
        check_run(&f, old, 0, RUN_TARGET_REMOVED, RUN_TARGET_REMOVED);
        check_run(&f, new, 1, RUN_TARGET_SUCCEEDED, RUN_TARGET_REMOVED);

        /* What is there is there, whatever was believed. */
        CHECK_INT(stored_snapshots_set_listed(f.dispatcher, NODE_LOCAL, p.other,
                                              "[\"" SNAPSHOT_A "\",\"" SNAPSHOT_B "\"]", T0 + 30),
                  0);
        check_run(&f, old, 1, RUN_TARGET_REMOVED, RUN_TARGET_SUCCEEDED);
        check_run(&f, new, 2, RUN_TARGET_SUCCEEDED, RUN_TARGET_SUCCEEDED);
}

static void test_pruned(void) {
        _cleanup_(stored_repository_done) StoredRepository one = STORED_REPOSITORY_NULL;
        _cleanup_(stored_repository_done) StoredRepository two = STORED_REPOSITORY_NULL;
        _cleanup_fixture_ Fixture f;
        Place p;

        fixture_init(&f);
        p = make_place(&f, NULL);
        CHECK_INT(stored_repository_set_pruned(f.dispatcher, NODE_LOCAL, p.target, T0 + 5), 0);
        CHECK_INT(stored_repository_find(f.dispatcher, NODE_LOCAL, p.target, &one), 0);
        CHECK_INT(one.pruned, T0 + 5);
        CHECK_INT(stored_repository_find(f.dispatcher, NODE_LOCAL, p.other, &two), 0);
        CHECK_INT(two.pruned, 0);
}

static uint64_t add_about(Fixture *f, RunKind kind, uint64_t source, uint64_t node) {
        RunNew n = { .kind = kind, .state = RUN_QUEUED, .node_id = node, .source_run = source };
        uint64_t id = 0;

        CHECK_INT(run_add(f->scheduler, &n, T0, &id), 0);
        return id;
}

static void finish(Fixture *f, uint64_t run) {
        CHECK_INT(run_finish(f->dispatcher, run, &(RunEnd){ .state = RUN_SUCCEEDED }, T0), 0);
}

static size_t count_to_retain(Fixture *f, uint64_t first) {
        _cleanup_(run_list_done) RunList list = RUN_LIST_NULL;

        CHECK_INT(runs_list_retain(f->scheduler, 10, &list), 0);
        if (list.n > 0)
                CHECK_INT(list.items[0].id, first);
        return list.n;
}

/* Only what succeeded, of a task with rules, and once. */
static void test_marks(void) {
        _cleanup_fixture_ Fixture keeps_all, f;
        uint64_t run;
        Place p;

        fixture_init(&keeps_all);
        p = make_place(&keeps_all, NULL);
        (void) back_up(&keeps_all, &p, SNAPSHOT_A, RUN_SUCCEEDED, T0);
        CHECK_INT(count_to_retain(&keeps_all, 0), 0);

        fixture_init(&f);
        p = make_place(&f, "{\"last\":1}");
        (void) back_up(&f, &p, SNAPSHOT_A, RUN_PARTIAL, T0);
        (void) back_up(&f, &p, SNAPSHOT_A, RUN_FAILED, T0);
        CHECK_INT(count_to_retain(&f, 0), 0);
        run = back_up(&f, &p, SNAPSHOT_A, RUN_SUCCEEDED, T0);
        CHECK_INT(count_to_retain(&f, run), 1);
        CHECK_INT(run_set_retained(f.dispatcher, run), -EPERM);
        CHECK_INT(run_set_retained(f.scheduler, run), 0);
        CHECK_INT(count_to_retain(&f, 0), 0);
        finish(&f, add_about(&f, RUN_PRUNE, run, NODE_LOCAL)); /* that is no backup */
        CHECK_INT(count_to_retain(&f, 0), 0);
}

static int is_kept_out(Fixture *f, uint64_t id) {
        _cleanup_(run_done) Run run = RUN_NULL;

        CHECK_INT(run_get(f->dispatcher, id, &run), 0);
        return run_is_kept_out(f->dispatcher, &run, run.node_id);
}

static void begin(Fixture *f, uint64_t run, uint64_t node) {
        CHECK_INT(run_set_command(f->dispatcher, run, fixture_command(f, node, run), NULL), 0);
}

/* The agent of node 1 comes for what waits. */
static void claim_all(Fixture *f) {
        _cleanup_(command_list_done) CommandList claimed = COMMAND_LIST_NULL;
        const QueueClaim claim = {
                .node_id = NODE_LOCAL, .agent_id = "a", .capacity = 5, .now = fixture_stamp(1), .wall = T0
        };

        CHECK_INT(queue_claim(f->api, &claim, &claimed), 0);
        CHECK(claimed.n > 0);
}

/* Who removes things and who reads or writes wait for each other, on whatever node one reads. Who reads does
 * not wait for a node that has not come. */
static void test_turns(void) {
        static const RunKind readers[] = { RUN_RESTORE, RUN_VERIFY };
        uint64_t source, prune, run, elsewhere;
        _cleanup_fixture_ Fixture f;
        Place p;

        fixture_init(&f);
        elsewhere = fixture_node(&f, "elsewhere");
        p = make_place(&f, "{\"last\":1}");
        source = back_up(&f, &p, SNAPSHOT_A, RUN_SUCCEEDED, T0);
        CHECK_INT(run_prune_waits(f.scheduler, NODE_LOCAL, p.task), 0);
        prune = add_about(&f, RUN_PRUNE, source, NODE_LOCAL);
        CHECK_INT(run_prune_waits(f.scheduler, NODE_LOCAL, p.task), 1);
        CHECK_INT(run_prune_waits(f.scheduler, elsewhere, p.task), 0);

        run = fixture_run(&f, p.task);
        CHECK_INT(is_kept_out(&f, prune), 0); /* a backup that is only queued is no reason */
        CHECK_INT(is_kept_out(&f, run), 0);
        begin(&f, run, NODE_LOCAL);
        CHECK_INT(is_kept_out(&f, prune), 1);
        finish(&f, run);
        for (size_t i = 0; i < ELEMENTSOF(readers); i++) {
                run = add_about(&f, readers[i], source, elsewhere);
                CHECK_INT(is_kept_out(&f, prune), 0);
                begin(&f, run, elsewhere);
                CHECK_INT(is_kept_out(&f, prune), 1);
                finish(&f, run);
        }
        CHECK_INT(is_kept_out(&f, prune), 0);

        begin(&f, prune, NODE_LOCAL);
        CHECK_INT(is_kept_out(&f, prune), 0); /* not by itself */
        CHECK_INT(run_prune_waits(f.scheduler, NODE_LOCAL, p.task), 0);
        run = fixture_run(&f, p.task);
        CHECK_INT(is_kept_out(&f, run), 1);
        for (size_t i = 0; i < ELEMENTSOF(readers); i++)
                CHECK_INT(is_kept_out(&f, add_about(&f, readers[i], source, elsewhere)), 0);
        claim_all(&f);
        CHECK_INT(is_kept_out(&f, run), 1);
        for (size_t i = 0; i < ELEMENTSOF(readers); i++)
                CHECK_INT(is_kept_out(&f, add_about(&f, readers[i], source, elsewhere)), 1);
        CHECK_INT(is_kept_out(&f, add_about(&f, RUN_PRUNE, source, NODE_LOCAL)), 1);
        finish(&f, prune);
        CHECK_INT(is_kept_out(&f, run), 0);
}

/* A prune of two parts: between them it is queued, keeps nobody out, and has begun all the same. */
static void test_parts(void) {
        _cleanup_(run_done) Run run = RUN_NULL;
        _cleanup_fixture_ Fixture f;
        uint64_t source, prune, id;
        CommandRef ref;
        Stamp now = fixture_stamp(1);
        Place p;

        fixture_init(&f);
        p = make_place(&f, "{\"last\":1}");
        source = back_up(&f, &p, SNAPSHOT_A, RUN_SUCCEEDED, T0);
        prune = add_about(&f, RUN_PRUNE, source, NODE_LOCAL);
        CHECK_INT(run_go_on(f.dispatcher, prune), STORE_E_STATE); /* no part was begun */
        id = fixture_command(&f, NODE_LOCAL, prune);
        ref = (CommandRef){ id, 1 };
        CHECK_INT(run_set_command(f.dispatcher, prune, id, NULL), 0);
        CHECK_INT(run_prune_waits(f.scheduler, NODE_LOCAL, p.task), 0);
        claim_all(&f);
        CHECK_INT(queue_accept(f.api, &ref, NODE_LOCAL, &now, T0), 0);
        CHECK_INT(run_set_running(f.dispatcher, prune, T0 + 5), 0);
        CHECK_INT(run_go_on(f.api, prune), -EPERM);
        CHECK_INT(run_go_on(f.dispatcher, prune), 0);
        CHECK_INT(queue_abandon(f.dispatcher, id, COMMAND_SUCCEEDED, NULL, NULL, T0), 0);
        /* What it does not see any more another one has to. */
        CHECK_INT(run_prune_waits(f.scheduler, NODE_LOCAL, p.task), 0);
        CHECK_INT(is_kept_out(&f, fixture_run(&f, p.task)), 0);

        id = fixture_command(&f, NODE_LOCAL, prune);
        CHECK_INT(run_set_command(f.dispatcher, prune, id, NULL), 0);
        CHECK_INT(run_set_dispatched(f.dispatcher, prune, T0 + 7), 0);
        CHECK_INT(run_set_running(f.dispatcher, prune, T0 + 8), 0);
        CHECK_INT(run_get(f.dispatcher, prune, &run), 0);
        CHECK_INT(run.started, T0 + 5);
        CHECK_INT(run.dispatched, T0 + 5);
        finish(&f, prune);
        CHECK_INT(run_go_on(f.dispatcher, prune), STORE_E_STATE);
}

/* Archives have nothing to do with it. */
static void test_turns_of_archives(void) {
        uint64_t source, prune, archive;
        _cleanup_fixture_ Fixture f;
        Place p;

        fixture_init(&f);
        p = make_place(&f, NULL);
        source = back_up(&f, &p, SNAPSHOT_A, RUN_SUCCEEDED, T0);
        prune = add_about(&f, RUN_PRUNE, source, NODE_LOCAL);
        archive = fixture_run(&f, fixture_task(&f, "archive", NODE_LOCAL, p.target, 0));
        begin(&f, archive, NODE_LOCAL);
        CHECK_INT(is_kept_out(&f, prune), 0);
        begin(&f, prune, NODE_LOCAL);
        CHECK_INT(is_kept_out(&f, fixture_run(&f, fixture_task(&f, "other", NODE_LOCAL, p.target, 0))), 0);
}

/* A check that the clock started, with this request. */
static uint64_t add_check(Fixture *f, uint64_t source, usec_t at, const char *request) {
        const RunNew n = { .kind = RUN_VERIFY,
                           .state = RUN_QUEUED,
                           .origin = "schedule",
                           .scheduled_for = at,
                           .source_run = source,
                           .request = request };
        uint64_t id = 0;

        CHECK_INT(run_add(f->scheduler, &n, T0, &id), 0);
        return id;
}

/* What checks are about, and where the one before got to. */
static void test_checks(void) {
        _cleanup_(freep) char *first = NULL, *second = NULL;
        uint64_t id, one, two, check;
        _cleanup_fixture_ Fixture f;
        Place p;

        fixture_init(&f);
        p = make_place(&f, NULL);
        CHECK_INT(run_newest_stored(f.scheduler, p.task, &id), STORE_E_NOT_FOUND);
        CHECK_INT(run_last_check(f.scheduler, p.task, &first), STORE_E_NOT_FOUND);
        one = back_up(&f, &p, SNAPSHOT_A, RUN_SUCCEEDED, T0 + 10);
        two = back_up(&f, &p, SNAPSHOT_B, RUN_PARTIAL, T0 + 20);
        finish(&f, fixture_run(&f, p.task)); /* left nothing */
        CHECK_INT(run_newest_stored(f.scheduler, p.task, &id), 0);
        CHECK_INT(id, two);
        CHECK_INT(stored_snapshots_set_listed(f.dispatcher, NODE_LOCAL, p.target, "[\"" SNAPSHOT_A "\"]",
                                              T0 + 30),
                  0);
        CHECK_INT(stored_snapshots_set_listed(f.dispatcher, NODE_LOCAL, p.other, "[\"" SNAPSHOT_A "\"]",
                                              T0 + 30),
                  0);
        CHECK_INT(run_newest_stored(f.scheduler, p.task, &id), 0);
        CHECK_INT(id, one);

        CHECK_INT(run_is_open(f.scheduler, p.task, RUN_VERIFY), 0);
        check = add_check(&f, one, T0 + 40, "{\"share\":1}");
        CHECK_INT(run_is_open(f.scheduler, p.task, RUN_VERIFY), 1);
        CHECK_INT(run_is_open(f.scheduler, p.task, RUN_BACKUP), 0);
        CHECK_INT(run_last_check(f.scheduler, p.task, &first), STORE_E_NOT_FOUND); /* not carried out */
        finish(&f, check);
        CHECK_INT(run_last_check(f.scheduler, p.task, &first), 0);
        CHECK_STR(first, "{\"share\":1}");
        finish(&f, add_about(&f, RUN_VERIFY, one, NODE_LOCAL)); /* by hand */
        check = add_check(&f, one, T0 + 50, "{\"share\":2}");
        CHECK_INT(run_finish(f.dispatcher, check, &(RunEnd){ .state = RUN_INTERRUPTED }, T0), 0);
        CHECK_INT(run_last_check(f.scheduler, p.task, &second), 0);
        CHECK_STR(second, "{\"share\":1}");
}

/* A backup and a check of the same moment are two runs, and each is one. */
static void test_same_elapse(void) {
        RunNew backup = { .kind = RUN_BACKUP, .state = RUN_QUEUED, .scheduled_for = T0 + 60 }, check;
        _cleanup_fixture_ Fixture f;
        uint64_t source, id;
        Place p;

        fixture_init(&f);
        p = make_place(&f, NULL);
        source = back_up(&f, &p, SNAPSHOT_A, RUN_SUCCEEDED, T0);
        backup.task_id = p.task;
        CHECK_INT(run_add(f.scheduler, &backup, T0, &id), 0);
        finish(&f, id);
        (void) add_check(&f, source, T0 + 60, "{}");
        check = (RunNew){
                .kind = RUN_VERIFY, .state = RUN_QUEUED, .source_run = source, .scheduled_for = T0 + 60
        };
        CHECK_INT(run_add(f.scheduler, &check, T0, &id), RUN_E_EXISTS);
        check.source_run = 0;
        check.task_id = p.task;
        check.state = RUN_MISSED;
        CHECK_INT(run_add(f.scheduler, &check, T0, &id), RUN_E_EXISTS);
        CHECK_INT(run_add(f.scheduler, &backup, T0, &id), RUN_E_EXISTS);
}

/* A command of a run of the task, as far as its agent brings it. */
static uint64_t end_command(Fixture *f, const Place *p, CommandState state, const char *result) {
        const CommandEnd end = { .state = state, .error_code = "JOB_KILLED", .result = result };
        uint64_t run = fixture_run(f, p->task);
        const CommandRef ref = { fixture_command(f, NODE_LOCAL, run), 1 };
        Stamp now = fixture_stamp(1);

        CHECK_INT(run_set_command(f->dispatcher, run, ref.id, NULL), 0);
        claim_all(f);
        CHECK_INT(queue_accept(f->api, &ref, NODE_LOCAL, &now, T0), 0);
        if (result)
                CHECK_INT(queue_finish(f->api, &ref, NODE_LOCAL, &end, T0), 0);
        else
                CHECK_INT(queue_abandon(f->dispatcher, ref.id, state, "NODE_DISABLED", "x", T0), 0);
        finish(f, run);
        return ref.id;
}

/* Locks are nobody's when the agent told the end of what took them; nobody else knows of it. */
static void test_ended(void) {
        _cleanup_(strv_freep) char **names = NULL, **other = NULL, **newest = NULL;
        _cleanup_(freep) char *failed = NULL, *cancelled = NULL;
        _cleanup_fixture_ Fixture f;
        uint64_t ids[2];
        Place p;

        fixture_init(&f);
        p = make_place(&f, NULL);
        ids[0] = end_command(&f, &p, COMMAND_FAILED, "{}");
        ids[1] = end_command(&f, &p, COMMAND_CANCELLED, "{}");
        (void) end_command(&f, &p, COMMAND_SUCCEEDED, "{}");
        (void) end_command(&f, &p, COMMAND_FAILED, NULL); /* given up, as that of a disabled node */
        (void) end_command(&f, &p, COMMAND_TIMEOUT, NULL);
        begin(&f, fixture_run(&f, p.task), NODE_LOCAL);
        CHECK_OK(asprintf_safe(&failed, "command-%" PRIu64 "-1", ids[0]));
        CHECK_OK(asprintf_safe(&cancelled, "command-%" PRIu64 "-1", ids[1]));
        CHECK_INT(stored_repository_list_ended(f.dispatcher, NODE_LOCAL, 10, &names), 0);
        CHECK_INT(strv_length(names), 2);
        CHECK_STR(names[0], cancelled);
        CHECK_STR(names[1], failed);
        CHECK_INT(stored_repository_list_ended(f.dispatcher, NODE_LOCAL, 1, &newest), 0);
        CHECK_INT(strv_length(newest), 1);
        CHECK_STR(newest[0], cancelled);
        CHECK_INT(stored_repository_list_ended(f.dispatcher, fixture_node(&f, "other"), 10, &other), 0);
        CHECK(!other);
}

/* A check of what source left, on that node, whose agent tells that it failed. */
static uint64_t fail_check(Fixture *f, uint64_t source, uint64_t node) {
        const CommandNew n = { .run_id = add_about(f, RUN_VERIFY, source, node),
                               .node_id = node,
                               .kind = "verify",
                               .spec = "{}",
                               .secrets = "sealed" };
        const CommandEnd end = { .state = COMMAND_FAILED, .error_code = "JOB_KILLED", .result = "{}" };
        const QueueClaim claim = {
                .node_id = node, .agent_id = "a", .capacity = 5, .now = fixture_stamp(1), .wall = T0
        };
        _cleanup_(command_list_done) CommandList claimed = COMMAND_LIST_NULL;
        CommandRef ref = { .attempt = 1 };
        Stamp now = fixture_stamp(1);

        CHECK_INT(queue_add(f->dispatcher, &n, T0, &ref.id), 0);
        CHECK_INT(run_set_command(f->dispatcher, n.run_id, ref.id, NULL), 0);
        CHECK_INT(queue_claim(f->api, &claim, &claimed), 0);
        CHECK_INT(queue_accept(f->api, &ref, node, &now, T0), 0);
        CHECK_INT(queue_finish(f->api, &ref, node, &end, T0), 0);
        finish(f, n.run_id);
        return ref.id;
}

/* The locks of a check are in the repositories of the node whose backup it is about, wherever it works. */
static void test_ended_elsewhere(void) {
        _cleanup_(strv_freep) char **names = NULL, **other = NULL, **own = NULL;
        uint64_t id, ours, elsewhere, source;
        _cleanup_(freep) char *there = NULL, *here = NULL;
        _cleanup_fixture_ Fixture f;
        Place p;

        fixture_init(&f);
        elsewhere = fixture_node(&f, "elsewhere");
        p = make_place(&f, NULL);
        source = back_up(&f, &p, SNAPSHOT_A, RUN_SUCCEEDED, T0);
        id = fail_check(&f, source, elsewhere);
        ours = fail_check(&f, source, NODE_LOCAL);
        CHECK_OK(asprintf_safe(&there, "command-%" PRIu64 "-1", id));
        CHECK_OK(asprintf_safe(&here, "command-%" PRIu64 "-1", ours));
        CHECK_INT(stored_repository_list_ended(f.dispatcher, NODE_LOCAL, 10, &names), 0);
        CHECK_INT(strv_length(names), 2); /* each once */
        CHECK_STR(names[0], here);
        CHECK_STR(names[1], there);
        CHECK_INT(stored_repository_list_ended(f.dispatcher, elsewhere, 10, &own), 0);
        CHECK_INT(strv_length(own), 1); /* its own run, in whatever repository */
        CHECK_INT(stored_repository_list_ended(f.dispatcher, fixture_node(&f, "third"), 10, &other), 0);
        CHECK(!other);
}

int main(void) {
        RUN(test_removed);
        RUN(test_pruned);
        RUN(test_marks);
        RUN(test_turns);
        RUN(test_parts);
        RUN(test_turns_of_archives);
        RUN(test_checks);
        RUN(test_same_elapse);
        RUN(test_ended);
        RUN(test_ended_elsewhere);
        return EXIT_SUCCESS;
}
