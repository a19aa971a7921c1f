#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The server of a type of storage: some clients that its threads share, requests that are signed anew for
 * each try and repeated while that may help, and answers told as what they mean.
 *
 * What may pass (no answer, 408, 429, 5xx but 501, 505 and 507) is tried again with growing random pauses,
 * or after the pause that the server asks for, until the storage's limit for repeating is over. */

#include "base/backoff.h"
#include "storage/backend.h"
#include "storage/http.h"

typedef struct HttpServer HttpServer;

/* What to make of an answer that is no success. */
typedef struct HttpVerdict {
        bool may_pass;
        int error; /* negative errno; the failure was set */
} HttpVerdict;

typedef struct HttpServerArgs {
        /* stall, pace, cancel, moved and userdata are taken from the storage where they are not set. The
         * texts outlive the server. */
        HttpClientArgs client;
        const char *peer; /* for sentences: "the master" */
        /* Adds the lines that a try needs: a signature has its time. May be NULL. */
        int (*sign)(Storage *s, const HttpRequest *q, HttpLines *lines);
        /* NULL: http_judge(). */
        HttpVerdict (*judge)(Storage *s, const HttpAnswer *a, const char *key, Failure *f);
} HttpServerArgs;

int http_server_new(Storage *s, const HttpServerArgs *args, HttpServer **ret) _warn_unused_;
HttpServer *http_server_free(HttpServer *h);

/* Makes a request until it is answered with success (2xx), or with what will not pass. key is for the
 * failure's text. Any thread. After a cancellation a DELETE is still tried, once and shortly. */
int http_server_request(HttpServer *h, const HttpRequest *q, const char *key, HttpAnswer *a,
                        Failure *reterr_failure) _warn_unused_;
/* Once, whatever comes back, for tidying up: after a cancellation, too, but then it is short. */
int http_server_try(HttpServer *h, const HttpRequest *q, usec_t stall, HttpAnswer *a) _warn_unused_;

/* Pure: how long to wait before the next try, for a random number of 32 bits; asked: by the server, 0 for
 * nothing. At most a minute. Counts the try. */
#define HTTP_BACKOFF BACKOFF_INIT(USEC_PER_SEC / 2, 20 * USEC_PER_SEC)
usec_t http_server_pause(Backoff *backoff, uint32_t random, usec_t asked);

/* A client for a body in pieces, signed for one try; given back with http_server_give(), which keeps it for
 * others where good. */
int http_server_take(HttpServer *h, HttpClient **ret) _warn_unused_;
void http_server_give(HttpServer *h, HttpClient *c, bool good);

/* The failure of a transfer that had no answer: STORAGE_UNREACHABLE, _STALLED, _INTERRUPTED, _CERTIFICATE,
 * CANCELLED. Gives error. */
int http_server_no_answer(const HttpServer *h, int error, const char *text, const char *key, Failure *f);
/* What a status says of itself; message: the server's own words, or NULL. For a type's judge. */
HttpVerdict http_judge_status(const Storage *s, long status, const char *message, const char *key,
                              Failure *f);
HttpVerdict http_judge(Storage *s, const HttpAnswer *a, const char *key, Failure *f);

DEFINE_CLEANUP(HttpServer *, http_server_free);
