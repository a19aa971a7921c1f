/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "store/relay-cap.h"
#include "tests/unit/store/fixture.h"

static int claim_one(Fixture *f, uint64_t node_id, usec_t second, Command *ret) {
        _cleanup_(command_list_done) CommandList l = COMMAND_LIST_NULL;
        QueueClaim claim = {
                .node_id = node_id,
                .agent_id = "agent",
                .capacity = 1,
                .probes = 1,
                .now = fixture_stamp(second),
                .wall = T0,
        };
        int r;

        r = queue_claim(f->api, &claim, &l);
        if (r != 0)
                return r;
        CHECK_INT(l.n, 1);
        *ret = l.items[0];
        l.items[0] = COMMAND_NULL;
        return 0;
}

static CommandRef claimed(Fixture *f, uint64_t node_id, usec_t second) {
        _cleanup_(command_done) Command c = COMMAND_NULL;

        CHECK_INT(claim_one(f, node_id, second, &c), 0);
        return (CommandRef){ .id = c.id, .attempt = c.attempt };
}

static int accept_at(Fixture *f, CommandRef ref, uint64_t node_id, usec_t second) {
        Stamp now = fixture_stamp(second);

        return queue_accept(f->api, &ref, node_id, &now, T0 + second);
}

static int finish_as(Fixture *f, CommandRef ref, uint64_t node_id, CommandState state) {
        CommandEnd end = { .state = state, .result = "{}" };

        return queue_finish(f->api, &ref, node_id, &end, T0);
}

static int expire_at(Fixture *f, usec_t second, usec_t wall, QueueExpiredList *ret) {
        Stamp now = fixture_stamp(second);

        return queue_expire(f->dispatcher, &now, wall, ret);
}

static void test_story(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(command_done) Command c = COMMAND_NULL;
        _cleanup_(command_list_done) CommandList unsettled = COMMAND_LIST_NULL;
        bool cancel = true;
        Stamp now = fixture_stamp(3);
        CommandRef ref;
        uint64_t id;

        fixture_init(&f);
        CHECK_INT(claim_one(&f, NODE_LOCAL, 1, &c), QUEUE_E_EMPTY);
        id = fixture_command(&f, NODE_LOCAL, 0);
        CHECK_INT(claim_one(&f, NODE_LOCAL, 1, &c), 0);
        CHECK_INT(c.id, id);
        CHECK_INT(c.attempt, 1);
        CHECK_INT(c.state, COMMAND_DISPATCHED);
        CHECK_STR(c.spec, "{}");
        CHECK_STR(c.secrets, "sealed");
        CHECK_STR(c.agent_id, "agent");
        ref = (CommandRef){ .id = id, .attempt = 1 };
        CHECK_INT(accept_at(&f, ref, NODE_LOCAL, 2), 0);
        CHECK_INT(accept_at(&f, ref, NODE_LOCAL, 2), 0);
        CHECK_INT(queue_progress(f.api, &ref, NODE_LOCAL, "{\"phase\":\"read\"}", &now, &cancel), 0);
        CHECK(!cancel);
        CHECK_INT(finish_as(&f, ref, NODE_LOCAL, COMMAND_SUCCEEDED), 0);
        CHECK_INT(finish_as(&f, ref, NODE_LOCAL, COMMAND_FAILED), QUEUE_E_GONE);
        CHECK_INT(accept_at(&f, ref, NODE_LOCAL, 3), QUEUE_E_GONE);

        CHECK_INT(queue_list_unsettled(f.dispatcher, 0, 10, &unsettled), 0);
        CHECK_INT(unsettled.n, 1);
        CHECK_INT(unsettled.items[0].state, COMMAND_SUCCEEDED);
        CHECK(!unsettled.items[0].secrets);
        CHECK_STR(unsettled.items[0].progress, "{\"phase\":\"read\"}");
        CHECK_INT(queue_settle(f.dispatcher, id), 0);
        CHECK_INT(queue_settle(f.dispatcher, id), STORE_E_STATE);
}

/* --- every state, every verb --- */

typedef enum Verb {
        VERB_CLAIM,
        VERB_ACCEPT,
        VERB_RENEW,
        VERB_PROGRESS,
        VERB_FINISH,
        VERB_CANCEL,
        VERB_ABANDON,
        VERB_SETTLE,
        _VERB_MAX,
} Verb;

