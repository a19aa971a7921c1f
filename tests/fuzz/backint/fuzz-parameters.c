/* SPDX-License-Identifier: Apache-2.0 */

/* The parameter file, and identities. */

#include "backint/parameters.h"
#include "backint/setup.h"
#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(backint_parameters_done) BackintParameters p = BACKINT_PARAMETERS_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(freep) AgeIdentity *identities = NULL;
        _cleanup_(freep) AgeRecipient *recipients = NULL;
        _cleanup_(freep) char *text = memdup0(data, size);
        size_t n = 0;

        CHECK(text);
        if (backint_identities_parse(text, &identities, &n) >= 0)
                CHECK(n > 0);
        if (backint_parameters_parse("p", text, size, &p, &failure) < 0) {
                CHECK(failure_is_set(&failure));
                return 0;
        }
        CHECK(p.storage_type && p.key_prefix);
        CHECK(p.parallel >= 1 && p.parallel <= BACKINT_PARALLEL_MAX);
        CHECK(p.level >= 1 && p.pipe_timeout > 0);
        CHECK(p.key_prefix[0] == 0 || endswith(p.key_prefix, "/"));
        CHECK_OK(backint_recipients_load(&p, &recipients, &n));
        CHECK_INT(n, strv_length(p.recipients));
        return 0;
}
