/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "wire/command.h"

void verify_spec_done(VerifySpec *s) {
        assert(s);

        snapshot_ref_done(&s->snapshots);
        *s = VERIFY_SPEC_NULL;
}

int verify_spec_build(const VerifySpec *s, json_t **ret) {
        _cleanup_json_ json_t *json = NULL;
        int r;

        assert(s);
        assert(ret);

        r = spec_about_build(s->run, s->source_run, &s->snapshots, &json);
        if (r >= 0)
                r = json_set(json, "share", json_from_u64(s->share));
        if (r >= 0)
                r = json_set(json, "shares", json_from_u64(s->shares));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

int verify_shares_read(JsonReader *r, uint32_t *ret_share, uint32_t *ret_shares) {
        uint32_t share = 0, shares = 0;

        assert(r);
        assert(ret_share);
        assert(ret_shares);

        (void) json_reader_u32(r, "share", JSON_OPTIONAL, VERIFY_SHARES_MAX, &share);
        (void) json_reader_u32(r, "shares", JSON_OPTIONAL, VERIFY_SHARES_MAX, &shares);
        if (r->error < 0)
                return r->error;
        if (share > shares || (share == 0) != (shares == 0))
                return json_reader_fail(r, "share", "has to be from 1 to shares");
        *ret_share = share;
        *ret_shares = shares;
        return 0;
}

int verify_spec_parse(const json_t *json, VerifySpec *ret, Failure *reterr_failure) {
        _cleanup_(verify_spec_done) VerifySpec s = VERIFY_SPEC_NULL;
        JsonReader r;
        int k;

        assert(ret);

        (void) json_reader_init(&r, json, reterr_failure);
        (void) spec_about_read(&r, &s.run, &s.source_run, &s.snapshots);
        (void) verify_shares_read(&r, &s.share, &s.shares);
        k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        *ret = s;
        s = VERIFY_SPEC_NULL;
        return 0;
}