/* Brings a new command of that node into a state; gives its reference. */
static CommandRef command_in(Fixture *f, uint64_t node_id, CommandState state) {
        CommandRef ref = { .id = fixture_command(f, node_id, 0) };
        bool ended;

        switch (state) {
        case COMMAND_PENDING:
                break;
        case COMMAND_DISPATCHED:
                ref = claimed(f, node_id, 1);
                break;
        case COMMAND_ACCEPTED:
                ref = claimed(f, node_id, 1);
                CHECK_INT(accept_at(f, ref, node_id, 1), 0);
                break;
        case COMMAND_CANCELLED:
                CHECK_INT(queue_cancel(f->dispatcher, ref.id, T0, &ended), 0);
                CHECK(ended);
                break;
        case COMMAND_TIMEOUT:
                CHECK_INT(queue_abandon(f->dispatcher, ref.id, state, "X", NULL, T0), 0);
                break;
        case COMMAND_SUCCEEDED:
        case COMMAND_PARTIAL:
        case COMMAND_FAILED:
                ref = claimed(f, node_id, 1);
                CHECK_INT(accept_at(f, ref, node_id, 1), 0);
                CHECK_INT(finish_as(f, ref, node_id, state), 0);
                break;
        case _COMMAND_STATE_MAX:
        case _COMMAND_STATE_INVALID:
                TEST_FAIL("no state");
        }
        CHECK_INT(fixture_command_state(f, ref.id), state);
        return ref;
}

static int verb(Fixture *f, Verb v, CommandRef ref, uint64_t node_id) {
        _cleanup_(command_done) Command c = COMMAND_NULL;
        Stamp now = fixture_stamp(1);
        size_t renewed = 0;
        bool flag;
        int r;

        switch (v) {
        case VERB_CLAIM:
                return claim_one(f, node_id, 1, &c);
        case VERB_ACCEPT:
                return accept_at(f, ref, node_id, 1);
        case VERB_RENEW:
                r = queue_renew(f->api, node_id, &ref, 1, &now, &renewed);
                return r != 0 ? r : renewed == 1 ? 0 :
                                                   (int) STORE_E_STATE;
        case VERB_PROGRESS:
                return queue_progress(f->api, &ref, node_id, "{}", &now, &flag);
        case VERB_FINISH:
                return finish_as(f, ref, node_id, COMMAND_PARTIAL);
        case VERB_CANCEL:
                return queue_cancel(f->dispatcher, ref.id, T0, &flag);
        case VERB_ABANDON:
                return queue_abandon(f->dispatcher, ref.id, COMMAND_FAILED, "X", "x", T0);
        case VERB_SETTLE:
                return queue_settle(f->dispatcher, ref.id);
        case _VERB_MAX:
                break;
        }
        return -EINVAL;
}

#define ENDED(s) \
        { \
                { QUEUE_E_EMPTY, s }, { QUEUE_E_GONE, s }, { STORE_E_STATE, s }, { QUEUE_E_GONE, s }, \
                                { QUEUE_E_GONE, s }, { QUEUE_E_GONE, s }, { QUEUE_E_GONE, s }, { \
                        0, s \
                } \
        }

/* A claim of what is dispatched delivers it again: it was lost on the way. */
static void test_verbs(void) {
        static const struct {
                int result;
                CommandState after;
        } cases[_COMMAND_STATE_MAX][_VERB_MAX] = {
                [COMMAND_PENDING] = {
                                [VERB_CLAIM] = { 0, COMMAND_DISPATCHED },
                                [VERB_ACCEPT] = { QUEUE_E_STALE, COMMAND_PENDING },
                                [VERB_RENEW] = { STORE_E_STATE, COMMAND_PENDING },
                                [VERB_PROGRESS] = { QUEUE_E_STALE, COMMAND_PENDING },
                                [VERB_FINISH] = { QUEUE_E_STALE, COMMAND_PENDING },
                                [VERB_CANCEL] = { 0, COMMAND_CANCELLED },
                                [VERB_ABANDON] = { 0, COMMAND_FAILED },
                                [VERB_SETTLE] = { STORE_E_STATE, COMMAND_PENDING },
                },
                [COMMAND_DISPATCHED] = {
                                [VERB_CLAIM] = { 0, COMMAND_DISPATCHED },
                                [VERB_ACCEPT] = { 0, COMMAND_ACCEPTED },
                                [VERB_RENEW] = { STORE_E_STATE, COMMAND_DISPATCHED },
                                [VERB_PROGRESS] = { QUEUE_E_STALE, COMMAND_DISPATCHED },
                                [VERB_FINISH] = { 0, COMMAND_PARTIAL },
                                [VERB_CANCEL] = { 0, COMMAND_DISPATCHED },
                                [VERB_ABANDON] = { 0, COMMAND_FAILED },
                                [VERB_SETTLE] = { STORE_E_STATE, COMMAND_DISPATCHED },
                },
                [COMMAND_ACCEPTED] = {
                                [VERB_CLAIM] = { QUEUE_E_EMPTY, COMMAND_ACCEPTED },
                                [VERB_ACCEPT] = { 0, COMMAND_ACCEPTED },
                                [VERB_RENEW] = { 0, COMMAND_ACCEPTED },
                                [VERB_PROGRESS] = { 0, COMMAND_ACCEPTED },
                                [VERB_FINISH] = { 0, COMMAND_PARTIAL },
                                [VERB_CANCEL] = { 0, COMMAND_ACCEPTED },
                                [VERB_ABANDON] = { 0, COMMAND_FAILED },
                                [VERB_SETTLE] = { STORE_E_STATE, COMMAND_ACCEPTED },
                },
                [COMMAND_SUCCEEDED] = ENDED(COMMAND_SUCCEEDED),
                [COMMAND_PARTIAL] = ENDED(COMMAND_PARTIAL),
                [COMMAND_FAILED] = ENDED(COMMAND_FAILED),
                [COMMAND_TIMEOUT] = ENDED(COMMAND_TIMEOUT),
                [COMMAND_CANCELLED] = ENDED(COMMAND_CANCELLED),
        };
        _cleanup_fixture_ Fixture f;
        uint64_t node;
        char name[32];

        fixture_init(&f);
        for (CommandState from = 0; from < _COMMAND_STATE_MAX; from++)
                for (Verb v = 0; v < _VERB_MAX; v++) {
                        CommandRef ref;
                        int r;

                        (void) snprintf(name, sizeof(name), "node-%u-%u", (unsigned) from, (unsigned) v);
                        node = fixture_node(&f, name);
                        ref = command_in(&f, node, from);
                        r = verb(&f, v, ref, node);
                        if (r != cases[from][v].result ||
                            fixture_command_state(&f, ref.id) != cases[from][v].after)
                                TEST_FAIL("from %s verb %u gives %d and %s", command_state_to_string(from),
                                          v, r, command_state_to_string(fixture_command_state(&f, ref.id)));
                }
}

