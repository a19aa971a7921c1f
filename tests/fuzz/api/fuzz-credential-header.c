/* SPDX-License-Identifier: Apache-2.0 */

/* Cookie and Authorization headers. */

#include "base/alloc.h"
#include "services/api/credential-header.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = memdup0(data, size), *value = NULL;
        const char *token;
        int r;

        r = cookie_value(text, "backupx_session", &value);
        CHECK((r == 1) == (value != NULL));
        CHECK(!value || !strchr(value, ';'));
        token = bearer_token(text);
        CHECK(!token || (token > text && *token && !strchr(token, ' ')));
        return 0;
}
