/* SPDX-License-Identifier: Apache-2.0 */

/* One connection: connects, asks, reads the answer. An answer has a Content-Length, or no body. */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"

#include "tests/bench/fleet/fleet.h"

#define READ_SIZE 65536U

static int watch(Link *l, int operation) {
        struct epoll_event event = {
                .events = EPOLLIN | (l->wants_write ? (uint32_t) EPOLLOUT : 0U),
                .data.ptr = l,
        };

        return epoll_ctl(l->agent->fleet->epoll, operation, l->fd, &event);
}

static void want_write(Link *l, bool wanted) {
        if (l->wants_write == wanted)
                return;
        l->wants_write = wanted;
        (void) watch(l, EPOLL_CTL_MOD);
}

void link_close(Link *l) {
        if (l->asked == ASKED_CLAIM)
                l->agent->fleet->waiting--;
        if (l->asked == ASKED_CONNECT)
                l->agent->fleet->connecting--;
        l->asked = ASKED_NOTHING;
        SSL_free(l->ssl);
        l->ssl = NULL;
        if (l->fd >= 0) {
                (void) close(l->fd);
                l->agent->fleet->open--;
        }
        l->fd = -1;
        buffer_done(&l->in);
        buffer_done(&l->out);
}

void link_open(Link *l) {
        const FleetOptions *o = &l->agent->fleet->options;
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(o->port) };
        int one = 1;

        l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (l->fd < 0) {
                agent_failed(l, strerror(errno));
                return;
        }
        l->agent->fleet->open++;
        if (inet_pton(AF_INET, o->host, &address.sin_addr) != 1) {
                agent_failed(l, "no address");
                return;
        }
        (void) setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        l->asked = ASKED_CONNECT;
        l->agent->fleet->connecting++;
        if (connect(l->fd, (struct sockaddr *) &address, sizeof(address)) < 0 && errno != EINPROGRESS) {
                agent_failed(l, strerror(errno));
                return;
        }
        if (o->tls) {
                l->ssl = SSL_new(l->agent->fleet->tls);
                if (!l->ssl || SSL_set_fd(l->ssl, l->fd) != 1) {
                        agent_failed(l, "no TLS");
                        return;
                }
                SSL_set_connect_state(l->ssl);
        }
        l->wants_write = true;
        if (watch(l, EPOLL_CTL_ADD) < 0)
                agent_failed(l, strerror(errno));
}

/* --- Bytes ---------------------------------------------------------------------------------------- */

/* Bytes, 0 at the end, -EAGAIN, another negative errno. */
static ssize_t tls_result(Link *l, int n) {
        int error;

        if (n > 0)
                return n;
        error = SSL_get_error(l->ssl, n);
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
                return -EAGAIN;
        return error == SSL_ERROR_ZERO_RETURN ? 0 : -EPROTO;
}

static ssize_t link_read(Link *l, char *p, size_t n) {
        ssize_t got;

        if (l->ssl)
                return tls_result(l, SSL_read(l->ssl, p, (int) n));
        got = recv(l->fd, p, n, 0);
        return got < 0 ? -errno : got;
}

static ssize_t link_write(Link *l, const char *p, size_t n) {
        ssize_t sent;

        if (l->ssl)
                return tls_result(l, SSL_write(l->ssl, p, (int) n));
        sent = send(l->fd, p, n, MSG_NOSIGNAL);
        return sent < 0 ? -errno : sent;
}

static void flush(Link *l) {
        ssize_t n;

        while (l->out.size > 0) {
                n = link_write(l, l->out.data, l->out.size);
                if (n == -EAGAIN) {
                        want_write(l, true);
                        return;
                }
                if (n <= 0) {
                        agent_failed(l, "the connection broke while it was written to");
                        return;
                }
                buffer_consume(&l->out, (size_t) n);
        }
        buffer_done(&l->out);
        want_write(l, false);
}