/* An agent that shows an attempt that is not the current one, or another node's command. */
static void test_strangers(void) {
        _cleanup_fixture_ Fixture f;
        uint64_t web;

        fixture_init(&f);
        web = fixture_node(&f, "web-1");
        for (CommandState from = 0; from < _COMMAND_STATE_MAX; from++) {
                CommandRef ref = command_in(&f, NODE_LOCAL, from), other = { .id = 9999, .attempt = 1 };
                const Verb verbs[] = { VERB_ACCEPT, VERB_PROGRESS, VERB_FINISH };

                for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                        CHECK_INT(verb(&f, verbs[i], ref, web), QUEUE_E_FOREIGN);
                        CHECK_INT(verb(&f, verbs[i], other, NODE_LOCAL), QUEUE_E_FOREIGN);
                        ref.attempt++;
                        CHECK_INT(verb(&f, verbs[i], ref, NODE_LOCAL),
                                  command_state_is_final(from) ? QUEUE_E_GONE : QUEUE_E_STALE);
                        ref.attempt--;
                }
                CHECK_INT(fixture_command_state(&f, ref.id), from);
                (void) !queue_abandon(f.dispatcher, ref.id, COMMAND_FAILED, NULL, NULL, T0);
        }
        CHECK_INT(verb(&f, VERB_CANCEL, (CommandRef){ .id = 9999 }, 0), STORE_E_NOT_FOUND);
        CHECK_INT(verb(&f, VERB_ABANDON, (CommandRef){ .id = 9999 }, 0), STORE_E_NOT_FOUND);
}

/* --- claims --- */

static void test_claim_order_and_capacity(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(command_list_done) CommandList first = COMMAND_LIST_NULL, second = COMMAND_LIST_NULL;
        QueueClaim claim = { .node_id = NODE_LOCAL, .agent_id = "a", .now = fixture_stamp(1), .wall = T0 };
        uint64_t jobs[3], probes[3], other;
        char name[16];

        fixture_init(&f);
        other = fixture_command(&f, fixture_node(&f, "web-1"), 0);
        for (size_t i = 0; i < 3; i++) {
                (void) snprintf(name, sizeof(name), "task-%zu", i);
                jobs[i] = fixture_command(&f, NODE_LOCAL,
                                          fixture_run(&f, fixture_task(&f, name, NODE_LOCAL, 0, 0)));
                probes[i] = fixture_command(&f, NODE_LOCAL, 0);
        }
        /* Full of backups: probes still come through. */
        claim.probes = 2;
        CHECK_INT(queue_claim(f.api, &claim, &first), 0);
        CHECK_INT(first.n, 2);
        CHECK_INT(first.items[0].id, probes[0]);
        CHECK_INT(first.items[1].id, probes[1]);
        {
                CommandRef holding[2] = { { first.items[0].id, 1 }, { first.items[1].id, 1 } };

                claim.holding = holding;
                claim.n_holding = 2;
                claim.capacity = 2;
                CHECK_INT(queue_claim(f.api, &claim, &second), 0);
                CHECK_INT(second.n, 3);
                CHECK_INT(second.items[0].id, jobs[0]);
                CHECK_INT(second.items[1].id, jobs[1]);
                CHECK_INT(second.items[2].id, probes[2]);
        }
        CHECK_INT(fixture_command_state(&f, jobs[2]), COMMAND_PENDING);
        CHECK_INT(fixture_command_state(&f, other), COMMAND_PENDING);
}

