/* SPDX-License-Identifier: Apache-2.0 */

/* What a tool may print. */

#include "agent/common/tools.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char version[TOOL_VERSION_MAX] = "";

        if (tool_version_parse((const char *) data, size, version) < 0)
                return 0;
        CHECK(version[0] >= '0' && version[0] <= '9');
        CHECK(memmem(data, size, version, strlen(version)));
        return 0;
}
