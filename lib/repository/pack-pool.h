#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The memory of packs that fill or wait for their upload: so many bytes in all, whatever the number of
 * repositories that a run writes to. One lock serves the pool and the packers that share it.
 *
 * Who wants room waits until packs are uploaded. Where none is on its way, so that waiting would never end,
 * the largest pack that fills is closed early. A blob that is larger than all of the pool waits until the
 * pool is empty, and is alone in it then. */

#include <pthread.h>

#include "crypto/digest.h"
#include "repository/pack.h"

/* Two full packs of data, and most of one of trees. */
#define PACK_POOL_LIMIT ((size_t) 30 << 20)

/* Beyond a full pack: its last blob, and the header of as many blobs as a pack of small ones has. */
#define PACK_ROOM (((size_t) 8 << 20) + CIPHER_OVERHEAD)
/* Blobs of an average of 400 bytes make a header that restic still takes. */
#define PACK_BLOBS_MAX 40000

typedef struct Pack {
        struct Pack *next;
        uint8_t *data;
        size_t capacity, used;
        size_t touched; /* bytes at the beginning that were ever used: they are memory */
        PackBlob *blobs;
        bool *filled; /* of each */
        size_t n_blobs, n_allocated;
        unsigned unfilled; /* rooms that were given out */
        bool closed;
        bool again; /* its memory is for others after it */
        Sha256 *digest;
        size_t n_whole; /* blobs at the beginning that are filled in */
        size_t hashed;  /* bytes at the beginning that the digest has */
        bool hashing;   /* by one of those who fill */
} Pack;

typedef struct PackPool {
        pthread_mutex_t lock;
        pthread_cond_t changed; /* there is more room, or less to wait for */
        size_t limit, used;     /* bytes of memory, spares too */
        size_t most;            /* that was ever used */
        Pack *spares;           /* memory for the next ones */
        struct Packer *packers; /* that share it; weak */
        unsigned n_packers;
        unsigned n_closed; /* packs on their way to the storages */
        bool alone;        /* one waits for more room than others leave */
} PackPool;

int pack_pool_new(size_t limit, PackPool **ret) _warn_unused_;
/* The packers are gone by then. */
PackPool *pack_pool_free(PackPool *p);

/* All below with the lock. */

/* The size at which a pack is closed, so that each repository can fill one while another is uploaded. */
size_t pack_pool_full(const PackPool *p, BlobType type);
/* Whether a pack (NULL: a new one) can take this blob; spares make way. */
bool pack_pool_has_room(PackPool *p, const Pack *k, const PackBlob *b);
/* An empty pack for blobs of this type, with room for this one at its end. */
int pack_pool_get(PackPool *p, const PackBlob *b, Pack **ret) _warn_unused_;
/* The next blob of a pack; its place is in the list of blobs. */
int pack_pool_add(PackPool *p, Pack *k, const PackBlob *b) _warn_unused_;
/* Takes a pack back. */
void pack_pool_put(PackPool *p, Pack *k);

DEFINE_CLEANUP(PackPool *, pack_pool_free);
