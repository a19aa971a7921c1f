/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"
#include "storage/azure.h"
#include "storage/xml.h"

/* So that no page is larger than what is kept of an answer. */
#define PAGE_OBJECTS "1000"

void azure_listing_done(AzureListing *l) {
        assert(l);

        free(l->last);
        free(l->marker);
}

typedef struct Page {
        Xml xml;
        char *name, *size, *kind, *next;
} Page;

static void page_done(Page *p) {
        xml_done(&p->xml);
        free(p->name);
        free(p->size);
        free(p->kind);
        free(p->next);
}

/* One object. What cannot be ours is passed over: directories of accounts that have them, and the marks of
 * folders that other programs make. */
static int give_object(AzureListing *l, const Page *p) {
        const char *key;
        uint64_t size;
        int r;

        if (streq_ptr(p->kind, "directory"))
                return 0;
        key = p->name ? startswith(p->name, l->root) : NULL;
        if (!key || !p->size || parse_u64(p->size, 0, INT64_MAX, &size) < 0)
                return -EBADMSG;
        if (!storage_key_is_valid(key))
                return 0;
        /* Whoever reads the listing relies on its order, and a page that leads back would never end. */
        if (l->last && strcmp(l->last, key) >= 0)
                return -EBADMSG;
        r = free_and_strdup(&l->last, key);
        return r < 0 ? r : l->func(l->userdata, key, size);
}

/* Keeps the text of an element where the place in the document says what it is. */
static int take_text(Page *p, const char *name, unsigned depth, char **to) {
        if (p->xml.depth != depth || !streq(p->xml.name, name))
                return 0;
        free(*to);
        *to = memdup0(strempty(p->xml.text.data), p->xml.text.size);
        return *to ? 0 : -ENOMEM;
}

/* An element ended. Anything but 0 ends the listing. */
static int page_close(AzureListing *l, Page *p) {
        int r;

        if (p->xml.depth == 3 && streq(p->xml.name, "Blob")) {
                r = give_object(l, p);
                p->name = mfree(p->name);
                p->size = mfree(p->size);
                p->kind = mfree(p->kind);
                return r;
        }
        r = take_text(p, "Name", 4, &p->name);
        if (r == 0)
                r = take_text(p, "Content-Length", 5, &p->size);
        if (r == 0)
                r = take_text(p, "ResourceType", 5, &p->kind);
        return r != 0 ? r : take_text(p, "NextMarker", 2, &p->next);
}

int azure_listing_read(AzureListing *l, const HttpAnswer *a) {
        _cleanup_(page_done) Page p = {};
        int r;

        assert(l);
        assert(a);

        xml_init(&p.xml, a->body.data, a->body.size);
        while ((r = xml_next(&p.xml)) > 0) {
                if (r == XML_OPEN && p.xml.depth == 1 && !streq(p.xml.name, "EnumerationResults"))
                        return -EBADMSG;
                r = r == XML_CLOSE ? page_close(l, &p) : 0;
                if (r != 0)
                        return r;
        }
        if (r < 0)
                return -EBADMSG;
        if (isempty(p.next))
                p.next = mfree(p.next);
        else if (streq_ptr(p.next, l->marker))
                return -EBADMSG;
        free(l->marker);
        l->marker = TAKE_PTR(p.next);
        return 0;
}

static int ask_page(Storage *s, const char *prefix, const char *marker, HttpAnswer *a, Failure *f) {
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
        if (marker)
                azure_request_query(&q, "marker", marker);
        return azure_request_send(s, &q, prefix, a, f);
}

int azure_list(Storage *s, const char *prefix, StorageListFunc func, void *userdata,
               Failure *reterr_failure) {
        const Azure *z = s->backend;
        _cleanup_(azure_listing_done) AzureListing l = { .root = z->prefix,
                                                         .func = func,
                                                         .userdata = userdata };
        _cleanup_(freep) char *full = NULL;
        int r;

        assert(prefix);
        assert(func);

        r = asprintf_safe(&full, "%s%s", z->prefix, prefix);
        if (r < 0)
                return r;
        do {
                _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;

                r = ask_page(s, full, l.marker, &a, reterr_failure);
                if (r < 0)
                        return r;
                r = azure_listing_read(&l, &a);
                if (r == -EBADMSG)
                        return failure_set(reterr_failure, -EPROTO, "STORAGE_FAILED",
                                           "The Azure storage's list of '%s' (%s) is not well-formed, or "
                                           "not in the order of its keys.",
                                           full, s->name);
        } while (r == 0 && l.marker);
        return r;
}
