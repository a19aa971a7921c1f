#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* S3 and what speaks like it. For the files of this folder.
 *
 * An object up to the size of a part goes up in one request, a larger one as a multipart upload of parts of
 * equal size (some servers want that), a few of them at once. Every body is signed with its SHA-256, which
 * the server checks. Nothing is visible before the last request, and a put never replaces: where the server
 * is known to obey it, that request carries If-None-Match; in any case the key is asked for just before. An
 * upload that is sealed has all its parts, and waits for that last request. */

#include "storage/object.h"
#include "storage/parts.h"
#include "storage/sigv4.h"

#define S3_PARTS_MAX 10000
#define S3_PART_MIN (5U << 20)
#define S3_PART_DEFAULT (16U << 20)
#define S3_PART_MAX (32U << 20)
/* What one put holds: the part that it fills, and some on their way. The latter are counted over all puts of
 * a storage. */
#define S3_MEMORY (64U << 20)
#define S3_META_ID "x-amz-meta-backupx-put"

/* Room before and behind the bytes of a part, for the frame of a body in signed chunks. */
#define S3_FRAME_HEAD 96
#define S3_FRAME_TAIL 320

typedef struct S3 {
        HttpServer *server;
        char *url;  /* "https://bucket.host" or "https://host": what stands before the path */
        char *host; /* of it, with a port that is not the scheme's */
        char *root; /* "/" or "/bucket/" */
        char *bucket;
        char *prefix; /* "" or with '/' at its end */
        char *region, *access_key, *secret_key, *session_token;
        char *storage_class, *sse, *sse_key_id, *sse_customer_key, *sse_customer_md5;
        char *lock_mode;
        uint64_t lock_days;
        char *ca_cert, *proxy_url;
        size_t part_size;
        uint64_t volume_size; /* 0: as much as goes into an object */
        bool if_none_match;   /* the server obeys it */
        bool trailer;         /* bodies in signed chunks with a checksum behind them */
        atomic_int spare;     /* parts that may be in flight */
        atomic_bool swept;
} S3;

/* Reads config and secrets into s->backend. */
int s3_configure(Storage *s, const StorageConfig *config, Failure *reterr_failure) _warn_unused_;
S3 *s3_free(S3 *s3);

#define S3_QUERY_MAX 8

typedef struct S3Request {
        HttpRequest http;
        char *path; /* not encoded */
        char *url;
        SigV4Pair query[S3_QUERY_MAX];
        size_t n_query;
        HttpLines lines;
        char hash[SHA256_HEX_SIZE];
        char *frame;       /* where the body in chunks goes; its data begins S3_FRAME_HEAD behind it */
        size_t frame_size; /* of the data */
        uint8_t digest[SHA256_SIZE];
} S3Request;

#define S3_REQUEST_NULL ((S3Request){})
void s3_request_done(S3Request *r);

/* key NULL: of the bucket. Values of the query are weak. */
int s3_request_init(Storage *s, S3Request *r, const char *method, const char *key) _warn_unused_;
void s3_request_query(S3Request *r, const char *name, const char *value);
/* The body; in chunks when the target wants that and buf has room around n bytes at S3_FRAME_HEAD. */
int s3_request_body(Storage *s, S3Request *r, char *buf, size_t n) _warn_unused_;
/* The keys of the customer, where objects are encrypted with them. */
int s3_request_customer_key(const S3 *s3, S3Request *r) _warn_unused_;
/* Until there is a success, or a failure that will not pass. key is for its text. */
int s3_request_send(Storage *s, S3Request *r, const char *key, HttpAnswer *a, Failure *f) _warn_unused_;
/* Once, whatever comes back. */
int s3_request_try(Storage *s, S3Request *r, usec_t stall, HttpAnswer *a) _warn_unused_;

/* For HttpServerArgs. */
int s3_sign(Storage *s, const HttpRequest *q, HttpLines *lines) _warn_unused_;
HttpVerdict s3_judge(Storage *s, const HttpAnswer *a, const char *key, Failure *f);
/* The text of the first element of a name in an answer; *ret is NULL where there is none. */
int s3_answer_text(const HttpAnswer *a, const char *name, char **ret) _warn_unused_;

/* For object.h. */
extern const ObjectType s3_objects;

int s3_put_new(StoragePut *put, Failure *reterr_failure) _warn_unused_;
int s3_put_write(StoragePut *put, const void *data, size_t n, Failure *reterr_failure) _warn_unused_;
int s3_put_seal(StoragePut *put, Failure *reterr_failure) _warn_unused_;
int s3_put_commit(StoragePut *put, const uint8_t sha256[static 32], Failure *reterr_failure) _warn_unused_;
void s3_put_free(StoragePut *put);

int s3_ask_page(Storage *s, const char *prefix, const char *next, HttpAnswer *a, Failure *f) _warn_unused_;
int s3_read_page(ObjectListing *l, const HttpAnswer *a) _warn_unused_;

/* Aborts uploads that nobody can be at any more; once a storage, and without a word where that fails. */
void s3_sweep(Storage *s);
