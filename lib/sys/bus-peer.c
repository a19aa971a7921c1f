/* SPDX-License-Identifier: Apache-2.0 */

/* The other end of a sibling's private door. It connects when it can, and again with back-off when the
 * sibling went away; matches are kept here and installed on each new connection before on_connect tells, so
 * nothing that the sibling says afterwards is missed. What it said before is found in the store. */

#include <errno.h>
#include <stdarg.h>

#include "base/alloc.h"
#include "base/backoff.h"
#include "base/buffer.h"
#include "base/text.h"
#include "sys/bus-private.h"
#include "sys/event.h"
#include "sys/log.h"

#define MATCHES_MAX 16
#define RETRY_FIRST_USEC (50 * USEC_PER_MSEC)
#define RETRY_MOST_USEC (2 * USEC_PER_SEC) /* what is missed meanwhile is found in the store every 5 s */

#define LOCAL_SENDER "org.freedesktop.DBus.Local"
#define LOCAL_PATH "/org/freedesktop/DBus/Local"

typedef struct Match {
        const char *interface;
        const char *member;
        sd_bus_message_handler_t handler;
        void *userdata;
} Match;

struct BusPeer {
        sd_event *event;
        char *address;
        char *path;
        void (*on_connect)(BusPeer *peer, void *userdata);
        void *userdata;

        Match matches[MATCHES_MAX];
        size_t n_matches;

        sd_bus *bus;
        bool connected;
        sd_event_source *retry;
        Backoff backoff;
};

BusPeer *bus_peer_free(BusPeer *peer) {
        if (!peer)
                return NULL;
        sd_bus_flush_close_unref(peer->bus);
        sd_event_source_disable_unref(peer->retry);
        sd_event_unref(peer->event);
        free(peer->address);
        free(peer->path);
        return mfree(peer);
}

/* A socket path as a D-Bus address: all but a few characters are escaped. */
static int format_address(const char *socket, char **ret) {
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        int r;

        r = buffer_add_string(&b, "unix:path=");
        for (const char *p = socket; r >= 0 && *p; p++) {
                if ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                    strchr("-_/.", *p))
                        r = buffer_add(&b, p, 1);
                else
                        r = buffer_printf(&b, "%%%02x", (unsigned) (unsigned char) *p);
        }
        if (r < 0)
                return r;
        *ret = buffer_take(&b);
        return *ret ? 0 : -ENOMEM;
}

int bus_peer_new(const BusPeerArgs *args, BusPeer **ret) {
        _cleanup_(bus_peer_freep) BusPeer *peer = NULL;
        int r;

        assert(args);
        assert(args->event);
        assert(args->socket);
        assert(args->path);
        assert(ret);

        peer = new0(BusPeer, 1);
        if (!peer)
                return -ENOMEM;
        peer->event = sd_event_ref(args->event);
        peer->on_connect = args->on_connect;
        peer->userdata = args->userdata;
        peer->backoff = BACKOFF_INIT(RETRY_FIRST_USEC, RETRY_MOST_USEC);
        r = format_address(args->socket, &peer->address);
        if (r < 0)
                return r;
        r = free_and_strdup(&peer->path, args->path);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(peer);
        return 0;
}

int bus_peer_match(BusPeer *peer, const char *interface, const char *member,
                   sd_bus_message_handler_t handler, void *userdata) {
        assert(peer);
        assert(interface);
        assert(member);
        assert(handler);

        if (peer->n_matches >= MATCHES_MAX)
                return -ENOSPC;
        peer->matches[peer->n_matches++] = (Match){
                .interface = interface,
                .member = member,
                .handler = handler,
                .userdata = userdata,
        };
        return 0;
}

static void retry_later(BusPeer *peer) {
        int r;

        r = event_rearm(peer->retry, backoff_next(&peer->backoff, bus_random()));
        if (r < 0)
                log_debug_errno(r, "Cannot set the timer for %s, ignoring: %m", peer->address);
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        BusPeer *peer = ASSERT_PTR(userdata);

        peer->connected = false;
        peer->bus = sd_bus_close_unref(peer->bus);
        retry_later(peer);
        return 0;
}

