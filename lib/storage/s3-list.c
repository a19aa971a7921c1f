/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/parse.h"
#include "base/text.h"
#include "storage/s3.h"
#include "storage/xml.h"

/* What nobody has finished in so long, nobody will. */
#define LEFTOVER_AGE (7 * USEC_PER_DAY)
#define ABORT_STALL (5 * USEC_PER_SEC)

/* --- Pages -------------------------------------------------------------------------------------------- */

/* Takes "%41"; the text becomes shorter. -EBADMSG: not percent-encoded, or a NUL. */
static int unescape(char *text) {
        char *to = text;

        for (const char *p = text; *p; p++) {
                char digits[3] = {};

                if (*p != '%') {
                        *to++ = *p == '+' ? ' ' : *p;
                        continue;
                }
                digits[0] = p[1];
                digits[1] = p[1] ? p[2] : 0;
                if (hex_decode(digits, to, 1) < 0 || *to == 0)
                        return -EBADMSG;
                to++;
                p += 2;
        }
        *to = 0;
        return 0;
}

void s3_listing_done(S3Listing *l) {
        assert(l);

        free(l->last);
        free(l->token);
}

typedef struct Page {
        Xml xml;
        char *key, *size, *next, *truncated;
        bool encoded;
} Page;

static void page_done(Page *p) {
        xml_done(&p->xml);
        free(p->key);
        free(p->size);
        free(p->next);
        free(p->truncated);
}

/* One object. What cannot be ours is passed over: the marks of folders that other programs make. */
static int give_object(S3Listing *l, Page *p) {
        const char *key;
        uint64_t size;
        int r = 0;

        if (!p->key || !p->size || parse_u64(p->size, 0, INT64_MAX, &size) < 0)
                return -EBADMSG;
        if (p->encoded)
                r = unescape(p->key);
        key = r < 0 ? NULL : startswith(p->key, l->root);
        if (!key)
                return -EBADMSG;
        if (!storage_key_is_valid(key))
                return 0;
        /* Whoever reads the listing relies on its order, and a page that leads back would never end. */
        if (l->last && strcmp(l->last, key) >= 0)
                return -EBADMSG;
        r = free_and_strdup(&l->last, key);
        return r < 0 ? r : l->func(l->userdata, key, size);
}

/* Keeps the text of an element where the place in the document says what it is. */
static int take_text(Page *p, const char *name, unsigned depth, char **to) {
        if (p->xml.depth != depth || !streq(p->xml.name, name))
                return 0;
        free(*to);
        *to = memdup0(strempty(p->xml.text.data), p->xml.text.size);
        return *to ? 0 : -ENOMEM;
}

/* Says whether the keys of a page are encoded, which stands behind them in some. */
static int is_encoded(const HttpAnswer *a, bool *ret) {
        _cleanup_(freep) char *type = NULL;
        int r;

        r = s3_answer_text(a, "EncodingType", &type);
        *ret = streq_ptr(type, "url");
        return r;
}

/* An element ended. Anything but 0 ends the listing. */
static int page_close(S3Listing *l, Page *p) {
        int r;

        if (p->xml.depth == 2 && streq(p->xml.name, "Contents")) {
                r = give_object(l, p);
                p->key = mfree(p->key);
                p->size = mfree(p->size);
                return r;
        }
        r = take_text(p, "Key", 3, &p->key);
        if (r == 0)
                r = take_text(p, "Size", 3, &p->size);
        if (r == 0)
                r = take_text(p, "IsTruncated", 2, &p->truncated);
        return r != 0 ? r : take_text(p, "NextContinuationToken", 2, &p->next);
}

int s3_listing_read(S3Listing *l, const HttpAnswer *a) {
        _cleanup_(page_done) Page p = {};
        int r;

        assert(l);
        assert(a);

        r = is_encoded(a, &p.encoded);
        if (r < 0)
                return r;
        xml_init(&p.xml, a->body.data, a->body.size);
        while ((r = xml_next(&p.xml)) > 0) {
                if (r == XML_OPEN && p.xml.depth == 1 && !streq(p.xml.name, "ListBucketResult"))
                        return -EBADMSG;
                r = r == XML_CLOSE ? page_close(l, &p) : 0;
                if (r != 0)
                        return r;
        }
        if (r < 0 || !p.truncated)
                return -EBADMSG;
        if (!streq(p.truncated, "true"))
                p.next = mfree(p.next);
        else if (isempty(p.next) || streq_ptr(p.next, l->token))
                return -EBADMSG;
        free(l->token);
        l->token = TAKE_PTR(p.next);
        return 0;
}

