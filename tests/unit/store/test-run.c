/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "base/text.h"
#include "store/run-log.h"
#include "store/target.h"
#include "tests/unit/store/fixture.h"

static int add_elapse(Fixture *f, uint64_t task_id, usec_t scheduled_for, RunState state, uint64_t *ret) {
        RunNew n = {
                .kind = RUN_BACKUP,
                .state = state,
                .task_id = task_id,
                .origin = "schedule",
                .scheduled_for = scheduled_for,
                .deadline = T0 + USEC_PER_DAY,
        };

        return run_add(f->scheduler, &n, T0, ret);
}

static int end_run(Fixture *f, uint64_t id, RunState state) {
        RunEnd end = { .state = state };

        return run_finish(f->dispatcher, id, &end, T0 + 100);
}

static void test_add(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(run_done) Run r = RUN_NULL;
        _cleanup_(run_target_list_done) RunTargetList targets = RUN_TARGET_LIST_NULL;
        uint64_t task, id = 0, other = 0, target_a, target_b;

        fixture_init(&f);
        target_a = fixture_target(&f, "a");
        target_b = fixture_target(&f, "b");
        task = fixture_task(&f, "etc", NODE_LOCAL, target_b, target_a);
        CHECK_INT(add_elapse(&f, 99, T0, RUN_QUEUED, &id), RUN_E_TASK);
        CHECK_INT(add_elapse(&f, task, T0, RUN_QUEUED, &id), 0);
        CHECK_INT(run_get(f.api, id, &r), 0);
        CHECK_INT(r.kind, RUN_BACKUP);
        CHECK_INT(r.state, RUN_QUEUED);
        CHECK_STR(r.task_name, "etc");
        CHECK_STR(r.node_name, "local");
        CHECK_STR(r.origin, "schedule");
        CHECK_INT(r.scheduled_for, T0);
        CHECK_INT(r.deadline, T0 + USEC_PER_DAY);
        CHECK_INT(r.queued, T0);
        CHECK_INT(r.finished, 0);
        CHECK(r.encrypted);
        CHECK_INT(r.command_id, 0);
        CHECK_INT(run_targets_get(f.api, id, &targets), 0);
        CHECK_INT(targets.n, 2);
        CHECK_INT(targets.items[0].target_id, target_b);
        CHECK_STR(targets.items[1].target_name, "a");
        CHECK_INT(targets.items[1].state, RUN_TARGET_PENDING);

        /* The same elapse is known as such, although the run is open; another one overlaps. */
        CHECK_INT(add_elapse(&f, task, T0, RUN_QUEUED, &other), RUN_E_EXISTS);
        CHECK_INT(add_elapse(&f, task, T0, RUN_MISSED, &other), RUN_E_EXISTS);
        CHECK_INT(add_elapse(&f, task, T0 + 1, RUN_QUEUED, &other), RUN_E_OVERLAP);
        CHECK_INT(add_elapse(&f, task, T0 + 1, RUN_MISSED, &other), 0);
        CHECK_INT(fixture_run_state(&f, other), RUN_MISSED);
        CHECK_INT(end_run(&f, id, RUN_SUCCEEDED), 0);
        CHECK_INT(add_elapse(&f, task, T0, RUN_QUEUED, &other), RUN_E_EXISTS);
        CHECK_INT(add_elapse(&f, task, T0 + 2, RUN_QUEUED, &other), 0);
        CHECK_INT(end_run(&f, other, RUN_FAILED), 0);
        /* By hand there is no elapse, so any number of them. */
        other = fixture_run(&f, task);
        CHECK_INT(end_run(&f, other, RUN_FAILED), 0);
        (void) fixture_run(&f, task);
}

