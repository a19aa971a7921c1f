/* SPDX-License-Identifier: Apache-2.0 */

#include "base/alloc.h"
#include "repository/lock.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken can be written, and is then taken again as the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(repo_lock_done) RepoLock l = REPO_LOCK_NULL, again = REPO_LOCK_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(freep) char *text = NULL;
        size_t n;

        if (repo_lock_parse(data, size, &l, &failure) < 0) {
                CHECK(failure_is_set(&failure));
                return 0;
        }
        CHECK_OK(repo_lock_format(&l, &text, &n));
        CHECK_OK(repo_lock_parse(text, n, &again, &failure));
        CHECK(l.pid == again.pid && l.exclusive == again.exclusive);
        return 0;
}
