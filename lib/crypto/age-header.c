/* SPDX-License-Identifier: Apache-2.0 */

/* The header of an age file:
 *
 * age-encryption.org/v1 -> X25519 <ephemeral share> <wrapped file key> --- <MAC of all up to and with the
 * three dashes>
 *
 * Each stanza has one or more arguments and a body in base64, in lines of 64 characters with a shorter one
 * at the end, which may be empty. All of it is parsed before any of it is believed, known stanzas or not. */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/parse.h"
#include "base/text.h"
#include "crypto/age.h"
#include "crypto/digest.h"
#include "crypto/primitives.h"
#include "crypto/random.h"

#define VERSION_LINE "age-encryption.org/v1\n"
#define STANZA_START "-> "
#define MAC_START "---"
#define BODY_COLUMNS 64

#define KIND_X25519 "X25519"
#define KIND_SCRYPT "scrypt"
#define LABEL_X25519 "age-encryption.org/v1/X25519"
#define LABEL_SCRYPT "age-encryption.org/v1/scrypt"
#define LABEL_HEADER "header"

#define WRAPPED_SIZE (AGE_FILE_KEY_SIZE + AEAD_TAG_SIZE)
#define SCRYPT_SALT_SIZE 16
/* 1 GiB of memory. Stock age writes 18. */
#define SCRYPT_WORK_FACTOR_MAX 20

typedef struct Stanza {
        const char *arguments; /* in the header: separated by one space each, the first is the kind */
        size_t arguments_size;
        size_t n_arguments;
        uint8_t *body;
        size_t body_size;
} Stanza;

typedef struct Header {
        Stanza *stanzas;
        size_t n_stanzas;
        size_t mac_start; /* bytes that the MAC covers */
        uint8_t mac[SHA256_SIZE];
} Header;

static void header_done(Header *h) {
        for (size_t i = 0; i < h->n_stanzas; i++)
                free(h->stanzas[i].body);
        free(h->stanzas);
}

/* --- Parsing ---------------------------------------------------------------------------------------- */

/* What is left to read. */
typedef struct Rest {
        const char *p;
        size_t n;
} Rest;

static bool take_literal(Rest *rest, const char *literal) {
        size_t n = strlen(literal);

        if (rest->n < n || memcmp(rest->p, literal, n) != 0)
                return false;
        rest->p += n;
        rest->n -= n;
        return true;
}

/* The line without its newline. */
static int take_line(Rest *rest, Rest *ret) {
        const char *end = memchr(rest->p, '\n', rest->n);

        if (!end)
                return -EBADMSG;
        *ret = (Rest){ rest->p, (size_t) (end - rest->p) };
        rest->n -= ret->n + 1;
        rest->p = end + 1;
        return 0;
}

/* Strict base64 of exactly size bytes. */
static int decode_exactly(const char *text, size_t n, void *ret, size_t size) {
        _cleanup_(freep) void *bytes = NULL;
        size_t got;
        int r;

        r = base64_decode(BASE64_RAW, text, n, &bytes, &got);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        if (got != size)
                return -EBADMSG;
        memcpy(ret, bytes, size);
        return 0;
}

/* Counts the arguments: visible ASCII, none empty. */
static int count_arguments(const Rest *line, size_t *ret) {
        size_t count = 1;
        bool empty = true;

        assert(line);

        for (size_t i = 0; i < line->n; i++) {
                if (line->p[i] == ' ') {
                        if (empty)
                                return -EBADMSG;
                        count++;
                        empty = true;
                        continue;
                }
                if (line->p[i] < '!' || line->p[i] > '~')
                        return -EBADMSG;
                empty = false;
        }
        if (empty)
                return -EBADMSG;
        *ret = count;
        return 0;
}

