/* SPDX-License-Identifier: Apache-2.0 */

/* An index as a stream of small pieces. Each blob that was taken is found. */

#include "repository/index.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ssize_t read_piece(void *userdata, void *buf, size_t n) {
        return json_pull_memory(userdata, buf, MIN(n, (size_t) 13));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(repo_index_freep) RepoIndex *x = NULL;
        JsonPullMemory m = { (const char *) data, size };
        _cleanup_failure_ Failure failure = FAILURE_NULL;

        CHECK_OK(repo_index_new(&x));
        if (repo_index_load(x, read_piece, &m, &failure) < 0)
                CHECK(failure_is_set(&failure));
        for (size_t i = 0; i < repo_index_n_blobs(x); i++) {
                uint64_t cursor = 0;
                IndexEntry e, found;

                repo_index_get(x, i, &e);
                CHECK(e.pack < repo_index_n_packs(x));
                CHECK(e.blob.length >= CIPHER_OVERHEAD);
                do
                        CHECK(repo_index_find(x, e.blob.type, &e.blob.id, &cursor, &found));
                while (found.pack != e.pack || found.blob.offset != e.blob.offset);
        }
        return 0;
}
