#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The age file format, version 1 (age-encryption.org/v1): a text header with the file key wrapped for each
 * recipient, then the payload in ChaCha20-Poly1305 chunks of 64 KiB (the STREAM construction).
 *
 * Keys here are X25519, or one passphrase (scrypt). Headers are parsed strictly: one text for one header.
 * Stanzas of unknown kinds are skipped. No armor.
 *
 * Errors of this module: -EBADMSG: not a well-formed header, or a payload that was changed, cut or
 * extended; -EKEYREJECTED: the file key was found, but the header's MAC is wrong; -ENOKEY: none of the keys
 * opens it. Nothing is ever given out that was not authenticated. */

#include <sys/types.h>

#include "base/buffer.h"
#include "base/macros.h"

#define AGE_KEY_SIZE 32
#define AGE_FILE_KEY_SIZE 16

/* Payload geometry: plain offset i * AGE_CHUNK_SIZE is at header + AGE_NONCE_SIZE + i *
 * AGE_SEALED_CHUNK_SIZE. */
#define AGE_NONCE_SIZE 16
#define AGE_TAG_SIZE 16
#define AGE_CHUNK_SIZE (64U << 10)
#define AGE_SEALED_CHUNK_SIZE (AGE_CHUNK_SIZE + AGE_TAG_SIZE)

/* A header of more than this is refused: it is read into memory before anything is known of its origin. A
 * recipient costs about 100 bytes. */
#define AGE_HEADER_MAX (64U << 10)
#define AGE_RECIPIENTS_MAX 64

/* An identity in the form "AGE-SECRET-KEY-1…", a recipient in the form "age1…", each with its NUL. */
#define AGE_IDENTITY_TEXT_SIZE (STRLEN("AGE-SECRET-KEY-1") + 52 + 6 + 1)
#define AGE_RECIPIENT_TEXT_SIZE (STRLEN("age1") + 52 + 6 + 1)

typedef struct AgeIdentity {
        uint8_t secret[AGE_KEY_SIZE];
} AgeIdentity;

typedef struct AgeRecipient {
        uint8_t point[AGE_KEY_SIZE];
} AgeRecipient;

/* What may open a file. The first of these that is set is used: file_key (the header is skipped, its MAC is
 * checked), passphrase, identities. */
typedef struct AgeKeys {
        const uint8_t *file_key; /* AGE_FILE_KEY_SIZE bytes */
        const char *passphrase;
        const AgeIdentity *identities;
        size_t n_identities;
} AgeKeys;

typedef struct AgeWriter AgeWriter;
typedef struct AgeReader AgeReader;
typedef struct AgeDecrypter AgeDecrypter;

/* Takes n bytes; 0 or negative errno, which ends the writing and is forwarded. */
typedef int (*AgeSink)(void *userdata, const void *p, size_t n);
/* Reads up to n bytes at offset; gives the count, 0 at the end, or negative errno, which is forwarded. */
typedef ssize_t (*AgeReadAt)(void *userdata, uint64_t offset, void *buf, size_t n);

/* --- Keys ------------------------------------------------------------------------------------------- */

int age_identity_generate(AgeIdentity *ret) _warn_unused_;
/* Takes the text alone, without white space or newline: -EINVAL. */
int age_identity_parse(const char *text, AgeIdentity *ret) _warn_unused_;
char *age_identity_format(const AgeIdentity *identity, char buf[static AGE_IDENTITY_TEXT_SIZE]);
int age_identity_recipient(const AgeIdentity *identity, AgeRecipient *ret) _warn_unused_;
/* Wipes. For _cleanup_(). */
void age_identity_erase(AgeIdentity *identity);

int age_recipient_parse(const char *text, AgeRecipient *ret) _warn_unused_;
char *age_recipient_format(const AgeRecipient *recipient, char buf[static AGE_RECIPIENT_TEXT_SIZE]);

/* --- Headers ---------------------------------------------------------------------------------------- */

/* Appends a header that wraps file_key for each recipient (1 to AGE_RECIPIENTS_MAX). */
int age_header_make(const AgeRecipient *recipients, size_t n_recipients,
                    const uint8_t file_key[static AGE_FILE_KEY_SIZE], Buffer *out) _warn_unused_;

/* The same for a passphrase, which stands alone, with the work factor of stock age: 256 MiB of memory. */
#define AGE_WORK_FACTOR 18
int age_header_make_passphrase(const char *passphrase, const uint8_t file_key[static AGE_FILE_KEY_SIZE],
                               Buffer *out) _warn_unused_;

/* The length of the header at the start of data. -EAGAIN: its end is not within the n bytes; -EBADMSG: it
 * does not begin like one, or is larger than AGE_HEADER_MAX. */
int age_header_length(const void *data, size_t n, size_t *ret) _warn_unused_;

/* Opens the header that the n bytes are, exactly. */
int age_header_unwrap(const void *header, size_t n, const AgeKeys *keys,
                      uint8_t ret_file_key[static AGE_FILE_KEY_SIZE]) _warn_unused_;

/* --- Writing, streamed ------------------------------------------------------------------------------ */

/* Makes a file key of its own and writes the header to sink at once. */
int age_writer_new(const AgeRecipient *recipients, size_t n_recipients, AgeSink sink, void *userdata,
                   AgeWriter **ret) _warn_unused_;
/* The same for whoever knows the passphrase. */
int age_writer_new_passphrase(const char *passphrase, AgeSink sink, void *userdata,
                              AgeWriter **ret) _warn_unused_;
AgeWriter *age_writer_free(AgeWriter *w);
int age_writer_write(AgeWriter *w, const void *p, size_t n) _warn_unused_;
/* Writes the last chunk. Without it the file is cut short, and no reader takes it. */
int age_writer_finish(AgeWriter *w) _warn_unused_;
/* The header as written, for whoever keeps it apart from the file. Valid as long as w. */
void age_writer_header(const AgeWriter *w, const void **ret, size_t *ret_size);

DEFINE_CLEANUP(AgeWriter *, age_writer_free);

/* --- Reading at any place --------------------------------------------------------------------------- */

/* Opens a file of size bytes. The last chunk is read and checked here: a file that was cut or extended at
 * any place is refused before anything of it is used. */
int age_reader_new(AgeReadAt read_at, void *userdata, uint64_t size, const AgeKeys *keys,
                   AgeReader **ret) _warn_unused_;
AgeReader *age_reader_free(AgeReader *r);
/* The size of the plain bytes. */
uint64_t age_reader_size(const AgeReader *r);
/* Reads n plain bytes at offset, fewer only at the end; gives the count or negative errno. */
ssize_t age_reader_pread(AgeReader *r, uint64_t offset, void *buf, size_t n) _warn_unused_;

DEFINE_CLEANUP(AgeReader *, age_reader_free);

/* --- Reading, streamed ------------------------------------------------------------------------------ */

/* The keys must stay valid until the header has passed. Plain bytes go to sink as soon as their chunk is
 * authenticated; that the file ends where it should is known when age_decrypter_finish() gives 0. */
int age_decrypter_new(const AgeKeys *keys, AgeSink sink, void *userdata, AgeDecrypter **ret) _warn_unused_;
AgeDecrypter *age_decrypter_free(AgeDecrypter *d);
int age_decrypter_write(AgeDecrypter *d, const void *p, size_t n) _warn_unused_;
int age_decrypter_finish(AgeDecrypter *d) _warn_unused_;

DEFINE_CLEANUP(AgeDecrypter *, age_decrypter_free);
