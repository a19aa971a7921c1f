/* SPDX-License-Identifier: Apache-2.0 */

/* The answers of a request: request.h. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "sys/log.h"

#include "services/api/api.h"
#include "services/api/request.h"
#include "services/api/server.h"

/* Every answer carries these. Nothing that this server gives may run or be framed; nothing may be kept. */
static const struct {
        const char *name, *value;
} headers[] = {
        { "X-Content-Type-Options", "nosniff" },
        { "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'" },
        { "X-Frame-Options", "DENY" },
        { "Referrer-Policy", "no-referrer" },
        { "Cross-Origin-Resource-Policy", "same-origin" },
        { "Cache-Control", "no-store" },
};

int request_add_header(Request *r, const char *name, const char *value) {
        assert(r);
        assert(r->response);
        assert(name);
        assert(value);

        return MHD_add_response_header(r->response, name, value) == MHD_YES ? 0 : -ENOMEM;
}

/* Browsers would keep people, who have looked at our own certificate, from going on with it. */
static bool is_strict(const Request *r) {
        return r->is_https && !(conn_is_tls(r->conn) && r->api->tls.is_own);
}

static int add_headers(Request *r, const char *type) {
        int error = 0;

        assert(r);

        for (size_t i = 0; i < ELEMENTSOF(headers) && error >= 0; i++)
                error = request_add_header(r, headers[i].name, headers[i].value);
        if (error >= 0 && is_strict(r))
                error = request_add_header(r, "Strict-Transport-Security", "max-age=31536000");
        if (error >= 0 && type)
                error = request_add_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
        return error;
}

static void wake(Request *r) {
        if (!r->is_suspended)
                return;
        r->is_suspended = false;
        r->cancel = NULL;
        MHD_resume_connection(r->connection);
        conn_wake(r->conn);
}

static int give(Request *r, unsigned status, const char *type, struct MHD_Response *response,
                uint64_t size) {
        int error;

        assert(r);
        assert(!r->response);

        if (!response)
                return -ENOMEM;
        r->response = response;
        r->answer_size = size;
        r->status = status;
        error = add_headers(r, type);
        wake(r);
        return error;
}

int request_reply_bytes(Request *r, unsigned status, const char *type, char *data, size_t n) {
        struct MHD_Response *response = MHD_create_response_from_buffer(n, data, MHD_RESPMEM_MUST_FREE);

        if (!response)
                free(data);
        return give(r, status, type, response, n);
}

int request_reply_empty(Request *r, unsigned status) {
        char empty[] = "";

        return give(r, status, NULL, MHD_create_response_from_buffer(0, empty, MHD_RESPMEM_MUST_COPY), 0);
}

/* The first one that is made is kept for all. */
int request_reply_no_content(Request *r) {
        struct MHD_Response **kept;
        int error;

        assert(r);
        assert(!r->response);

        kept = &r->api->no_content[is_strict(r)];
        if (!*kept) {
                error = request_reply_empty(r, MHD_HTTP_NO_CONTENT);
                r->is_shared = error >= 0;
                if (r->is_shared)
                        *kept = r->response;
                return error;
        }
        r->response = *kept;
        r->is_shared = true;
        r->answer_size = 0;
        r->status = MHD_HTTP_NO_CONTENT;
        wake(r);
        return 0;
}

int request_reply_fd(Request *r, unsigned status, const char *type, int fd, uint64_t offset, uint64_t size) {
        struct MHD_Response *response = MHD_create_response_from_fd_at_offset64(size, fd, offset);

        if (!response)
                safe_close(fd);
        return give(r, status, type, response, size);
}

int request_reply_response(Request *r, unsigned status, struct MHD_Response *response, uint64_t size) {
        return give(r, status, NULL, response, size);
}

static int reply_json(Request *r, unsigned status, const json_t *json) {
        char *text = NULL;
        size_t n = 0;
        int error;

        error = json_format(json, &text, &n);
        if (error < 0)
                return error;
        return request_reply_bytes(r, status, "application/json", text, n);
}

int request_reply(Request *r, unsigned status, json_t *data) {
        _cleanup_json_ json_t *envelope = json_object();
        int error;

        assert(r);

        error = json_set(envelope, "code", json_from_string("OK"));
        if (error >= 0)
                error = json_set(envelope, "data", data);
        else
                json_decref(data);
        return error < 0 ? error : reply_json(r, status, envelope);
}

/* --- Refusals ------------------------------------------------------------------------------------- */

/* more: further members of the answer, or NULL. */
static int fail(Request *r, ApiError e, const char *field, const char *message, json_t *more) {
        _cleanup_json_ json_t *envelope = json_object();
        int error;

        assert(r);

        error = json_set(envelope, "code", json_from_string(api_error_code(e)));
        if (error >= 0)
                error = json_set(envelope, "message", json_from_string(strempty(message)));
        if (error >= 0 && field)
                error = json_set(envelope, "field", json_from_string(field));
        if (error >= 0 && more && json_object_update_missing(envelope, more) < 0)
                error = -ENOMEM;
        if (error >= 0)
                error = reply_json(r, api_error_status(e), envelope);
        if (error < 0) /* a bare status is better than a connection that breaks */
                return r->response ? 0 : request_reply_empty(r, api_error_status(e));
        if (api_error_status(e) == MHD_HTTP_UNAUTHORIZED)
                return request_add_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"backupx\"");
        return 0;
}

