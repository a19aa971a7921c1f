/* SPDX-License-Identifier: Apache-2.0 */

/* The answer to a heartbeat. Each agent gets one every 15 seconds, nearly always the same: it is written as
 * text, for a part of what objects of it would take. */

#include "base/alloc.h"
#include "base/buffer.h"
#include "wire/entity.h"

#include "services/api/agent-private.h"

#define ANSWER_SIZE 512U

static int add_cancels(Buffer *text, Request *r, bool has_cancels) {
        uint64_t ids[AGENT_CANCELS_MAX];
        size_t n = 0;
        int error = 0;

        assert(text);

        if (has_cancels)
                error = queue_cancels(r->api->store, r->principal.node_id, ids, AGENT_CANCELS_MAX, &n);
        if (error >= 0)
                error = buffer_add_string(text, "\"cancel\":[");
        for (size_t i = 0; i < n && error >= 0; i++)
                error = buffer_printf(text, "%s%" PRIu64, i > 0 ? "," : "", ids[i]);
        return error < 0 ? error : buffer_add_string(text, "]");
}

static int add_sealed(Buffer *text, const char *sealed) {
        _cleanup_json_ json_t *json = NULL;
        _cleanup_(freep) char *quoted = NULL;
        int error;

        assert(text);

        if (!sealed)
                return buffer_add_string(text, ",\"token_sealed\":null");
        json = json_string(sealed);
        if (!json)
                return -ENOMEM;
        error = json_format(json, &quoted, NULL);
        return error < 0 ? error : buffer_printf(text, ",\"token_sealed\":%s", quoted);
}

/* 0 is no limit, and null. */
static int add_limit(Buffer *text, const char *name, uint64_t limit) {
        assert(text);

        if (limit == 0)
                return buffer_printf(text, "%snull", name);
        return buffer_printf(text, "%s%" PRIu64, name, limit);
}

static int add_limits(Buffer *text, const NodeLimits *limits) {
        int error;

        assert(text);
        assert(limits);

        error = add_limit(text, ",\"limits\":{\"jobs\":", limits->jobs);
        if (error >= 0)
                error = add_limit(text, ",\"bandwidth\":", limits->bandwidth);
        if (error >= 0)
                error = add_limit(text, ",\"cpu_weight\":", limits->cpu_weight);
        if (error >= 0)
                error = add_limit(text, ",\"io_weight\":", limits->io_weight);
        return error < 0 ? error : buffer_add_string(text, "}");
}

int agent_greet(Request *r, const NodeGreeting *row) {
        _cleanup_buffer_ Buffer text = BUFFER_NULL;
        char clock[RFC3339_MAX];
        size_t size;
        int error;

        assert(r);
        assert(row);

        error = buffer_reserve(&text, ANSWER_SIZE);
        if (error >= 0)
                error = buffer_add_string(&text, "{\"code\":\"OK\",\"data\":{");
        if (error >= 0)
                error = add_cancels(&text, r, row->has_cancels);
        if (error >= 0)
                error = buffer_printf(&text, ",\"interval_s\":%d", AGENT_HEARTBEAT_INTERVAL_SEC);
        if (error >= 0)
                error = add_sealed(&text, row->sealed);
        if (error >= 0)
                error = add_limits(&text, &row->limits);
        if (error >= 0)
                error = buffer_printf(&text, ",\"clock\":\"%s\"}}",
                                      format_rfc3339(clock, now_usec(CLOCK_REALTIME)));
        if (error < 0)
                return error;
        size = text.size;
        return request_reply_bytes(r, MHD_HTTP_OK, "application/json", buffer_take(&text), size);
}
