/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>

#include "base/alloc.h"
#include "crypto/digest.h"
#include "repository/compress.h"
#include "repository/sealer.h"

/* What scratch memory may keep from one blob to the next: few are larger. */
#define SCRATCH_KEEP ((size_t) 1536 << 10)

/* What is larger is unpacked piece by piece: all of it would be as much memory again. */
#define UNPACK_WHOLE ((size_t) 2 << 20)
#define UNPACK_PIECE ((size_t) 256 << 10)

/* Memory that is only there as far as it was used. */
typedef struct Scratch {
        uint8_t *data;
        size_t size;
} Scratch;

struct Sealer {
        Cipher **ciphers;
        size_t n_ciphers;
        Compressor *compressor;
        Decompressor *decompressor;
        bool verify;
        const uint8_t *plain; /* NULL: only id tells what it is */
        Id id;
        size_t n;
        size_t packed_size; /* 0: not smaller than the plain content */
        uint8_t *opened;    /* the compressed form; then what was opened */
        Scratch packed;     /* mostly that */
        Scratch unpacked;
};

/* --- Memory ------------------------------------------------------------------------------------------- */

static void scratch_done(Scratch *s) {
        if (s->data)
                (void) munmap(s->data, s->size);
        *s = (Scratch){};
}

static int scratch_reserve(Scratch *s, size_t n) {
        void *p;

        if (n <= s->size)
                return 0;
        scratch_done(s);
        p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED)
                return -ENOMEM;
        *s = (Scratch){ p, n };
        return 0;
}

static void scratch_trim(Scratch *s) {
        if (s->size > SCRATCH_KEEP)
                (void) madvise(s->data + SCRATCH_KEEP, s->size - SCRATCH_KEEP, MADV_DONTNEED);
}

Sealer *sealer_free(Sealer *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n_ciphers; i++)
                cipher_free(s->ciphers[i]);
        free(s->ciphers);
        compressor_free(s->compressor);
        decompressor_free(s->decompressor);
        scratch_done(&s->packed);
        scratch_done(&s->unpacked);
        return mfree(s);
}

int sealer_new(const CipherKey *const *keys, size_t n_keys, int level, bool verify, Sealer **ret) {
        _cleanup_(sealer_freep) Sealer *s = NULL;
        int r;

        assert(keys || n_keys == 0);
        assert(ret);

        s = new0(Sealer, 1);
        if (!s)
                return -ENOMEM;
        s->verify = verify;
        s->ciphers = new0(Cipher *, n_keys);
        if (!s->ciphers)
                return -ENOMEM;
        r = compressor_new(level, &s->compressor);
        if (r >= 0)
                r = decompressor_new(&s->decompressor);
        if (r < 0)
                return r;
        for (; s->n_ciphers < n_keys; s->n_ciphers++) {
                r = cipher_new(keys[s->n_ciphers], &s->ciphers[s->n_ciphers]);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(s);
        return 0;
}

/* --- Blobs -------------------------------------------------------------------------------------------- */

int sealer_load(Sealer *s, const void *plain, size_t n, bool compress) {
        ssize_t k;
        int r;

        assert(s);
        assert(plain);
        assert(n > 0);

        scratch_trim(&s->packed);
        scratch_trim(&s->unpacked);
        s->plain = plain;
        s->n = n;
        s->packed_size = 0;
        r = scratch_reserve(&s->packed, compressor_bound(n));
        s->opened = s->packed.data;
        if (r < 0 || !compress)
                return r;
        k = compressor_run(s->compressor, plain, n, s->packed.data, s->packed.size);
        if (k < 0)
                return (int) k;
        s->packed_size = (size_t) k < n ? (size_t) k : 0;
        return 0;
}

int sealer_load_packed(Sealer *s, const Id *id, size_t n, uint8_t *packed, size_t size) {
        assert(s);
        assert(id);
        assert(packed && n > 0 && size > 0);

        scratch_trim(&s->packed);
        scratch_trim(&s->unpacked);
        s->plain = NULL;
        s->id = *id;
        s->n = n;
        s->opened = packed;
        s->packed_size = size;
        return 0;
}

void sealer_measure(const Sealer *s, bool compressed, PackBlob *b) {
        assert(s);
        assert(b);

        compressed = compressed && s->packed_size > 0;
        b->length = (uint32_t) ((compressed ? s->packed_size : s->n) + CIPHER_OVERHEAD);
        b->uncompressed_length = compressed ? (uint32_t) s->n : 0;
}

static int check_whole(Sealer *s) {
        Scratch *to = &s->unpacked;
        int r;

        r = scratch_reserve(to, s->n);
        if (r >= 0)
                r = decompressor_run(s->decompressor, s->opened, s->packed_size, to->data, s->n);
        if (r < 0)
                return r;
        return memcmp(to->data, s->plain, s->n) == 0 ? 0 : -EBADMSG;
}

/* The next bytes that came out, behind so many others. */
static int check_piece(const Sealer *s, Sha256 *digest, size_t done, size_t k) {
        if (k > s->n - done)
                return -EBADMSG;
        if (!s->plain)
                return sha256_add(digest, s->unpacked.data, k);
        return memcmp(s->unpacked.data, s->plain + done, k) == 0 ? 0 : -EBADMSG;
}

static int check_pieces(Sealer *s) {
        _cleanup_(sha256_freep) Sha256 *digest = NULL;
        size_t done = 0;
        ssize_t k;
        Id id;
        int r;

        r = scratch_reserve(&s->unpacked, UNPACK_PIECE);
        if (r >= 0)
                r = sha256_new(&digest);
        if (r >= 0)
                r = decompressor_begin(s->decompressor, s->opened, s->packed_size);
        if (r < 0)
                return r;
        for (;;) {
                k = decompressor_read(s->decompressor, s->unpacked.data, UNPACK_PIECE);
                if (k <= 0)
                        break;
                r = check_piece(s, digest, done, (size_t) k);
                if (r < 0)
                        return r;
                done += (size_t) k;
        }
        if (k < 0)
                return (int) k;
        if (done != s->n)
                return -EBADMSG;
        if (s->plain)
                return 0;
        r = sha256_finish(digest, id.bytes);
        return r < 0 ? r : id_equal(&id, &s->id) ? 0 :
                                                   -EBADMSG;
}

/* Opens what was sealed into the place where the compressed form was, which it must be equal to. */
static int check(Sealer *s, size_t key, const PackBlob *b, const uint8_t *sealed) {
        int r;

        r = cipher_open(s->ciphers[key], sealed, b->length, s->opened);
        if (r < 0)
                return r;
        if (b->uncompressed_length == 0)
                return memcmp(s->opened, s->plain, s->n) == 0 ? 0 : -EBADMSG;
        return !s->plain || s->n > UNPACK_WHOLE ? check_pieces(s) : check_whole(s);
}

int sealer_seal(Sealer *s, size_t key, const PackBlob *b, uint8_t *out) {
        bool packed = b->uncompressed_length > 0;
        int r;

        assert(s);
        assert(key < s->n_ciphers);
        assert(out);
        assert(packed || s->plain);

        r = cipher_seal(s->ciphers[key], packed ? s->opened : s->plain, packed ? s->packed_size : s->n,
                        out);
        if (r >= 0 && s->verify)
                r = check(s, key, b, out);
        /* A raw form for one repository has overwritten the packed one for the next. */
        if (r >= 0 && s->verify && !packed && s->packed_size > 0)
                r = sealer_load(s, s->plain, s->n, /* compress= */ true);
        return r;
}
