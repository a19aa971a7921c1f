#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* HTTP/1.1 by libmicrohttpd in epoll mode, inside our event loop. One thread; a waiting agent or an event
 * stream costs one suspended connection.
 *
 * A daemon of libmicrohttpd speaks TLS on all its connections or on none (door.c). We accept, look at the
 * first byte where TLS is expected, and bring each connection to the right one.
 *
 * After every MHD_run() what MHD_get_timeout() says is done, again at once or by a timer: the epoll set is
 * edge-triggered, so without that a connection that still has bytes to take (TLS has read them already,
 * perhaps) would sleep; with a repeating timer the loop would spin. The epoll set of 0.9.75 does not
 * tell of MHD_resume_connection(): conn_wake() does.
 *
 * MHD_run() walks the list of all suspended connections whenever one of them was resumed: with ten thousand
 * agents that wait, a third of what an idle fleet costs, and as long a delay for each command. So there are
 * several daemons of each kind, with a share of the connections each.
 *
 * libmicrohttpd limits the silence of a connection, not the time that a request takes in all: a sweep closes
 * connections that take longer than a client that works would. */

#include <microhttpd.h>
#include <systemd/sd-event.h>

#include "base/times.h"

#include "services/api/tls.h"

typedef struct Server Server;
typedef struct Conn Conn;
typedef struct Request Request;

/* Request line and headers, with what MHD keeps of a connection: a session cookie and a long path fit. */
#define SERVER_CONNECTION_MEMORY (6U * 1024)
/* Silence on a connection, idle keep-alive included. Agents speak every 15 s. */
#define SERVER_SILENCE_SEC 60U
/* From the connection (or the end of the answer before) to the end of the headers: longer than the silence
 * between two calls of an agent. A body or an answer may take as long, and one second more for each 16 KiB
 * of it: a bad line, not a slow attack. */
#define SERVER_REQUEST_USEC (75 * USEC_PER_SEC)
#define SERVER_TRANSFER_RATE (16U * 1024)
/* Daemons of libmicrohttpd for connections in the clear, and as many for TLS. */
#define SERVER_SHARDS 16U
/* Addresses that one unit may listen on. */
#define SERVER_LISTENS_MAX 16U
/* Bytes of bodies that are held at any time, of all requests together. */
#define SERVER_BODIES_MAX (192U * 1024 * 1024)

typedef struct ServerArgs {
        sd_event *event;
        TlsIdentity *identity; /* a reference is taken; NULL: nothing is served by TLS */
        unsigned connections;  /* at a time; what comes then waits in the kernel's backlog */
        unsigned per_address;  /* of one address, the loopback aside (a proxy speaks from there) */
        usec_t request_usec;   /* 0: SERVER_REQUEST_USEC */
        void *userdata;        /* the Api, for requests */
} ServerArgs;

typedef enum ListenKind {
        LISTEN_PLAIN,
        LISTEN_TLS,
        LISTEN_TLS_BUT_LOOPBACK, /* who speaks from this machine to itself may leave TLS out */
} ListenKind;

int server_new(const ServerArgs *args, Server **ret) _warn_unused_;
Server *server_free(Server *s);
/* Serves a listening socket; fd is taken over. */
int server_add_listen(Server *s, int fd, ListenKind kind) _warn_unused_;
/* For connections from now on; those that are open keep theirs. A reference is taken. */
void server_set_identity(Server *s, TlsIdentity *identity);
/* Stops accepting, ends what waits (each request's cancel hook, then 503) and gives answers on their way up
 * to grace to leave. A connection that was accepted and has asked nothing yet may do so for a moment. */
void server_stop(Server *s, usec_t grace);

/* "127.0.0.1:8340" or "unix:/path" of a listening socket. */
int server_socket_name(int fd, char **ret) _warn_unused_;
/* Whether no other machine reaches it. */
bool server_socket_is_local(int fd);

void *server_userdata(Server *s);
unsigned server_connections(const Server *s);

/* After MHD_resume_connection(): the epoll set of 0.9.75 does not tell of it. */
void conn_wake(Conn *c);
/* Sends what such connections were resumed for, now: their own turn comes behind all that the loop has to
 * do, which is much when many answers are wanted. Never from a callback of a request. */
void server_run_woken(Server *s);
/* Which of the SERVER_SHARDS it belongs to: those of one are best resumed together. */
unsigned conn_shard(const Conn *c);
/* An answer of known size is on its way. */
void conn_begin_answer(Conn *c);

/* Whether the client speaks TLS with us; and whether it should, but does not. */
bool conn_is_tls(const Conn *c);
bool conn_is_stray(const Conn *c);
/* What a connection shows to its client; borrowed. */
TlsIdentity *conn_identity(const Conn *c);

/* For request.c: memory of bodies against SERVER_BODIES_MAX. */
bool server_take_body(Server *s, size_t n);
void server_give_body(Server *s, size_t n);

/* For request.c: how long the connection may take for what it does now; USEC_INFINITY: as long as it likes.
 */
void conn_set_deadline(Conn *c, usec_t delay);
/* The time of one request, without what its size adds. */
usec_t conn_request_time(const Conn *c);
void conn_extend_deadline(Conn *c, usec_t more);

DEFINE_CLEANUP(Server *, server_free);
