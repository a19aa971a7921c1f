/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "crypto/cipher.h"
#include "storage/rclone.h"

/* Of every rclone: it hides passwords from a glance, no more. The MAC is left out. */
static const CipherKey key = {
        .encrypt = { 0x9c, 0x93, 0x5b, 0x48, 0x73, 0x0a, 0x55, 0x4d, 0x6b, 0xfd, 0x7c,
                     0x63, 0xc8, 0x86, 0xa9, 0x2b, 0xd3, 0x90, 0x19, 0x8e, 0xb8, 0x12,
                     0x8a, 0xfb, 0xf4, 0xde, 0x16, 0x2b, 0x8b, 0x95, 0xf6, 0x38 },
};

int rclone_obscure(const char *text, char **ret) {
        _cleanup_(cipher_freep) Cipher *c = NULL;
        _cleanup_(freep) uint8_t *out = NULL;
        size_t n = strlen(text);
        int r;

        assert(ret);

        if (n > CIPHER_SIZE_MAX)
                return -E2BIG;
        out = malloc(n + CIPHER_OVERHEAD);
        if (!out)
                return -ENOMEM;
        r = cipher_new(&key, &c);
        if (r >= 0)
                r = cipher_seal(c, text, n, out);
        return r < 0 ? r : base64_encode(BASE64_URL, out, CIPHER_IV_SIZE + n, ret);
}
