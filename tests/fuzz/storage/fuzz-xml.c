/* SPDX-License-Identifier: Apache-2.0 */

/* Answers of storage servers: every element that begins ends, and what is given is text. */

#include "base/text.h"
#include "storage/xml.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_xml_ Xml x = XML_NULL;
        unsigned depth = 0;
        int r;

        xml_init(&x, data, size);
        while ((r = xml_next(&x)) > 0) {
                CHECK(strlen(x.name) <= XML_NAME_MAX);
                if (r == XML_OPEN)
                        depth++;
                CHECK_INT(x.depth, depth);
                CHECK(depth > 0 && depth <= XML_DEPTH_MAX);
                if (r == XML_CLOSE) {
                        CHECK(utf8_is_valid(strempty(x.text.data), x.text.size));
                        CHECK_INT(strlen(strempty(x.text.data)), x.text.size);
                        depth--;
                }
        }
        if (r == XML_END)
                CHECK_INT(depth, 0);
        else
                CHECK_INT(r, -EBADMSG);
        return 0;
}
