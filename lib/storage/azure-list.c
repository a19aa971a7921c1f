/* SPDX-License-Identifier: Apache-2.0 */

#include "base/text.h"
#include "storage/azure.h"

/* So that no page is larger than what is kept of an answer. */
#define PAGE_OBJECTS "1000"

/* Directories of accounts that have them are none of ours. */
static int give(ObjectListing *l, char *fields[static _OBJECT_FIELD_MAX]) {
        if (streq_ptr(fields[OBJECT_FIELD_KIND], "directory"))
                return 0;
        return object_listing_give(l, fields[OBJECT_FIELD_NAME], fields[OBJECT_FIELD_SIZE]);
}

static int has_more(char *fields[static _OBJECT_FIELD_MAX]) {
        return !isempty(fields[OBJECT_FIELD_NEXT]);
}

int azure_read_page(ObjectListing *l, const HttpAnswer *a) {
        static const ObjectPages pages = {
                .root = "EnumerationResults",
                .object = { "Blob", 3 },
                .fields = { [OBJECT_FIELD_NAME] = { "Name", 4 },
                            [OBJECT_FIELD_SIZE] = { "Content-Length", 5 },
                            [OBJECT_FIELD_KIND] = { "ResourceType", 5 },
                            [OBJECT_FIELD_NEXT] = { "NextMarker", 2 } },
                .give = give,
                .more = has_more,
        };

        return object_page_read(l, &pages, a);
}

int azure_ask_page(Storage *s, const char *prefix, const char *next, HttpAnswer *a, Failure *f) {
        _cleanup_(azure_request_done) AzureRequest q = AZURE_REQUEST_NULL;
        int r;

        r = azure_request_init(s, &q, "GET", NULL);
        if (r < 0)
                return r;
        azure_request_query(&q, "restype", "container");
        azure_request_query(&q, "comp", "list");
        azure_request_query(&q, "maxresults", PAGE_OBJECTS);
        if (!isempty(prefix))
                azure_request_query(&q, "prefix", prefix);
        if (next)
                azure_request_query(&q, "marker", next);
        return azure_request_send(s, &q, prefix, a, f);
}
