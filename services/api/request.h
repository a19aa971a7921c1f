#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One request: it owns everything of its life, from the request line to the last byte of the answer.
 *
 * A handler runs when the body is complete and the caller may do this. It answers with one of the
 * request_reply_…() or request_fail…() functions, or it calls request_suspend() and answers later, from a
 * callback: the connection waits meanwhile and costs nothing. When a client goes away while it waits, nobody
 * tells (libmicrohttpd does not look): whoever waits for long has to look at request_socket(). */

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>

#include "base/buffer.h"
#include "base/failure.h"
#include "base/times.h"
#include "wire/json.h"

#include "services/api/errors.h"
#include "services/api/principal.h"
#include "services/api/route.h"
#include "services/api/uri.h"

typedef struct Api Api;
typedef struct Conn Conn;
typedef struct Server Server;

/* Called when the server stops while the request waits: forget it, it is answered for you. */
typedef void (*RequestCancel)(Request *r, void *userdata);

struct Request {
        Api *api;
        Server *server;
        struct MHD_Connection *connection;
        Conn *conn;

        Method method;
        Uri uri;
        RouteMatch match;
        uint64_t id; /* the {id} of the path; 0: it has none */
        Principal principal;
        char address[INET6_ADDRSTRLEN]; /* of the client, behind a trusted proxy the one that it names */
        bool is_https;                  /* for the client, that is: perhaps up to the proxy */
        bool is_proxied;                /* a proxy that we trust sent it: its X-Forwarded- headers count */
        bool is_closing;                /* the answer closes the connection */

        Buffer body;
        size_t body_taken; /* of the server's budget */
        usec_t started;    /* monotonic */

        /* --- the answer --- */
        bool seen;       /* the headers were looked at */
        bool is_at_once; /* and who calls was found out, and nothing else was done since */
        bool is_suspended;
        bool was_suspended;
        bool is_discarding; /* the answer is there, the rest of the body is read and forgotten */
        bool is_queued;
        bool is_broken; /* not even an answer could be made: the connection is closed */
        size_t discarded;
        struct MHD_Response *response;
        bool is_shared;       /* that one belongs to the Api, and is not to be changed */
        uint64_t answer_size; /* MHD_SIZE_UNKNOWN: a stream */
        unsigned status;
        RequestCancel cancel;
        void *cancel_userdata;
};

Request *request_new(Server *server, Api *api);
Request *request_free(Request *r);
DEFINE_CLEANUP(Request *, request_free);

/* --- what was asked --- */

/* A parameter of the query, or NULL. */
static inline const char *request_query(const Request *r, const char *name) {
        return uri_param(&r->uri, name);
}
/* The n-th parameter of the path, decoded. */
static inline const char *request_param(const Request *r, size_t n) {
        return r->match.params[n];
}
/* A header of the request, or NULL. */
const char *request_header(const Request *r, const char *name);
/* The connection's socket, to look whether the client is there. Not to be read. */
int request_socket(const Request *r);
/* The body as one JSON object, strictly read. Answers with 400 and gives -EBADMSG where it is not one. */
int request_body_json(Request *r, json_t **ret) _warn_unused_;
/* The same, where a body is optional: {} without one. */
int request_body_json_or_none(Request *r, json_t **ret) _warn_unused_;
/* For requests that need no body: none, or {}. The same answer and result where something is in it. */
int request_body_none(Request *r) _warn_unused_;
/* The body was read, and this request may wait for long: gives its memory back. */
void request_forget_body(Request *r);

/* --- the answer: each is given once, gives 0, and wakes a request that waits --- */

/* {"code":"OK","data":…}; takes data over, NULL is {} (and what a caller out of memory has: 500). */
int request_reply(Request *r, unsigned status, json_t *data) _warn_unused_;
/* Without a body. */
int request_reply_empty(Request *r, unsigned status) _warn_unused_;
/* 204, as one answer that all such requests share. */
int request_reply_no_content(Request *r) _warn_unused_;
/* Bytes as they are; data is taken over (malloc). */
int request_reply_bytes(Request *r, unsigned status, const char *type, char *data, size_t n) _warn_unused_;
/* A part of a file; fd is taken over. */
int request_reply_fd(Request *r, unsigned status, const char *type, int fd, uint64_t offset, uint64_t size)
                _warn_unused_;
/* Any response of libmicrohttpd; taken over. size: MHD_SIZE_UNKNOWN for a stream. */
int request_reply_response(Request *r, unsigned status, struct MHD_Response *response, uint64_t size)
                _warn_unused_;
/* One more header of an answer that was just given. */
int request_add_header(Request *r, const char *name, const char *value) _warn_unused_;

/* {"code":…,"message":…}; the status is in the table of errors.c. */
int request_fail(Request *r, ApiError error, const char *format, ...) _printf_(3, 4) _warn_unused_;
int request_fail_field(Request *r, ApiError error, const char *field, const char *format, ...)
                _printf_(4, 5) _warn_unused_;
/* The same with further members for programs to read; takes more over, NULL is -ENOMEM. */
int request_fail_with(Request *r, ApiError error, json_t *more, const char *format, ...)
                _printf_(4, 5) _warn_unused_;
/* A failure with a code that the table has; else what error means. */
int request_fail_failure(Request *r, int error, const Failure *failure) _warn_unused_;
/* The result of a check of what the client sent: 0 where error is none, else it answers with the failure and
 * gives -EBADMSG. A handler that gives -EBADMSG was answered for. */
int request_check(Request *r, int error, const Failure *failure) _warn_unused_;
/* The same for an answer of request_fail…() or request_fail_field(). */
static inline int request_refused(int result) {
        return result < 0 ? result : -EBADMSG;
}
/* What went wrong with us: logs it and answers 500 (or 503, 507). */
int request_fail_errno(Request *r, int error) _warn_unused_;
/* The same with Retry-After. */
int request_fail_later(Request *r, ApiError error, usec_t after, const char *format, ...)
                _printf_(4, 5) _warn_unused_;

/* Ends an answer that is given outside of a handler; result is what the last of the calls above gave. */
void request_end(Request *r, int result);

/* --- waiting --- */

void request_suspend(Request *r, RequestCancel cancel, void *userdata);
/* Called by the server when it stops. */
void request_cancel(Request *r);

/* --- for server.c: what MHD calls --- */

/* The request line has come. */
int request_begin(Request *r, const char *target) _warn_unused_;
/* Headers, then parts of the body, then (n is 0) its end. False: close the connection. */
bool request_access(Request *r, const char *method, const char *data, size_t n);
