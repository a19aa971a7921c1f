/* SPDX-License-Identifier: Apache-2.0 */

/* Pages of a listing of Azure, and its errors. */

#include "storage/azure.h"
#include "tests/fuzz/storage/listing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        listing_check(&azure_objects, data, size, "x-ms-error-code: AuthenticationFailed\r\n", azure_judge);
        return 0;
}