static void test_add_other_node(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(run_done) Run r = RUN_NULL;
        RunNew n = {
                .kind = RUN_RESTORE, .origin = "manual", .user_id = 4, .username = "anna", .request = "{}"
        };
        uint64_t task, source, id = 0, web;

        fixture_init(&f);
        web = fixture_node(&f, "web-1");
        task = fixture_task(&f, "etc", NODE_LOCAL, 0, 0);
        source = fixture_run(&f, task);
        n.node_id = web;
        n.source_run = 99;
        CHECK_INT(run_add(f.scheduler, &n, T0, &id), RUN_E_SOURCE);
        n.source_run = source;
        CHECK_INT(run_add(f.scheduler, &n, T0, &id), 0);
        CHECK_INT(run_get(f.api, id, &r), 0);
        CHECK_INT(r.kind, RUN_RESTORE);
        CHECK_INT(r.source_run, source);
        CHECK_INT(r.task_id, task);
        CHECK_STR(r.task_name, "etc");
        CHECK_STR(r.node_name, "web-1");
        CHECK_STR(r.username, "anna");
        CHECK_STR(r.request, "{}");
        CHECK(r.encrypted);
        n.node_id = 99;
        CHECK_INT(run_add(f.scheduler, &n, T0, &id), STORE_E_NOT_FOUND);
        n.node_id = 0; /* in place: where it came from */
        CHECK_INT(run_add(f.scheduler, &n, T0, &id), 0);
        run_done(&r);
        CHECK_INT(run_get(f.api, id, &r), 0);
        CHECK_INT(r.node_id, NODE_LOCAL);
}

typedef enum Move {
        MOVE_COMMAND,
        MOVE_REQUEUE,
        MOVE_QUEUED,
        MOVE_DISPATCHED,
        MOVE_RUNNING,
        MOVE_CANCEL,
        MOVE_FINISH,
        _MOVE_MAX,
} Move;

static int move(Fixture *f, uint64_t id, Move m) {
        switch (m) {
        case MOVE_COMMAND:
                return run_set_command(f->dispatcher, id, 1000, "{}");
        case MOVE_REQUEUE:
                return run_requeue(f->dispatcher, id);
        case MOVE_QUEUED:
                return run_set_queued(f->dispatcher, id);
        case MOVE_DISPATCHED:
                return run_set_dispatched(f->dispatcher, id, T0 + 1);
        case MOVE_RUNNING:
                return run_set_running(f->dispatcher, id, T0 + 2);
        case MOVE_CANCEL:
                return run_set_cancel(f->dispatcher, id);
        case MOVE_FINISH:
                return end_run(f, id, RUN_SUCCEEDED);
        case _MOVE_MAX:
                break;
        }
        return -EINVAL;
}

/* Brings a new run into a state; with_command where it matters. */
static uint64_t run_in(Fixture *f, uint64_t task, RunState state, bool with_command) {
        uint64_t id = fixture_run(f, task);

        if (with_command)
                CHECK_INT(move(f, id, MOVE_COMMAND), 0);
        if (state == RUN_DISPATCHED)
                CHECK_INT(move(f, id, MOVE_DISPATCHED), 0);
        else if (state == RUN_RUNNING)
                CHECK_INT(move(f, id, MOVE_RUNNING), 0);
        else if (state != RUN_QUEUED)
                CHECK_INT(end_run(f, id, state), 0);
        return id;
}

#define NO (-1)

