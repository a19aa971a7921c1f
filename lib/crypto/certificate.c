/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/encode.h"
#include "base/text.h"
#include "crypto/certificate.h"
#include "crypto/digest.h"
#include "crypto/random.h"

#define NAME_LENGTH_MAX 253U
#define SUBJECT_LENGTH_MAX 64U
#define SERIAL_SIZE 16U
#define DAY_SEC 86400L
/* DER and PEM of one key or certificate; a certificate has up to CERTIFICATE_NAMES_MAX names. */
#define TEXT_MAX (64U * 1024)

typedef unsigned char *Der;

static void der_done(Der p) {
        OPENSSL_free(p);
}

DEFINE_CLEANUP(BIO *, BIO_free_all);
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free);
DEFINE_CLEANUP(X509 *, X509_free);
DEFINE_CLEANUP(X509_EXTENSION *, X509_EXTENSION_free);
DEFINE_CLEANUP(PKCS8_PRIV_KEY_INFO *, PKCS8_PRIV_KEY_INFO_free);
DEFINE_CLEANUP(BIGNUM *, BN_free);
DEFINE_CLEANUP(Der, der_done);

/* --- Keys ----------------------------------------------------------------------------------------- */

int certificate_key_new(char **ret) {
        _cleanup_(PKCS8_PRIV_KEY_INFO_freep) PKCS8_PRIV_KEY_INFO *info = NULL;
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
        _cleanup_(der_donep) Der der = NULL;
        int n, r;

        assert(ret);

        key = EVP_EC_gen("P-256");
        if (key)
                info = EVP_PKEY2PKCS8(key);
        n = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
        if (n <= 0)
                return -EIO;
        r = base64_encode(BASE64_STANDARD, der, (size_t) n, ret);
        OPENSSL_cleanse(der, (size_t) n);
        return r;
}

static int read_key(const char *text, EVP_PKEY **ret) {
        _cleanup_(freep) void *der = NULL;
        const unsigned char *p;
        size_t n;
        int r;

        r = base64_decode(BASE64_STANDARD, text, strlen(text), &der, &n);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        p = der;
        *ret = n <= TEXT_MAX ? d2i_AutoPrivateKey(NULL, &p, (long) n) : NULL;
        explicit_bzero(der, n);
        ERR_clear_error();
        return *ret ? 0 : -EBADMSG;
}

/* The whole content of a memory BIO. */
static int take_text(BIO *bio, char **ret) {
        char *data;
        long n = BIO_get_mem_data(bio, &data);

        *ret = n > 0 ? memdup0(data, (size_t) n) : NULL;
        return *ret ? 0 : -ENOMEM;
}

int certificate_key_pem(const char *key, char **ret) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
        _cleanup_(BIO_free_allp) BIO *bio = NULL;
        int r;

        assert(key);
        assert(ret);

        r = read_key(key, &pkey);
        if (r < 0)
                return r;
        bio = BIO_new(BIO_s_secmem());
        if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) != 1)
                return -ENOMEM;
        return take_text(bio, ret);
}

static int pin_of(EVP_PKEY *key, char ret[static PIN_TEXT_SIZE]) {
        _cleanup_(freep) char *text = NULL;
        _cleanup_(der_donep) Der der = NULL;
        uint8_t digest[SHA256_SIZE];
        int n, r;

        n = i2d_PUBKEY(key, &der);
        if (n <= 0)
                return -EBADMSG;
        r = sha256(der, (size_t) n, digest);
        if (r >= 0)
                r = base64_encode(BASE64_STANDARD, digest, sizeof(digest), &text);
        if (r >= 0)
                (void) snprintf(ret, PIN_TEXT_SIZE, PIN_PREFIX "%s", text);
        return r;
}

int certificate_key_pin(const char *key, char ret[static PIN_TEXT_SIZE]) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
        int r;

        assert(key);

        r = read_key(key, &pkey);
        return r < 0 ? r : pin_of(pkey, ret);
}

/* --- Names ---------------------------------------------------------------------------------------- */

typedef enum NameKind {
        NAME_NONE,
        NAME_HOST,
        NAME_ADDRESS,
} NameKind;

static NameKind name_kind(const char *s) {
        struct in6_addr buf;
        size_t n = strlen(s);

        if (inet_pton(AF_INET, s, &buf) == 1 || inet_pton(AF_INET6, s, &buf) == 1)
                return NAME_ADDRESS;
        if (n == 0 || n > NAME_LENGTH_MAX || s[0] == '.' || s[0] == '-')
                return NAME_NONE;
        if (s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")])
                return NAME_NONE;
        return NAME_HOST;
}

/* "DNS:a,IP:::1"; *ret_subject is the first name. */
static int format_names(char *const *names, Buffer *text, const char **ret_subject) {
        size_t n = 0;

        STRV_FOREACH(name, names) {
                NameKind kind = name_kind(*name);
                int r;

                if (kind == NAME_NONE || n >= CERTIFICATE_NAMES_MAX)
                        continue;
                if (n == 0)
                        *ret_subject = *name;
                r = buffer_printf(text, "%s%s:%s", n > 0 ? "," : "", kind == NAME_HOST ? "DNS" : "IP",
                                  *name);
                if (r < 0)
                        return r;
                n++;
        }
        return n > 0 ? 0 : -EINVAL;
}

/* --- Certificates --------------------------------------------------------------------------------- */

static int add_extension(X509 *x, int nid, const char *value) {
        _cleanup_(X509_EXTENSION_freep) X509_EXTENSION *extension = NULL;
        X509V3_CTX context;

        X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
        extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
        return extension && X509_add_ext(x, extension, -1) == 1 ? 0 : -EIO;
}

static int set_serial(X509 *x) {
        _cleanup_(BN_freep) BIGNUM *n = NULL;
        uint8_t bytes[SERIAL_SIZE];
        int r;

        r = random_bytes(bytes, sizeof(bytes));
        if (r < 0)
                return r;
        bytes[0] &= 0x7f;
        n = BN_bin2bn(bytes, sizeof(bytes), NULL);
        return n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) ? 0 : -ENOMEM;
}

