/* SPDX-License-Identifier: Apache-2.0 */

/* Keys, prefixes, ranges and staged names: what a job may name. */

#include "base/alloc.h"
#include "base/text.h"
#include "services/api/relay-path.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = memdup0(data, size);
        uint64_t offset = 0, length = 0;
        RelayStaged staged;

        CHECK(text);
        if (relay_key_is_valid(text)) {
                CHECK(!strstr(text, "//") && !startswith(text, "/") && !startswith(text, "../"));
                CHECK(!strstr(text, "/../") && !endswith(text, "/..") && !streq(text, ".."));
        }
        (void) relay_prefix_is_valid(text);
        if (relay_parse_range(text, 1000, &offset, &length) >= 0)
                CHECK(length > 0 && offset + length <= 1000);
        if (relay_staged_parse(text, &staged) >= 0)
                CHECK(relay_upload_id_is_valid(staged.upload));
        return 0;
}