/* Every state and every move: the state afterwards, or that nothing happened. */
static void test_moves(void) {
        static const struct {
                RunState from;
                bool command;
                int after[_MOVE_MAX]; /* command, requeue, queued, dispatched, running, cancel, finish */
        } cases[] = {
                { RUN_QUEUED,
                  false,
                  { RUN_QUEUED, NO, NO, RUN_DISPATCHED, RUN_RUNNING, RUN_QUEUED, RUN_SUCCEEDED } },
                { RUN_QUEUED,
                  true,
                  { NO, RUN_QUEUED, NO, RUN_DISPATCHED, RUN_RUNNING, RUN_QUEUED, RUN_SUCCEEDED } },
                { RUN_DISPATCHED,
                  true,
                  { NO, RUN_QUEUED, RUN_QUEUED, NO, RUN_RUNNING, RUN_DISPATCHED, RUN_SUCCEEDED } },
                { RUN_RUNNING, true, { NO, RUN_QUEUED, RUN_QUEUED, NO, NO, RUN_RUNNING, RUN_SUCCEEDED } },
                { RUN_SUCCEEDED, true, { NO, NO, NO, NO, NO, NO, NO } },
                { RUN_PARTIAL, true, { NO, NO, NO, NO, NO, NO, NO } },
                { RUN_FAILED, true, { NO, NO, NO, NO, NO, NO, NO } },
                { RUN_CANCELLED, false, { NO, NO, NO, NO, NO, NO, NO } },
                { RUN_MISSED, false, { NO, NO, NO, NO, NO, NO, NO } },
                { RUN_INTERRUPTED, true, { NO, NO, NO, NO, NO, NO, NO } },
        };
        _cleanup_fixture_ Fixture f;
        uint64_t task;

        fixture_init(&f);
        task = fixture_task(&f, "etc", NODE_LOCAL, 0, 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                for (Move m = 0; m < _MOVE_MAX; m++) {
                        uint64_t id = run_in(&f, task, cases[i].from, cases[i].command);
                        int r = move(&f, id, m), expected = cases[i].after[m];
                        RunState now = fixture_run_state(&f, id);

                        if (r != (expected == NO ? (int) STORE_E_STATE : 0) ||
                            now != (expected == NO ? cases[i].from : (RunState) expected))
                                TEST_FAIL("from %s%s move %u gives %d and %s",
                                          run_state_to_string(cases[i].from),
                                          cases[i].command ? " with a command" : "", m, r,
                                          run_state_to_string(now));
                        if (!run_state_is_final(now))
                                CHECK_INT(end_run(&f, id, RUN_FAILED), 0);
                }
        CHECK_INT(move(&f, 9999, MOVE_FINISH), STORE_E_STATE);
}

static void test_finish(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(run_list_done) RunList listed = RUN_LIST_NULL;
        _cleanup_(run_done) Run r = RUN_NULL;
        _cleanup_(run_target_list_done) RunTargetList got = RUN_TARGET_LIST_NULL;
        uint64_t a, b, id;
        RunTarget done = {
                .state = RUN_TARGET_SUCCEEDED,
                .key = (char *) "local/etc/x-1/",
                .size = 77,
                .sha256 = (char *) "ab",
        };
        RunEnd end = {
                .state = RUN_PARTIAL,
                .error_code = "TARGET_FULL",
                .error = "The disk is full",
                .bytes_read = 1,
                .bytes_written = 2,
                .files = 3,
                .skipped = 4,
                .errors_total = 5,
                .errors = "[]",
                .objects = "[{}]",
                .manifest_sha256 = "cd",
                .first_read = T0 + 9,
                .targets = &done,
                .n_targets = 1,
        };

        fixture_init(&f);
        a = fixture_target(&f, "a");
        b = fixture_target(&f, "b");
        id = fixture_run(&f, fixture_task(&f, "etc", NODE_LOCAL, a, b));
        done.target_id = a;
        CHECK_INT(run_finish(f.dispatcher, id, &end, T0 + 50), 0);
        CHECK_INT(run_finish(f.dispatcher, id, &end, T0 + 60), STORE_E_STATE);
        CHECK_INT(run_get(f.api, id, &r), 0);
        CHECK_INT(r.state, RUN_PARTIAL);
        CHECK_STR(r.error_code, "TARGET_FULL");
        CHECK_STR(r.error, "The disk is full");
        CHECK_INT(r.bytes_read, 1);
        CHECK_INT(r.bytes_written, 2);
        CHECK_INT(r.files, 3);
        CHECK_INT(r.skipped, 4);
        CHECK_INT(r.errors_total, 5);
        CHECK_STR(r.errors, "[]");
        CHECK_STR(r.objects, "[{}]");
        CHECK_STR(r.manifest_sha256, "cd");
        CHECK_INT(r.first_read, T0 + 9);
        CHECK_INT(r.finished, T0 + 50);
        CHECK_INT(run_targets_get(f.api, id, &got), 0);
        CHECK_INT(got.items[0].state, RUN_TARGET_SUCCEEDED);
        CHECK_STR(got.items[0].key, "local/etc/x-1/");
        CHECK_INT(got.items[0].size, 77);
        CHECK_STR(got.items[0].sha256, "ab");
        CHECK_INT(runs_list(f.api, NULL, 0, 10, &listed), 0);
        CHECK_STR(listed.items[0].error, "The disk is full");
        CHECK_STR(listed.items[0].manifest_sha256, "cd");
        CHECK_INT(listed.items[0].first_read, T0 + 9);
        CHECK(!listed.items[0].errors);
        CHECK(!listed.items[0].objects);
        /* One that was not named has no archive. */
        CHECK_INT(got.items[1].state, RUN_TARGET_FAILED);
        CHECK_STR(got.items[1].error_code, "TARGET_FULL");
}

static void test_list(void) {
        _cleanup_fixture_ Fixture f;
        uint64_t task_a, task_b, web, ids[6], counts[_RUN_STATE_MAX];
        static const struct {
                RunFilter filter;
                uint64_t before; /* index into ids, 1-based; 0: none */
                size_t limit;
                size_t n;
                size_t first; /* index into ids */
        } cases[] = {
                { { .kind = -1 }, 0, 10, 6, 5 },
                { { .kind = -1 }, 0, 2, 2, 5 },
                { { .kind = -1 }, 5, 2, 2, 3 },
                { { .kind = RUN_RESTORE }, 0, 10, 1, 5 },
                { { .kind = -1, .task_id = 1 }, 0, 10, 3, 5 },
                { { .kind = -1, .task_id = 2 }, 0, 10, 3, 4 },
                { { .kind = -1, .node_id = 2 }, 0, 10, 3, 4 },
                { { .kind = -1, .node_id = 2, .states = RUN_STATE_BIT(RUN_FAILED) }, 0, 10, 1, 2 },
                { { .kind = -1, .states = RUN_STATES_OPEN }, 0, 10, 3, 5 },
                { { .kind = -1, .states = RUN_STATES_OPEN, .task_id = 1 }, 0, 10, 2, 5 },
                { { .kind = RUN_BACKUP, .states = RUN_STATES_OPEN, .node_id = 2 }, 0, 10, 1, 4 },
                { { .kind = -1, .states = RUN_STATE_BIT(RUN_SUCCEEDED) }, 0, 10, 2, 3 },
                { { .kind = -1, .states = RUN_STATE_BIT(RUN_MISSED) }, 0, 10, 0, 0 },
        };

        fixture_init(&f);
        web = fixture_node(&f, "web-1");
        task_a = fixture_task(&f, "a", NODE_LOCAL, 0, 0);
        task_b = fixture_task(&f, "b", web, 0, 0);
        CHECK_INT(task_a, 1);
        CHECK_INT(task_b, 2);
        CHECK_INT(web, 2);
        ids[0] = run_in(&f, task_a, RUN_SUCCEEDED, true);
        ids[1] = run_in(&f, task_a, RUN_RUNNING, true);
        ids[2] = run_in(&f, task_b, RUN_FAILED, true);
        ids[3] = run_in(&f, task_b, RUN_SUCCEEDED, true);
        ids[4] = run_in(&f, task_b, RUN_QUEUED, false);
        {
                RunNew n = { .kind = RUN_RESTORE, .origin = "manual", .source_run = ids[0] };

                CHECK_INT(run_add(f.scheduler, &n, T0, &ids[5]), 0);
        }
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(run_list_done) RunList l = RUN_LIST_NULL;
                uint64_t before = cases[i].before > 0 ? ids[cases[i].before - 1] : 0;

                CHECK_INT(runs_list(f.api, &cases[i].filter, before, cases[i].limit, &l), 0);
                if (l.n != cases[i].n || (l.n > 0 && l.items[0].id != ids[cases[i].first]))
                        TEST_FAIL("case %zu gives %zu runs, the first is %" PRIu64, i, l.n,
                                  l.n > 0 ? l.items[0].id : 0);
        }
        CHECK_INT(runs_count(f.api, counts), 0);
        CHECK_INT(counts[RUN_QUEUED], 2);
        CHECK_INT(counts[RUN_RUNNING], 1);
        CHECK_INT(counts[RUN_SUCCEEDED], 2);
}

