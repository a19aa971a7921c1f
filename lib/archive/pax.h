#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* POSIX pax archives, as GNU tar 1.34 reads and writes them: SCHILY.xattr.*, SCHILY.acl.*, GNU sparse 1.0.
 * The writer is a function from a member to header bytes; the reader is a stream. */

#include "archive/member.h"
#include "base/buffer.h"

#define PAX_BLOCK 512U
/* The extended header of one member is refused beyond this: xattrs of one file are at most 64 KiB each on
 * the file systems there are, paths a few KiB. */
#define PAX_EXTENDED_MAX (4U << 20)
/* More extents than this are joined by the writer and refused by the reader: 1 MiB of memory, 2.5 of map. */
#define PAX_EXTENTS_MAX (64U << 10)

/* Appends all that stands before the content: extended header, header, sparse map. The content follows: the
 * file's stored bytes (member_stored_size()), then pax_padding() zeros. */
int pax_header(const Member *m, Buffer *out) _warn_unused_;

static inline size_t pax_padding(uint64_t stored) {
        return (size_t) (-stored & (PAX_BLOCK - 1));
}

/* The end of an archive: two blocks of zeros. */
#define PAX_TRAILER (2 * PAX_BLOCK)

typedef struct PaxReader PaxReader;

/* Gives up to n bytes, 0 at the end, or negative errno, which is forwarded. */
typedef ssize_t (*PaxRead)(void *userdata, void *buf, size_t n);

int pax_reader_new(PaxRead read, void *userdata, PaxReader **ret) _warn_unused_;
PaxReader *pax_reader_free(PaxReader *r);

/* Skips what is left of the member before, then reads the headers of the next one. 1: *ret is a member, for
 * the caller to end with member_done(); 0: the trailer, or the end of input between members. -EBADMSG: not
 * well-formed; reterr_reason, where not NULL, then points to a constant text. Paths come as Member has
 * them: a leading '/' or "./" and a trailing '/' are taken off; a ".." is refused. */
int pax_reader_next(PaxReader *r, Member *ret, const char **reterr_reason) _warn_unused_;
/* Content of the member: gives a count of up to n bytes of one run of data, and where in the file they
 * belong; 0 when there is no more. -EBADMSG: the input ended within. */
ssize_t pax_reader_data(PaxReader *r, void *buf, size_t n, uint64_t *ret_offset) _warn_unused_;
/* Bytes of input taken so far. */
uint64_t pax_reader_position(const PaxReader *r);

DEFINE_CLEANUP(PaxReader *, pax_reader_free);
