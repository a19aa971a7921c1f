/* SPDX-License-Identifier: Apache-2.0 */

/* Pages of a listing of Azure, and its errors: only valid keys in their order come out. */

#include "base/alloc.h"
#include "base/text.h"
#include "storage/azure.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_object(void *userdata, const char *key, uint64_t size) {
        char **last = userdata;

        CHECK(storage_key_is_valid(key));
        CHECK(!*last || strcmp(*last, key) < 0);
        CHECK(size <= INT64_MAX);
        CHECK_OK(free_and_strdup(last, key));
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(freep) char *last = NULL, *name = (char *) strdup("fuzzed");
        _cleanup_(azure_listing_done) AzureListing l = { .root = "p/",
                                                         .func = on_object,
                                                         .userdata = &last };
        Storage s = { .name = name };
        int r;

        if (size > HTTP_BODY_MAX)
                return 0;
        CHECK(name);
        CHECK_OK(buffer_add(&a.body, data, size));
        r = azure_listing_read(&l, &a);
        CHECK(r == 0 || r == -EBADMSG);
        /* A second page must go on behind the first, and lead elsewhere. */
        if (r == 0 && l.marker)
                CHECK_INT(azure_listing_read(&l, &a), -EBADMSG);
        a.status = 403;
        CHECK_OK(buffer_add_string(&a.headers, "x-ms-error-code: AuthenticationFailed\r\n"));
        CHECK(azure_judge(&s, &a, "key", &failure).error < 0);
        CHECK(failure_is_set(&failure));
        return 0;
}
