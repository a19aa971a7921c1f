/* SPDX-License-Identifier: Apache-2.0 */

/* What a master answers: two bytes of status, then the body. Always a verdict, and a reason for a bad one.
 */

#include "agent/daemon/claim.h"
#include "agent/daemon/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(reply_done) Reply reply = REPLY_NULL;
        Backoff backoff = BACKOFF_INIT(USEC_PER_SEC, 60 * USEC_PER_SEC);
        HttpReply http = {};

        if (size < 2)
                return 0;
        http.status = 200 + (data[0] * 256U + data[1]) % 400;
        http.body = (const char *) data + 2;
        http.size = size - 2;
        reply_read(&http, &reply);
        assert(reply.verdict >= 0 && reply.verdict < _REPLY_VERDICT_MAX);
        assert((reply.verdict == REPLY_OK) == (reply.data != NULL));
        assert(reply.verdict == REPLY_OK || reply.verdict == REPLY_EMPTY || reply.message);
        /* Whatever it was, we ask again, and not for ever later. */
        assert(claim_delay(&reply, CLAIM_WAIT_SEC, 0, &backoff, 77) <= 20 * USEC_PER_MINUTE);
        return 0;
}