/* The count, and the state of the command of the only one. */
static size_t work(Fixture *f, int *ret_command_state) {
        _cleanup_(run_work_list_done) RunWorkList l = RUN_WORK_LIST_NULL;

        CHECK_INT(runs_list_work(f->dispatcher, 0, 10, &l), 0);
        if (l.n == 1)
                *ret_command_state = l.items[0].command_state;
        return l.n;
}

/* What the dispatcher is told to look at, along one run's life. */
static void test_work(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(command_list_done) CommandList claimed = COMMAND_LIST_NULL;
        QueueClaim claim = {
                .node_id = NODE_LOCAL, .agent_id = "a", .capacity = 5, .now = fixture_stamp(1), .wall = T0
        };
        CommandEnd end = { .state = COMMAND_SUCCEEDED };
        CommandRef ref;
        uint64_t id, command;
        int state = -2;

        fixture_init(&f);
        CHECK_INT(work(&f, &state), 0);
        id = fixture_run(&f, fixture_task(&f, "etc", NODE_LOCAL, 0, 0));
        CHECK_INT(work(&f, &state), 1);
        CHECK_INT(state, -1);
        command = fixture_command(&f, NODE_LOCAL, id);
        CHECK_INT(run_set_command(f.dispatcher, id, command, "{}"), 0);
        CHECK_INT(work(&f, &state), 0);
        CHECK_INT(run_set_cancel(f.dispatcher, id), 0);
        CHECK_INT(work(&f, &state), 1);
        CHECK_INT(state, COMMAND_PENDING);

        CHECK_INT(queue_claim(f.api, &claim, &claimed), 0);
        CHECK_INT(work(&f, &state), 1);
        CHECK_INT(state, COMMAND_DISPATCHED);
        CHECK_INT(run_set_dispatched(f.dispatcher, id, T0), 0);
        CHECK_INT(work(&f, &state), 1); /* the cancellation still waits */
        {
                bool ended = true;

                CHECK_INT(queue_cancel(f.dispatcher, command, T0, &ended), 0);
                CHECK(!ended);
        }
        CHECK_INT(work(&f, &state), 0);
        ref = (CommandRef){ .id = command, .attempt = 1 };
        CHECK_INT(queue_accept(f.api, &ref, NODE_LOCAL, &claim.now, T0), 0);
        CHECK_INT(work(&f, &state), 1);
        CHECK_INT(state, COMMAND_ACCEPTED);
        CHECK_INT(run_set_running(f.dispatcher, id, T0), 0);
        CHECK_INT(work(&f, &state), 0);
        CHECK_INT(queue_finish(f.api, &ref, NODE_LOCAL, &end, T0), 0);
        CHECK_INT(work(&f, &state), 1);
        CHECK_INT(state, COMMAND_SUCCEEDED);
        CHECK_INT(end_run(&f, id, RUN_SUCCEEDED), 0);
        CHECK_INT(work(&f, &state), 0);
}

