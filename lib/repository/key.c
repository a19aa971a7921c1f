/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/encode.h"
#include "base/text.h"
#include "crypto/random.h"
#include "repository/json-pull.h"
#include "repository/key.h"
#include "wire/json.h"

#define TEXT_MAX 1024
#define BINARY_MAX 4096 /* salt and data, as base64; ours have 88 and 284 */
#define MASTER_JSON_MAX 512

void repo_key_file_done(RepoKeyFile *k) {
        assert(k);

        free(k->hostname);
        free(k->username);
        free(k->salt);
        free(k->data);
        *k = REPO_KEY_FILE_NULL;
}

int repo_key_generate(CipherKey *ret) {
        assert(ret);

        return random_bytes(ret, sizeof(*ret));
}

int repo_key_derive(const char *password, CipherKey *ret) {
        uint8_t mac[AEAD_KEY_SIZE], encrypt[AEAD_KEY_SIZE];
        CLEANUP_ERASE(mac);
        CLEANUP_ERASE(encrypt);
        size_t n;
        int r;

        assert(password);
        assert(ret);

        n = strlen(password);
        r = hkdf_sha256(password, n, NULL, 0, "backupx repository: encryption", encrypt);
        if (r >= 0)
                r = hkdf_sha256(password, n, NULL, 0, "backupx repository: authentication", mac);
        if (r < 0)
                return r;
        memcpy(ret->encrypt, encrypt, sizeof(ret->encrypt));
        memcpy(ret->mac_k, mac, sizeof(ret->mac_k));
        memcpy(ret->mac_r, mac + sizeof(ret->mac_k), sizeof(ret->mac_r));
        return 0;
}

static void read_binary(JsonReader *r, const char *key, void **ret, size_t *ret_n) {
        const char *text = NULL;

        assert(ret);

        if (json_reader_string(r, key, JSON_REQUIRED, BINARY_MAX, &text) > 0 &&
            base64_decode(BASE64_STANDARD, text, strlen(text), ret, ret_n) < 0)
                (void) json_reader_fail(r, key, "has to be base64");
}

static void read_cost(JsonReader *r, ScryptCost *ret) {
        ScryptCost c = {};

        assert(ret);

        (void) json_reader_u32(r, "N", JSON_REQUIRED, UINT32_MAX, &c.n);
        (void) json_reader_u32(r, "r", JSON_REQUIRED, UINT32_MAX, &c.r);
        (void) json_reader_u32(r, "p", JSON_REQUIRED, UINT32_MAX, &c.p);
        if (r->error < 0)
                return;
        if (c.n < 2 || (c.n & (c.n - 1)) != 0 || c.r == 0 || c.p == 0)
                (void) json_reader_fail(r, "N", "is no cost that scrypt knows");
        else if (c.r > REPO_KEY_MEMORY_MAX / 128 / c.n || c.p > REPO_KEY_WORK_MAX / ((uint64_t) c.n * c.r))
                (void) json_reader_fail(r, "N", "asks for more memory or time than a key is worth");
        *ret = c;
}

int repo_key_file_parse(const void *data, size_t n, RepoKeyFile *ret, Failure *reterr_failure) {
        _cleanup_(repo_key_file_done) RepoKeyFile k = REPO_KEY_FILE_NULL;
        _cleanup_failure_ Failure why = FAILURE_NULL;
        const char *kdf = NULL, *created = NULL;
        _cleanup_json_ json_t *json = NULL;
        JsonReader r;
        int error;

        assert(ret);

        error = n > REPO_KEY_FILE_MAX ? -EBADMSG : json_parse_strict(data, n, 4, &json, &why);
        if (error >= 0) {
                (void) json_reader_init(&r, json, &why);
                (void) json_reader_strdup(&r, "hostname", JSON_OPTIONAL, TEXT_MAX, &k.hostname);
                (void) json_reader_strdup(&r, "username", JSON_OPTIONAL, TEXT_MAX, &k.username);
                if (json_reader_string(&r, "created", JSON_OPTIONAL, TEXT_MAX, &created) > 0 &&
                    moment_parse(created, strlen(created), &k.created) < 0)
                        (void) json_reader_fail(&r, "created", "has to be a time");
                if (json_reader_string(&r, "kdf", JSON_REQUIRED, TEXT_MAX, &kdf) > 0 &&
                    !streq(kdf, "scrypt"))
                        (void) json_reader_fail(&r, "kdf", "has to be scrypt");
                read_cost(&r, &k.cost);
                read_binary(&r, "salt", &k.salt, &k.salt_size);
                read_binary(&r, "data", &k.data, &k.data_size);
                error = json_reader_finish_lenient(&r);
        }
        if (error == -EBADMSG)
                return failure_set(reterr_failure, error, "REPOSITORY_KEY_INVALID",
                                   "The key file cannot be used: %s", failure_message(&why, error));
        if (error < 0)
                return error;
        *ret = k;
        k = REPO_KEY_FILE_NULL;
        return 0;
}

