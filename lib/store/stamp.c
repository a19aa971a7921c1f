/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "store/rows.h"
#include "store/stamp.h"

int stamp_now(Stamp *ret) {
        _cleanup_(freep) char *id = NULL;
        size_t n;
        int r;

        assert(ret);

        r = read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &id, &n);
        if (r < 0)
                return r;
        n = strcspn(id, "\n");
        if (n != BOOT_ID_MAX - 1)
                return -EUCLEAN;

        *ret = (Stamp){ .mono = now_usec(CLOCK_MONOTONIC) };
        memcpy(ret->boot_id, id, n);
        return 0;
}

void bind_stamp(Query *q, const Stamp *stamp) {
        assert(stamp);

        bind_text(q, stamp->boot_id[0] ? stamp->boot_id : NULL);
        bind_u64(q, stamp->mono);
}

void column_stamp(Query *q, Stamp *ret) {
        _cleanup_(freep) char *boot = NULL;

        assert(ret);

        *ret = STAMP_NULL;
        boot = column_text(q);
        ret->mono = column_u64(q);
        if (boot && strlen(boot) < sizeof(ret->boot_id))
                strcpy(ret->boot_id, boot);
}

int api_stamp_write(Store *s, const ApiStamp *stamp) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(stamp);

        query_start(&q, s, SQL_STAMP_SET);
        bind_stamp(&q, &stamp->at);
        bind_u64(&q, stamp->listening_since);
        return query_exec(&q);
}

static void api_stamp_read(Query *q, void *item) {
        ApiStamp *stamp = item;

        column_stamp(q, &stamp->at);
        stamp->listening_since = column_u64(q);
}

static void api_stamp_done(void *item) {
}

static const RowType api_stamp_type = { sizeof(ApiStamp), api_stamp_read, api_stamp_done };

int api_stamp_get(Store *s, ApiStamp *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_STAMP_GET);
        return query_row(&q, &api_stamp_type, ret);
}

bool api_stamp_is_fresh(const ApiStamp *api, const Stamp *now) {
        assert(api);
        assert(now);

        return api->at.boot_id[0] && streq(api->at.boot_id, now->boot_id) &&
                        usec_sub(now->mono, api->at.mono) < API_STAMP_FRESH_USEC;
}

usec_t stamp_silence(const Stamp *heard, const ApiStamp *api, const Stamp *now) {
        usec_t since;

        assert(heard);
        assert(api);
        assert(now);

        if (!api_stamp_is_fresh(api, now))
                return 0;
        since = api->listening_since;
        if (streq(heard->boot_id, now->boot_id))
                since = MAX(since, heard->mono);
        return usec_sub(now->mono, since);
}
