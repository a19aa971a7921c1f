/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/http.h"

struct HttpClient {
        Transfer transfer;
        char *authorization; /* the header; a secret */
        /* Of the request that runs. */
        struct curl_slist *lines;
        HttpAnswer *answer;
};

/* --- Headers ------------------------------------------------------------------------------------------ */

int http_line_add(HttpLines *l, const char *format, ...) {
        va_list ap;
        int r;

        assert(l);
        assert(format);

        if (l->n >= HTTP_LINES_MAX)
                return -E2BIG;
        va_start(ap, format);
        r = vasprintf_safe(&l->lines[l->n], format, ap);
        va_end(ap);
        if (r < 0)
                return r;
        l->n++;
        return 0;
}

void http_lines_done(HttpLines *l) {
        assert(l);

        for (size_t i = 0; i < l->n; i++)
                erase_and_free(l->lines[i]);
        l->n = 0;
}

int http_line_split(const char *line, char **ret, const char **ret_value) {
        char *copy, *colon;

        assert(line);
        assert(ret);
        assert(ret_value);

        copy = strdup(line);
        if (!copy)
                return -ENOMEM;
        colon = strchr(copy, ':');
        if (!colon) {
                erase_and_free(copy);
                return -EINVAL;
        }
        *colon = 0;
        *ret = copy;
        *ret_value = colon + 1 + strspn(colon + 1, " ");
        return 0;
}

int http_answer_header(const HttpAnswer *a, const char *name, char **ret) {
        const char *p, *end;
        size_t n;

        assert(a);
        assert(name);
        assert(ret);

        n = strlen(name);
        p = a->headers.data;
        end = p ? p + a->headers.size : p;
        while (p && p < end) {
                const char *eol = memchr(p, '\n', (size_t) (end - p)) ?: end;

                if ((size_t) (eol - p) > n && p[n] == ':' && strncasecmp(p, name, n) == 0) {
                        p += n + 1;
                        while (p < eol && (*p == ' ' || *p == '\t'))
                                p++;
                        while (eol > p && (eol[-1] == '\r' || eol[-1] == ' ' || eol[-1] == '\t'))
                                eol--;
                        *ret = memdup0(p, (size_t) (eol - p));
                        return *ret ? 1 : -ENOMEM;
                }
                p = eol + 1;
        }
        return 0;
}

/* Each answer begins with its status; only those of the last one count. */
static size_t on_header(char *p, size_t size, size_t n, void *userdata) {
        HttpClient *c = ASSERT_PTR(userdata);

        if (!c->answer)
                return size * n;
        if (size * n >= STRLEN("HTTP/") && memcmp(p, "HTTP/", STRLEN("HTTP/")) == 0)
                buffer_clear(&c->answer->headers);
        else if (buffer_add(&c->answer->headers, p, size * n) == -ENOMEM)
                return 0;
        return size * n;
}

/* --- The client --------------------------------------------------------------------------------------- */

static int client_set_options(HttpClient *c, const HttpClientArgs *args) {
        const long version = args->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1;
        CURL *e = c->transfer.easy;
        bool ok;

        ok = curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_HTTP_VERSION, version) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_USERAGENT, "backupx/" BACKUPX_VERSION) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_HEADERDATA, c) == CURLE_OK;
        if (ok && args->user)
                ok = curl_easy_setopt(e, CURLOPT_HTTPAUTH, CURLAUTH_BASIC) == CURLE_OK &&
                                curl_easy_setopt(e, CURLOPT_USERNAME, args->user) == CURLE_OK &&
                                curl_easy_setopt(e, CURLOPT_PASSWORD, strempty(args->password)) == CURLE_OK;
        return ok ? 0 : -EOPNOTSUPP;
}

