/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "storage/azure.h"
#include "storage/xml.h"

#define RANGE_MAX 64

/* --- Making one --------------------------------------------------------------------------------------- */

void azure_request_done(AzureRequest *r) {
        assert(r);

        free(r->path);
        erase_and_free(r->url);
        http_lines_done(&r->lines);
}

int azure_request_init(Storage *s, AzureRequest *r, const char *method, const char *key) {
        const Azure *z = s->backend;
        _cleanup_(freep) char *full = NULL, *escaped = NULL;
        int e;

        assert(r);
        assert(method);

        *r = AZURE_REQUEST_NULL;
        r->http.method = method;
        r->http.lines = &r->lines;
        if (!key)
                return free_and_strdup(&r->path, z->root);
        e = asprintf_safe(&full, "%s%s", z->prefix, key);
        if (e >= 0)
                e = http_escape_path(full, &escaped);
        return e < 0 ? e : asprintf_safe(&r->path, "%s/%s", z->root, escaped);
}

void azure_request_query(AzureRequest *r, const char *name, const char *value) {
        assert(r);
        assert(r->n_query < AZURE_QUERY_MAX);

        r->query[r->n_query++] = (SigV4Pair){ name, value };
}

int azure_request_body(AzureRequest *r, const void *data, size_t n) {
        _cleanup_(freep) char *text = NULL;
        uint8_t digest[MD5_SIZE];
        int e;

        assert(r);

        r->http.body = n > 0 ? data : "";
        r->http.body_size = n;
        e = md5(r->http.body, n, digest);
        if (e >= 0)
                e = base64_encode(BASE64_STANDARD, digest, sizeof digest, &text);
        return e < 0 ? e : http_line_add(&r->lines, "Content-MD5: %s", text);
}

int azure_request_send(Storage *s, AzureRequest *r, const char *key, HttpAnswer *a, Failure *f) {
        const Azure *z = s->backend;
        _cleanup_(freep) char *query = NULL;
        int e;

        assert(r);

        e = sigv4_query(r->query, r->n_query, &query);
        if (e < 0)
                return e;
        r->url = erase_and_free(r->url);
        e = asprintf_safe(&r->url, "%s%s%s%s%s%s", z->url, r->path, r->n_query > 0 || z->sas ? "?" : "",
                          query, r->n_query > 0 && z->sas ? "&" : "", strempty(z->sas));
        r->http.url = r->url;
        return e < 0 ? e : http_server_request(z->server, &r->http, key, a, f);
}

/* --- Signing one -------------------------------------------------------------------------------------- */

typedef struct Headers {
        SigV4Pair pairs[HTTP_LINES_MAX + 2];
        char *names[HTTP_LINES_MAX];
        char range[RANGE_MAX];
        size_t n;
} Headers;

static void headers_done(Headers *h) {
        for (size_t i = 0; i < ELEMENTSOF(h->names); i++)
                free(h->names[i]);
}

/* Ours, and what the client adds. */
static int headers_read(Headers *h, const HttpRequest *q, const HttpLines *lines) {
        const char *type = q->content_type ?: "application/octet-stream";

        if (q->body)
                h->pairs[h->n++] = (SigV4Pair){ "Content-Type", type };
        if (q->ranged) {
                assert(q->range_last != UINT64_MAX);
                (void) snprintf(h->range, sizeof h->range, "bytes=%" PRIu64 "-%" PRIu64, q->range_first,
                                q->range_last);
                h->pairs[h->n++] = (SigV4Pair){ "Range", h->range };
        }
        for (size_t i = 0; i < lines->n; i++) {
                const char *value;
                int r;

                r = http_line_split(lines->lines[i], &h->names[i], &value);
                if (r < 0)
                        return r;
                h->pairs[h->n++] = (SigV4Pair){ h->names[i], value };
        }
        return 0;
}

static int sign_with_key(const Azure *z, const AzureRequest *r, HttpLines *lines) {
        _cleanup_(erase_and_freep) char *authorization = NULL;
        _cleanup_(headers_done) Headers headers = {};
        SharedKeyRequest q;
        int e;

        e = headers_read(&headers, &r->http, lines);
        if (e < 0)
                return e;
        q = (SharedKeyRequest){
                .method = r->http.method,
                .path = r->path,
                .query = r->query,
                .n_query = r->n_query,
                .headers = headers.pairs,
                .n_headers = headers.n,
                .content_length = r->http.body_size,
        };
        e = shared_key_authorization(z->account, z->key, z->key_size, &q, &authorization);
        return e < 0 ? e : http_line_add(lines, "Authorization: %s", authorization);
}

int azure_sign(Storage *s, const HttpRequest *q, HttpLines *lines) {
        const AzureRequest *r = CONTAINER_OF(q, AzureRequest, http);
        char time[SHARED_KEY_TIME_SIZE];
        const Azure *z = s->backend;
        int e;

        assert(q);
        assert(lines);

        shared_key_time(now_usec(CLOCK_REALTIME), time);
        e = http_line_add(lines, "x-ms-date: %s", time);
        if (e >= 0)
                e = http_line_add(lines, "x-ms-version: %s", r->tier ? AZURE_VERSION_TIERS : AZURE_VERSION);
        if (e >= 0 && r->tier)
                e = http_line_add(lines, "x-ms-access-tier: %s", r->tier);
        return e < 0 || !z->key ? e : sign_with_key(z, r, lines);
}
