#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Requests to the master's relay: how they are addressed and understood. */

#include "storage/backend.h"
#include "storage/http-server.h"

typedef struct Relay {
        char *base; /* "https://master:8340/api/v1/relay/5/" */
        char *token;
        char *ca_cert, *pin, *proxy_url;
        HttpServer *master;
} Relay;

/* Of the relay's own answers; for HttpServerArgs. */
HttpVerdict relay_judge(Storage *s, const HttpAnswer *a, const char *key, Failure *f);
/* http_server_request() to the master. */
int relay_request(Storage *s, const HttpRequest *q, const char *key, HttpAnswer *a, Failure *f)
                _warn_unused_;

/* The address of an object. */
int relay_object_url(const Relay *l, const char *key, char **ret) _warn_unused_;
/* The data of the master's envelope; the caller lets go of it. */
int relay_answer_data(const Storage *s, const HttpAnswer *a, json_t **ret, Failure *f) _warn_unused_;
