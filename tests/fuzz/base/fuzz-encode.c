/* SPDX-License-Identifier: Apache-2.0 */

/* Base64 and hexadecimal: what is taken is the one text of its bytes, and every run of bytes has a text. */

#include <stdlib.h>

#include "base/alloc.h"
#include "base/encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(Base64 alphabet, const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = NULL, *again = NULL;
        _cleanup_(freep) void *bytes = NULL, *back = NULL;
        size_t n;

        if (base64_decode(alphabet, (const char *) data, size, &bytes, &n) >= 0) {
                if (base64_encode(alphabet, bytes, n, &again) < 0 || strlen(again) != size ||
                    memcmp(again, data, size) != 0)
                        abort();
        }
        if (base64_encode(alphabet, data, size, &text) < 0 ||
            base64_decode(alphabet, text, strlen(text), &back, &n) < 0 || n != size ||
            memcmp(back, data, n) != 0)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *hex = malloc(2 * size + 1), *text = memdup0(data, size);
        _cleanup_(freep) uint8_t *back = malloc(size + 1);

        if (!hex || !back || !text)
                return 0;
        for (Base64 alphabet = BASE64_STANDARD; alphabet <= BASE64_URL; alphabet++)
                check(alphabet, data, size);
        if (hex_decode(hex_encode(data, size, hex), back, size) < 0 || memcmp(back, data, size) != 0)
                abort();
        (void) (hex_decode(text, back, strlen(text) / 2) < 0);
        return 0;
}