static void test_claim_returns_what_was_lost(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(command_done) Command again = COMMAND_NULL;
        CommandRef ref;
        bool ended;

        fixture_init(&f);
        (void) fixture_command(&f, NODE_LOCAL, 0);
        ref = claimed(&f, NODE_LOCAL, 1);
        CHECK_INT(claim_one(&f, NODE_LOCAL, 2, &again), 0);
        CHECK_INT(again.id, ref.id);
        CHECK_INT(again.attempt, 2);
        /* The first delivery arrives after all. */
        CHECK_INT(accept_at(&f, ref, NODE_LOCAL, 2), QUEUE_E_STALE);
        ref.attempt = 2;
        /* A cancelled one is not delivered again. */
        CHECK_INT(queue_cancel(f.dispatcher, ref.id, T0, &ended), 0);
        CHECK(!ended);
        command_done(&again);
        CHECK_INT(claim_one(&f, NODE_LOCAL, 3, &again), QUEUE_E_EMPTY);
        CHECK_INT(fixture_command_state(&f, ref.id), COMMAND_CANCELLED);
}

static int claim_unstarted(Fixture *f, uint64_t node_id, CommandRef ref, uint32_t *ret_attempt) {
        _cleanup_(command_list_done) CommandList l = COMMAND_LIST_NULL;
        QueueClaim claim = {
                .node_id = node_id,
                .agent_id = "agent",
                .unstarted = &ref,
                .n_unstarted = 1,
                .probes = 1,
                .now = fixture_stamp(9),
                .wall = T0,
        };
        int r;

        r = queue_claim(f->api, &claim, &l);
        if (r == 0)
                *ret_attempt = l.items[0].attempt;
        return r;
}

static void test_claim_returns_what_was_not_begun(void) {
        _cleanup_fixture_ Fixture f;
        CommandRef ref, old;
        uint32_t attempt = 0;
        bool ended;

        fixture_init(&f);
        (void) fixture_command(&f, NODE_LOCAL, 0);
        old = ref = claimed(&f, NODE_LOCAL, 1);
        CHECK_INT(accept_at(&f, ref, NODE_LOCAL, 2), 0);
        /* Another node cannot give it back, nor can anybody another attempt. */
        CHECK_INT(claim_unstarted(&f, NODE_LOCAL + 1, ref, &attempt), QUEUE_E_EMPTY);
        CHECK_INT(claim_unstarted(&f, NODE_LOCAL, (CommandRef){ ref.id, 2 }, &attempt), QUEUE_E_EMPTY);
        CHECK_INT(fixture_command_state(&f, ref.id), COMMAND_ACCEPTED);
        CHECK_INT(claim_unstarted(&f, NODE_LOCAL, ref, &attempt), 0);
        CHECK_INT(attempt, 2);
        ref.attempt = 2;
        CHECK_INT(accept_at(&f, ref, NODE_LOCAL, 3), 0);
        /* A repeat changes nothing, and the attempt that was given back has no say. */
        CHECK_INT(claim_unstarted(&f, NODE_LOCAL, old, &attempt), QUEUE_E_EMPTY);
        CHECK_INT(finish_as(&f, old, NODE_LOCAL, COMMAND_FAILED), QUEUE_E_STALE);
        CHECK_INT(fixture_command_state(&f, ref.id), COMMAND_ACCEPTED);
        /* A cancelled one is not delivered again, a finished one stays so. */
        CHECK_INT(queue_cancel(f.dispatcher, ref.id, T0, &ended), 0);
        CHECK_INT(claim_unstarted(&f, NODE_LOCAL, ref, &attempt), QUEUE_E_EMPTY);
        CHECK_INT(fixture_command_state(&f, ref.id), COMMAND_CANCELLED);
        CHECK_INT(claim_unstarted(&f, NODE_LOCAL, ref, &attempt), QUEUE_E_EMPTY);
        CHECK_INT(fixture_command_state(&f, ref.id), COMMAND_CANCELLED);
}

static void test_drain_and_deadline(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(command_done) Command c = COMMAND_NULL;
        CommandNew late = { .node_id = NODE_LOCAL, .kind = "list_dir", .spec = "{}", .deadline = T0 };
        uint64_t id, waiting[4];
        size_t n = 0;

        fixture_init(&f);
        CHECK_INT(queue_add(f.dispatcher, &late, T0 - 1, &id), 0);
        CHECK_INT(claim_one(&f, NODE_LOCAL, 1, &c), QUEUE_E_EMPTY);
        id = fixture_command(&f, NODE_LOCAL, 0);
        CHECK_INT(node_set_draining(f.dispatcher, NODE_LOCAL, true), 0);
        CHECK_INT(claim_one(&f, NODE_LOCAL, 1, &c), QUEUE_E_EMPTY);
        CHECK_INT(queue_nodes_waiting(f.api, 0, waiting, ELEMENTSOF(waiting), &n), 0);
        CHECK_INT(n, 1);
        CHECK_INT(waiting[0], NODE_LOCAL);
        CHECK_INT(node_set_draining(f.dispatcher, NODE_LOCAL, false), 0);
        CHECK_INT(claim_one(&f, NODE_LOCAL, 1, &c), 0);
        CHECK_INT(c.id, id);
}