/* Its agent took it and came back without having begun: the run says so. */
static void test_work_of_what_came_back(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(command_list_done) CommandList claimed = COMMAND_LIST_NULL, none = COMMAND_LIST_NULL;
        CommandRef ref = { .attempt = 1 };
        QueueClaim claim = {
                .node_id = NODE_LOCAL, .agent_id = "a", .capacity = 5, .now = fixture_stamp(1), .wall = T0
        };
        uint64_t id;
        int state = -2;

        fixture_init(&f);
        id = fixture_run(&f, fixture_task(&f, "etc", NODE_LOCAL, 0, 0));
        ref.id = fixture_command(&f, NODE_LOCAL, id);
        CHECK_INT(run_set_command(f.dispatcher, id, ref.id, "{}"), 0);
        CHECK_INT(queue_claim(f.api, &claim, &claimed), 0);
        CHECK_INT(queue_accept(f.api, &ref, NODE_LOCAL, &claim.now, T0), 0);
        CHECK_INT(run_set_running(f.dispatcher, id, T0), 0);
        CHECK_INT(work(&f, &state), 0);
        claim.unstarted = &ref;
        claim.n_unstarted = 1;
        claim.capacity = 0;
        CHECK_INT(queue_claim(f.api, &claim, &none), QUEUE_E_EMPTY);
        CHECK_INT(work(&f, &state), 1);
        CHECK_INT(state, COMMAND_PENDING);
        CHECK_INT(run_set_queued(f.dispatcher, id), 0);
        CHECK_INT(work(&f, &state), 0);
}

