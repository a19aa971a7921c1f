/* SPDX-License-Identifier: Apache-2.0 */

/* The input file: the first byte chooses the function. What is taken can be answered. */

#include "backint/answer.h"
#include "backint/piece-name.h"
#include "backint/request.h"
#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const char *name) {
        _cleanup_(freep) char *key = NULL, *back = NULL, *ebid = NULL;
        bool sealed;
        size_t volume;

        if (backint_key_make("p/", "U", name, "20261122T221501.123Z-0123456789abcdef", true, &key) < 0)
                return;
        CHECK_OK(backint_key_parse("p/U/", key, &back, &ebid, &sealed, &volume));
        CHECK_STR(back, name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(backint_input_done) BackintInput input = BACKINT_INPUT_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        BackintFunction function;

        if (size == 0)
                return 0;
        function = (BackintFunction) (data[0] % _BACKINT_FUNCTION_MAX);
        if (backint_input_parse(function, (const char *) data + 1, size - 1, &input, &failure) < 0) {
                CHECK(failure_is_set(&failure));
                return 0;
        }
        CHECK(input.version >= BACKINT_VERSION_OLDEST && input.version <= BACKINT_VERSION);
        for (size_t i = 0; i < input.n_requests; i++) {
                const BackintRequest *r = &input.requests[i];
                _cleanup_buffer_ Buffer out = BUFFER_NULL;
                const char *words[3] = { r->ebid ? r->ebid : r->name, r->ebid ? r->name : NULL, NULL };

                CHECK_OK(backint_answer_format(&out, BACKINT_ERROR, words));
                CHECK(memchr(out.data, '\n', out.size) == out.data + out.size - 1);
                if (r->name)
                        check_name(r->name);
        }
        return 0;
}
