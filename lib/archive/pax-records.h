#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The records of a pax extended header, for pax-read.c. */

#include "archive/member.h"
#include "archive/pax-format.h"

/* What they said, beside what goes straight into the member. */
typedef struct PaxRecords {
        bool has_size, has_uid, has_gid, has_mtime, has_realsize;
        uint64_t size, uid, gid, realsize;
        char *sparse_name;
        char sparse_major, sparse_minor; /* digits, or 0 */
} PaxRecords;

void pax_records_done(PaxRecords *r);
/* Takes the n bytes at data, which are changed. -EBADMSG: not well-formed. */
int pax_records_parse(char *data, size_t n, PaxRecords *records, Member *m) _warn_unused_;
