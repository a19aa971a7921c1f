/* SPDX-License-Identifier: Apache-2.0 */

/* A header from storage: it is refused, or it opens with what it was made for. */

#include <stdlib.h>

#include "crypto/age.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define IDENTITY "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        uint8_t by_identity[AGE_FILE_KEY_SIZE], by_key[AGE_FILE_KEY_SIZE];
        AgeIdentity identity;
        AgeKeys keys = { .identities = &identity, .n_identities = 1 };
        size_t length;

        if (age_identity_parse(IDENTITY, &identity) < 0)
                abort();
        if (age_header_length(data, size, &length) < 0)
                length = size;
        if (length > size)
                abort();
        if (age_header_unwrap(data, length, &keys, by_identity) < 0)
                return 0;
        /* What opens for an identity opens for its file key too, and gives the same. */
        keys = (AgeKeys){ .file_key = by_identity };
        if (age_header_unwrap(data, length, &keys, by_key) < 0 ||
            memcmp(by_key, by_identity, sizeof(by_key)) != 0)
                abort();
        return 0;
}
