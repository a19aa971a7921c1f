#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Azure Blob Storage and what speaks like it. For the files of this folder.
 *
 * An object up to the size of a block goes up in one request, a larger one in blocks, a few of them at
 * once, and a list of them that makes the object. Every body goes with its MD5, which the server checks.
 * Nothing is visible before the last request, which carries If-None-Match and so never replaces. Blocks that
 * no list named are dropped by the service after a week. A put that is sealed has sent all its blocks. */

#include "storage/object.h"
#include "storage/parts.h"
#include "storage/shared-key.h"

#define AZURE_VERSION "2020-10-02" /* of the protocol */
/* Of requests with a tier: the first that knows Cold. Not of all: from 2021-02-12 on listings may have names
 * in another encoding. */
#define AZURE_VERSION_TIERS "2021-12-02"
#define AZURE_BLOCKS_MAX 50000
#define AZURE_BLOCK_MIN (4U << 20)
#define AZURE_BLOCK_DEFAULT (16U << 20)
#define AZURE_BLOCK_MAX (32U << 20)
/* What one put holds: the block that it fills, and some on their way. The latter are counted over all puts
 * of a storage. */
#define AZURE_MEMORY (64U << 20)
#define AZURE_NAME_MAX 1024 /* characters of an object's name */
#define AZURE_META_ID "x-ms-meta-backupx_put"

typedef struct Azure {
        HttpServer *server;
        char *url;  /* "https://account.blob.core.windows.net": what stands before the path */
        char *root; /* encoded: "/container" */
        char *account, *container;
        char *prefix; /* "" or with '/' at its end */
        void *key;    /* a secret, or NULL */
        size_t key_size;
        char *sas; /* a secret: parameters of a query; or NULL */
        char *tier;
        char *ca_cert, *proxy_url;
        size_t block_size;
        uint64_t volume_size; /* 0: as much as goes into an object */
        atomic_int spare;     /* blocks that may be in flight */
} Azure;

/* Reads config and secrets into s->backend. */
int azure_configure(Storage *s, const StorageConfig *config, Failure *reterr_failure) _warn_unused_;
Azure *azure_free(Azure *z);

#define AZURE_QUERY_MAX 8

typedef struct AzureRequest {
        HttpRequest http;
        char *path; /* encoded */
        char *url;  /* a secret, where it has the SAS token in it */
        SigV4Pair query[AZURE_QUERY_MAX];
        size_t n_query;
        HttpLines lines;
        const char *tier; /* weak: of the object that it makes; or NULL */
} AzureRequest;

#define AZURE_REQUEST_NULL ((AzureRequest){})
void azure_request_done(AzureRequest *r);

/* key NULL: of the container. Values of the query are weak. */
int azure_request_init(Storage *s, AzureRequest *r, const char *method, const char *key) _warn_unused_;
void azure_request_query(AzureRequest *r, const char *name, const char *value);
/* The body, with its checksum. */
int azure_request_body(AzureRequest *r, const void *data, size_t n) _warn_unused_;
/* Until there is a success, or a failure that will not pass. key is for its text. */
int azure_request_send(Storage *s, AzureRequest *r, const char *key, HttpAnswer *a, Failure *f)
                _warn_unused_;

/* For HttpServerArgs. */
int azure_sign(Storage *s, const HttpRequest *q, HttpLines *lines) _warn_unused_;
HttpVerdict azure_judge(Storage *s, const HttpAnswer *a, const char *key, Failure *f);

/* For object.h. */
extern const ObjectType azure_objects;

int azure_put_new(StoragePut *put, Failure *reterr_failure) _warn_unused_;
int azure_put_write(StoragePut *put, const void *data, size_t n, Failure *reterr_failure) _warn_unused_;
int azure_put_seal(StoragePut *put, Failure *reterr_failure) _warn_unused_;
int azure_put_commit(StoragePut *put, const uint8_t sha256[static 32],
                     Failure *reterr_failure) _warn_unused_;
void azure_put_free(StoragePut *put);

int azure_ask_page(Storage *s, const char *prefix, const char *next, HttpAnswer *a,
                   Failure *f) _warn_unused_;
int azure_read_page(ObjectListing *l, const HttpAnswer *a) _warn_unused_;
