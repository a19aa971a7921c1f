/* SPDX-License-Identifier: Apache-2.0 */

/* The header of a pack after it was opened, and the trailer that says how long it is. What is taken gives
 * the same bytes again. */

#include "base/alloc.h"
#include "repository/pack.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) PackBlob *blobs = NULL;
        _cleanup_buffer_ Buffer again = BUFFER_NULL;
        uint64_t end = 0;
        uint32_t header;
        size_t n;

        if (size < sizeof(uint32_t))
                return 0;
        if (pack_trailer_parse(data, UINT32_MAX, &header) >= 0)
                CHECK(header <= PACK_HEADER_SIZE_MAX);
        memcpy(&header, data, sizeof(header));
        end = header;
        data += sizeof(header);
        size -= sizeof(header);
        if (pack_header_parse(data, size, end, &blobs, &n, NULL) < 0)
                return 0;
        for (size_t i = 0; i < n; i++) {
                CHECK(blobs[i].offset + (uint64_t) blobs[i].length <= end);
                CHECK_OK(pack_header_add(&again, blobs + i));
        }
        CHECK_INT(again.size, size);
        if (size > 0)
                CHECK_MEM(again.data, data, size);
        return 0;
}
