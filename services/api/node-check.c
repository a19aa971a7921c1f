/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/node-check.h"
#include "wire/command.h"
#include "wire/entity.h"

#include "services/api/api.h"
#include "services/api/handlers.h"
#include "services/api/node-check.h"
#include "services/api/probe.h"

int node_check_keep(Api *api, uint64_t node_id, const char *source, const json_t *report) {
        const json_t *items = json_object_get(report, "items");
        _cleanup_(freep) char *text = NULL, *summary = NULL;
        NodeCheck check;
        int r;

        assert(api);
        assert(source);
        assert(report);

        r = json_format(report, &text, NULL);
        if (r >= 0)
                r = check_summary(items, &summary);
        if (r < 0)
                return r;
        check = (NodeCheck){
                .node_id = node_id,
                .at = now_usec(CLOCK_REALTIME),
                .state = (unsigned) check_worst(items, NULL),
                .source = (char *) source,
                .summary = summary,
                .report = text,
        };
        r = node_check_set(api->store, &check);
        if (r == 0)
                sibling_kick(api);
        return MIN(r, 0);
}

int node_check_to_json(Api *api, uint64_t node_id, json_t **ret) {
        _cleanup_(node_check_done) NodeCheck check = NODE_CHECK_NULL;
        _cleanup_json_ json_t *json = NULL;
        int r;

        assert(api);
        assert(ret);

        r = node_check_get(api->store, node_id, &check);
        if (r < 0)
                return r;
        if (r == STORE_E_NOT_FOUND) {
                *ret = json_null();
                return 0;
        }
        json = json_from_text(check.report);
        if (!json_is_object(json))
                return -ENOMEM;
        r = json_set(json, "at", json_from_stamp(check.at));
        if (r >= 0)
                r = json_set(json, "state", json_string(check_state_to_string((CheckState) check.state)));
        if (r >= 0)
                r = json_set(json, "summary", json_from_string(check.summary));
        if (r >= 0)
                r = json_set(json, "source", json_from_string(check.source));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

/* --- POST nodes/{id}/check ------------------------------------------------------------------------ */

static int reply_check(Request *r, uint64_t command_id) {
        _cleanup_(command_done) Command command = COMMAND_NULL;
        _cleanup_json_ json_t *result = NULL, *report = NULL;
        json_t *data = NULL;
        int error;

        assert(r);

        error = probe_result(r, command_id, &command, &result);
        if (error < 0)
                return error;
        error = check_report_parse(result, &report, NULL);
        if (error == -EBADMSG)
                return request_fail(r, ERROR_PROBE_FAILED, "The node's answer is not a report.");
        if (error >= 0)
                error = node_check_keep(r->api, r->id, "master", report);
        if (error >= 0)
                error = node_check_to_json(r->api, r->id, &data);
        return error < 0 ? error : request_reply(r, MHD_HTTP_OK, data);
}

static void check_done(Request *r, int error, uint64_t command_id, const Failure *failure) {
        request_end(r, error < 0 ? request_fail_failure(r, error, failure) : reply_check(r, command_id));
}

/* Lets the node look at itself. */
int node_check(Request *r) {
        int error;

        assert(r);

        error = request_body_none(r);
        if (error >= 0)
                error = probe_check_node(r);
        if (error < 0)
                return error;
        return probe_ask(r, r->id, command_kind_to_string(COMMAND_SELF_CHECK), json_object(),
                         /* more= */ NULL, check_done);
}
