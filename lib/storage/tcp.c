/* SPDX-License-Identifier: Apache-2.0 */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/tcp.h"

#define CONNECT_TIMEOUT_MS 30000L

struct Tcp {
        CURL *easy; /* has the socket */
        int fd;
        TcpOverFunc is_over;
        void *userdata;
};

static int on_progress(void *userdata, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up) {
        const Tcp *t = ASSERT_PTR(userdata);

        return t->is_over(t->userdata);
}

/* Nothing is spoken; the scheme is only that of an address. */
static int set_options(Tcp *t, const char *host, uint16_t port, char *error) {
        bool bare = strchr(host, ':') && host[0] != '[', ok; /* an address of IPv6 */
        const long timeout = CONNECT_TIMEOUT_MS;
        _cleanup_(freep) char *url = NULL;
        CURL *e = t->easy;
        int r;

        r = asprintf_safe(&url, "http://%s%s%s:%u", bare ? "[" : "", host, bare ? "]" : "", port);
        if (r < 0)
                return r;
        ok = curl_easy_setopt(e, CURLOPT_URL, url) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, timeout) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_ERRORBUFFER, error) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_XFERINFODATA, t) == CURLE_OK;
        return ok ? 0 : -EINVAL;
}

int tcp_connect(const char *host, uint16_t port, TcpOverFunc is_over, void *userdata, Tcp **ret,
                char error[static TCP_ERROR_MAX]) {
        char words[CURL_ERROR_SIZE] = "";
        curl_socket_t fd = CURL_SOCKET_BAD;
        _cleanup_(tcp_freep) Tcp *t = NULL;
        CURLcode code = CURLE_FAILED_INIT;
        int r;

        assert(host);
        assert(is_over);
        assert(ret);

        (void) snprintf(error, TCP_ERROR_MAX, "out of memory");
        t = new0(Tcp, 1);
        if (!t || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return -ENOMEM;
        t->is_over = is_over;
        t->userdata = userdata;
        t->easy = curl_easy_init();
        if (!t->easy)
                return -ENOMEM;
        r = set_options(t, host, port, words);
        if (r >= 0)
                code = curl_easy_perform(t->easy);
        (void) curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, NULL);
        if (code == CURLE_OK)
                code = curl_easy_getinfo(t->easy, CURLINFO_ACTIVESOCKET, &fd);
        (void) snprintf(error, TCP_ERROR_MAX, "%s", words[0] ? words : curl_easy_strerror(code));
        if (r < 0 || code == CURLE_URL_MALFORMAT)
                return -EINVAL;
        if (code == CURLE_ABORTED_BY_CALLBACK)
                return -ECANCELED;
        if (code != CURLE_OK || fd == CURL_SOCKET_BAD)
                return -EHOSTUNREACH;
        t->fd = (int) fd;
        *ret = TAKE_PTR(t);
        return 0;
}

Tcp *tcp_free(Tcp *t) {
        if (!t)
                return NULL;
        curl_easy_cleanup(t->easy);
        return mfree(t);
}

int tcp_fd(const Tcp *t) {
        assert(t);

        return t->fd;
}
