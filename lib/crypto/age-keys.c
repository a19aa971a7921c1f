/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "crypto/age.h"
#include "crypto/bech32.h"
#include "crypto/primitives.h"
#include "crypto/random.h"

#define IDENTITY_PREFIX "AGE-SECRET-KEY-"
#define RECIPIENT_PREFIX "age"

int age_identity_generate(AgeIdentity *ret) {
        assert(ret);

        return random_bytes(ret->secret, sizeof(ret->secret));
}

int age_identity_parse(const char *text, AgeIdentity *ret) {
        assert(text);
        assert(ret);

        return bech32_decode(IDENTITY_PREFIX, text, ret->secret);
}

char *age_identity_format(const AgeIdentity *identity, char buf[static AGE_IDENTITY_TEXT_SIZE]) {
        assert(identity);

        bech32_encode(IDENTITY_PREFIX, identity->secret, buf);
        return buf;
}

int age_identity_recipient(const AgeIdentity *identity, AgeRecipient *ret) {
        assert(identity);
        assert(ret);

        return x25519_public(identity->secret, ret->point);
}

void age_identity_erase(AgeIdentity *identity) {
        assert(identity);

        explicit_bzero(identity, sizeof(*identity));
}

int age_recipient_parse(const char *text, AgeRecipient *ret) {
        assert(text);
        assert(ret);

        return bech32_decode(RECIPIENT_PREFIX, text, ret->point);
}

char *age_recipient_format(const AgeRecipient *recipient, char buf[static AGE_RECIPIENT_TEXT_SIZE]) {
        assert(recipient);

        bech32_encode(RECIPIENT_PREFIX, recipient->point, buf);
        return buf;
}
