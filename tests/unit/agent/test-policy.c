/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/common/policy.h"
#include "base/file.h"
#include "base/text.h"
#include "tests/folder.h"
#include "tests/test.h"

static void parse(const char *text, Policy *p) {
        _cleanup_failure_ Failure f = FAILURE_NULL;
        int r = policy_parse("policy.yaml", text, strlen(text), p, &f);

        if (r < 0)
                TEST_FAIL("%s", failure_message(&f, r));
}

static void test_empty_allows(void) {
        _cleanup_(policy_done) Policy p = POLICY_NULL;

        parse("", &p);
        CHECK_OK(policy_check_backup(&p, "/", NULL));
        CHECK_OK(policy_check_backup(&p, "/etc/shadow", NULL));
        CHECK_OK(policy_check_restore(&p, "/", NULL));
        CHECK_OK(policy_check_restore_any(&p, NULL));
        CHECK_OK(policy_check_listing(&p, "/root", NULL));
}

static void test_backup_rules(void) {
        static const struct {
                const char *path;
                int result;
                const char *rule;
        } cases[] = {
                { "/srv", 0, NULL },
                { "/srv/web", 0, NULL },
                { "/srv/secret", -EPERM, "backup.deny: /srv/secret" },
                { "/srv/secret/key", -EPERM, "backup.deny: /srv/secret" },
                { "/srv/secretary", 0, NULL },
                { "/srvx", -EPERM, "backup.allow" },
                { "/", -EPERM, "backup.allow" },
                { "/etc", -EPERM, "backup.allow" },
                { "/home/ann", 0, NULL },
                { "/srv/../etc", -EPERM, "without" },
                { "/srv/./web", -EPERM, "without" },
                { "/srv//web", -EPERM, "without" },
                { "srv", -EPERM, "absolute" },
                { "", -EPERM, "absolute" },
        };
        _cleanup_(policy_done) Policy p = POLICY_NULL;

        parse("backup:\n  allow: [/srv, /home/]\n  deny: [/srv/secret]\n", &p);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_failure_ Failure f = FAILURE_NULL;

                CHECK_INT(policy_check_backup(&p, cases[i].path, &f), cases[i].result);
                if (cases[i].result == 0)
                        continue;
                CHECK_STR(f.code, "POLICY_DENIED");
                if (!strstr(f.message, cases[i].rule))
                        TEST_FAIL("'%s' does not name '%s'", f.message, cases[i].rule);
        }
}

static void test_root_rules(void) {
        _cleanup_(policy_done) Policy p = POLICY_NULL, q = POLICY_NULL;

        parse("backup:\n  allow: [/]\n", &p);
        CHECK_OK(policy_check_backup(&p, "/anything", NULL));
        parse("backup:\n  deny: [/]\n", &q);
        CHECK_INT(policy_check_backup(&q, "/anything", NULL), -EPERM);
        CHECK_INT(policy_check_backup(&q, "/", NULL), -EPERM);
}

static void test_restore(void) {
        _cleanup_(policy_done) Policy off = POLICY_NULL, some = POLICY_NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;

        parse("restore:\n  allow: off\n", &off);
        CHECK_INT(policy_check_restore_any(&off, &f), -EPERM);
        CHECK(strstr(f.message, "restore.allow: off"));
        CHECK_INT(policy_check_restore(&off, "/srv/restore", NULL), -EPERM);

        parse("restore:\n  allow:\n    - /srv/restore\n", &some);
        CHECK_OK(policy_check_restore_any(&some, NULL));
        CHECK_OK(policy_check_restore(&some, "/srv/restore/today", NULL));
        CHECK_INT(policy_check_restore(&some, "/srv", NULL), -EPERM);
        CHECK_INT(policy_check_restore(&some, "/", NULL), -EPERM);
}

static void test_listing(void) {
        _cleanup_(policy_done) Policy p = POLICY_NULL;

        parse("listing:\n  deny: [/root]\n", &p);
        CHECK_OK(policy_check_listing(&p, "/", NULL));
        CHECK_INT(policy_check_listing(&p, "/root", NULL), -EPERM);
        CHECK_INT(policy_check_listing(&p, "/root/.ssh", NULL), -EPERM);
        CHECK_OK(policy_check_listing(&p, "/rooted", NULL));
}