/* A second command of a run goes on counting attempts, so that no name is ever used twice. */
static void test_attempts_rise(void) {
        _cleanup_fixture_ Fixture f;
        QueueClaim claim = {
                .node_id = NODE_LOCAL, .agent_id = "a", .capacity = 5, .now = fixture_stamp(1), .wall = T0
        };
        CommandEnd end = { .state = COMMAND_FAILED };
        uint64_t id;

        fixture_init(&f);
        id = fixture_run(&f, fixture_task(&f, "etc", NODE_LOCAL, 0, 0));
        for (uint32_t attempt = 1; attempt <= 3; attempt++) {
                _cleanup_(command_list_done) CommandList claimed = COMMAND_LIST_NULL;
                _cleanup_(run_done) Run r = RUN_NULL;
                CommandNew twice = { .run_id = id, .node_id = NODE_LOCAL, .kind = "backup", .spec = "{}" };
                CommandRef ref = { .attempt = attempt };
                uint64_t other;

                ref.id = fixture_command(&f, NODE_LOCAL, id);
                CHECK_INT(queue_add(f.dispatcher, &twice, T0, &other), STORE_E_IN_USE);
                CHECK_INT(run_set_command(f.dispatcher, id, ref.id, NULL), 0);
                CHECK_INT(queue_claim(f.api, &claim, &claimed), 0);
                CHECK_INT(claimed.items[0].attempt, attempt);
                CHECK_INT(run_get(f.api, id, &r), 0);
                CHECK_INT(r.attempt, attempt);
                CHECK_INT(queue_finish(f.api, &ref, NODE_LOCAL, &end, T0), 0);
                CHECK_INT(run_requeue(f.dispatcher, id), 0);
        }
}

static void append(Fixture *f, uint64_t run, uint32_t attempt, uint64_t first, const char *text, size_t n) {
        RunLogLine lines[100];
        RunLogBatch batch = {
                .run_id = run,
                .attempt = attempt,
                .first_source_seq = first,
                .lines = lines,
                .n = n,
        };
        uint64_t last = 0;

        for (size_t i = 0; i < n; i++)
                lines[i] = (RunLogLine){ .at = T0 + i, .level = (char *) "info", .text = (char *) text };
        CHECK_INT(run_log_append(f->api, &batch, &last), 0);
}

static void test_logs(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(run_log_list_done) RunLogList l = RUN_LOG_LIST_NULL, rest = RUN_LOG_LIST_NULL;
        RunLogBatch nowhere = { .run_id = 99, .attempt = 1, .first_source_seq = 1 };
        uint64_t run;

        fixture_init(&f);
        run = fixture_run(&f, fixture_task(&f, "etc", NODE_LOCAL, 0, 0));
        CHECK_INT(run_log_append(f.api, &nowhere, NULL), STORE_E_NOT_FOUND);
        CHECK_INT(run_log_add(f.dispatcher, 99, T0, "info", "x"), STORE_E_NOT_FOUND);
        CHECK_INT(run_log_add(f.dispatcher, run, T0, "notice", "queued"), 0);
        append(&f, run, 1, 1, "a", 3);
        append(&f, run, 1, 1, "a", 3); /* a repeat */
        append(&f, run, 1, 3, "b", 2); /* half a repeat */
        append(&f, run, 2, 1, "c", 1); /* another attempt counts anew */
        append(&f, run, 1, 5, "late", 1);
        CHECK_INT(run_log_list(f.api, run, 0, 100, &l), 0);
        CHECK_INT(l.n, 6);
        CHECK_STR(l.items[0].text, "queued");
        CHECK_STR(l.items[0].level, "notice");
        CHECK_STR(l.items[3].text, "a");
        CHECK_STR(l.items[4].text, "b");
        CHECK_STR(l.items[5].text, "c");
        for (size_t i = 0; i < l.n; i++)
                CHECK_INT(l.items[i].seq, i + 1);
        CHECK_INT(run_log_list(f.api, run, 4, 1, &rest), 0);
        CHECK_INT(rest.n, 1);
        CHECK_STR(rest.items[0].text, "b");
}

