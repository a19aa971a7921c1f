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

/* Says whether the keys of a page are encoded, which stands behind them in some. */
static int is_encoded(const HttpAnswer *a, bool *ret) {
        _cleanup_(freep) char *type = NULL;
        int r;

        r = s3_answer_text(a, "EncodingType", &type);
        *ret = streq_ptr(type, "url");
        return r;
}

static int give(ObjectListing *l, char *fields[static _OBJECT_FIELD_MAX]) {
        return object_listing_give(l, fields[OBJECT_FIELD_NAME], fields[OBJECT_FIELD_SIZE]);
}

static int give_encoded(ObjectListing *l, char *fields[static _OBJECT_FIELD_MAX]) {
        if (fields[OBJECT_FIELD_NAME] && unescape(fields[OBJECT_FIELD_NAME]) < 0)
                return -EBADMSG;
        return give(l, fields);
}

static int has_more(char *fields[static _OBJECT_FIELD_MAX]) {
        if (!fields[OBJECT_FIELD_MORE])
                return -EBADMSG;
        if (!streq(fields[OBJECT_FIELD_MORE], "true"))
                return 0;
        return isempty(fields[OBJECT_FIELD_NEXT]) ? -EBADMSG : 1;
}

int s3_read_page(ObjectListing *l, const HttpAnswer *a) {
        ObjectPages pages = {
                .root = "ListBucketResult",
                .object = { "Contents", 2 },
                .fields = { [OBJECT_FIELD_NAME] = { "Key", 3 },
                            [OBJECT_FIELD_SIZE] = { "Size", 3 },
                            [OBJECT_FIELD_MORE] = { "IsTruncated", 2 },
                            [OBJECT_FIELD_NEXT] = { "NextContinuationToken", 2 } },
                .give = give,
                .more = has_more,
        };
        bool encoded;
        int r;

        assert(a);

        r = is_encoded(a, &encoded);
        if (r < 0)
                return r;
        if (encoded)
                pages.give = give_encoded;
        return object_page_read(l, &pages, a);
}

int s3_ask_page(Storage *s, const char *prefix, const char *next, HttpAnswer *a, Failure *f) {
        _cleanup_(s3_request_done) S3Request q = S3_REQUEST_NULL;
        int r;

        r = s3_request_init(s, &q, "GET", NULL);
        if (r < 0)
                return r;
        s3_request_query(&q, "list-type", "2");
        s3_request_query(&q, "encoding-type", "url");
        s3_request_query(&q, "prefix", prefix);
        if (next)
                s3_request_query(&q, "continuation-token", next);
        return s3_request_send(s, &q, prefix, a, f);
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
        return streq(l->xml.name, name) ? xml_take_text(&l->xml, to) : 0;
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
