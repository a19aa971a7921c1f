/* SPDX-License-Identifier: Apache-2.0 */

/* The test vectors of C2SP for the age format. Each file has a header that says what must come of it. */

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/text.h"
#include "crypto/age-chunk.h"
#include "crypto/age.h"
#include "crypto/digest.h"
#include "tests/test.h"

#define VECTOR_MAX (4U << 20)
#define PLAIN_MAX (32U << 20)
#define IDENTITIES_MAX 4

typedef struct Vector {
        const char *name;
        char *data; /* the file; texts below point into it */
        size_t size;
        const char *expect, *payload, *passphrase;
        bool compressed, armored;
        AgeIdentity identities[IDENTITIES_MAX];
        size_t n_identities;
        uint8_t file_key[AGE_FILE_KEY_SIZE];
        bool has_file_key;
        const uint8_t *age;
        size_t age_size;
        uint8_t *inflated;
} Vector;

static void vector_done(Vector *v) {
        free(v->data);
        free(v->inflated);
}

static void read_field(Vector *v, char *line) {
        char *value = strstr(line, ": ");

        CHECK(value);
        *value = 0;
        value += 2;
        if (streq(line, "expect"))
                v->expect = value;
        else if (streq(line, "payload"))
                v->payload = value;
        else if (streq(line, "passphrase"))
                v->passphrase = value;
        else if (streq(line, "compressed")) {
                CHECK_STR(value, "zlib");
                v->compressed = true;
        } else if (streq(line, "armored"))
                v->armored = true;
        else if (streq(line, "file key")) {
                /* Some vectors have one of another length, in a header that must be refused. */
                v->has_file_key = strlen(value) == 2 * sizeof(v->file_key);
                if (v->has_file_key)
                        CHECK_OK(hex_decode(value, v->file_key, sizeof(v->file_key)));
        } else if (streq(line, "identity")) {
                CHECK(v->n_identities < IDENTITIES_MAX);
                CHECK_OK(age_identity_parse(value, v->identities + v->n_identities++));
        } else
                CHECK_STR(line, "comment");
}

static void vector_inflate(Vector *v) {
        z_stream z = {};

        v->inflated = malloc(PLAIN_MAX);
        CHECK(v->inflated);
        CHECK_INT(inflateInit(&z), Z_OK);
        z.next_in = (Bytef *) v->age;
        z.avail_in = (uInt) v->age_size;
        z.next_out = v->inflated;
        z.avail_out = PLAIN_MAX;
        CHECK_INT(inflate(&z, Z_FINISH), Z_STREAM_END);
        v->age = v->inflated;
        v->age_size = z.total_out;
        (void) inflateEnd(&z);
}

static void vector_load(int dirfd, const char *name, Vector *v) {
        char *line;

        v->name = name;
        CHECK_OK(read_file(dirfd, name, VECTOR_MAX, &v->data, &v->size));
        line = v->data;
        for (;;) {
                char *end = memchr(line, '\n', v->size - (size_t) (line - v->data));

                CHECK(end);
                *end = 0;
                if (end == line) {
                        v->age = (uint8_t *) end + 1;
                        v->age_size = v->size - (size_t) (end + 1 - v->data);
                        break;
                }
                read_field(v, line);
                line = end + 1;
        }
        CHECK(v->expect);
        if (v->compressed)
                vector_inflate(v);
}

static ssize_t read_vector(void *userdata, uint64_t offset, void *buf, size_t n) {
        const Vector *v = userdata;

        if (offset >= v->age_size)
                return 0;
        n = MIN(n, v->age_size - (size_t) offset);
        memcpy(buf, v->age + offset, n);
        return (ssize_t) n;
}

/* What a vector's word means in errors: of opening, and of reading the payload. */
static bool is_expected(const char *expect, int opening, int reading) {
        if (streq(expect, "success"))
                return opening == 0 && reading == 0;
        if (streq(expect, "header failure"))
                return opening == -EBADMSG;
        if (streq(expect, "HMAC failure"))
                return opening == -EKEYREJECTED;
        if (streq(expect, "no match"))
                return opening == -ENOKEY;
        if (streq(expect, "payload failure"))
                return opening == 0 && reading == -EBADMSG;
        TEST_FAIL("unknown expectation: %s", expect);
}

typedef struct Plain {
        Sha256 *hash;
        uint64_t size;
} Plain;

static void plain_done(Plain *p) {
        p->hash = sha256_free(p->hash);
}

static int add_plain(void *userdata, const void *p, size_t n) {
        Plain *plain = userdata;

        plain->size += n;
        return sha256_add(plain->hash, p, n);
}

static void check_payload(const Vector *v, Plain *got) {
        char hex[SHA256_HEX_SIZE];
        uint8_t digest[SHA256_SIZE];

        CHECK_OK(sha256_peek(got->hash, digest));
        if (!streq(hex_encode(digest, sizeof(digest), hex), v->payload))
                TEST_FAIL("%s: other plain bytes than expected", v->name);
}

