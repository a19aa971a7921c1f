/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "store/kit-state.h"
#include "wire/entity.h"

#include "services/api/api.h"
#include "services/api/handlers.h"

/* Nothing of what is in it: only whether there is something that it does not have. */
int recovery_kit_get(Request *r) {
        KitState kit;
        int error;

        assert(r);

        error = kit_state_read(r->api->store, &kit);
        if (error < 0)
                return error;
        return request_reply(r, MHD_HTTP_OK,
                             json_pack("{s:o, s:b, s:{s:o, s:o, s:o}}", "written",
                                       json_from_stamp(kit.written), "is_old", kit_state_is_old(&kit),
                                       "missing", "repositories", json_from_u64(kit.repositories),
                                       "identities", json_from_u64(kit.identities), "targets",
                                       json_from_u64(kit.targets)));
}
