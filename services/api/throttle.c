/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"

#include "services/api/throttle.h"

#define BUCKETS 512U
#define WAYS 8U

typedef struct Entry {
        uint64_t id; /* a keyed hash of kind and name; 0: free */
        usec_t last;
        usec_t blocked_until;
        unsigned tries;
} Entry;

struct Throttle {
        uint64_t key;
        Entry entries[BUCKETS][WAYS];
};

int throttle_new(uint64_t key, Throttle **ret) {
        Throttle *t;

        assert(ret);

        t = new0(Throttle, 1);
        if (!t)
                return -ENOMEM;
        t->key = key;
        *ret = t;
        return 0;
}

Throttle *throttle_free(Throttle *t) {
        free(t);
        return NULL;
}

static uint64_t entry_id(const Throttle *t, ThrottleKind kind, const char *name) {
        uint64_t v = t->key ^ ((uint64_t) kind + 1);

        for (const unsigned char *p = (const unsigned char *) name; *p; p++) {
                v = (v ^ *p) * UINT64_C(0x9e3779b97f4a7c15);
                v ^= v >> 32;
        }
        return v != 0 ? v : 1;
}

static unsigned free_tries(ThrottleKind kind) {
        switch (kind) {
        case THROTTLE_ACCOUNT:
                return THROTTLE_ACCOUNT_FREE;
        case THROTTLE_ADDRESS:
        case THROTTLE_INSTALL:
                return THROTTLE_ADDRESS_FREE;
        }
        return 0;
}

static const Entry *find(const Throttle *t, uint64_t id) {
        const Entry *bucket = t->entries[id % BUCKETS];

        for (size_t i = 0; i < WAYS; i++)
                if (bucket[i].id == id)
                        return &bucket[i];
        return NULL;
}

/* The one that is missed least: free, then not blocked, then quiet for longest. */
static bool makes_room_before(const Entry *a, const Entry *b, usec_t now) {
        bool a_blocked = a->blocked_until > now, b_blocked = b->blocked_until > now;

        if ((a->id == 0) != (b->id == 0))
                return a->id == 0;
        if (a_blocked != b_blocked)
                return !a_blocked;
        return a->last < b->last;
}

static Entry *find_or_take(Throttle *t, uint64_t id, usec_t now) {
        Entry *bucket = t->entries[id % BUCKETS], *room = &bucket[0];

        for (size_t i = 0; i < WAYS; i++) {
                if (bucket[i].id == id)
                        return &bucket[i];
                if (makes_room_before(&bucket[i], room, now))
                        room = &bucket[i];
        }
        *room = (Entry){ .id = id };
        return room;
}

usec_t throttle_wait(const Throttle *t, ThrottleKind kind, const char *name, usec_t now) {
        const Entry *e;

        assert(t);
        assert(name);

        e = find(t, entry_id(t, kind, name));
        return e ? usec_sub(e->blocked_until, now) : 0;
}

void throttle_count(Throttle *t, ThrottleKind kind, const char *name, usec_t now) {
        Entry *e;

        assert(t);
        assert(name);

        e = find_or_take(t, entry_id(t, kind, name), now);
        if (usec_sub(now, MAX(e->last, e->blocked_until)) > THROTTLE_MEMORY_USEC)
                e->tries = 0;
        e->last = now;
        e->tries++;
        if (e->tries > free_tries(kind)) {
                unsigned doublings = MIN(e->tries - free_tries(kind) - 1, 16U);

                e->blocked_until = usec_add(now,
                                            MIN(THROTTLE_PAUSE_USEC << doublings, THROTTLE_PAUSE_MAX_USEC));
        }
}

void throttle_forgive(Throttle *t, ThrottleKind kind, const char *name) {
        Entry *e;

        assert(t);
        assert(name);

        e = (Entry *) find(t, entry_id(t, kind, name));
        if (!e)
                return;
        if (kind == THROTTLE_ACCOUNT)
                *e = (Entry){};
        else if (e->tries > 0)
                e->tries--;
}
