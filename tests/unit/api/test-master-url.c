/* SPDX-License-Identifier: Apache-2.0 */

#include "base/text.h"
#include "services/api/master-url.h"
#include "tests/test.h"

static void test_good(void) {
        static const struct {
                const char *text, *url, *host;
                unsigned port;
                bool https, local;
        } table[] = {
                { "https://backup.example.com", NULL, "backup.example.com", 443, true, false },
                { "https://backup.example.com/", "https://backup.example.com", "backup.example.com", 443,
                  true, false },
                { "http://nas:8340", NULL, "nas", 8340, false, false },
                { "https://a.b/backup/x//", NULL, NULL, 0, false, false },
                { "https://a.b/back-up/x_1.~/", "https://a.b/back-up/x_1.~", "a.b", 443, true, false },
                { "https://192.0.2.1:65535", NULL, "192.0.2.1", 65535, true, false },
                { "https://[2001:db8::1]:8340", NULL, "2001:db8::1", 8340, true, false },
                { "http://[::1]", NULL, "::1", 80, false, true },
                { "http://127.0.0.5:8340", NULL, "127.0.0.5", 8340, false, true },
                { "http://LocalHost", NULL, "LocalHost", 80, false, true },
                { "http://localhost.example.com", NULL, "localhost.example.com", 80, false, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(master_url_done) MasterUrl u = MASTER_URL_NULL;

                if (!table[i].host) {
                        CHECK_INT(master_url_parse(table[i].text, &u, NULL), -EINVAL);
                        continue;
                }
                CHECK_OK(master_url_parse(table[i].text, &u, NULL));
                CHECK_STR(u.url, table[i].url ? table[i].url : table[i].text);
                CHECK_STR(u.host, table[i].host);
                CHECK_INT(u.port, table[i].port);
                CHECK_INT(u.is_https, table[i].https);
                CHECK_INT(master_url_is_local(&u), table[i].local);
        }
}

static void test_bad(void) {
        static const struct {
                const char *text, *why;
        } table[] = {
                { "", "has to begin with" },
                { "backup.example.com", "has to begin with" },
                { "ftp://a", "has to begin with" },
                { "HTTPS://a", "has to begin with" },
                { "https://", "names no host" },
                { "https:///x", "names no host" },
                { "https://:80", "names no host" },
                { "https://user@a", "user name or a password" },
                { "https://user:secret@a", "user name or a password" },
                { "https://a b", "characters that no host" },
                { "https://a$(id)", "characters that no host" },
                { "https://a'b", "characters that no host" },
                { "https://b\303\274cher.example", "characters that no host" },
                { "https://a\r\nX: y", "characters that no host" },
                { "https://a:", "its port is" },
                { "https://a:0", "its port is" },
                { "https://a:65536", "its port is" },
                { "https://a:80x", "its port is" },
                { "https://[::1", "bracket" },
                { "https://[::1/]", "bracket" },
                { "https://[1.2.3.4]", "names no host" },
                { "https://[::1]x", "names no host" },
                { "https://a?x", "query" },
                { "https://a#x", "fragment" },
                { "https://a/x?y", "query" },
                { "https://a/../b", "or . or .." },
                { "https://a/b/..", "or . or .." },
                { "https://a/./b", "or . or .." },
                { "https://a//b", "empty parts" },
                { "https://a/%2e%2e", "characters other" },
                { "https://a/b c", "characters other" },
                { "https://a/`id`", "characters other" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(master_url_done) MasterUrl u = MASTER_URL_NULL;
                _cleanup_failure_ Failure failure = FAILURE_NULL;

                CHECK_INT(master_url_parse(table[i].text, &u, &failure), -EINVAL);
                if (!strstr(failure.message, table[i].why))
                        TEST_FAIL("'%s': %s; expected: %s", table[i].text, failure.message, table[i].why);
                CHECK(!strstr(failure.message, "secret"));
        }
}

static void test_long(void) {
        char text[MASTER_URL_MAX + 2];
        _cleanup_(master_url_done) MasterUrl u = MASTER_URL_NULL;

        memset(text, 'a', sizeof(text) - 1);
        text[sizeof(text) - 1] = 0;
        memcpy(text, "https://", 8);
        CHECK_INT(master_url_parse(text, &u, NULL), -EINVAL);
}

int main(void) {
        RUN(test_good);
        RUN(test_bad);
        RUN(test_long);
        return EXIT_SUCCESS;
}
