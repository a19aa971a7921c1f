/* SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "services/api/own-names.h"
#include "tests/test.h"

/* The names, with a space between them. */
static char *join(char *const *names) {
        char *text = strdup("");

        CHECK(text);
        STRV_FOREACH(name, names) {
                char *longer = NULL;

                CHECK_OK(asprintf_safe(&longer, "%s%s%s", text, *text ? " " : "", *name));
                free(text);
                text = longer;
        }
        return text;
}

static void test_hosts(void) {
        static const struct {
                const char *text, *names;
        } table[] = {
                { "127.0.0.1 localhost\n127.0.1.1\tweb-1.example.com web-1\n", "web-1.example.com web-1" },
                { "192.0.2.1 web-1 www.example.com # web-1.wrong\n", "web-1 www.example.com" },
                { "192.0.2.1 WEB-1.example.com WEB-1\n", "WEB-1.example.com WEB-1" },
                { "127.0.0.1 localhost localhost.localdomain ip6-localhost web-1\n", "web-1" },
                { "192.0.2.1 other\nweb-1 other\n#192.0.2.1 web-1 old\n", "" },
                { "192.0.2.1 web-10 x\n\n   \n", "" },
                { "192.0.2.1 web-1 a b c d e f g h i\n", "web-1 a b c d e f g" },
                { "192.0.2.1 web-1", "web-1" },
                { "", "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(strv_freep) char **names = NULL;
                _cleanup_(freep) char *text = NULL;

                CHECK_OK(own_names_of_hosts(table[i].text, "web-1", &names));
                text = join(names);
                CHECK_STR(text, table[i].names);
        }
}

static void test_addresses(void) {
        _cleanup_(strv_freep) char **names = NULL;
        _cleanup_(freep) char *text = NULL;

        CHECK_OK(own_names_of_addresses("[\"192.0.2.7\",\"2001:db8::7\",\"::1\",\"127.0.0.1\",\"fe80::1\","
                                        "\"ff02::1\",\"::\",\"0.0.0.0\",\"x\",7,\"2001:DB8:0::7\"]",
                                        &names));
        CHECK_OK(own_names_of_addresses(NULL, &names));
        CHECK_OK(own_names_of_addresses("nonsense", &names));
        text = join(names);
        CHECK_STR(text, "192.0.2.7 2001:db8::7");
}

int main(void) {
        RUN(test_hosts);
        RUN(test_addresses);
        return EXIT_SUCCESS;
}
