#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* From the bytes of files to the packs of one or more repositories, which have one polynomial, so that all
 * of it is read, cut and compressed once. The thread that feeds cuts; two others hash, look up what is
 * known, compress, seal and check what is new. Between them are a few jobs of bounded size. What is small,
 * and the end of each file, the feeder hashes and looks up, so that only what is new of it is handed on.
 *
 * The feeder is one thread. A repository whose packer fails is left out from then on. */

#include <stdatomic.h>

#include "repository/chunker.h"
#include "repository/compress.h"
#include "repository/index.h"
#include "repository/packer.h"

#define FEED_TARGETS_MAX 16

typedef struct FeedTarget {
        Packer *packer;         /* weak */
        const RepoIndex *index; /* weak; does not change from feed_new() to feed_free() */
        const CipherKey *key;   /* weak */
        bool compress;          /* whether the repository's version allows it */
} FeedTarget;

typedef struct FeedArgs {
        const Chunker *chunker; /* weak */
        const FeedTarget *targets;
        size_t n_targets; /* 1 to FEED_TARGETS_MAX */
        int level;        /* of zstd */
        bool verify;      /* open and compare what was sealed */
} FeedArgs;

/* The blobs of one file. */
typedef struct IdList {
        Id *ids;
        size_t n, n_allocated;
} IdList;

#define ID_LIST_NULL ((IdList){})
void id_list_done(IdList *l);
int id_list_add(IdList *l, const Id *id) _warn_unused_;

typedef struct Feed Feed;

int feed_new(const FeedArgs *args, Feed **ret) _warn_unused_;
Feed *feed_free(Feed *f);

/* Room for the next bytes of the file that is being read, never none; the caller fills some of it and says
 * how much. -EPIPE: no repository is left. */
int feed_space(Feed *f, uint8_t **ret, size_t *ret_n) _warn_unused_;
int feed_advance(Feed *f, size_t n) _warn_unused_;
/* So many zeros come next, which are neither read nor hashed. */
int feed_zeros(Feed *f, uint64_t n) _warn_unused_;
/* The end of the file: what is left of it is its last blob. Waits until the ids of all its blobs are there,
 * and adds them to the list. */
int feed_end(Feed *f, IdList *l) _warn_unused_;
/* A whole blob, not empty; not within a file. A large one is taken over, and b is empty then. */
int feed_blob(Feed *f, BlobType type, Buffer *b, Id *ret) _warn_unused_;
/* The same of one that the caller has packed with feed_compressor(): its name, and what it is unpacked. */
int feed_blob_packed(Feed *f, BlobType type, const Id *id, size_t n, Buffer *packed) _warn_unused_;
/* For blobs too large to be held plain. -EOPNOTSUPP: a repository has to hold them so. */
int feed_compressor(const Feed *f, Compressor **ret) _warn_unused_;
/* Whether every repository that is left has this blob. */
bool feed_knows(Feed *f, BlobType type, const Id *id);

/* Waits until all is in the packers. */
int feed_finish(Feed *f) _warn_unused_;
/* Fails everything from now on. From any thread. */
void feed_stop(Feed *f, int error);

/* Plain bytes of blobs that a repository did not have, and their number. At any time. */
uint64_t feed_new_bytes(const Feed *f);
uint64_t feed_new_blobs(const Feed *f);

DEFINE_CLEANUP(Feed *, feed_free);
