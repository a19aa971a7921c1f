#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The header block of ustar and the names of pax records, for pax-write.c and pax-read.c. */

#include "base/macros.h"

typedef struct UstarHeader {
        char name[100];
        char mode[8];
        char uid[8];
        char gid[8];
        char size[12];
        char mtime[12];
        char checksum[8];
        char type;
        char linkname[100];
        char magic[6];
        char version[2];
        char user[32];
        char group[32];
        char major[8];
        char minor[8];
        char prefix[155];
        char padding[12];
} UstarHeader;

_Static_assert(sizeof(UstarHeader) == 512, "a header is one block");

#define PAX_TYPE_EXTENDED 'x'
#define PAX_XATTR_PREFIX "SCHILY.xattr."
#define PAX_ACL_ACCESS "SCHILY.acl.access"
#define PAX_ACL_DEFAULT "SCHILY.acl.default"
#define PAX_SPARSE_PREFIX "GNU.sparse."

/* The sum of all bytes, those of the checksum counted as spaces. */
static inline unsigned ustar_checksum(const UstarHeader *h) {
        const uint8_t *p = (const uint8_t *) h;
        unsigned sum = 0;

        for (size_t i = 0; i < sizeof *h; i++) {
                bool own = i >= offsetof(UstarHeader, checksum) && i < offsetof(UstarHeader, type);

                sum += own ? ' ' : p[i];
        }
        return sum;
}
