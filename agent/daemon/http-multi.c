/* SPDX-License-Identifier: Apache-2.0 */

/* libcurl says which sockets it waits for (socket_changed()) and when it wants to be called at the latest
 * (timer_changed()); both become event sources. After every action finished transfers are taken from its
 * queue. Callbacks of ours run from there and never from within libcurl, which may not be entered twice. */

#include <stdio.h>

#include <curl/curl.h>

#include "agent/daemon/http-multi.h"
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/place.h"
#include "base/text.h"
#include "sys/event.h"

/* Idle connections kept for the next request; and for how long, looked at with each request. What we ask
 * while nothing runs goes over one: with thousands of agents it is connections that cost the master. */
#define CONNECTIONS_KEPT 4L
#define CONNECTION_KEPT_SEC 10L

struct HttpMulti {
        sd_event *event;
        CURLM *curl;
        sd_event_source *timer;
        char *proxy_url;
        char *ca_cert;
        char *pin;
        bool insecure_tls;
        HttpRequest *requests; /* list */
};

struct HttpRequest {
        HttpMulti *multi; /* weak */
        HttpRequest *next, *prev;
        CURL *easy;
        struct curl_slist *headers;
        char error[CURL_ERROR_SIZE];
        Buffer body;
        bool too_large;
        HttpDone done;
        void *userdata;
};

static size_t receive(char *data, size_t size, size_t n, void *userdata) {
        HttpRequest *r = ASSERT_PTR(userdata);

        assert(size == 1);

        /* Another count than n ends the transfer. */
        if (buffer_add(&r->body, data, n) < 0) {
                r->too_large = true;
                return 0;
        }
        return n;
}

static int error_of_code(CURLcode code) {
        switch ((int) code) {
        case CURLE_OUT_OF_MEMORY:
                return -ENOMEM;
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_RESOLVE_PROXY:
                return -EHOSTUNREACH;
        case CURLE_COULDNT_CONNECT:
                return -ECONNREFUSED;
        case CURLE_OPERATION_TIMEDOUT:
                return -ETIMEDOUT;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        case CURLE_SSL_CACERT_BADFILE:
                return -EKEYREJECTED;
        case CURLE_WRITE_ERROR:
                return -EMSGSIZE;
        default: /* not an enum of ours */
                return -EIO;
        }
}

/* For people: why there is no answer, and where they can do something about it. */
static const char *reason_of(const HttpRequest *r, CURLcode code, char *buf, size_t n) {
        const char *reason = r->error[0] ? r->error : curl_easy_strerror(code);

        if (r->too_large)
                return "the answer is larger than it may be";
        if (code == CURLE_SSL_PINNEDPUBKEYNOTMATCH)
                return "the key that answers there is not the one that was pinned: another machine, or "
                       "a master that was set up anew";
        if (code != CURLE_PEER_FAILED_VERIFICATION)
                return reason;
        (void) snprintf(buf, n, "%s. Pin its key (--pin, pin:) or name its authority (--ca-cert, ca_cert:)",
                        reason);
        return buf;
}

static void request_finish(HttpRequest *r, CURLcode code) {
        char text[CURL_ERROR_SIZE + 128];
        HttpReply reply = {};
        long status = 0;
        curl_off_t after = 0;

        assert(r);

        (void) curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
        (void) curl_easy_getinfo(r->easy, CURLINFO_RETRY_AFTER, &after);
        if (code != CURLE_OK) {
                reply.error = r->too_large ? -EMSGSIZE : error_of_code(code);
                reply.reason = reason_of(r, code, text, sizeof(text));
        }
        reply.status = (unsigned) status;
        reply.retry_after = after > 0 ? (usec_t) after * USEC_PER_SEC : 0;
        reply.body = r->body.data ? r->body.data : "";
        reply.size = r->body.size;

        if (r->done)
                r->done(&reply, r->userdata);
}

static void take_finished(HttpMulti *m) {
        CURLMsg *message;
        int left;

        assert(m);

        while ((message = curl_multi_info_read(m->curl, &left))) {
                HttpRequest *r = NULL;
                CURLcode code = message->data.result;

                if (message->msg != CURLMSG_DONE)
                        continue;
                if (curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &r) != CURLE_OK ||
                    !r)
                        continue;
                request_finish(r, code);
                http_request_free(r);
        }
}

static void act(HttpMulti *m, curl_socket_t fd, int what) {
        int running;

        assert(m);

        (void) curl_multi_socket_action(m->curl, fd, what, &running);
        take_finished(m);
}

static int on_socket(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        HttpMulti *m = ASSERT_PTR(userdata);
        int what = 0;

        if (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP))
                what |= CURL_CSELECT_IN;
        if (events & EPOLLOUT)
                what |= CURL_CSELECT_OUT;
        if (events & EPOLLERR)
                what |= CURL_CSELECT_ERR;
        act(m, fd, what);
        return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        HttpMulti *m = ASSERT_PTR(userdata);

        act(m, CURL_SOCKET_TIMEOUT, 0);
        return 0;
}

