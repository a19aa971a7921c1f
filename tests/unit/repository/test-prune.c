/* SPDX-License-Identifier: Apache-2.0 */

#include "base/macros.h"
#include "repository/prune-run.h"
#include "tests/test.h"

#define PACKS_MAX 4

/* Packs with what is used and unused of them, the most unused by share first; which of them are moved is a
 * text of one letter each, 'm' or '.'. */
typedef struct Case {
        struct {
                uint64_t used, unused;
        } packs[PACKS_MAX];
        uint64_t used; /* of others, that are used wholly */
        unsigned percent;
        uint64_t repack_max;
        const char *moved;
} Case;

static void check(const Case *c) {
        PrunePack packs[PACKS_MAX] = {}, *candidates[PACKS_MAX];
        uint64_t used = c->used, unused = 0;
        char moved[PACKS_MAX + 1] = "";
        size_t n = 0;

        for (; n < PACKS_MAX && c->packs[n].used > 0; n++) {
                packs[n].used = c->packs[n].used;
                packs[n].unused = c->packs[n].unused;
                used += packs[n].used;
                unused += packs[n].unused;
                candidates[n] = packs + n;
        }
        prune_choose(candidates, n, used, unused, c->percent, c->repack_max);
        for (size_t i = 0; i < n; i++)
                moved[i] = packs[i].action == PRUNE_MOVE ? 'm' : '.';
        CHECK_STR(moved, c->moved);
}

static void test_choice(void) {
        static const Case cases[] = {
                { {}, 100, 0, UINT64_MAX, "" },
                { { { 10, 90 }, { 50, 50 }, { 99, 1 } }, 0, 0, UINT64_MAX, "mmm" },
                { { { 10, 90 }, { 50, 50 }, { 99, 1 } }, 0, 100, UINT64_MAX, "..." },
                /* 159 are used, so that 17 more may be unused where that is a tenth of all. */
                { { { 10, 90 }, { 50, 50 }, { 99, 1 } }, 0, 10, UINT64_MAX, "mm." },
                { { { 10, 90 }, { 50, 17 }, { 99, 1 } }, 0, 10, UINT64_MAX, "mm." },
                { { { 10, 90 }, { 50, 16 }, { 99, 1 } }, 0, 10, UINT64_MAX, "m.." },
                /* What others use counts, too. */
                { { { 10, 90 }, { 50, 50 } }, 9000, 5, UINT64_MAX, ".." },
                /* A limit of what is written passes over what is too large for it. */
                { { { 10, 90 }, { 50, 50 }, { 99, 1 } }, 0, 0, 0, "..." },
                { { { 10, 90 }, { 50, 50 }, { 99, 1 } }, 0, 0, 10, "m.." },
                { { { 10, 90 }, { 50, 50 }, { 40, 30 } }, 0, 0, 50, "m.m" },
                { { { 10, 90 }, { 50, 50 }, { 40, 30 } }, 0, 0, 99, "mm." },
                { { { 10, 90 }, { 50, 50 }, { 40, 30 } }, 0, 0, 100, "mmm" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                check(&cases[i]);
}

int main(void) {
        RUN(test_choice);
        return 0;
}