static int ask_page(Storage *s, const char *prefix, const char *token, HttpAnswer *a, Failure *f) {
        _cleanup_(s3_request_done) S3Request q = S3_REQUEST_NULL;
        int r;

        r = s3_request_init(s, &q, "GET", NULL);
        if (r < 0)
                return r;
        s3_request_query(&q, "list-type", "2");
        s3_request_query(&q, "encoding-type", "url");
        s3_request_query(&q, "prefix", prefix);
        if (token)
                s3_request_query(&q, "continuation-token", token);
        return s3_request_send(s, &q, prefix, a, f);
}

int s3_list(Storage *s, const char *prefix, StorageListFunc func, void *userdata, Failure *reterr_failure) {
        const S3 *s3 = s->backend;
        _cleanup_(s3_listing_done) S3Listing l = { .root = s3->prefix, .func = func, .userdata = userdata };
        _cleanup_(freep) char *full = NULL;
        int r;

        assert(prefix);
        assert(func);

        r = asprintf_safe(&full, "%s%s", s3->prefix, prefix);
        if (r < 0)
                return r;
        do {
                _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;

                r = ask_page(s, full, l.token, &a, reterr_failure);
                if (r < 0)
                        return r;
                r = s3_listing_read(&l, &a);
                if (r == -EBADMSG)
                        return failure_set(reterr_failure, -EPROTO, "STORAGE_FAILED",
                                           "The S3 server's list of '%s' (%s) is not well-formed, or not "
                                           "in the order of its keys.",
                                           full, s->name);
        } while (r == 0 && l.token);
        return r;
}

/* --- Leftovers ---------------------------------------------------------------------------------------- */

static void abort_leftover(Storage *s, const char *key, const char *upload) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(s3_request_done) S3Request q = S3_REQUEST_NULL;

        if (s3_request_init(s, &q, "DELETE", key) < 0)
                return;
        s3_request_query(&q, "uploadId", upload);
        if (s3_request_try(s, &q, ABORT_STALL, &a) < 0)
                return; /* the next one finds it again */
}

typedef struct Leftover {
        Xml xml;
        char *key, *id, *started;
} Leftover;

static void leftover_done(Leftover *l) {
        xml_done(&l->xml);
        free(l->key);
        free(l->id);
        free(l->started);
}

static void leftover_check(Storage *s, const Leftover *l) {
        const S3 *s3 = s->backend;
        const char *key = startswith(strempty(l->key), s3->prefix);
        usec_t started;

        if (key && l->id && l->started && storage_key_is_valid(key) &&
            parse_rfc3339(l->started, &started) >= 0 &&
            usec_add(started, LEFTOVER_AGE) < now_usec(CLOCK_REALTIME))
                abort_leftover(s, key, l->id);
}

static int leftover_take(Leftover *l, const char *name, char **to) {
        if (!streq(l->xml.name, name))
                return 0;
        free(*to);
        *to = memdup0(strempty(l->xml.text.data), l->xml.text.size);
        return *to ? 0 : -ENOMEM;
}

void s3_sweep(Storage *s) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(s3_request_done) S3Request q = S3_REQUEST_NULL;
        _cleanup_(leftover_done) Leftover l = {};
        S3 *s3 = s->backend;
        int r;

        assert(s3);

        if (atomic_exchange(&s3->swept, true) || s3_request_init(s, &q, "GET", NULL) < 0)
                return;
        s3_request_query(&q, "uploads", "");
        s3_request_query(&q, "prefix", s3->prefix);
        if (s3_request_try(s, &q, ABORT_STALL, &a) < 0 || a.status != 200)
                return;
        xml_init(&l.xml, a.body.data, a.body.size);
        while ((r = xml_next(&l.xml)) > 0) {
                if (r != XML_CLOSE)
                        continue;
                if (l.xml.depth == 2 && streq(l.xml.name, "Upload"))
                        leftover_check(s, &l);
                else if (l.xml.depth == 3 &&
                         (leftover_take(&l, "Key", &l.key) < 0 || leftover_take(&l, "UploadId", &l.id) < 0 ||
                          leftover_take(&l, "Initiated", &l.started) < 0))
                        return;
        }
}
