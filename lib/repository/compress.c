/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/alloc.h"
#include "repository/compress.h"

/* Larger windows are refused while a frame is read piece by piece: it would be the memory we need. restic's
 * highest level has 8 MiB, ours 4. */
#define WINDOW_LOG_MAX 25

/* zstd's tables of level 3 have 768 KiB, for streams of any length. Blobs are chunks of about a MiB: with
 * these of 192 KiB, which stay in the cache of one core, they take two thirds of the time, and at most 3 %
 * more space. */
#define TUNED_LEVEL 3
#define TUNED_HASH_LOG 15
#define TUNED_CHAIN_LOG 14
/* What is smaller than this, as most files and trees are, takes a sixth less time with level 2, and 2 % more
 * space. */
#define SMALL ((size_t) 256 << 10)
#define SMALL_LEVEL 2

#define STREAM_PIECE (32U << 10) /* that the output grows by at least */

struct Compressor {
        ZSTD_CCtx *context;
        int level;
};

struct Decompressor {
        ZSTD_DCtx *context;
        ZSTD_inBuffer in;
        bool within; /* a frame */
};

/* Between two frames. */
static bool set_level(ZSTD_CCtx *context, int level) {
        bool tuned = level == TUNED_LEVEL;

        return !ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)) &&
                        !ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_hashLog,
                                                             tuned ? TUNED_HASH_LOG : 0)) &&
                        !ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_chainLog,
                                                             tuned ? TUNED_CHAIN_LOG : 0));
}

Compressor *compressor_free(Compressor *c) {
        if (!c)
                return NULL;
        (void) ZSTD_freeCCtx(c->context);
        return mfree(c);
}

int compressor_new(int level, Compressor **ret) {
        _cleanup_(compressor_freep) Compressor *c = NULL;

        assert(ret);

        c = new0(Compressor, 1);
        if (!c)
                return -ENOMEM;
        c->context = ZSTD_createCCtx();
        if (!c->context)
                return -ENOMEM;
        c->level = level;
        if (!set_level(c->context, level))
                return -EINVAL;
        *ret = TAKE_PTR(c);
        return 0;
}

void compressor_reset(Compressor *c) {
        assert(c);

        (void) ZSTD_CCtx_reset(c->context, ZSTD_reset_session_only);
}

size_t compressor_bound(size_t n) {
        return ZSTD_compressBound(n);
}

ssize_t compressor_run(Compressor *c, const void *p, size_t n, void *out, size_t size) {
        bool small;
        size_t k;

        assert(c);
        assert(p || n == 0);
        assert(out);

        small = c->level == TUNED_LEVEL && n < SMALL;
        compressor_reset(c);
        if (small && !set_level(c->context, SMALL_LEVEL))
                return -EINVAL;
        k = ZSTD_compress2(c->context, out, size, p, n);
        compressor_reset(c);
        if (small && !set_level(c->context, c->level))
                return -EINVAL;
        if (ZSTD_isError(k))
                return ZSTD_getErrorCode(k) == ZSTD_error_dstSize_tooSmall ? -ENOBUFS : -ENOMEM;
        return (ssize_t) k;
}

static int stream(Compressor *c, ZSTD_inBuffer *in, ZSTD_EndDirective directive, Buffer *out) {
        size_t left;

        do {
                ZSTD_outBuffer piece;
                int r = buffer_reserve(out, STREAM_PIECE);

                if (r < 0)
                        return r;
                piece = (ZSTD_outBuffer){ out->data + out->size, STREAM_PIECE, 0 };
                left = ZSTD_compressStream2(c->context, &piece, in, directive);
                if (ZSTD_isError(left))
                        return -ENOMEM;
                out->size += piece.pos;
                out->data[out->size] = 0;
        } while (directive == ZSTD_e_end ? left > 0 : in->pos < in->size);
        return 0;
}

int compressor_add(Compressor *c, const void *p, size_t n, Buffer *out) {
        ZSTD_inBuffer in = { p, n, 0 };

        assert(c);
        assert(p || n == 0);
        assert(out);

        return stream(c, &in, ZSTD_e_continue, out);
}

int compressor_end(Compressor *c, Buffer *out) {
        ZSTD_inBuffer in = { NULL, 0, 0 };

        assert(c);
        assert(out);

        return stream(c, &in, ZSTD_e_end, out);
}

Decompressor *decompressor_free(Decompressor *d) {
        if (!d)
                return NULL;
        (void) ZSTD_freeDCtx(d->context);
        return mfree(d);
}

int decompressor_new(Decompressor **ret) {
        _cleanup_(decompressor_freep) Decompressor *d = NULL;

        assert(ret);

        d = new0(Decompressor, 1);
        if (!d)
                return -ENOMEM;
        d->context = ZSTD_createDCtx();
        if (!d->context)
                return -ENOMEM;
        if (ZSTD_isError(ZSTD_DCtx_setParameter(d->context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
                return -EINVAL;
        *ret = TAKE_PTR(d);
        return 0;
}

int decompressor_run(Decompressor *d, const void *p, size_t n, void *out, size_t size) {
        size_t k;

        assert(d);
        assert(p || n == 0);
        assert(out || size == 0);

        k = ZSTD_decompressDCtx(d->context, out, size, p, n);
        if (ZSTD_isError(k))
                return ZSTD_getErrorCode(k) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
        return k == size ? 0 : -EBADMSG;
}

int decompressor_begin(Decompressor *d, const void *p, size_t n) {
        assert(d);
        assert(p || n == 0);

        if (ZSTD_isError(ZSTD_DCtx_reset(d->context, ZSTD_reset_session_only)))
                return -EIO;
        d->in = (ZSTD_inBuffer){ p, n, 0 };
        d->within = false;
        return 0;
}

ssize_t decompressor_read(Decompressor *d, void *buf, size_t n) {
        ZSTD_outBuffer out = { buf, n, 0 };

        assert(d);
        assert(buf && n > 0);

        while (out.pos == 0 && (d->in.pos < d->in.size || d->within)) {
                size_t before = d->in.pos;
                size_t k = ZSTD_decompressStream(d->context, &out, &d->in);

                if (ZSTD_isError(k))
                        return ZSTD_getErrorCode(k) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
                d->within = k != 0;
                if (out.pos == 0 && d->in.pos == before) /* it wants more, and there is none */
                        return d->within ? -EBADMSG : 0;
        }
        return (ssize_t) out.pos;
}
