/* SPDX-License-Identifier: Apache-2.0 */

/* What an agent says about a command it has: accepted, on its way, done. */

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/run-log.h"
#include "store/run.h"
#include "sys/log.h"
#include "wire/command.h"

#include "services/api/agent-private.h"

/* The answer for an outcome of the queue; 1: it was one that refuses. */
static int refuse_outcome(AgentOp *op, int outcome) {
        switch (outcome) {
        case 0:
                return 0;
        case QUEUE_E_STALE:
                agent_op_fail(op, ERROR_COMMAND_ATTEMPT_STALE,
                              "This attempt is not the current one (any more): drop it.");
                return 1;
        case QUEUE_E_GONE:
                agent_op_fail(op, ERROR_COMMAND_GONE, "This command has ended.");
                return 1;
        case QUEUE_E_FOREIGN:
        case STORE_E_NOT_FOUND:
                agent_op_fail(op, ERROR_COMMAND_NOT_FOUND, "This node has no such command.");
                return 1;
        default:
                return outcome < 0 ? outcome : -EINVAL;
        }
}

/* --- accept --------------------------------------------------------------------------------------- */

int agent_accept(Request *r) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;
        AgentNode *node = NULL;
        uint64_t attempt = 0;
        AgentOp *op;
        int error;

        assert(r);

        error = agent_node_of(r, &node);
        if (error == 0)
                error = request_body_json(r, &json);
        if (error == 0)
                error = request_check(r, accept_body_parse(json, &attempt, &failure), &failure);
        if (error != 0)
                return MIN(error, 0);
        error = agent_op_new(r, node, AGENT_OP_ACCEPT, &op);
        if (error < 0)
                return error;
        op->ref.attempt = (uint32_t) attempt;
        agents_enqueue(r->api->agents, op, /* urgent= */ true);
        return 0;
}

static void note_wait(AgentOp *op) {
        usec_t queued;

        if (op->ref.attempt == 1 &&
            run_queued_of_command(op->agents->api->store, op->ref.id, &queued) == 0)
                histogram_add(&op->agents->api->metrics.wait, usec_sub(now_usec(CLOCK_REALTIME), queued));
}

int agent_accept_run(AgentOp *op) {
        Stamp now;
        int r;

        assert(op);

        now = agents_stamp(op->agents);
        r = queue_accept(op->agents->api->store, &op->ref, op->node->id, &now, now_usec(CLOCK_REALTIME));
        r = refuse_outcome(op, r);
        if (r != 0)
                return MIN(r, 0);
        op->rings = true;
        note_wait(op);
        agent_op_reply(op, MHD_HTTP_OK, NULL);
        return 0;
}

/* --- Log lines ------------------------------------------------------------------------------------ */

static const char *level_name(int level) {
        switch (level) {
        case LOG_ERR:
                return "error";
        case LOG_WARNING:
                return "warning";
        case LOG_NOTICE:
                return "notice";
        case LOG_DEBUG:
                return "debug";
        default:
                return "info";
        }
}

/* The run of a command; 0: it has none. */
static int find_run(AgentOp *op, uint64_t *ret) {
        _cleanup_(command_done) Command row = COMMAND_NULL;
        AgentCommand *known;
        int r;

        assert(op);

        known = agent_command_find(op->node, op->ref.id);
        if (known) {
                *ret = known->run_id;
                return 0;
        }
        r = command_get(op->agents->api->store, op->ref.id, &row);
        if (r != 0)
                return r < 0 ? r : -ENOENT;
        (void) agent_command_note(op->node, row.id, row.run_id);
        *ret = row.run_id;
        return 0;
}

/* Lines whose numbers follow each other go together; returns how many. */
static size_t count_sequence(const AgentLogLine *lines, size_t n) {
        size_t i = 1;

        while (i < n && lines[i].sequence == lines[i - 1].sequence + 1)
                i++;
        return i;
}

/* Within the command's current attempt, which the caller has checked. */
static int append_log(AgentOp *op, const AgentLogLine *lines, size_t n) {
        _cleanup_(freep) RunLogLine *rows = NULL;
        uint64_t run = 0;
        int r;

        assert(op);

        if (n == 0)
                return 0;
        r = find_run(op, &run);
        if (r < 0 || run == 0)
                return r;
        rows = new0(RunLogLine, n);
        if (!rows)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                rows[i] = (RunLogLine){
                        .at = lines[i].time,
                        .level = (char *) level_name(lines[i].level),
                        .text = (char *) lines[i].text,
                };
        for (size_t i = 0; i < n;) {
                size_t k = count_sequence(lines + i, n - i);

                r = run_log_append(op->agents->api->store,
                                   &(const RunLogBatch){ .run_id = run,
                                                         .attempt = op->ref.attempt,
                                                         .first_source_seq = lines[i].sequence,
                                                         .lines = rows + i,
                                                         .n = k },
                                   NULL);
                if (r < 0)
                        return r;
                i += k;
        }
        return 0;
}

/* --- progress ------------------------------------------------------------------------------------- */

/* A new phase is news; the rest waits for the tick. */
static bool is_news(AgentNode *node, uint64_t command, const ProgressBody *body) {
        AgentCommand *known;

        if (!body->has_progress)
                return false;
        known = agent_command_find(node, command);
        return known && strncmp(known->phase, body->progress.phase, sizeof(known->phase) - 1) != 0;
}