static int socket_changed(CURL *easy, curl_socket_t fd, int what, void *userdata, void *socket_data) {
        HttpMulti *m = ASSERT_PTR(userdata);
        sd_event_source *source = socket_data;
        uint32_t events = 0;
        int r;

        if (what == CURL_POLL_REMOVE) {
                sd_event_source_disable_unref(source);
                return 0;
        }
        if (what & CURL_POLL_IN)
                events |= EPOLLIN;
        if (what & CURL_POLL_OUT)
                events |= EPOLLOUT;
        if (source)
                return sd_event_source_set_io_events(source, events) < 0 ? -1 : 0;

        r = sd_event_add_io(m->event, &source, fd, events, on_socket, m);
        if (r < 0)
                return -1;
        return curl_multi_assign(m->curl, fd, source) == CURLM_OK ? 0 : -1;
}

static int timer_changed(CURLM *curl, long timeout_ms, void *userdata) {
        HttpMulti *m = ASSERT_PTR(userdata);
        usec_t delay = timeout_ms < 0 ? USEC_INFINITY : (usec_t) timeout_ms * USEC_PER_MSEC;

        return event_rearm(m->timer, delay) < 0 ? -1 : 0;
}

static int multi_copy_settings(HttpMulti *m, const HttpSettings *settings) {
        int r;

        assert(m);
        assert(settings);

        r = free_and_strdup(&m->proxy_url, settings->proxy_url);
        if (r >= 0)
                r = free_and_strdup(&m->ca_cert, settings->ca_cert);
        if (r >= 0)
                r = free_and_strdup(&m->pin, settings->pin);
        m->insecure_tls = settings->insecure_tls;
        return r;
}

int http_multi_new(sd_event *event, const HttpSettings *settings, HttpMulti **ret) {
        _cleanup_(http_multi_freep) HttpMulti *m = NULL;
        int r;

        assert(event);
        assert(settings);
        assert(ret);

        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return -EIO;
        m = new0(HttpMulti, 1);
        if (!m)
                return -ENOMEM;
        m->event = sd_event_ref(event);
        r = multi_copy_settings(m, settings);
        if (r < 0)
                return r;
        r = event_add_timer(event, &m->timer, USEC_INFINITY, on_timer, m);
        if (r < 0)
                return r;
        m->curl = curl_multi_init();
        if (!m->curl)
                return -ENOMEM;
        if (curl_multi_setopt(m->curl, CURLMOPT_SOCKETFUNCTION, socket_changed) != CURLM_OK ||
            curl_multi_setopt(m->curl, CURLMOPT_SOCKETDATA, m) != CURLM_OK ||
            curl_multi_setopt(m->curl, CURLMOPT_TIMERFUNCTION, timer_changed) != CURLM_OK ||
            curl_multi_setopt(m->curl, CURLMOPT_TIMERDATA, m) != CURLM_OK ||
            curl_multi_setopt(m->curl, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT) != CURLM_OK ||
            curl_multi_setopt(m->curl, CURLMOPT_MAX_HOST_CONNECTIONS, (long) HTTP_CONNECTIONS_MAX) !=
                            CURLM_OK)
                return -EIO;

        *ret = TAKE_PTR(m);
        return 0;
}

HttpMulti *http_multi_free(HttpMulti *m) {
        if (!m)
                return NULL;

        while (m->requests)
                http_request_free(m->requests);
        if (m->curl)
                (void) curl_multi_cleanup(m->curl);
        sd_event_source_disable_unref(m->timer);
        sd_event_unref(m->event);
        free(m->proxy_url);
        free(m->ca_cert);
        free(m->pin);
        return mfree(m);
}

HttpRequest *http_request_free(HttpRequest *r) {
        if (!r)
                return NULL;

        if (r->multi) {
                (void) curl_multi_remove_handle(r->multi->curl, r->easy);
                if (r->prev)
                        r->prev->next = r->next;
                else
                        r->multi->requests = r->next;
                if (r->next)
                        r->next->prev = r->prev;
        }
        if (r->easy)
                curl_easy_cleanup(r->easy);
        curl_slist_free_all(r->headers);
        buffer_done(&r->body);
        return mfree(r);
}

DEFINE_CLEANUP(HttpRequest *, http_request_free);

static int add_header(HttpRequest *r, const char *line) {
        struct curl_slist *l = curl_slist_append(r->headers, line);

        if (!l)
                return -ENOMEM;
        r->headers = l;
        return 0;
}

