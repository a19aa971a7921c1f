#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What the files of the conformance driver share. */

#include <stdatomic.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "storage/pace.h"
#include "storage/storage.h"
#include "tests/test.h"
#include "wire/json.h"

typedef struct Tool {
        Storage *storage;
        const char *prefix;
        const char *without;
        bool may_remove, usage, relay;
        size_t part;
        unsigned pages;
        bool pages_there, transient;
        uint64_t large;
        atomic_bool *cancel;
} Tool;

#define CHECK_STORAGE(expression) \
        do { \
                _cleanup_failure_ Failure failure = FAILURE_NULL; \
                intmax_t _r = (intmax_t) (expression); \
                if (_r < 0) \
                        TEST_FAIL("%s: %s: %s", #expression, failure.code, \
                                  failure_message(&failure, (int) _r)); \
        } while (0)

/* The prefix and name. */
char *key_of(const Tool *t, const char *name);
/* Bytes that are different at every place. */
char *make_data(size_t n);
/* Puts n bytes in pieces of step. */
int put(const Tool *t, const char *key, const char *data, size_t n, size_t step, Failure *failure);
/* The object is there, and reads as it should, in whole and in parts. */
void check_content(const Tool *t, const char *key, const char *data, size_t n);

/* Cases of conformance-volumes.c. */
void test_sealed(const Tool *t);
void test_volumes(const Tool *t);

/* One operation that may fail, and prints how it went as a line of JSON: {"result", "code", "message",
 * "seconds", "after_cancel"}.
 *
 *   do            "put", "get", "stat", "list", "remove", "probe"
 *   key, size     of the object; put writes make_data(size), get checks for it
 *   cancel_after  milliseconds; after_cancel is the seconds from then to the end */
void operation_run(const Tool *t, const json_t *operation);
