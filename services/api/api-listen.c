/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "sys/daemon.h"
#include "sys/log.h"

#include "services/api/api-listen.h"
#include "services/api/api-tls.h"

typedef struct Sockets {
        int fds[SERVER_LISTENS_MAX]; /* negative: given away */
        ListenKind kinds[SERVER_LISTENS_MAX];
        size_t n;
} Sockets;

static void sockets_done(Sockets *s) {
        for (size_t i = 0; i < s->n; i++)
                safe_close(s->fds[i]);
}

/* The sockets of the unit; without one of them, our own. */
static int find_sockets(const Api *api, Sockets *s) {
        const char *address = api->config.listen ? api->config.listen : API_LISTEN_DEFAULT;
        int fd;

        assert(s);

        while ((fd = daemon_listen_fd("http", (unsigned) s->n)) >= 0) {
                if (s->n >= ELEMENTSOF(s->fds)) {
                        safe_close(fd);
                        return log_error_errno(E2BIG, "Failed to serve more than %u sockets named http: %m",
                                               SERVER_LISTENS_MAX);
                }
                s->fds[s->n++] = fd;
        }
        if (fd != -ENOENT)
                return log_error_errno(fd, "Failed to take socket %zu named http: %m", s->n);
        if (s->n > 0)
                return 0;
        fd = daemon_bind_tcp(address);
        if (fd < 0)
                return log_error_errno(fd, "Failed to listen on %s: %m", address);
        s->fds[s->n++] = fd;
        return 0;
}

/* 0: a local socket. */
static uint16_t port_of(int fd) {
        struct sockaddr_storage address = {};
        socklen_t size = sizeof(address);

        if (getsockname(fd, (struct sockaddr *) &address, &size) < 0)
                return 0;
        if (address.ss_family == AF_INET)
                return ntohs(((struct sockaddr_in *) &address)->sin_port);
        return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *) &address)->sin6_port) : 0;
}

static ListenKind kind_of(TlsMode mode, int fd) {
        bool local = server_socket_is_local(fd);

        switch (mode) {
        case TLS_OFF:
                return LISTEN_PLAIN;
        case TLS_ON:
                return port_of(fd) == 0 ? LISTEN_PLAIN : LISTEN_TLS;
        case TLS_AUTO:
        case _TLS_MODE_MAX:
        case _TLS_MODE_INVALID:
                break;
        }
        return local ? LISTEN_PLAIN : LISTEN_TLS_BUT_LOOPBACK;
}

static int note(Api *api, Sockets *s, size_t i) {
        _cleanup_(freep) char *name = NULL;
        int r;

        assert(api);
        assert(s);

        r = server_socket_name(s->fds[i], &name);
        if (r >= 0)
                r = strv_extend(&api->listen_addresses, name);
        if (r < 0)
                return log_error_errno(r, "Failed to look at a listening socket: %m");
        s->kinds[i] = kind_of(api->config.tls, s->fds[i]);
        if (s->kinds[i] != LISTEN_PLAIN)
                api->tls_ports[api->n_tls_ports++] = port_of(s->fds[i]);
        else if (!server_socket_is_local(s->fds[i]))
                log_warning("%s is served without TLS: passwords and tokens can be read on their way, "
                            "unless only a proxy with TLS reaches it.",
                            name);
        return 0;
}

static int add_all(Api *api, Sockets *s) {
        assert(api);
        assert(s);

        for (size_t i = 0; i < s->n; i++) {
                int r = server_add_listen(api->server, TAKE_FD(s->fds[i]), s->kinds[i]);

                if (r < 0)
                        return log_error_errno(r, "Failed to serve on %s: %m", api->listen_addresses[i]);
                log_info("Serving on %s%s.", api->listen_addresses[i],
                         s->kinds[i] == LISTEN_PLAIN ? "" : " with TLS");
        }
        if (*api->tls.pin)
                log_info("The pin of our certificate is %s.", api->tls.pin);
        return 0;
}

int api_listen(Api *api) {
        _cleanup_(tls_identity_unrefp) TlsIdentity *identity = NULL;
        _cleanup_(sockets_done) Sockets s = {};
        int r;

        assert(api);

        r = find_sockets(api, &s);
        for (size_t i = 0; i < s.n && r >= 0; i++)
                r = note(api, &s, i);
        if (r >= 0 && api->n_tls_ports > 0)
                r = api_tls_load(api, s.fds, s.n, &identity);
        if (r < 0)
                return r;
        r = server_new(&(ServerArgs){
                                       .event = api->event,
                                       .identity = identity,
                                       .connections = api->config.connections,
                                       .per_address = api->config.connections_per_address,
                                       .request_usec = api->config.request_timeout,
                                       .userdata = api,
                       },
                       &api->server);
        if (r < 0)
                return log_error_errno(r, "Failed to start the HTTP server: %m");
        r = add_all(api, &s);
        return r < 0 ? r : api_tls_watch(api);
}