/* Feeds the streaming decrypter in steps; what it releases before a failure must be right too. */
static void check_stream(const Vector *v, const AgeKeys *keys, size_t step) {
        _cleanup_(age_decrypter_freep) AgeDecrypter *d = NULL;
        _cleanup_(plain_done) Plain plain = {};
        size_t length;
        int opening, reading = 0;

        opening = age_header_length(v->age, v->age_size, &length);
        if (opening == -EAGAIN || (opening == 0 && length + AGE_NONCE_SIZE > v->age_size))
                opening = -EBADMSG; /* nothing follows in these files */
        if (opening == 0) {
                uint8_t file_key[AGE_FILE_KEY_SIZE];

                opening = age_header_unwrap(v->age, length, keys, file_key);
                if (opening == 0 && v->has_file_key)
                        CHECK_MEM(file_key, v->file_key, sizeof(file_key));
        }
        CHECK_OK(sha256_new(&plain.hash));
        CHECK_OK(age_decrypter_new(keys, add_plain, &plain, &d));
        for (size_t i = 0; i < v->age_size && reading == 0; i += step)
                reading = age_decrypter_write(d, v->age + i, MIN(step, v->age_size - i));
        if (reading == 0)
                reading = age_decrypter_finish(d);
        else
                CHECK_INT(age_decrypter_finish(d), reading);

        if (!is_expected(v->expect, opening, reading))
                TEST_FAIL("%s: expected %s, opening gave %d, reading %d", v->name, v->expect, opening,
                          reading);
        if (opening < 0)
                CHECK_INT(reading, opening);
        else
                check_payload(v, &plain);
}

/* The seekable reader sees the end first: whatever is wrong with it is an error of opening. */
static void check_reader(const Vector *v, const AgeKeys *keys) {
        _cleanup_(age_reader_freep) AgeReader *reader = NULL;
        _cleanup_(plain_done) Plain plain = {};
        _cleanup_(freep) char *buf = malloc(100000);
        uint64_t done = 0;
        ssize_t n = 0;
        int r;

        CHECK(buf);
        CHECK_OK(sha256_new(&plain.hash));
        r = age_reader_new(read_vector, (void *) v, v->age_size, keys, &reader);
        if (r == 0) {
                while ((n = age_reader_pread(reader, done, buf, 100000)) > 0) {
                        CHECK_OK(add_plain(&plain, buf, (size_t) n));
                        done += (uint64_t) n;
                }
        }
        if (streq(v->expect, "payload failure")) {
                CHECK(r == -EBADMSG || n == -EBADMSG);
                return;
        }
        if (!is_expected(v->expect, r, (int) n))
                TEST_FAIL("%s: expected %s, the reader gave %d and %zd", v->name, v->expect, r, n);
        if (r == 0) {
                CHECK_INT(done, age_reader_size(reader));
                check_payload(v, &plain);
        }
}

static void check_vector(int dirfd, const char *name) {
        _cleanup_(vector_done) Vector v = {};
        AgeKeys keys, bare;

        vector_load(dirfd, name, &v);
        keys = (AgeKeys){ .passphrase = v.passphrase,
                          .identities = v.identities,
                          .n_identities = v.n_identities };
        check_stream(&v, &keys, v.age_size + 1);
        check_stream(&v, &keys, AGE_SEALED_CHUNK_SIZE - 7);
        if (v.age_size < 2000 && !v.passphrase)
                check_stream(&v, &keys, 1);
        check_reader(&v, &keys);

        if (v.has_file_key && (streq(v.expect, "success") || streq(v.expect, "payload failure"))) {
                bare = (AgeKeys){ .file_key = v.file_key };
                check_stream(&v, &bare, 4096);
                check_reader(&v, &bare);
        }
}

static void test_vectors(int dirfd) {
        struct dirent *entry;
        size_t n = 0;
        DIR *folder;

        folder = fdopendir(dup(dirfd));
        CHECK(folder);
        while ((entry = readdir(folder))) {
                /* No armor, no post-quantum recipients: not part of what is read here. */
                if (entry->d_name[0] == '.' || startswith(entry->d_name, "armor_") ||
                    startswith(entry->d_name, "hybrid"))
                        continue;
                check_vector(dirfd, entry->d_name);
                n++;
        }
        closedir(folder);
        fprintf(stderr, "%zu vectors\n", n);
        CHECK(n >= 80);
}

int main(void) {
        _cleanup_(freep) char *path = NULL;
        const char *data = getenv("BACKUPX_TEST_DATA");
        int dirfd;

        CHECK_OK(asprintf_safe(&path, "%s/age-vectors", isempty(data) ? TEST_DATA_DEFAULT : data));
        dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dirfd < 0) {
                printf("no test vectors of age in %s (set BACKUPX_TEST_DATA)\n", path);
                return TEST_SKIP;
        }
        fprintf(stderr, "# test_vectors\n");
        test_vectors(dirfd);
        (void) close(dirfd);
        return EXIT_SUCCESS;
}
