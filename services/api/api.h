#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The state of the daemon. It keeps nothing that the store does not know, but what waits: connections,
 * streams, counters of failed logins. */

#include <systemd/sd-event.h>

#include "crypto/age.h"
#include "crypto/session.h"
#include "store/store.h"

#include "services/api/config.h"
#include "services/api/metrics.h"
#include "services/api/pieces.h"
#include "services/api/server.h"
#include "services/api/workers.h"

typedef struct Agents Agents;     /* agent.h */
typedef struct ApiBus ApiBus;     /* api-bus.h */
typedef struct Relay Relay;       /* relay.h */
typedef struct Siblings Siblings; /* sibling-bus.h */
typedef struct Streams Streams;   /* stream.h */
typedef struct Throttle Throttle; /* throttle.h */

typedef struct Api {
        ApiConfig config;
        sd_event *event;
        sd_event_source *clean, *status, *tls_watch;
        Store *store;
        Workers *workers;
        Server *server;
        Siblings *siblings;
        ApiBus *bus;
        Streams *streams;
        Throttle *throttle;
        Agents *agents;
        Relay *relay;
        Pieces pieces;
        struct MHD_Response *no_content[2]; /* 204, without and with HSTS: request_reply_no_content() */
        Metrics metrics;
        uint8_t session_key[SESSION_KEY_SIZE];
        ApiTls tls;
        uint16_t tls_ports[SERVER_LISTENS_MAX]; /* where it is served */
        size_t n_tls_ports;
        char **socket_names;     /* what the sockets are bound to, for our own certificate */
        char **listen_addresses; /* where we listen, for people; the first one is never missing */
} Api;

/* Takes the configuration over. Logs. */
int api_new(ApiConfig *config, Api **ret) _warn_unused_;
Api *api_free(Api *api);
/* Opens the doors: from here on requests are served. Logs. */
int api_start(Api *api) _warn_unused_;
/* Ends what waits, and lets answers leave. */
void api_stop(Api *api);

/* Whether people reach us by https: a cookie then has to say so. */
bool api_is_https(const Api *api);
/* How we serve TLS; and the pin for clients that reach us at this port: "" where none is to be used, since
 * TLS ends at somebody else's door or the certificate is not ours. */
const ApiTls *api_tls(const Api *api);
const char *api_pin_at(const Api *api, uint16_t port);
/* The dispatcher's public key, read from the state directory at each use: the file may be younger than we
 * are. -ENOENT: no key yet. */
int api_dispatcher_key(const Api *api, AgeRecipient *ret) _warn_unused_;

/* Agents whose long poll waits. */
unsigned api_waiting_agents(const Api *api);

DEFINE_CLEANUP(Api *, api_free);
