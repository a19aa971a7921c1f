/* SPDX-License-Identifier: Apache-2.0 */

/* What rclone says, with names in it: the first byte is its exit code, then come paths, a NUL, the address
 * of the server, a NUL, and the words. */

#include "base/alloc.h"
#include "base/text.h"
#include "storage/rclone.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = memdup0(data, size), *host = NULL;
        char *environment[] = { NULL, NULL };
        const char *paths, *address, *words, *end = text + size;

        CHECK(text);
        if (size == 0)
                return 0;
        paths = text + 1;
        address = MIN(paths + strlen(paths) + 1, end);
        words = MIN(address + strlen(address) + 1, end);
        CHECK_OK(asprintf_safe(&host, RCLONE_OPTION_PREFIX "HOST=%s", address));
        environment[0] = host;
        CHECK(rclone_error_kind(data[0], words, paths, environment) < 0);
        return 0;
}
