/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "storage/multistatus.h"
#include "tests/test.h"

static const char apache[] =
                "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
                "<D:multistatus xmlns:D=\"DAV:\" xmlns:ns0=\"DAV:\">\n"
                "<D:response xmlns:lp1=\"DAV:\" xmlns:g0=\"DAV:\">\n"
                "<D:href>/back%20ups/</D:href>\n"
                "<D:propstat><D:prop>\n"
                "<lp1:resourcetype><D:collection/></lp1:resourcetype>\n"
                "<lp1:getlastmodified>Mon, 23 Nov 2026 08:37:43 GMT</lp1:getlastmodified>\n"
                "</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>\n"
                "<D:propstat><D:prop><g0:getcontentlength/><g0:quota-available-bytes/></D:prop>\n"
                "<D:status>HTTP/1.1 404 Not Found</D:status></D:propstat>\n"
                "</D:response>\n"
                "<D:response><D:href>http://127.0.0.1/back%20ups/a%2bb</D:href>\n"
                "<D:propstat><D:prop><lp1:resourcetype/><lp1:getcontentlength>12345</lp1:getcontentlength>\n"
                "<D:quota-available-bytes>100</D:quota-available-bytes>"
                "<D:quota-used-bytes>20</D:quota-used-bytes>\n"
                "</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>\n"
                "</D:multistatus>\n";

typedef struct Seen {
        unsigned n;
        char *paths[4];
        DavResource resources[4];
} Seen;

static int on_resource(void *userdata, const DavResource *d) {
        Seen *s = userdata;

        CHECK(s->n < ELEMENTSOF(s->paths));
        s->paths[s->n] = strdup(d->path);
        CHECK(s->paths[s->n]);
        s->resources[s->n++] = *d;
        return 0;
}

static void seen_done(Seen *s) {
        for (unsigned i = 0; i < s->n; i++)
                free(s->paths[i]);
}

static void test_apache(void) {
        _cleanup_(seen_done) Seen s = {};

        CHECK_OK(multistatus_read(apache, strlen(apache), on_resource, &s));
        CHECK_INT(s.n, 2);
        CHECK_STR(s.paths[0], "/back ups/");
        CHECK(s.resources[0].is_directory);
        CHECK(!s.resources[0].has_size);
        CHECK(!s.resources[0].has_quota);
        CHECK_INT(s.resources[0].modified, UINT64_C(1795423063) * USEC_PER_SEC);
        CHECK_STR(s.paths[1], "/back ups/a+b");
        CHECK(!s.resources[1].is_directory);
        CHECK_INT(s.resources[1].size, 12345);
        CHECK(s.resources[1].has_quota);
        CHECK_INT(s.resources[1].free_bytes, 100);
        CHECK_INT(s.resources[1].used_bytes, 20);
}

static void test_gone(void) {
        static const char text[] = "<d:multistatus xmlns:d='DAV:'><d:response><d:href>/x</d:href>"
                                   "<d:status>HTTP/1.1 404 Not Found</d:status></d:response>"
                                   "</d:multistatus>";
        _cleanup_(seen_done) Seen s = {};

        CHECK_OK(multistatus_read(text, strlen(text), on_resource, &s));
        CHECK_INT(s.n, 1);
        CHECK(s.resources[0].is_gone);
}

static int stop(void *userdata, const DavResource *d) {
        ++*(unsigned *) userdata;
        return 7;
}

static void test_stopped(void) {
        unsigned n = 0;

        CHECK_INT(multistatus_read(apache, strlen(apache), stop, &n), 7);
        CHECK_INT(n, 1);
}

/* An answer that is cut short, or is another, is no list. */
static void test_refused(void) {
        static const char *const texts[] = {
                "",
                "<html><body>404</body></html>",
                "<multistatus>",
                "<multistatus><response></response></multistatus>",
                "<multistatus><response><href>x</href></response></multistatus>",
                "<multistatus><response><href>/x%0</href></response></multistatus>",
                "<multistatus><response><href>/x%00y</href></response></multistatus>",
                "<multistatus><response><href>http:/x</href></response></multistatus>",
                ("<multistatus><response><href>/x</href><propstat><prop>"
                 "<getcontentlength>1k</getcontentlength></prop></propstat></response></multistatus>"),
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                unsigned n = 0;

                CHECK_INT(multistatus_read(texts[i], strlen(texts[i]), stop, &n), -EBADMSG);
                CHECK_INT(n, 0);
        }
        for (size_t n = 0; n < strlen(apache) - 1; n += 7) {
                _cleanup_(seen_done) Seen s = {};

                CHECK_INT(multistatus_read(apache, n, on_resource, &s), -EBADMSG);
        }
}

int main(void) {
        RUN(test_apache);
        RUN(test_gone);
        RUN(test_stopped);
        RUN(test_refused);
        return 0;
}
