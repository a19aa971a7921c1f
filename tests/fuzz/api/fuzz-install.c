/* SPDX-License-Identifier: Apache-2.0 */

/* Names of package files as clients ask for them, and texts on their way into a script. */

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "services/api/agent-package.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a shell reads inside single quotes: everything up to the next one. */
static void check_quote(const char *text) {
        _cleanup_buffer_ Buffer quoted = BUFFER_NULL, read = BUFFER_NULL;
        bool inside = false;

        CHECK_OK(install_quote(&quoted, text));
        for (const char *p = quoted.data; *p; p++)
                if (*p == '\'')
                        inside = !inside;
                else if (!inside) {
                        CHECK(p[0] == '\\' && p[1] == '\'');
                        CHECK_OK(buffer_add(&read, ++p, 1));
                } else
                        CHECK_OK(buffer_add(&read, p, 1));
        CHECK(!inside);
        CHECK_STR(strempty(read.data), text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = memdup0(data, size);

        CHECK(text);
        if (agent_package_name_is_valid(text)) {
                CHECK(!strchr(text, '/') && text[0] != '.');
                CHECK(strlen(text) < 255);
        }
        if (agent_package_version_is_valid(text))
                CHECK(!strpbrk(text, "/'\" \n$`\\"));
        check_quote(text);
        return 0;
}
