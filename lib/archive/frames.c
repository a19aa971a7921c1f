/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "archive/frames.h"
#include "base/alloc.h"

struct FrameCompressor {
        ZSTD_CCtx *context;
};

struct FrameDecompressor {
        ZSTD_DCtx *context;
};

/* What zstd says, as far as the caller can do something about it. */
static int zstd_errno(size_t code) {
        return ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation ? -ENOMEM : -EIO;
}

int frame_compressor_new(int level, FrameCompressor **ret) {
        _cleanup_(frame_compressor_freep) FrameCompressor *c = NULL;
        size_t k;

        assert(ret);

        c = new0(FrameCompressor, 1);
        if (!c)
                return -ENOMEM;
        c->context = ZSTD_createCCtx();
        if (!c->context)
                return -ENOMEM;
        k = ZSTD_CCtx_setParameter(c->context, ZSTD_c_compressionLevel, level);
        if (ZSTD_isError(k))
                return -EINVAL;
        k = ZSTD_CCtx_setParameter(c->context, ZSTD_c_checksumFlag, 1);
        if (ZSTD_isError(k))
                return -EINVAL;
        *ret = TAKE_PTR(c);
        return 0;
}

FrameCompressor *frame_compressor_free(FrameCompressor *c) {
        if (!c)
                return NULL;
        ZSTD_freeCCtx(c->context);
        return mfree(c);
}

size_t frame_bound(size_t n) {
        return ZSTD_compressBound(n);
}

int frame_compress(FrameCompressor *c, const void *p, size_t n, void *buf, size_t buf_size, Frame *ret) {
        Frame f = { .plain_size = (uint32_t) n };
        size_t k;
        int r;

        assert(c);
        assert(p);
        assert(buf);
        assert(ret);
        assert(n > 0 && n <= FRAME_PLAIN_MAX);

        k = ZSTD_compress2(c->context, buf, buf_size, p, n);
        if (ZSTD_isError(k))
                return zstd_errno(k);
        f.size = (uint32_t) k;
        r = sha256(buf, k, f.sha256);
        if (r < 0)
                return r;
        *ret = f;
        return 0;
}

int frame_decompressor_new(FrameDecompressor **ret) {
        _cleanup_(frame_decompressor_freep) FrameDecompressor *d = NULL;

        assert(ret);

        d = new0(FrameDecompressor, 1);
        if (!d)
                return -ENOMEM;
        d->context = ZSTD_createDCtx();
        if (!d->context)
                return -ENOMEM;
        *ret = TAKE_PTR(d);
        return 0;
}

FrameDecompressor *frame_decompressor_free(FrameDecompressor *d) {
        if (!d)
                return NULL;
        ZSTD_freeDCtx(d->context);
        return mfree(d);
}

int frame_decompress(FrameDecompressor *d, const Frame *f, const void *p, void *buf) {
        uint8_t digest[SHA256_SIZE];
        size_t k;
        int r;

        assert(d);
        assert(f);
        assert(p);
        assert(buf);

        if (f->plain_size == 0 || f->plain_size > FRAME_PLAIN_MAX)
                return -EBADMSG;
        r = sha256(p, f->size, digest);
        if (r < 0)
                return r;
        if (memcmp(digest, f->sha256, sizeof digest) != 0)
                return -EBADMSG;
        /* Exactly one frame that says the size we expect: anything else was not written by us. */
        if (ZSTD_findFrameCompressedSize(p, f->size) != f->size ||
            ZSTD_getFrameContentSize(p, f->size) != f->plain_size)
                return -EBADMSG;
        k = ZSTD_decompressDCtx(d->context, buf, f->plain_size, p, f->size);
        if (ZSTD_isError(k))
                return zstd_errno(k) == -ENOMEM ? -ENOMEM : -EBADMSG;
        return k == f->plain_size ? 0 : -EBADMSG;
}
