/* SPDX-License-Identifier: Apache-2.0 */

/* Digests, random numbers, bech32, tokens. */

#include <ctype.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "crypto/age.h"
#include "crypto/bech32.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "crypto/token.h"
#include "tests/test.h"

/* FIPS 180-4's examples. */
static void test_sha256(void) {
        static const struct {
                const char *text, *hex;
        } cases[] = {
                { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
                { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
                { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
        };
        _cleanup_(sha256_freep) Sha256 *h = NULL;
        uint8_t digest[SHA256_SIZE], peek[SHA256_SIZE];
        char hex[SHA256_HEX_SIZE];

        CHECK_OK(sha256_new(&h));
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                size_t n = strlen(cases[i].text);

                CHECK_OK(sha256_hex(cases[i].text, n, hex));
                CHECK_STR(hex, cases[i].hex);
                for (size_t k = 0; k < n; k++)
                        CHECK_OK(sha256_add(h, cases[i].text + k, 1));
                CHECK_OK(sha256_peek(h, peek));
                CHECK_OK(sha256_finish(h, digest));
                CHECK_STR(hex_encode(digest, sizeof(digest), hex), cases[i].hex);
                CHECK_MEM(peek, digest, sizeof(digest));
        }
}

/* RFC 4231, cases 1, 2 and 6. */
static void test_hmac(void) {
        uint8_t key[131], mac[SHA256_SIZE];
        char hex[SHA256_HEX_SIZE];

        memset(key, 0x0b, 20);
        CHECK_OK(hmac_sha256(key, 20, "Hi There", 8, mac));
        CHECK_STR(hex_encode(mac, sizeof(mac), hex),
                  "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        CHECK_OK(hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, mac));
        CHECK_STR(hex_encode(mac, sizeof(mac), hex),
                  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        memset(key, 0xaa, sizeof(key));
        CHECK_OK(hmac_sha256(key, sizeof(key), "Test Using Larger Than Block-Size Key - Hash Key First", 54,
                             mac));
        CHECK_STR(hex_encode(mac, sizeof(mac), hex),
                  "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void test_random(void) {
        uint8_t a[1000] = {}, b[1000] = {};
        size_t zeros = 0;

        CHECK_OK(random_bytes(a, sizeof(a)));
        CHECK_OK(random_bytes(b, sizeof(b)));
        CHECK(memcmp(a, b, sizeof(a)) != 0);
        for (size_t i = 0; i < sizeof(a); i++)
                zeros += a[i] == 0;
        CHECK(zeros < 50);
        CHECK(random_u32() != random_u32() || random_u32() != random_u32());
        CHECK_OK(random_bytes(NULL, 0));
}

#define IDENTITY "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"

static void test_bech32(void) {
        AgeIdentity identity;
        char text[AGE_IDENTITY_TEXT_SIZE], changed[AGE_IDENTITY_TEXT_SIZE];

        CHECK_OK(age_identity_parse(IDENTITY, &identity));
        CHECK_STR(age_identity_format(&identity, text), IDENTITY);

        /* Any other text is refused: every single character changed, one less, one more, the other case. */
        for (size_t i = 0; i < strlen(text); i++)
                for (const char *c = "0189aqzAQZ-\n"; *c; c++) {
                        memcpy(changed, text, sizeof(text));
                        if (changed[i] == *c)
                                continue;
                        changed[i] = *c;
                        CHECK_INT(age_identity_parse(changed, &identity), -EINVAL);
                }
        for (size_t i = 0; i < strlen(text); i++) {
                memcpy(changed, text, sizeof(text));
                changed[i] = 0;
                CHECK_INT(age_identity_parse(changed, &identity), -EINVAL);
        }
        CHECK_INT(age_identity_parse(IDENTITY "Q", &identity), -EINVAL);
        for (size_t i = 0; text[i]; i++)
                changed[i] = (char) tolower(text[i]);
        changed[strlen(text)] = 0;
        CHECK_INT(age_identity_parse(changed, &identity), -EINVAL);
}

static void test_bech32_all_bytes(void) {
        uint8_t bytes[BECH32_BYTES], back[BECH32_BYTES];
        char text[100];

        for (unsigned i = 0; i < 256; i++) {
                memset(bytes, (int) i, sizeof(bytes));
                bytes[i % BECH32_BYTES] ^= 0x5a;
                bech32_encode("age", bytes, text);
                CHECK_OK(bech32_decode("age", text, back));
                CHECK_MEM(back, bytes, sizeof(bytes));
                CHECK_INT(bech32_decode("agf", text, back), -EINVAL);
        }
}

static void test_tokens(void) {
        _cleanup_(erase_and_freep) char *a = NULL, *b = NULL;
        uint8_t x[TOKEN_HASH_SIZE], y[TOKEN_HASH_SIZE];
        char hex[SHA256_HEX_SIZE];

        CHECK_OK(token_new_hashed(TOKEN_NODE, &a, y));
        CHECK_OK(token_new(TOKEN_NODE, &b));
        CHECK(!streq(a, b));
        CHECK_INT(strlen(a), TOKEN_LENGTH);
        CHECK(token_is_valid(a, TOKEN_NODE));
        CHECK(!token_is_valid(a, TOKEN_API_KEY));
        CHECK(!token_is_valid(NULL, TOKEN_NODE));
        CHECK(!token_is_valid("", TOKEN_NODE));
        CHECK(!token_is_valid("bxn_", TOKEN_NODE));
        CHECK_OK(token_hash(a, x));
        CHECK_MEM(x, y, sizeof(x));
        CHECK_OK(token_hash(b, y));
        CHECK(memcmp(x, y, sizeof(x)) != 0);
        /* printf bxk_test | sha256sum */
        CHECK_OK(token_hash("bxk_test", x));
        CHECK_OK(sha256_hex("bxk_test", 8, hex));
        CHECK_OK(hex_decode(hex, y, sizeof(y)));
        CHECK_MEM(x, y, sizeof(x));
        a[10] = '+';
        CHECK(!token_is_valid(a, TOKEN_NODE));
        a[10] = 0;
        CHECK(!token_is_valid(a, TOKEN_NODE));
}

int main(void) {
        RUN(test_sha256);
        RUN(test_hmac);
        RUN(test_random);
        RUN(test_bech32);
        RUN(test_bech32_all_bytes);
        RUN(test_tokens);
        return EXIT_SUCCESS;
}
