/* SPDX-License-Identifier: Apache-2.0 */

/* The two doors of a daemon's object. The private one is a socket at which siblings connect peer to peer:
 * each connection is an sd_bus of its own, in a slot of doors[], and goes away with its Disconnected
 * signal. The other one is the system bus, which may come late, go, or refuse us the name: then all goes on
 * without it and it is opened again with back-off, so that a broker that is restarted costs people a moment
 * and work nothing. Signals go out through every door that is open. */

#include <errno.h>
#include <stdarg.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <systemd/sd-id128.h>

#include "base/alloc.h"
#include "base/backoff.h"
#include "base/fd.h"
#include "sys/bus-private.h"
#include "sys/event.h"
#include "sys/log.h"

#define INTERFACES_MAX 8
#define DOORS_MAX 64       /* siblings are three; the rest is for tools */
#define ACCEPTS_PER_WAKE 8 /* the loop has other work, too */

#define SYSTEM_RETRY_FIRST_USEC (1 * USEC_PER_SEC)
#define SYSTEM_RETRY_MOST_USEC (60 * USEC_PER_SEC)
#define SYSTEM_TIMEOUT_USEC (5 * USEC_PER_SEC) /* of a call to the broker; under half of WatchdogSec= */

typedef struct Interface {
        const char *name;
        const sd_bus_vtable *vtable;
        void *userdata;
} Interface;

struct BusDoors {
        sd_event *event;
        const char *system_name;
        const char *path;
        int listen_fd;
        sd_event_source *accept;

        Interface interfaces[INTERFACES_MAX];
        size_t n_interfaces;

        sd_bus *doors[DOORS_MAX]; /* private connections; NULL: free */

        sd_bus *system;
        sd_event_source *system_retry; /* a timer that opens the system bus again */
        Backoff backoff;
        int system_error; /* why we are not there; 0: we are */
};

uint32_t bus_random(void) {
        uint32_t v = 0;

        if (getrandom(&v, sizeof(v), GRND_NONBLOCK) != sizeof(v))
                v = (uint32_t) now_usec(CLOCK_MONOTONIC);
        return v;
}

int bus_doors_new(sd_event *event, const char *system_name, const char *path, int listen_fd,
                  BusDoors **ret) {
        BusDoors *doors;

        assert(event);
        assert(path);
        assert(ret);

        doors = new0(BusDoors, 1);
        if (!doors)
                return -ENOMEM;
        *doors = (BusDoors){
                .event = sd_event_ref(event),
                .system_name = system_name,
                .path = path,
                .listen_fd = listen_fd,
                .system_error = -ENOTCONN,
                .backoff = BACKOFF_INIT(SYSTEM_RETRY_FIRST_USEC, SYSTEM_RETRY_MOST_USEC),
        };
        *ret = doors;
        return 0;
}

BusDoors *bus_doors_free(BusDoors *doors) {
        if (!doors)
                return NULL;
        for (size_t i = 0; i < DOORS_MAX; i++)
                sd_bus_flush_close_unref(doors->doors[i]);
        sd_bus_flush_close_unref(doors->system);
        sd_event_source_disable_unref(doors->accept);
        sd_event_source_disable_unref(doors->system_retry);
        safe_close(doors->listen_fd);
        sd_event_unref(doors->event);
        return mfree(doors);
}

int bus_doors_add_vtable(BusDoors *doors, const char *interface, const sd_bus_vtable *vtable,
                         void *userdata) {
        assert(doors);
        assert(interface);
        assert(vtable);

        if (doors->n_interfaces >= INTERFACES_MAX)
                return -ENOSPC;
        doors->interfaces[doors->n_interfaces++] = (Interface){
                .name = interface,
                .vtable = vtable,
                .userdata = userdata,
        };
        return 0;
}

static int export_object(BusDoors *doors, sd_bus *bus) {
        int r;

        assert(doors);

        for (size_t i = 0; i < doors->n_interfaces; i++) {
                const Interface *iface = &doors->interfaces[i];

                r = sd_bus_add_object_vtable(bus, NULL, doors->path, iface->name, iface->vtable,
                                             iface->userdata);
                if (r < 0)
                        return r;
        }
        return bus_add_log_control(bus);
}

static void close_door(BusDoors *doors, size_t i) {
        doors->doors[i] = sd_bus_close_unref(doors->doors[i]);
}

static int on_door_closed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        BusDoors *doors = ASSERT_PTR(userdata);
        sd_bus *bus = sd_bus_message_get_bus(m);

        for (size_t i = 0; i < DOORS_MAX; i++)
                if (doors->doors[i] == bus) {
                        close_door(doors, i);
                        break;
                }
        return 0;
}

static int match_disconnected(sd_bus *bus, sd_bus_message_handler_t handler, void *userdata) {
        return sd_bus_match_signal(bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                   "org.freedesktop.DBus.Local", "Disconnected", handler, userdata);
}

