/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "crypto/token.h"

#define TOKEN_SECRET_SIZE 32
#define TOKEN_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

int token_new(const char *prefix, char **ret) {
        _cleanup_(erase_and_freep) char *digits = NULL;
        uint8_t secret[TOKEN_SECRET_SIZE];
        CLEANUP_ERASE(secret);
        int r;

        assert(prefix);
        assert(strlen(prefix) == TOKEN_PREFIX_SIZE);
        assert(ret);

        r = random_bytes(secret, sizeof(secret));
        if (r < 0)
                return r;
        r = base64_encode(BASE64_URL, secret, sizeof(secret), &digits);
        if (r < 0)
                return r;
        return asprintf_safe(ret, "%s%s", prefix, digits);
}

bool token_is_valid(const char *s, const char *prefix) {
        const char *digits;

        assert(prefix);

        if (!s || strnlen(s, TOKEN_LENGTH + 1) != TOKEN_LENGTH)
                return false;
        digits = startswith(s, prefix);
        return digits && strspn(digits, TOKEN_DIGITS) == TOKEN_LENGTH - TOKEN_PREFIX_SIZE;
}

int token_hash(const char *token, uint8_t ret[static TOKEN_HASH_SIZE]) {
        assert(token);

        return sha256(token, strlen(token), ret);
}

int token_new_hashed(const char *prefix, char **ret, uint8_t ret_hash[static TOKEN_HASH_SIZE]) {
        _cleanup_(erase_and_freep) char *token = NULL;
        int r;

        assert(ret);

        r = token_new(prefix, &token);
        if (r >= 0)
                r = token_hash(token, ret_hash);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(token);
        return 0;
}
