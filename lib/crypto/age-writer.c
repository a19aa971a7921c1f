/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "crypto/age-chunk.h"
#include "crypto/random.h"

struct AgeWriter {
        AgeSink sink;
        void *userdata;
        Buffer header;
        Aead *cipher;
        uint64_t index; /* of the chunk being filled */
        uint8_t *plain; /* a chunk is kept until more follows, since the last one is marked */
        size_t filled;
        uint8_t *sealed;
        int error; /* the first one; what comes after it would be a hole */
        bool finished;
};

AgeWriter *age_writer_free(AgeWriter *w) {
        if (!w)
                return NULL;
        buffer_done(&w->header);
        aead_free(w->cipher);
        if (w->plain)
                explicit_bzero(w->plain, AGE_CHUNK_SIZE);
        free(w->plain);
        free(w->sealed);
        return mfree(w);
}

/* Whom a file is for: recipients, or whoever knows the passphrase. */
typedef struct Reader {
        const AgeRecipient *recipients;
        size_t n_recipients;
        const char *passphrase;
} Reader;

static int writer_start(AgeWriter *w, const Reader *reader) {
        uint8_t file_key[AGE_FILE_KEY_SIZE], nonce[AGE_NONCE_SIZE];
        CLEANUP_ERASE(file_key);
        int r;

        assert(w);
        assert(reader);

        r = random_bytes(file_key, sizeof(file_key));
        if (r < 0)
                return r;
        r = random_bytes(nonce, sizeof(nonce));
        if (r < 0)
                return r;
        r = reader->passphrase ? age_header_make_passphrase(reader->passphrase, file_key, &w->header) :
                                 age_header_make(reader->recipients, reader->n_recipients, file_key,
                                                 &w->header);
        if (r < 0)
                return r;
        r = age_payload_cipher(AEAD_SEAL, file_key, nonce, &w->cipher);
        if (r < 0)
                return r;
        r = w->sink(w->userdata, w->header.data, w->header.size);
        if (r < 0)
                return r;
        return w->sink(w->userdata, nonce, sizeof(nonce));
}

static int writer_new(const Reader *reader, AgeSink sink, void *userdata, AgeWriter **ret) {
        _cleanup_(age_writer_freep) AgeWriter *w = NULL;
        int r;

        assert(sink);
        assert(ret);

        w = new0(AgeWriter, 1);
        if (!w)
                return -ENOMEM;
        w->sink = sink;
        w->userdata = userdata;
        w->plain = malloc(AGE_CHUNK_SIZE);
        w->sealed = malloc(AGE_SEALED_CHUNK_SIZE);
        if (!w->plain || !w->sealed)
                return -ENOMEM;
        r = writer_start(w, reader);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}

int age_writer_new(const AgeRecipient *recipients, size_t n_recipients, AgeSink sink, void *userdata,
                   AgeWriter **ret) {
        assert(recipients);

        return writer_new(&(Reader){ .recipients = recipients, .n_recipients = n_recipients }, sink,
                          userdata, ret);
}

int age_writer_new_passphrase(const char *passphrase, AgeSink sink, void *userdata, AgeWriter **ret) {
        assert(passphrase);

        return writer_new(&(Reader){ .passphrase = passphrase }, sink, userdata, ret);
}

static int write_chunk(AgeWriter *w, const uint8_t *plain, size_t n, bool last) {
        int r;

        r = age_chunk_seal(w->cipher, w->index, last, plain, n, w->sealed);
        if (r < 0)
                return r;
        w->index++;
        return w->sink(w->userdata, w->sealed, n + AGE_TAG_SIZE);
}

static int write_bytes(AgeWriter *w, const uint8_t *p, size_t n) {
        int r;

        assert(w);

        while (n > 0) {
                size_t k;

                if (w->filled == AGE_CHUNK_SIZE) {
                        r = write_chunk(w, w->plain, AGE_CHUNK_SIZE, /* last= */ false);
                        if (r < 0)
                                return r;
                        w->filled = 0;
                }
                /* Whole chunks that are not the last go without a copy. */
                if (w->filled == 0 && n > AGE_CHUNK_SIZE) {
                        r = write_chunk(w, p, AGE_CHUNK_SIZE, /* last= */ false);
                        if (r < 0)
                                return r;
                        p += AGE_CHUNK_SIZE;
                        n -= AGE_CHUNK_SIZE;
                        continue;
                }
                k = MIN(n, AGE_CHUNK_SIZE - w->filled);
                memcpy(w->plain + w->filled, p, k);
                w->filled += k;
                p += k;
                n -= k;
        }
        return 0;
}

int age_writer_write(AgeWriter *w, const void *p, size_t n) {
        assert(w);
        assert(!w->finished);
        assert(p || n == 0);

        if (w->error >= 0)
                w->error = write_bytes(w, p, n);
        return w->error;
}

int age_writer_finish(AgeWriter *w) {
        assert(w);
        assert(!w->finished);

        if (w->error >= 0)
                w->error = write_chunk(w, w->plain, w->filled, /* last= */ true);
        w->finished = true;
        return w->error;
}

void age_writer_header(const AgeWriter *w, const void **ret, size_t *ret_size) {
        assert(w);
        assert(ret);
        assert(ret_size);

        *ret = w->header.data;
        *ret_size = w->header.size;
}
