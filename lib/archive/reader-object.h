#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One object of an archive in storage, read at any place, over its volumes, decrypted where it is encrypted.
 * For the archive reader. */

#include "archive/manifest.h"
#include "crypto/age.h"
#include "storage/storage.h"

typedef struct ReaderObject ReaderObject;

/* prefix ends in '/'. -EBADMSG: it is not there, or not of its size. file_key NULL: not encrypted. */
int reader_object_open(Storage *storage, const char *prefix, const ManifestObject *object,
                       const uint8_t *file_key, ReaderObject **ret, Failure *reterr_failure) _warn_unused_;
ReaderObject *reader_object_free(ReaderObject *o);
const char *reader_object_key(const ReaderObject *o);
/* Of the plain bytes. */
uint64_t reader_object_size(const ReaderObject *o);
/* Reads exactly n plain bytes. */
int reader_object_read(ReaderObject *o, uint64_t offset, void *buf, size_t n,
                       Failure *reterr_failure) _warn_unused_;

/* Checks that an object is there with its size, without opening it. */
int reader_object_check(Storage *storage, const char *prefix, const ManifestObject *object,
                        Failure *reterr_failure) _warn_unused_;
/* Reads a whole small object as it is in storage. */
int reader_object_load(Storage *storage, const char *prefix, const char *name, size_t max, Buffer *out,
                       Failure *reterr_failure) _warn_unused_;

DEFINE_CLEANUP(ReaderObject *, reader_object_free);
