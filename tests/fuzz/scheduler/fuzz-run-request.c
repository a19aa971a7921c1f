/* SPDX-License-Identifier: Apache-2.0 */

/* Arguments of QueueRun(). */

#include <stdlib.h>

#include "base/alloc.h"
#include "services/scheduler/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(run_request_done) RunRequest request = RUN_REQUEST_NULL;
        _cleanup_(freep) char *text = memdup0(data, size);

        if (!text)
                return 0;
        if (run_request_parse(text, &request, NULL) == 0)
                if (request.kind != RUN_BACKUP ? !request.details : request.details != NULL)
                        abort();
        return 0;
}
