/* SPDX-License-Identifier: Apache-2.0 */

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/seal.h"
#include "tests/test.h"

static void make_keys(AgeIdentity *identity, AgeRecipient *recipient) {
        CHECK_OK(age_identity_generate(identity));
        CHECK_OK(age_identity_recipient(identity, recipient));
}

static void test_round_trip(void) {
        static const size_t sizes[] = { 0, 1, 100, 65536, 65537, SEAL_PLAIN_MAX };
        AgeIdentity identity;
        AgeRecipient recipient;

        make_keys(&identity, &recipient);
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                _cleanup_(unseal_buffer_done) Buffer back = BUFFER_NULL;
                _cleanup_(freep) char *plain = malloc(sizes[i] + 1), *text = NULL;

                CHECK(plain);
                memset(plain, 'p', sizes[i] + 1);
                CHECK_OK(seal(&recipient, plain, sizes[i], &text));
                CHECK_INT(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="),
                          strlen(text));
                CHECK_OK(unseal(&identity, text, &back));
                CHECK_INT(back.size, sizes[i]);
                CHECK_MEM(back.data, plain, sizes[i]);
                CHECK_INT(back.data[back.size], 0);
        }
}

static void test_refused(void) {
        _cleanup_(unseal_buffer_done) Buffer back = BUFFER_NULL;
        _cleanup_(freep) char *text = NULL, *large = calloc(1, SEAL_PLAIN_MAX + 1);
        AgeIdentity identity, other;
        AgeRecipient recipient, other_recipient;
        size_t n;

        CHECK(large);
        make_keys(&identity, &recipient);
        make_keys(&other, &other_recipient);
        CHECK_INT(seal(&recipient, large, SEAL_PLAIN_MAX + 1, &text), -EFBIG);
        CHECK_OK(seal(&recipient, "secret", 6, &text));
        CHECK_INT(unseal(&other, text, &back), -ENOKEY);
        CHECK_INT(unseal(&identity, "", &back), -EBADMSG);
        CHECK_INT(unseal(&identity, "not base64", &back), -EBADMSG);
        CHECK_INT(unseal(&identity, "YWdl", &back), -EBADMSG);
        n = strlen(text);
        for (size_t i = 0; i < n; i++) {
                char saved = text[i];

                text[i] = saved == 'A' ? 'B' : 'A';
                CHECK(unseal(&identity, text, &back) < 0);
                text[i] = saved;
        }
        for (size_t i = 0; i < n; i++) {
                char saved = text[i];

                text[i] = 0;
                CHECK(unseal(&identity, text, &back) < 0);
                text[i] = saved;
        }
        CHECK(!back.data);
        CHECK_OK(unseal(&identity, text, &back));
        CHECK_STR(back.data, "secret");
}

/* Sealing twice gives two texts: whoever sees them learns nothing of whether the secret changed. */
static void test_fresh(void) {
        _cleanup_(freep) char *a = NULL, *b = NULL;
        AgeIdentity identity;
        AgeRecipient recipient;

        make_keys(&identity, &recipient);
        CHECK_OK(seal(&recipient, "secret", 6, &a));
        CHECK_OK(seal(&recipient, "secret", 6, &b));
        CHECK(!streq(a, b));
}

int main(void) {
        RUN(test_round_trip);
        RUN(test_refused);
        RUN(test_fresh);
        return EXIT_SUCCESS;
}
