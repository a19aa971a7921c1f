#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A folder of a test program's own, in which it works and which goes with it:
 *
 *      _cleanup_test_folder_ char *folder = test_folder_enter();
 */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/test.h"

/* Makes it, and goes there; gives its path. */
static inline char *test_folder_enter(void) {
        char *path = strdup("/tmp/backupx-test-XXXXXX");

        CHECK(path);
        CHECK(mkdtemp(path));
        CHECK(chdir(path) == 0);
        return path;
}

/* A further one in it, for those who want an empty one; gives its name, which is the caller's to free. */
static inline char *test_folder_below(void) {
        char *name = strdup("below-XXXXXX");

        CHECK(name);
        CHECK(mkdtemp(name));
        return name;
}

static inline void test_folder_leave(char **path) {
        char command[64];

        CHECK(chdir("/") == 0);
        CHECK(snprintf(command, sizeof(command), "rm -rf '%s'", *path) < (int) sizeof(command));
        CHECK_INT(system(command), 0);
        free(*path);
}

#define _cleanup_test_folder_ __attribute__((cleanup(test_folder_leave), unused))
