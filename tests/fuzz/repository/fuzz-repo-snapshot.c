/* SPDX-License-Identifier: Apache-2.0 */

#include "base/alloc.h"
#include "base/text.h"
#include "repository/snapshot.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken can be written, and is then taken again as the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(snapshot_done) Snapshot s = SNAPSHOT_NULL, again = SNAPSHOT_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(freep) char *text = NULL;
        size_t n;

        if (snapshot_parse(data, size, &s, &failure) < 0) {
                CHECK(failure_is_set(&failure));
                return 0;
        }
        CHECK_OK(snapshot_format(&s, &text, &n));
        CHECK_OK(snapshot_parse(text, n, &again, &failure));
        CHECK(id_equal(&s.tree, &again.tree) && s.has_parent == again.has_parent);
        CHECK_INT(strv_length(s.paths), strv_length(again.paths));
        CHECK_INT(strv_length(s.tags), strv_length(again.tags));
        CHECK_INT(s.summary.data_added, again.summary.data_added);
        return 0;
}