void link_ask(Link *l, Asked asked, const char *path, const char *body) {
        int r;

        r = buffer_printf(&l->out,
                          "POST /api/v1/agent/%s HTTP/1.1\r\nHost: master.example.org\r\nUser-Agent: "
                          "backupx-agent/" BACKUPX_VERSION "\r\nAccept: */*\r\nAuthorization: Bearer "
                          "%s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                          path, l->agent->token, strlen(body), body);
        if (r < 0) {
                agent_failed(l, "out of memory");
                return;
        }
        l->asked = asked;
        l->since = now_usec(CLOCK_MONOTONIC);
        if (asked == ASKED_CLAIM)
                l->agent->fleet->waiting++;
        flush(l);
}

/* --- Answers -------------------------------------------------------------------------------------- */

/* Bytes of the whole answer, 0: not all of it is here. */
static size_t measure(const char *head, size_t n, unsigned *ret_status, size_t *ret_body) {
        const char *end = memmem(head, n, "\r\n\r\n", 4), *line;
        size_t length = 0;

        if (!end)
                return 0;
        *ret_status = (unsigned) strtoul(head + STRLEN("HTTP/1.1 "), NULL, 10);
        for (line = head; line && line < end; line = memchr(line, '\n', (size_t) (end - line))) {
                line++;
                if (strncasecmp(line, "content-length:", 15) == 0)
                        length = strtoul(line + 15, NULL, 10);
        }
        *ret_body = (size_t) (end + 4 - head);
        return *ret_body + length <= n ? *ret_body + length : 0;
}

static void take_answer(Link *l, const char *data, size_t n) {
        Asked asked = l->asked;
        unsigned status = 0;
        size_t body = 0, whole = measure(data, n, &status, &body);

        if (whole == 0) {
                if (l->in.data != data && buffer_add(&l->in, data, n) < 0)
                        agent_failed(l, "out of memory");
                return;
        }
        if (asked == ASKED_CLAIM)
                l->agent->fleet->waiting--;
        l->asked = ASKED_NOTHING;
        if (l->in.data == data) {
                _cleanup_buffer_ Buffer taken = l->in;

                l->in = BUFFER_NULL;
                agent_answered(l, asked, status, (const char *) taken.data + body, whole - body);
                return;
        }
        agent_answered(l, asked, status, data + body, whole - body);
}

static void read_answer(Link *l) {
        char data[READ_SIZE];
        ssize_t n;

        n = link_read(l, data, sizeof(data));
        if (n == -EAGAIN)
                return;
        if (n <= 0) {
                agent_failed(l, n == 0 ? "the master closed the connection" : strerror((int) -n));
                return;
        }
        if (l->asked == ASKED_NOTHING) {
                agent_failed(l, "an answer that nobody asked for");
                return;
        }
        if (l->in.size == 0) {
                take_answer(l, data, (size_t) n);
                return;
        }
        if (buffer_add(&l->in, data, (size_t) n) < 0)
                agent_failed(l, "out of memory");
        else
                take_answer(l, l->in.data, l->in.size);
}

/* True: connected, and the handshake is done. */
static bool finish_connect(Link *l) {
        socklen_t size = sizeof(int);
        int error = 0, n;

        if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error != 0) {
                agent_failed(l, strerror(error));
                return false;
        }
        if (l->ssl) {
                n = SSL_do_handshake(l->ssl);
                if (n != 1 && tls_result(l, n) == -EAGAIN) {
                        want_write(l, SSL_want_write(l->ssl));
                        return false;
                }
                if (n != 1) {
                        agent_failed(l, "the TLS handshake failed");
                        return false;
                }
        }
        l->asked = ASKED_NOTHING;
        l->agent->fleet->connecting--;
        want_write(l, false);
        return true;
}

void link_ready(Link *l, uint32_t events) {
        if (l->fd < 0)
                return;
        if (l->asked == ASKED_CONNECT) {
                if (finish_connect(l))
                        agent_go_on(l->agent, now_usec(CLOCK_MONOTONIC));
                return;
        }
        if (l->out.size > 0)
                flush(l);
        if (l->fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                read_answer(l);
}