static json_t *from_binary(const void *p, size_t n) {
        _cleanup_(freep) char *text = NULL;

        return base64_encode(BASE64_STANDARD, p, n, &text) < 0 ? NULL : json_string(text);
}

int repo_key_file_format(const RepoKeyFile *k, char **ret, size_t *ret_size) {
        _cleanup_json_ json_t *json = json_object();
        char created[MOMENT_TEXT_MAX];

        assert(k);
        assert(ret);

        if (json_set(json, "created", json_string(moment_format(&k->created, created))) < 0 ||
            json_set(json, "username", json_string(strempty(k->username))) < 0 ||
            json_set(json, "hostname", json_string(strempty(k->hostname))) < 0 ||
            json_set(json, "kdf", json_string("scrypt")) < 0 ||
            json_set(json, "N", json_from_u64(k->cost.n)) < 0 ||
            json_set(json, "r", json_from_u64(k->cost.r)) < 0 ||
            json_set(json, "p", json_from_u64(k->cost.p)) < 0 ||
            json_set(json, "salt", from_binary(k->salt, k->salt_size)) < 0 ||
            json_set(json, "data", from_binary(k->data, k->data_size)) < 0)
                return -ENOMEM;
        return json_format(json, ret, ret_size);
}

/* Exactly n bytes as base64, which is a part of the key: it leaves no copy behind. */
static int pull_secret(JsonPull *p, uint8_t *ret, size_t n) {
        const char *text;
        size_t length, size = 0;
        void *bytes = NULL;
        int r;

        assert(ret);

        r = json_pull_string(p, &text, &length);
        if (r < 0)
                return r;
        r = base64_decode(BASE64_STANDARD, text, length, &bytes, &size);
        if (r < 0)
                return r == -EINVAL ? -EBADMSG : r;
        if (size == n)
                memcpy(ret, bytes, n);
        explicit_bzero(bytes, size);
        free(bytes);
        return size == n ? 0 : -EBADMSG;
}

/* Bits of what was found. */
enum {
        FOUND_ENCRYPT = 1,
        FOUND_K = 2,
        FOUND_R = 4,
};

static int pull_mac(JsonPull *p, CipherKey *key, unsigned *found) {
        const char *name;
        int r;

        r = json_pull_enter_object(p);
        while (r >= 0) {
                r = json_pull_member(p, &name);
                if (r <= 0)
                        break;
                if (streq(name, "k")) {
                        *found |= FOUND_K;
                        r = pull_secret(p, key->mac_k, sizeof(key->mac_k));
                } else if (streq(name, "r")) {
                        *found |= FOUND_R;
                        r = pull_secret(p, key->mac_r, sizeof(key->mac_r));
                } else
                        r = json_pull_skip(p);
        }
        return r;
}

static int pull_master(JsonPull *p, CipherKey *key) {
        unsigned found = 0;
        const char *name;
        int r;

        r = json_pull_enter_object(p);
        while (r >= 0) {
                r = json_pull_member(p, &name);
                if (r <= 0)
                        break;
                if (streq(name, "mac"))
                        r = pull_mac(p, key, &found);
                else if (streq(name, "encrypt")) {
                        found |= FOUND_ENCRYPT;
                        r = pull_secret(p, key->encrypt, sizeof(key->encrypt));
                } else
                        r = json_pull_skip(p);
        }
        if (r >= 0)
                r = json_pull_end(p);
        if (r >= 0 && found != (FOUND_ENCRYPT | FOUND_K | FOUND_R))
                r = -EBADMSG;
        return r;
}

