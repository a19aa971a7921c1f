/* SPDX-License-Identifier: Apache-2.0 */

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/place.h"
#include "base/text.h"
#include "storage/http.h"

#define CONNECT_TIMEOUT_MS 30000L

struct HttpClient {
        CURL *easy;
        HttpClientArgs args; /* texts were given to curl, which copies them */
        char *authorization; /* the header; a secret */

        /* Of the request that runs. */
        const char *upload;
        size_t upload_left, upload_size;
        HttpAnswer *answer;
        curl_off_t moved;
        usec_t moved_at;
        bool stalled, overflow;
};

/* --- Callbacks ---------------------------------------------------------------------------------------- */

static size_t on_read(char *buf, size_t size, size_t n, void *userdata) {
        HttpClient *c = ASSERT_PTR(userdata);
        size_t part = MIN(size * n, c->upload_left);

        if (part > 0) {
                part = pace_wait(c->args.pace, part, c->args.cancel);
                if (part == 0)
                        return CURL_READFUNC_ABORT;
        }
        memcpy(buf, c->upload, part);
        c->upload += part;
        c->upload_left -= part;
        return part;
}

/* Curl rewinds where a kept connection turned out dead; nothing else. */
static int on_seek(void *userdata, curl_off_t offset, int origin) {
        HttpClient *c = ASSERT_PTR(userdata);

        if (origin != SEEK_SET || offset < 0 || (size_t) offset > c->upload_size)
                return CURL_SEEKFUNC_FAIL;
        c->upload -= (c->upload_size - c->upload_left) - (size_t) offset;
        c->upload_left = c->upload_size - (size_t) offset;
        return CURL_SEEKFUNC_OK;
}

static size_t on_write(char *p, size_t size, size_t n, void *userdata) {
        HttpClient *c = ASSERT_PTR(userdata);

        if (buffer_add(&c->answer->body, p, size * n) < 0) {
                c->overflow = true;
                return CURL_WRITEFUNC_ERROR;
        }
        return size * n;
}

static int on_progress(void *userdata, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up) {
        HttpClient *c = ASSERT_PTR(userdata);
        usec_t now = now_usec(CLOCK_MONOTONIC);

        if (c->args.cancel && atomic_load_explicit(c->args.cancel, memory_order_relaxed))
                return 1;
        if (down + up != c->moved) {
                c->moved = down + up;
                c->moved_at = now;
                if (c->args.moved)
                        c->args.moved(c->args.userdata);
        } else if (now > usec_add(c->moved_at, c->args.stall)) {
                c->stalled = true;
                return 1;
        }
        return 0;
}

/* --- The client --------------------------------------------------------------------------------------- */

static int client_set_options(HttpClient *c) {
        const HttpClientArgs *args = &c->args;
        /* A pin says which key it must be; the name and the chain then say nothing more. */
        long verify = args->insecure_tls || args->pin ? 0 : 1;
        const char *ca_cert = args->ca_cert ?: place_ca_bundle(curl_version_info(CURLVERSION_NOW)->cainfo);
        const long version = CURL_HTTP_VERSION_1_1;
        CURL *e = c->easy;
        bool ok;

        ok = curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_HTTP_VERSION, version) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 256L << 10) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_USERAGENT, "backupx/" BACKUPX_VERSION) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_PROXY, strempty(args->proxy_url)) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, verify) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, verify * 2) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_XFERINFODATA, c) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_WRITEDATA, c) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_READDATA, c) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_SEEKDATA, c) == CURLE_OK;
        if (ok && ca_cert)
                ok = curl_easy_setopt(e, CURLOPT_CAINFO, ca_cert) == CURLE_OK;
        if (ok && args->pin)
                ok = curl_easy_setopt(e, CURLOPT_PINNEDPUBLICKEY, args->pin) == CURLE_OK;
        return ok ? 0 : -EOPNOTSUPP;
}

