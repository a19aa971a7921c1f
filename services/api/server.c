/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/un.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "crypto/random.h"
#include "sys/event.h"
#include "sys/log.h"

#include "services/api/request.h"
#include "services/api/server-private.h"

/* How often connections are looked at. */
#define SWEEP_USEC (5 * USEC_PER_SEC)
/* How often what a burst of answers took is given back to the system: between the memory of thousands of
 * connections that wait it does not go by itself. */
#define TRIM_USEC (30 * USEC_PER_SEC)
/* The same for connections: once that many were closed it does not wait. */
#define TRIM_CLOSED 256U
/* Between two turns of all doors while the server stops. */
#define STOP_TURN_MSEC 10
/* How long the end waits for the first request of connections that were accepted just before. */
#define FIRST_REQUEST_USEC (200 * USEC_PER_MSEC)

static int conn_socket(const Conn *c) {
        const union MHD_ConnectionInfo *info =
                        MHD_get_connection_info(c->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

        return info ? info->connect_fd : -EBADF;
}

/* MHD closes a connection whose socket ended; it has no call for that. */
static int on_sweep(sd_event_source *source, uint64_t usec, void *userdata) {
        Server *s = ASSERT_PTR(userdata);
        usec_t now = now_usec(CLOCK_MONOTONIC);

        for (Conn *c = s->conns; c; c = c->next)
                if (c->deadline < now) {
                        c->deadline = USEC_INFINITY;
                        (void) shutdown(conn_socket(c), SHUT_RDWR);
                }
        greetings_sweep(s, now);
        if (now >= s->trim_at || s->n_closed >= TRIM_CLOSED) {
                (void) malloc_trim(0);
                s->trim_at = usec_add(now, TRIM_USEC);
                s->n_closed = 0;
        }
        return event_rearm(s->sweep, MIN(SWEEP_USEC, s->request_usec / 4));
}

/* --- Connections ---------------------------------------------------------------------------------- */

Door *server_door(Server *s, DoorKind kind) {
        Door *doors, *best;

        assert(s);

        doors = best = &s->doors[(unsigned) kind * SERVER_SHARDS];
        for (unsigned i = 1; i < SERVER_SHARDS && kind != DOOR_STRAY; i++)
                if (doors[i].n_conns < best->n_conns)
                        best = &doors[i];
        return best;
}

void server_take_in_hand(Server *s, Request *r) {
        assert(s);
        assert(r);

        if (s->in_hand != r)
                r->is_at_once = false;
        s->in_hand = r;
}

void conn_wake(Conn *c) {
        assert(c);

        door_wake(c->door);
}

unsigned conn_shard(const Conn *c) {
        assert(c);

        return c->door->shard;
}

void conn_set_deadline(Conn *c, usec_t delay) {
        assert(c);

        c->deadline = usec_add(now_usec(CLOCK_MONOTONIC), delay);
}

void conn_begin_answer(Conn *c) {
        assert(c);

        if (!c->is_answering)
                c->door->answers++;
        c->is_answering = true;
}

void conn_end_answer(Conn *c) {
        assert(c);

        if (c->is_answering)
                c->door->answers--;
        c->is_answering = false;
}

bool conn_is_tls(const Conn *c) {
        assert(c);

        return c->door->kind == DOOR_TLS;
}

bool conn_is_stray(const Conn *c) {
        assert(c);

        return c->door->kind == DOOR_STRAY;
}

TlsIdentity *conn_identity(const Conn *c) {
        assert(c);

        return c->identity;
}

usec_t conn_request_time(const Conn *c) {
        assert(c);

        return c->door->server->request_usec;
}

void conn_extend_deadline(Conn *c, usec_t more) {
        assert(c);

        c->deadline = usec_add(c->deadline, more);
}

static bool is_loopback(const struct sockaddr *address) {
        if (address->sa_family == AF_INET)
                return (ntohl(((const struct sockaddr_in *) address)->sin_addr.s_addr) >> 24) == 127;
        if (address->sa_family == AF_INET6) {
                const struct in6_addr *a = &((const struct sockaddr_in6 *) address)->sin6_addr;

                return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
        }
        return true; /* a local socket */
}

/* A network of IPv6 (/64) counts as one address: it is what one customer gets. */
unsigned server_address_slot(const Server *s, const struct sockaddr *address) {
        uint64_t v = s->hash_key;
        const uint8_t *p;
        size_t n;

        assert(s);
        assert(address);

        if (is_loopback(address))
                return ADDRESS_SLOTS;
        if (address->sa_family == AF_INET) {
                p = (const uint8_t *) &((const struct sockaddr_in *) address)->sin_addr;
                n = 4;
        } else {
                const struct in6_addr *a = &((const struct sockaddr_in6 *) address)->sin6_addr;

                p = IN6_IS_ADDR_V4MAPPED(a) ? a->s6_addr + 12 : a->s6_addr;
                n = IN6_IS_ADDR_V4MAPPED(a) ? 4 : 8;
        }
        for (size_t i = 0; i < n; i++) {
                v = (v ^ p[i]) * UINT64_C(0x9e3779b97f4a7c15);
                v ^= v >> 29;
        }
        return (unsigned) (v % ADDRESS_SLOTS);
}

bool server_has_room_for(const Server *s, const struct sockaddr *address) {
        unsigned slot = server_address_slot(s, address);

        return slot >= ADDRESS_SLOTS || s->slots[slot] < s->per_address;
}

Conn *conn_open(Door *d, struct MHD_Connection *connection) {
        const union MHD_ConnectionInfo *info =
                        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        Server *s = ASSERT_PTR(d)->server;
        Conn *c = new0(Conn, 1);

        if (!c)
                return NULL;
        *c = (Conn){ .door = d, .connection = connection, .next = s->conns, .slot = ADDRESS_SLOTS };
        if (c->next)
                c->next->prev = c;
        s->conns = c;
        s->n_conns++;
        d->n_conns++;
        if (info && info->client_addr)
                c->slot = server_address_slot(s, info->client_addr);
        if (c->slot < ADDRESS_SLOTS)
                s->slots[c->slot]++;
        if (d->kind == DOOR_TLS)
                c->identity = tls_identity_ref(s->identity);
        d->handshakes++;
        conn_set_deadline(c, s->request_usec);
        listen_fit(s);
        return c;
}

void conn_close(Conn *c) {
        Server *s = ASSERT_PTR(c)->door->server;

        request_free(c->request);
        conn_end_answer(c);
        if (!c->was_used)
                c->door->handshakes--;
        if (c->slot < ADDRESS_SLOTS)
                s->slots[c->slot]--;
        if (c->prev)
                c->prev->next = c->next;
        else
                s->conns = c->next;
        if (c->next)
                c->next->prev = c->prev;
        s->n_conns--;
        c->door->n_conns--;
        s->n_closed++;
        tls_identity_unref(c->identity);
        free(c);
        listen_fit(s);
}

/* --- Life ------------------------------------------------------------------------------------------------
 */

bool server_take_body(Server *s, size_t n) {
        assert(s);

        if (n > SERVER_BODIES_MAX - s->bodies)
                return false;
        s->bodies += n;
        return true;
}

void server_give_body(Server *s, size_t n) {
        assert(s);
        assert(n <= s->bodies);

        s->bodies -= n;
}

void *server_userdata(Server *s) {
        assert(s);

        return s->userdata;
}

unsigned server_connections(const Server *s) {
        assert(s);

        return s->n_conns;
}

int server_socket_name(int fd, char **ret) {
        struct sockaddr_storage address = {};
        socklen_t size = sizeof(address);
        char host[NI_MAXHOST], port[NI_MAXSERV];
        bool v6;

        assert(ret);

        if (getsockname(fd, (struct sockaddr *) &address, &size) < 0)
                return -errno;
        if (address.ss_family == AF_UNIX)
                return asprintf_safe(ret, "unix:%.*s", (int) sizeof(((struct sockaddr_un *) 0)->sun_path),
                                     ((struct sockaddr_un *) &address)->sun_path);
        if (getnameinfo((struct sockaddr *) &address, size, host, sizeof(host), port, sizeof(port),
                        NI_NUMERICHOST | NI_NUMERICSERV) != 0)
                return -EAFNOSUPPORT;
        v6 = address.ss_family == AF_INET6;
        return asprintf_safe(ret, "%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

bool server_socket_is_local(int fd) {
        struct sockaddr_storage address = {};
        socklen_t size = sizeof(address);

        return getsockname(fd, (struct sockaddr *) &address, &size) >= 0 &&
                        is_loopback((struct sockaddr *) &address);
}

static int open_doors(Server *s) {
        assert(s);

        for (unsigned i = 0; i < DOORS_MAX; i++) {
                Door *d = &s->doors[i];
                int r;

                *d = (Door){
                        .server = s,
                        .kind = (DoorKind) (i / SERVER_SHARDS),
                        .shard = i % SERVER_SHARDS,
                };
                r = d->kind == DOOR_PLAIN || s->identity ? door_open(d) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

int server_new(const ServerArgs *args, Server **ret) {
        _cleanup_(server_freep) Server *s = NULL;
        int r;

        assert(args);
        assert(ret);

        s = new0(Server, 1);
        if (!s)
                return -ENOMEM;
        s->event = sd_event_ref(args->event);
        s->userdata = args->userdata;
        s->identity = tls_identity_ref(args->identity);
        s->connections = args->connections;
        s->per_address = args->per_address;
        s->request_usec = args->request_usec > 0 ? args->request_usec : SERVER_REQUEST_USEC;
        s->slots = new0(uint16_t, ADDRESS_SLOTS);
        if (!s->slots)
                return -ENOMEM;
        r = random_bytes(&s->hash_key, sizeof(s->hash_key));
        if (r >= 0)
                r = open_doors(s);
        if (r >= 0)
                r = event_add_timer(s->event, &s->sweep, MIN(SWEEP_USEC, s->request_usec / 4), on_sweep, s);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

void server_set_identity(Server *s, TlsIdentity *identity) {
        assert(s);

        tls_identity_unref(s->identity);
        s->identity = tls_identity_ref(identity);
}

/* Whether somebody waits for an answer; a connection without any request yet counts until first_end. */
static bool is_busy(const Server *s, usec_t now, usec_t first_end) {
        if (s->greetings && now < first_end)
                return true;
        for (const Conn *c = s->conns; c; c = c->next)
                if (c->request || (!c->was_used && now < first_end))
                        return true;
        return false;
}

void server_run_woken(Server *s) {
        assert(s);

        for (unsigned i = 0; i < DOORS_MAX; i++)
                if (s->doors[i].daemon && s->doors[i].is_woken && door_run(&s->doors[i]) < 0)
                        log_warning("Failed to send answers at once, they follow.");
}

/* Each once, then a short wait for any of them. */
static void run_all_doors(Server *s) {
        struct pollfd fds[DOORS_MAX];
        nfds_t n = 0;

        for (unsigned i = 0; i < DOORS_MAX; i++) {
                if (!s->doors[i].daemon)
                        continue;
                s->in_hand = NULL;
                (void) MHD_run(s->doors[i].daemon);
                fds[n++] = (struct pollfd){ .fd = door_fd(&s->doors[i]), .events = POLLIN };
        }
        (void) poll(fds, n, STOP_TURN_MSEC);
}

void server_stop(Server *s, usec_t grace) {
        usec_t now, end, first_end;

        assert(s);

        if (s->is_stopping)
                return;
        s->is_stopping = true;
        listen_close_all(s);
        for (Conn *c = s->conns; c; c = c->next)
                if (c->request)
                        request_cancel(c->request);
        now = now_usec(CLOCK_MONOTONIC);
        end = usec_add(now, grace);
        first_end = usec_add(now, MIN(grace, FIRST_REQUEST_USEC));
        do {
                greetings_look(s);
                run_all_doors(s);
                now = now_usec(CLOCK_MONOTONIC);
        } while (is_busy(s, now, first_end) && now < end);
        greetings_drop(s);
}

Server *server_free(Server *s) {
        if (!s)
                return NULL;

        server_stop(s, 0);
        for (unsigned i = 0; i < DOORS_MAX; i++)
                door_close(&s->doors[i]);
        sd_event_source_disable_unref(s->sweep);
        sd_event_unref(s->event);
        tls_identity_unref(s->identity);
        free(s->slots);
        free(s);
        return NULL;
}
