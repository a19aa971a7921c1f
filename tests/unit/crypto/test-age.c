/* SPDX-License-Identifier: Apache-2.0 */

#include <time.h>

#include "base/alloc.h"
#include "base/text.h"
#include "base/times.h"
#include "crypto/age.h"
#include "crypto/random.h"
#include "tests/test.h"

#define CHUNK AGE_CHUNK_SIZE

static int to_buffer(void *userdata, const void *p, size_t n) {
        return buffer_add(userdata, p, n);
}

static ssize_t from_buffer(void *userdata, uint64_t offset, void *buf, size_t n) {
        const Buffer *b = userdata;

        if (offset >= b->size)
                return 0;
        n = MIN(n, b->size - (size_t) offset);
        memcpy(buf, b->data + offset, n);
        return (ssize_t) n;
}

/* Bytes that differ at every place. */
static uint8_t *make_plain(size_t n) {
        uint8_t *p = malloc(n + 1);

        CHECK(p);
        for (size_t i = 0; i < n; i++)
                p[i] = (uint8_t) (i * 7 + i / 251 + i / 65536);
        return p;
}

static void make_keys(AgeIdentity *identity, AgeRecipient *recipient) {
        CHECK_OK(age_identity_generate(identity));
        CHECK_OK(age_identity_recipient(identity, recipient));
}

static void encrypt(const AgeRecipient *recipient, const uint8_t *plain, size_t n, size_t step,
                    Buffer *file) {
        _cleanup_(age_writer_freep) AgeWriter *w = NULL;

        CHECK_OK(age_writer_new(recipient, 1, to_buffer, file, &w));
        for (size_t i = 0; i < n; i += step)
                CHECK_OK(age_writer_write(w, plain + i, MIN(step, n - i)));
        CHECK_OK(age_writer_finish(w));
}

static int decrypt(const AgeKeys *keys, const Buffer *file, size_t step, Buffer *plain) {
        _cleanup_(age_decrypter_freep) AgeDecrypter *d = NULL;
        int r = 0;

        CHECK_OK(age_decrypter_new(keys, to_buffer, plain, &d));
        for (size_t i = 0; i < file->size && r >= 0; i += step)
                r = age_decrypter_write(d, file->data + i, MIN(step, file->size - i));
        return r < 0 ? r : age_decrypter_finish(d);
}

static const size_t sizes[] = { 0, 1, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK,
                                2 * CHUNK + 1, 3 * CHUNK + 4711 };

static void test_round_trip(void) {
        static const size_t steps[] = { 1000, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK };
        AgeIdentity identity;
        AgeRecipient recipient;
        AgeKeys keys = { .identities = &identity, .n_identities = 1 };

        make_keys(&identity, &recipient);
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++)
                for (size_t k = 0; k < ELEMENTSOF(steps); k++) {
                        _cleanup_(freep) uint8_t *plain = make_plain(sizes[i]);
                        _cleanup_buffer_ Buffer file = BUFFER_NULL, back = BUFFER_NULL;
                        size_t header, chunks = MAX((sizes[i] + CHUNK - 1) / CHUNK, (size_t) 1);

                        encrypt(&recipient, plain, sizes[i], steps[k], &file);
                        CHECK_OK(age_header_length(file.data, file.size, &header));
                        CHECK_INT(file.size, header + AGE_NONCE_SIZE + sizes[i] + chunks * AGE_TAG_SIZE);
                        CHECK_OK(decrypt(&keys, &file, steps[ELEMENTSOF(steps) - 1 - k], &back));
                        CHECK_INT(back.size, sizes[i]);
                        if (back.size > 0)
                                CHECK_MEM(back.data, plain, back.size);
                }
}

/* Every read that begins or ends at, before or behind a border of a chunk. */
/* What a passphrase seals it opens, and no other one. */
static void test_passphrase(void) {
        static const char text[] = "written down";
        static const struct {
                const char *passphrase;
                int result;
        } cases[] = { { "correct horse", 0 }, { "correct hors", -ENOKEY }, { "", -ENOKEY } };
        _cleanup_buffer_ Buffer sealed = BUFFER_NULL;
        _cleanup_(age_writer_freep) AgeWriter *w = NULL;

        CHECK_OK(age_writer_new_passphrase("correct horse", to_buffer, &sealed, &w));
        CHECK_OK(age_writer_write(w, text, sizeof(text)));
        CHECK_OK(age_writer_finish(w));
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const AgeKeys keys = { .passphrase = cases[i].passphrase };
                _cleanup_(age_decrypter_freep) AgeDecrypter *d = NULL;
                _cleanup_buffer_ Buffer plain = BUFFER_NULL;
                int r;

                CHECK_OK(age_decrypter_new(&keys, to_buffer, &plain, &d));
                r = age_decrypter_write(d, sealed.data, sealed.size);
                if (r >= 0)
                        r = age_decrypter_finish(d);
                CHECK_INT(r, cases[i].result);
                CHECK_INT(plain.size, r == 0 ? sizeof(text) : 0);
                CHECK(r < 0 || memcmp(plain.data, text, sizeof(text)) == 0);
        }
}

