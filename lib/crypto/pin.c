/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/pin.h"

int pin_normalize(const char *pin, char **ret, Failure *reterr_failure) {
        _cleanup_(freep) void *raw = NULL;
        _cleanup_(freep) char *text = NULL;
        uint8_t digest[SHA256_SIZE];
        const char *rest;
        size_t size;
        int r;

        assert(pin);
        assert(ret);

        rest = startswith(pin, PIN_PREFIX);
        rest = rest ? rest : pin;
        if (strlen(rest) == 2 * SHA256_SIZE && hex_decode(rest, digest, SHA256_SIZE) >= 0)
                r = 0;
        else {
                r = base64_decode(BASE64_STANDARD, rest, strlen(rest), &raw, &size);
                if (r >= 0 && size != SHA256_SIZE)
                        r = -EINVAL;
                if (r >= 0)
                        memcpy(digest, raw, SHA256_SIZE);
        }
        if (r < 0)
                return r == -ENOMEM ?
                                r :
                                failure_set(reterr_failure, -EINVAL, "PIN_INVALID",
                                            "A pin is \"sha256//\" and the base64 of 32 bytes: %s", pin);

        r = base64_encode(BASE64_STANDARD, digest, SHA256_SIZE, &text);
        if (r < 0)
                return r;
        return asprintf_safe(ret, PIN_PREFIX "%s", text);
}
