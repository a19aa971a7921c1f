/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/dropin.h"
#include "tests/test.h"

static void test_escape(void) {
        static const struct {
                const char *path, *escaped;
        } cases[] = {
                { "/srv/backup", "srv-backup" },
                { "/srv/back-up", "srv-back\\x2dup" },
                { "/srv//a/", "srv-a" },
                { "/", "-" },
                { "/.hidden", "\\x2ehidden" },
                { "/a b", "a\\x20b" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(freep) char *escaped = NULL;

                CHECK_OK(dropin_escape(cases[i].path, &escaped));
                CHECK_STR(escaped, cases[i].escaped);
        }
}

static void test_directories(void) {
        static const char *const refused[] = { "/", "/etc", "/etc/ssl",
                                               "/usr", "/root", "/proc/self",
                                               "/home", "relative", "/nowhere/at/all",
                                               "/var/../etc", "/bin", "/dev/null" };
        char folder[] = "/var/tmp/test-dropin-XXXXXX";
        _cleanup_(freep) char *resolved = NULL, *link = NULL;

        for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
                _cleanup_(failure_done) Failure f = FAILURE_NULL;
                _cleanup_(freep) char *path = NULL;

                CHECK(dropin_check_directory(refused[i], &path, &f) < 0);
                CHECK(f.message && f.message[0]);
                CHECK(!path);
        }
        CHECK(mkdtemp(folder));
        CHECK_OK(asprintf_safe(&link, "%s/link", folder));
        CHECK(symlink("/etc", link) == 0);
        CHECK_OK(dropin_check_directory(folder, &resolved, NULL));
        CHECK_STR(resolved, folder);
        /* A link is what it points to. */
        CHECK(dropin_check_directory(link, &resolved, NULL) < 0);
        CHECK(unlink(link) == 0 && rmdir(folder) == 0);
}

static void test_list(void) {
        char folder[] = "/tmp/test-dropin-XXXXXX";
        _cleanup_(freep) char *path = NULL, *text = NULL;

        CHECK(mkdtemp(folder));
        CHECK_OK(asprintf_safe(&path, "%s/policy.yaml", folder));
        CHECK_INT(dropin_list_add(path, "storage", "allow", "/srv/a", NULL), 1);
        CHECK_INT(dropin_list_add(path, "storage", "allow", "/srv/b", NULL), 1);
        CHECK_INT(dropin_list_add(path, "storage", "allow", "/srv/a", NULL), 0);
        CHECK_OK(read_file(AT_FDCWD, path, 4096, &text, NULL));
        CHECK_STR(text, "# Written by backupx.\nstorage:\n  allow:\n    - \"/srv/a\"\n    - \"/srv/b\"\n");
        /* What somebody else wrote into the file is not lost silently. */
        CHECK_OK(write_file_atomic(AT_FDCWD, path, "backup:\n  deny: [/x]\n", 21, 0644));
        CHECK(dropin_list_add(path, "storage", "allow", "/srv/c", NULL) < 0);
        CHECK(unlink(path) == 0 && rmdir(folder) == 0);
}

int main(void) {
        RUN(test_escape);
        RUN(test_directories);
        RUN(test_list);
        return 0;
}