static void test_log_lines(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(run_log_list_done) RunLogList l = RUN_LOG_LIST_NULL;
        char text[RUN_LOG_LINE_MAX + 100];
        uint64_t run;

        fixture_init(&f);
        run = fixture_run(&f, fixture_task(&f, "etc", NODE_LOCAL, 0, 0));
        memset(text, 'x', sizeof(text));
        text[RUN_LOG_LINE_MAX] = 0;
        append(&f, run, 1, 1, text, 1);
        memset(text, 'x', sizeof(text));
        memcpy(text + RUN_LOG_LINE_MAX - 4, "ä", 2); /* in the middle of where the cut would be */
        text[sizeof(text) - 1] = 0;
        append(&f, run, 1, 2, text, 1);
        CHECK_INT(run_log_list(f.api, run, 0, 100, &l), 0);
        CHECK_INT(strlen(l.items[0].text), RUN_LOG_LINE_MAX);
        CHECK_INT(strlen(l.items[1].text), RUN_LOG_LINE_MAX - 1);
        CHECK_STR(l.items[1].text + RUN_LOG_LINE_MAX - 4, "…");
}

static void test_log_cap(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(run_log_list_done) RunLogList l = RUN_LOG_LIST_NULL;
        uint64_t run, seq = 1;

        fixture_init(&f);
        run = fixture_run(&f, fixture_task(&f, "etc", NODE_LOCAL, 0, 0));
        CHECK_OK(store_group_open(f.api));
        for (; seq <= RUN_LOG_LINES_MAX + 200; seq += 100)
                append(&f, run, 1, seq, "line", 100);
        CHECK_OK(store_group_commit(f.api));
        CHECK_INT(run_log_add(f.dispatcher, run, T0, "error", "the end"), 0);
        append(&f, run, 1, seq, "one more", 1);
        CHECK_INT(run_log_list(f.api, run, RUN_LOG_LINES_MAX - 1, 100, &l), 0);
        CHECK_INT(l.n, 3);
        CHECK_STR(l.items[0].text, "line");
        CHECK(strstr(l.items[1].text, " 201 lines "));
        CHECK_STR(l.items[1].level, "warning");
        CHECK_STR(l.items[2].text, "the end");
}

static void test_log_bytes(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(run_log_list_done) RunLogList l = RUN_LOG_LIST_NULL;
        char text[RUN_LOG_LINE_MAX + 1];
        uint64_t run;

        fixture_init(&f);
        run = fixture_run(&f, fixture_task(&f, "etc", NODE_LOCAL, 0, 0));
        memset(text, 'x', RUN_LOG_LINE_MAX);
        text[RUN_LOG_LINE_MAX] = 0;
        for (unsigned i = 0; i < 11; i++)
                append(&f, run, 1, 1 + i * 100, text, 100);
        append(&f, run, 1, 1101, "short", 1);
        CHECK_INT(run_log_list(f.api, run, RUN_LOG_BYTES_MAX / RUN_LOG_LINE_MAX, 100, &l), 0);
        CHECK_INT(l.n, 1);
        CHECK(strstr(l.items[0].text, " 77 lines "));
}

static void test_summaries(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(task_summary_list_done) TaskSummaryList l = TASK_SUMMARY_LIST_NULL;
        RunEnd good = { .state = RUN_SUCCEEDED, .bytes_written = 10 },
               bad = { .state = RUN_FAILED, .bytes_written = 3 };
        uint64_t task, id;

        fixture_init(&f);
        task = fixture_task(&f, "etc", NODE_LOCAL, 0, 0);
        (void) fixture_task(&f, "home", NODE_LOCAL, 0, 0);
        id = fixture_run(&f, task);
        CHECK_INT(run_finish(f.dispatcher, id, &good, T0 + 10), 0);
        id = fixture_run(&f, task);
        CHECK_INT(run_set_running(f.dispatcher, id, T0 + 15), 0);
        CHECK_INT(run_finish(f.dispatcher, id, &bad, T0 + 20), 0);
        id = fixture_run(&f, task);
        CHECK_INT(task_summaries_list(f.api, 0, 10, &l), 0);
        CHECK_INT(l.n, 2);
        CHECK_STR(l.items[0].task_name, "etc");
        CHECK_STR(l.items[0].node_name, "local");
        CHECK_INT(l.items[0].last_run_id, id);
        CHECK_INT(l.items[0].last_state, RUN_QUEUED);
        CHECK_INT(l.items[0].last_finished, T0 + 20);
        CHECK_INT(l.items[0].last_success, T0 + 10);
        CHECK_INT(l.items[0].last_bytes, 3);
        CHECK_INT(l.items[0].last_duration, 5);
        CHECK_INT(l.items[1].last_run_id, 0);
        CHECK_INT(l.items[1].last_success, 0);
}

