/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/entity.h"

#define LABEL_SEPARATOR ' '

static int compare_labels(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static int labels_to_text(char **labels, char **text) {
        size_t size = 1, n = strv_length(labels);
        char *joined, *end;

        if (n > 1)
                qsort(labels, n, sizeof *labels, compare_labels);
        for (size_t i = 0; i < n; i++)
                size += strlen(labels[i]) + 1;
        joined = end = malloc(size);
        if (!joined)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                if (i > 0)
                        *end++ = LABEL_SEPARATOR;
                end = stpcpy(end, labels[i]);
        }
        *end = 0;
        free(*text);
        *text = n > 0 ? joined : mfree(joined);
        return 0;
}

static int read_labels(JsonReader *reader, char **text) {
        _cleanup_(strv_freep) char **labels = NULL;
        int r;

        r = json_reader_strv(reader, "labels", JSON_OPTIONAL, NODE_LABELS_MAX, NODE_LABEL_MAX, &labels);
        if (r <= 0)
                return r;
        STRV_FOREACH(label, labels) {
                if (!node_label_is_valid(*label))
                        return json_reader_fail(reader, "labels",
                                                "holds '%s', which is not a label: " NODE_LABEL_RULE,
                                                *label);
                for (char *const *other = labels; other < label; other++)
                        if (streq(*other, *label))
                                return json_reader_fail(reader, "labels", "names '%s' twice", *label);
        }
        return labels_to_text(labels, text);
}

/* What is absent or null is no limit. */
static int read_limits(JsonReader *reader, NodeLimits *ret) {
        NodeLimits limits = {};
        JsonReader object;
        int r;

        r = json_reader_object(reader, "limits", JSON_OPTIONAL, &object);
        if (r <= 0)
                return r;
        json_reader_u32(&object, "jobs", JSON_OPTIONAL, NODE_JOBS_MAX, &limits.jobs);
        json_reader_u64(&object, "bandwidth", JSON_OPTIONAL, NODE_BANDWIDTH_MAX, &limits.bandwidth);
        json_reader_u32(&object, "cpu_weight", JSON_OPTIONAL, NODE_WEIGHT_MAX, &limits.cpu_weight);
        json_reader_u32(&object, "io_weight", JSON_OPTIONAL, NODE_WEIGHT_MAX, &limits.io_weight);
        if (limits.bandwidth > 0 && limits.bandwidth < NODE_BANDWIDTH_MIN)
                json_reader_fail(&object, "bandwidth", "is at least %u bytes a second, or 0 for no limit",
                                 NODE_BANDWIDTH_MIN);
        r = json_reader_finish(&object);
        if (r < 0)
                return r;
        *ret = limits;
        return 0;
}

int node_from_json(const json_t *json, Node *node, Failure *reterr_failure) {
        JsonReader reader;
        int r;

        assert(node);

        json_reader_init(&reader, json, reterr_failure);
        json_reader_name(&reader, "name", &node->name);
        json_reader_strdup(&reader, "description", JSON_OPTIONAL, ENTITY_DESCRIPTION_MAX,
                           &node->description);
        json_reader_bool(&reader, "enabled", JSON_OPTIONAL, &node->enabled);
        r = read_labels(&reader, &node->labels);
        if (r >= 0)
                r = read_limits(&reader, &node->limits);
        return r < 0 && r != -EBADMSG ? r : json_reader_finish(&reader);
}

static json_t *labels_to_json(const Node *node) {
        _cleanup_json_ json_t *array = json_array();
        const char *word = strempty(node->labels);

        while (*word) {
                size_t n = strcspn(word, " ");

                if (json_append(array, json_stringn(word, n)) < 0)
                        return NULL;
                word += n + (word[n] == LABEL_SEPARATOR);
        }
        return TAKE_PTR(array);
}

json_t *node_limits_to_json(const NodeLimits *limits) {
        _cleanup_json_ json_t *json = json_object();

        assert(limits);

        if (json_set(json, "jobs", json_from_id(limits->jobs)) < 0 ||
            json_set(json, "bandwidth", json_from_id(limits->bandwidth)) < 0 ||
            json_set(json, "cpu_weight", json_from_id(limits->cpu_weight)) < 0 ||
            json_set(json, "io_weight", json_from_id(limits->io_weight)) < 0)
                return NULL;
        return TAKE_PTR(json);
}

static json_t *last_error_to_json(const NodeQueue *queue) {
        _cleanup_json_ json_t *json = NULL;

        assert(queue);

        if (queue->error_at == 0)
                return json_null();
        json = json_object();
        if (json_set(json, "at", json_from_stamp(queue->error_at)) < 0 ||
            json_set(json, "run_id", json_from_id(queue->error_run)) < 0 ||
            json_set(json, "code", json_from_string(queue->error_code)) < 0 ||
            json_set(json, "message", json_from_string(queue->error)) < 0)
                return NULL;
        return TAKE_PTR(json);
}

json_t *node_queue_to_json(const NodeQueue *queue, usec_t now) {
        _cleanup_json_ json_t *json = json_object(), *age = json_null();

        assert(queue);

        if (queue->oldest > 0) {
                json_decref(age);
                age = json_from_u64(usec_sub(now, queue->oldest) / USEC_PER_SEC);
        }
        if (json_set(json, "pending", json_from_u64(queue->pending)) < 0 ||
            json_set(json, "dispatched", json_from_u64(queue->dispatched)) < 0 ||
            json_set(json, "running", json_from_u64(queue->running)) < 0 ||
            json_set(json, "timeouts", json_from_u64(queue->timeouts)) < 0 ||
            json_set(json, "oldest_active_age_s", TAKE_PTR(age)) < 0 ||
            json_set(json, "last_error", last_error_to_json(queue)) < 0)
                return NULL;
        return TAKE_PTR(json);
}

/* What the agent said of its host. */
static json_t *host_to_json(const Node *node) {
        _cleanup_json_ json_t *json = json_object();

        assert(node);

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

static json_t *reasons_to_json(const Node *node) {
        return node->health_reasons ? json_from_text(node->health_reasons) : json_array();
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
            json_set(json, "health_reasons", reasons_to_json(node)) < 0 ||
            json_set(json, "enabled", json_boolean(node->enabled)) < 0 ||
            json_set(json, "labels", labels_to_json(node)) < 0 ||
            json_set(json, "limits", node_limits_to_json(&node->limits)) < 0 ||
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
