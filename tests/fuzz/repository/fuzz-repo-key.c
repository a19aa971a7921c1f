/* SPDX-License-Identifier: Apache-2.0 */

/* A key file, which anybody who can write to the storage may have made, and what is sealed in it. */

#include "base/alloc.h"
#include "repository/key.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(repo_key_file_done) RepoKeyFile k = REPO_KEY_FILE_NULL, again = REPO_KEY_FILE_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(freep) char *text = NULL;
        CipherKey master;
        size_t n;

        (void) !repo_key_master_parse(data, size, &master);
        if (repo_key_file_parse(data, size, &k, &failure) < 0) {
                CHECK(failure_is_set(&failure));
                return 0;
        }
        CHECK((uint64_t) k.cost.n * k.cost.r * 128 <= REPO_KEY_MEMORY_MAX);
        CHECK((uint64_t) k.cost.n * k.cost.r * k.cost.p <= REPO_KEY_WORK_MAX);
        CHECK_OK(repo_key_file_format(&k, &text, &n));
        CHECK_OK(repo_key_file_parse(text, n, &again, &failure));
        CHECK_INT(k.data_size, again.data_size);
        CHECK_MEM(k.data, again.data, k.data_size);
        return 0;
}
