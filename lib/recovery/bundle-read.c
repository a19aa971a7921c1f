/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <zstd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "recovery/bundle.h"

#define AGE_MAGIC "age-encryption.org/"
#define INPUT_SIZE (128U << 10)
/* As stock zstd decompresses without being asked for more. */
#define WINDOW_LOG_MAX 27

struct BundleReader {
        int fd;
        AgeDecrypter *age; /* NULL: plain */
        ZSTD_DCtx *zstd;
        char *raw;     /* as read */
        Buffer plain;  /* decrypted, not yet decompressed */
        size_t taken;  /* of plain */
        bool end;      /* of the input */
        bool in_frame; /* a frame has begun and not ended */
};

BundleReader *bundle_reader_free(BundleReader *r) {
        if (!r)
                return NULL;
        age_decrypter_free(r->age);
        (void) ZSTD_freeDCtx(r->zstd);
        if (r->plain.data)
                explicit_bzero(r->plain.data, r->plain.allocated);
        buffer_done(&r->plain);
        free(r->raw);
        return mfree(r);
}

static int take_plain(void *userdata, const void *p, size_t n) {
        BundleReader *r = ASSERT_PTR(userdata);

        return buffer_add(&r->plain, p, n);
}

static int take_raw(BundleReader *r, size_t n) {
        assert(r);

        if (n == 0) {
                r->end = true;
                return r->age ? age_decrypter_finish(r->age) : 0;
        }
        return r->age ? age_decrypter_write(r->age, r->raw, n) : take_plain(r, r->raw, n);
}

static int refill(BundleReader *r) {
        ssize_t n;

        assert(r);

        buffer_clear(&r->plain);
        r->taken = 0;
        n = read_full(r->fd, r->raw, INPUT_SIZE);
        return n < 0 ? (int) n : take_raw(r, (size_t) n);
}

int bundle_reader_new(int fd, const AgeKeys *keys, BundleReader **ret) {
        _cleanup_(bundle_reader_freep) BundleReader *r = new0(BundleReader, 1);
        ssize_t n;
        int k = 0;

        assert(keys);
        assert(ret);

        if (!r)
                return -ENOMEM;
        r->fd = fd;
        r->raw = malloc(INPUT_SIZE);
        r->zstd = ZSTD_createDCtx();
        if (!r->raw || !r->zstd ||
            ZSTD_isError(ZSTD_DCtx_setParameter(r->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
                return -ENOMEM;
        n = read_full(fd, r->raw, INPUT_SIZE);
        if (n < 0)
                return (int) n;
        if ((size_t) n >= STRLEN(AGE_MAGIC) && memcmp(r->raw, AGE_MAGIC, STRLEN(AGE_MAGIC)) == 0) {
                if (!keys->passphrase && keys->n_identities == 0)
                        return -ENOKEY;
                k = age_decrypter_new(keys, take_plain, r, &r->age);
        }
        if (k >= 0 && n > 0)
                k = take_raw(r, (size_t) n);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}

ssize_t bundle_reader_read(void *userdata, void *buf, size_t n) {
        BundleReader *r = ASSERT_PTR(userdata);
        ZSTD_outBuffer out = { buf, n, 0 };

        while (n > 0 && out.pos == 0) {
                ZSTD_inBuffer in = { r->plain.data, r->plain.size, r->taken };
                size_t left;
                int k;

                if (in.pos == in.size && !r->end) {
                        k = refill(r);
                        if (k < 0)
                                return k;
                        continue;
                }
                if (in.pos == in.size && !r->in_frame)
                        return 0;
                left = ZSTD_decompressStream(r->zstd, &out, &in);
                if (ZSTD_isError(left))
                        return -EBADMSG;
                if (r->end && in.pos == r->taken && out.pos == 0)
                        return -EBADMSG; /* it ends within a frame */
                r->in_frame = left > 0;
                r->taken = in.pos;
        }
        return (ssize_t) out.pos;
}
