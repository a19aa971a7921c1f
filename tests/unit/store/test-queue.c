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

int main(void) {
        RUN(test_story);
        (void) expire_at;
        (void) claimed;
        return EXIT_SUCCESS;
}
