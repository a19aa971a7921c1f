/* SPDX-License-Identifier: Apache-2.0 */

#include "base/alloc.h"
#include "base/encode.h"
#include "base/failure.h"
#include "base/text.h"
#include "repository/key.h"
#include "tests/test.h"

/* A key file that restic 0.14.0 made for the password "geheim". */
#define RESTIC_KEY \
        "{\"created\":\"2026-11-23T07:49:19.709744999Z\",\"username\":\"root\",\"hostname\":\"vm\"," \
        "\"kdf\":\"scrypt\",\"N\":32768,\"r\":8,\"p\":3,\"salt\":\"1Tc+VQwIbXBhxkGay65b2gisBThPDbZI+uys" \
        "+/F1dFYUZpV" \
        "rA6GEwdAe/wirhC2Kzg79fCfgpCl55i7eyM4xEg==\",\"data\":\"m1YRfyJcTMj+yqPxFk2ek0dFZnm+lfHUC2Ngvkf" \
        "uevb0zEu" \
        "EftnCKmTDuXjhQzNTDLd7Dw/7Uj3AxhsYf0G+vRUCyAnpPD9kfcX5CzPJKPE2VX/EZ9pdynWiquJNxqfrENWRP3FxwlhoU" \
        "MSz2LEA" \
        "2KJg35Q+Ibu6fvatPJAvFk49BE8YPkdPzJs5xZ24UhV7EUuioyVyrh0uaCw5tK3czg==\"}"

static const CipherKey test_key = {
        .encrypt = "0123456789abcdef0123456789abcde",
        .mac_k = "k",
        .mac_r = "r",
};

/* Every size around the blocks, sealed anew and in place. */
static void test_round_trip(void) {
        _cleanup_(cipher_freep) Cipher *c = NULL;
        uint8_t plain[200], sealed[sizeof plain + CIPHER_OVERHEAD], again[sizeof plain];

        CHECK_OK(cipher_new(&test_key, &c));
        for (size_t i = 0; i < sizeof plain; i++)
                plain[i] = (uint8_t) i;
        for (size_t n = 0; n <= sizeof plain; n++) {
                CHECK_OK(cipher_seal(c, plain, n, sealed));
                CHECK_OK(cipher_open(c, sealed, n + CIPHER_OVERHEAD, again));
                CHECK_MEM(again, plain, n);
                memcpy(sealed + CIPHER_IV_SIZE, plain, n);
                CHECK_OK(cipher_seal(c, sealed + CIPHER_IV_SIZE, n, sealed));
                CHECK_OK(cipher_open(c, sealed, n + CIPHER_OVERHEAD, sealed + CIPHER_IV_SIZE));
                CHECK_MEM(sealed + CIPHER_IV_SIZE, plain, n);
        }
}

/* Two messages are never sealed alike: the nonce is new each time. */
static void test_nonces(void) {
        _cleanup_(cipher_freep) Cipher *c = NULL;
        uint8_t a[CIPHER_OVERHEAD + 4], b[CIPHER_OVERHEAD + 4];

        CHECK_OK(cipher_new(&test_key, &c));
        CHECK_OK(cipher_seal(c, "same", 4, a));
        CHECK_OK(cipher_seal(c, "same", 4, b));
        CHECK(memcmp(a, b, CIPHER_IV_SIZE) != 0);
        CHECK(memcmp(a + CIPHER_IV_SIZE, b + CIPHER_IV_SIZE, 4) != 0);
}

/* One bit anywhere is enough, and then nothing of the message comes out. */
static void test_forged(void) {
        _cleanup_(cipher_freep) Cipher *c = NULL, *other = NULL;
        uint8_t sealed[CIPHER_OVERHEAD + 40] = {}, out[40];
        CipherKey key = test_key;

        CHECK_OK(cipher_new(&test_key, &c));
        CHECK_OK(cipher_seal(c, "forty bytes of something that is secret", 40, sealed));
        memset(out, 0x55, sizeof out);
        for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
                sealed[bit / 8] ^= (uint8_t) (1 << bit % 8);
                CHECK_INT(cipher_open(c, sealed, sizeof sealed, out), -EBADMSG);
                sealed[bit / 8] ^= (uint8_t) (1 << bit % 8);
        }
        for (size_t n = 0; n < sizeof sealed; n++)
                CHECK_INT(cipher_open(c, sealed, n, out), -EBADMSG);
        for (size_t i = 0; i < sizeof out; i++)
                CHECK_INT(out[i], 0x55);
        key.mac_k[0] ^= 1;
        CHECK_OK(cipher_new(&key, &other));
        CHECK_INT(cipher_open(other, sealed, sizeof sealed, out), -EBADMSG);
        CHECK_OK(cipher_open(c, sealed, sizeof sealed, out));
}

