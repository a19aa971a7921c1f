#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A fleet of agents in one process, over loopback, with the real protocol: each node beats, waits on its
 * long poll, accepts what comes and reports it as done. Raw sockets and one epoll set, so that the fleet
 * itself costs little: what is measured is the master.
 *
 * Connections are used as the real agent uses them: one for everything, since the long poll ends when a
 * heartbeat is due; and for what is to be said while it waits, the result of a job, a second one. */

#include <openssl/ssl.h>

#include "base/buffer.h"
#include "base/times.h"

#define FLEET_CONNECTIONS_MAX 2U
/* Connections on their way: below the backlog of any listening socket. */
#define FLEET_CONNECTING_MAX 100U
/* Commands of one agent that are accepted or reported, at a time. */
#define FLEET_WORK_MAX 64U

typedef struct Fleet Fleet;
typedef struct Agent Agent;

typedef enum Asked {
        ASKED_NOTHING,
        ASKED_CONNECT,
        ASKED_BEAT,
        ASKED_CLAIM,
        ASKED_ACCEPT,
        ASKED_RESULT,
} Asked;

typedef struct Link {
        Agent *agent; /* weak */
        int fd;
        SSL *ssl;
        Asked asked;
        bool wants_write;
        usec_t since;     /* monotonic, of the question */
        uint64_t command; /* that was spoken of last */
        usec_t retry_at;  /* monotonic, of a link that broke */
        Buffer in;
        Buffer out;
} Link;

typedef struct Work {
        uint64_t command;
        uint64_t attempt;
        usec_t ends; /* monotonic, of the job */
        bool is_accepted;
        bool is_said; /* it waits for an answer */
} Work;

struct Agent {
        Fleet *fleet; /* weak */
        uint64_t node;
        char *token;
        bool beaten;     /* at least once */
        usec_t beat_due; /* monotonic */
        unsigned failures;
        Link links[FLEET_CONNECTIONS_MAX];
        Work *work;
        unsigned n_work;
};

typedef struct FleetOptions {
        const char *host;
        uint16_t port;
        const char *tokens; /* a file: node, space, token */
        unsigned agents;
        unsigned interval; /* seconds between two heartbeats */
        bool tls;
} FleetOptions;

struct Fleet {
        FleetOptions options;
        int epoll;
        SSL_CTX *tls;
        Agent *agents;
        unsigned n_agents;
        unsigned opened;     /* agents that began */
        unsigned connecting; /* links on their way */
        unsigned waiting;    /* long polls that wait */
        unsigned open;       /* connections */
        uint64_t beats, claims, errors;
        usec_t beat_worst; /* since the last report */
        uint64_t beat_sum;
        uint64_t beats_told;
};

/* --- fleet-link.c --- */

void link_open(Link *l);
void link_close(Link *l);
/* Sends one request; body is JSON. */
void link_ask(Link *l, Asked asked, const char *path, const char *body);
/* What epoll tells of it. */
void link_ready(Link *l, uint32_t events);

/* --- fleet-agent.c: called by links --- */

void agent_start(Agent *a);
/* Looks now and then whether there is anything to say that no answer brings up. */
void agent_look(Agent *a, usec_t now);
/* Looks what this agent has to say now. */
void agent_go_on(Agent *a, usec_t now);
void agent_answered(Link *l, Asked asked, unsigned status, const char *body, size_t n);
void agent_failed(Link *l, const char *why);

/* --- fleet-play.c, fleet-store.c: the modes of the program --- */

int fleet_play(const FleetOptions *options);
/* Makes n nodes with a token each; prints "node token". */
int fleet_add_nodes(const char *database, unsigned n);
/* Queues a run of each of the tasks first … last, in one transaction. */
int fleet_queue_runs(const char *database, uint64_t first, uint64_t last);