static void test_limits(void) {
        _cleanup_fixture_ Fixture f;
        CommandNew c = { .node_id = NODE_LOCAL, .kind = "list_dir", .spec = "{}" };
        QueueCounts counts;
        uint64_t id;

        fixture_init(&f);
        CHECK_OK(store_group_open(f.dispatcher));
        for (unsigned i = 0; i < QUEUE_NODE_MAX; i++)
                CHECK_INT(queue_add(f.dispatcher, &c, T0, &id), 0);
        CHECK_INT(queue_add(f.dispatcher, &c, T0, &id), QUEUE_E_FULL);
        CHECK_OK(store_group_commit(f.dispatcher));
        CHECK_INT(queue_counts(f.api, 0, &counts), 0);
        CHECK_INT(counts.pending, QUEUE_NODE_MAX);
        (void) fixture_command(&f, fixture_node(&f, "web-1"), 0);
        CHECK_INT(queue_counts(f.api, 2, &counts), 0);
        CHECK_INT(counts.pending, 1);
        c.node_id = 99;
        CHECK_INT(queue_add(f.dispatcher, &c, T0, &id), STORE_E_NOT_FOUND);
        c = (CommandNew){ .node_id = 2, .run_id = 99, .kind = "backup", .spec = "{}" };
        CHECK_INT(queue_add(f.dispatcher, &c, T0, &id), STORE_E_NOT_FOUND);
}

/* --- cancelling --- */

static void test_cancel(void) {
        _cleanup_fixture_ Fixture f;
        Stamp now = fixture_stamp(1);
        uint64_t ids[4];
        CommandRef ref;
        bool ended = true, cancel = false;
        size_t n = 9;

        fixture_init(&f);
        ref = command_in(&f, NODE_LOCAL, COMMAND_ACCEPTED);
        CHECK_INT(queue_cancels(f.api, NODE_LOCAL, ids, ELEMENTSOF(ids), &n), 0);
        CHECK_INT(n, 0);
        CHECK_INT(queue_cancel(f.dispatcher, ref.id, T0, &ended), 0);
        CHECK(!ended);
        CHECK_INT(queue_cancel(f.dispatcher, ref.id, T0, &ended), 0);
        CHECK_INT(queue_cancels(f.api, NODE_LOCAL, ids, ELEMENTSOF(ids), &n), 0);
        CHECK_INT(n, 1);
        CHECK_INT(ids[0], ref.id);
        CHECK_INT(queue_progress(f.api, &ref, NODE_LOCAL, NULL, &now, &cancel), 0);
        CHECK(cancel);
        CHECK_INT(finish_as(&f, ref, NODE_LOCAL, COMMAND_CANCELLED), 0);
        CHECK_INT(queue_cancels(f.api, NODE_LOCAL, ids, ELEMENTSOF(ids), &n), 0);
        CHECK_INT(n, 0);
}

/* What is not begun ends at once, and cannot be begun; what runs is for its agent to end. */
static void test_cancel_probe(void) {
        static const struct {
                CommandState from;
                int result;
                bool ended;
                CommandState after;
                int accept;
        } cases[] = {
                { COMMAND_PENDING, 0, true, COMMAND_CANCELLED, QUEUE_E_GONE },
                { COMMAND_DISPATCHED, 0, true, COMMAND_CANCELLED, QUEUE_E_GONE },
                { COMMAND_ACCEPTED, 0, false, COMMAND_ACCEPTED, 0 },
                { COMMAND_SUCCEEDED, QUEUE_E_GONE, false, COMMAND_SUCCEEDED, QUEUE_E_GONE },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_fixture_ Fixture f;
                _cleanup_(command_done) Command c = COMMAND_NULL;
                bool ended = false;
                CommandRef ref;

                fixture_init(&f);
                ref = command_in(&f, NODE_LOCAL, cases[i].from);
                CHECK_INT(queue_cancel_probe(f.dispatcher, ref.id, T0, &ended), cases[i].result);
                CHECK_INT(ended, cases[i].ended);
                CHECK_INT(command_get(f.api, ref.id, &c), 0);
                CHECK_INT(c.state, cases[i].after);
                CHECK(cases[i].after != COMMAND_CANCELLED || !c.secrets);
                CHECK_INT(accept_at(&f, ref, NODE_LOCAL, 2), cases[i].accept);
        }
}

static void test_cancel_probe_not_a_run(void) {
        _cleanup_fixture_ Fixture f;
        bool ended = false;
        uint64_t id;

        fixture_init(&f);
        id = fixture_command(&f, NODE_LOCAL, fixture_run(&f, fixture_task(&f, "t", NODE_LOCAL, 0, 0)));
        CHECK_INT(queue_cancel_probe(f.dispatcher, id, T0, &ended), STORE_E_NOT_FOUND);
        CHECK_INT(queue_cancel_probe(f.dispatcher, id + 1, T0, &ended), STORE_E_NOT_FOUND);
        CHECK(!ended);
}

