/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/text.h"
#include "sys/log.h"

#include "services/api/api.h"
#include "services/api/origin.h"
#include "services/api/request.h"
#include "services/api/routes.h"
#include "services/api/server.h"

/* A refused request may still send this much, which is read and forgotten: closing at once would take the
 * answer away from a client that is writing. */
#define DISCARD_MAX (1U << 20)

Request *request_new(Server *server, Api *api) {
        Request *r;

        assert(server);

        r = new0(Request, 1);
        if (!r)
                return NULL;
        r->server = server;
        r->api = api;
        r->started = now_usec(CLOCK_MONOTONIC);
        return r;
}

void request_forget_body(Request *r) {
        assert(r);

        server_give_body(r->server, r->body_taken);
        r->body_taken = 0;
        buffer_done(&r->body);
}

Request *request_free(Request *r) {
        if (!r)
                return NULL;

        if (r->cancel)
                r->cancel(r, r->cancel_userdata);
        request_forget_body(r);
        if (r->response && !r->is_shared)
                MHD_destroy_response(r->response);
        principal_done(&r->principal);
        route_match_done(&r->match);
        uri_done(&r->uri);
        free(r);
        return NULL;
}

/* --- What was asked --------------------------------------------------------------------------------------
 */

const char *request_header(const Request *r, const char *name) {
        assert(r);
        assert(name);

        return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

int request_socket(const Request *r) {
        const union MHD_ConnectionInfo *info;

        assert(r);

        info = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        return info ? info->connect_fd : -EBADF;
}

int request_begin(Request *r, const char *target) {
        int error;

        assert(r);
        assert(target);

        error = uri_parse(target, &r->uri);
        if (error == -ENOMEM)
                return error;
        if (error < 0)
                return request_fail(r, ERROR_REQUEST_INVALID,
                                    "The path or the query of this request is not well-formed.");
        return 0;
}

/* --- The body --------------------------------------------------------------------------------------------
 */

static bool take_body(Request *r, const char *data, size_t n) {
        assert(r);

        conn_extend_deadline(r->conn, n * USEC_PER_SEC / SERVER_TRANSFER_RATE);
        if (r->is_discarding) {
                r->discarded += n;
                return r->discarded <= DISCARD_MAX;
        }
        if (r->body.size + n > r->match.route->body_max) {
                r->is_discarding = true;
                request_forget_body(r);
                return request_fail(r, ERROR_BODY_TOO_LARGE, "The body is larger than %zu bytes.",
                                    r->match.route->body_max) >= 0;
        }
        if (!server_take_body(r->server, n)) {
                r->is_discarding = true;
                request_forget_body(r);
                return request_fail_later(r, ERROR_BUSY, USEC_PER_SEC,
                                          "Too much is being sent at the moment. Try again.") >= 0;
        }
        r->body_taken += n;
        return buffer_add(&r->body, data, n) >= 0;
}

/* What the client says it will send; UINT64_MAX: it does not know. */
static uint64_t announced_body(const Request *r) {
        const char *text = request_header(r, "Content-Length");
        uint64_t n = 0;

        if (request_header(r, "Transfer-Encoding"))
                return UINT64_MAX;
        return text && parse_u64(text, 0, UINT64_MAX - 1, &n) < 0 ? UINT64_MAX : n;
}

/* --- The course of a request ------------------------------------------------------------------------------
 */

static HttpClass http_class(const Request *r) {
        assert(r);

        if (!r->match.route)
                return HTTP_UNKNOWN;
        switch (r->match.route->access) {
        case ACCESS_PUBLIC:
                return HTTP_SERVICE;
        case ACCESS_VIEWER:
        case ACCESS_OPERATOR:
        case ACCESS_ADMIN:
                return HTTP_PEOPLE;
        case ACCESS_NODE:
                return HTTP_AGENT;
        case ACCESS_RELAY:
                return HTTP_RELAY;
        case _ACCESS_MAX:
                break;
        }
        return HTTP_UNKNOWN;
}

static void log_answer(const Request *r) {
        log_debug("%s %s from %s: %u in %" PRIu64 " us", r->match.route ? r->match.route->pattern : "-",
                  strempty(r->uri.path), r->address, r->status, now_usec(CLOCK_MONOTONIC) - r->started);
}

/* A stream has no end; one that nobody reads is closed by MHD's limit of silence. */
static usec_t answer_time(const Request *r) {
        if (r->answer_size == MHD_SIZE_UNKNOWN)
                return USEC_INFINITY;
        return conn_request_time(r->conn) + r->answer_size / SERVER_TRANSFER_RATE * USEC_PER_SEC;
}

/* What closes the connection says so: in an answer of its own. */
static int part_from_shared(Request *r) {
        assert(r);
        assert(!r->is_suspended);

        r->response = NULL;
        r->is_shared = false;
        return request_reply_empty(r, r->status);
}

static bool queue_response(Request *r) {
        enum MHD_Result queued;

        assert(r);

        if (r->is_closing && r->is_shared && part_from_shared(r) < 0)
                return false;
        if (r->is_closing)
                (void) MHD_add_response_header(r->response, MHD_HTTP_HEADER_CONNECTION, "close");
        queued = MHD_queue_response(r->connection, r->status, r->response);
        r->is_queued = true;
        log_answer(r);
        metrics_count_request(&r->api->metrics, http_class(r), r->status);
        conn_set_deadline(r->conn, answer_time(r));
        if (r->answer_size != MHD_SIZE_UNKNOWN)
                conn_begin_answer(r->conn);
        if (!r->is_shared)
                MHD_destroy_response(r->response);
        r->response = NULL;
        return queued == MHD_YES;
}

/* The headers are there. An answer that is known by now waits for a small body to end; it does not wait for
 * a large one, and closes the connection instead. */
static bool begin(Request *r, const char *method) {
        uint64_t announced = announced_body(r);
        int error;

        assert(r);

        request_find_origin(r);
        conn_set_deadline(r->conn, conn_request_time(r->conn));
        if (!r->response && conn_is_stray(r->conn)) {
                error = request_fail(r, ERROR_TLS_REQUIRED,
                                     "This address speaks HTTPS: use https:// instead of http://.");
                if (error < 0)
                        return false;
                r->is_closing = true;
        }
        if (!r->response) {
                error = routes_begin(r, method, announced);
                if (error < 0 && request_fail_errno(r, error) < 0)
                        return false;
        }
        if (!r->response)
                return true;
        r->is_discarding = true;
        if (announced == 0 || (announced <= DISCARD_MAX && !request_header(r, "Expect")))
                return true;
        r->is_closing = true;
        return queue_response(r);
}

static bool run(Request *r) {
        int error;

        assert(r);

        conn_set_deadline(r->conn, USEC_INFINITY);
        error = routes_run(r);
        if (error < 0 && !r->response && !r->is_suspended)
                error = request_fail_errno(r, error);
        if (r->was_suspended) /* MHD calls again when it was resumed */
                return true;
        return r->response && queue_response(r);
}

bool request_access(Request *r, const char *method, const char *data, size_t n) {
        assert(r);

        if (!r->seen) {
                r->seen = true;
                return begin(r, method);
        }
        if (n > 0)
                return take_body(r, data, n);
        if (r->is_queued)
                return true;
        if (r->is_broken)
                return false;
        if (r->response)
                return queue_response(r);
        return run(r);
}

void request_suspend(Request *r, RequestCancel cancel, void *userdata) {
        assert(r);
        assert(!r->is_suspended);

        r->is_suspended = r->was_suspended = true;
        r->cancel = cancel;
        r->cancel_userdata = userdata;
        MHD_suspend_connection(r->connection);
}

void request_cancel(Request *r) {
        RequestCancel cancel;

        assert(r);

        r->is_closing = true;
        if (!r->is_suspended)
                return;
        cancel = r->cancel;
        r->cancel = NULL;
        if (cancel)
                cancel(r, r->cancel_userdata);
        if (r->is_suspended)
                request_end(r,
                            request_fail_later(r, ERROR_UNAVAILABLE, USEC_PER_SEC,
                                               "The server is stopping. Try again in a moment."));
}