int http_client_new(const HttpClientArgs *args, HttpClient **ret) {
        _cleanup_(http_client_freep) HttpClient *c = NULL;
        int r;

        assert(args);
        assert(ret);

        c = new0(HttpClient, 1);
        if (!c)
                return -ENOMEM;
        r = transfer_init(&c->transfer, &args->transfer, "http,https");
        if (r >= 0)
                r = client_set_options(c, args);
        if (r >= 0 && args->bearer)
                r = asprintf_safe(&c->authorization, "Authorization: Bearer %s", args->bearer);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

HttpClient *http_client_free(HttpClient *c) {
        if (!c)
                return NULL;
        http_client_abort(c);
        transfer_done(&c->transfer);
        erase_and_free(c->authorization);
        return mfree(c);
}

void http_client_limit(HttpClient *c, const atomic_bool *cancel, usec_t stall) {
        assert(c);

        c->transfer.args.cancel = cancel;
        c->transfer.args.stall = stall;
}

/* --- Requests ----------------------------------------------------------------------------------------- */

static void lines_free(struct curl_slist **lines) {
        for (struct curl_slist *l = *lines; l; l = l->next)
                explicit_bzero(l->data, strlen(l->data));
        curl_slist_free_all(*lines);
        *lines = NULL;
}

static int line_add(struct curl_slist **lines, const char *line) {
        struct curl_slist *grown = curl_slist_append(*lines, line);

        if (!grown)
                return -ENOMEM;
        *lines = grown;
        return 0;
}

static int line_add_range(struct curl_slist **lines, const HttpRequest *q) {
        _cleanup_(freep) char *range = NULL;
        int r;

        if (q->range_last == UINT64_MAX)
                r = asprintf_safe(&range, "Range: bytes=%" PRIu64 "-", q->range_first);
        else
                r = asprintf_safe(&range, "Range: bytes=%" PRIu64 "-%" PRIu64, q->range_first,
                                  q->range_last);
        return r < 0 ? r : line_add(lines, range);
}

static int lines_make(const HttpClient *c, const HttpRequest *q, bool pieces, struct curl_slist **ret) {
        _cleanup_(lines_free) struct curl_slist *lines = NULL;
        _cleanup_(freep) char *type = NULL;
        int r = 0;

        assert(c);
        assert(q);

        if (c->authorization)
                r = line_add(&lines, c->authorization);
        /* Asking first whether the body is welcome costs a round trip for each part. */
        if (r >= 0)
                r = line_add(&lines, "Expect:");
        if (r >= 0 && (q->body || pieces)) {
                r = asprintf_safe(&type, "Content-Type: %s",
                                  q->content_type ? q->content_type : "application/octet-stream");
                if (r >= 0)
                        r = line_add(&lines, type);
        }
        if (r >= 0 && q->ranged)
                r = line_add_range(&lines, q);
        for (size_t i = 0; r >= 0 && q->lines && i < q->lines->n; i++)
                r = line_add(&lines, q->lines->lines[i]);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(lines);
        return 0;
}

static int request_prepare(HttpClient *c, const HttpRequest *q, bool pieces) {
        bool head = streq(q->method, "HEAD"), ok;
        const curl_off_t size = pieces ? -1 : (curl_off_t) q->body_size;
        const long upload = q->body || pieces;
        CURL *e = c->transfer.easy;

        ok = curl_easy_setopt(e, CURLOPT_HTTPGET, 1L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_NOBODY, head ? 1L : 0L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_UPLOAD, upload) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, size) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, head ? NULL : q->method) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_URL, q->url) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_HTTPHEADER, c->lines) == CURLE_OK;
        return ok ? 0 : -EINVAL;
}

/* What both ways of sending have in common. */
static int request_begin(HttpClient *c, const HttpRequest *q, bool pieces, HttpAnswer *a) {
        int r;

        assert(c);
        assert(!c->answer);

        buffer_clear(&a->body);
        buffer_clear(&a->headers);
        a->status = 0;
        a->into_used = 0;
        a->error[0] = 0;
        transfer_reset(&c->transfer);
        r = lines_make(c, q, pieces, &c->lines);
        if (r >= 0)
                r = request_prepare(c, q, pieces);
        if (r < 0)
                return r;
        c->answer = a;
        c->transfer.in = &a->body;
        c->transfer.into = pieces ? NULL : q->into;
        c->transfer.into_size = q->into_size;
        if (!pieces && q->body)
                transfer_set_body(&c->transfer, q->body, q->body_size);
        return 0;
}

/* Takes what is to be known of the answer; r is how the transfer ended. */
static int request_end(HttpClient *c, int r) {
        curl_off_t length = -1, retry = 0;
        HttpAnswer *a = c->answer;

        if (a) {
                (void) curl_easy_getinfo(c->transfer.easy, CURLINFO_RESPONSE_CODE, &a->status);
                (void) curl_easy_getinfo(c->transfer.easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
                (void) curl_easy_getinfo(c->transfer.easy, CURLINFO_RETRY_AFTER, &retry);
                a->content_length = length;
                a->retry_after = retry > 0 ? (usec_t) retry * USEC_PER_SEC : 0;
                a->into_used = c->transfer.into_used;
                if (r < 0)
                        (void) snprintf(a->error, sizeof a->error, "%s", c->transfer.error);
        }
        (void) curl_easy_setopt(c->transfer.easy, CURLOPT_HTTPHEADER, NULL);
        lines_free(&c->lines);
        c->answer = NULL;
        return r;
}

int http_client_request(HttpClient *c, const HttpRequest *request, HttpAnswer *a) {
        int r;

        assert(c);
        assert(request);
        assert(a);

        r = request_begin(c, request, /* pieces= */ false, a);
        if (r >= 0)
                r = transfer_run(&c->transfer);
        return request_end(c, r);
}

int http_client_begin(HttpClient *c, const HttpRequest *request, HttpAnswer *a) {
        int r;

        assert(c);
        assert(request);
        assert(a);

        r = request_begin(c, request, /* pieces= */ true, a);
        if (r >= 0)
                r = transfer_start_pieces(&c->transfer);
        return r < 0 ? request_end(c, r) : 0;
}

int http_client_send(HttpClient *c, const void *data, size_t n) {
        assert(c);

        return transfer_send_piece(&c->transfer, data, n);
}

int http_client_finish(HttpClient *c) {
        assert(c);

        return request_end(c, transfer_finish(&c->transfer));
}

void http_client_abort(HttpClient *c) {
        assert(c);

        transfer_abort(&c->transfer);
        (void) request_end(c, 0);
}

/* --- URLs --------------------------------------------------------------------------------------------- */

static int escape(const char *text, const char *more, char **ret) {
        static const char digits[] = "0123456789ABCDEF";
        char *out, *to;

        out = to = malloc(3 * strlen(text) + 1);
        if (!out)
                return -ENOMEM;
        for (const char *p = text; *p; p++) {
                uint8_t b = (uint8_t) *p;

                if ((b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
                    strchr(more, b))
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

int http_escape_text(const char *text, char **ret) {
        assert(text);
        assert(ret);

        return escape(text, "-._~", ret);
}

int http_escape_path(const char *path, char **ret) {
        assert(path);
        assert(ret);

        return escape(path, "-._~/", ret);
}
