/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include <curl/curl.h>

#include "base/alloc.h"
#include "base/place.h"
#include "base/text.h"
#include "cli/http.h"
#include "crypto/certificate.h"

#define CONNECT_TIMEOUT_SEC 10L
/* Longer than any answer that the server may take its time for: a directory listing of a node, 15 s. */
#define ANSWER_TIMEOUT_SEC 60L

struct Http {
        CURL *curl;
        struct curl_slist *headers;
        char *server;
        char error[CURL_ERROR_SIZE];
};

Http *http_free(Http *h) {
        if (!h)
                return NULL;
        curl_easy_cleanup(h->curl);
        curl_slist_free_all(h->headers);
        free(h->server);
        return mfree(h);
}

static int add_header(Http *h, const char *header) {
        struct curl_slist *headers = curl_slist_append(h->headers, header);

        if (!headers)
                return -ENOMEM;
        h->headers = headers;
        return 0;
}

static int add_headers(Http *h, const char *token) {
        _cleanup_(erase_and_freep) char *authorization = NULL;
        int r;

        r = add_header(h, "Content-Type: application/json");
        if (r < 0)
                return r;
        /* curl would wait for a go-ahead before a longer body. */
        r = add_header(h, "Expect:");
        if (r < 0 || !token)
                return r;
        r = asprintf_safe(&authorization, "Authorization: Bearer %s", token);
        if (r < 0)
                return r;
        return add_header(h, authorization);
}

static size_t take_body(char *data, size_t size, size_t n, void *userdata) {
        Buffer *answer = ASSERT_PTR(userdata);

        return buffer_add(answer, data, size * n) < 0 ? 0 : size * n;
}

/* Who may answer. With a pin, the certificate is mostly one that the server signed itself. */
static bool set_trust(Http *h, const HttpArgs *args) {
        const char *ca_cert = args->ca_cert ?: place_ca_bundle(curl_version_info(CURLVERSION_NOW)->cainfo);
        bool verify = !args->insecure && !args->pin;
        CURL *c = h->curl;

        return curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L) == CURLE_OK &&
                        curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L) == CURLE_OK &&
                        (!args->pin ||
                         curl_easy_setopt(c, CURLOPT_PINNEDPUBLICKEY, args->pin) == CURLE_OK) &&
                        (!ca_cert || curl_easy_setopt(c, CURLOPT_CAINFO, ca_cert) == CURLE_OK);
}

static bool set_options(Http *h, const HttpArgs *args) {
        CURL *c = h->curl;

        return curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
                        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
                        curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
                        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_SEC) == CURLE_OK &&
                        curl_easy_setopt(c, CURLOPT_TIMEOUT, ANSWER_TIMEOUT_SEC) == CURLE_OK &&
                        curl_easy_setopt(c, CURLOPT_ERRORBUFFER, h->error) == CURLE_OK &&
                        curl_easy_setopt(c, CURLOPT_USERAGENT, "backupx/" BACKUPX_VERSION) == CURLE_OK &&
                        curl_easy_setopt(c, CURLOPT_HTTPHEADER, h->headers) == CURLE_OK &&
                        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
                        set_trust(h, args);
}

int http_new(const HttpArgs *args, Http **ret) {
        _cleanup_(http_freep) Http *h = NULL;
        int r;

        assert(args);
        assert(args->server);
        assert(ret);

        h = new0(Http, 1);
        if (!h)
                return -ENOMEM;
        h->curl = curl_easy_init();
        h->server = strdup(args->server);
        if (!h->curl || !h->server)
                return -ENOMEM;
        for (size_t n = strlen(h->server); n > 0 && h->server[n - 1] == '/'; n--)
                h->server[n - 1] = 0;
        r = add_headers(h, args->token);
        if (r < 0)
                return r;
        if (!set_options(h, args))
                return -EINVAL;
        *ret = TAKE_PTR(h);
        return 0;
}

void http_answer_done(HttpAnswer *a) {
        assert(a);

        buffer_done(&a->body);
}

/* The text behind "Cert:" of the first certificate that the server showed. */
static int shown_pin(const struct curl_certinfo *info, char ret[static PIN_TEXT_SIZE]) {
        const struct curl_slist *list = info && info->num_of_certs > 0 ? info->certinfo[0] : NULL;

        for (; list; list = list->next) {
                const char *pem = startswith(list->data, "Cert:");

                if (pem)
                        return certificate_pin(pem, ret);
        }
        return -ENODATA;
}

