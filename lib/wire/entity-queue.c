/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/entity.h"

static usec_t age(usec_t since, usec_t now) {
        return usec_sub(now, since) / USEC_PER_SEC;
}

json_t *queue_item_to_json(const QueueItem *item, usec_t now) {
        _cleanup_json_ json_t *json = json_object();
        const Command *c;

        assert(item);
        assert(item->command);

        c = item->command;
        if (json_set(json, "command_id", json_from_id(c->id)) < 0 ||
            json_set(json, "run_id", json_from_id(c->run_id)) < 0 ||
            json_set(json, "task_name", json_from_string(item->task_name)) < 0 ||
            json_set(json, "kind", json_from_string(c->kind)) < 0 ||
            json_set(json, "node_id", json_from_id(c->node_id)) < 0 ||
            json_set(json, "node_name", json_from_string(item->node_name)) < 0 ||
            json_set(json, "state", json_from_string(command_state_to_string(c->state))) < 0 ||
            json_set(json, "attempt", json_from_u64(c->attempt)) < 0 ||
            json_set(json, "cancel_requested", json_boolean(c->cancel)) < 0 ||
            json_set(json, "queued_at", json_from_stamp(c->created)) < 0 ||
            json_set(json, "age_s", json_from_u64(age(c->created, now))) < 0 ||
            json_set(json, "dispatched_at", json_from_stamp(c->dispatched)) < 0 ||
            json_set(json, "accepted_at", json_from_stamp(c->accepted)) < 0 ||
            json_set(json, "deadline", json_from_stamp(c->deadline)) < 0 ||
            json_set(json, "silent_s",
                     c->state == COMMAND_PENDING ? json_null() :
                                                   json_from_u64(item->silence / USEC_PER_SEC)) < 0 ||
            json_set(json, "waits_for", json_from_string(item->waits_for)) < 0)
                return NULL;
        return TAKE_PTR(json);
}
