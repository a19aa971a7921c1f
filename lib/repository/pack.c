/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "repository/pack.h"

/* The first byte of a line. */
enum {
        LINE_TREE = 1,       /* else data */
        LINE_COMPRESSED = 2, /* has the size of the plain content */
        LINE_MAX = 3,
};

#define LINE_SIZE_PLAIN (1 + 4 + sizeof(Id))
#define LINE_SIZE_COMPRESSED (1 + 4 + 4 + sizeof(Id))

static const char *const blob_type_table[] = {
        [BLOB_DATA] = "data",
        [BLOB_TREE] = "tree",
};
DEFINE_STRING_TABLE(blob_type, BlobType);

size_t pack_header_size_max(size_t n) {
        return n * LINE_SIZE_COMPRESSED;
}

int pack_header_add(Buffer *header, const PackBlob *b) {
        uint8_t line[LINE_SIZE_COMPRESSED];
        size_t n = 1;
        uint32_t v;

        assert(header);
        assert(b);
        assert(b->length >= CIPHER_OVERHEAD);

        line[0] = (uint8_t) ((b->type == BLOB_TREE ? LINE_TREE : 0) |
                             (b->uncompressed_length > 0 ? LINE_COMPRESSED : 0));
        v = htole32(b->length);
        memcpy(line + n, &v, sizeof(v));
        n += sizeof(v);
        if (b->uncompressed_length > 0) {
                v = htole32(b->uncompressed_length);
                memcpy(line + n, &v, sizeof(v));
                n += sizeof(v);
        }
        memcpy(line + n, &b->id, sizeof(Id));
        return buffer_add(header, line, n + sizeof(Id));
}

static uint32_t read_u32(const uint8_t *p) {
        uint32_t v;

        memcpy(&v, p, sizeof(v));
        return le32toh(v);
}

/* One line of at most n bytes; gives what it takes. */
static int parse_line(const uint8_t *p, size_t n, PackBlob *ret) {
        size_t size;

        assert(p);
        assert(n > 0);
        assert(ret);

        if (p[0] > LINE_MAX)
                return -EBADMSG;
        size = p[0] & LINE_COMPRESSED ? LINE_SIZE_COMPRESSED : LINE_SIZE_PLAIN;
        if (n < size)
                return -EBADMSG;
        ret->type = p[0] & LINE_TREE ? BLOB_TREE : BLOB_DATA;
        ret->length = read_u32(p + 1);
        ret->uncompressed_length = p[0] & LINE_COMPRESSED ? read_u32(p + 1 + 4) : 0;
        memcpy(&ret->id, p + size - sizeof(Id), sizeof(Id));
        if (ret->length < CIPHER_OVERHEAD || ret->length > BLOB_LENGTH_MAX ||
            ret->uncompressed_length > BLOB_LENGTH_MAX ||
            (p[0] & LINE_COMPRESSED && ret->uncompressed_length == 0))
                return -EBADMSG;
        return (int) size;
}

int pack_header_parse(const void *plain, size_t n, uint64_t blobs_end, PackBlob **ret, size_t *ret_n,
                      Failure *reterr_failure) {
        _cleanup_(freep) PackBlob *blobs = NULL;
        const uint8_t *p = plain;
        uint64_t offset = 0;
        size_t k = 0;

        assert(plain || n == 0);
        assert(ret);
        assert(ret_n);

        blobs = new0(PackBlob, n / LINE_SIZE_PLAIN + 1);
        if (!blobs)
                return -ENOMEM;
        while (n > 0) {
                int size = parse_line(p, n, blobs + k);

                if (size < 0 || offset > UINT32_MAX)
                        return failure_set(reterr_failure, -EBADMSG, "PACK_DAMAGED",
                                           "The header of the pack is damaged at its entry %zu", k + 1);
                blobs[k].offset = (uint32_t) offset;
                offset += blobs[k++].length;
                p += size;
                n -= (size_t) size;
        }
        if (offset != blobs_end)
                return failure_set(reterr_failure, -EBADMSG, "PACK_DAMAGED",
                                   "The header of the pack lists %" PRIu64
                                   " bytes of blobs, and there are %" PRIu64,
                                   offset, blobs_end);
        *ret = TAKE_PTR(blobs);
        *ret_n = k;
        return 0;
}

int pack_trailer_parse(const uint8_t trailer[static PACK_TRAILER_SIZE], uint64_t pack_size,
                       uint32_t *ret_header_size) {
        uint32_t size = read_u32(trailer);

        assert(ret_header_size);

        if (size < CIPHER_OVERHEAD || size > PACK_HEADER_SIZE_MAX || pack_size > PACK_SIZE_MAX ||
            size + PACK_TRAILER_SIZE > pack_size)
                return -EBADMSG;
        *ret_header_size = size;
        return 0;
}

void pack_trailer_format(uint32_t header_size, uint8_t ret[static PACK_TRAILER_SIZE]) {
        uint32_t v = htole32(header_size);

        memcpy(ret, &v, sizeof(v));
}
