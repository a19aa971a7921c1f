#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Blocking HTTP for the threads of jobs, over curl. One client is one connection that is kept open; it
 * belongs to one thread at a time.
 *
 * Redirects are never followed: they would carry the credential elsewhere. Time limits count from the last
 * byte that moved, so that a slow line is not a broken one. */

#include <stdatomic.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/macros.h"
#include "base/times.h"
#include "storage/pace.h"

typedef struct HttpClient HttpClient;

typedef struct HttpClientArgs {
        const char *bearer;    /* or NULL */
        const char *ca_cert;   /* a file, or NULL for the system's */
        const char *pin;       /* "sha256//…": then it alone decides, not chain and name; or NULL */
        const char *proxy_url; /* or NULL: none, whatever the environment says */
        bool insecure_tls;
        usec_t stall;
        Pace *pace;                    /* of what is sent; or NULL */
        const atomic_bool *cancel;     /* or NULL */
        void (*moved)(void *userdata); /* called when bytes moved; or NULL */
        void *userdata;
} HttpClientArgs;

/* The largest body that is kept of an answer; longer ones are an error. */
#define HTTP_BODY_MAX (4U << 20)

typedef struct HttpRequest {
        const char *method; /* "GET", "HEAD", "PUT", "POST", "DELETE" */
        const char *url;
        const void *body; /* or NULL */
        size_t body_size;
        const char *content_type; /* of the body; NULL: application/octet-stream */
        bool ranged;              /* bytes range_first to range_last */
        uint64_t range_first, range_last;
} HttpRequest;

typedef struct HttpAnswer {
        long status;
        Buffer body;
        int64_t content_length; /* -1: not said */
        usec_t retry_after;     /* 0: not said */
        char error[256];        /* where the request failed: curl's words */
} HttpAnswer;

#define HTTP_ANSWER_NULL ((HttpAnswer){ .body = BUFFER_LIMITED(HTTP_BODY_MAX), .content_length = -1 })

static inline void http_answer_done(HttpAnswer *a) {
        buffer_done(&a->body);
}

int http_client_new(const HttpClientArgs *args, HttpClient **ret) _warn_unused_;
HttpClient *http_client_free(HttpClient *c);
/* 0: there is an answer, whatever its status. -ECANCELED; -ETIMEDOUT: nothing moved for too long; -EPROTO,
 * -EKEYREJECTED (the certificate), -EHOSTUNREACH, -ECONNRESET…: no answer, and a->error says why. */
int http_client_request(HttpClient *c, const HttpRequest *request, HttpAnswer *a) _warn_unused_;
/* Percent-encodes one segment of a path or one value of a query. */
int http_escape_text(const char *text, char **ret) _warn_unused_;

DEFINE_CLEANUP(HttpClient *, http_client_free);
