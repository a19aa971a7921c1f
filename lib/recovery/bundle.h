#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Inside of lib/recovery: a few files as one .tar.zst, or .tar.zst.age, as a stream in each direction. */

#include "archive/pax.h"
#include "base/times.h"
#include "recovery/outfile.h"

typedef struct BundleWriter BundleWriter;

int bundle_writer_new(OutFile *to, const Sealing *sealing, BundleWriter **ret) _warn_unused_;
BundleWriter *bundle_writer_free(BundleWriter *w);
/* The header of a file (0600, root); its bytes follow, exactly size of them, then the next one. */
int bundle_writer_begin(BundleWriter *w, const char *name, uint64_t size, usec_t mtime) _warn_unused_;
int bundle_writer_add(BundleWriter *w, const void *p, size_t n) _warn_unused_;
int bundle_writer_finish(BundleWriter *w) _warn_unused_;

DEFINE_CLEANUP(BundleWriter *, bundle_writer_free);

typedef struct BundleReader BundleReader;

/* Reads from fd, which stays the caller's. -ENOKEY: it is sealed, and keys has nothing (or not what opens
 * it); -EBADMSG: not of this form. The keys live as long as the reader. */
int bundle_reader_new(int fd, const AgeKeys *keys, BundleReader **ret) _warn_unused_;
BundleReader *bundle_reader_free(BundleReader *r);
/* PaxRead; userdata is the reader. -EBADMSG: cut or changed. -EFBIG: needs too much memory. */
ssize_t bundle_reader_read(void *userdata, void *buf, size_t n) _warn_unused_;

DEFINE_CLEANUP(BundleReader *, bundle_reader_free);
