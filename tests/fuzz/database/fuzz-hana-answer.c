/* SPDX-License-Identifier: Apache-2.0 */

/* What hdbsql prints: rows, errors, and whatever else. */

#include "base/text.h"
#include "database/hana-pieces.h"
#include "tests/test.h"
#include "wire/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(hana_answer_done) HanaAnswer a = HANA_ANSWER_NULL;
        _cleanup_(hana_files_done) HanaFiles files = HANA_FILES_NULL;

        if (hana_answer_parse((const char *) data, size, &a) < 0)
                return 0;
        CHECK_INT(a.error != 0, a.message != NULL);
        for (size_t i = 0; i < a.n_entries; i++)
                CHECK(!strpbrk(a.entries[i].state, "|\n") && !strchr(a.entries[i].type, '\n'));
        if (hana_files_add_answer(&files, NULL, NULL, &a, NULL) < 0)
                return 0;
        hana_files_sort(&files);
        for (size_t i = 0; i < files.n; i++) {
                CHECK(path_is_normalized_absolute(files.items[i].path));
                CHECK(!isempty(files.items[i].name) && !strchr(files.items[i].name, '/'));
        }
        return 0;
}
