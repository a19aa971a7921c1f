/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "crypto/certificate.h"
#include "tests/test.h"

#define NOW (UINT64_C(1800000000) * USEC_PER_SEC)
#define DAY (24 * 3600 * USEC_PER_SEC)

#define NAMES(...) ((char *const *) (const char *const[]){ __VA_ARGS__, NULL })

/* The output of a shell command on files in folder. */
static char *shell(const char *folder, const char *command) {
        _cleanup_(freep) char *line = NULL;
        char text[4096];
        FILE *f;
        size_t n;

        CHECK_OK(asprintf_safe(&line, "cd %s && { %s; } 2>&1", folder, command));
        f = popen(line, "r");
        CHECK(f);
        n = fread(text, 1, sizeof(text) - 1, f);
        text[n] = 0;
        if (pclose(f) != 0)
                TEST_FAIL("%s: %s", command, text);
        return memdup0(text, n);
}

static void save(const char *folder, const char *name, const char *text) {
        _cleanup_(freep) char *path = NULL;

        CHECK_OK(asprintf_safe(&path, "%s/%s", folder, name));
        CHECK_OK(write_file_atomic(AT_FDCWD, path, text, strlen(text), 0600));
}

static void test_keys(void) {
        _cleanup_(erase_and_freep) char *a = NULL, *b = NULL, *pem = NULL;
        char pin_a[PIN_TEXT_SIZE], pin_b[PIN_TEXT_SIZE];

        CHECK_OK(certificate_key_new(&a));
        CHECK_OK(certificate_key_new(&b));
        CHECK(!streq(a, b) && !strpbrk(a, "\r\n "));
        CHECK_OK(certificate_key_pin(a, pin_a));
        CHECK_OK(certificate_key_pin(b, pin_b));
        CHECK(startswith(pin_a, "sha256//") && !streq(pin_a, pin_b));
        CHECK_OK(certificate_key_pem(a, &pem));
        CHECK(startswith(pem, "-----BEGIN PRIVATE KEY-----"));
        a[20] = '!';
        CHECK_INT(certificate_key_pin(a, pin_a), -EBADMSG);
        CHECK_INT(certificate_key_pin("", pin_a), -EBADMSG);
        CHECK_INT(certificate_key_pin("AAAA", pin_a), -EBADMSG);
}

static void test_fit(void) {
        _cleanup_(erase_and_freep) char *key = NULL, *other = NULL;
        _cleanup_(freep) char *pem = NULL, *again = NULL, *none = NULL;
        char pin[PIN_TEXT_SIZE], of_key[PIN_TEXT_SIZE];
        char *const *names = NAMES("backup.example.com", "not a name", "192.0.2.1", "2001:db8::1", "");

        CHECK_OK(certificate_key_new(&key));
        CHECK_OK(certificate_key_new(&other));
        CHECK_OK(certificate_make(key, names, NOW, &pem));
        CHECK_INT(certificate_is_fit(pem, key, names, NOW), 1);
        CHECK_INT(certificate_is_fit(pem, key, NAMES("2001:db8:0:0::1"), NOW), 1);
        CHECK_INT(certificate_is_fit(pem, key, NAMES("BACKUP.example.com"), NOW), 1);
        CHECK_INT(certificate_is_fit(pem, key, NULL, NOW), 1);
        CHECK_INT(certificate_is_fit(pem, key, NAMES("example.com"), NOW), 0);
        CHECK_INT(certificate_is_fit(pem, key, NAMES("192.0.2.2"), NOW), 0);
        CHECK_INT(certificate_is_fit(pem, other, names, NOW), 0);
        CHECK_INT(certificate_is_fit("nonsense", key, names, NOW), -EBADMSG);
        /* Before its time, near its end and after it. */
        CHECK_INT(certificate_is_fit(pem, key, names, NOW - 2 * DAY), 0);
        CHECK_INT(certificate_is_fit(pem, key, names, NOW + 3280 * DAY), 1);
        CHECK_INT(certificate_is_fit(pem, key, names, NOW + 3290 * DAY), 0);
        CHECK_INT(certificate_is_fit(pem, key, names, NOW + 4000 * DAY), 0);
        /* The next one is another certificate of the same key. */
        CHECK_OK(certificate_make(key, names, NOW + 3290 * DAY, &again));
        CHECK_INT(certificate_is_fit(again, key, names, NOW + 3290 * DAY), 1);
        CHECK(!streq(pem, again));
        CHECK_OK(certificate_key_pin(key, of_key));
        CHECK_OK(certificate_pin(again, pin));
        CHECK_STR(pin, of_key);
        CHECK_INT(certificate_make(key, NAMES("", "a,DNS:evil", "-x"), NOW, &none), -EINVAL);
        CHECK_INT(certificate_make("AAAA", names, NOW, &none), -EBADMSG);
}

/* What openssl reads in it, and the pin as the manual of curl has it computed. */
static void test_stock(void) {
        char folder[] = "/tmp/backupx-test-certificate-XXXXXX";
        _cleanup_(erase_and_freep) char *key = NULL, *key_pem = NULL;
        _cleanup_(freep) char *pem = NULL, *shown = NULL, *pin = NULL, *verified = NULL, *removed = NULL;
        char expected[PIN_TEXT_SIZE];

        CHECK(mkdtemp(folder));
        CHECK_OK(certificate_key_new(&key));
        CHECK_OK(certificate_key_pem(key, &key_pem));
        CHECK_OK(certificate_make(key, NAMES("backup.example.com", "192.0.2.1", "::1"), NOW, &pem));
        save(folder, "key", key_pem);
        save(folder, "crt", pem);
        shown = shell(folder, "openssl x509 -in crt -noout -subject -ext subjectAltName,basicConstraints");
        CHECK(strstr(shown, "CN = backup.example.com"));
        CHECK(strstr(shown, "DNS:backup.example.com, IP Address:192.0.2.1, IP Address:0:0:0:0:0:0:0:1"));
        CHECK(strstr(shown, "CA:FALSE"));
        verified = shell(folder, "openssl verify -attime 1800000000 -CAfile crt -verify_ip 192.0.2.1 crt");
        CHECK(strstr(verified, "crt: OK"));
        pin = shell(folder, "openssl ec -in key -pubout -outform der 2>/dev/null |"
                            " openssl dgst -sha256 -binary | openssl base64");
        CHECK_OK(certificate_pin(pem, expected));
        pin[strcspn(pin, "\n")] = 0;
        CHECK_STR(pin, expected + STRLEN("sha256//"));
        removed = shell(folder, "rm key crt && rmdir \"$PWD\"");
}

int main(void) {
        RUN(test_keys);
        RUN(test_fit);
        RUN(test_stock);
        return EXIT_SUCCESS;
}
