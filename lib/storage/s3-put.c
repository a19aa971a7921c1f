/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "storage/s3.h"

/* Giving an upload back is a courtesy: s3_sweep() finds what is left. */
#define ABORT_STALL (5 * USEC_PER_SEC)
#define COMPLETE_TRIES 4

typedef struct S3Put {
        char id[OBJECT_ID_SIZE];
        char *upload; /* NULL: no part went up yet */
        char **etags; /* of S3_PARTS_MAX */
        Parts parts;
} S3Put;

/* --- Requests ----------------------------------------------------------------------------------------- */

static bool is_retained(const StoragePut *put) {
        const S3 *s3 = put->storage->backend;

        return s3->lock_mode && !put->transient;
}

/* What the object will have. */
static int add_object_lines(const StoragePut *put, S3Request *q) {
        const S3 *s3 = put->storage->backend;
        const S3Put *p = put->backend;
        int r;

        r = http_line_add(&q->lines, S3_META_ID ": %s", p->id);
        if (r >= 0 && s3->storage_class)
                r = http_line_add(&q->lines, "x-amz-storage-class: %s", s3->storage_class);
        if (r >= 0 && s3->sse)
                r = http_line_add(&q->lines, "x-amz-server-side-encryption: %s", s3->sse);
        if (r >= 0 && s3->sse_key_id)
                r = http_line_add(&q->lines, "x-amz-server-side-encryption-aws-kms-key-id: %s",
                                  s3->sse_key_id);
        if (r >= 0)
                r = s3_request_customer_key(s3, q);
        if (r >= 0 && is_retained(put)) {
                char until[RFC3339_MAX];

                (void) format_rfc3339(until, now_usec(CLOCK_REALTIME) + s3->lock_days * USEC_PER_DAY);
                r = http_line_add(&q->lines, "x-amz-object-lock-mode: %s", s3->lock_mode);
                if (r >= 0)
                        r = http_line_add(&q->lines, "x-amz-object-lock-retain-until-date: %s", until);
        }
        return r;
}

/* A retained object wants a checksum beside it. */
static int add_checksum(const S3 *s3, S3Request *q) {
        _cleanup_(freep) char *checksum = NULL;
        int r;

        if (!s3->lock_mode || q->frame)
                return 0;
        r = base64_encode(BASE64_STANDARD, q->digest, sizeof q->digest, &checksum);
        return r < 0 ? r : http_line_add(&q->lines, "x-amz-checksum-sha256: %s", checksum);
}

/* --- Parts -------------------------------------------------------------------------------------------- */

static int start_upload(StoragePut *put, Failure *f) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(s3_request_done) S3Request q = S3_REQUEST_NULL;
        Storage *s = put->storage;
        S3Put *p = put->backend;
        int r;

        s3_sweep(s);
        r = object_check_free(&s3_objects, put, f);
        if (r < 0)
                return r;
        p->etags = new0(char *, S3_PARTS_MAX);
        if (!p->etags)
                return -ENOMEM;
        r = s3_request_init(s, &q, "POST", put->key);
        if (r < 0)
                return r;
        s3_request_query(&q, "uploads", "");
        q.http.body = "";
        r = add_object_lines(put, &q);
        if (r >= 0)
                r = s3_request_send(s, &q, put->key, &a, f);
        if (r >= 0)
                r = s3_answer_text(&a, "UploadId", &p->upload);
        if (r < 0 && r != -EBADMSG)
                return r;
        return !isempty(p->upload) ? 0 :
                                     failure_set(f, -EPROTO, "STORAGE_FAILED",
                                                 "The S3 server began no upload for '%s' (%s).", put->key,
                                                 s->name);
}