static bool stanza_argument(const Stanza *s, size_t index, Rest *ret) {
        const char *p = s->arguments, *end = s->arguments + s->arguments_size;

        for (size_t i = 0;; i++) {
                const char *space = memchr(p, ' ', (size_t) (end - p));
                const char *stop = space ?: end;

                if (i == index) {
                        *ret = (Rest){ p, (size_t) (stop - p) };
                        return true;
                }
                if (!space)
                        return false;
                p = space + 1;
        }
}

static bool stanza_is(const Stanza *s, const char *kind) {
        Rest first;

        if (!stanza_argument(s, 0, &first))
                return false;
        return first.n == strlen(kind) && memcmp(first.p, kind, first.n) == 0;
}

static int take_body(Rest *rest, Stanza *s) {
        _cleanup_buffer_ Buffer text = BUFFER_NULL;
        void *body;
        Rest line;
        int r;

        assert(s);

        do {
                r = take_line(rest, &line);
                if (r < 0)
                        return r;
                if (line.n > BODY_COLUMNS)
                        return -EBADMSG;
                r = buffer_add(&text, line.p, line.n);
                if (r < 0)
                        return r;
        } while (line.n == BODY_COLUMNS);

        r = base64_decode(BASE64_RAW, text.data, text.size, &body, &s->body_size);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        s->body = body;
        return 0;
}

static int take_stanza(Rest *rest, Header *h) {
        Stanza s = {}, *grown;
        Rest line;
        int r;

        assert(h);

        r = take_line(rest, &line);
        if (r < 0)
                return r;
        r = count_arguments(&line, &s.n_arguments);
        if (r < 0)
                return r;
        s.arguments = line.p;
        s.arguments_size = line.n;

        grown = reallocarray(h->stanzas, h->n_stanzas + 1, sizeof(Stanza));
        if (!grown)
                return -ENOMEM;
        h->stanzas = grown;
        r = take_body(rest, &s);
        if (r < 0)
                return r;
        h->stanzas[h->n_stanzas++] = s;
        return 0;
}

static int parse_header(const char *data, size_t n, Header *h) {
        Rest rest = { data, n }, line;
        int r;

        assert(h);

        if (n > AGE_HEADER_MAX || !take_literal(&rest, VERSION_LINE))
                return -EBADMSG;
        while (take_literal(&rest, STANZA_START)) {
                r = take_stanza(&rest, h);
                if (r < 0)
                        return r;
        }
        if (h->n_stanzas == 0 || !take_literal(&rest, MAC_START))
                return -EBADMSG;
        h->mac_start = n - rest.n;
        if (!take_literal(&rest, " ") || take_line(&rest, &line) < 0 || rest.n != 0)
                return -EBADMSG;
        return decode_exactly(line.p, line.n, h->mac, sizeof(h->mac));
}

int age_header_length(const void *data, size_t n, size_t *ret) {
        const char *p = data, *mac, *end;
        size_t prefix = MIN(n, STRLEN(VERSION_LINE));

        assert(data || n == 0);
        assert(ret);

        if (prefix > 0 && memcmp(p, VERSION_LINE, prefix) != 0)
                return -EBADMSG;
        /* No body has a dash, so the first line that begins with three is the last one. */
        n = MIN(n, (size_t) AGE_HEADER_MAX);
        mac = n > 0 ? memmem(p, n, "\n" MAC_START, STRLEN("\n" MAC_START)) : NULL;
        end = mac ? memchr(mac + 1, '\n', n - (size_t) (mac + 1 - p)) : NULL;
        if (!end)
                return n < AGE_HEADER_MAX ? -EAGAIN : -EBADMSG;
        *ret = (size_t) (end + 1 - p);
        return 0;
}

/* --- Wrapping and unwrapping the file key ----------------------------------------------------------- */

/* The wrapping key is used once, so its nonce is zero. */
static const uint8_t wrap_nonce[AEAD_NONCE_SIZE];

