#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* HTTP requests that never block the event loop: libcurl's multi interface, its sockets and its timer as
 * event sources. Redirects are never followed: the token of a request would go with them. */

#include <systemd/sd-event.h>

#include "base/failure.h"
#include "base/times.h"

/* No request makes more than this many connections at a time: the long poll, a heartbeat, and a few reports
 * beside them. */
#define HTTP_CONNECTIONS_MAX 6

/* Setting up TCP and TLS, name resolution included. */
#define HTTP_CONNECT_TIMEOUT (15 * USEC_PER_SEC)

/* A transfer that moves no byte for this long has failed; the long poll has its own total time instead. */
#define HTTP_STALL_TIMEOUT (30 * USEC_PER_SEC)

typedef struct HttpMulti HttpMulti;
typedef struct HttpRequest HttpRequest;

/* How to reach and to recognise the master. Strings are copied. */
typedef struct HttpSettings {
        const char *proxy_url; /* NULL: as the environment says */
        const char *ca_cert;   /* a file; NULL: the system's certificates */
        const char *pin;       /* "sha256//…": the key alone decides then, not chain, name or dates */
        bool insecure_tls;     /* for tests: anybody may answer */
} HttpSettings;

/* What came back. Everything is valid during the callback only. */
typedef struct HttpReply {
        int error;          /* 0, or why no whole answer came: negative errno; -EMSGSIZE: it was too large */
        const char *reason; /* the same for people; NULL when error is 0 */
        unsigned status;
        usec_t retry_after; /* 0: the answer names none */
        const char *body;   /* NUL-terminated behind size bytes */
        size_t size;
} HttpReply;

typedef void (*HttpDone)(const HttpReply *reply, void *userdata);

typedef struct HttpCall {
        const char *method; /* "GET" or "POST" */
        const char *url;
        const char *bearer; /* token of the Authorization line, or NULL */
        const char *body;   /* copied; JSON */
        size_t body_size;
        size_t reply_max; /* larger answers are refused */
        usec_t timeout;   /* of the whole request; 0: none but HTTP_STALL_TIMEOUT */
        HttpDone done;    /* called exactly once, from the loop, unless the request is freed before */
        void *userdata;
} HttpCall;

int http_multi_new(sd_event *event, const HttpSettings *settings, HttpMulti **ret) _warn_unused_;
/* Frees the requests that are under way, too; their callbacks are not called. */
HttpMulti *http_multi_free(HttpMulti *m);

int http_multi_start(HttpMulti *m, const HttpCall *call, HttpRequest **ret) _warn_unused_;
/* Ends a request that is under way. A request frees itself after its callback. */
HttpRequest *http_request_free(HttpRequest *r);

/* "https://host:port/path" or http, with nothing behind the path: what a master's URL may be. Gives it
 * without '/' at its end. -EINVAL with a failure. */
int http_base_url(const char *url, char **ret, Failure *reterr_failure) _warn_unused_;
/* Whether this URL sends what it carries in the clear to another machine. */
bool http_url_is_exposed(const char *url);

DEFINE_CLEANUP(HttpMulti *, http_multi_free);