int agent_progress(Request *r) {
        _cleanup_(progress_body_done) ProgressBody body = {};
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;
        AgentNode *node = NULL;
        AgentOp *op;
        int error;

        assert(r);

        error = agent_node_of(r, &node);
        if (error == 0)
                error = request_body_json(r, &json);
        if (error == 0)
                error = request_check(r, progress_body_parse(json, &body, &failure), &failure);
        if (error != 0)
                return MIN(error, 0);
        error = agent_op_new(r, node, AGENT_OP_PROGRESS, &op);
        if (error < 0)
                return error;
        op->ref.attempt = (uint32_t) body.attempt;
        op->progress = body;
        body = (ProgressBody){};
        agents_enqueue(r->api->agents, op, is_news(node, r->id, &op->progress));
        return 0;
}

static int format_progress(const JobProgress *p, char **ret) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        if (!json)
                return -ENOMEM;
        r = job_progress_put(p, json);
        if (r < 0)
                return r;
        return json_format(json, ret, NULL);
}

int agent_progress_run(AgentOp *op) {
        _cleanup_(freep) char *text = NULL;
        AgentCommand *known;
        bool cancel = false;
        Stamp now;
        int r;

        assert(op);

        now = agents_stamp(op->agents);
        if (op->progress.has_progress) {
                r = format_progress(&op->progress.progress, &text);
                if (r < 0)
                        return r;
        }
        r = queue_progress(op->agents->api->store, &op->ref, op->node->id, text, &now, &cancel);
        r = refuse_outcome(op, r);
        if (r != 0)
                return MIN(r, 0);
        r = append_log(op, op->progress.lines, op->progress.n_lines);
        if (r < 0)
                return r;
        known = agent_command_find(op->node, op->ref.id);
        if (known && op->progress.has_progress)
                (void) snprintf(known->phase, sizeof(known->phase), "%s", op->progress.progress.phase);
        agent_op_reply(op, MHD_HTTP_OK, json_pack("{s:b}", "cancel", (int) cancel));
        return op->data ? 0 : -ENOMEM;
}

/* --- result --------------------------------------------------------------------------------------- */

int agent_result(Request *r) {
        _cleanup_(result_body_done) ResultBody body = {};
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;
        AgentNode *node = NULL;
        AgentOp *op;
        int error;

        assert(r);

        error = agent_node_of(r, &node);
        if (error == 0)
                error = request_body_json(r, &json);
        if (error == 0)
                error = request_check(r, result_body_parse(json, &body, &failure), &failure);
        if (error != 0)
                return MIN(error, 0);
        error = agent_op_new(r, node, AGENT_OP_RESULT, &op);
        if (error < 0)
                return error;
        op->ref.attempt = (uint32_t) body.attempt;
        op->result = body;
        body = (ResultBody){};
        agents_enqueue(r->api->agents, op, /* urgent= */ true);
        return 0;
}

static CommandState final_state(ResultStatus status) {
        switch (status) {
        case RESULT_SUCCEEDED:
                return COMMAND_SUCCEEDED;
        case RESULT_PARTIAL:
                return COMMAND_PARTIAL;
        case RESULT_CANCELLED:
                return COMMAND_CANCELLED;
        case RESULT_FAILED:
        case _RESULT_STATUS_MAX:
        case _RESULT_STATUS_INVALID:
                break;
        }
        return COMMAND_FAILED;
}

/* Content of a user's file does not go into the store. */
static json_t *take_content(json_t *result) {
        json_t *content = json_incref(json_object_get(result, "content"));

        (void) json_object_del(result, "content");
        return content;
}

/* For who asked for a part of a file: no other kind of command has content that anybody comes for. */
static int keep_content(AgentOp *op, json_t *content) {
        _cleanup_(command_done) Command row = COMMAND_NULL;
        _cleanup_json_ json_t *mine = content;
        int r;

        assert(op);

        if (!mine)
                return 0;
        r = command_get(op->agents->api->store, op->ref.id, &row);
        if (r != 0)
                return r < 0 ? r : 0;
        if (streq_ptr(row.kind, command_kind_to_string(COMMAND_READ_FILE)))
                pieces_keep(&op->agents->api->pieces, op->ref.id, TAKE_PTR(mine), now_usec(CLOCK_MONOTONIC));
        return 0;
}

int agent_result_run(AgentOp *op) {
        _cleanup_json_ json_t *content = NULL;
        _cleanup_(freep) char *text = NULL;
        CommandEnd end = {};
        int r;

        assert(op);

        end.state = final_state(op->result.status);
        end.error_code = op->result.error_code;
        end.error = op->result.error_message;

        if (op->result.result) {
                content = take_content(op->result.result);
                r = json_format(op->result.result, &text, NULL);
                if (r < 0)
                        return r;
                end.result = text;
        }
        r = queue_finish(op->agents->api->store, &op->ref, op->node->id, &end, now_usec(CLOCK_REALTIME));
        if (r == QUEUE_E_GONE) { /* it was told before, or the master gave it up: nothing is left to say */
                agent_op_reply(op, MHD_HTTP_OK, NULL);
                return 0;
        }
        r = refuse_outcome(op, r);
        if (r != 0)
                return MIN(r, 0);
        r = append_log(op, op->result.lines, op->result.n_lines);
        if (r >= 0) /* the command is this very node's, nobody else can answer for it */
                r = keep_content(op, TAKE_PTR(content));
        if (r < 0)
                return r;
        agent_command_forget(op->node, op->ref.id);
        op->rings = true;
        agent_op_reply(op, MHD_HTTP_OK, NULL);
        return 0;
}
