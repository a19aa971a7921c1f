/* SPDX-License-Identifier: Apache-2.0 */

/* A cookie or a bearer token from the network: nothing that was not signed by our key is a session. */

#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const uint8_t key[SESSION_KEY_SIZE] = "the key of this fuzzer";
        _cleanup_(freep) char *text = memdup0(data, size), *again = NULL;
        SessionClaims claims, back;

        if (!text || session_verify(key, text, 0, &claims) < 0)
                return 0;
        /* The claims of what was taken can be signed, and are then the same. */
        if (session_sign(key, &claims, &again) < 0 || session_verify(key, again, 0, &back) < 0 ||
            !streq(claims.id, back.id) || claims.user_id != back.user_id ||
            claims.issued_at != back.issued_at || claims.expires_at != back.expires_at)
                abort();
        return 0;
}