/* --- expiry --- */

static void test_expiry(void) {
        static const struct {
                const char *what;
                CommandState state;  /* heard of at second 1000 */
                usec_t since, alive; /* the API's */
                usec_t now;
                bool cancel;
                int result;
                CommandState after;
        } cases[] = {
                { "just delivered", COMMAND_DISPATCHED, 0, 1029, 1029, false, 0, COMMAND_DISPATCHED },
                { "not accepted", COMMAND_DISPATCHED, 0, 1030, 1030, false, 0, COMMAND_PENDING },
                { "not accepted, cancelled", COMMAND_DISPATCHED, 0, 1030, 1030, true, 0, COMMAND_CANCELLED },
                { "nobody listened", COMMAND_DISPATCHED, 1020, 1049, 1049, false, 0, COMMAND_DISPATCHED },
                { "nobody listened for long", COMMAND_DISPATCHED, 1020, 1050, 1050, false, 0,
                  COMMAND_PENDING },
                { "the API is away", COMMAND_DISPATCHED, 0, 1030, 1035, false, QUEUE_E_BLIND,
                  COMMAND_DISPATCHED },
                { "the API is late", COMMAND_DISPATCHED, 0, 1030, 1034, false, 0, COMMAND_PENDING },
                { "silent", COMMAND_ACCEPTED, 0, 1599, 1599, false, 0, COMMAND_ACCEPTED },
                { "silent too long", COMMAND_ACCEPTED, 0, 1600, 1600, false, 0, COMMAND_TIMEOUT },
                { "silent, cancelled", COMMAND_ACCEPTED, 0, 1600, 1600, true, 0, COMMAND_TIMEOUT },
                { "silent while nobody listened", COMMAND_ACCEPTED, 5000, 5599, 5599, false, 0,
                  COMMAND_ACCEPTED },
                { "the API is away for long", COMMAND_ACCEPTED, 0, 1000, 9999, false, QUEUE_E_BLIND,
                  COMMAND_ACCEPTED },
                { "waiting", COMMAND_PENDING, 0, 9999, 9999, false, 0, COMMAND_PENDING },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_fixture_ Fixture f;
                _cleanup_(queue_expired_list_done) QueueExpiredList l = QUEUE_EXPIRED_LIST_NULL;
                CommandState after;
                CommandRef ref;
                bool ended;
                int r;

                fixture_init(&f);
                ref.id = fixture_command(&f, NODE_LOCAL, 0);
                if (cases[i].state != COMMAND_PENDING)
                        ref = claimed(&f, NODE_LOCAL, 1000);
                if (cases[i].state == COMMAND_ACCEPTED)
                        CHECK_INT(accept_at(&f, ref, NODE_LOCAL, 1000), 0);
                if (cases[i].cancel)
                        CHECK_INT(queue_cancel(f.dispatcher, ref.id, T0, &ended), 0);
                fixture_api_alive(&f, cases[i].since, cases[i].alive);
                r = expire_at(&f, cases[i].now, T0, &l);
                after = fixture_command_state(&f, ref.id);
                if (r != cases[i].result || after != cases[i].after || l.n != (after != cases[i].state))
                        TEST_FAIL("%s: %d, %s, %zu listed", cases[i].what, r, command_state_to_string(after),
                                  l.n);
                if (l.n > 0) {
                        CHECK_INT(l.items[0].id, ref.id);
                        CHECK_INT(l.items[0].node_id, NODE_LOCAL);
                        CHECK_INT(l.items[0].state, after);
                }
        }
}

static void test_expiry_blind(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(queue_expired_list_done) QueueExpiredList l = QUEUE_EXPIRED_LIST_NULL;
        CommandNew late = { .node_id = NODE_LOCAL, .kind = "list_dir", .spec = "{}", .deadline = T0 + 5 };
        _cleanup_(command_done) Command c = COMMAND_NULL;
        uint64_t id;

        fixture_init(&f);
        CHECK_INT(queue_add(f.dispatcher, &late, T0, &id), 0);
        CHECK_INT(expire_at(&f, 1, T0 + 4, &l), QUEUE_E_BLIND);
        CHECK_INT(l.n, 0);
        /* A deadline needs nobody to listen. */
        CHECK_INT(expire_at(&f, 1, T0 + 5, &l), QUEUE_E_BLIND);
        CHECK_INT(l.n, 1);
        CHECK_INT(l.items[0].state, COMMAND_CANCELLED);
        CHECK_INT(command_get(f.api, id, &c), 0);
        CHECK_STR(c.error_code, "DEADLINE_PASSED");
}

