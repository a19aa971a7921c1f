/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <zstd.h>

#include "base/alloc.h"
#include "recovery/bundle.h"

#define LEVEL 3

struct BundleWriter {
        OutFile *to;    /* weak */
        AgeWriter *age; /* NULL: plain */
        ZSTD_CCtx *zstd;
        void *out;
        size_t out_size;
        uint64_t left; /* of the file */
        size_t padding;
};

BundleWriter *bundle_writer_free(BundleWriter *w) {
        if (!w)
                return NULL;
        age_writer_free(w->age);
        (void) ZSTD_freeCCtx(w->zstd);
        free(w->out);
        return mfree(w);
}

int bundle_writer_new(OutFile *to, const Sealing *sealing, BundleWriter **ret) {
        _cleanup_(bundle_writer_freep) BundleWriter *w = new0(BundleWriter, 1);
        int r;

        assert(to);
        assert(sealing);
        assert(ret);

        if (!w)
                return -ENOMEM;
        w->to = to;
        w->out_size = ZSTD_CStreamOutSize();
        w->out = malloc(w->out_size);
        w->zstd = ZSTD_createCCtx();
        if (!w->out || !w->zstd ||
            ZSTD_isError(ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, LEVEL)) ||
            ZSTD_isError(ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_checksumFlag, 1)))
                return -ENOMEM;
        if (sealing_is_set(sealing)) {
                r = sealing_writer(sealing, outfile_sink, to, &w->age);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(w);
        return 0;
}

static int compress(BundleWriter *w, const void *p, size_t n, ZSTD_EndDirective end) {
        ZSTD_inBuffer in = { p, n, 0 };
        size_t left;
        int r;

        assert(w);

        do {
                ZSTD_outBuffer out = { w->out, w->out_size, 0 };

                left = ZSTD_compressStream2(w->zstd, &out, &in, end);
                if (ZSTD_isError(left))
                        return -EIO;
                r = w->age ? age_writer_write(w->age, w->out, out.pos) :
                             outfile_sink(w->to, w->out, out.pos);
                if (r < 0)
                        return r;
        } while (in.pos < in.size || (end == ZSTD_e_end && left > 0));
        return 0;
}

static int pad(BundleWriter *w) {
        static const char zeros[PAX_BLOCK];
        size_t n = w->padding;

        assert(w->left == 0);
        w->padding = 0;
        return compress(w, zeros, n, ZSTD_e_continue);
}

int bundle_writer_begin(BundleWriter *w, const char *name, uint64_t size, usec_t mtime) {
        _cleanup_buffer_ Buffer header = BUFFER_NULL;
        Member m = {
                .type = MEMBER_FILE,
                .path = (char *) name,
                .mode = 0600,
                .mtime_sec = (int64_t) (mtime / USEC_PER_SEC),
                .size = size,
        };
        int r;

        assert(w);
        assert(name);

        r = pad(w);
        if (r >= 0)
                r = pax_header(&m, &header);
        if (r < 0)
                return r;
        w->left = size;
        w->padding = pax_padding(size);
        return compress(w, header.data, header.size, ZSTD_e_continue);
}

int bundle_writer_add(BundleWriter *w, const void *p, size_t n) {
        assert(w);

        if (n > w->left)
                return -EFBIG;
        w->left -= n;
        return compress(w, p, n, ZSTD_e_continue);
}

int bundle_writer_finish(BundleWriter *w) {
        static const char trailer[PAX_TRAILER];
        int r;

        assert(w);

        r = pad(w);
        if (r >= 0)
                r = compress(w, trailer, sizeof(trailer), ZSTD_e_end);
        return r < 0 || !w->age ? r : age_writer_finish(w->age);
}
