/* SPDX-License-Identifier: Apache-2.0 */
#include <crypt.h>
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/password.h"

#define PASSWORD_SCHEME "$y$"

/* What an unknown user's password is compared with, so that the answer takes as long as for a known one. It
 * has the parameters that crypt_gensalt() chooses by default (a test compares the times), and came from 256
 * random bits that nobody kept. */
#define PASSWORD_DUMMY "$y$j9T$fjBppg1ko6FIa34v6xW3n.$eo1lf9Vwtryw/Get0.micMUzPaisuBPviSoUD0pBTWB"

static void *erase_and_free_crypt(struct crypt_data *data) {
        if (data)
                explicit_bzero(data, sizeof(*data));
        return mfree(data);
}

DEFINE_CLEANUP(struct crypt_data *, erase_and_free_crypt);

static bool length_fits(const char *password) {
        size_t n = strnlen(password, PASSWORD_MAX + 1);

        return n >= PASSWORD_MIN && n <= PASSWORD_MAX;
}

int password_check(const char *password) {
        assert(password);

        if (!length_fits(password))
                return -EINVAL;
        for (const char *p = password; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f)
                        return -EINVAL;
        return 0;
}

int password_hash(const char *password, char **ret) {
        _cleanup_(erase_and_free_cryptp) struct crypt_data *data = NULL;
        char setting[CRYPT_GENSALT_OUTPUT_SIZE];
        const char *hash;
        char *copy;
        int r;

        assert(password);
        assert(ret);

        r = password_check(password);
        if (r < 0)
                return r;
        data = new0(struct crypt_data, 1);
        if (!data)
                return -ENOMEM;
        /* Cost 0 and no random bytes: the library's default cost, salt from the kernel. */
        if (!crypt_gensalt_rn(PASSWORD_SCHEME, 0, NULL, 0, setting, sizeof(setting)))
                return -errno;
        hash = crypt_rn(password, setting, data, (int) sizeof(*data));
        if (!hash)
                return errno > 0 ? -errno : -EIO;
        copy = strdup(hash);
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}

int password_verify(const char *password, const char *hash) {
        _cleanup_(erase_and_free_cryptp) struct crypt_data *data = NULL;
        const char *expected = hash ?: PASSWORD_DUMMY, *got;
        bool too_long;

        assert(password);

        data = new0(struct crypt_data, 1);
        if (!data)
                return -ENOMEM;
        /* A password that can never have been set takes as long as any other. */
        too_long = strnlen(password, PASSWORD_MAX + 1) > PASSWORD_MAX;
        got = crypt_rn(too_long ? "" : password, expected, data, (int) sizeof(*data));
        if (!got) /* -EINVAL: not a hash that this library knows */
                return errno > 0 ? -errno : -EINVAL;
        return hash && !too_long && strlen(got) == strlen(expected) &&
                        equal_constant_time(got, expected, strlen(got));
}
