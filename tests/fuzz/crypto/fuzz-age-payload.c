/* SPDX-License-Identifier: Apache-2.0 */

/* A payload that was changed. The first bytes say how large the plain bytes are and what becomes of the
 * file: bytes cut off its end, then changes of single bytes. The streaming and the seekable reader must say
 * the same of it, and only the unchanged file gives all plain bytes. */

#include <stdlib.h>

#include "base/buffer.h"
#include "crypto/age.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int to_buffer(void *userdata, const void *p, size_t n) {
        return buffer_add(userdata, p, n);
}

static ssize_t from_buffer(void *userdata, uint64_t offset, void *buf, size_t n) {
        const Buffer *b = userdata;

        if (offset >= b->size)
                return 0;
        n = MIN(n, b->size - (size_t) offset);
        memcpy(buf, b->data + offset, n);
        return (ssize_t) n;
}

static uint32_t take(const uint8_t **data, size_t *size) {
        uint32_t v = 0;

        for (int i = 0; i < 3 && *size > 0; i++, (*data)++, (*size)--)
                v = v << 8 | **data;
        return v;
}

static int read_streamed(const Buffer *file, const AgeKeys *keys, size_t step, Buffer *plain) {
        _cleanup_(age_decrypter_freep) AgeDecrypter *d = NULL;
        int r;

        r = age_decrypter_new(keys, to_buffer, plain, &d);
        for (size_t i = 0; i < file->size && r >= 0; i += step)
                r = age_decrypter_write(d, file->data + i, MIN(step, file->size - i));
        return r < 0 ? r : age_decrypter_finish(d);
}

static int read_at_places(Buffer *file, const AgeKeys *keys, size_t step, Buffer *plain) {
        _cleanup_(age_reader_freep) AgeReader *reader = NULL;
        ssize_t n;
        int r;

        r = age_reader_new(from_buffer, file, file->size, keys, &reader);
        if (r < 0)
                return r;
        do {
                r = buffer_reserve(plain, step);
                if (r < 0)
                        return r;
                n = age_reader_pread(reader, plain->size, plain->data + plain->size, step);
                plain->size += n > 0 ? (size_t) n : 0;
        } while (n > 0);
        return (int) n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_buffer_ Buffer plain = BUFFER_NULL, file = BUFFER_NULL, one = BUFFER_NULL,
                                other = BUFFER_NULL;
        _cleanup_(age_writer_freep) AgeWriter *w = NULL;
        AgeIdentity identity;
        AgeRecipient recipient;
        AgeKeys keys = { .identities = &identity, .n_identities = 1 };
        size_t n = take(&data, &size) % (5 * AGE_CHUNK_SIZE), step = take(&data, &size) % 200000 + 1;
        int a, b;

        if (age_identity_generate(&identity) < 0 || age_identity_recipient(&identity, &recipient) < 0 ||
            buffer_reserve(&plain, n) < 0)
                abort();
        memset(plain.data, 'p', n);
        if (age_writer_new(&recipient, 1, to_buffer, &file, &w) < 0 ||
            age_writer_write(w, plain.data, n) < 0 || age_writer_finish(w) < 0)
                abort();
        file.size -= take(&data, &size) % (file.size + 1);
        while (size > 3 && file.size > 0) {
                uint32_t at = take(&data, &size);

                file.data[at % file.size] ^= (char) *data++;
                size--;
        }
        a = read_streamed(&file, &keys, step, &one);
        b = read_at_places(&file, &keys, step, &other);
        if ((a < 0) != (b < 0) || one.size > n || other.size > n)
                abort();
        if (a >= 0 && (one.size != n || other.size != n))
                abort();
        if (one.size > 0 && memcmp(one.data, plain.data, one.size) != 0)
                abort();
        if (other.size > 0 && memcmp(other.data, plain.data, other.size) != 0)
                abort();
        return 0;
}