static void test_seekable(void) {
        AgeIdentity identity;
        AgeRecipient recipient;
        AgeKeys keys = { .identities = &identity, .n_identities = 1 };
        uint64_t borders[3 * 5];
        size_t n_borders = 0;

        for (size_t i = 0; i < 5; i++)
                for (size_t k = 0; k < 3; k++)
                        if (i * CHUNK + k >= 1)
                                borders[n_borders++] = i * CHUNK + k - 1;
        make_keys(&identity, &recipient);
        for (size_t s = 0; s < ELEMENTSOF(sizes); s++) {
                _cleanup_(freep) uint8_t *plain = make_plain(sizes[s]), *buf = malloc(5 * CHUNK);
                _cleanup_(age_reader_freep) AgeReader *reader = NULL;
                _cleanup_buffer_ Buffer file = BUFFER_NULL;

                CHECK(buf);
                encrypt(&recipient, plain, sizes[s], CHUNK, &file);
                CHECK_OK(age_reader_new(from_buffer, &file, file.size, &keys, &reader));
                CHECK_INT(age_reader_size(reader), sizes[s]);
                for (size_t i = 0; i < n_borders; i++)
                        for (size_t k = i; k < n_borders; k++) {
                                size_t n = (size_t) (borders[k] - borders[i]), expected;

                                expected = borders[i] >= sizes[s] ? 0 :
                                                                    MIN(n, sizes[s] - (size_t) borders[i]);
                                CHECK_INT(age_reader_pread(reader, borders[i], buf, n), expected);
                                if (expected > 0)
                                        CHECK_MEM(buf, plain + borders[i], expected);
                        }
                CHECK_INT(age_reader_pread(reader, UINT64_MAX, buf, 10), 0);
                CHECK_INT(age_reader_pread(reader, sizes[s], buf, 10), 0);
        }
}

/* More chunks than are fetched at once. */
static void test_seekable_large(void) {
        size_t n = 80 * (size_t) CHUNK + 100;
        _cleanup_(freep) uint8_t *plain = make_plain(n), *buf = malloc(n);
        _cleanup_(age_reader_freep) AgeReader *reader = NULL;
        _cleanup_buffer_ Buffer file = BUFFER_NULL;
        AgeIdentity identity;
        AgeRecipient recipient;
        AgeKeys keys = { .identities = &identity, .n_identities = 1 };

        CHECK(buf);
        make_keys(&identity, &recipient);
        encrypt(&recipient, plain, n, n, &file);
        CHECK_OK(age_reader_new(from_buffer, &file, file.size, &keys, &reader));
        CHECK_INT(age_reader_pread(reader, 0, buf, n), n);
        CHECK_MEM(buf, plain, n);
        CHECK_INT(age_reader_pread(reader, 12345, buf, n), n - 12345);
        CHECK_MEM(buf, plain + 12345, n - 12345);
}

static void check_refused(const AgeKeys *keys, const Buffer *file, const uint8_t *plain, size_t plain_size) {
        _cleanup_(age_reader_freep) AgeReader *reader = NULL;
        _cleanup_buffer_ Buffer back = BUFFER_NULL;
        _cleanup_(freep) uint8_t *buf = malloc(plain_size + CHUNK);
        ssize_t n = 0;
        int r;

        CHECK(buf);
        /* What is released before the error is the beginning of the plain bytes, in whole chunks. */
        CHECK(decrypt(keys, file, 70000, &back) < 0);
        CHECK(back.size <= plain_size && back.size % CHUNK == 0);
        if (back.size > 0)
                CHECK_MEM(back.data, plain, back.size);

        r = age_reader_new(from_buffer, (void *) file, file->size, keys, &reader);
        if (r >= 0)
                n = age_reader_pread(reader, 0, buf, plain_size + CHUNK);
        CHECK(r < 0 || n < 0);
}

