/* SPDX-License-Identifier: Apache-2.0 */

/* libmicrohttpd in the loop: server.h says why it is run as it is. */

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "sys/event.h"
#include "sys/log.h"

#include "services/api/request.h"
#include "services/api/server-private.h"

/* Who speaks HTTP to a port of HTTPS gets one answer and goes. */
#define STRAYS_MAX 64U

/* While a handshake waits for its client, libmicrohttpd 0.9.75 asks to be run at once for ever. What the
 * client sends wakes us as well, so such turns are made rarely; but not that rarely while answers, too, may
 * be what asks. */
#define PAUSE_MIN_USEC (1 * USEC_PER_MSEC)
#define PAUSE_MAX_USEC (64 * USEC_PER_MSEC)
#define PAUSE_ANSWERS_USEC (USEC_PER_MSEC / 5)

/* Behind every answer libmicrohttpd wants one turn more, which finds that nothing else has come: it follows
 * at once, as a turn of the whole loop costs as much as a small answer. Whoever has still more to do waits
 * for the others. */
#define TURNS_IN_A_ROW 3U

/* --- The loop ------------------------------------------------------------------------------------- */

static usec_t next_pause(Door *d) {
        if (d->kind != DOOR_TLS || d->handshakes == 0 || d->has_moved)
                d->pause = 0;
        else if (d->answers > 0)
                d->pause = PAUSE_ANSWERS_USEC;
        else
                d->pause = MIN(MAX(2 * d->pause, PAUSE_MIN_USEC), PAUSE_MAX_USEC);
        return d->pause;
}

/* The timer is left alone while it fires early enough: MHD's next time moves with every request, and setting
 * a timer costs as much as a small answer. */
static int plan_run(Door *d, usec_t delay) {
        usec_t at = usec_add(now_usec(CLOCK_MONOTONIC), delay);

        if (d->timer_at <= at)
                return 0;
        d->timer_at = at;
        return event_rearm(d->timer, delay);
}

static int run_again(Door *d) {
        return sd_event_source_set_enabled(d->again, SD_EVENT_ONESHOT);
}

/* One turn. Positive: there is more to do, at once. */
static int turn(Door *d) {
        MHD_UNSIGNED_LONG_LONG ms;
        usec_t pause;

        d->is_woken = d->has_moved = false;
        d->server->in_hand = NULL;
        if (MHD_run(d->daemon) != MHD_YES)
                return log_error_errno(EIO, "The HTTP server does not run: %m");
        if (d->is_woken)
                return 1;
        if (MHD_get_timeout(d->daemon, &ms) != MHD_YES)
                return 0;
        if (ms > 0)
                return plan_run(d, ms * USEC_PER_MSEC);
        pause = next_pause(d);
        return pause > 0 ? plan_run(d, pause) : 1;
}

int door_run(Door *d) {
        int r = 1;

        assert(d);

        (void) sd_event_source_set_enabled(d->again, SD_EVENT_OFF); /* it is now */
        for (unsigned i = 0; i < TURNS_IN_A_ROW && r > 0; i++)
                r = turn(d);
        return r > 0 ? run_again(d) : r;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Door *d = ASSERT_PTR(userdata);

        d->pause = 0;
        return door_run(d);
}

static int on_again(sd_event_source *source, void *userdata) {
        return door_run(ASSERT_PTR(userdata));
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Door *d = ASSERT_PTR(userdata);

        d->timer_at = USEC_INFINITY;
        return door_run(d);
}

void door_wake(Door *d) {
        assert(d);

        if (!d->daemon)
                return;
        d->is_woken = true;
        if (run_again(d) < 0)
                log_warning("Failed to wake the HTTP server, ignoring.");
}

int door_add(Door *d, int fd, const struct sockaddr *address, socklen_t size) {
        assert(d);

        /* Refused (a limit, a policy) means closed, by MHD. */
        if (MHD_add_connection(d->daemon, fd, address, size) != MHD_YES)
                log_debug("A connection was refused.");
        return door_run(d);
}

/* --- What libmicrohttpd calls ----------------------------------------------------------------------- */

static enum MHD_Result on_accept(void *userdata, const struct sockaddr *address, socklen_t size) {
        const Door *d = ASSERT_PTR(userdata);

        return server_has_room_for(d->server, address) ? MHD_YES : MHD_NO;
}

static void on_connection(void *userdata, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code) {
        if (code == MHD_CONNECTION_NOTIFY_STARTED)
                *context = conn_open(ASSERT_PTR(userdata), connection); /* NULL: see on_line() */
        else if (*context) {
                conn_close(*context);
                *context = NULL;
        }
}

static Conn *find_conn(struct MHD_Connection *connection) {
        const union MHD_ConnectionInfo *info =
                        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

        return info ? info->socket_context : NULL;
}

