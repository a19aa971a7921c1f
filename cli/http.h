#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* HTTP for the command line: one request at a time, blocking. No redirect is followed, since the credential
 * would go with it. */

#include "base/buffer.h"
#include "base/failure.h"
#include "base/macros.h"

/* The longest answer: a page of a listing. */
#define HTTP_ANSWER_MAX (64U << 20)

typedef struct HttpArgs {
        const char *server;  /* "https://backup.example.com" */
        const char *token;   /* NULL: none */
        const char *ca_cert; /* a file, or NULL for the system's */
        const char *pin;     /* "sha256//…": the key alone decides then, not chain, name or dates; or NULL */
        bool insecure;       /* no check of certificate and name */
} HttpArgs;

typedef struct Http Http;

int http_new(const HttpArgs *args, Http **ret) _warn_unused_;
Http *http_free(Http *h);
DEFINE_CLEANUP(Http *, http_free);

typedef struct HttpAnswer {
        long status;
        Buffer body;
} HttpAnswer;

#define HTTP_ANSWER_NULL ((HttpAnswer){ .body = BUFFER_LIMITED(HTTP_ANSWER_MAX) })
void http_answer_done(HttpAnswer *a);

/* Sends a request for a path ("/api/v1/tasks") with a JSON body (NULL: none). -EHOSTUNREACH with a sentence
 * when there was no answer. */
int http_request(Http *h, const char *method, const char *path, const char *body, HttpAnswer *ret,
                 Failure *reterr_failure) _warn_unused_;

/* A part of a path or query with everything unsafe as %XX. */
int http_escape(const char *text, char **ret) _warn_unused_;
