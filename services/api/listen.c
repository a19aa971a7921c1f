/* SPDX-License-Identifier: Apache-2.0 */

/* Sockets that we accept from. Where TLS is expected, the first byte of a connection is looked at: it is 22
 * for every handshake, and a letter for HTTP in the clear. */

#include <errno.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "sys/log.h"

#include "services/api/server-private.h"

#define TLS_RECORD_HANDSHAKE 22

/* --- Greetings -------------------------------------------------------------------------------------- */

/* Gives the socket, which stays open. */
static int greeting_free(Greeting *g) {
        Server *s = g->server;
        int fd = g->fd;

        if (g->slot < ADDRESS_SLOTS)
                s->slots[g->slot]--;
        if (g->prev)
                g->prev->next = g->next;
        else
                s->greetings = g->next;
        if (g->next)
                g->next->prev = g->prev;
        s->n_greetings--;
        sd_event_source_disable_unref(g->source);
        free(g);
        return fd;
}

static void greeting_drop(Greeting *g) {
        Server *s = g->server;

        safe_close(greeting_free(g));
        listen_fit(s);
}

static int on_greeting(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Greeting *g = ASSERT_PTR(userdata);
        struct sockaddr_storage address = g->address;
        socklen_t size = g->size;
        Server *s = g->server;
        DoorKind kind;
        uint8_t byte;
        ssize_t n;

        n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0) {
                greeting_drop(g);
                return 0;
        }
        if (byte == TLS_RECORD_HANDSHAKE)
                kind = DOOR_TLS;
        else
                kind = g->may_be_plain ? DOOR_PLAIN : DOOR_STRAY;
        return door_add(server_door(s, kind), greeting_free(g), (struct sockaddr *) &address, size);
}

/* fd is taken over. */
static int greet(Listen *l, int fd, const struct sockaddr_storage *address, socklen_t size) {
        _cleanup_close_ int owned = fd;
        Server *s = l->server;
        Greeting *g = new0(Greeting, 1);
        int r;

        if (!g)
                return -ENOMEM;
        *g = (Greeting){
                .server = s,
                .next = s->greetings,
                .address = *address,
                .size = size,
                .deadline = usec_add(now_usec(CLOCK_MONOTONIC), s->request_usec),
                .slot = server_address_slot(s, (const struct sockaddr *) address),
                .may_be_plain = l->kind == LISTEN_TLS_BUT_LOOPBACK && server_socket_is_local(fd),
                .fd = TAKE_FD(owned),
        };
        if (g->next)
                g->next->prev = g;
        s->greetings = g;
        s->n_greetings++;
        if (g->slot < ADDRESS_SLOTS)
                s->slots[g->slot]++;
        r = sd_event_add_io(s->event, &g->source, fd, EPOLLIN, on_greeting, g);
        if (r < 0)
                greeting_drop(g);
        return r;
}

void greetings_sweep(Server *s, usec_t now) {
        assert(s);

        for (Greeting *g = s->greetings, *next; g; g = next) {
                next = g->next;
                if (g->deadline < now)
                        greeting_drop(g);
        }
}

void greetings_look(Server *s) {
        assert(s);

        for (Greeting *g = s->greetings, *next; g; g = next) {
                next = g->next;
                (void) on_greeting(/* source= */ NULL, g->fd, EPOLLIN, g);
        }
}

void greetings_drop(Server *s) {
        assert(s);

        while (s->greetings)
                greeting_drop(s->greetings);
}

/* --- Listening -------------------------------------------------------------------------------------- */

/* One connection a turn: what is left makes the socket ready again. */
static int on_listen(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct sockaddr_storage address = {};
        socklen_t size = sizeof(address);
        Listen *l = ASSERT_PTR(userdata);
        int connection, r;

        connection = accept4(fd, (struct sockaddr *) &address, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (connection < 0)
                return 0;
        if (l->kind == LISTEN_PLAIN)
                return door_add(server_door(l->server, DOOR_PLAIN), connection,
                                (struct sockaddr *) &address, size);
        if (!server_has_room_for(l->server, (struct sockaddr *) &address)) {
                safe_close(connection);
                return 0;
        }
        r = greet(l, connection, &address, size);
        if (r < 0)
                log_warning_errno(r, "Failed to take a connection, ignoring: %m");
        else
                listen_fit(l->server);
        return 0;
}

void listen_fit(Server *s) {
        int enabled;

        assert(s);

        enabled = s->n_conns + s->n_greetings < s->connections ? SD_EVENT_ON : SD_EVENT_OFF;
        for (size_t i = 0; i < s->n_listens; i++)
                if (sd_event_source_set_enabled(s->listens[i].source, enabled) < 0)
                        log_warning("Failed to watch a listening socket, ignoring.");
}

int server_add_listen(Server *s, int fd, ListenKind kind) {
        _cleanup_close_ int owned = fd;
        Listen *l;
        int r;

        assert(s);
        assert(kind == LISTEN_PLAIN || s->identity);

        if (s->n_listens >= ELEMENTSOF(s->listens))
                return -E2BIG;
        r = fd_set_nonblock(owned, true);
        if (r < 0)
                return r;
        l = &s->listens[s->n_listens];
        *l = (Listen){ .server = s, .kind = kind, .fd = -EBADF };
        r = sd_event_add_io(s->event, &l->source, owned, EPOLLIN, on_listen, l);
        if (r < 0)
                return r;
        l->fd = TAKE_FD(owned);
        s->n_listens++;
        return 0;
}

void listen_close_all(Server *s) {
        assert(s);

        for (size_t i = 0; i < s->n_listens; i++) {
                sd_event_source_disable_unref(s->listens[i].source);
                safe_close(s->listens[i].fd);
        }
        s->n_listens = 0;
}