static int x25519_wrap_key(const uint8_t secret[static AGE_KEY_SIZE],
                           const uint8_t point[static AGE_KEY_SIZE],
                           const uint8_t salt[static 2 * AGE_KEY_SIZE], uint8_t ret[static AEAD_KEY_SIZE]) {
        uint8_t shared[X25519_SIZE];
        CLEANUP_ERASE(shared);
        int r;

        r = x25519_shared(secret, point, shared);
        if (r < 0)
                return r;
        return hkdf_sha256(shared, sizeof(shared), salt, 2 * AGE_KEY_SIZE, LABEL_X25519, ret);
}

/* -ENOKEY: the key is another one. */
static int unwrap_with(const uint8_t key[static AEAD_KEY_SIZE], const Stanza *s,
                       uint8_t ret[static AGE_FILE_KEY_SIZE]) {
        _cleanup_(aead_freep) Aead *aead = NULL;
        int r;

        r = aead_new(AEAD_OPEN, key, &aead);
        if (r < 0)
                return r;
        r = aead_open(aead, wrap_nonce, s->body, AGE_FILE_KEY_SIZE, ret);
        return r == -EBADMSG ? -ENOKEY : r;
}

static int unwrap_x25519(const Stanza *s, const AgeKeys *keys, uint8_t ret[static AGE_FILE_KEY_SIZE]) {
        uint8_t salt[2 * AGE_KEY_SIZE], key[AEAD_KEY_SIZE];
        CLEANUP_ERASE(key);
        Rest share;
        int r;

        assert(s);
        assert(keys);

        if (s->n_arguments != 2 || s->body_size != WRAPPED_SIZE || !stanza_argument(s, 1, &share))
                return -EBADMSG;
        r = decode_exactly(share.p, share.n, salt, AGE_KEY_SIZE);
        if (r < 0)
                return r;
        for (size_t i = 0; i < keys->n_identities; i++) {
                r = x25519_public(keys->identities[i].secret, salt + AGE_KEY_SIZE);
                if (r < 0)
                        return r;
                r = x25519_wrap_key(keys->identities[i].secret, salt, salt, key);
                if (r < 0)
                        return r;
                r = unwrap_with(key, s, ret);
                if (r != -ENOKEY)
                        return r;
        }
        return -ENOKEY;
}

/* A decimal number without sign or leading zero. */
static int parse_work_factor(const Rest *text, unsigned *ret) {
        char digits[3];
        uint32_t v;

        assert(text);

        if (text->n == 0 || text->n >= sizeof(digits) || text->p[0] == '0')
                return -EBADMSG;
        memcpy(digits, text->p, text->n);
        digits[text->n] = 0;
        if (parse_u32(digits, 1, SCRYPT_WORK_FACTOR_MAX, &v) < 0)
                return -EBADMSG;
        *ret = v;
        return 0;
}

static int unwrap_scrypt(const Stanza *s, const AgeKeys *keys, uint8_t ret[static AGE_FILE_KEY_SIZE]) {
        uint8_t salt[STRLEN(LABEL_SCRYPT) + SCRYPT_SALT_SIZE], key[AEAD_KEY_SIZE];
        CLEANUP_ERASE(key);
        Rest text, factor;
        unsigned work_factor;
        int r;

        assert(s);
        assert(keys);

        if (s->n_arguments != 3 || s->body_size != WRAPPED_SIZE || !stanza_argument(s, 1, &text) ||
            !stanza_argument(s, 2, &factor))
                return -EBADMSG;
        memcpy(salt, LABEL_SCRYPT, STRLEN(LABEL_SCRYPT));
        r = decode_exactly(text.p, text.n, salt + STRLEN(LABEL_SCRYPT), SCRYPT_SALT_SIZE);
        if (r < 0)
                return r;
        r = parse_work_factor(&factor, &work_factor);
        if (r < 0)
                return r;
        if (!keys->passphrase)
                return -ENOKEY;
        r = scrypt_key(keys->passphrase, salt, sizeof(salt), work_factor, key);
        if (r < 0)
                return r;
        return unwrap_with(key, s, ret);
}

