/* SPDX-License-Identifier: Apache-2.0 */

/* Arguments of Probe() and of CancelRun(). */

#include <stdlib.h>

#include "base/alloc.h"
#include "services/dispatcher/dispatcher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(probe_request_done) ProbeRequest request = PROBE_REQUEST_NULL;
        _cleanup_(actor_done) Actor actor = ACTOR_NULL;
        _cleanup_(freep) char *text = memdup0(data, size);

        if (!text)
                return 0;
        if (probe_request_parse(text, &request, NULL) == 0) {
                uint32_t max = request.kind == COMMAND_READ_FILE ? READ_LENGTH_MAX : LISTING_LIMIT_MAX;

                if (!request.path || !request.cursor || request.limit == 0 || request.limit > max)
                        abort();
        }
        (void) !actor_parse(text, &actor, NULL);
        return 0;
}