_printf_(4, 0) static int vfail(Request *r, ApiError e, const char *field, const char *format, va_list ap) {
        _cleanup_(freep) char *message = NULL;

        (void) !vasprintf_safe(&message, format, ap);
        return fail(r, e, field, message, /* more= */ NULL);
}

int request_fail(Request *r, ApiError e, const char *format, ...) {
        va_list ap;
        int error;

        assert(r);
        assert(format);

        va_start(ap, format);
        error = vfail(r, e, NULL, format, ap);
        va_end(ap);
        return error;
}

int request_fail_field(Request *r, ApiError e, const char *field, const char *format, ...) {
        va_list ap;
        int error;

        assert(r);
        assert(field);
        assert(format);

        va_start(ap, format);
        error = vfail(r, e, field, format, ap);
        va_end(ap);
        return error;
}

int request_fail_with(Request *r, ApiError e, json_t *more, const char *format, ...) {
        _cleanup_json_ json_t *kept = more;
        _cleanup_(freep) char *message = NULL;
        va_list ap;

        assert(r);
        assert(format);

        va_start(ap, format);
        (void) !vasprintf_safe(&message, format, ap);
        va_end(ap);
        return kept ? fail(r, e, /* field= */ NULL, message, kept) : -ENOMEM;
}

int request_fail_later(Request *r, ApiError e, usec_t after, const char *format, ...) {
        char seconds[24];
        va_list ap;
        int error;

        assert(r);
        assert(format);

        va_start(ap, format);
        error = vfail(r, e, NULL, format, ap);
        va_end(ap);
        if (error < 0)
                return error;
        (void) snprintf(seconds, sizeof(seconds), "%" PRIu64, (after + USEC_PER_SEC - 1) / USEC_PER_SEC);
        return request_add_header(r, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
}

int request_fail_failure(Request *r, int error, const Failure *failure) {
        ApiError e;

        assert(failure);
        assert(r);

        e = failure_is_set(failure) ? api_error_from_code(failure->code) : _API_ERROR_INVALID;
        if (e < 0 && failure_is_set(failure) && error == -EBADMSG)
                e = failure->field ? ERROR_FIELD_INVALID : ERROR_BODY_INVALID;
        if (e < 0)
                return request_fail_errno(r, error);
        return fail(r, e, failure->field, failure_message(failure, error), /* more= */ NULL);
}

int request_check(Request *r, int error, const Failure *failure) {
        assert(r);

        return error >= 0 ? 0 : request_refused(request_fail_failure(r, error, failure));
}

int request_fail_errno(Request *r, int error) {
        ApiError e = api_error_from_errno(error);

        assert(r);

        /* A sibling that is away, a lock that is held: the client comes again. */
        log_full(e == ERROR_BUSY || e == ERROR_UNAVAILABLE ? LOG_WARNING : LOG_ERR, error, NULL, NULL,
                 "%s %s: %m", r->match.route ? r->match.route->pattern : "-",
                 strempty(r->uri.path));
        switch ((int) e) {
        case ERROR_BUSY:
                return request_fail_later(r, e, USEC_PER_SEC, "The server is busy. Try again in a moment.");
        case ERROR_UNAVAILABLE:
                return request_fail_later(r, e, USEC_PER_SEC,
                                          "A part of the server is not reachable at the moment. Try again.");
        case ERROR_STORAGE_FULL:
                return request_fail(r, e, "The disk of the server is full: nothing was changed.");
        default:
                return request_fail(r, ERROR_INTERNAL,
                                    "The server failed: its journal (journalctl -u backupx-api) says why.");
        }
}

/* An answer out of memory is none: then the connection is resumed to be closed. */
void request_end(Request *r, int result) {
        assert(r);

        if (result < 0 && !r->response)
                result = request_fail_errno(r, result);
        if (result >= 0 || !r->is_suspended)
                return;
        r->is_broken = true;
        r->is_suspended = false;
        r->cancel = NULL;
        MHD_resume_connection(r->connection);
        conn_wake(r->conn);
}

/* --- The body as JSON ----------------------------------------------------------------------------- */

int request_body_json(Request *r, json_t **ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;
        int error;

        assert(r);
        assert(ret);

        error = json_parse_strict(strempty(r->body.data), r->body.size, JSON_DEPTH_BODY, &json, &failure);
        if (error < 0)
                return request_refused(request_fail(r, ERROR_BODY_INVALID,
                                                    "The body is not well-formed JSON: %s",
                                                    failure_message(&failure, error)));
        *ret = TAKE_PTR(json);
        return 0;
}

int request_body_json_or_none(Request *r, json_t **ret) {
        assert(r);
        assert(ret);

        if (r->body.size > 0)
                return request_body_json(r, ret);
        *ret = json_object();
        return *ret ? 0 : -ENOMEM;
}

int request_body_none(Request *r) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;
        JsonReader reader;
        int error;

        assert(r);

        error = request_body_json_or_none(r, &json);
        if (error < 0)
                return error;
        json_reader_init(&reader, json, &failure);
        return request_check(r, json_reader_finish(&reader), &failure);
}