static void test_storage(void) {
        _cleanup_(policy_done) Policy none = POLICY_NULL, one = POLICY_NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;
        const char *own = "/var/lib/backupx-agent/storage";

        CHECK_OK(policy_check_storage(&none, own, "/var/lib/backupx-agent/storage", NULL));
        CHECK_OK(policy_check_storage(&none, own, "/var/lib/backupx-agent/storage/disk", NULL));
        CHECK_INT(policy_check_storage(&none, own, "/var/lib/backupx-agent/results", NULL), -EPERM);
        CHECK_INT(policy_check_storage(&none, own, "/mnt/disk", &f), -EPERM);
        CHECK(strstr(f.message, "backupx agent allow-storage /mnt/disk"));
        parse("storage:\n  allow: [/mnt/disk]\n", &one);
        CHECK_OK(policy_check_storage(&one, own, "/mnt/disk/web", NULL));
        CHECK_INT(policy_check_storage(&one, own, "/mnt", NULL), -EPERM);
}

static void test_hooks(void) {
        _cleanup_(policy_done) Policy all = POLICY_NULL, one = POLICY_NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;

        CHECK_OK(policy_check_hook(&all, "freeze", NULL));
        CHECK_INT(policy_check_hook(&all, "../freeze", NULL), -EPERM);
        CHECK_INT(policy_check_hook(&all, "", NULL), -EPERM);
        parse("hooks: [freeze]\n", &one);
        CHECK_OK(policy_check_hook(&one, "freeze", NULL));
        CHECK_INT(policy_check_hook(&one, "freezer", &f), -EPERM);
        CHECK_STR(f.code, "POLICY_DENIED");
}

static void test_refused(void) {
        static const char *const texts[] = {
                "backup:\n  alow: [/srv]\n",
                "backup:\n  allow: [srv]\n",
                "bakcup:\n  allow: [/srv]\n",
                "hooks: [../evil]\n",
                "hooks: [.hidden]\n",
                "backup: [/srv]\n",
                "backup:\n  allow: {a: b}\n",
                "- a\n",
                "backup:\n  allow: [/srv\n",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(policy_done) Policy p = POLICY_NULL;
                _cleanup_failure_ Failure f = FAILURE_NULL;

                CHECK(policy_parse("policy.yaml", texts[i], strlen(texts[i]), &p, &f) < 0);
                CHECK(strstr(f.message, "policy.yaml"));
        }
}

static void test_load(void) {
        _cleanup_test_folder_ char *folder = test_folder_enter();
        char path[128], drop_in[160];
        _cleanup_(policy_done) Policy missing = POLICY_NULL, merged = POLICY_NULL, bad = POLICY_NULL;
        _cleanup_failure_ Failure f = FAILURE_NULL;
        const char *text = "backup:\n  deny: [/a]\n", *more = "storage:\n  allow: [/mnt/x]\n";

        snprintf(path, sizeof(path), "%s/policy.yaml", folder);
        CHECK_OK(policy_load(path, &missing, NULL));
        CHECK_OK(policy_check_backup(&missing, "/a", NULL));

        CHECK_OK(write_file_atomic(AT_FDCWD, path, text, strlen(text), 0600));
        snprintf(drop_in, sizeof(drop_in), "%s.d", path);
        CHECK_OK(mkdir_p(drop_in, 0700));
        strcat(drop_in, "/storage.yaml");
        CHECK_OK(write_file_atomic(AT_FDCWD, drop_in, more, strlen(more), 0600));
        CHECK_OK(policy_load(path, &merged, NULL));
        CHECK_INT(policy_check_backup(&merged, "/a", NULL), -EPERM);
        CHECK_OK(policy_check_storage(&merged, "/own", "/mnt/x", NULL));

        CHECK_OK(write_file_atomic(AT_FDCWD, path, "x: y\n", 5, 0600));
        CHECK(policy_load(path, &bad, &f) < 0);
        CHECK_STR(f.code, "POLICY_INVALID");
        CHECK(strstr(f.message, ":1"));
}

int main(void) {
        RUN(test_empty_allows);
        RUN(test_backup_rules);
        RUN(test_root_rules);
        RUN(test_restore);
        RUN(test_listing);
        RUN(test_storage);
        RUN(test_hooks);
        RUN(test_refused);
        RUN(test_load);
        return 0;
}