/* Any thread. */
static int send_part(StoragePut *put, Buffer *part, unsigned number, Failure *f) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(s3_request_done) S3Request q = S3_REQUEST_NULL;
        _cleanup_(freep) char *digits = NULL;
        Storage *s = put->storage;
        S3Put *p = put->backend;
        int r;

        r = asprintf_safe(&digits, "%u", number);
        if (r >= 0)
                r = s3_request_init(s, &q, "PUT", put->key);
        if (r < 0)
                return r;
        s3_request_query(&q, "partNumber", digits);
        s3_request_query(&q, "uploadId", p->upload);
        r = s3_request_customer_key(s->backend, &q);
        if (r >= 0) /* the last part may be a small one */
                r = buffer_reserve(part, S3_FRAME_TAIL);
        if (r >= 0)
                r = s3_request_body(s, &q, part->data, part->size - S3_FRAME_HEAD);
        if (r >= 0)
                r = s3_request_send(s, &q, put->key, &a, f);
        if (r < 0)
                return r;
        r = http_answer_header(&a, "etag", &p->etags[number - 1]);
        return r != 0 ? r :
                        failure_set(f, -EPROTO, "STORAGE_FAILED",
                                    "The S3 server confirmed no part of '%s' (%s).", put->key, s->name);
}

/* The first one begins the upload. */
static int before_part(StoragePut *put, unsigned number, Failure *f) {
        const S3 *s3 = put->storage->backend;

        if (number > S3_PARTS_MAX)
                return failure_set(f, -EFBIG, "STORAGE_TOO_LARGE",
                                   "'%s' has more than %d parts of %zu MiB, which %s cannot hold as one "
                                   "object: raise its part_size.",
                                   put->key, S3_PARTS_MAX, s3->part_size >> 20, put->storage->name);
        return number == 1 ? start_upload(put, f) : 0;
}

int s3_put_new(StoragePut *put, Failure *reterr_failure) {
        S3 *s3 = put->storage->backend;
        S3Put *p;
        int r;

        assert(put);

        if (!utf8_is_valid(put->key, strlen(put->key)))
                return failure_set(reterr_failure, -EINVAL, "STORAGE_KEY_INVALID",
                                   "A key of S3 is text in UTF-8; one of %s is not.", put->storage->name);
        p = put->backend = new0(S3Put, 1);
        if (!p)
                return -ENOMEM;
        r = object_id_new(p->id);
        if (r < 0)
                return r;
        return parts_init(&p->parts, &(PartsArgs){
                                                     .put = put,
                                                     .size = s3->part_size,
                                                     .head = S3_FRAME_HEAD,
                                                     .tail = S3_FRAME_TAIL,
                                                     .spare = &s3->spare,
                                                     .before = before_part,
                                                     .send = send_part,
                                     });
}

int s3_put_write(StoragePut *put, const void *data, size_t n, Failure *reterr_failure) {
        S3Put *p = put->backend;

        assert(p);

        return parts_write(&p->parts, data, n, reterr_failure);
}

/* --- The end ------------------------------------------------------------------------------------------ */

static int put_whole(StoragePut *put, const uint8_t sha256[static 32], Failure *f) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(s3_request_done) S3Request q = S3_REQUEST_NULL;
        Storage *s = put->storage;
        const S3 *s3 = s->backend;
        S3Put *p = put->backend;
        int r = 0;

        if (!s3->if_none_match)
                r = object_check_free(&s3_objects, put, f);
        if (r >= 0)
                r = buffer_reserve(&p->parts.part, S3_FRAME_TAIL);
        if (r >= 0)
                r = s3_request_init(s, &q, "PUT", put->key);
        if (r >= 0)
                r = s3_request_body(s, &q, p->parts.part.data, p->parts.part.size - S3_FRAME_HEAD);
        if (r >= 0 && memcmp(q.digest, sha256, sizeof q.digest) != 0)
                return failure_set(f, -EBADMSG, "STORAGE_CHECKSUM",
                                   "'%s' (%s) is not what was to be written.", put->key, s->name);
        if (r >= 0)
                r = add_object_lines(put, &q);
        if (r >= 0)
                r = add_checksum(s3, &q);
        if (r >= 0 && s3->if_none_match)
                r = http_line_add(&q.lines, "If-None-Match: *");
        return r < 0 ? r : s3_request_send(s, &q, put->key, &a, f);
}