/* The bus owns fd from the first call that succeeds on. */
static int make_door(BusDoors *doors, int fd, sd_bus **ret) {
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        _cleanup_close_ int owned = fd;
        sd_id128_t id;
        int r;

        assert(doors);

        r = sd_id128_randomize(&id);
        if (r < 0)
                return r;
        r = sd_bus_new(&bus);
        if (r < 0)
                return r;
        r = sd_bus_set_description(bus, "private");
        if (r < 0)
                return r;
        r = sd_bus_set_fd(bus, owned, owned);
        if (r < 0)
                return r;
        TAKE_FD(owned);
        r = sd_bus_set_server(bus, true, id);
        if (r < 0)
                return r;
        /* Who it is, is asked of the kernel in bus_sender_may(); what the client claims is of no interest,
         * and in another user namespace its number would not be ours. */
        r = sd_bus_set_anonymous(bus, true);
        if (r < 0)
                return r;
        r = export_object(doors, bus);
        if (r < 0)
                return r;
        r = match_disconnected(bus, on_door_closed, doors);
        if (r < 0)
                return r;
        r = sd_bus_start(bus);
        if (r < 0)
                return r;
        r = sd_bus_attach_event(bus, doors->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(bus);
        return 0;
}

static int free_door(const BusDoors *doors) {
        for (int i = 0; i < DOORS_MAX; i++)
                if (!doors->doors[i])
                        return i;
        return -EMFILE;
}

static int on_accept(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        BusDoors *doors = ASSERT_PTR(userdata);

        for (unsigned n = 0; n < ACCEPTS_PER_WAKE; n++) {
                int client, i, r;

                client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (client < 0) {
                        if (errno != EAGAIN)
                                log_debug_errno(errno, "Cannot accept on the private socket, ignoring: %m");
                        return 0;
                }
                i = free_door(doors);
                if (i < 0) {
                        log_debug("Refusing a connection on the private socket: %d are open", DOORS_MAX);
                        safe_close(client);
                        continue;
                }
                r = make_door(doors, client, &doors->doors[i]);
                if (r < 0)
                        log_debug_errno(r, "Cannot serve a connection on the private socket, ignoring: %m");
        }
        return 0;
}

static void retry_system_later(BusDoors *doors) {
        int r;

        r = event_rearm(doors->system_retry, backoff_next(&doors->backoff, bus_random()));
        if (r < 0)
                log_debug_errno(r, "Cannot set the timer for the system bus, ignoring: %m");
}

static int on_system_lost(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        BusDoors *doors = ASSERT_PTR(userdata);

        doors->system = sd_bus_close_unref(doors->system);
        doors->system_error = -ENOTCONN;
        retry_system_later(doors);
        return 0;
}

static int open_system(BusDoors *doors) {
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        int r;

        assert(doors);

        r = sd_bus_open_system(&bus);
        if (r < 0)
                return r;
        r = sd_bus_set_method_call_timeout(bus, SYSTEM_TIMEOUT_USEC);
        if (r < 0)
                return r;
        r = export_object(doors, bus);
        if (r < 0)
                return r;
        r = match_disconnected(bus, on_system_lost, doors);
        if (r < 0)
                return r;
        r = sd_bus_request_name(bus, doors->system_name, 0);
        if (r < 0)
                return r;
        r = sd_bus_attach_event(bus, doors->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;

        backoff_reset(&doors->backoff);
        doors->system = TAKE_PTR(bus);
        return 0;
}

static int on_system_retry(sd_event_source *s, uint64_t usec, void *userdata) {
        BusDoors *doors = ASSERT_PTR(userdata);

        doors->system_error = open_system(doors);
        if (doors->system_error < 0) {
                log_debug_errno(doors->system_error, "Cannot open the system bus, trying again later: %m");
                retry_system_later(doors);
        }
        return 0;
}

int bus_doors_start(BusDoors *doors) {
        int r;

        assert(doors);

        if (doors->listen_fd >= 0) {
                r = fd_set_nonblock(doors->listen_fd, true);
                if (r < 0)
                        return r;
                r = sd_event_add_io(doors->event, &doors->accept, doors->listen_fd, EPOLLIN, on_accept,
                                    doors);
                if (r < 0)
                        return r;
        }
        if (!doors->system_name)
                return 0;
        r = event_add_timer(doors->event, &doors->system_retry, SYSTEM_RETRY_FIRST_USEC, on_system_retry,
                            doors);
        if (r < 0)
                return r;
        r = event_rearm(doors->system_retry, USEC_INFINITY);
        if (r < 0)
                return r;
        doors->system_error = open_system(doors);
        if (doors->system_error < 0) {
                retry_system_later(doors);
                return BUS_DOORS_E_NO_SYSTEM;
        }
        return 0;
}

int bus_doors_system_error(const BusDoors *doors) {
        assert(doors);

        return doors->system_error;
}

static int emit(sd_bus *bus, const BusDoors *doors, const char *interface, const char *member,
                const char *types, va_list ap) {
        va_list copy;
        int r;

        va_copy(copy, ap);
        r = sd_bus_emit_signalv(bus, doors->path, interface, member, types, copy);
        va_end(copy);
        return r;
}

void bus_doors_emit(BusDoors *doors, const char *interface, const char *member, const char *types, ...) {
        va_list ap;

        assert(doors);
        assert(interface);
        assert(member);

        va_start(ap, types);
        for (size_t i = 0; i < DOORS_MAX; i++)
                if (doors->doors[i] && emit(doors->doors[i], doors, interface, member, types, ap) < 0)
                        close_door(doors, i);
        if (doors->system)
                (void) emit(doors->system, doors, interface, member, types, ap);
        va_end(ap);
}
