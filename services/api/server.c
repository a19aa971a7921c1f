/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "crypto/random.h"
#include "sys/event.h"
#include "sys/log.h"

#include "services/api/request.h"
#include "services/api/server.h"

/* How often connections are looked at. */
#define SWEEP_USEC (5 * USEC_PER_SEC)
/* Connections are counted by a keyed hash of their address. Two addresses that meet in a slot share a limit;
 * in return the table never grows. */
#define ADDRESS_SLOTS 8192U

struct Conn {
        Server *server; /* weak */
        Conn *prev, *next;
        struct MHD_Connection *connection;
        Request *request; /* the current one; NULL between two */
        usec_t deadline;  /* monotonic */
        unsigned slot;    /* ADDRESS_SLOTS: not counted */
};

typedef struct Listen {
        sd_event_source *source;
        int fd;
} Listen;

struct Server {
        sd_event *event;
        sd_event_source *io, *timer, *sweep;
        struct MHD_Daemon *daemon;
        void *userdata;
        Conn *conns;
        unsigned n_conns, connections, per_address;
        usec_t request_usec;
        size_t bodies;
        bool is_stopping;
        bool is_woken; /* a connection was resumed: run again at once */
        uint64_t hash_key;
        uint16_t *slots;
        Listen listens[SERVER_LISTENS_MAX - 1]; /* beside the first, which is MHD's */
        size_t n_listens;
};

/* --- The loop ------------------------------------------------------------------------------------- */

static int run_daemon(Server *s) {
        MHD_UNSIGNED_LONG_LONG ms;

        s->is_woken = false;
        if (MHD_run(s->daemon) != MHD_YES)
                return log_error_errno(EIO, "The HTTP server does not run: %m");
        if (s->is_woken)
                return event_rearm(s->timer, 0);
        if (MHD_get_timeout(s->daemon, &ms) != MHD_YES)
                return event_rearm(s->timer, USEC_INFINITY);
        return event_rearm(s->timer, ms * USEC_PER_MSEC);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        return run_daemon(ASSERT_PTR(userdata));
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        return run_daemon(ASSERT_PTR(userdata));
}

void server_wake(Server *s) {
        assert(s);

        s->is_woken = true;
        if (event_rearm(s->timer, 0) < 0)
                log_warning("Failed to wake the HTTP server, ignoring.");
}

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
        return event_rearm(s->sweep, MIN(SWEEP_USEC, s->request_usec / 4));
}

/* --- Connections ---------------------------------------------------------------------------------- */

void conn_set_deadline(Conn *c, usec_t delay) {
        assert(c);

        c->deadline = usec_add(now_usec(CLOCK_MONOTONIC), delay);
}

bool conn_is_tls(const Conn *c) {
        assert(c);

        return false;
}