/* Stamps of another boot count as heard when the API began to listen. */
static void test_expiry_boots(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(queue_expired_list_done) QueueExpiredList l = QUEUE_EXPIRED_LIST_NULL,
                                                            m = QUEUE_EXPIRED_LIST_NULL;
        ApiStamp api = { .at = { .boot_id = "another-boot", .mono = 100 * USEC_PER_SEC } };
        Stamp now = { .boot_id = "another-boot", .mono = 101 * USEC_PER_SEC };
        QueueCounts counts;
        CommandRef ref;

        fixture_init(&f);
        (void) fixture_command(&f, NODE_LOCAL, 0);
        ref = claimed(&f, NODE_LOCAL, 900000);
        CHECK_INT(accept_at(&f, ref, NODE_LOCAL, 900000), 0);
        api.listening_since = 10 * USEC_PER_SEC;
        CHECK_INT(api_stamp_write(f.api, &api), 0);
        CHECK_INT(queue_expire(f.dispatcher, &now, T0, &l), 0);
        CHECK_INT(l.n, 0);
        api.at.mono = now.mono = 610 * USEC_PER_SEC;
        CHECK_INT(api_stamp_write(f.api, &api), 0);
        CHECK_INT(queue_expire(f.dispatcher, &now, T0, &m), 0);
        CHECK_INT(m.n, 1);
        CHECK_INT(fixture_command_state(&f, ref.id), COMMAND_TIMEOUT);
        CHECK_INT(queue_counts(f.api, 0, &counts), 0);
        CHECK_INT(counts.timeouts_total, 1);
        CHECK_INT(counts.accepted, 0);
        CHECK_INT(finish_as(&f, ref, NODE_LOCAL, COMMAND_SUCCEEDED), QUEUE_E_GONE);
}

static void test_renew_keeps_alive(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(queue_expired_list_done) QueueExpiredList l = QUEUE_EXPIRED_LIST_NULL;
        CommandRef refs[3];
        Stamp later = fixture_stamp(1500);
        size_t renewed = 0;

        fixture_init(&f);
        for (size_t i = 0; i < 2; i++) {
                (void) fixture_command(&f, NODE_LOCAL, 0);
                refs[i] = claimed(&f, NODE_LOCAL, 1000);
                CHECK_INT(accept_at(&f, refs[i], NODE_LOCAL, 1000), 0);
        }
        refs[2] = refs[1];
        refs[1].attempt = 7;
        CHECK_INT(queue_renew(f.api, NODE_LOCAL, refs, 2, &later, &renewed), 0);
        CHECK_INT(renewed, 1);
        CHECK_INT(queue_renew(f.api, 99, refs, 1, &later, &renewed), 0);
        CHECK_INT(renewed, 0);
        fixture_api_alive(&f, 0, 1601);
        CHECK_INT(expire_at(&f, 1601, T0, &l), 0);
        CHECK_INT(l.n, 1);
        CHECK_INT(l.items[0].id, refs[2].id);
        CHECK_INT(fixture_command_state(&f, refs[0].id), COMMAND_ACCEPTED);
}

/* --- the rest --- */

static void test_secrets(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(command_done) Command c = COMMAND_NULL;
        CommandRef ref;

        fixture_init(&f);
        ref = (CommandRef){ .id = fixture_command(&f, NODE_LOCAL, 0) };
        CHECK_INT(queue_set_secrets(f.dispatcher, &ref, "new"), 0);
        CHECK_INT(claim_one(&f, NODE_LOCAL, 1, &c), 0);
        CHECK_STR(c.secrets, "new");
        CHECK_INT(queue_set_secrets(f.dispatcher, &ref, "newer"), QUEUE_E_STALE);
}

static void test_lists(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(command_list_done) CommandList all = COMMAND_LIST_NULL, open = COMMAND_LIST_NULL,
                                                 of_run = COMMAND_LIST_NULL, page = COMMAND_LIST_NULL;
        CommandFilter filter = { .open = true };
        uint64_t run, command;
        CommandRef ended;

        fixture_init(&f);
        ended = command_in(&f, NODE_LOCAL, COMMAND_SUCCEEDED);
        run = fixture_run(&f, fixture_task(&f, "t", NODE_LOCAL, 0, 0));
        command = fixture_command(&f, NODE_LOCAL, run);
        CHECK_INT(queue_list(f.dispatcher, NULL, 0, 10, &all), 0);
        CHECK_INT(all.n, 2);
        CHECK_INT(all.items[0].id, ended.id);
        CHECK(!all.items[0].spec);
        CHECK_INT(queue_list(f.dispatcher, &filter, 0, 10, &open), 0);
        CHECK_INT(open.n, 1);
        CHECK_INT(open.items[0].id, command);
        CHECK_STR(open.items[0].kind, "backup");
        filter = (CommandFilter){ .run_id = run, .node_id = NODE_LOCAL };
        CHECK_INT(queue_list(f.dispatcher, &filter, 0, 10, &of_run), 0);
        CHECK_INT(of_run.n, 1);
        CHECK_INT(queue_list(f.dispatcher, NULL, ended.id, 1, &page), 0);
        CHECK_INT(page.n, 1);
        CHECK_INT(page.items[0].id, command);
}