int repo_key_master_parse(const void *data, size_t n, CipherKey *ret) {
        _cleanup_(json_pull_freep) JsonPull *p = NULL;
        JsonPullMemory source = { data, n };
        CipherKey key = {};
        CLEANUP_ERASE(key);
        int r;

        assert(ret);

        r = json_pull_new(json_pull_memory, &source, &p);
        if (r < 0)
                return r;
        r = pull_master(p, &key);
        if (r < 0)
                return r;
        *ret = key;
        return 0;
}

/* The cipher of the key that the password makes. */
static int password_cipher(const RepoKeyFile *k, const char *password, Cipher **ret) {
        CipherKey key = {};
        CLEANUP_ERASE(key);
        int r;

        assert(k);
        assert(password);

        r = scrypt_derive(password, strlen(password), k->salt, k->salt_size, &k->cost, &key, sizeof(key));
        if (r < 0)
                return r;
        return cipher_new(&key, ret);
}

int repo_key_open(const RepoKeyFile *k, const char *password, CipherKey *ret) {
        _cleanup_(cipher_freep) Cipher *cipher = NULL;
        uint8_t plain[MASTER_JSON_MAX];
        CLEANUP_ERASE(plain);
        int r;

        assert(k);
        assert(password);
        assert(ret);

        if (k->data_size < CIPHER_OVERHEAD || k->data_size - CIPHER_OVERHEAD > sizeof(plain))
                return -EBADMSG;
        r = password_cipher(k, password, &cipher);
        if (r < 0)
                return r;
        r = cipher_open(cipher, k->data, k->data_size, plain);
        if (r == -EBADMSG)
                return -EKEYREJECTED;
        if (r < 0)
                return r;
        return repo_key_master_parse(plain, k->data_size - CIPHER_OVERHEAD, ret);
}

/* {"mac":{"k":"…","r":"…"},"encrypt":"…"}; the caller wipes it. */
static int format_master(const CipherKey *key, char buf[static MASTER_JSON_MAX]) {
        char *k = NULL, *r = NULL, *encrypt = NULL;
        int n = -ENOMEM;

        assert(key);

        if (base64_encode(BASE64_STANDARD, key->mac_k, sizeof(key->mac_k), &k) >= 0 &&
            base64_encode(BASE64_STANDARD, key->mac_r, sizeof(key->mac_r), &r) >= 0 &&
            base64_encode(BASE64_STANDARD, key->encrypt, sizeof(key->encrypt), &encrypt) >= 0)
                n = snprintf(buf, MASTER_JSON_MAX,
                             "{\"mac\":{\"k\":\"%s\",\"r\":\"%s\"},\"encrypt\":\"%s\"}", k, r, encrypt);
        erase_and_free(k);
        erase_and_free(r);
        erase_and_free(encrypt);
        return n;
}

int repo_key_seal(const CipherKey *master, const char *password, const ScryptCost *cost, RepoKeyFile *ret) {
        _cleanup_(repo_key_file_done) RepoKeyFile k = REPO_KEY_FILE_NULL;
        _cleanup_(cipher_freep) Cipher *cipher = NULL;
        char plain[MASTER_JSON_MAX];
        CLEANUP_ERASE(plain);
        int n, r;

        assert(master);
        assert(password);
        assert(cost);
        assert(ret);

        k.cost = *cost;
        k.salt_size = REPO_KEY_SALT_SIZE;
        k.salt = malloc(k.salt_size);
        if (!k.salt)
                return -ENOMEM;
        r = random_bytes(k.salt, k.salt_size);
        if (r < 0)
                return r;
        r = password_cipher(&k, password, &cipher);
        if (r < 0)
                return r;
        n = format_master(master, plain);
        if (n < 0)
                return n;
        k.data_size = (size_t) n + CIPHER_OVERHEAD;
        k.data = malloc(k.data_size);
        if (!k.data)
                return -ENOMEM;
        r = cipher_seal(cipher, plain, (size_t) n, k.data);
        if (r < 0)
                return r;
        *ret = k;
        k = REPO_KEY_FILE_NULL;
        return 0;
}