int http_client_new(const HttpClientArgs *args, HttpClient **ret) {
        _cleanup_(http_client_freep) HttpClient *c = NULL;
        int r;

        assert(args);
        assert(ret);

        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return -ENOMEM;
        c = new0(HttpClient, 1);
        if (!c)
                return -ENOMEM;
        c->args = *args;
        c->easy = curl_easy_init();
        if (!c->easy)
                return -ENOMEM;
        r = client_set_options(c);
        if (r < 0)
                return r;
        if (args->bearer) {
                r = asprintf_safe(&c->authorization, "Authorization: Bearer %s", args->bearer);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(c);
        return 0;
}

HttpClient *http_client_free(HttpClient *c) {
        if (!c)
                return NULL;
        curl_easy_cleanup(c->easy);
        erase_and_free(c->authorization);
        return mfree(c);
}

/* --- Requests ----------------------------------------------------------------------------------------- */

static void headers_free(struct curl_slist **headers) {
        curl_slist_free_all(*headers);
}

static int header_add(struct curl_slist **headers, const char *line) {
        struct curl_slist *grown = curl_slist_append(*headers, line);

        if (!grown)
                return -ENOMEM;
        *headers = grown;
        return 0;
}

static int headers_make(const HttpClient *c, const HttpRequest *q, struct curl_slist **ret) {
        _cleanup_(headers_free) struct curl_slist *headers = NULL;
        _cleanup_(freep) char *type = NULL, *range = NULL;
        int r = 0;

        assert(c);
        assert(q);

        if (c->authorization)
                r = header_add(&headers, c->authorization);
        /* Asking first whether the body is welcome costs a round trip for each part. */
        if (r >= 0)
                r = header_add(&headers, "Expect:");
        if (r >= 0 && q->body) {
                r = asprintf_safe(&type, "Content-Type: %s",
                                  q->content_type ? q->content_type : "application/octet-stream");
                if (r >= 0)
                        r = header_add(&headers, type);
        }
        if (r >= 0 && q->ranged) {
                r = asprintf_safe(&range, "Range: bytes=%" PRIu64 "-%" PRIu64, q->range_first,
                                  q->range_last);
                if (r >= 0)
                        r = header_add(&headers, range);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(headers);
        return 0;
}

static int request_prepare(HttpClient *c, const HttpRequest *q, struct curl_slist *headers) {
        bool head = streq(q->method, "HEAD"), ok;
        const curl_off_t size = (curl_off_t) q->body_size;
        CURL *e = c->easy;

        ok = curl_easy_setopt(e, CURLOPT_HTTPGET, 1L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_NOBODY, head ? 1L : 0L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_UPLOAD, q->body ? 1L : 0L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, size) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, head ? NULL : q->method) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_URL, q->url) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_ERRORBUFFER, c->answer->error) == CURLE_OK;
        return ok ? 0 : -EINVAL;
}

static int error_from_curl(const HttpClient *c, CURLcode code) {
        assert(c);

        switch ((int) code) {
        case CURLE_OK:
                return 0;
        case CURLE_OUT_OF_MEMORY:
                return -ENOMEM;
        case CURLE_ABORTED_BY_CALLBACK:
                return c->stalled ? -ETIMEDOUT : -ECANCELED;
        case CURLE_OPERATION_TIMEDOUT:
                return -ETIMEDOUT;
        case CURLE_WRITE_ERROR:
                return c->overflow ? -EFBIG : -EPROTO;
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_RESOLVE_PROXY:
        case CURLE_COULDNT_CONNECT:
                return -EHOSTUNREACH;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        case CURLE_SSL_CACERT_BADFILE:
                return -EKEYREJECTED;
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
                return -EINVAL;
        }
        return -ECONNRESET;
}

static void answer_fill(HttpClient *c, HttpAnswer *a) {
        curl_off_t length = -1, retry = 0;

        (void) curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &a->status);
        (void) curl_easy_getinfo(c->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        (void) curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &retry);
        a->content_length = length;
        a->retry_after = retry > 0 ? (usec_t) retry * USEC_PER_SEC : 0;
}

int http_client_request(HttpClient *c, const HttpRequest *request, HttpAnswer *a) {
        _cleanup_(headers_free) struct curl_slist *headers = NULL;
        CURLcode code;
        int r;

        assert(c);
        assert(request);
        assert(a);

        buffer_clear(&a->body);
        a->status = 0;
        a->error[0] = 0;
        c->answer = a;
        c->upload = request->body;
        c->upload_left = c->upload_size = request->body_size;
        c->moved = 0;
        c->moved_at = now_usec(CLOCK_MONOTONIC);
        c->stalled = c->overflow = false;
        r = headers_make(c, request, &headers);
        if (r < 0)
                return r;
        r = request_prepare(c, request, headers);
        if (r < 0)
                return r;
        code = curl_easy_perform(c->easy);
        answer_fill(c, a);
        (void) curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, NULL);
        (void) curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, NULL);
        c->answer = NULL;
        if (code != CURLE_OK && a->error[0] == 0)
                (void) snprintf(a->error, sizeof a->error, "%s",
                                c->stalled ? "no byte moved for too long" : curl_easy_strerror(code));
        return error_from_curl(c, code);
}

int http_escape_text(const char *text, char **ret) {
        static const char digits[] = "0123456789ABCDEF";
        char *out, *to;

        assert(text);
        assert(ret);

        out = to = malloc(3 * strlen(text) + 1);
        if (!out)
                return -ENOMEM;
        for (const char *p = text; *p; p++) {
                uint8_t b = (uint8_t) *p;

                if ((b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
                    strchr("-._~", b))
                        *to++ = *p;
                else {
                        *to++ = '%';
                        *to++ = digits[b >> 4];
                        *to++ = digits[b & 15];
                }
        }
        *to = 0;
        *ret = out;
        return 0;
}
