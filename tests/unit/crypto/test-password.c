/* SPDX-License-Identifier: Apache-2.0 */

#include <time.h>

#include "base/alloc.h"
#include "base/text.h"
#include "base/times.h"
#include "crypto/password.h"
#include "tests/test.h"

static void test_verify(void) {
        _cleanup_(freep) char *hash = NULL, *again = NULL;

        CHECK_OK(password_hash("correct horse", &hash));
        CHECK(startswith(hash, "$y$"));
        CHECK_INT(password_verify("correct horse", hash), 1);
        CHECK_INT(password_verify("correct hors", hash), 0);
        CHECK_INT(password_verify("correct horse ", hash), 0);
        CHECK_INT(password_verify("", hash), 0);
        CHECK_OK(password_hash("correct horse", &again));
        CHECK(!streq(hash, again)); /* salted */
        CHECK_INT(password_verify("correct horse", again), 1);
        CHECK_INT(password_verify("päßwörd ✓ of people", hash), 0);
}

static void test_lengths(void) {
        char text[PASSWORD_MAX + 400];
        _cleanup_(freep) char *hash = NULL;

        memset(text, 'a', sizeof(text));
        text[PASSWORD_MIN - 1] = 0;
        CHECK_INT(password_hash(text, &hash), -EINVAL);
        CHECK_INT(password_check(text), -EINVAL);
        CHECK_INT(password_check("tab\tin it"), -EINVAL);
        CHECK_OK(password_check("exactly8"));
        CHECK(!hash);

        memset(text, 'a', sizeof(text));
        text[PASSWORD_MAX] = 0;
        CHECK_OK(password_hash(text, &hash));
        CHECK_INT(password_verify(text, hash), 1);
        text[PASSWORD_MAX] = 'a'; /* one more, and far more than the library takes */
        text[PASSWORD_MAX + 1] = 0;
        CHECK_INT(password_verify(text, hash), 0);
        CHECK_INT(password_verify(text, NULL), 0);
        text[PASSWORD_MAX + 1] = 'a';
        text[sizeof(text) - 1] = 0;
        CHECK_INT(password_verify(text, hash), 0);
        CHECK_INT(password_verify(text, NULL), 0);
}

static usec_t time_of(const char *password, const char *hash) {
        usec_t best = USEC_INFINITY;

        for (int i = 0; i < 5; i++) {
                usec_t start = now_usec(CLOCK_PROCESS_CPUTIME_ID), took;

                CHECK(password_verify(password, hash) == 0);
                took = now_usec(CLOCK_PROCESS_CPUTIME_ID) - start;
                best = MIN(best, took);
        }
        return best;
}

/* Nobody learns from the time whether a user exists. */
static void test_unknown_user(void) {
        _cleanup_(freep) char *hash = NULL;
        usec_t known, unknown;

        CHECK_OK(password_hash("correct horse", &hash));
        known = time_of("wrong horse", hash);
        unknown = time_of("wrong horse", NULL);
        CHECK(known > USEC_PER_MSEC);
        CHECK(unknown > known / 5 && unknown < known * 5); /* without the dummy it would be a thousandth */
}

static void test_strange_hashes(void) {
        CHECK(password_verify("correct horse", "") < 0);
        CHECK(password_verify("correct horse", "*") < 0);
        CHECK(password_verify("correct horse", "plain text") < 0);
        CHECK(password_verify("correct horse", "$9$unknown$scheme") < 0);
}

int main(void) {
        RUN(test_verify);
        RUN(test_lengths);
        RUN(test_unknown_user);
        RUN(test_strange_hashes);
        return EXIT_SUCCESS;
}
