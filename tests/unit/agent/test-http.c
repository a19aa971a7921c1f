/* SPDX-License-Identifier: Apache-2.0 */

/* The real requests, against a server in a thread that answers what the path says. */

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/daemon/http-multi.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "sys/event.h"
#include "tests/test.h"

typedef struct Server {
        int fd;
        uint16_t port;
        pthread_t thread;
        char seen[4096]; /* the last request */
} Server;

static void answer(int fd, const char *request) {
        static const char *const answers[][2] = {
                { "GET /ok ", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" },
                { "POST /ok ", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npost" },
                { "GET /redirect ", "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n" },
                { "GET /busy ", "HTTP/1.1 429 Too Many\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n" },
                { "GET /short ", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello" },
                { "GET /junk ", "SSH-2.0-OpenSSH\r\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(answers); i++)
                if (startswith(request, answers[i][0]))
                        CHECK_OK(write_full(fd, answers[i][1], strlen(answers[i][1])));
        if (startswith(request, "GET /slow ")) {
                char byte;

                (void) !read(fd, &byte, 1); /* until the other side gives up */
        }
}

static void *serve(void *userdata) {
        Server *s = userdata;

        for (;;) {
                _cleanup_close_ int fd = accept(s->fd, NULL, NULL);
                size_t n = 0;

                if (fd < 0)
                        return NULL;
                while (n < sizeof(s->seen) - 1 && !strstr(s->seen, "\r\n\r\n")) {
                        ssize_t k = read(fd, s->seen + n, sizeof(s->seen) - 1 - n);

                        if (k <= 0)
                                break;
                        n += (size_t) k;
                        s->seen[n] = 0;
                }
                answer(fd, s->seen);
                (void) shutdown(fd, SHUT_WR);
        }
}

static void server_start(Server *s) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t n = sizeof(a);

        *s = (Server){};
        s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK_OK(bind(s->fd, (struct sockaddr *) &a, sizeof(a)));
        CHECK_OK(listen(s->fd, 16));
        CHECK_OK(getsockname(s->fd, (struct sockaddr *) &a, &n));
        s->port = ntohs(a.sin_port);
        CHECK_INT(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(Server *s) {
        (void) shutdown(s->fd, SHUT_RDWR);
        (void) pthread_join(s->thread, NULL);
        safe_close(s->fd);
}

typedef struct Got {
        sd_event *event;
        unsigned n;
        int error;
        unsigned status;
        usec_t retry_after;
        char body[64];
} Got;

static void done(const HttpReply *reply, void *userdata) {
        Got *g = userdata;

        g->n++;
        g->error = reply->error;
        g->status = reply->status;
        g->retry_after = reply->retry_after;
        CHECK(reply->size < sizeof(g->body));
        memcpy(g->body, reply->body, reply->size + 1);
        CHECK((reply->error != 0) == (reply->reason != NULL));
        CHECK_OK(sd_event_exit(g->event, 0));
}

static Got ask(Server *s, const char *path, const char *body, usec_t timeout) {
        _cleanup_(http_multi_freep) HttpMulti *m = NULL;
        _cleanup_event_ sd_event *event = NULL;
        char url[128];
        Got g = {};
        HttpCall call = {
                .method = body ? "POST" : "GET",
                .url = url,
                .bearer = "bxn_secret",
                .body = body,
                .body_size = body ? strlen(body) : 0,
                .reply_max = 20,
                .timeout = timeout,
                .done = done,
                .userdata = &g,
        };

        s->seen[0] = 0;
        snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", s->port, path);
        CHECK_OK(event_new(&event));
        g.event = event;
        CHECK_OK(http_multi_new(event, &(const HttpSettings){}, &m));
        CHECK_OK(http_multi_start(m, &call, NULL));
        CHECK_OK(sd_event_loop(event));
        CHECK_INT(g.n, 1);
        return g;
}

static void test_answers(Server *s) {
        Got g = ask(s, "/ok", NULL, 0);

        CHECK_INT(g.error, 0);
        CHECK_INT(g.status, 200);
        CHECK_STR(g.body, "hello");
        CHECK(strstr(s->seen, "Authorization: Bearer bxn_secret\r\n"));
        g = ask(s, "/ok", "{\"a\":1}", 0);
        CHECK_STR(g.body, "post");
        CHECK(strstr(s->seen, "Content-Type: application/json\r\n"));
        CHECK(!strstr(s->seen, "Expect:"));
}

/* The token would go with it. */
static void test_redirect_is_not_followed(Server *s) {
        Got g = ask(s, "/redirect", NULL, 0);

        CHECK_INT(g.error, 0);
        CHECK_INT(g.status, 302);
        CHECK_STR(g.body, "");
}

static void test_retry_after(Server *s) {
        Got g = ask(s, "/busy", NULL, 0);

        CHECK_INT(g.status, 429);
        CHECK_INT(g.retry_after, 9 * USEC_PER_SEC);
}

static void test_failures(Server *s) {
        CHECK(ask(s, "/short", NULL, 0).error < 0);
        CHECK(ask(s, "/junk", NULL, 0).error < 0);
        CHECK_INT(ask(s, "/slow", NULL, USEC_PER_SEC / 5).error, -ETIMEDOUT);
}

static void test_too_large(Server *s) {
        _cleanup_(http_multi_freep) HttpMulti *m = NULL;
        _cleanup_event_ sd_event *event = NULL;
        char url[128];
        Got g = {};
        HttpCall call = {
                .method = "GET",
                .url = url,
                .reply_max = 4,
                .done = done,
                .userdata = &g,
        };

        s->seen[0] = 0;
        snprintf(url, sizeof(url), "http://127.0.0.1:%u/ok", s->port);
        CHECK_OK(event_new(&event));
        g.event = event;
        CHECK_OK(http_multi_new(event, &(const HttpSettings){}, &m));
        CHECK_OK(http_multi_start(m, &call, NULL));
        CHECK_OK(sd_event_loop(event));
        CHECK_INT(g.error, -EMSGSIZE);
}

static void test_nobody_listens(void) {
        Server s;

        server_start(&s);
        server_stop(&s);
        CHECK_INT(ask(&s, "/ok", NULL, 0).error, -ECONNREFUSED);
}

static void test_freed_under_way(Server *s) {
        _cleanup_(http_multi_freep) HttpMulti *m = NULL;
        _cleanup_event_ sd_event *event = NULL;
        HttpRequest *one = NULL, *two = NULL;
        char url[128];
        Got g = {};
        HttpCall call = { .method = "GET", .url = url, .done = done, .userdata = &g };

        s->seen[0] = 0;
        snprintf(url, sizeof(url), "http://127.0.0.1:%u/slow", s->port);
        CHECK_OK(event_new(&event));
        g.event = event;
        CHECK_OK(http_multi_new(event, &(const HttpSettings){}, &m));
        CHECK_OK(http_multi_start(m, &call, &one));
        CHECK_OK(http_multi_start(m, &call, &two));
        for (unsigned i = 0; i < 20; i++)
                CHECK_OK(sd_event_run(event, 5 * USEC_PER_MSEC));
        http_request_free(one);
        CHECK_INT(g.n, 0);
}

int main(void) {
        Server s;

        server_start(&s);
        fprintf(stderr, "# test_answers\n");
        test_answers(&s);
        fprintf(stderr, "# test_redirect_is_not_followed\n");
        test_redirect_is_not_followed(&s);
        fprintf(stderr, "# test_retry_after\n");
        test_retry_after(&s);
        fprintf(stderr, "# test_failures\n");
        test_failures(&s);
        fprintf(stderr, "# test_too_large\n");
        test_too_large(&s);
        fprintf(stderr, "# test_freed_under_way\n");
        test_freed_under_way(&s);
        server_stop(&s);
        RUN(test_nobody_listens);
        return 0;
}