/* A task that is deleted leaves its runs, with its name. */
static void test_task_deleted(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(run_done) Run r = RUN_NULL;
        uint64_t task, id;

        fixture_init(&f);
        task = fixture_task(&f, "etc", NODE_LOCAL, 0, 0);
        id = run_in(&f, task, RUN_SUCCEEDED, false);
        CHECK_INT(task_delete(f.api, task), 0);
        CHECK_INT(run_get(f.api, id, &r), 0);
        CHECK_INT(r.task_id, 0);
        CHECK_STR(r.task_name, "etc");
}

/* With a slice so short that it is over with the first statement, as on a slow machine; and with one that
 * never ends. */
static void check_clean(usec_t slice, unsigned most) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(run_log_list_done) RunLogList logs = RUN_LOG_LIST_NULL;
        _cleanup_(run_list_done) RunList runs = RUN_LIST_NULL;
        StoreRetention keep = { .slice = slice };
        RunTarget done = { .state = RUN_TARGET_SUCCEEDED };
        RunEnd end = { .state = RUN_SUCCEEDED, .targets = &done, .n_targets = 1 };
        uint64_t task, kept, gone, target;
        bool more = true;
        unsigned turns = 0;

        fixture_init(&f);
        keep.run_logs = keep.runs = keep.audit = USEC_PER_DAY;
        done.target_id = target = fixture_target(&f, "a");
        task = fixture_task(&f, "etc", NODE_LOCAL, target, 0);
        kept = fixture_run(&f, task);
        CHECK_INT(run_finish(f.dispatcher, kept, &end, T0), 0);
        gone = run_in(&f, task, RUN_FAILED, false);
        append(&f, gone, 1, 1, "x", 100);
        append(&f, gone, 1, 101, "x", 100);
        append(&f, gone, 1, 201, "x", 50);
        append(&f, kept, 1, 1, "x", 10);
        for (; more && turns < most; turns++)
                CHECK_INT(store_clean(f.dispatcher, &keep, T0 + 2, &more), 0);
        CHECK(!more);
        CHECK_INT(runs_list(f.api, NULL, 0, 10, &runs), 0);
        CHECK_INT(runs.n, 2);
        run_list_done(&runs);
        for (more = true, turns = 0; more && turns < most; turns++)
                CHECK_INT(store_clean(f.dispatcher, &keep, T0 + 2 * USEC_PER_DAY, &more), 0);
        CHECK(!more);
        CHECK(turns > 2);
        CHECK_INT(store_clean(f.dispatcher, &keep, T0 + 2 * USEC_PER_DAY, &more), 0);
        CHECK_INT(run_log_list(f.api, kept, 0, 10, &logs), 0);
        CHECK_INT(logs.n, 0);
        CHECK_INT(runs_list(f.api, NULL, 0, 10, &runs), 0);
        CHECK_INT(runs.n, 1);
        CHECK_INT(runs.items[0].id, kept);
}

static void test_clean(void) {
        /* 250 lines are three slices of a hundred; then heads and run, and a round that finds nothing. */
        check_clean(USEC_INFINITY, 7);
        check_clean(1, 7 * 9);
}

int main(void) {
        RUN(test_add);
        RUN(test_add_other_node);
        RUN(test_moves);
        RUN(test_finish);
        RUN(test_list);
        RUN(test_work);
        RUN(test_work_of_what_came_back);
        RUN(test_attempts_rise);
        RUN(test_logs);
        RUN(test_log_lines);
        RUN(test_log_cap);
        RUN(test_log_bytes);
        RUN(test_summaries);
        RUN(test_task_deleted);
        RUN(test_clean);
        return EXIT_SUCCESS;
}