/* The request line has come: what this gives is *context in the calls below. MHD's own decoding of the
 * target is not used: it would turn %00 into the end of a string. */
static void *on_line(void *userdata, const char *target, struct MHD_Connection *connection) {
        _cleanup_(request_freep) Request *r = NULL;
        Conn *c = find_conn(connection);
        Door *d = ASSERT_PTR(userdata);

        d->has_moved = true;
        if (!c)
                return NULL;
        if (!c->was_used)
                d->handshakes--;
        c->was_used = true;
        r = request_new(d->server, d->server->userdata);
        if (!r)
                return NULL;
        r->connection = connection;
        r->conn = c;
        if (request_begin(r, target) < 0)
                return NULL;
        if (d->server->is_stopping)
                r->is_closing = true;
        request_free(c->request);
        c->request = r;
        return TAKE_PTR(r);
}

static enum MHD_Result on_access(void *userdata, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *data, size_t *size,
                                 void **context) {
        Door *d = ASSERT_PTR(userdata);
        size_t n = *size;

        d->has_moved = true;
        if (!*context)
                return MHD_NO;
        server_take_in_hand(d->server, *context);
        *size = 0;
        return request_access(*context, method, data, n) ? MHD_YES : MHD_NO;
}

static void on_completed(void *userdata, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code) {
        Conn *c = find_conn(connection);

        *context = NULL;
        if (!c)
                return;
        conn_end_answer(c);
        c->request = request_free(c->request);
        conn_set_deadline(c, conn_request_time(c));
}

static size_t on_unescape(void *userdata, struct MHD_Connection *connection, char *s) {
        return strlen(s);
}

_printf_(2, 0) static void on_log(void *userdata, const char *format, va_list ap) {
        char text[512];

        (void) vsnprintf(text, sizeof(text), format, ap);
        text[strcspn(text, "\n")] = 0;
        log_debug("HTTP: %s", text);
}

/* --- Life ------------------------------------------------------------------------------------------- */

static int start_daemon(Door *d) {
        const bool tls = d->kind == DOOR_TLS;
        const unsigned connections = d->kind == DOOR_STRAY ? STRAYS_MAX : d->server->connections;
        const struct MHD_OptionItem options[] = {
                { MHD_OPTION_CONNECTION_LIMIT, (intptr_t) connections, NULL },
                { MHD_OPTION_CONNECTION_TIMEOUT, SERVER_SILENCE_SEC, NULL },
                { MHD_OPTION_CONNECTION_MEMORY_LIMIT, SERVER_CONNECTION_MEMORY, NULL },
                { MHD_OPTION_NOTIFY_CONNECTION, (intptr_t) on_connection, d },
                { MHD_OPTION_NOTIFY_COMPLETED, (intptr_t) on_completed, d },
                { MHD_OPTION_URI_LOG_CALLBACK, (intptr_t) on_line, d },
                { MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t) on_unescape, d },
                { MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL },
                { MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL },
                { tls ? MHD_OPTION_HTTPS_PRIORITIES : MHD_OPTION_END, 0, (void *) tls_priorities },
                { MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *) tls_callback() },
                { MHD_OPTION_END, 0, NULL },
        };

        d->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
                                                     MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0),
                                     0, on_accept, d, on_access, d, MHD_OPTION_EXTERNAL_LOGGER, on_log, d,
                                     MHD_OPTION_ARRAY, options, MHD_OPTION_END);
        return d->daemon ? 0 : -EIO;
}

int door_fd(const Door *d) {
        const union MHD_DaemonInfo *info;

        assert(d);

        info = MHD_get_daemon_info(d->daemon, MHD_DAEMON_INFO_EPOLL_FD);
        return info ? info->epoll_fd : -EIO;
}

int door_open(Door *d) {
        int fd, r;

        assert(d);

        r = start_daemon(d);
        if (r < 0)
                return r;
        fd = door_fd(d);
        if (fd < 0)
                return fd;
        r = sd_event_add_io(d->server->event, &d->io, fd, EPOLLIN, on_io, d);
        if (r < 0)
                return r;
        r = sd_event_add_defer(d->server->event, &d->again, on_again, d);
        /* After all others: it may be due in every turn of the loop, and nobody else would get one. */
        if (r >= 0)
                r = sd_event_source_set_priority(d->again, SD_EVENT_PRIORITY_NORMAL + 10);
        if (r < 0)
                return r;
        d->timer_at = USEC_INFINITY;
        return event_add_timer(d->server->event, &d->timer, USEC_INFINITY, on_timer, d);
}

void door_close(Door *d) {
        assert(d);

        if (d->daemon)
                MHD_stop_daemon(d->daemon);
        d->daemon = NULL;
        d->io = sd_event_source_disable_unref(d->io);
        d->again = sd_event_source_disable_unref(d->again);
        d->timer = sd_event_source_disable_unref(d->timer);
}