/* A body of ours; it must live as long as the request. */
static int set_xml(S3Request *q, const Buffer *body) {
        q->http.content_type = "application/xml";
        q->http.body = body->data;
        q->http.body_size = body->size;
        return sha256_hex(body->data, body->size, q->hash);
}

/* An ETag as it goes into XML. */
static int add_etag(Buffer *body, const char *etag) {
        int r = 0;

        for (const char *c = etag; *c && r >= 0; c++)
                r = *c == '"'             ? buffer_add_string(body, "&quot;") :
                                *c == '&' ? buffer_add_string(body, "&amp;") :
                                *c == '<' ? buffer_add_string(body, "&lt;") :
                                            buffer_add(body, c, 1);
        return r;
}

static int make_list(const S3Put *p, Buffer *body) {
        int r;

        r = buffer_add_string(body, "<CompleteMultipartUpload>");
        for (unsigned i = 0; i < p->parts.n && r >= 0; i++) {
                r = buffer_printf(body, "<Part><PartNumber>%u</PartNumber><ETag>", i + 1);
                if (r >= 0)
                        r = add_etag(body, p->etags[i]);
                if (r >= 0)
                        r = buffer_add_string(body, "</ETag></Part>");
        }
        return r < 0 ? r : buffer_add_string(body, "</CompleteMultipartUpload>");
}

/* An answer that begins with success may end with an error: the server had to say something meanwhile. */
static int check_completed(StoragePut *put, const HttpAnswer *a, Failure *f) {
        _cleanup_(freep) char *etag = NULL, *code = NULL;
        int r;

        r = s3_answer_text(a, "ETag", &etag);
        if (r == -ENOMEM || etag)
                return r;
        r = s3_answer_text(a, "Code", &code);
        if (r >= 0 && code)
                return s3_judge(put->storage, a, put->key, f).error;
        return failure_set(f, -EPROTO, "STORAGE_INTERRUPTED",
                           "The S3 server did not say that '%s' (%s) is complete.", put->key,
                           put->storage->name);
}

static int complete_once(StoragePut *put, const Buffer *list, Failure *f) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(s3_request_done) S3Request q = S3_REQUEST_NULL;
        Storage *s = put->storage;
        const S3 *s3 = s->backend;
        S3Put *p = put->backend;
        int r;

        r = s3_request_init(s, &q, "POST", put->key);
        if (r < 0)
                return r;
        s3_request_query(&q, "uploadId", p->upload);
        r = set_xml(&q, list);
        if (r >= 0)
                r = s3_request_customer_key(s3, &q);
        if (r >= 0 && s3->if_none_match)
                r = http_line_add(&q.lines, "If-None-Match: *");
        if (r >= 0)
                r = s3_request_send(s, &q, put->key, &a, f);
        return r < 0 ? r : check_completed(put, &a, f);
}

static int complete(StoragePut *put, Failure *f) {
        _cleanup_buffer_ Buffer list = BUFFER_NULL;
        int r;

        r = object_check_free(&s3_objects, put, f);
        if (r >= 0)
                r = make_list(put->backend, &list);
        for (unsigned i = 0; r >= 0; i++) {
                _cleanup_failure_ Failure why = FAILURE_NULL;

                r = complete_once(put, &list, &why);
                if (r >= 0)
                        return 0;
                /* An error behind a success was repeated by nobody yet. */
                if ((r != -EIO && r != -EBUSY) || i == COMPLETE_TRIES - 1)
                        return failure_set(f, r, why.code, "%s", failure_message(&why, r));
                r = 0;
        }
        return r;
}

static int put_parts(StoragePut *put, Failure *f) {
        S3Put *p = put->backend;
        int r = 0;

        if (!put->sealed)
                r = parts_finish(&p->parts, f);
        return r < 0 ? r : complete(put, f);
}

