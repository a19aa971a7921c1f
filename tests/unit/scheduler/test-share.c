/* SPDX-License-Identifier: Apache-2.0 */

/* As many checks as there are shares read each of them once. */

#include "base/alloc.h"
#include "base/text.h"
#include "services/scheduler/share.h"
#include "tests/test.h"

static void check_next(const char *before, uint32_t shares, const char *expected) {
        _cleanup_(freep) char *next = NULL;

        CHECK_OK(share_next(before, shares, &next));
        CHECK_STR(next, expected);
}

static void test_table(void) {
        check_next(NULL, 0, "{}");
        check_next("{\"share\":2,\"shares\":7}", 0, "{}");
        check_next(NULL, 1, "{\"share\":1,\"shares\":1}");
        check_next("{\"share\":1,\"shares\":1}", 1, "{\"share\":1,\"shares\":1}");
        check_next(NULL, 7, "{\"share\":1,\"shares\":7}");
        check_next("{}", 7, "{\"share\":1,\"shares\":7}");
        check_next("{\"share\":1,\"shares\":7}", 7, "{\"share\":2,\"shares\":7}");
        check_next("{\"share\":7,\"shares\":7}", 7, "{\"share\":1,\"shares\":7}");
        /* The task has other shares now. */
        check_next("{\"share\":7,\"shares\":7}", 3, "{\"share\":2,\"shares\":3}");
        check_next("{\"share\":3,\"shares\":3}", 1000, "{\"share\":4,\"shares\":1000}");
        /* Nothing that is in the database stops it. */
        check_next("", 7, "{\"share\":1,\"shares\":7}");
        check_next("[1]", 7, "{\"share\":1,\"shares\":7}");
        check_next("{\"share\":9,\"shares\":7}", 7, "{\"share\":1,\"shares\":7}");
        check_next("{\"share\":-1,\"shares\":7}", 7, "{\"share\":1,\"shares\":7}");
}

static void test_all_are_read(void) {
        _cleanup_(freep) char *before = NULL;
        unsigned seen[8] = {};

        for (unsigned i = 0; i < 14; i++) {
                _cleanup_(freep) char *next = NULL;
                const char *digit;

                CHECK_OK(share_next(before, 7, &next));
                digit = strpbrk(next, "1234567");
                CHECK(digit);
                seen[*digit - '0']++;
                free(before);
                before = TAKE_PTR(next);
        }
        for (unsigned i = 1; i <= 7; i++)
                CHECK_INT(seen[i], 2);
}

int main(void) {
        RUN(test_table);
        RUN(test_all_are_read);
        return EXIT_SUCCESS;
}
