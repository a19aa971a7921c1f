/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/place.h"
#include "base/text.h"
#include "tests/folder.h"
#include "tests/test.h"

static void test_beside_program(void) {
        _cleanup_(freep) char *self = NULL, *none = NULL;

        CHECK_OK(place_beside_program("test-place", &self));
        CHECK(self[0] == '/');
        CHECK(endswith(self, "/test-place"));
        CHECK_INT(place_beside_program("no-such-program", &none), -ENOENT);
        CHECK(!none);
}

static void test_first_readable(void) {
        static const char *const none[] = { "no-such-file", "no-such-folder/x", NULL };
        static const char *const some[] = { "no-such-file", "b", "a", NULL };

        CHECK_OK(write_file_atomic(AT_FDCWD, "a", "a", 1, 0600));
        CHECK_OK(write_file_atomic(AT_FDCWD, "b", "b", 1, 0600));
        CHECK(!place_first_readable(none));
        CHECK_STR(place_first_readable(some), "b");
}

static void test_ca_bundle(void) {
        /* What the library has is right: it is left alone. */
        CHECK_OK(write_file_atomic(AT_FDCWD, "bundle", "x", 1, 0600));
        CHECK(!place_ca_bundle("bundle"));
        /* It is not: this machine has one of the known ones, ca-certificates is a package of the build. */
        CHECK(place_ca_bundle("no-such-file"));
        CHECK_INT(access(place_ca_bundle("no-such-file"), R_OK), 0);
        CHECK_STR(place_ca_bundle(NULL), place_ca_bundle("no-such-file"));
}

int main(void) {
        _cleanup_test_folder_ char *folder = test_folder_enter();

        RUN(test_beside_program);
        RUN(test_first_readable);
        RUN(test_ca_bundle);
        return EXIT_SUCCESS;
}
