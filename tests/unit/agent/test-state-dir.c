/* SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>
#include <sys/stat.h>

#include "agent/daemon/state-dir.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "tests/folder.h"
#include "tests/test.h"

static int open_folder(void) {
        _cleanup_(freep) char *below = test_folder_below(), *path = NULL;
        int fd;

        CHECK_OK(asprintf_safe(&path, "%s/a/b", below));
        fd = state_dir_open(path, NULL);
        CHECK_OK(fd);
        return fd;
}

static void test_choice(void) {
        /* given, its hash, stored, replaces: expected */
        static const char *const cases[][5] = {
                { NULL, NULL, NULL, NULL, NULL },
                { "G", "hg", NULL, NULL, "G" },
                { NULL, NULL, "S", "", "S" },
                { NULL, NULL, "S", "hx", "S" },
                { "G", "hg", "S", "hg", "S" },   /* rotated: the credential is read-only */
                { "G", "hg", "S", "hold", "G" }, /* the credential changed: a reinstall */
                { "G", "hg", "S", "", "G" },
                { "G", "hg", "S", NULL, "G" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *chosen = token_choose(cases[i][0], cases[i][1], cases[i][2], cases[i][3]);

                if (!streq_ptr(chosen, cases[i][4]))
                        TEST_FAIL("case %zu gives %s", i, strempty(chosen));
        }
}

static void test_identity(void) {
        _cleanup_close_ int fd = open_folder();
        _cleanup_failure_ Failure f = FAILURE_NULL;
        AgeIdentity a, b, c;
        struct stat st;

        CHECK_OK(state_identity(fd, &a, NULL));
        CHECK_OK(state_identity(fd, &b, NULL));
        CHECK_MEM(&a, &b, sizeof(a));
        CHECK_OK(fstatat(fd, "identity", &st, 0));
        CHECK_INT(st.st_mode & 07777, 0600);
        CHECK_OK(fstat(fd, &st));
        CHECK_INT(st.st_mode & 07777, 0700);
        /* A damaged one is never replaced. */
        CHECK_OK(write_file_atomic(fd, "identity", "AGE-SECRET-KEY-1", 16, 0600));
        CHECK(state_identity(fd, &c, &f) < 0);
        CHECK_STR(f.code, "IDENTITY_UNREADABLE");
}

static void test_agent_id(void) {
        _cleanup_close_ int fd = open_folder(), other = open_folder();
        char a[AGENT_ID_TEXT_MAX], b[AGENT_ID_TEXT_MAX], c[AGENT_ID_TEXT_MAX];

        CHECK_OK(state_agent_id(fd, a, NULL));
        CHECK_OK(state_agent_id(fd, b, NULL));
        CHECK_OK(state_agent_id(other, c, NULL));
        CHECK_STR(a, b);
        CHECK(!streq(a, c));
        CHECK_INT(strlen(a), AGENT_ID_TEXT_MAX - 1);
}

static void test_tokens(void) {
        _cleanup_close_ int fd = open_folder();
        _cleanup_(freep) char *given = NULL, *rotated = NULL, *alone = NULL, *reinstalled = NULL;
        char *none = NULL;

        CHECK_INT(state_token_load(fd, NULL, &none, NULL), -ENOKEY);
        CHECK_OK(state_token_load(fd, "bxn_first", &given, NULL));
        CHECK_STR(given, "bxn_first");
        CHECK_OK(state_token_save(fd, "bxn_second", "bxn_first"));
        CHECK_OK(state_token_load(fd, "bxn_first", &rotated, NULL));
        CHECK_STR(rotated, "bxn_second");
        CHECK_OK(state_token_load(fd, NULL, &alone, NULL));
        CHECK_STR(alone, "bxn_second");
        CHECK_OK(state_token_load(fd, "bxn_third", &reinstalled, NULL));
        CHECK_STR(reinstalled, "bxn_third");
}

static void test_clean(void) {
        char good[] = "bxn_abc\n", windows[] = "bxn_abc\r\n", empty[] = "\n", inner[] = "bxn abc",
             line[] = "Authorization: x\nbxn";

        CHECK_OK(token_clean(good));
        CHECK_STR(good, "bxn_abc");
        CHECK_OK(token_clean(windows));
        CHECK_STR(windows, "bxn_abc");
        CHECK_INT(token_clean(empty), -EINVAL);
        CHECK_INT(token_clean(inner), -EINVAL);
        CHECK_INT(token_clean(line), -EINVAL);
}

int main(void) {
        _cleanup_test_folder_ char *folder = test_folder_enter();

        RUN(test_choice);
        RUN(test_identity);
        RUN(test_agent_id);
        RUN(test_tokens);
        RUN(test_clean);
        return 0;
}
