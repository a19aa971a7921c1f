#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Packs of one repository on their way to its storage: sealed blobs are gathered, data and trees apart, and
 * what is full is uploaded by threads of its own. Index files list the packs that are there, every so often,
 * so that what an interrupted run has uploaded is found by the next one.
 *
 * Memory is that of the pool. Who adds waits while there is no room in it. */

#include <stdatomic.h>

#include "base/failure.h"
#include "base/times.h"
#include "crypto/cipher.h"
#include "repository/pack-pool.h"
#include "storage/storage.h"

/* A pack is closed when it has this much, or less where several repositories share the pool; a blob of 8 MiB
 * may come on top. Near the 16 MiB of restic, and two of them leave room in 64 MiB for all else. */
#define PACK_FULL ((size_t) 13 << 20)
/* One of trees: it fills slowly, beside those of data. */
#define PACK_FULL_TREES ((size_t) 4 << 20)
#define PACKER_UPLOADS_MAX 4
/* An index file is written when so many blobs wait for it: 2 MiB of JSON. */
#define PACKER_INDEX_BLOBS 10000
/* Or after this time: what an interruption can cost. */
#define PACKER_INDEX_INTERVAL (5 * USEC_PER_MINUTE)

/* Stores the plain JSON of an index file; from one thread at a time. */
typedef int (*PackerPutIndex)(void *userdata, const void *json, size_t n, Failure *reterr_failure);

typedef struct PackerArgs {
        Storage *storage;
        const char *prefix; /* of the repository's keys: "" or with a '/' at its end */
        const CipherKey *key;
        PackPool *pool;   /* weak; NULL: one of its own */
        unsigned uploads; /* at a time: 1 to PACKER_UPLOADS_MAX */
        usec_t index_interval;
        PackerPutIndex put_index;
        void *userdata;
} PackerArgs;

typedef struct Packer Packer;

/* Room for one sealed blob. */
typedef struct PackSlot {
        Pack *pack; /* weak */
        size_t number;
        uint8_t *data;
} PackSlot;

int packer_new(const PackerArgs *args, Packer **ret) _warn_unused_;
/* Ends the threads; a call to the storage that runs is waited for (its cancel flag ends it). */
Packer *packer_free(Packer *p);

/* Room for a blob of b->length bytes; waits while all packs are being uploaded. Fails when the packer has
 * failed before. To be called by several threads. */
int packer_reserve(Packer *p, const PackBlob *b, PackSlot *ret) _warn_unused_;
/* The room is filled. */
void packer_filled(Packer *p, const PackSlot *slot);

/* Uploads what there is and writes the index, and waits for it. No room may be unfilled. */
int packer_finish(Packer *p) _warn_unused_;
/* Fails everything from now on, waiting calls too. From any thread. */
void packer_stop(Packer *p, int error);
/* 0, or the error that stopped it and, where there is one, the failure that tells of it. */
int packer_error(Packer *p, Failure *reterr_failure) _warn_unused_;
/* Bytes that are stored. May be asked at any time. */
uint64_t packer_stored(const Packer *p);

DEFINE_CLEANUP(Packer *, packer_free);
