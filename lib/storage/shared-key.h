#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Signatures of Azure Storage with an account's key, as "Authorize with Shared Key" of its REST reference
 * describes them for version 2015-02-21 and later. Pure: the time comes in with the headers. */

#include "base/buffer.h"
#include "base/times.h"
#include "storage/sigv4.h"

/* "Fri, 26 Jun 2015 23:39:12 GMT" and a NUL. */
#define SHARED_KEY_TIME_SIZE 30
#define SHARED_KEY_PAIRS_MAX 48

typedef struct SharedKeyRequest {
        const char *method;
        const char *path;         /* encoded, as it is sent; begins with '/' */
        const SigV4Pair *query;   /* not encoded; each name once, in lower case */
        const SigV4Pair *headers; /* all that are sent and could be signed, names in any case */
        size_t n_query, n_headers;
        uint64_t content_length;
} SharedKeyRequest;

/* The time as x-ms-date has it, whatever the locale. */
void shared_key_time(usec_t now, char ret[static SHARED_KEY_TIME_SIZE]);
/* What is signed. */
int shared_key_string(const char *account, const SharedKeyRequest *q, Buffer *ret) _warn_unused_;
/* The value of the Authorization header (allocated). */
int shared_key_authorization(const char *account, const void *key, size_t key_size,
                             const SharedKeyRequest *q, char **ret) _warn_unused_;
