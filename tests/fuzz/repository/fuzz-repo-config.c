/* SPDX-License-Identifier: Apache-2.0 */

#include "base/alloc.h"
#include "repository/config.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken can be written, and is then taken again as the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(freep) char *text = NULL;
        RepoConfig c, again;
        size_t n;

        if (repo_config_parse(data, size, &c, &failure) < 0) {
                CHECK(failure_is_set(&failure));
                return 0;
        }
        CHECK_OK(repo_config_format(&c, &text, &n));
        CHECK_OK(repo_config_parse(text, n, &again, &failure));
        CHECK(c.version == again.version && id_equal(&c.id, &again.id));
        CHECK(c.chunker_polynomial == again.chunker_polynomial && c.chunker == again.chunker);
        return 0;
}
