/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "services/scheduler/share.h"
#include "wire/command.h"

/* 0: it does not say. The numbers may be those of other days: the task has fewer shares now, or more. */
static uint32_t share_of(const char *request) {
        _cleanup_json_ json_t *json = NULL;
        uint32_t share = 0, shares = 0;
        JsonReader reader;

        if (json_parse_text(request, &json, NULL) < 0)
                return 0;
        (void) json_reader_init(&reader, json, NULL);
        return verify_shares_read(&reader, &share, &shares) < 0 ? 0 : share;
}

int share_next(const char *before, uint32_t shares, char **ret) {
        _cleanup_json_ json_t *json = json_object();
        int r = json ? 0 : -ENOMEM;

        assert(ret);

        if (r >= 0 && shares > 0)
                r = json_set(json, "share", json_from_u64(share_of(before) % shares + 1));
        if (r >= 0 && shares > 0)
                r = json_set(json, "shares", json_from_u64(shares));
        return r < 0 ? r : json_format(json, ret, NULL);
}
