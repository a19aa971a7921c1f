#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Pages of listings, and errors in their place: only valid keys in their order come out. */

#include "base/alloc.h"
#include "base/text.h"
#include "storage/object.h"
#include "tests/test.h"

static inline int listing_on_object(void *userdata, const char *key, uint64_t size) {
        char **last = userdata;

        CHECK(storage_key_is_valid(key));
        CHECK(!*last || strcmp(*last, key) < 0);
        CHECK(size <= INT64_MAX);
        CHECK_OK(free_and_strdup(last, key));
        return 0;
}

/* errors: headers with which the answer is judged as an error. */
static inline void listing_check(const ObjectType *t, const uint8_t *data, size_t size, const char *errors,
                                 HttpVerdict (*judge)(Storage *s, const HttpAnswer *a, const char *key,
                                                      Failure *f)) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(freep) char *last = NULL, *name = (char *) strdup("fuzzed");
        _cleanup_(object_listing_done) ObjectListing l = { .root = "p/",
                                                           .func = listing_on_object,
                                                           .userdata = &last };
        Storage s = { .name = name };
        int r;

        if (size > HTTP_BODY_MAX)
                return;
        CHECK(name);
        CHECK_OK(buffer_add(&a.body, data, size));
        r = t->read_page(&l, &a);
        CHECK(r == 0 || r == -EBADMSG);
        /* A second page must go on behind the first, and lead elsewhere. */
        if (r == 0 && l.next)
                CHECK_INT(t->read_page(&l, &a), -EBADMSG);
        a.status = 403;
        CHECK_OK(buffer_add_string(&a.headers, errors));
        CHECK(judge(&s, &a, "key", &failure).error < 0);
        CHECK(failure_is_set(&failure));
}