static void test_restic_key(void) {
        _cleanup_(repo_key_file_done) RepoKeyFile k = REPO_KEY_FILE_NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;
        char encrypt[2 * sizeof(((CipherKey *) NULL)->encrypt) + 1];
        CipherKey key;

        CHECK_OK(repo_key_file_parse(RESTIC_KEY, strlen(RESTIC_KEY), &k, &f));
        CHECK_STR(k.hostname, "vm");
        CHECK_INT(k.cost.p, 3);
        CHECK_INT(repo_key_open(&k, "Geheim", &key), -EKEYREJECTED);
        CHECK_OK(repo_key_open(&k, "geheim", &key));
        (void) hex_encode(key.encrypt, sizeof key.encrypt, encrypt);
        CHECK_STR(encrypt, "f68ba709ae3d3e68b101dec41f655b1123169d492229c1b3d69c6a2fa39e5ebc");
        ((uint8_t *) k.data)[20] ^= 1;
        CHECK_INT(repo_key_open(&k, "geheim", &key), -EKEYREJECTED);
}

static void test_own_key(void) {
        _cleanup_(repo_key_file_done) RepoKeyFile k = REPO_KEY_FILE_NULL, again = REPO_KEY_FILE_NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;
        ScryptCost cheap = { 16, 1, 1 };
        _cleanup_(freep) char *json = NULL;
        CipherKey key, opened;
        size_t n;

        CHECK_OK(repo_key_generate(&key));
        CHECK_OK(repo_key_seal(&key, "word", &cheap, &k));
        CHECK_OK(free_and_strdup(&k.hostname, "web-1"));
        k.created = moment_now();
        CHECK_OK(repo_key_file_format(&k, &json, &n));
        CHECK_OK(repo_key_file_parse(json, n, &again, &f));
        CHECK_STR(again.hostname, "web-1");
        CHECK_INT(again.created.nsec, k.created.nsec);
        CHECK_OK(repo_key_open(&again, "word", &opened));
        CHECK_MEM(&opened, &key, sizeof key);
}

/* What a key file may ask for is bounded before anything is computed. */
static void test_bounds(void) {
        static const struct {
                const char *n, *r, *p;
                bool good;
        } rows[] = {
                { "65536", "8", "1", true },
                { "2097152", "1", "1", true },
                { "4194304", "8", "1", false },
                { "32768", "8", "128", true },
                { "32768", "8", "129", false },
                { "2147483648", "2147483648", "1", false },
                { "32767", "8", "1", false },
                { "0", "8", "1", false },
                { "32768", "0", "1", false },
                { "32768", "8", "0", false },
                { "16", "8", "4294967295", false },
                { "-16", "8", "1", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_(repo_key_file_done) RepoKeyFile k = REPO_KEY_FILE_NULL;
                _cleanup_failure_ Failure f = FAILURE_NULL;
                _cleanup_(freep) char *json = NULL;
                int r;

                CHECK_OK(asprintf_safe(&json,
                                       "{\"kdf\":\"scrypt\",\"N\":%s,\"r\":%s,\"p\":%s,\"salt\":\"AA==\","
                                       "\"data\":\"AA==\"}",
                                       rows[i].n, rows[i].r, rows[i].p));
                r = repo_key_file_parse(json, strlen(json), &k, &f);
                CHECK_INT(r, rows[i].good ? 0 : -EBADMSG);
                if (!rows[i].good)
                        CHECK_STR(f.code, "REPOSITORY_KEY_INVALID");
        }
}

int main(void) {
        RUN(test_round_trip);
        RUN(test_nonces);
        RUN(test_forged);
        RUN(test_restic_key);
        RUN(test_own_key);
        RUN(test_bounds);
        return EXIT_SUCCESS;
}
