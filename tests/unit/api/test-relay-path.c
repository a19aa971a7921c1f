/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>

#include "base/alloc.h"
#include "base/text.h"
#include "services/api/relay-path.h"
#include "tests/test.h"

static void test_keys(void) {
        static const char *const good[] = { "a", "a/b", "..a", "a..", ".a/b", "a b/\xc3\xbc", ".backup" };
        static const char *const bad[] = { "", "/", "/a", "a/", "a//b", ".", "..", "a/.", "a/../b", "../a",
                                           ".backupx-staging", "a/.backupx-x", "a/\xff" };
        char longest[RELAY_KEY_MAX + 2];

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                if (!relay_key_is_valid(good[i]))
                        TEST_FAIL("'%s' was refused", good[i]);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (relay_key_is_valid(bad[i]))
                        TEST_FAIL("'%s' was taken", bad[i]);
        memset(longest, 'a', sizeof(longest));
        longest[256] = 0;
        CHECK(!relay_key_is_valid(longest));
        longest[255] = 0;
        CHECK(relay_key_is_valid(longest));
        for (size_t i = 0; i < sizeof(longest) - 1; i++)
                longest[i] = i % 2 ? '/' : 'a';
        longest[RELAY_KEY_MAX + 1] = 0;
        CHECK(!relay_key_is_valid(longest));
        longest[RELAY_KEY_MAX - 1] = 0;
        CHECK(relay_key_is_valid(longest));
}

static void test_prefixes(void) {
        _cleanup_(freep) char *with = NULL, *without = NULL;

        CHECK(relay_prefix_is_valid("") && relay_prefix_is_valid("a/") && relay_prefix_is_valid("a/b/"));
        CHECK(!relay_prefix_is_valid("a") && !relay_prefix_is_valid("/") && !relay_prefix_is_valid("a//"));
        CHECK(!relay_prefix_is_valid("../") && !relay_prefix_is_valid("a/./"));
        CHECK_OK(relay_prefix_of("web-1/etc/time-12-", 3, &with));
        CHECK_STR(with, "web-1/etc/time-12-3/");
        CHECK_OK(relay_prefix_of("web-1/", 3, &without));
        CHECK_STR(without, "web-1/");
}

static void test_directories(void) {
        char *const allowed[] = { (char *) "/srv/relay", (char *) "/mnt/", NULL };

        CHECK(relay_directory_is_allowed("/srv/relay", allowed));
        CHECK(relay_directory_is_allowed("/srv/relay/a", allowed));
        CHECK(!relay_directory_is_allowed("/srv/relay2", allowed));
        CHECK(!relay_directory_is_allowed("/srv", allowed));
        CHECK(relay_directory_is_allowed("/mnt/x", allowed));
        CHECK(!relay_directory_is_allowed("/srv/relay", NULL));
}

static void test_ranges(void) {
        static const struct {
                const char *text;
                int r;
                uint64_t offset, length;
        } table[] = {
                { "bytes=0-0", 0, 0, 1 },
                { "bytes=5-9", 0, 5, 5 },
                { "bytes=5-", 0, 5, 95 },
                { "bytes=-5", 0, 95, 5 },
                { "bytes=-500", 0, 0, 100 },
                { "bytes=99-500", 0, 99, 1 },
                { "bytes=0-9223372036854775807", 0, 0, 100 },
                { "bytes=100-", -ERANGE, 0, 0 },
                { "bytes=100-200", -ERANGE, 0, 0 },
                { "bytes=-0", -ERANGE, 0, 0 },
                { "bytes=9-5", -EINVAL, 0, 0 },
                { "bytes=", -EINVAL, 0, 0 },
                { "bytes=-", -EINVAL, 0, 0 },
                { "bytes=a-b", -EINVAL, 0, 0 },
                { "bytes=1-2,3-4", -EINVAL, 0, 0 },
                { "bytes= 1-2", -EINVAL, 0, 0 },
                { "bytes=1", -EINVAL, 0, 0 },
                { "lines=1-2", -EINVAL, 0, 0 },
                { "bytes=99999999999999999999999999-", -EINVAL, 0, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint64_t offset = 0, length = 0;
                int r = relay_parse_range(table[i].text, 100, &offset, &length);

                if (r != table[i].r || offset != table[i].offset || length != table[i].length)
                        TEST_FAIL("'%s' gave %d, %" PRIu64 " + %" PRIu64, table[i].text, r, offset, length);
        }
        CHECK_INT(relay_parse_range("bytes=0-", 0, &(uint64_t){ 0 }, &(uint64_t){ 0 }), -ERANGE);
}

static void test_staged_names(void) {
        static const char *const bad[] = {
                "",
                "x",
                "0123456789abcdef0123456789abcdef",
                "0123456789abcdef0123456789abcdef.1-2",
                "0123456789abcdef0123456789abcdef.0-2.x",
                "0123456789abcdef0123456789abcdef.-1-2.x",
                "0123456789abcdef0123456789abcdef.1.2",
                "0123456789abcdef0123456789abcdef.1-99999999999.x",
                "0123456789abcdef0123456789abcdeX.1-2.x",
        };
        const RelayStaged s = { .upload = "0123456789abcdef0123456789abcdef", .command = 12, .attempt = 3 };
        char name[RELAY_STAGED_MAX], other[RELAY_STAGED_MAX];
        RelayStaged back;

        CHECK_OK(relay_staged_name(&s, "a/b", name));
        CHECK_OK(relay_staged_name(&s, "a/c", other));
        CHECK(!streq(name, other));
        CHECK_OK(relay_staged_parse(name, &back));
        CHECK_STR(back.upload, s.upload);
        CHECK_INT(back.command, 12);
        CHECK_INT(back.attempt, 3);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (relay_staged_parse(bad[i], &back) != -EINVAL)
                        TEST_FAIL("'%s' was taken", bad[i]);
        CHECK(relay_upload_id_is_valid(s.upload));
        CHECK(!relay_upload_id_is_valid("../../../../../../../etc/passwd0"));
}

static void test_locks(void) {
        static const char *const none[] = {
                "n/r/locks/",
                "n/r/locks",
                "n/r/data/ab/x",
                "n/r/locks/x/y",
                "n/r/n/r/locks/x",
                "other/locks/x",
                "n/r/config",
                "n/rlocks/x",
                "locks/x",
        };

        CHECK(relay_key_is_lock("n/r/", "n/r/locks/0123"));
        for (size_t i = 0; i < ELEMENTSOF(none); i++)
                if (relay_key_is_lock("n/r/", none[i]))
                        TEST_FAIL("'%s' was taken for a lock", none[i]);
}

static void test_what_opens(void) {
        static const char *const others[] = { "n/r/data/00/0123", "n/r/configs", "n/r/keys", "n/r/locks/x",
                                              "n/r2/config", "config", "keys/0123" };

        CHECK(relay_key_opens("n/r/", "n/r/config"));
        CHECK(relay_key_opens("n/r/", "n/r/keys/0123"));
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                if (relay_key_opens("n/r/", others[i]))
                        TEST_FAIL("'%s' was taken for what opens a repository", others[i]);
}

int main(void) {
        RUN(test_keys);
        RUN(test_prefixes);
        RUN(test_directories);
        RUN(test_ranges);
        RUN(test_staged_names);
        RUN(test_locks);
        RUN(test_what_opens);
        return EXIT_SUCCESS;
}
