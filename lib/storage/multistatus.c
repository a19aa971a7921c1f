/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/parse.h"
#include "base/text.h"
#include "storage/multistatus.h"
#include "storage/xml.h"

/* The places of the elements: multistatus > response > href, status, propstat > prop > properties >
 * collection. */
enum {
        DEPTH_RESPONSE = 2,
        DEPTH_HREF = 3,
        DEPTH_PROPERTY = 5,
        DEPTH_KIND = 6,
};

typedef struct Reading {
        DavResource resource;
        bool in_kind; /* in resourcetype */
        DavResourceFunc func;
        void *userdata;
} Reading;

int dav_decode_path(const char *href, char **ret) {
        const char *p = startswith(href, "https://") ?: startswith(href, "http://");
        _cleanup_(freep) char *path = NULL;
        char *to;

        assert(ret);

        p = p ? p + strcspn(p, "/") : href;
        if (p[0] != '/')
                return -EBADMSG;
        path = to = malloc(strlen(p) + 1);
        if (!path)
                return -ENOMEM;
        while (*p) {
                if (*p != '%') {
                        *to++ = *p++;
                        continue;
                }
                if (hex_digit(p[1]) < 0 || hex_digit(p[2]) < 0 || (p[1] == '0' && p[2] == '0'))
                        return -EBADMSG;
                *to++ = (char) (hex_digit(p[1]) * 16 + hex_digit(p[2]));
                p += 3;
        }
        *to = 0;
        *ret = TAKE_PTR(path);
        return 0;
}

/* "Mon, 23 Nov 2026 08:21:11 GMT" (RFC 9110); what is not of that form is not known. */
static usec_t read_time(const char *text) {
        struct tm tm = {};
        const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        time_t t;

        if (!end || *end != 0)
                return 0;
        t = timegm(&tm);
        return t > 0 ? (usec_t) t * USEC_PER_SEC : 0;
}

static int read_property(DavResource *d, const char *name, const char *text) {
        if (streq(name, "getcontentlength") && !isempty(text)) {
                if (parse_u64(text, 0, INT64_MAX, &d->size) < 0)
                        return -EBADMSG;
                d->has_size = true;
        } else if (streq(name, "getlastmodified"))
                d->modified = read_time(text);
        else if (streq(name, "quota-available-bytes"))
                d->has_quota = parse_u64(text, 0, INT64_MAX, &d->free_bytes) >= 0;
        else if (streq(name, "quota-used-bytes"))
                (void) !parse_u64(text, 0, INT64_MAX / 2, &d->used_bytes);
        return 0;
}

/* "HTTP/1.1 404 Not Found" of the resource itself. */
static bool says_gone(const char *text) {
        const char *space = strchr(text, ' ');

        return space && (startswith(space, " 404") || startswith(space, " 410"));
}

static void resource_clear(DavResource *d) {
        free(d->path);
        *d = (DavResource){};
}

static int on_close(Reading *r, const Xml *x) {
        const char *text = strempty(x->text.data);
        DavResource *d = &r->resource;
        int error;

        if (x->depth == DEPTH_HREF && streq(x->name, "href")) {
                d->path = mfree(d->path);
                return dav_decode_path(text, &d->path);
        }
        if (x->depth == DEPTH_HREF && streq(x->name, "status"))
                d->is_gone = says_gone(text);
        if (x->depth == DEPTH_PROPERTY && streq(x->name, "resourcetype"))
                r->in_kind = false;
        else if (x->depth == DEPTH_PROPERTY)
                return read_property(d, x->name, text);
        if (x->depth != DEPTH_RESPONSE)
                return 0;
        error = d->path && streq(x->name, "response") ? r->func(r->userdata, d) : -EBADMSG;
        resource_clear(d);
        return error;
}

static int on_open(Reading *r, const Xml *x) {
        if (x->depth == 1 && !streq(x->name, "multistatus"))
                return -EBADMSG;
        if (x->depth == DEPTH_PROPERTY && streq(x->name, "resourcetype"))
                r->in_kind = true;
        if (x->depth == DEPTH_KIND && r->in_kind && streq(x->name, "collection"))
                r->resource.is_directory = true;
        return 0;
}

int multistatus_read(const void *data, size_t n, DavResourceFunc func, void *userdata) {
        Reading reading = { .func = func, .userdata = userdata };
        _cleanup_xml_ Xml x = XML_NULL;
        int r, error = 0;

        assert(func);

        xml_init(&x, data, n);
        while (error == 0 && (r = xml_next(&x)) > 0)
                if (r == XML_OPEN)
                        error = on_open(&reading, &x);
                else if (x.depth > 2 || !streq(x.name, "responsedescription"))
                        error = on_close(&reading, &x);
        resource_clear(&reading.resource);
        return error != 0 ? error : r;
}
