/* SPDX-License-Identifier: Apache-2.0 */

/* Keys as text: what is taken is the one text of its key. */

#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/age.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = memdup0(data, size);
        char identity_text[AGE_IDENTITY_TEXT_SIZE], recipient_text[AGE_RECIPIENT_TEXT_SIZE];
        AgeIdentity identity;
        AgeRecipient recipient;

        if (!text)
                return 0;
        if (age_identity_parse(text, &identity) >= 0 &&
            !streq(age_identity_format(&identity, identity_text), text))
                abort();
        if (age_recipient_parse(text, &recipient) >= 0 &&
            !streq(age_recipient_format(&recipient, recipient_text), text))
                abort();
        return 0;
}
