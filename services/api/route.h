#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The form of the route table and its pure matcher. A pattern is a path whose segments may be {id} (a number
 * from 1), {name} (any one segment, given decoded) and, last, {name*} (all the rest, decoded, may be empty).
 * A row for GET answers HEAD, too, unless the table has a HEAD row for the same pattern in front of it. */

#include "base/macros.h"

typedef struct Request Request;

typedef enum Method {
        METHOD_GET = 1 << 0,
        METHOD_HEAD = 1 << 1,
        METHOD_POST = 1 << 2,
        METHOD_PUT = 1 << 3,
        METHOD_DELETE = 1 << 4,
        _METHOD_INVALID = -22,
} Method;

/* Who may call. For people (sessions and API keys) the roles include each other upwards. */
typedef enum Access {
        ACCESS_PUBLIC,
        ACCESS_VIEWER,
        ACCESS_OPERATOR,
        ACCESS_ADMIN,
        ACCESS_NODE,  /* an agent, by its node token */
        ACCESS_RELAY, /* a job, by the capability of its attempt */
        _ACCESS_MAX,
} Access;

const char *access_to_string(Access a);

/* Answers r (request.h), or suspends it and answers later: 0. A negative errno becomes an answer of its own:
 * handlers give it up to the caller for all that is nobody's mistake but ours. */
typedef int (*RouteHandler)(Request *r);

typedef struct Route {
        Method method;
        const char *pattern;
        Access access;
        size_t body_max;   /* 0: no body is taken */
        const char *query; /* names that the query may have, separated by spaces; NULL: none */
        RouteHandler handler;
} Route;

#define ROUTE_PARAMS_MAX 2
#define ROUTE_ALLOW_MAX STRLEN("GET, HEAD, POST, PUT, DELETE+")

enum {
        ROUTE_E_NOT_FOUND = 1,
        ROUTE_E_METHOD, /* allow tells what there is */
};

typedef struct RouteMatch {
        const Route *route;
        Method allow;
        char *params[ROUTE_PARAMS_MAX];
        uint64_t id; /* the first {id}; 0: there is none */
} RouteMatch;

#define ROUTE_MATCH_NULL ((RouteMatch){})

void route_match_done(RouteMatch *m);

/* -EINVAL: the path does not decode. *ret is set for 0, and its allow for ROUTE_E_METHOD. */
int route_match(const Route *routes, size_t n, Method method, const char *path,
                RouteMatch *ret) _warn_unused_;

Method method_from_string(const char *s);
/* "GET, HEAD", for the Allow header. Gives buf. */
char *method_format(Method methods, char buf[static ROUTE_ALLOW_MAX]);
/* Whether the words in names (Route.query) contain name. */
bool route_takes_query(const Route *route, const char *name);