static int on_connected(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        BusPeer *peer = ASSERT_PTR(userdata);

        peer->connected = true;
        backoff_reset(&peer->backoff);
        if (peer->on_connect)
                peer->on_connect(peer, peer->userdata);
        return 0;
}

static int add_matches(BusPeer *peer, sd_bus *bus) {
        int r;

        assert(peer);

        r = sd_bus_match_signal(bus, NULL, LOCAL_SENDER, LOCAL_PATH, LOCAL_SENDER, "Connected", on_connected,
                                peer);
        if (r < 0)
                return r;
        r = sd_bus_match_signal(bus, NULL, LOCAL_SENDER, LOCAL_PATH, LOCAL_SENDER, "Disconnected",
                                on_disconnected, peer);
        if (r < 0)
                return r;
        for (size_t i = 0; i < peer->n_matches; i++) {
                const Match *m = &peer->matches[i];

                /* No sender: a peer-to-peer connection has no names. */
                r = sd_bus_match_signal(bus, NULL, NULL, peer->path, m->interface, m->member, m->handler,
                                        m->userdata);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int connect_now(BusPeer *peer) {
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        int r;

        assert(peer);

        r = sd_bus_new(&bus);
        if (r < 0)
                return r;
        r = sd_bus_set_address(bus, peer->address);
        if (r < 0)
                return r;
        r = sd_bus_set_connected_signal(bus, true);
        if (r < 0)
                return r;
        r = sd_bus_set_method_call_timeout(bus, BUS_PEER_TIMEOUT_USEC);
        if (r < 0)
                return r;
        r = add_matches(peer, bus);
        if (r < 0)
                return r;
        /* Not a bus client: no Hello(), nobody there would answer it. */
        r = sd_bus_start(bus);
        if (r < 0)
                return r;
        r = sd_bus_attach_event(bus, peer->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;

        peer->bus = TAKE_PTR(bus);
        return 0;
}

static int on_retry(sd_event_source *s, uint64_t usec, void *userdata) {
        BusPeer *peer = ASSERT_PTR(userdata);
        int r;

        r = connect_now(peer);
        if (r < 0) {
                log_debug_errno(r, "Cannot connect to %s, trying again: %m", peer->address);
                retry_later(peer);
        }
        return 0;
}

int bus_peer_start(BusPeer *peer) {
        assert(peer);
        assert(!peer->retry);

        return event_add_timer(peer->event, &peer->retry, 0, on_retry, peer);
}

bool bus_peer_is_connected(const BusPeer *peer) {
        assert(peer);

        /* Once it is closing, calls that have no answer are told so, and only then that it has ended. */
        return peer->connected && sd_bus_is_open(peer->bus) > 0;
}

void bus_peer_drain(BusPeer *peer, unsigned max) {
        sd_bus *bus;

        assert(peer);

        if (!peer->connected)
                return;
        bus = sd_bus_ref(peer->bus); /* it may end meanwhile */
        /* An error is that of the connection, whose end the loop tells. */
        while (max-- > 0 && peer->bus == bus && sd_bus_process(bus, NULL) > 0)
                ;
        sd_bus_unref(bus);
}

int bus_peer_call_async(BusPeer *peer, const char *interface, const char *member,
                        sd_bus_message_handler_t handler, void *userdata, const char *types, ...) {
        va_list ap;
        int r;

        assert(peer);
        assert(interface);
        assert(member);

        if (!peer->connected)
                return -ENOTCONN;
        va_start(ap, types);
        r = sd_bus_call_method_asyncv(peer->bus, NULL, NULL, peer->path, interface, member, handler,
                                      userdata, types, ap);
        va_end(ap);
        return r < 0 ? r : 0;
}
