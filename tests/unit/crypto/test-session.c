/* SPDX-License-Identifier: Apache-2.0 */

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "crypto/session.h"
#include "tests/test.h"

#define NOW (UINT64_C(1763849701) * USEC_PER_SEC)

static const uint8_t key[SESSION_KEY_SIZE] = "0123456789abcdef0123456789abcde";

static SessionClaims make_claims(void) {
        SessionClaims c = { .user_id = 42, .issued_at = NOW, .expires_at = NOW + 600 * USEC_PER_SEC };

        CHECK_OK(session_id_new(c.id));
        return c;
}

static void test_round_trip(void) {
        SessionClaims c = make_claims(), back = {};
        _cleanup_(freep) char *text = NULL;

        CHECK_OK(session_sign(key, &c, &text));
        CHECK(strlen(text) <= SESSION_TEXT_MAX);
        CHECK_OK(session_verify(key, text, NOW, &back));
        CHECK_STR(back.id, c.id);
        CHECK_INT(back.user_id, 42);
        CHECK(back.issued_at == c.issued_at && back.expires_at == c.expires_at);
        CHECK_OK(session_verify(key, text, c.expires_at - 1, &back));
        CHECK_INT(session_verify(key, text, c.expires_at, &back), -ESTALE);
        CHECK_INT(session_verify(key, text, USEC_INFINITY, &back), -ESTALE);
}

static void test_largest(void) {
        SessionClaims c = make_claims(), back = {};
        _cleanup_(freep) char *text = NULL;

        c.user_id = UINT64_MAX;
        CHECK_OK(session_sign(key, &c, &text));
        CHECK_OK(session_verify(key, text, NOW, &back));
        CHECK(back.user_id == UINT64_MAX);
}

static void test_changed(void) {
        SessionClaims c = make_claims(), back;
        _cleanup_(freep) char *text = NULL;
        uint8_t other[SESSION_KEY_SIZE] = "other";
        size_t last;

        CHECK_OK(session_sign(key, &c, &text));
        CHECK_INT(session_verify(other, text, NOW, &back), -EBADMSG);
        /* The last character has two bits that the signature does not. */
        last = strlen(text) - 1;
        for (size_t i = 0; i < last; i++) {
                char saved = text[i];

                text[i] = saved == 'x' ? 'y' : 'x';
                CHECK_INT(session_verify(key, text, NOW, &back), -EBADMSG);
                text[i] = 0;
                CHECK_INT(session_verify(key, text, NOW, &back), -EBADMSG);
                text[i] = saved;
        }
}

/* Signs any header and body with the right key. */
static char *forge(const char *header, const char *body, bool sign) {
        _cleanup_(freep) char *h = NULL, *b = NULL, *signed_part = NULL, *s = NULL;
        uint8_t mac[SHA256_SIZE];
        char *text;

        CHECK_OK(base64_encode(BASE64_URL, header, strlen(header), &h));
        CHECK_OK(base64_encode(BASE64_URL, body, strlen(body), &b));
        CHECK_OK(asprintf_safe(&signed_part, "%s.%s", h, b));
        CHECK_OK(hmac_sha256(key, sizeof(key), signed_part, strlen(signed_part), mac));
        CHECK_OK(base64_encode(BASE64_URL, mac, sizeof(mac), &s));
        CHECK_OK(asprintf_safe(&text, "%s.%s", signed_part, sign ? s : ""));
        return text;
}

#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define BODY(jti, sub, iat, exp) "{\"jti\":" jti ",\"sub\":" sub ",\"iat\":" iat ",\"exp\":" exp "}"
#define ID "\"0123456789012345678901\""

