#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The parts of the server: server.c (life, connections), door.c (libmicrohttpd), listen.c (sockets). */

#include <sys/socket.h>

#include "services/api/server.h"

/* Connections are counted by a keyed hash of their address. Two addresses that meet in a slot share a limit;
 * in return the table never grows. */
#define ADDRESS_SLOTS 8192U

typedef enum DoorKind {
        DOOR_PLAIN,
        DOOR_TLS,
        DOOR_STRAY, /* speaks in the clear where TLS is expected: every request is told so */
} DoorKind;

/* Where a door stands in the table: those in the clear, those of TLS, the one for strays. */
#define DOORS_MAX (2 * SERVER_SHARDS + 1)

/* One daemon of libmicrohttpd. It has no listening socket: we accept, and bring it the connections. */
typedef struct Door {
        Server *server; /* weak */
        DoorKind kind;
        unsigned shard;
        unsigned n_conns;
        struct MHD_Daemon *daemon; /* NULL: closed */
        sd_event_source *io, *again, *timer;
        usec_t timer_at;     /* monotonic; USEC_INFINITY: it is off */
        bool is_woken;       /* a connection was resumed: run again at once */
        bool has_moved;      /* MHD called us: what it does now leads somewhere */
        unsigned handshakes; /* connections that have not asked for anything yet */
        unsigned answers;    /* on their way, streams aside */
        usec_t pause;        /* before the next turn without an event, see door.c */
} Door;

struct Conn {
        Door *door; /* weak */
        Conn *prev, *next;
        struct MHD_Connection *connection;
        Request *request;      /* the current one; NULL between two */
        TlsIdentity *identity; /* that it was opened with; NULL: not by TLS */
        usec_t deadline;       /* monotonic */
        unsigned slot;         /* ADDRESS_SLOTS: not counted */
        bool was_used;         /* a request came */
        bool is_answering;
};

typedef struct Listen {
        Server *server; /* weak */
        sd_event_source *source;
        ListenKind kind;
        int fd;
} Listen;

/* A connection of which we do not know yet whether it is TLS. */
typedef struct Greeting Greeting;
struct Greeting {
        Server *server; /* weak */
        Greeting *prev, *next;
        sd_event_source *source;
        struct sockaddr_storage address;
        socklen_t size;
        usec_t deadline; /* monotonic */
        unsigned slot;   /* ADDRESS_SLOTS: not counted */
        bool may_be_plain;
        int fd;
};

struct Server {
        sd_event *event;
        sd_event_source *sweep;
        void *userdata;
        TlsIdentity *identity; /* for new connections */
        Door doors[DOORS_MAX];
        Conn *conns;
        Greeting *greetings;
        const Request *in_hand; /* whose bytes are taken, in this turn of a door; only to compare with */
        unsigned n_conns, n_greetings, connections, per_address;
        usec_t request_usec;
        usec_t trim_at;    /* monotonic */
        unsigned n_closed; /* connections, since the last time */
        size_t bodies;
        bool is_stopping;
        uint64_t hash_key;
        uint16_t *slots;
        Listen listens[SERVER_LISTENS_MAX];
        size_t n_listens;
};

/* server.c */
/* The door for a new connection. */
Door *server_door(Server *s, DoorKind kind);
unsigned server_address_slot(const Server *s, const struct sockaddr *address);
/* What was found out for another request may have changed once this one is looked at. */
void server_take_in_hand(Server *s, Request *r);
/* Whether its address may have one connection more. */
bool server_has_room_for(const Server *s, const struct sockaddr *address);
/* NULL: out of memory. */
void conn_end_answer(Conn *c);
Conn *conn_open(Door *d, struct MHD_Connection *connection);
void conn_close(Conn *c);

/* door.c */
int door_open(Door *d) _warn_unused_;
void door_close(Door *d);
/* What tells by epoll that it has something to do; negative errno: nothing does. */
int door_fd(const Door *d);
int door_run(Door *d) _warn_unused_;
void door_wake(Door *d);
/* A connection that was accepted; fd is taken over. The result is that of door_run(). */
int door_add(Door *d, int fd, const struct sockaddr *address, socklen_t size) _warn_unused_;

/* listen.c */
void listen_close_all(Server *s);
/* Accepts as long as there is room for one more connection. */
void listen_fit(Server *s);
void greetings_sweep(Server *s, usec_t now);
/* Takes the first byte of those who said something, outside of the loop. */
void greetings_look(Server *s);
void greetings_drop(Server *s);