static void test_relay_caps(void) {
        static const uint8_t any[TOKEN_HASH_SIZE] = { 1 }, first[TOKEN_HASH_SIZE] = { 2 },
                             none[TOKEN_HASH_SIZE] = { 3 };
        _cleanup_fixture_ Fixture f;
        _cleanup_(relay_cap_done) RelayCap got = RELAY_CAP_NULL;
        RelayCap cap = { .prefix = (char *) "local/etc/", .verbs = RELAY_VERB_GET | RELAY_VERB_PUT };
        CommandRef ref;

        fixture_init(&f);
        CHECK_INT(relay_cap_add(f.dispatcher, &cap, any, T0), STORE_E_NOT_FOUND);
        cap.command_id = fixture_command(&f, NODE_LOCAL, 0);
        cap.target_id = fixture_target(&f, "a");
        CHECK_INT(relay_cap_add(f.dispatcher, &cap, any, T0), 0);
        cap.attempt = 1;
        CHECK_INT(relay_cap_add(f.dispatcher, &cap, first, T0), 0);
        CHECK_INT(relay_cap_find(f.api, any, 1, &got), STORE_E_NOT_FOUND); /* not delivered yet */
        ref = claimed(&f, NODE_LOCAL, 1);
        CHECK_INT(relay_cap_find(f.api, none, 1, &got), STORE_E_NOT_FOUND);
        CHECK_INT(relay_cap_find(f.api, any, 1, &got), 0);
        CHECK_STR(got.prefix, "local/etc/");
        CHECK_INT(got.verbs, RELAY_VERB_GET | RELAY_VERB_PUT);
        CHECK_INT(got.node_id, NODE_LOCAL);
        CHECK_INT(got.current_attempt, 1);
        CHECK_STR(got.target_type, "local");
        relay_cap_done(&got);
        CHECK_INT(relay_cap_find(f.api, first, 1, &got), 0);
        relay_cap_done(&got);
        /* The next attempt: what was made for the first is dead. */
        ref = claimed(&f, NODE_LOCAL, 2);
        CHECK_INT(relay_cap_find(f.api, first, 2, &got), STORE_E_NOT_FOUND);
        /* And what any attempt can present does not open for the one that was overtaken. */
        CHECK_INT(relay_cap_find(f.api, any, 1, &got), STORE_E_NOT_FOUND);
        CHECK_INT(relay_cap_find(f.api, any, 2, &got), 0);
        CHECK_INT(finish_as(&f, ref, NODE_LOCAL, COMMAND_SUCCEEDED), 0);
        relay_cap_done(&got);
        CHECK_INT(relay_cap_find(f.api, any, 2, &got), STORE_E_NOT_FOUND);
        CHECK_INT(queue_settle(f.dispatcher, ref.id), 0);
}

static void test_stamps(void) {
        Stamp now, then = STAMP_NULL, heard = fixture_stamp(10), other = { .boot_id = "x", .mono = 1 };
        ApiStamp api = { .at = fixture_stamp(100), .listening_since = 5 * USEC_PER_SEC };

        CHECK_OK(stamp_now(&then));
        CHECK_OK(stamp_now(&now));
        CHECK_INT(strlen(now.boot_id), BOOT_ID_MAX - 1);
        CHECK_STR(now.boot_id, then.boot_id);
        CHECK(now.mono >= then.mono);

        now = fixture_stamp(104);
        CHECK(api_stamp_is_fresh(&api, &now));
        CHECK_INT(stamp_silence(&heard, &api, &now), 94 * USEC_PER_SEC);
        CHECK_INT(stamp_silence(&other, &api, &now), 99 * USEC_PER_SEC);
        CHECK_INT(stamp_silence(&STAMP_NULL, &api, &now), 99 * USEC_PER_SEC);
        now = fixture_stamp(105);
        CHECK(!api_stamp_is_fresh(&api, &now));
        CHECK_INT(stamp_silence(&heard, &api, &now), 0);
        CHECK(!api_stamp_is_fresh(&api, &other));
        CHECK(!api_stamp_is_fresh(&(ApiStamp){}, &STAMP_NULL));
}

int main(void) {
        RUN(test_story);
        RUN(test_verbs);
        RUN(test_strangers);
        RUN(test_claim_order_and_capacity);
        RUN(test_claim_returns_what_was_lost);
        RUN(test_claim_returns_what_was_not_begun);
        RUN(test_drain_and_deadline);
        RUN(test_limits);
        RUN(test_cancel);
        RUN(test_cancel_probe);
        RUN(test_cancel_probe_not_a_run);
        RUN(test_expiry);
        RUN(test_expiry_blind);
        RUN(test_expiry_boots);
        RUN(test_renew_keeps_alive);
        RUN(test_secrets);
        RUN(test_lists);
        RUN(test_relay_caps);
        RUN(test_stamps);
        return EXIT_SUCCESS;
}
