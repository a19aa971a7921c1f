/* SPDX-License-Identifier: Apache-2.0 */

#include "archive/manifest.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken can be written, and is then taken again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(manifest_done) Manifest m = MANIFEST_NULL, again = MANIFEST_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_buffer_ Buffer text = BUFFER_NULL;

        if (manifest_parse(data, size, &m, &failure) < 0) {
                CHECK(failure_is_set(&failure));
                return 0;
        }
        CHECK_OK(manifest_format(&m, &text));
        if (manifest_parse(text.data, text.size, &again, &failure) < 0)
                TEST_FAIL("%s", failure_message(&failure, -EBADMSG));
        CHECK_INT(again.n_frames, m.n_frames);
        return 0;
}
