#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One vtable, two doors. A daemon exports its object on the system bus, for people and tools, and as
 * peer-to-peer D-Bus on its private socket, for its sibling daemons: no broker hop, and it works where there
 * is no system bus. A bus message is only ever the doorbell; the truth is in the store. So a client looks at
 * the store whenever it connects, and a lost message costs a little time and nothing else. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/macros.h"
#include "base/times.h"

/* Errors, as our handlers give them. */
#define BUS_ERROR_NOT_FOUND "org.backupx.Error.NotFound"
#define BUS_ERROR_CONFLICT "org.backupx.Error.Conflict"
#define BUS_ERROR_INVALID_ARGUMENT "org.backupx.Error.InvalidArgument"
#define BUS_ERROR_DENIED "org.backupx.Error.Denied"
#define BUS_ERROR_LIMIT_EXCEEDED "org.backupx.Error.LimitExceeded"
#define BUS_ERROR_UNAVAILABLE "org.backupx.Error.Unavailable"
#define BUS_ERROR_NODE_OFFLINE "org.backupx.Error.NodeOffline"
#define BUS_ERROR_INTERNAL "org.backupx.Error.Internal"

#define _cleanup_bus_error_ _cleanup_(sd_bus_error_free)
#define _cleanup_bus_message_ _cleanup_(sd_bus_message_unrefp)

/* --- Who may --------------------------------------------------------------------------------------- */

typedef enum BusRight {
        BUS_READ,
        BUS_CHANGE,
} BusRight;

/* Whether the sender of this method call has the right: root, the daemons' users and our own user may
 * change; members of backupx-read may read. Gives 0, or -EACCES with *reterr set; handlers return it as it
 * is:
 *
 *         r = bus_sender_may(m, BUS_CHANGE, error);
 *         if (r < 0)
 *                 return r;
 */
int bus_sender_may(sd_bus_message *m, BusRight right, sd_bus_error *reterr) _warn_unused_;

/* How a method begins: the same question, and then what the call carries, as sd_bus_message_read() gives it.
 * Strings belong to the message. */
int bus_take(sd_bus_message *m, BusRight right, sd_bus_error *reterr, const char *types, ...) _warn_unused_;

/* All of a method without arguments: whoever may read gets an array of this type, to which append() adds the
 * elements. */
typedef int (*BusAppend)(sd_bus_message *reply, void *userdata);
int bus_reply_array(sd_bus_message *m, const char *type, BusAppend append, void *userdata,
                    sd_bus_error *reterr) _warn_unused_;

/* --- Doors ----------------------------------------------------------------------------------------- */

typedef struct BusDoors BusDoors;

/* listen_fd is the private socket (taken over; negative: no private door). system_name is the name to own on
 * the system bus; NULL: no system bus. Nothing is opened before bus_doors_start(). */
int bus_doors_new(sd_event *event, const char *system_name, const char *path, int listen_fd, BusDoors **ret)
                _warn_unused_;
BusDoors *bus_doors_free(BusDoors *doors);
DEFINE_CLEANUP(BusDoors *, bus_doors_free);

/* One interface of the object; before bus_doors_start(). Every method carries SD_BUS_VTABLE_UNPRIVILEGED and
 * asks bus_sender_may() itself. Strings and the vtable are kept, not copied. */
int bus_doors_add_vtable(BusDoors *doors, const char *interface, const sd_bus_vtable *vtable, void *userdata)
                _warn_unused_;

/* Opens the doors; org.freedesktop.LogControl1 is exported with them. No system bus, or one that does not
 * let us own the name, is the outcome BUS_DOORS_E_NO_SYSTEM, which the daemon tells once: all goes on
 * without that door, and it is tried again from time to time. */
enum {
        _BUS_DOORS_E_SUCCESS,
        BUS_DOORS_E_NO_SYSTEM,
};

int bus_doors_start(BusDoors *doors) _warn_unused_;

/* 0 while our name is owned on the system bus, else why it is not. */
int bus_doors_system_error(const BusDoors *doors);

/* Sends a signal of the object through every open door. A door that does not take it is closed: its client
 * connects again and looks at the store. */
void bus_doors_emit(BusDoors *doors, const char *interface, const char *member, const char *types, ...);

/* --- Peers ----------------------------------------------------------------------------------------- */

/* A client of a sibling's private socket. It connects by itself, without blocking, and again with jittered
 * back-off whenever the connection is lost. */
typedef struct BusPeer BusPeer;

typedef struct BusPeerArgs {
        sd_event *event;
        const char *socket; /* path of the private socket */
        const char *path;   /* of the object there */
        /* Called each time a connection stands: calls may be made now, and the store may have changed
         * unseen. May be NULL. */
        void (*on_connect)(BusPeer *peer, void *userdata);
        void *userdata;
} BusPeerArgs;

int bus_peer_new(const BusPeerArgs *args, BusPeer **ret) _warn_unused_;
BusPeer *bus_peer_free(BusPeer *peer);
DEFINE_CLEANUP(BusPeer *, bus_peer_free);

/* Calls handler for each such signal, over all connections. Before bus_peer_start(). Strings are kept. */
int bus_peer_match(BusPeer *peer, const char *interface, const char *member,
                   sd_bus_message_handler_t handler, void *userdata) _warn_unused_;

/* Starts connecting; a sibling that is not there yet is no error. */
int bus_peer_start(BusPeer *peer) _warn_unused_;

bool bus_peer_is_connected(const BusPeer *peer);

/* Hears what has come already, up to max messages, instead of one in a turn of the loop. From callbacks of
 * the loop alone, never from a handler of the bus. */
void bus_peer_drain(BusPeer *peer, unsigned max);

/* No answer for this long is the error org.freedesktop.DBus.Error.NoReply; under half of WatchdogSec=. */
#define BUS_PEER_TIMEOUT_USEC (10 * USEC_PER_SEC)

/* Calls a method; handler gets the reply or an error message (sd_bus_message_is_method_error()), exactly
 * once when this gives 0: a lost connection is answered as an error too. So userdata has to live until then.
 * -ENOTCONN: no connection now. handler NULL: no reply is wanted. */
int bus_peer_call_async(BusPeer *peer, const char *interface, const char *member,
                        sd_bus_message_handler_t handler, void *userdata, const char *types,
                        ...) _warn_unused_;
