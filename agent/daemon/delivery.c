/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/daemon/delivery.h"
#include "wire/agent.h"

/* Longer ones are no seal() of ours. */
#define SEALED_MAX (1U << 20)

int delivery_read(const json_t *command, Delivery *ret, Failure *reterr_failure) {
        Delivery d = {};
        JsonReader r;
        int e;

        assert(command);
        assert(ret);

        (void) json_reader_init(&r, command, reterr_failure);
        (void) json_reader_u64(&r, "id", JSON_REQUIRED, INT64_MAX, &d.name.command);
        (void) json_reader_u64(&r, "attempt", JSON_REQUIRED, INT64_MAX, &d.name.attempt);
        (void) json_reader_string(&r, "kind", JSON_REQUIRED, AGENT_TEXT_MAX, &d.kind);
        (void) json_reader_value(&r, "spec", JSON_REQUIRED, &d.spec);
        (void) json_reader_string(&r, "secrets", JSON_OPTIONAL, SEALED_MAX, &d.sealed);
        (void) json_reader_time(&r, "deadline", JSON_OPTIONAL, &d.deadline);
        if (d.name.command == 0)
                (void) json_reader_fail(&r, "id", "has to be above 0");
        e = json_reader_finish_lenient(&r);
        if (e < 0)
                return e;

        *ret = d;
        return 0;
}
