/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "storage/s3.h"
#include "storage/xml.h"

#define TRAILER "x-amz-checksum-sha256"

/* --- Making one --------------------------------------------------------------------------------------- */

void s3_request_done(S3Request *r) {
        assert(r);

        free(r->path);
        free(r->url);
        http_lines_done(&r->lines);
}

int s3_request_init(Storage *s, S3Request *r, const char *method, const char *key) {
        const S3 *s3 = s->backend;
        size_t n = strlen(s3->root);
        int e;

        assert(r);
        assert(method);

        *r = S3_REQUEST_NULL;
        r->http.method = method;
        r->http.lines = &r->lines;
        e = sha256_hex("", 0, r->hash);
        if (e < 0)
                return e;
        if (key)
                return asprintf_safe(&r->path, "%s%s%s", s3->root, s3->prefix, key);
        /* "/bucket" and not "/bucket/": the latter would be an object to some. */
        return asprintf_safe(&r->path, "%.*s", (int) (n > 1 ? n - 1 : n), s3->root);
}

void s3_request_query(S3Request *r, const char *name, const char *value) {
        assert(r);
        assert(r->n_query < S3_QUERY_MAX);

        r->query[r->n_query++] = (SigV4Pair){ name, value };
}

int s3_request_customer_key(const S3 *s3, S3Request *r) {
        int e;

        assert(s3);
        assert(r);

        if (!s3->sse_customer_key)
                return 0;
        e = http_line_add(&r->lines, "x-amz-server-side-encryption-customer-algorithm: AES256");
        if (e >= 0)
                e = http_line_add(&r->lines, "x-amz-server-side-encryption-customer-key: %s",
                                  s3->sse_customer_key);
        if (e >= 0)
                e = http_line_add(&r->lines, "x-amz-server-side-encryption-customer-key-MD5: %s",
                                  s3->sse_customer_md5);
        return e;
}

/* What stands before and behind the one chunk that the data makes; its size depends on no signature. */
static int frame_head(size_t n, const char *signature, char head[static S3_FRAME_HEAD]) {
        return snprintf(head, S3_FRAME_HEAD, "%zx;chunk-signature=%s\r\n", n, signature);
}

static int frame_tail(const char *last, const char *checksum, const char *signature,
                      char tail[static S3_FRAME_TAIL]) {
        return snprintf(tail, S3_FRAME_TAIL,
                        "\r\n0;chunk-signature=%s\r\n" TRAILER ":%s\r\nx-amz-trailer-signature:%s\r\n\r\n",
                        last, checksum, signature);
}

