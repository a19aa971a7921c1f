/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "repository/dump.h"
#include "repository/restore-source.h"
#include "repository/stream.h"

#define THREADS 2
#define ZEROS_SIZE (64U << 10)

typedef struct Feeder {
        BlobStream *stream;
        const TreeNode *node;
} Feeder;

static void *feed(void *userdata) {
        const Feeder *f = ASSERT_PTR(userdata);
        int r = 0;

        for (size_t i = 0; i < f->node->n_content && r >= 0; i++)
                r = blob_stream_add(f->stream, f->node->content + i);
        blob_stream_end(f->stream, r);
        return NULL;
}

static int write_zeros(int fd, uint64_t n) {
        _cleanup_(freep) uint8_t *zeros = new0(uint8_t, ZEROS_SIZE);
        int r = 0;

        if (!zeros)
                return -ENOMEM;
        while (n > 0 && r >= 0) {
                size_t k = (size_t) MIN(n, (uint64_t) ZEROS_SIZE);

                r = write_full(fd, zeros, k);
                n -= k;
        }
        return r;
}

static int take_all(const RepositoryDumpArgs *args, BlobStream *stream, Failure *f) {
        BlobStreamItem item;
        char hex[ID_HEX_SIZE];
        int r;

        while ((r = blob_stream_next(stream, &item)) > 0) {
                if (item.error == -EBADMSG || item.error == -ENOENT)
                        return failure_set(f, item.error, "REPOSITORY_DAMAGED",
                                           "The content of %s in the repository is %s (blob %.16s)",
                                           args->path,
                                           item.error == -ENOENT ? "missing" : "damaged",
                                           id_to_hex(&item.blob.id, hex));
                if (item.error < 0)
                        return failure_set(f, item.error, "STORAGE", "The repository cannot be read: %s",
                                           strerror(-item.error));
                r = item.data ? write_full(args->fd, item.data, item.size) :
                                write_zeros(args->fd, item.size);
                if (r < 0)
                        return failure_set(f, r, "WRITE", "The content of %s cannot be written: %s",
                                           args->path,
                                           strerror(-r));
                if (args->cancel && atomic_load_explicit(args->cancel, memory_order_relaxed))
                        return -ECANCELED;
        }
        return r;
}

static int dump_node(const RepositoryDumpArgs *args, const RestoreSource *source, const TreeNode *node,
                     Failure *f) {
        Feeder feeder = { .node = node };
        pthread_t thread;
        int r;

        r = blob_stream_new(args->repository, source->index, THREADS, &feeder.stream);
        if (r < 0)
                return r;
        r = -pthread_create(&thread, NULL, feed, &feeder);
        if (r >= 0) {
                r = take_all(args, feeder.stream, f);
                blob_stream_stop(feeder.stream);
                (void) pthread_join(thread, NULL);
        }
        (void) blob_stream_free(feeder.stream, NULL);
        return r;
}

int repository_dump(const RepositoryDumpArgs *args, Failure *reterr_failure) {
        _cleanup_(restore_source_done) RestoreSource source = RESTORE_SOURCE_NULL;
        _cleanup_(tree_node_done) TreeNode node = TREE_NODE_NULL;
        _cleanup_(freep) char *path = NULL;
        int r;

        assert(args && args->repository && args->snapshot && args->path);

        r = path_from_absolute(args->path, &path);
        if (r == -EINVAL || (r >= 0 && !path[0]))
                return failure_set(reterr_failure, -EINVAL, "PATH_INVALID",
                                   "%s is not the absolute path of a file",
                                   args->path);
        if (r < 0)
                return r;
        r = restore_source_open(&source, args->repository, args->snapshot, reterr_failure);
        if (r >= 0)
                r = tree_find(source.reader, &source.snapshot.tree, path, &node, reterr_failure);
        if (r == -ENOENT)
                return failure_set(reterr_failure, r, "PATH_MISSING", "The snapshot does not have %s",
                                   args->path);
        if (r < 0)
                return r;
        if (node.type != TREE_NODE_FILE)
                return failure_set(reterr_failure, -EISDIR, "PATH_INVALID", "%s is not a file", args->path);
        return dump_node(args, &source, &node, reterr_failure);
}