usec_t conn_request_time(const Conn *c) {
        assert(c);

        return c->server->request_usec;
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
static unsigned address_slot(const Server *s, const struct sockaddr *address) {
        uint64_t v = s->hash_key;
        const uint8_t *p;
        size_t n;

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

static enum MHD_Result on_accept(void *userdata, const struct sockaddr *address, socklen_t size) {
        Server *s = ASSERT_PTR(userdata);
        unsigned slot = address_slot(s, address);

        return slot < ADDRESS_SLOTS && s->slots[slot] >= s->per_address ? MHD_NO : MHD_YES;
}

static void conn_opened(Server *s, struct MHD_Connection *connection, void **ret) {
        const union MHD_ConnectionInfo *info =
                        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        Conn *c = new0(Conn, 1);

        *ret = c; /* NULL: request_begin() is never reached, see on_line() */
        if (!c)
                return;
        *c = (Conn){ .server = s, .connection = connection, .next = s->conns, .slot = ADDRESS_SLOTS };
        if (c->next)
                c->next->prev = c;
        s->conns = c;
        s->n_conns++;
        if (info && info->client_addr)
                c->slot = address_slot(s, info->client_addr);
        if (c->slot < ADDRESS_SLOTS)
                s->slots[c->slot]++;
        conn_set_deadline(c, s->request_usec);
}

static void conn_closed(Conn *c) {
        Server *s = c->server;

        request_free(c->request);
        if (c->slot < ADDRESS_SLOTS)
                s->slots[c->slot]--;
        if (c->prev)
                c->prev->next = c->next;
        else
                s->conns = c->next;
        if (c->next)
                c->next->prev = c->prev;
        s->n_conns--;
        free(c);
}

static void on_connection(void *userdata, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code) {
        Server *s = ASSERT_PTR(userdata);

        if (code == MHD_CONNECTION_NOTIFY_STARTED)
                conn_opened(s, connection, context);
        else if (*context) {
                conn_closed(*context);
                *context = NULL;
        }
}

static Conn *find_conn(struct MHD_Connection *connection) {
        const union MHD_ConnectionInfo *info =
                        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

        return info ? info->socket_context : NULL;
}

/* --- Requests ------------------------------------------------------------------------------------- */

/* The request line has come: what this gives is *context in the calls below. MHD's own decoding of the
 * target is not used: it would turn %00 into the end of a string. */
static void *on_line(void *userdata, const char *target, struct MHD_Connection *connection) {
        Server *s = ASSERT_PTR(userdata);
        _cleanup_(request_freep) Request *r = NULL;
        Conn *c = find_conn(connection);

        if (!c)
                return NULL;
        r = request_new(s, s->userdata);
        if (!r)
                return NULL;
        r->connection = connection;
        r->conn = c;
        if (request_begin(r, target) < 0)
                return NULL;
        request_free(c->request);
        c->request = r;
        return TAKE_PTR(r);
}

static enum MHD_Result on_access(void *userdata, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *data, size_t *size,
                                 void **context) {
        size_t n = *size;

        if (!*context)
                return MHD_NO;
        *size = 0;
        return request_access(*context, method, data, n) ? MHD_YES : MHD_NO;
}

static void on_completed(void *userdata, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code) {
        Conn *c = find_conn(connection);

        *context = NULL;
        if (!c)
                return;
        c->request = request_free(c->request);
        conn_set_deadline(c, c->server->request_usec);
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

static int start_daemon(Server *s, int listen_fd) {
        const struct MHD_OptionItem options[] = {
                { MHD_OPTION_LISTEN_SOCKET, listen_fd, NULL },
                { MHD_OPTION_CONNECTION_LIMIT, (intptr_t) s->connections, NULL },
                { MHD_OPTION_CONNECTION_TIMEOUT, SERVER_SILENCE_SEC, NULL },
                { MHD_OPTION_CONNECTION_MEMORY_LIMIT, SERVER_CONNECTION_MEMORY, NULL },
                { MHD_OPTION_NOTIFY_CONNECTION, (intptr_t) on_connection, s },
                { MHD_OPTION_NOTIFY_COMPLETED, (intptr_t) on_completed, s },
                { MHD_OPTION_URI_LOG_CALLBACK, (intptr_t) on_line, s },
                { MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t) on_unescape, s },
                { MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL },
                { MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL },
                { MHD_OPTION_END, 0, NULL },
        };

        s->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME |
                                                     MHD_USE_ERROR_LOG,
                                     0, on_accept, s, on_access, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, s,
                                     MHD_OPTION_ARRAY, options, MHD_OPTION_END);
        return s->daemon ? 0 : -EIO;
}

int server_new(const ServerArgs *args, Server **ret) {
        _cleanup_(server_freep) Server *s = NULL;
        _cleanup_close_ int listen_fd = -EBADF;
        const union MHD_DaemonInfo *info;
        int r;

        assert(args);
        assert(ret);

        listen_fd = args->listen_fd;
        s = new0(Server, 1);
        if (!s)
                return -ENOMEM;
        s->event = sd_event_ref(args->event);
        s->userdata = args->userdata;
        s->connections = args->connections;
        s->per_address = args->per_address;
        s->request_usec = args->request_usec > 0 ? args->request_usec : SERVER_REQUEST_USEC;
        s->slots = new0(uint16_t, ADDRESS_SLOTS);
        if (!s->slots)
                return -ENOMEM;
        r = random_bytes(&s->hash_key, sizeof(s->hash_key));
        if (r < 0)
                return r;
        r = fd_set_nonblock(listen_fd, true);
        if (r < 0)
                return r;
        r = start_daemon(s, listen_fd);
        if (r < 0)
                return r;
        TAKE_FD(listen_fd);

        info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
        if (!info)
                return -EIO;
        r = sd_event_add_io(s->event, &s->io, info->epoll_fd, EPOLLIN, on_io, s);
        if (r < 0)
                return r;
        r = event_add_timer(s->event, &s->timer, 0, on_timer, s);
        if (r < 0)
                return r;
        r = event_add_timer(s->event, &s->sweep, MIN(SWEEP_USEC, s->request_usec / 4), on_sweep, s);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

/* libmicrohttpd accepts from one socket; we accept for it from the others. One connection a turn: what is
 * left makes the socket ready again. */
static int on_listen(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct sockaddr_storage address = {};
        socklen_t size = sizeof(address);
        Server *s = ASSERT_PTR(userdata);
        int connection;

        connection = accept4(fd, (struct sockaddr *) &address, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (connection < 0)
                return 0;
        /* Refused (a limit, a policy) means closed, by MHD. */
        if (MHD_add_connection(s->daemon, connection, (struct sockaddr *) &address, size) != MHD_YES)
                log_debug("A connection was refused.");
        return run_daemon(s);
}

int server_add_listen(Server *s, int fd) {
        _cleanup_close_ int owned = fd;
        Listen *l;
        int r;

        assert(s);

        if (s->n_listens >= ELEMENTSOF(s->listens))
                return -E2BIG;
        r = fd_set_nonblock(owned, true);
        if (r < 0)
                return r;
        l = &s->listens[s->n_listens];
        r = sd_event_add_io(s->event, &l->source, owned, EPOLLIN, on_listen, s);
        if (r < 0)
                return r;
        l->fd = TAKE_FD(owned);
        s->n_listens++;
        return 0;
}

static void close_listens(Server *s) {
        for (size_t i = 0; i < s->n_listens; i++) {
                sd_event_source_disable_unref(s->listens[i].source);
                safe_close(s->listens[i].fd);
        }
        s->n_listens = 0;
}

static bool is_busy(const Server *s) {
        for (const Conn *c = s->conns; c; c = c->next)
                if (c->request)
                        return true;
        return false;
}

void server_stop(Server *s, usec_t grace) {
        usec_t end;

        assert(s);

        if (s->is_stopping)
                return;
        s->is_stopping = true;
        close_listens(s);
        (void) safe_close(MHD_quiesce_daemon(s->daemon));
        for (Conn *c = s->conns; c; c = c->next)
                if (c->request)
                        request_cancel(c->request);
        end = usec_add(now_usec(CLOCK_MONOTONIC), grace);
        do
                (void) MHD_run_wait(s->daemon, 20);
        while (is_busy(s) && now_usec(CLOCK_MONOTONIC) < end);
}

Server *server_free(Server *s) {
        if (!s)
                return NULL;

        if (s->daemon) {
                server_stop(s, 0);
                MHD_stop_daemon(s->daemon);
        }
        sd_event_source_disable_unref(s->io);
        sd_event_source_disable_unref(s->timer);
        sd_event_source_disable_unref(s->sweep);
        sd_event_unref(s->event);
        free(s->slots);
        free(s);
        return NULL;
}
