#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* AWS Signature Version 4, as "Authenticating Requests (AWS Signature Version 4)" of the Amazon S3 API
 * reference describes it: in a header, and of bodies in signed chunks with a signed trailer. Pure: the time
 * comes in.
 *
 * As S3 wants it, paths are encoded once and never normalised. */

#include "base/buffer.h"
#include "base/macros.h"
#include "base/times.h"
#include "crypto/digest.h"

/* "20150830T123600Z" and a NUL. */
#define SIGV4_TIME_SIZE 17
#define SIGV4_PAYLOAD_UNSIGNED "UNSIGNED-PAYLOAD"
#define SIGV4_PAYLOAD_TRAILER "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
/* Headers and parameters of one request. */
#define SIGV4_PAIRS_MAX 48

typedef struct SigV4Key {
        const char *access_key;
        const char *secret_key;
        const char *region;
        const char *service; /* "s3" */
} SigV4Key;

typedef struct SigV4Pair {
        const char *name, *value;
} SigV4Pair;

typedef struct SigV4Request {
        const char *method;
        const char *path;         /* not encoded; begins with '/' */
        const SigV4Pair *query;   /* not encoded, in any order */
        const SigV4Pair *headers; /* those that are signed, names in any case, equal ones in their order */
        size_t n_query, n_headers;
        const char *payload; /* the SHA-256 of the body in hexadecimal digits, or a word of above */
} SigV4Request;

typedef char SigV4Signature[SHA256_HEX_SIZE];

/* The time as x-amz-date has it. */
void sigv4_time(usec_t now, char ret[static SIGV4_TIME_SIZE]);
/* The parameters encoded and sorted, as the request must carry them too: "a=1&b=". Allocated. */
int sigv4_query(const SigV4Pair *query, size_t n, char **ret) _warn_unused_;

/* What is signed, step by step; both append to *ret. ret_names are the names of the signed headers. */
int sigv4_canonical_request(const SigV4Request *q, Buffer *ret, Buffer *ret_names) _warn_unused_;
int sigv4_string_to_sign(const SigV4Key *k, const char *time, const Buffer *canonical,
                         Buffer *ret) _warn_unused_;
/* The value of the Authorization header (allocated; wipe it) and the signature in it, from which that of the
 * first chunk follows. */
int sigv4_authorization(const SigV4Key *k, const char *time, const SigV4Request *q, char **ret,
                        SigV4Signature ret_signature) _warn_unused_;

/* The signature of one chunk of a body, and of the lines behind the last one ("name:value\n"…), each from
 * the one before. */
int sigv4_chunk(const SigV4Key *k, const char *time, const char *previous, const void *data, size_t n,
                SigV4Signature ret) _warn_unused_;
int sigv4_trailer(const SigV4Key *k, const char *time, const char *previous, const char *lines,
                  SigV4Signature ret) _warn_unused_;
