/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "store/kit-state.h"
#include "store/rows.h"
#include "store/setting.h"

#define WRITTEN "api.kit.written"
#define REPOSITORY "api.kit.repository"
#define IDENTITIES "api.kit.identities"

static int number_set(Store *s, const char *name, uint64_t value) {
        char text[24];

        (void) snprintf(text, sizeof(text), "%" PRIu64, value);
        return setting_set(s, name, text);
}

/* 0 where there is none. */
static int number_get(Store *s, const char *name, uint64_t *ret) {
        _cleanup_(freep) char *text = NULL;
        int r;

        assert(ret);

        *ret = 0;
        r = setting_get(s, name, &text);
        if (r < 0)
                return r;
        return r == STORE_E_NOT_FOUND ? 0 : parse_u64(text, 0, INT64_MAX, ret);
}

int kit_state_note(Store *s, const KitContent *kit) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int r;

        assert(s);
        assert(kit);

        r = store_begin(s, &tx);
        if (r >= 0)
                r = number_set(s, WRITTEN, kit->written);
        if (r >= 0)
                r = number_set(s, REPOSITORY, kit->repository);
        if (r >= 0)
                r = number_set(s, IDENTITIES, kit->identities);
        return r < 0 ? r : store_commit(&tx);
}

static int content_read(Store *s, KitContent *ret) {
        int r;

        r = number_get(s, WRITTEN, &ret->written);
        if (r >= 0)
                r = number_get(s, REPOSITORY, &ret->repository);
        return r < 0 ? r : number_get(s, IDENTITIES, &ret->identities);
}

static void state_read(Query *q, void *item) {
        KitState *state = item;

        state->repositories = column_u64(q);
        state->identities = column_u64(q);
        state->targets = column_u64(q);
}

int kit_state_read(Store *s, KitState *ret) {
        static const RowType type = { sizeof(KitState), state_read, NULL };
        _cleanup_(query_done) Query q = QUERY_NULL;
        KitContent kit;
        int r;

        assert(s);
        assert(ret);

        r = content_read(s, &kit);
        if (r < 0)
                return r;
        query_start(&q, s, SQL_KIT_STATE);
        bind_u64(&q, kit.repository);
        bind_u64(&q, kit.identities);
        bind_u64(&q, kit.written);
        r = query_row(&q, &type, ret);
        ret->written = kit.written;
        return r;
}

bool kit_state_is_old(const KitState *state) {
        assert(state);

        return state->repositories + state->identities + state->targets > 0;
}
