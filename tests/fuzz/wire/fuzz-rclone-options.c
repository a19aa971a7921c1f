/* SPDX-License-Identifier: Apache-2.0 */

/* A description as rclone gives it; each of its backends is asked for a form, and checks what the form's own
 * defaults would give. */

#include "base/text.h"
#include "tests/test.h"
#include "wire/rclone-options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fill(const RcloneBackend *b) {
        _cleanup_json_ json_t *config = json_object(), *secrets = json_object();
        _cleanup_failure_ Failure failure = FAILURE_NULL;

        for (size_t i = 0; i < b->n_options; i++) {
                const RcloneOption *o = b->options + i;

                CHECK(o->name && o->help && o->standard && o->provider);
                CHECK_OK(json_set(o->is_secret ? secrets : config, o->name,
                                  json_string(o->choices ? o->choices[0] : o->standard)));
        }
        if (rclone_options_check(b, config, secrets, &failure) < 0)
                CHECK(failure_is_set(&failure) && failure.field);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(rclone_description_done) RcloneDescription d = {};
        _cleanup_failure_ Failure failure = FAILURE_NULL;

        if (rclone_description_parse(data, size, &d, &failure) < 0) {
                CHECK(failure_is_set(&failure));
                return 0;
        }
        for (size_t i = 0; i < d.n; i++) {
                _cleanup_json_ json_t *form = NULL;

                CHECK(d.backends[i].name);
                CHECK(rclone_backend_find(&d, d.backends[i].name));
                CHECK_OK(rclone_backend_build(d.backends + i, /* is_whole= */ true, &form));
                fill(d.backends + i);
        }
        return 0;
}
