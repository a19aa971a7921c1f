/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"
#include "storage/object.h"

void object_listing_done(ObjectListing *l) {
        assert(l);

        free(l->last);
        free(l->next);
}

int object_listing_give(ObjectListing *l, const char *name, const char *size) {
        const char *key;
        uint64_t n;
        int r;

        assert(l);

        key = name ? startswith(name, l->root) : NULL;
        if (!key || !size || parse_u64(size, 0, INT64_MAX, &n) < 0)
                return -EBADMSG;
        if (!storage_key_is_valid(key))
                return 0;
        /* Whoever reads the listing relies on its order, and a page that leads back would never end. */
        if (l->last && strcmp(l->last, key) >= 0)
                return -EBADMSG;
        r = free_and_strdup(&l->last, key);
        return r < 0 ? r : l->func(l->userdata, key, n);
}

/* --- Pages -------------------------------------------------------------------------------------------- */

typedef struct Page {
        Xml xml;
        char *fields[_OBJECT_FIELD_MAX];
} Page;

static void page_done(Page *p) {
        xml_done(&p->xml);
        for (ObjectField i = 0; i < _OBJECT_FIELD_MAX; i++)
                free(p->fields[i]);
}

static bool page_is_at(const Page *p, const ObjectElement *e) {
        return e->name && p->xml.depth == e->depth && streq(p->xml.name, e->name);
}

static int take_object(ObjectListing *l, const ObjectPages *pages, Page *p) {
        int r;

        r = pages->give(l, p->fields);
        for (ObjectField i = 0; i < OBJECT_FIELD_MORE; i++)
                p->fields[i] = mfree(p->fields[i]);
        return r;
}

/* An element ended. Anything but 0 ends the listing. */
static int page_close(ObjectListing *l, const ObjectPages *pages, Page *p) {
        if (page_is_at(p, &pages->object))
                return take_object(l, pages, p);
        for (ObjectField i = 0; i < _OBJECT_FIELD_MAX; i++)
                if (page_is_at(p, &pages->fields[i]))
                        return xml_take_text(&p->xml, &p->fields[i]);
        return 0;
}

int object_page_read(ObjectListing *l, const ObjectPages *pages, const HttpAnswer *a) {
        _cleanup_(page_done) Page p = {};
        char *next;
        int r;

        assert(l);
        assert(pages);
        assert(a);

        xml_init(&p.xml, a->body.data, a->body.size);
        while ((r = xml_next(&p.xml)) > 0) {
                if (r == XML_OPEN && p.xml.depth == 1 && !streq(p.xml.name, pages->root))
                        return -EBADMSG;
                r = r == XML_CLOSE ? page_close(l, pages, &p) : 0;
                if (r != 0)
                        return r;
        }
        r = r < 0 ? -EBADMSG : pages->more(p.fields);
        if (r < 0)
                return r;
        next = p.fields[OBJECT_FIELD_NEXT];
        if (r > 0 && streq_ptr(next, l->next))
                return -EBADMSG;
        free(l->next);
        l->next = r > 0 ? TAKE_PTR(p.fields[OBJECT_FIELD_NEXT]) : NULL;
        return 0;
}

int object_list(const ObjectType *t, Storage *s, const char *root, const char *prefix, StorageListFunc func,
                void *userdata, Failure *reterr_failure) {
        _cleanup_(object_listing_done) ObjectListing l = { .root = root,
                                                           .func = func,
                                                           .userdata = userdata };
        _cleanup_(freep) char *full = NULL;
        int r;

        assert(prefix);
        assert(func);

        r = asprintf_safe(&full, "%s%s", root, prefix);
        if (r < 0)
                return r;
        do {
                _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;

                r = t->page(s, full, l.next, &a, reterr_failure);
                if (r < 0)
                        return r;
                r = t->read_page(&l, &a);
                if (r == -EBADMSG)
                        return failure_set(reterr_failure, -EPROTO, "STORAGE_FAILED",
                                           "The %s's list of '%s' (%s) is not well-formed, or not in the "
                                           "order of its keys.",
                                           t->peer, full, s->name);
        } while (r == 0 && l.next);
        return r;
}