/* What fits into one part becomes an upload as well. */
int s3_put_seal(StoragePut *put, Failure *reterr_failure) {
        S3Put *p = put->backend;
        char **etags;
        int r;

        assert(p);

        r = parts_finish(&p->parts, reterr_failure);
        if (r < 0)
                return r;
        parts_release(&p->parts);
        /* Many may wait so. */
        etags = reallocarray(p->etags, p->parts.n, sizeof *etags);
        if (etags)
                p->etags = etags;
        return 0;
}

/* Ceph keeps no retention that a multipart upload asks for at its start. */
static int set_retention(StoragePut *put, Failure *f) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(s3_request_done) S3Request q = S3_REQUEST_NULL;
        _cleanup_(freep) char *checksum = NULL;
        _cleanup_buffer_ Buffer body = BUFFER_NULL;
        const S3 *s3 = put->storage->backend;
        char until[RFC3339_MAX];
        uint8_t check[MD5_SIZE];
        int r;

        (void) format_rfc3339(until, now_usec(CLOCK_REALTIME) + s3->lock_days * USEC_PER_DAY);
        r = buffer_printf(&body,
                          "<Retention><Mode>%s</Mode>"
                          "<RetainUntilDate>%s</RetainUntilDate></Retention>",
                          s3->lock_mode, until);
        if (r >= 0)
                r = s3_request_init(put->storage, &q, "PUT", put->key);
        if (r < 0)
                return r;
        s3_request_query(&q, "retention", "");
        r = set_xml(&q, &body);
        if (r >= 0)
                r = md5(q.http.body, q.http.body_size, check);
        if (r >= 0)
                r = base64_encode(BASE64_STANDARD, check, sizeof check, &checksum);
        if (r >= 0)
                r = http_line_add(&q.lines, "Content-MD5: %s", checksum);
        return r < 0 ? r : s3_request_send(put->storage, &q, put->key, &a, f);
}

/* What the server has after all: its size, and that it keeps it. */
static int check_object(StoragePut *put, Failure *f) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(freep) char *mode = NULL;
        int r;

        r = object_check_put(&s3_objects, put, &a, f);
        if (r < 0 || !is_retained(put))
                return r;
        r = http_answer_header(&a, "x-amz-object-lock-mode", &mode);
        return r != 0 ? MIN(r, 0) : set_retention(put, f);
}

int s3_put_commit(StoragePut *put, const uint8_t sha256[static 32], Failure *reterr_failure) {
        S3Put *p = put->backend;
        _cleanup_failure_ Failure why = FAILURE_NULL;
        int r;

        assert(p);

        r = p->upload ? put_parts(put, &why) : put_whole(put, sha256, &why);
        if (r < 0 && !storage_is_cancelled(put->storage) && (r == -EEXIST || r == -ESTALE || r == -EPROTO) &&
            object_is_ours(&s3_objects, put, p->id))
                r = 0;
        if (r < 0)
                return failure_set(reterr_failure, r, why.code, "%s", failure_message(&why, r));
        if (!p->upload)
                return 0;
        p->upload = mfree(p->upload);
        return check_object(put, reterr_failure);
}

static void abort_upload(StoragePut *put) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(s3_request_done) S3Request q = S3_REQUEST_NULL;
        S3Put *p = put->backend;

        if (s3_request_init(put->storage, &q, "DELETE", put->key) < 0)
                return;
        s3_request_query(&q, "uploadId", p->upload);
        if (s3_request_try(put->storage, &q, ABORT_STALL, &a) < 0)
                return; /* s3_sweep() */
}

void s3_put_free(StoragePut *put) {
        S3Put *p = put->backend;

        assert(p);

        parts_wait(&p->parts);
        if (p->upload)
                abort_upload(put);
        for (unsigned i = 0; p->etags && i < p->parts.n; i++)
                free(p->etags[i]);
        parts_done(&p->parts);
        free(p->etags);
        free(p->upload);
        free(p);
}