static int unwrap_stanzas(const Header *h, const AgeKeys *keys, uint8_t ret[static AGE_FILE_KEY_SIZE]) {
        uint8_t candidate[AGE_FILE_KEY_SIZE];
        CLEANUP_ERASE(candidate);
        bool found = false;

        assert(h);

        for (size_t i = 0; i < h->n_stanzas; i++) {
                const Stanza *s = h->stanzas + i;
                int r;

                if (stanza_is(s, KIND_X25519))
                        r = unwrap_x25519(s, keys, candidate);
                else if (stanza_is(s, KIND_SCRYPT))
                        /* Whoever knows a passphrase could have made the file, so it stands alone. */
                        r = h->n_stanzas == 1 ? unwrap_scrypt(s, keys, candidate) : -EBADMSG;
                else
                        continue;
                if (r == -ENOKEY)
                        continue;
                if (r < 0)
                        return r;
                if (!found) /* the first one counts; the others are looked at for their form */
                        memcpy(ret, candidate, AGE_FILE_KEY_SIZE);
                found = true;
        }
        return found ? 0 : -ENOKEY;
}

static int header_mac(const uint8_t file_key[static AGE_FILE_KEY_SIZE], const void *header, size_t n,
                      uint8_t ret[static SHA256_SIZE]) {
        uint8_t key[AEAD_KEY_SIZE];
        CLEANUP_ERASE(key);
        int r;

        r = hkdf_sha256(file_key, AGE_FILE_KEY_SIZE, NULL, 0, LABEL_HEADER, key);
        if (r < 0)
                return r;
        return hmac_sha256(key, sizeof(key), header, n, ret);
}

int age_header_unwrap(const void *header, size_t n, const AgeKeys *keys,
                      uint8_t ret_file_key[static AGE_FILE_KEY_SIZE]) {
        _cleanup_(header_done) Header h = {};
        uint8_t file_key[AGE_FILE_KEY_SIZE], mac[SHA256_SIZE];
        CLEANUP_ERASE(file_key);
        int r;

        assert(header || n == 0);
        assert(keys);

        r = parse_header(header, n, &h);
        if (r < 0)
                return r;
        if (keys->file_key)
                memcpy(file_key, keys->file_key, AGE_FILE_KEY_SIZE);
        else {
                r = unwrap_stanzas(&h, keys, file_key);
                if (r < 0)
                        return r;
        }
        r = header_mac(file_key, header, h.mac_start, mac);
        if (r < 0)
                return r;
        if (!equal_constant_time(mac, h.mac, sizeof(mac)))
                return -EKEYREJECTED;
        memcpy(ret_file_key, file_key, AGE_FILE_KEY_SIZE);
        return 0;
}

/* --- Making ----------------------------------------------------------------------------------------- */

static int add_base64(Buffer *out, const void *p, size_t n) {
        _cleanup_(freep) char *text = NULL;
        int r;

        r = base64_encode(BASE64_RAW, p, n, &text);
        if (r < 0)
                return r;
        return buffer_printf(out, "%s\n", text);
}

static int add_stanza(Buffer *out, const AgeRecipient *recipient,
                      const uint8_t file_key[static AGE_FILE_KEY_SIZE]) {
        uint8_t secret[AGE_KEY_SIZE], salt[2 * AGE_KEY_SIZE], key[AEAD_KEY_SIZE], body[WRAPPED_SIZE];
        _cleanup_(aead_freep) Aead *aead = NULL;
        CLEANUP_ERASE(secret);
        CLEANUP_ERASE(key);
        int r;

        assert(recipient);

        r = random_bytes(secret, sizeof(secret));
        if (r < 0)
                return r;
        r = x25519_public(secret, salt);
        if (r < 0)
                return r;
        memcpy(salt + AGE_KEY_SIZE, recipient->point, AGE_KEY_SIZE);
        r = x25519_wrap_key(secret, recipient->point, salt, key);
        if (r < 0)
                return r;
        r = aead_new(AEAD_SEAL, key, &aead);
        if (r < 0)
                return r;
        r = aead_seal(aead, wrap_nonce, file_key, AGE_FILE_KEY_SIZE, body);
        if (r < 0)
                return r;

        r = buffer_add_string(out, STANZA_START KIND_X25519 " ");
        if (r < 0)
                return r;
        r = add_base64(out, salt, AGE_KEY_SIZE);
        if (r < 0)
                return r;
        return add_base64(out, body, sizeof(body));
}