/* The file cut at, before and behind each border, and made longer. */
static void test_truncated(void) {
        size_t n = 3 * (size_t) CHUNK, header;
        _cleanup_(freep) uint8_t *plain = make_plain(n);
        _cleanup_buffer_ Buffer file = BUFFER_NULL;
        AgeIdentity identity;
        AgeRecipient recipient;
        AgeKeys keys = { .identities = &identity, .n_identities = 1 };

        make_keys(&identity, &recipient);
        encrypt(&recipient, plain, n, n, &file);
        CHECK_OK(age_header_length(file.data, file.size, &header));
        for (size_t i = 0; i <= 3; i++)
                for (int delta = -17; delta <= 17; delta++) {
                        size_t end = header + AGE_NONCE_SIZE + i * AGE_SEALED_CHUNK_SIZE;
                        _cleanup_buffer_ Buffer cut = BUFFER_NULL;

                        end = delta < 0 ? end - (size_t) -delta : end + (size_t) delta;
                        if (end == file.size)
                                continue;
                        CHECK_OK(buffer_add(&cut, file.data, MIN(end, file.size)));
                        while (cut.size < end)
                                CHECK_OK(buffer_add(&cut, "x", 1));
                        check_refused(&keys, &cut, plain, n);
                }
        for (size_t end = 0; end < header + AGE_NONCE_SIZE; end++) {
                _cleanup_buffer_ Buffer cut = BUFFER_NULL;

                CHECK_OK(buffer_add(&cut, file.data, end));
                check_refused(&keys, &cut, plain, n);
        }
}

static void test_tampered(void) {
        size_t n = 2 * (size_t) CHUNK + 100, header;
        _cleanup_(freep) uint8_t *plain = make_plain(n);
        _cleanup_buffer_ Buffer file = BUFFER_NULL;
        AgeIdentity identity;
        AgeRecipient recipient;
        AgeKeys keys = { .identities = &identity, .n_identities = 1 };

        make_keys(&identity, &recipient);
        encrypt(&recipient, plain, n, n, &file);
        CHECK_OK(age_header_length(file.data, file.size, &header));
        /* Every byte of the header and nonce, and some around each border. */
        for (size_t i = 0; i < file.size; i++) {
                size_t within = i < header + AGE_NONCE_SIZE ?
                                0 :
                                (i - header - AGE_NONCE_SIZE) % AGE_SEALED_CHUNK_SIZE;

                if (within > 2 && within < AGE_SEALED_CHUNK_SIZE - 18 && i + 18 < file.size)
                        continue;
                file.data[i] = (char) (file.data[i] ^ 4);
                check_refused(&keys, &file, plain, n);
                file.data[i] = (char) (file.data[i] ^ 4);
        }
}

/* Chunks in another order, one twice, one left out. */
static void test_reordered(void) {
        size_t n = 3 * (size_t) CHUNK + 1, header;
        _cleanup_(freep) uint8_t *plain = make_plain(n);
        _cleanup_buffer_ Buffer file = BUFFER_NULL;
        AgeIdentity identity;
        AgeRecipient recipient;
        AgeKeys keys = { .identities = &identity, .n_identities = 1 };
        static const int orders[][4] = {
                { 1, 0, 2, 3 }, { 0, 0, 2, 3 }, { 0, 2, -1, 3 }, { 0, 1, 3, -1 }, { 3, -1, -1, -1 }
        };

        make_keys(&identity, &recipient);
        encrypt(&recipient, plain, n, n, &file);
        CHECK_OK(age_header_length(file.data, file.size, &header));
        for (size_t i = 0; i < ELEMENTSOF(orders); i++) {
                _cleanup_buffer_ Buffer other = BUFFER_NULL;

                CHECK_OK(buffer_add(&other, file.data, header + AGE_NONCE_SIZE));
                for (size_t k = 0; k < 4; k++) {
                        int chunk = orders[i][k];
                        size_t at = header + AGE_NONCE_SIZE + (size_t) MAX(chunk, 0) * AGE_SEALED_CHUNK_SIZE;

                        if (chunk >= 0)
                                CHECK_OK(buffer_add(&other, file.data + at,
                                                    chunk == 3 ? 1 + AGE_TAG_SIZE : AGE_SEALED_CHUNK_SIZE));
                }
                check_refused(&keys, &other, plain, n);
        }
}