static void test_forged(void) {
        static const struct {
                const char *header, *body;
                bool sign;
                int result;
        } cases[] = {
                { HEADER, BODY(ID, "\"42\"", "1763849701", "1763850301"), true, 0 },
                { HEADER, BODY(ID, "\"42\"", "1763849701", "1763850301"), false, -EBADMSG },
                { "{\"alg\":\"none\",\"typ\":\"JWT\"}", BODY(ID, "\"42\"", "1763849701", "1763850301"),
                  false, -EBADMSG },
                { "{\"alg\":\"none\",\"typ\":\"JWT\"}", BODY(ID, "\"42\"", "1763849701", "1763850301"), true,
                  -EBADMSG },
                { "{\"alg\":\"None\"}", BODY(ID, "\"42\"", "1763849701", "1763850301"), false, -EBADMSG },
                { "{\"alg\":\"HS384\",\"typ\":\"JWT\"}", BODY(ID, "\"42\"", "1763849701", "1763850301"),
                  true, -EBADMSG },
                { "{\"alg\":\"HS512\",\"typ\":\"JWT\"}", BODY(ID, "\"42\"", "1763849701", "1763850301"),
                  true, -EBADMSG },
                { "{\"alg\":\"RS256\",\"typ\":\"JWT\"}", BODY(ID, "\"42\"", "1763849701", "1763850301"),
                  true, -EBADMSG },
                { "{}", BODY(ID, "\"42\"", "1763849701", "1763850301"), true, -EBADMSG },
                { "[]", BODY(ID, "\"42\"", "1763849701", "1763850301"), true, -EBADMSG },
                { HEADER, "{}", true, -EBADMSG },
                { HEADER, "[]", true, -EBADMSG },
                { HEADER, "", true, -EBADMSG },
                { HEADER, BODY("\"short\"", "\"42\"", "1763849701", "1763850301"), true, -EBADMSG },
                { HEADER, BODY("17", "\"42\"", "1763849701", "1763850301"), true, -EBADMSG },
                { HEADER, BODY(ID, "42", "1763849701", "1763850301"), true, -EBADMSG },
                { HEADER, BODY(ID, "\"0\"", "1763849701", "1763850301"), true, -EBADMSG },
                { HEADER, BODY(ID, "\"-1\"", "1763849701", "1763850301"), true, -EBADMSG },
                { HEADER, BODY(ID, "\"42 \"", "1763849701", "1763850301"), true, -EBADMSG },
                { HEADER, BODY(ID, "\"42\"", "-1", "1763850301"), true, -EBADMSG },
                { HEADER, BODY(ID, "\"42\"", "1763849701", "-1"), true, -EBADMSG },
                { HEADER, BODY(ID, "\"42\"", "1763849701", "9223372036854775807"), true, -EBADMSG },
                { HEADER, BODY(ID, "\"42\"", "1763849701", "\"1763850301\""), true, -EBADMSG },
                { HEADER, BODY(ID, "\"42\"", "1763849701", "1763849701"), true, -ESTALE },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(freep) char *text = forge(cases[i].header, cases[i].body, cases[i].sign);
                SessionClaims back;
                int r = session_verify(key, text, NOW, &back);

                if (r != cases[i].result)
                        TEST_FAIL("case %zu (%s, %s) gave %d, expected %d", i, cases[i].header,
                                  cases[i].body, r, cases[i].result);
        }
}

static void test_garbage(void) {
        static const char *const texts[] = {
                "", ".", "..", "...", "a.b.c", "....", "\xff\xfe.\x01.\x02", "Bearer x"
        };
        _cleanup_(freep) char *large = malloc(SESSION_TEXT_MAX + 2);
        SessionClaims back;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                CHECK_INT(session_verify(key, texts[i], NOW, &back), -EBADMSG);
        CHECK(large);
        memset(large, 'a', SESSION_TEXT_MAX + 1);
        large[SESSION_TEXT_MAX + 1] = 0;
        CHECK_INT(session_verify(key, large, NOW, &back), -EBADMSG);
}

static void test_ids(void) {
        char a[SESSION_ID_LENGTH + 1], b[SESSION_ID_LENGTH + 1];

        CHECK_OK(session_id_new(a));
        CHECK_OK(session_id_new(b));
        CHECK_INT(strlen(a), SESSION_ID_LENGTH);
        CHECK(!streq(a, b));
}

int main(void) {
        RUN(test_round_trip);
        RUN(test_largest);
        RUN(test_changed);
        RUN(test_forged);
        RUN(test_garbage);
        RUN(test_ids);
        return EXIT_SUCCESS;
}
