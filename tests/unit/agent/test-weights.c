/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/job/weights.h"
#include "tests/test.h"

static void test_nice(void) {
        static const struct {
                unsigned weight;
                int nice, level;
        } cases[] = {
                { 10000, 0, 4 },
                { 101, 0, 4 },
                { 100, 0, 4 },
                { 80, 1, 5 },
                { 64, 2, 5 },
                { 50, 3, 5 },
                { 33, 5, 6 },
                { 20, 7, 6 },
                { 10, 10, 7 },
                { 1, 19, 7 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                CHECK_INT(weight_to_nice(cases[i].weight), cases[i].nice);
                CHECK_INT(weight_to_io_level(cases[i].weight), cases[i].level);
        }
        for (unsigned w = 1; w < 10000; w++)
                CHECK(weight_to_nice(w) >= weight_to_nice(w + 1));
}

int main(void) {
        RUN(test_nice);
        return 0;
}
