/* SPDX-License-Identifier: Apache-2.0 */

/* Bytes of a client: strict JSON, what is built from it again, and paths. */

#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"
#include "wire/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL, *again = NULL;
        _cleanup_(freep) char *text = NULL, *path = NULL, *shown = NULL;
        size_t n = 0;

        if (json_parse_strict(data, size, JSON_DEPTH_DEFAULT, &json, &failure) < 0) {
                CHECK(failure_is_set(&failure));
                return 0;
        }
        CHECK_OK(json_format(json, &text, &n));
        CHECK_OK(json_parse_strict(text, n, JSON_DEPTH_DEFAULT, &again, NULL));
        CHECK(json_equal(json, again));
        if (json_to_path(json, &path) >= 0) {
                _cleanup_json_ json_t *back = json_from_path(path);
                _cleanup_(freep) char *same = NULL;

                CHECK_OK(json_to_path(back, &same));
                CHECK_STR(same, path);
                CHECK_OK(path_display(path, &shown));
                CHECK(utf8_is_valid(shown, strlen(shown)));
                (void) path_is_normalized_absolute(path);
        }
        return 0;
}
