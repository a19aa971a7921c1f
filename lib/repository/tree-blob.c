/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "repository/tree-blob.h"
#include "repository/tree.h"

/* Text that is taken at once. */
#define PIECE ((size_t) 256 << 10)

void tree_blob_done(TreeBlob *b) {
        assert(b);

        buffer_done(&b->text);
        buffer_done(&b->packed);
        sha256_free(b->digest);
        compressor_free(b->compressor);
        *b = (TreeBlob){};
}

static int take(TreeBlob *b) {
        int r;

        r = sha256_add(b->digest, b->text.data, b->text.size);
        if (r >= 0)
                r = compressor_add(b->compressor, b->text.data, b->text.size, &b->packed);
        b->size += b->text.size;
        buffer_clear(&b->text);
        return r;
}

static int begin(TreeBlob *b, const Feed *feed) {
        int r;

        r = feed_compressor(feed, &b->compressor);
        if (r == -EOPNOTSUPP) {
                b->whole = true;
                return 0;
        }
        if (r >= 0)
                r = sha256_new(&b->digest);
        if (r >= 0)
                r = take(b);
        buffer_done(&b->text); /* its memory is for much more than a piece */
        return r;
}

int tree_blob_take(TreeBlob *b, const Feed *feed) {
        assert(b);

        if (b->digest)
                return b->text.size < PIECE ? 0 : take(b);
        return b->whole || b->text.size <= TREE_WHOLE_MAX ? 0 : begin(b, feed);
}

int tree_blob_store(TreeBlob *b, Feed *feed, Id *ret) {
        int r;

        assert(b);
        assert(ret);

        if (!b->digest)
                return b->text.size > UINT32_MAX ? -EFBIG : feed_blob(feed, BLOB_TREE, &b->text, ret);
        r = b->text.size > 0 ? take(b) : 0;
        if (r >= 0)
                r = compressor_end(b->compressor, &b->packed);
        if (r >= 0)
                r = sha256_finish(b->digest, ret->bytes);
        if (r >= 0 && (b->size > UINT32_MAX || b->packed.size > UINT32_MAX - CIPHER_OVERHEAD))
                r = -EFBIG;
        return r < 0 ? r : feed_blob_packed(feed, BLOB_TREE, ret, b->size, &b->packed);
}
