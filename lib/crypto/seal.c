/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "crypto/primitives.h"
#include "crypto/seal.h"

/* A header with one recipient, the nonce, and the tags of at most SEAL_PLAIN_MAX / AGE_CHUNK_SIZE + 1
 * chunks. */
#define SEAL_OVERHEAD_MAX 1024
#define SEAL_TEXT_MAX ((SEAL_PLAIN_MAX + SEAL_OVERHEAD_MAX + 2) / 3 * 4)

static int add_to_buffer(void *userdata, const void *p, size_t n) {
        return buffer_add(ASSERT_PTR(userdata), p, n);
}

int seal(const AgeRecipient *recipient, const void *p, size_t n, char **ret_base64) {
        _cleanup_(age_writer_freep) AgeWriter *writer = NULL;
        _cleanup_buffer_ Buffer file = BUFFER_NULL;
        int r;

        assert(recipient);
        assert(p || n == 0);
        assert(ret_base64);

        if (n > SEAL_PLAIN_MAX)
                return -EFBIG;
        r = age_writer_new(recipient, 1, add_to_buffer, &file, &writer);
        if (r < 0)
                return r;
        r = age_writer_write(writer, p, n);
        if (r < 0)
                return r;
        r = age_writer_finish(writer);
        if (r < 0)
                return r;
        return base64_encode(BASE64_STANDARD, file.data, file.size, ret_base64);
}

void unseal_buffer_done(Buffer *b) {
        assert(b);

        if (b->data)
                explicit_bzero(b->data, b->allocated);
        buffer_done(b);
}

int unseal(const AgeIdentity *identity, const char *base64, Buffer *ret) {
        _cleanup_(age_decrypter_freep) AgeDecrypter *decrypter = NULL;
        _cleanup_(unseal_buffer_done) Buffer plain = BUFFER_NULL;
        _cleanup_(freep) void *file = NULL;
        AgeKeys keys = { .identities = identity, .n_identities = 1 };
        size_t size, length;
        int r;

        assert(identity);
        assert(base64);
        assert(ret);

        length = strnlen(base64, SEAL_TEXT_MAX + 1);
        if (length > SEAL_TEXT_MAX)
                return -EBADMSG;
        r = base64_decode(BASE64_STANDARD, base64, length, &file, &size);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        /* Room for all of it at once: a buffer that grew would leave copies of the secret behind. */
        r = buffer_reserve(&plain, size);
        if (r < 0)
                return r;
        r = age_decrypter_new(&keys, add_to_buffer, &plain, &decrypter);
        if (r < 0)
                return r;
        r = age_decrypter_write(decrypter, file, size);
        if (r < 0)
                return r;
        r = age_decrypter_finish(decrypter);
        if (r < 0)
                return r;
        *ret = plain;
        plain = BUFFER_NULL;
        return 0;
}

int seal_identity_of_token(const char *token, AgeIdentity *ret) {
        assert(token);
        assert(ret);

        return hkdf_sha256(token, strlen(token), NULL, 0, "org.backupx/sealed-to-token", ret->secret);
}
