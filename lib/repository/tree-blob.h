#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A tree on its way into repositories. Its text is held as a whole up to TREE_WHOLE_MAX; of a larger one
 * only the digest and what zstd makes of it, where all of them can hold it compressed. */

#include "base/buffer.h"
#include "crypto/digest.h"
#include "repository/compress.h"
#include "repository/feed.h"

typedef struct TreeBlob {
        Buffer text; /* what was written and not taken from there */
        bool whole;  /* it cannot be anything else */

        /* Of a large one. */
        Sha256 *digest;
        Compressor *compressor;
        Buffer packed;
        size_t size; /* of the text that was taken */
} TreeBlob;

void tree_blob_done(TreeBlob *b);
/* Takes the text where it is much; to be called after each node. */
int tree_blob_take(TreeBlob *b, const Feed *feed) _warn_unused_;
/* At the end of the text. -EFBIG: no repository can hold as much. */
int tree_blob_store(TreeBlob *b, Feed *feed, Id *ret) _warn_unused_;
