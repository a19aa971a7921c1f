/* SPDX-License-Identifier: Apache-2.0 */

/* The policy file: whatever it holds it is understood or refused, and a rule that was taken is kept. */

#include "agent/common/policy.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(policy_done) Policy p = POLICY_NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;

        if (policy_parse("policy.yaml", (const char *) data, size, &p, &f) < 0) {
                assert(failure_is_set(&f));
                return 0;
        }
        STRV_FOREACH(rule, p.backup_deny)
                assert(policy_check_backup(&p, *rule, NULL) < 0);
        STRV_FOREACH(rule, p.listing_deny)
                assert(policy_check_listing(&p, *rule, NULL) < 0);
        assert(!p.restore_off || policy_check_restore(&p, "/", NULL) < 0);
        return 0;
}
