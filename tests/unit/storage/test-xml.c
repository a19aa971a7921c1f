/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "storage/xml.h"
#include "tests/test.h"

/* The events as text: "+name", "-name=text"; "!" where it was refused. */
static char *events(const char *document, size_t n) {
        _cleanup_xml_ Xml x = XML_NULL;
        _cleanup_buffer_ Buffer out = BUFFER_NULL;
        int r;

        xml_init(&x, document, n);
        while ((r = xml_next(&x)) > 0)
                CHECK_OK(r == XML_OPEN ? buffer_printf(&out, "+%s ", x.name) :
                                         buffer_printf(&out, "-%s=%s ", x.name, strempty(x.text.data)));
        if (r < 0) {
                CHECK_INT(r, -EBADMSG);
                CHECK_OK(buffer_add_string(&out, "!"));
        }
        return buffer_take(&out);
}

static void check(const char *document, const char *expected) {
        char *got = events(document, strlen(document));

        CHECK_STR(got, expected);
        free(got);
}

static void test_well_formed(void) {
        check("<a/>", "+a -a= ");
        check("<a></a>", "+a -a= ");
        check("\xef\xbb\xbf<?xml version='1.0'?>\n<!-- c -->\n<a>t</a>\n", "+a -a=t ");
        check("<n:a xmlns:n='u' b=\"x>'y\"><c>1</c>between<n:d/>end</n:a >", "+a +c -c=1 +d -d= -a=end ");
        check("<a>&lt;&gt;&amp;&quot;&apos;&#65;&#x20ac;&#x1F600;</a>",
              "+a -a=<>&\"'A\xe2\x82\xac\xf0\x9f\x98\x80 ");
        check("<a>x<![CDATA[<b>&amp;]]>y<!-- <c> -->z<?p?></a>", "+a -a=x<b>&amp;yz ");
}

static void test_refused(void) {
        static const char *const bad[] = {
                "",
                "text",
                "<a>",
                "</a>",
                "<a></b>",
                "<a/><b/>",
                "<a/>x",
                "<a",
                "<a b>",
                "<a b=c/>",
                "<a b='/>",
                "<a b='1'c='2'/>",
                "<>",
                "< a/>",
                "<a>&nbsp;</a>",
                "<a>&#0;</a>",
                "<a>&#xD800;</a>",
                "<a>&#x110000;</a>",
                "<a>&#99999999999999999999;</a>",
                "<a>&#;</a>",
                "<a>&#65</a>",
                "<a>\xff</a>",
                "<!DOCTYPE a><a/>",
                "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
                "<a><![CDATA[x</a>",
                "<!-- <a/>",
                "<![CDATA[x]]><a/>",
                "<a>]]><b></a></b>",
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                char *got = events(bad[i], strlen(bad[i]));

                if (!endswith(got, "!"))
                        TEST_FAIL("'%s' was taken: %s", bad[i], got);
                free(got);
        }
}

static void test_bounds(void) {
        _cleanup_buffer_ Buffer deep = BUFFER_NULL, text = BUFFER_NULL, name = BUFFER_NULL;
        char *got;

        for (unsigned i = 0; i <= XML_DEPTH_MAX; i++)
                CHECK_OK(buffer_add_string(&deep, "<a>"));
        got = events(deep.data, deep.size);
        CHECK_INT(strlen(got), XML_DEPTH_MAX * 3 + 1);
        free(got);
        CHECK_OK(buffer_add_string(&text, "<a>"));
        for (unsigned i = 0; i < 1 << 17; i++)
                CHECK_OK(buffer_add_string(&text, "x"));
        CHECK_OK(buffer_add_string(&text, "</a>"));
        got = events(text.data, text.size);
        CHECK_STR(got, "+a !");
        free(got);
        CHECK_OK(buffer_add_string(&name, "<"));
        for (unsigned i = 0; i <= XML_NAME_MAX; i++)
                CHECK_OK(buffer_add_string(&name, "x"));
        CHECK_OK(buffer_add_string(&name, "/>"));
        got = events(name.data, name.size);
        CHECK_STR(got, "!");
        free(got);
        /* A NUL is no text. */
        got = events("<a>x\0y</a>", 10);
        CHECK_STR(got, "+a !");
        free(got);
        got = events("<a><![CDATA[x\0y]]></a>", 22);
        CHECK_STR(got, "+a !");
        free(got);
}

int main(void) {
        RUN(test_well_formed);
        RUN(test_refused);
        RUN(test_bounds);
        return 0;
}
