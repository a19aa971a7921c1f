/* SPDX-License-Identifier: Apache-2.0 */

/* Pages of an S3 listing, and its errors. */

#include "storage/s3.h"
#include "tests/fuzz/storage/listing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        listing_check(&s3_objects, data, size, "", s3_judge);
        return 0;
}
