/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/text.h"
#include "wire/entity.h"

int node_from_json(const json_t *json, Node *node, Failure *reterr_failure) {
        JsonReader reader;

        assert(node);

        json_reader_init(&reader, json, reterr_failure);
        json_reader_name(&reader, "name", &node->name);
        json_reader_strdup(&reader, "description", JSON_OPTIONAL, ENTITY_DESCRIPTION_MAX,
                           &node->description);
        return json_reader_finish(&reader);
}

/* What the agent said of its host. */
static json_t *host_to_json(const Node *node) {
        _cleanup_json_ json_t *json = json_object();

        if (json_set(json, "hostname", json_from_string(node->hostname)) < 0 ||
            json_set(json, "os", json_from_string(node->os)) < 0 ||
            json_set(json, "arch", json_from_string(node->arch)) < 0 ||
            json_set(json, "agent_version", json_from_string(node->version)) < 0 ||
            json_set(json, "addresses", json_from_text(node->addresses)) < 0 ||
            json_set(json, "tools", json_from_text(node->tools)) < 0 ||
            json_set(json, "capacity", json_from_u64(node->capacity)) < 0 ||
            json_set(json, "free_bytes", json_from_u64(node->free_bytes)) < 0 ||
            json_set(json, "clock_skew_ms", json_integer(node->clock_skew_usec / 1000)) < 0)
                return NULL;
        return TAKE_PTR(json);
}

json_t *node_to_json(const Node *node) {
        _cleanup_json_ json_t *json = json_object();

        assert(node);

        if (json_set(json, "id", json_from_u64(node->id)) < 0 ||
            json_set(json, "name", json_from_string(node->name)) < 0 ||
            json_set(json, "description", json_from_string(strempty(node->description))) < 0 ||
            json_set(json, "status", json_from_string(node_state_to_string(node->state))) < 0 ||
            json_set(json, "health", json_from_string(node_health_to_string(node->health))) < 0 ||
            json_set(json, "health_reason", json_from_string(node->health_reason)) < 0 ||
            json_set(json, "draining", json_boolean(node->draining)) < 0 ||
            json_set(json, "enrolled", json_boolean(node->public_key)) < 0 ||
            json_set(json, "public_key", json_from_string(node->public_key)) < 0 ||
            json_set(json, "archive_recipient", json_from_string(node->archive_recipient)) < 0 ||
            json_set(json, "last_seen", json_from_stamp(node->last_seen)) < 0 ||
            json_set(json, "host", host_to_json(node)) < 0 ||
            json_set(json, "created_at", json_from_stamp(node->created)) < 0 ||
            json_set(json, "revision", json_from_u64(node->revision)) < 0)
                return NULL;
        return TAKE_PTR(json);
}