static int frame_init(S3Request *r, char *buf, size_t n) {
        static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
        static const char checksum[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        char head[S3_FRAME_HEAD], tail[S3_FRAME_TAIL];
        int before, behind;

        before = frame_head(n, zeros, head);
        behind = frame_tail(zeros, checksum, zeros, tail);
        if (before < 0 || behind < 0)
                return -EINVAL;
        r->frame = buf;
        r->frame_size = n;
        r->http.body = buf + S3_FRAME_HEAD - before;
        r->http.body_size = (size_t) before + n + (size_t) behind;
        return 0;
}

int s3_request_body(Storage *s, S3Request *r, char *buf, size_t n) {
        const S3 *s3 = s->backend;
        int e;

        assert(r);
        assert(buf);

        e = sha256(buf + S3_FRAME_HEAD, n, r->digest);
        if (e < 0)
                return e;
        (void) hex_encode(r->digest, sizeof r->digest, r->hash);
        r->http.body = buf + S3_FRAME_HEAD;
        r->http.body_size = n;
        /* A chunk of no data is the last one. */
        return s3->trailer && n > 0 ? frame_init(r, buf, n) : 0;
}

static int set_url(const S3 *s3, S3Request *r) {
        _cleanup_(freep) char *path = NULL, *query = NULL;
        int e;

        e = http_escape_path(r->path, &path);
        if (e >= 0)
                e = sigv4_query(r->query, r->n_query, &query);
        r->url = mfree(r->url);
        if (e >= 0)
                e = asprintf_safe(&r->url, "%s%s%s%s", s3->url, path, r->n_query > 0 ? "?" : "", query);
        r->http.url = r->url;
        return e;
}

int s3_request_send(Storage *s, S3Request *r, const char *key, HttpAnswer *a, Failure *f) {
        const S3 *s3 = s->backend;
        int e;

        assert(r);

        e = set_url(s3, r);
        return e < 0 ? e : http_server_request(s3->server, &r->http, key, a, f);
}

int s3_request_try(Storage *s, S3Request *r, usec_t stall, HttpAnswer *a) {
        const S3 *s3 = s->backend;
        int e;

        assert(r);

        e = set_url(s3, r);
        return e < 0 ? e : http_server_try(s3->server, &r->http, stall, a);
}

/* --- Signing one -------------------------------------------------------------------------------------- */

typedef struct Headers {
        SigV4Pair pairs[HTTP_LINES_MAX + 1];
        char *names[HTTP_LINES_MAX];
        size_t n;
} Headers;

static void headers_done(Headers *h) {
        for (size_t i = 0; i < ELEMENTSOF(h->names); i++)
                erase_and_free(h->names[i]);
}

/* The host and all of S3's own lines are signed. */
static int headers_from_lines(Headers *h, const char *host, const HttpLines *lines) {
        h->pairs[h->n++] = (SigV4Pair){ "host", host };
        for (size_t i = 0; i < lines->n; i++) {
                const char *value;
                int r;

                if (strncasecmp(lines->lines[i], "x-amz-", STRLEN("x-amz-")) != 0)
                        continue;
                r = http_line_split(lines->lines[i], &h->names[i], &value);
                if (r < 0)
                        return r;
                h->pairs[h->n++] = (SigV4Pair){ h->names[i], value };
        }
        return 0;
}

static int add_lines(const S3 *s3, const S3Request *r, const char *time, HttpLines *lines) {
        int e;

        e = http_line_add(lines, "x-amz-date: %s", time);
        if (e >= 0)
                e = http_line_add(lines, "x-amz-content-sha256: %s",
                                  r->frame ? SIGV4_PAYLOAD_TRAILER : r->hash);
        if (e >= 0 && s3->session_token)
                e = http_line_add(lines, "x-amz-security-token: %s", s3->session_token);
        if (e >= 0 && r->frame) {
                e = http_line_add(lines, "x-amz-decoded-content-length: %zu", r->frame_size);
                if (e >= 0)
                        e = http_line_add(lines, "x-amz-trailer: " TRAILER);
                if (e >= 0)
                        e = http_line_add(lines, "Content-Encoding: aws-chunked");
        }
        return e;
}

/* Writes the frame of a body in chunks: each signature follows from the one before. */
static int sign_frame(const SigV4Key *k, const char *time, const S3Request *r, SigV4Signature seed) {
        _cleanup_(freep) char *checksum = NULL, *line = NULL;
        char head[S3_FRAME_HEAD], tail[S3_FRAME_TAIL], *data = r->frame + S3_FRAME_HEAD;
        SigV4Signature first, last, trailer;
        int e, before, behind;

        e = sigv4_chunk(k, time, seed, data, r->frame_size, first);
        if (e >= 0)
                e = sigv4_chunk(k, time, first, "", 0, last);
        if (e >= 0)
                e = base64_encode(BASE64_STANDARD, r->digest, sizeof r->digest, &checksum);
        if (e >= 0)
                e = asprintf_safe(&line, TRAILER ":%s\n", checksum);
        if (e >= 0)
                e = sigv4_trailer(k, time, last, line, trailer);
        if (e < 0)
                return e;
        before = frame_head(r->frame_size, first, head);
        behind = frame_tail(last, checksum, trailer, tail);
        assert((size_t) before + r->frame_size + (size_t) behind == r->http.body_size);
        memcpy(data - before, head, (size_t) before);
        memcpy(data + r->frame_size, tail, (size_t) behind);
        return 0;
}

int s3_sign(Storage *s, const HttpRequest *q, HttpLines *lines) {
        const S3Request *r = CONTAINER_OF(q, S3Request, http);
        _cleanup_(erase_and_freep) char *authorization = NULL;
        _cleanup_(headers_done) Headers headers = {};
        const S3 *s3 = s->backend;
        const SigV4Key key = { s3->access_key, s3->secret_key, s3->region, "s3" };
        char time[SIGV4_TIME_SIZE];
        SigV4Signature signature;
        SigV4Request signed_request;
        int e;

        assert(q);
        assert(lines);

        sigv4_time(now_usec(CLOCK_REALTIME), time);
        e = add_lines(s3, r, time, lines);
        if (e >= 0)
                e = headers_from_lines(&headers, s3->host, lines);
        if (e < 0)
                return e;
        signed_request = (SigV4Request){
                .method = q->method,
                .path = r->path,
                .query = r->query,
                .n_query = r->n_query,
                .headers = headers.pairs,
                .n_headers = headers.n,
                .payload = r->frame ? SIGV4_PAYLOAD_TRAILER : r->hash,
        };
        e = sigv4_authorization(&key, time, &signed_request, &authorization, signature);
        if (e >= 0 && r->frame)
                e = sign_frame(&key, time, r, signature);
        if (e >= 0)
                e = http_line_add(lines, "Host: %s", s3->host);
        return e < 0 ? e : http_line_add(lines, "Authorization: %s", authorization);
}