static void test_recipients(void) {
        AgeIdentity identities[3], stranger;
        AgeRecipient recipients[3], other;
        _cleanup_buffer_ Buffer header = BUFFER_NULL;
        uint8_t key[AGE_FILE_KEY_SIZE], back[AGE_FILE_KEY_SIZE] = {};
        size_t length;

        make_keys(&stranger, &other);
        for (size_t i = 0; i < 3; i++)
                make_keys(identities + i, recipients + i);
        CHECK_OK(random_bytes(key, sizeof(key)));
        CHECK_OK(age_header_make(recipients, 3, key, &header));
        CHECK_OK(age_header_length(header.data, header.size, &length));
        CHECK_INT(length, header.size);
        for (size_t i = 0; i < 3; i++) {
                AgeIdentity both[] = { stranger, identities[i] };

                memset(back, 0, sizeof(back));
                CHECK_OK(age_header_unwrap(header.data, header.size,
                                           &(AgeKeys){ .identities = both, .n_identities = 2 }, back));
                CHECK_MEM(back, key, sizeof(key));
        }
        memset(back, 1, sizeof(back));
        CHECK_INT(age_header_unwrap(header.data, header.size,
                                    &(AgeKeys){ .identities = &stranger, .n_identities = 1 }, back),
                  -ENOKEY);
        CHECK_INT(back[0], 1); /* untouched */
        CHECK_INT(age_header_unwrap(header.data, header.size, &(AgeKeys){}, back), -ENOKEY);
        CHECK_OK(age_header_unwrap(header.data, header.size, &(AgeKeys){ .file_key = key }, back));
        key[0] ^= 1;
        CHECK_INT(age_header_unwrap(header.data, header.size, &(AgeKeys){ .file_key = key }, back),
                  -EKEYREJECTED);
        CHECK_INT(age_header_unwrap(header.data, header.size - 1, &(AgeKeys){ .file_key = key }, back),
                  -EBADMSG);
}

static void test_header_length(void) {
        _cleanup_(freep) char *large = malloc(AGE_HEADER_MAX + 100);
        size_t n;

        CHECK(large);
        CHECK_INT(age_header_length("", 0, &n), -EAGAIN);
        CHECK_INT(age_header_length("age-", 4, &n), -EAGAIN);
        CHECK_INT(age_header_length("agf-", 4, &n), -EBADMSG);
        CHECK_INT(age_header_length("age-encryption.org/v2\n", 22, &n), -EBADMSG);
        memset(large, 'a', AGE_HEADER_MAX + 100);
        memcpy(large, "age-encryption.org/v1\n", 22);
        CHECK_INT(age_header_length(large, 1000, &n), -EAGAIN);
        CHECK_INT(age_header_length(large, AGE_HEADER_MAX + 100, &n), -EBADMSG);
}

static int fail_after(void *userdata, const void *p, size_t n) {
        int *left = userdata;

        return (*left)-- > 0 ? 0 : -ENOSPC;
}

/* An error of the sink comes back, and nothing is written behind the hole. */
static void test_sink_fails(void) {
        _cleanup_(freep) uint8_t *plain = make_plain(4 * CHUNK);
        AgeIdentity identity;
        AgeRecipient recipient;

        make_keys(&identity, &recipient);
        for (int after = 0; after < 5; after++) {
                _cleanup_(age_writer_freep) AgeWriter *w = NULL;
                int left = after, r;

                r = age_writer_new(&recipient, 1, fail_after, &left, &w);
                if (r >= 0)
                        r = age_writer_write(w, plain, 4 * CHUNK);
                CHECK_INT(r, -ENOSPC);
                if (w) {
                        CHECK_INT(age_writer_write(w, plain, 1), -ENOSPC);
                        CHECK_INT(age_writer_finish(w), -ENOSPC);
                }
                CHECK_INT(left, -1);
        }
}

static int count_bytes(void *userdata, const void *p, size_t n) {
        *(uint64_t *) userdata += n;
        return 0;
}

/* Prints the speed; far below anything the processor could do is an error. */
static void test_speed(void) {
        size_t n = 64U << 20;
        _cleanup_(freep) uint8_t *plain = make_plain(n);
        _cleanup_(age_writer_freep) AgeWriter *w = NULL;
        AgeIdentity identity;
        AgeRecipient recipient;
        uint64_t written = 0;
        usec_t start, took;

        make_keys(&identity, &recipient);
        CHECK_OK(age_writer_new(&recipient, 1, count_bytes, &written, &w));
        start = now_usec(CLOCK_PROCESS_CPUTIME_ID);
        for (size_t i = 0; i < n; i += 1U << 20)
                CHECK_OK(age_writer_write(w, plain + i, 1U << 20));
        CHECK_OK(age_writer_finish(w));
        took = MAX(now_usec(CLOCK_PROCESS_CPUTIME_ID) - start, (usec_t) 1);
        fprintf(stderr, "sealed %zu MiB, %" PRIu64 " MiB/s\n", n >> 20, (n >> 20) * USEC_PER_SEC / took);
        CHECK(written > n);
}

int main(void) {
        RUN(test_round_trip);
        RUN(test_passphrase);
        RUN(test_seekable);
        RUN(test_seekable_large);
        RUN(test_truncated);
        RUN(test_tampered);
        RUN(test_reordered);
        RUN(test_recipients);
        RUN(test_header_length);
        RUN(test_sink_fails);
        RUN(test_speed);
        return EXIT_SUCCESS;
}
