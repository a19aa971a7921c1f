/* SPDX-License-Identifier: Apache-2.0 */

#include "base/alloc.h"
#include "storage/parts.h"

/* Empty, with room before the data. */
static int begin_part(Parts *p) {
        static const char room[64];
        int r = 0;

        buffer_clear(&p->part);
        for (size_t left = p->args.head; r >= 0 && left > 0; left -= MIN(left, sizeof room))
                r = buffer_add(&p->part, room, MIN(left, sizeof room));
        return r;
}

int parts_init(Parts *p, const PartsArgs *args) {
        assert(p);
        assert(args->size > 0);

        *p = (Parts){ .args = *args };
        return begin_part(p);
}

static void *fly(void *userdata) {
        PartsFlight *flight = ASSERT_PTR(userdata);

        flight->result = flight->args->send(flight->args->put, &flight->part, flight->number,
                                            &flight->failure);
        return NULL;
}

/* The oldest one arrives; its memory is kept for the next. */
static int land(Parts *p, Failure *f) {
        PartsFlight *flight = &p->flights[p->oldest];
        int r;

        assert(p->n_flights > 0);

        if (flight->started)
                (void) pthread_join(flight->thread, NULL);
        atomic_fetch_add(p->args.spare, 1);
        p->oldest = (p->oldest + 1) % PARTS_FLIGHT_MAX;
        p->n_flights--;
        r = flight->result;
        if (r < 0)
                (void) failure_set(f, r, flight->failure.code, "%s", failure_message(&flight->failure, r));
        failure_done(&flight->failure);
        return r;
}

static bool may_fly(Parts *p) {
        if (p->n_flights == PARTS_FLIGHT_MAX)
                return false;
        if (atomic_fetch_sub(p->args.spare, 1) > 0)
                return true;
        atomic_fetch_add(p->args.spare, 1);
        return false;
}

static void take_off(Parts *p) {
        PartsFlight *flight = &p->flights[(p->oldest + p->n_flights++) % PARTS_FLIGHT_MAX];
        Buffer empty = flight->part;

        flight->args = &p->args;
        flight->number = ++p->n;
        flight->part = p->part;
        p->part = empty;
        flight->started = pthread_create(&flight->thread, NULL, fly, flight) == 0;
        if (!flight->started)
                (void) fly(flight);
}

/* Sends the part that is full in a thread of its own where there is room for one more, else here. */
static int send_full(Parts *p, Failure *f) {
        int r;

        r = p->args.before(p->args.put, p->n + 1, f);
        while (r >= 0 && !may_fly(p)) {
                if (p->n_flights == 0) {
                        r = p->args.send(p->args.put, &p->part, ++p->n, f);
                        return r < 0 ? r : begin_part(p);
                }
                r = land(p, f);
        }
        if (r < 0)
                return r;
        take_off(p);
        return begin_part(p);
}

int parts_write(Parts *p, const void *data, size_t n, Failure *f) {
        const size_t full = p->args.head + p->args.size;
        const char *from = data;

        assert(data || n == 0);

        while (n > 0) {
                int r = p->part.size == full ? send_full(p, f) : 0;

                if (r >= 0)
                        r = buffer_fill(&p->part, full, p->args.tail, &from, &n);
                if (r < 0)
                        return r;
        }
        return 0;
}

int parts_finish(Parts *p, Failure *f) {
        int r;

        assert(p);

        r = send_full(p, f);
        while (r >= 0 && p->n_flights > 0)
                r = land(p, f);
        return r;
}

void parts_release(Parts *p) {
        assert(p);
        assert(p->n_flights == 0);

        for (size_t i = 0; i < PARTS_FLIGHT_MAX; i++)
                buffer_done(&p->flights[i].part);
        buffer_done(&p->part);
}

void parts_wait(Parts *p) {
        assert(p);

        while (p->n_flights > 0)
                (void) land(p, NULL);
}

void parts_done(Parts *p) {
        parts_wait(p);
        parts_release(p);
}
