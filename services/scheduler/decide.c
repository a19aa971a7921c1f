/* SPDX-License-Identifier: Apache-2.0 */
#include "services/scheduler/decide.h"

/* The elapses from first up to now. */
typedef struct Passed {
        usec_t last;
        usec_t previous; /* 0: none before last */
        unsigned n;
} Passed;

/* Counts on from first; stops at the count's end or at now. Gives whether now was reached. */
static int walk(const Timetable *timetable, usec_t first, usec_t now, Passed *p, bool *ret_reached) {
        usec_t t = first;

        *p = (Passed){ .last = first, .n = 1 };
        for (;;) {
                int r;

                r = timetable_next(timetable, t, &t);
                if (r < 0)
                        return r;
                if (r == CALENDAR_E_NEVER || t > now) {
                        *ret_reached = true;
                        return 0;
                }
                if (p->n >= DECIDE_COUNT_MAX) {
                        *ret_reached = false;
                        return 0;
                }
                p->previous = p->last;
                p->last = t;
                p->n++;
        }
}

/* There are many: finds the last ones from the end, by looking back farther and farther, so that the time
 * this takes does not depend on how long nobody looked. */
static int walk_back(const Timetable *timetable, usec_t first, usec_t now, Passed *p) {
        static const usec_t spans[] = {
                USEC_PER_MINUTE, USEC_PER_HOUR, USEC_PER_DAY, 32 * USEC_PER_DAY, 366 * USEC_PER_DAY,
                9 * (366 * USEC_PER_DAY)
        };

        assert(p);

        for (size_t i = 0; i < ELEMENTSOF(spans); i++) {
                usec_t t = MAX(usec_sub(now, spans[i]), first), found[2] = {};
                unsigned n = 0;
                int r = 0;

                while (r == 0) {
                        r = timetable_next(timetable, t, &t);
                        if (r < 0)
                                return r;
                        if (r == CALENDAR_E_NEVER || t > now)
                                break;
                        found[0] = found[1];
                        found[1] = t;
                        n++;
                }
                if (n >= 2) {
                        p->previous = found[0];
                        p->last = found[1];
                        return 0;
                }
        }
        return 0;
}

static int find_passed(const Timetable *timetable, usec_t first, usec_t now, Passed *ret) {
        bool reached;
        int r;

        r = walk(timetable, first, now, ret, &reached);
        if (r < 0 || reached)
                return r;
        return walk_back(timetable, first, now, ret);
}

usec_t decide_deadline(usec_t next, usec_t now) {
        if (next == 0)
                return usec_add(now, DECIDE_WAIT_DEFAULT_USEC);
        return CLAMP(usec_sub(next, DECIDE_WAIT_MARGIN_USEC), usec_add(now, DECIDE_WAIT_MIN_USEC),
                     usec_add(now, DECIDE_WAIT_MAX_USEC));
}

int decide(const Timetable *timetable, usec_t next, bool catch_up, usec_t now, Decision *ret) {
        Decision d = { .next = next };
        Passed passed;
        bool late;
        int r;

        assert(timetable);
        assert(ret);

        if (next == 0 || next > now) {
                *ret = d;
                return 0;
        }
        r = find_passed(timetable, next, now, &passed);
        if (r < 0)
                return r;
        r = timetable_next(timetable, now, &d.next);
        if (r < 0)
                return r;
        if (r == CALENDAR_E_NEVER)
                d.next = 0;

        d.last = passed.last;
        late = now - passed.last > DECIDE_ON_TIME_USEC;
        if (!late || catch_up) {
                d.run = true;
                d.caught_up = late;
                d.run_for = passed.last;
                d.deadline = decide_deadline(d.next, now);
        }
        /* Without catching up, those before the one that is run are told; with it, the run stands for all.
         */
        if (!catch_up && now - next > DECIDE_ON_TIME_USEC && (late || passed.n > 1)) {
                d.missed = true;
                d.missed_first = next;
                d.missed_for = late ? passed.last : passed.previous;
                d.n_missed = late || passed.n == DECIDE_COUNT_MAX ? passed.n : passed.n - 1;
        }
        *ret = d;
        return 0;
}

int decide_next_after_step(const Timetable *timetable, usec_t next, usec_t now, usec_t *ret) {
        usec_t candidate;
        int r;

        assert(timetable);
        assert(ret);

        r = timetable_next(timetable, now, &candidate);
        if (r < 0)
                return r;
        if (next > 0 && next <= now)
                *ret = next; /* due, and not decided yet */
        else
                *ret = r == CALENDAR_E_NEVER ? 0 : candidate;
        return 0;
}
