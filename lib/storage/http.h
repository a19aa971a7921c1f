#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Blocking HTTP for the threads of jobs. A client keeps its connection open and belongs to one thread at a
 * time; http-server.h shares some of them among threads and repeats what may pass.
 *
 * Redirects are never followed: they would carry the credential elsewhere. Time limits count from the last
 * byte that moved, so that a slow line is not a broken one. */

#include "base/buffer.h"
#include "base/macros.h"
#include "base/times.h"
#include "storage/transfer.h"

typedef struct HttpClient HttpClient;

typedef struct HttpClientArgs {
        TransferArgs transfer;
        const char *bearer;          /* or NULL */
        const char *user, *password; /* HTTP Basic, or NULL */
        bool http2;                  /* where the server offers it under TLS */
} HttpClientArgs;

/* The largest body that is kept of an answer; longer ones are an error. */
#define HTTP_BODY_MAX (4U << 20)
/* The headers of an answer that are kept; what is more is left out. */
#define HTTP_HEADERS_MAX (32U << 10)
/* Lines that one request adds of its own. */
#define HTTP_LINES_MAX 24

/* Lines of a request, each "name: value"; what is in them is wiped at the end. */
typedef struct HttpLines {
        char *lines[HTTP_LINES_MAX];
        size_t n;
} HttpLines;

int http_line_add(HttpLines *l, const char *format, ...) _printf_(2, 3) _warn_unused_;
void http_lines_done(HttpLines *l);
/* A line cut in two in a copy, whose beginning is the name. */
int http_line_split(const char *line, char **ret, const char **ret_value) _warn_unused_;

typedef struct HttpRequest {
        const char *method; /* "GET", "HEAD", "PUT", "POST", "DELETE", "PROPFIND"… */
        const char *url;
        const void *body; /* or NULL */
        size_t body_size;
        const char *content_type; /* of the body; NULL: application/octet-stream */
        const HttpLines *lines;   /* more headers, or NULL */
        bool ranged;              /* bytes range_first to range_last; UINT64_MAX: to the end */
        uint64_t range_first, range_last;
        /* Where the data of a success goes, which must fit; NULL: to the answer's body. */
        void *into;
        size_t into_size;
} HttpRequest;

typedef struct HttpAnswer {
        long status;
        Buffer body;
        size_t into_used;       /* bytes in the request's memory */
        Buffer headers;         /* lines as they came, each with its "\r\n" */
        int64_t content_length; /* -1: not said */
        usec_t retry_after;     /* 0: not said */
        char error[256];        /* where the request failed: curl's words */
} HttpAnswer;

#define HTTP_ANSWER_NULL \
        ((HttpAnswer){ .body = BUFFER_LIMITED(HTTP_BODY_MAX), \
                       .headers = BUFFER_LIMITED(HTTP_HEADERS_MAX), \
                       .content_length = -1 })

static inline void http_answer_done(HttpAnswer *a) {
        buffer_done(&a->body);
        buffer_done(&a->headers);
}

/* The value of a header, the name without regard to case: a copy. 0: there is none; 1: *ret is it. */
int http_answer_header(const HttpAnswer *a, const char *name, char **ret) _warn_unused_;

int http_client_new(const HttpClientArgs *args, HttpClient **ret) _warn_unused_;
HttpClient *http_client_free(HttpClient *c);
/* Other limits than those that the client was made with, from the next request on. */
void http_client_limit(HttpClient *c, const atomic_bool *cancel, usec_t stall);
/* 0: there is an answer, whatever its status. Errors as of transfer_error(): no answer, and a->error says
 * why. */
int http_client_request(HttpClient *c, const HttpRequest *request, HttpAnswer *a) _warn_unused_;

/* A body of a size that is not known, in pieces: begin, send…, finish. The body and into of the request
 * are not used; the answer lives until the end. send gives 1 where the server answered already, which finish
 * tells. A body that is not finished is one that the server must not keep. */
int http_client_begin(HttpClient *c, const HttpRequest *request, HttpAnswer *a) _warn_unused_;
int http_client_send(HttpClient *c, const void *data, size_t n) _warn_unused_;
int http_client_finish(HttpClient *c) _warn_unused_;
/* Gives up what was begun; the connection is closed. */
void http_client_abort(HttpClient *c);

/* Percent-encodes one segment of a path or one value of a query; what may stand is A-Z a-z 0-9 - . _ ~ */
int http_escape_text(const char *text, char **ret) _warn_unused_;
/* The same for a path: '/' stays. */
int http_escape_path(const char *path, char **ret) _warn_unused_;

DEFINE_CLEANUP(HttpClient *, http_client_free);
