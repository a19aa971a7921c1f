/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "repository/content.h"
#include "repository/restore-source.h"
#include "wire/path.h"

static int explain(const char *path, int error, Failure *f) {
        _cleanup_(freep) char *display = NULL;

        if (path_display(path, &display) < 0)
                return -ENOMEM;
        if (error == -EISDIR)
                return failure_set(f, error, "PATH_INVALID", "%s is not a file", display);
        return failure_set(f, -ENOENT, "PATH_NOT_FOUND", "The snapshot has no file %s", display);
}

/* The length of a blob, from the index. */
static int find_length(const RestoreSource *s, const Id *id, uint64_t *ret, Failure *f) {
        char hex[ID_HEX_SIZE];
        uint64_t cursor = 0;
        IndexEntry e;

        assert(s);

        if (!repo_index_find(s->index, BLOB_DATA, id, &cursor, &e))
                return failure_set(f, -EBADMSG, "REPOSITORY_DAMAGED",
                                   "The repository does not have blob %.16s of this file",
                                   id_to_hex(id, hex));
        *ret = pack_blob_plain_length(&e.blob);
        return 0;
}

/* What of the blob at this place in the file was asked for. */
static int add_part(RestoreSource *s, const RepositoryReadArgs *args, const Id *id, uint64_t at,
                    uint64_t length, Buffer *ret, Failure *f) {
        uint64_t from = MAX(args->offset, at), until = MIN(args->offset + args->length, at + length);
        _cleanup_buffer_ Buffer blob = BUFFER_NULL;
        int r;

        assert(ret);

        if (from >= until)
                return 0;
        r = blob_reader_get(s->reader, BLOB_DATA, id, &blob, f);
        if (r < 0)
                return r;
        if (blob.size != length)
                return failure_set(f, -EBADMSG, "REPOSITORY_DAMAGED",
                                   "A blob of this file has another length than its index says");
        return buffer_add(ret, blob.data + (from - at), (size_t) (until - from));
}

static int read_node(RestoreSource *s, const RepositoryReadArgs *args, const TreeNode *node, Buffer *ret,
                     uint64_t *ret_size, Failure *f) {
        uint64_t at = 0;

        assert(node);

        for (size_t i = 0; i < node->n_content; i++) {
                uint64_t length = 0;
                int r = find_length(s, node->content + i, &length, f);

                if (r >= 0)
                        r = add_part(s, args, node->content + i, at, length, ret, f);
                if (r < 0)
                        return r;
                at += length;
        }
        *ret_size = at;
        return 0;
}

int repository_read_file(const RepositoryReadArgs *args, Buffer *ret, uint64_t *ret_size,
                         Failure *reterr_failure) {
        _cleanup_(restore_source_done) RestoreSource source = RESTORE_SOURCE_NULL;
        _cleanup_(tree_node_done) TreeNode node = TREE_NODE_NULL;
        _cleanup_(freep) char *path = NULL;
        int r;

        assert(args && args->repository && args->snapshot && args->path);
        assert(ret);
        assert(ret_size);

        r = path_from_absolute(args->path, &path);
        if (r == -EINVAL || (r >= 0 && !path[0]))
                return explain(args->path, r < 0 ? -ENOENT : -EISDIR, reterr_failure);
        if (r < 0)
                return r;
        r = restore_source_open(&source, args->repository, args->snapshot, reterr_failure);
        if (r < 0)
                return r;
        r = tree_find(source.reader, &source.snapshot.tree, path, &node, reterr_failure);
        if (r == -ENOENT || (r >= 0 && node.type != TREE_NODE_FILE))
                return explain(args->path, r < 0 ? -ENOENT : -EISDIR, reterr_failure);
        return r < 0 ? r : read_node(&source, args, &node, ret, ret_size, reterr_failure);
}
