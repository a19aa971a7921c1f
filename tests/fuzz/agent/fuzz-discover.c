/* SPDX-License-Identifier: Apache-2.0 */

/* Lines of the kernel, and files that others write. */

#include <stdlib.h>

#include "agent/job/discover-sqlite.h"
#include "agent/job/discover.h"
#include "base/alloc.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = memdup0(data, size), *value = NULL, *version = NULL;
        SqliteHead head = {};
        const char *path;

        CHECK(text);
        (void) discover_tcp_line(text);
        path = discover_unix_line(text);
        CHECK(!path || *path == '/');
        CHECK_OK(discover_setting(text, "port", &value));
        CHECK(!value || !strchr(value, '\n'));
        CHECK_OK(discover_manifest_version(text, &version));
        CHECK(!version || !strpbrk(version, " \t\r\n"));
        CHECK(discover_hana_instance(text) < 100);
        if (discover_sqlite_head(data, size, &head))
                CHECK(head.minor < 1000 && head.patch < 1000);
        return 0;
}
