/* SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>

#include "services/api/pieces.h"
#include "tests/test.h"

static void keep(Pieces *p, uint64_t id, usec_t now) {
        pieces_keep(p, id, json_integer((json_int_t) id), now);
}

static bool take(Pieces *p, uint64_t id, usec_t now) {
        _cleanup_json_ json_t *content = pieces_take(p, id, now);

        CHECK(!content || json_integer_value(content) == (json_int_t) id);
        return content;
}

/* Once, and only by its command. */
static void test_take(void) {
        Pieces p = {};

        keep(&p, 5, 100);
        keep(&p, 6, 100);
        CHECK(!take(&p, 7, 101));
        CHECK(take(&p, 5, 101));
        CHECK(!take(&p, 5, 101));
        CHECK(take(&p, 6, 101));
        pieces_done(&p);
}

/* What nobody takes goes: when there is no room, the oldest, and after its time. */
static void test_limits(void) {
        Pieces p = {};

        for (uint64_t i = 0; i < PIECES_MAX + 1; i++)
                keep(&p, 10 + i, 100 + i);
        CHECK(!take(&p, 10, 200));
        CHECK(take(&p, 11, 200));
        CHECK(take(&p, 10 + PIECES_MAX, 200));
        CHECK(!take(&p, 12, 102 + PIECE_LIFE_USEC));
        CHECK(take(&p, 13, 102 + PIECE_LIFE_USEC));
        pieces_done(&p);
}

int main(void) {
        RUN(test_take);
        RUN(test_limits);
        return EXIT_SUCCESS;
}
