/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "store/rows.h"

/* One statement deletes at most so many rows. */
#define CLEAN_ROWS 100
/* No statement but a call's first is begun after this. */
#define CLEAN_SLICE_USEC (5 * USEC_PER_MSEC)

typedef struct Sweep {
        Sql sql;
        StoreRole role;
        size_t retention; /* offset of the span in StoreRetention, or SIZE_MAX: what names its own end */
} Sweep;

static const Sweep sweeps[] = {
        { SQL_SESSIONS_CLEAN, STORE_API, SIZE_MAX },
        { SQL_NODE_TOKENS_CLEAN, STORE_API, SIZE_MAX },
        { SQL_ENROLLMENTS_CLEAN, STORE_API, SIZE_MAX },
        { SQL_INSTALL_LINKS_CLEAN, STORE_API, SIZE_MAX },
        { SQL_PROBES_CLEAN, STORE_DISPATCHER, offsetof(StoreRetention, probe_results) },
        { SQL_RUN_LOGS_CLEAN, STORE_DISPATCHER, offsetof(StoreRetention, run_logs) },
        { SQL_RUN_LOG_HEADS_CLEAN, STORE_DISPATCHER, offsetof(StoreRetention, run_logs) },
        { SQL_RUNS_CLEAN, STORE_DISPATCHER, offsetof(StoreRetention, runs) },
        { SQL_AUDIT_CLEAN, STORE_DISPATCHER, offsetof(StoreRetention, audit) },
};

/* 0 when the sweep is not to run at all: kept for ever, or nothing can be that old. */
static usec_t sweep_before(const Sweep *sweep, const StoreRetention *keep, usec_t now) {
        usec_t span;

        if (sweep->retention == SIZE_MAX)
                return now;
        span = *(const usec_t *) ((const char *) keep + sweep->retention);
        return span == 0 ? 0 : usec_sub(now, span);
}

static int sweep_run(Store *s, const Sweep *sweep, usec_t before, uint64_t *ret_rows) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(sweep);

        query_start(&q, s, sweep->sql);
        bind_u64(&q, before);
        bind_i64(&q, CLEAN_ROWS);
        r = query_exec(&q);
        if (r == 0)
                *ret_rows = query_changes(&q);
        return r;
}

static bool sweep_applies(const Store *s, const Sweep *sweep, usec_t before) {
        return sweep->role == s->role && before > 0;
}

/* Each call goes on where the one before stopped, and does one sweep at least: a machine on which a single
 * statement takes the whole slice gets everything done, too, in more calls. */
int store_clean(Store *s, const StoreRetention *keep, usec_t now, bool *ret_more) {
        usec_t begun = now_usec(CLOCK_MONOTONIC), slice;
        bool first = true;

        assert(s);
        assert(keep);
        assert(ret_more);

        slice = keep->slice > 0 ? keep->slice : CLEAN_SLICE_USEC;
        if (s->clean_idle >= ELEMENTSOF(sweeps))
                s->clean_idle = 0;
        for (size_t i = 0; i < ELEMENTSOF(sweeps) && s->clean_idle < ELEMENTSOF(sweeps); i++) {
                const Sweep *sweep = &sweeps[s->clean_next];
                usec_t before = sweep_before(sweep, keep, now);
                uint64_t rows = 0;
                int r = 0;

                if (sweep_applies(s, sweep, before)) {
                        if (!first && usec_sub(now_usec(CLOCK_MONOTONIC), begun) >= slice)
                                break;
                        first = false;
                        r = sweep_run(s, sweep, before, &rows);
                }
                if (r != 0)
                        return r;
                s->clean_next = (s->clean_next + 1) % ELEMENTSOF(sweeps);
                /* A slice of logs may end with its run, below the limit. */
                s->clean_idle = rows > 0 ? 0 : s->clean_idle + 1;
        }
        *ret_more = s->clean_idle < ELEMENTSOF(sweeps);
        return 0;
}