static int set_subject(X509 *x, const char *subject) {
        X509_NAME *name = X509_get_subject_name(x);

        if (X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *) "BackupX", -1, -1,
                                       0) != 1)
                return -ENOMEM;
        if (strlen(subject) <= SUBJECT_LENGTH_MAX &&
            X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *) subject, -1, -1,
                                       0) != 1)
                return -ENOMEM;
        return X509_set_issuer_name(x, name) == 1 ? 0 : -ENOMEM;
}

/* A day before now, too: clocks of clients differ. */
static int set_validity(X509 *x, usec_t now) {
        time_t t = (time_t) (now / USEC_PER_SEC);

        return X509_time_adj_ex(X509_getm_notBefore(x), -1, 0, &t) &&
                                        X509_time_adj_ex(X509_getm_notAfter(x), CERTIFICATE_DAYS, 0, &t) ?
                        0 :
                        -EIO;
}

static int set_extensions(X509 *x, const char *names) {
        static const struct {
                int nid;
                const char *value;
        } table[] = {
                /* It vouches for nobody else, even where somebody took it for an authority. */
                { NID_basic_constraints, "critical,CA:FALSE" },
                { NID_key_usage, "critical,digitalSignature" },
                { NID_ext_key_usage, "serverAuth" },
                { NID_subject_key_identifier, "hash" },
        };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(table) && r >= 0; i++)
                r = add_extension(x, table[i].nid, table[i].value);
        return r < 0 ? r : add_extension(x, NID_subject_alt_name, names);
}

int certificate_make(const char *key, char *const *names, usec_t now, char **ret) {
        _cleanup_buffer_ Buffer text = BUFFER_NULL;
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
        _cleanup_(BIO_free_allp) BIO *bio = NULL;
        _cleanup_(X509_freep) X509 *x = NULL;
        const char *subject = NULL;
        int r;

        assert(key);
        assert(ret);

        r = format_names(names, &text, &subject);
        if (r >= 0)
                r = read_key(key, &pkey);
        if (r < 0)
                return r;
        x = X509_new();
        bio = BIO_new(BIO_s_mem());
        if (!x || !bio || X509_set_version(x, X509_VERSION_3) != 1 || X509_set_pubkey(x, pkey) != 1)
                return -ENOMEM;
        r = set_serial(x);
        if (r >= 0)
                r = set_subject(x, subject);
        if (r >= 0)
                r = set_validity(x, now);
        if (r >= 0)
                r = set_extensions(x, text.data);
        if (r >= 0 && (X509_sign(x, pkey, EVP_sha256()) <= 0 || PEM_write_bio_X509(bio, x) != 1))
                r = -EIO;
        ERR_clear_error();
        return r < 0 ? r : take_text(bio, ret);
}

static int read_certificate(const char *pem, X509 **ret) {
        _cleanup_(BIO_free_allp) BIO *bio = NULL;
        size_t n = strlen(pem);

        if (n > TEXT_MAX)
                return -EBADMSG;
        bio = BIO_new_mem_buf(pem, (int) n);
        if (!bio)
                return -ENOMEM;
        *ret = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        ERR_clear_error();
        return *ret ? 0 : -EBADMSG;
}

int certificate_pin(const char *pem, char ret[static PIN_TEXT_SIZE]) {
        _cleanup_(X509_freep) X509 *x = NULL;
        EVP_PKEY *key; /* of x */
        int r;

        assert(pem);

        r = read_certificate(pem, &x);
        if (r < 0)
                return r;
        key = X509_get0_pubkey(x);
        return key ? pin_of(key, ret) : -EBADMSG;
}

static bool has_names(X509 *x, char *const *names) {
        STRV_FOREACH(name, names) {
                NameKind kind = name_kind(*name);

                if (kind == NAME_HOST && X509_check_host(x, *name, 0, 0, NULL) != 1)
                        return false;
                if (kind == NAME_ADDRESS && X509_check_ip_asc(x, *name, 0) != 1)
                        return false;
        }
        return true;
}

int certificate_is_fit(const char *pem, const char *key, char *const *names, usec_t now) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
        _cleanup_(X509_freep) X509 *x = NULL;
        time_t t = (time_t) (now / USEC_PER_SEC), end = t + CERTIFICATE_RENEW_DAYS * DAY_SEC;
        int r;

        assert(pem);
        assert(key);

        r = read_certificate(pem, &x);
        if (r >= 0)
                r = read_key(key, &pkey);
        if (r < 0)
                return r;
        return X509_check_private_key(x, pkey) == 1 && X509_cmp_time(X509_get0_notBefore(x), &t) < 0 &&
                        X509_cmp_time(X509_get0_notAfter(x), &end) > 0 && has_names(x, names);
}