static int add_passphrase(Buffer *out, const char *passphrase,
                          const uint8_t file_key[static AGE_FILE_KEY_SIZE]) {
        uint8_t salt[STRLEN(LABEL_SCRYPT) + SCRYPT_SALT_SIZE], key[AEAD_KEY_SIZE], body[WRAPPED_SIZE];
        _cleanup_(aead_freep) Aead *aead = NULL;
        _cleanup_(freep) char *text = NULL;
        CLEANUP_ERASE(key);
        int r;

        assert(passphrase);

        memcpy(salt, LABEL_SCRYPT, STRLEN(LABEL_SCRYPT));
        r = random_bytes(salt + STRLEN(LABEL_SCRYPT), SCRYPT_SALT_SIZE);
        if (r >= 0)
                r = scrypt_key(passphrase, salt, sizeof(salt), AGE_WORK_FACTOR, key);
        if (r >= 0)
                r = aead_new(AEAD_SEAL, key, &aead);
        if (r >= 0)
                r = aead_seal(aead, wrap_nonce, file_key, AGE_FILE_KEY_SIZE, body);
        if (r >= 0)
                r = base64_encode(BASE64_RAW, salt + STRLEN(LABEL_SCRYPT), SCRYPT_SALT_SIZE, &text);
        if (r >= 0)
                r = buffer_printf(out, STANZA_START KIND_SCRYPT " %s %d\n", text, AGE_WORK_FACTOR);
        return r < 0 ? r : add_base64(out, body, sizeof(body));
}

/* The stanzas are in; what is left is the MAC over all of it. */
static int finish_header(Buffer *header, const uint8_t file_key[static AGE_FILE_KEY_SIZE], Buffer *out) {
        uint8_t mac[SHA256_SIZE];
        int r;

        assert(header);

        r = buffer_add_string(header, MAC_START);
        if (r >= 0)
                r = header_mac(file_key, header->data, header->size, mac);
        if (r >= 0)
                r = buffer_add_string(header, " ");
        if (r >= 0)
                r = add_base64(header, mac, sizeof(mac));
        return r < 0 ? r : buffer_add(out, header->data, header->size);
}

int age_header_make(const AgeRecipient *recipients, size_t n_recipients,
                    const uint8_t file_key[static AGE_FILE_KEY_SIZE], Buffer *out) {
        _cleanup_buffer_ Buffer header = BUFFER_NULL;
        int r;

        assert(recipients);
        assert(n_recipients > 0 && n_recipients <= AGE_RECIPIENTS_MAX);
        assert(out);

        r = buffer_add_string(&header, VERSION_LINE);
        for (size_t i = 0; i < n_recipients && r >= 0; i++)
                r = add_stanza(&header, recipients + i, file_key);
        return r < 0 ? r : finish_header(&header, file_key, out);
}

int age_header_make_passphrase(const char *passphrase, const uint8_t file_key[static AGE_FILE_KEY_SIZE],
                               Buffer *out) {
        _cleanup_buffer_ Buffer header = BUFFER_NULL;
        int r;

        assert(passphrase);
        assert(out);

        r = buffer_add_string(&header, VERSION_LINE);
        if (r >= 0)
                r = add_passphrase(&header, passphrase, file_key);
        return r < 0 ? r : finish_header(&header, file_key, out);
}