static int add_headers(HttpRequest *r, const HttpCall *call) {
        _cleanup_(erase_and_freep) char *bearer = NULL;
        int e;

        assert(call);

        /* Without this curl asks before each larger body whether it may be sent, and waits a second. */
        e = add_header(r, "Expect:");
        if (e >= 0)
                e = add_header(r, "Accept: application/json");
        if (e >= 0 && call->body)
                e = add_header(r, "Content-Type: application/json");
        if (e < 0 || !call->bearer)
                return e;
        e = asprintf_safe(&bearer, "Authorization: Bearer %s", call->bearer);
        if (e < 0)
                return e;
        return add_header(r, bearer);
}

#define SET(option, value) (curl_easy_setopt(r->easy, (option), (value)) == CURLE_OK)

/* Who may answer. */
static bool set_trust(HttpRequest *r, const HttpMulti *m) {
        assert(m);

        /* With a pinned key chain and name are not looked at: the certificate is usually self-signed, and a
         * renewed one keeps its key. */
        bool verify = !m->insecure_tls && !m->pin;
        const char *ca_cert = m->ca_cert ?: place_ca_bundle(curl_version_info(CURLVERSION_NOW)->cainfo);

        return SET(CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L) &&
                        SET(CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L) &&
                        SET(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2) &&
                        (!m->pin || SET(CURLOPT_PINNEDPUBLICKEY, m->pin)) &&
                        (!ca_cert || SET(CURLOPT_CAINFO, ca_cert)) &&
                        (!m->proxy_url || SET(CURLOPT_PROXY, m->proxy_url));
}

static bool set_limits(HttpRequest *r, const HttpCall *call) {
        return SET(CURLOPT_CONNECTTIMEOUT_MS, (long) (HTTP_CONNECT_TIMEOUT / USEC_PER_MSEC)) &&
                        SET(CURLOPT_TIMEOUT_MS, (long) (call->timeout / USEC_PER_MSEC)) &&
                        SET(CURLOPT_LOW_SPEED_LIMIT, call->timeout > 0 ? 0L : 1L) &&
                        SET(CURLOPT_LOW_SPEED_TIME, (long) (HTTP_STALL_TIMEOUT / USEC_PER_SEC)) &&
                        SET(CURLOPT_TCP_KEEPALIVE, 1L) && SET(CURLOPT_TCP_KEEPIDLE, 20L) &&
                        SET(CURLOPT_TCP_KEEPINTVL, 10L) && SET(CURLOPT_NOSIGNAL, 1L) &&
                        SET(CURLOPT_MAXAGE_CONN, CONNECTION_KEPT_SEC) &&
                        /* The resolver is a thread: not waited for when the request ends before it. */
                        SET(CURLOPT_QUICK_EXIT, 1L);
}

static bool set_request(HttpRequest *r, const HttpCall *call) {
        bool ok = SET(CURLOPT_URL, call->url) && SET(CURLOPT_PROTOCOLS_STR, "http,https") &&
                        SET(CURLOPT_FOLLOWLOCATION, 0L) && SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) &&
                        SET(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED) &&
                        SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1) &&
                        SET(CURLOPT_USERAGENT, "backupx-agent/" BACKUPX_VERSION) &&
                        SET(CURLOPT_ERRORBUFFER, r->error) && SET(CURLOPT_WRITEFUNCTION, receive) &&
                        SET(CURLOPT_WRITEDATA, r) && SET(CURLOPT_PRIVATE, r) &&
                        SET(CURLOPT_HTTPHEADER, r->headers);

        if (!ok || streq(call->method, "GET"))
                return ok;
        return SET(CURLOPT_POST, 1L) && SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) call->body_size) &&
                        SET(CURLOPT_COPYPOSTFIELDS, call->body ? call->body : "");
}

#undef SET

int http_multi_start(HttpMulti *m, const HttpCall *call, HttpRequest **ret) {
        _cleanup_(http_request_freep) HttpRequest *r = NULL;
        int e;

        assert(m);
        assert(call);
        assert(call->method);
        assert(call->url);

        r = new0(HttpRequest, 1);
        if (!r)
                return -ENOMEM;
        r->done = call->done;
        r->userdata = call->userdata;
        r->body = BUFFER_LIMITED(call->reply_max);
        r->easy = curl_easy_init();
        if (!r->easy)
                return -ENOMEM;
        e = add_headers(r, call);
        if (e < 0)
                return e;
        if (!set_request(r, call) || !set_limits(r, call) || !set_trust(r, m))
                return -EINVAL;
        if (curl_multi_add_handle(m->curl, r->easy) != CURLM_OK)
                return -EIO;

        r->multi = m;
        r->next = m->requests;
        if (r->next)
                r->next->prev = r;
        m->requests = r;
        if (ret)
                *ret = r;
        r = NULL; /* the list has it */
        return 0;
}