/* Asks for the certificate alone: nothing is sent to somebody whom we do not know. */
static int fetch_pin(const char *server, char ret[static PIN_TEXT_SIZE]) {
        struct curl_certinfo *info = NULL;
        CURL *c = curl_easy_init();
        int r = -EIO;

        if (!c)
                return -ENOMEM;
        if (curl_easy_setopt(c, CURLOPT_URL, server) == CURLE_OK &&
            curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
            curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
            curl_easy_setopt(c, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK &&
            curl_easy_setopt(c, CURLOPT_CERTINFO, 1L) == CURLE_OK &&
            curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK &&
            curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK &&
            curl_easy_setopt(c, CURLOPT_TIMEOUT, CONNECT_TIMEOUT_SEC) == CURLE_OK &&
            curl_easy_perform(c) == CURLE_OK && curl_easy_getinfo(c, CURLINFO_CERTINFO, &info) == CURLE_OK)
                r = shown_pin(info, ret);
        curl_easy_cleanup(c);
        return r;
}

static int certificate_failed(const Http *h, const char *reason, Failure *reterr_failure) {
        char pin[PIN_TEXT_SIZE];

        assert(h);

        if (fetch_pin(h->server, pin) < 0)
                return failure_set(reterr_failure, -EHOSTUNREACH, "TLS",
                                   "The certificate of %s is not trusted: %s. "
                                   "Name its authority with --ca-cert FILE.",
                                   h->server, reason);
        return failure_set(reterr_failure, -EHOSTUNREACH, "TLS",
                           "The certificate of %s is not trusted: %s. If the journal of the "
                           "master tells the same pin (journalctl -u backupx-api), add --pin %s. "
                           "Otherwise name its authority with --ca-cert FILE.",
                           h->server, reason, pin);
}

static int request_failed(Http *h, CURLcode code, Failure *reterr_failure) {
        const char *reason = h->error[0] ? h->error : curl_easy_strerror(code);

        switch ((int) code) {
        case CURLE_PEER_FAILED_VERIFICATION:
                return certificate_failed(h, reason, reterr_failure);
        case CURLE_SSL_CACERT_BADFILE:
                return failure_set(reterr_failure, -EHOSTUNREACH, "TLS",
                                   "The certificates to trust cannot be read: %s.", reason);
        case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
                return failure_set(reterr_failure, -EHOSTUNREACH, "TLS",
                                   "The key of %s is not the one that was pinned: another machine answers "
                                   "there, or the master was set up anew. Nothing was sent to it.",
                                   h->server);
        case CURLE_SSL_CONNECT_ERROR:
                return failure_set(reterr_failure, -EHOSTUNREACH, "TLS",
                                   "%s does not speak TLS as we do: %s. Is it an http:// address?",
                                   h->server, reason);
        default: /* not an enum of ours */
                return failure_set(reterr_failure, -EHOSTUNREACH, "UNREACHABLE",
                                   "No answer from %s: %s. Does backupx.target run there, and is the "
                                   "address right?",
                                   h->server, reason);
        }
}

static bool set_request(Http *h, const char *method, const char *url, const char *body, HttpAnswer *answer) {
        CURL *c = h->curl;

        assert(answer);

        return curl_easy_setopt(c, CURLOPT_URL, url) == CURLE_OK &&
                        curl_easy_setopt(c, CURLOPT_HTTPGET, 1L) == CURLE_OK &&
                        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK &&
                        curl_easy_setopt(c, CURLOPT_WRITEDATA, &answer->body) == CURLE_OK &&
                        (!body ||
                         (curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long) strlen(body)) == CURLE_OK &&
                          curl_easy_setopt(c, CURLOPT_POSTFIELDS, body) == CURLE_OK));
}

int http_request(Http *h, const char *method, const char *path, const char *body, HttpAnswer *ret,
                 Failure *reterr_failure) {
        _cleanup_(freep) char *url = NULL;
        CURLcode code;
        int r;

        assert(h);
        assert(method);
        assert(path);
        assert(ret);

        r = asprintf_safe(&url, "%s%s", h->server, path);
        if (r < 0)
                return r;
        h->error[0] = 0;
        if (!set_request(h, method, url, body, ret))
                return -EINVAL;
        code = curl_easy_perform(h->curl);
        if (code != CURLE_OK)
                return request_failed(h, code, reterr_failure);
        return curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &ret->status) == CURLE_OK ? 0 : -EIO;
}

int http_escape(const char *text, char **ret) {
        _cleanup_(buffer_done) Buffer b = BUFFER_NULL;
        int r;

        assert(text);
        assert(ret);

        for (const char *p = text; *p; p++) {
                bool safe = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                                (*p >= '0' && *p <= '9') || strchr("-._~", *p);

                r = safe ? buffer_add(&b, p, 1) : buffer_printf(&b, "%%%02X", (unsigned char) *p);
                if (r < 0)
                        return r;
        }
        *ret = buffer_take(&b);
        return *ret ? 0 : -ENOMEM;
}
