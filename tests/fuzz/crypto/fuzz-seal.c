/* SPDX-License-Identifier: Apache-2.0 */

/* A sealed secret from a database or a message. */

#include <stdlib.h>

#include "base/alloc.h"
#include "crypto/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define IDENTITY "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(unseal_buffer_done) Buffer plain = BUFFER_NULL;
        _cleanup_(freep) char *text = memdup0(data, size);
        AgeIdentity identity;

        if (!text || age_identity_parse(IDENTITY, &identity) < 0)
                return 0;
        if (unseal(&identity, text, &plain) < 0 && plain.data)
                abort();
        return 0;
}
