#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Assertions for tests: each prints both sides and ends the program. A test program is a list of RUN() in
 * main(). */

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEST_FAIL(...) \
        do { \
                fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, __func__); \
                fprintf(stderr, __VA_ARGS__); \
                fputc('\n', stderr); \
                abort(); \
        } while (0)

#define CHECK(expression) \
        do { \
                if (!(expression)) \
                        TEST_FAIL("not true: %s", #expression); \
        } while (0)

#define CHECK_INT(a, b) \
        do { \
                intmax_t _a = (intmax_t) (a), _b = (intmax_t) (b); \
                if (_a != _b) \
                        TEST_FAIL("%s is %jd, expected %s = %jd", #a, _a, #b, _b); \
        } while (0)

/* The result of a call that gives a negative errno: says the error in words. */
#define CHECK_OK(expression) \
        do { \
                intmax_t _r = (intmax_t) (expression); \
                if (_r < 0) \
                        TEST_FAIL("%s failed: %s", #expression, strerror((int) -_r)); \
        } while (0)

#define CHECK_STR(a, b) \
        do { \
                const char *_a = (a), *_b = (b); \
                if (!_a || !_b || strcmp(_a, _b) != 0) \
                        TEST_FAIL("%s is '%s', expected '%s'", #a, _a ? _a : "(null)", _b ? _b : "(null)"); \
        } while (0)

#define CHECK_MEM(a, b, n) \
        do { \
                if (memcmp((a), (b), (n)) != 0) \
                        TEST_FAIL("%s and %s differ in %zu bytes", #a, #b, (size_t) (n)); \
        } while (0)

#define RUN(test) \
        do { \
                fprintf(stderr, "# %s\n", #test); \
                test(); \
        } while (0)

/* The exit status that the test runner counts as skipped. */
#define TEST_SKIP 77
