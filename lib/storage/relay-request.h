#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Requests to the master's relay: how they are made, repeated while that may help, and understood. */

#include <pthread.h>

#include "storage/backend.h"
#include "storage/http.h"

typedef struct Relay {
        char *base; /* "https://master:8340/api/v1/relay/5/" */
        char *token;
        char *ca_cert, *pin, *proxy_url;
        bool insecure_tls;
        pthread_mutex_t lock; /* of client */
        HttpClient *client;   /* for all but uploads */
} Relay;

/* stall: without a byte for so long the request is given up. cancel may be NULL. */
int relay_client_new(Storage *s, const atomic_bool *cancel, usec_t stall, HttpClient **ret) _warn_unused_;
/* Makes a request until it is answered with success, or with something that will not pass; key is for the
 * failure's text. */
int relay_request_repeat(Storage *s, HttpClient *c, const HttpRequest *q, const char *key, HttpAnswer *a,
                         Failure *f) _warn_unused_;
/* The same with the client that all share: one request at a time. */
int relay_request(Storage *s, const HttpRequest *q, const char *key, HttpAnswer *a, Failure *f)
                _warn_unused_;

/* The address of an object. */
int relay_object_url(const Relay *l, const char *key, char **ret) _warn_unused_;
/* The data of the master's envelope; the caller lets go of it. */
int relay_answer_data(const Storage *s, const HttpAnswer *a, json_t **ret, Failure *f) _warn_unused_;
