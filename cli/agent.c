/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "cli/agent-uninstall.h"
#include "cli/agent.h"
#include "cli/command.h"
#include "cli/dropin.h"
#include "cli/program.h"

#define AGENT_USER "backupx"
#define POLICY_DROPIN "/etc/backupx-agent/policy.yaml.d/storage.yaml"

/* Whether the agent's user may write to a directory by owner and mode; ACLs are looked at by the test of a
 * target, which says so. */
static bool user_owns(const struct passwd *user, const struct stat *st) {
        if (st->st_uid == user->pw_uid)
                return (st->st_mode & S_IRWXU) == S_IRWXU;
        if (st->st_gid == user->pw_gid)
                return (st->st_mode & S_IRWXG) == S_IRWXG;
        return (st->st_mode & S_IRWXO) == S_IRWXO;
}

/* An empty directory of root becomes the agent's; one in use is left to its owner, who is told. */
static int make_writable(const char *directory, Failure *reterr_failure) {
        const struct passwd *user = getpwnam(AGENT_USER);
        struct stat st;

        if (!user)
                return failure_set(reterr_failure, -ESRCH, "NO_USER",
                                   "The user " AGENT_USER " does not exist: is the agent installed?");
        if (stat(directory, &st) < 0)
                return failure_set(reterr_failure, -errno, "DIRECTORY", "'%s' cannot be used: %m",
                                   directory);
        if (user_owns(user, &st))
                return 0;
        /* Only an empty directory can be removed and made again; one that cannot is in use. */
        if (st.st_uid != 0 || rmdir(directory) < 0)
                return failure_set(reterr_failure, -EACCES, "DIRECTORY",
                                   "The user " AGENT_USER
                                   " cannot write to '%s', and it is in use. Allow it, for "
                                   "example: setfacl -m u:" AGENT_USER ":rwx '%s'",
                                   directory, directory);
        if (mkdir(directory, 0700) < 0 || chown(directory, user->pw_uid, user->pw_gid) < 0)
                return failure_set(reterr_failure, -errno, "DIRECTORY", "'%s' cannot be made: %m",
                                   directory);
        return 0;
}

int agent_allow_storage(const char *directory, Failure *reterr_failure) {
        static const char *const units[] = { "backupx-backup@.service", "backupx-probe@.service" };
        _cleanup_(freep) char *resolved = NULL;
        int r;

        assert(directory);

        r = dropin_need_root("open a directory to backup jobs", reterr_failure);
        if (r >= 0)
                r = dropin_check_directory(directory, &resolved, reterr_failure);
        if (r >= 0)
                r = make_writable(resolved, reterr_failure);
        for (size_t i = 0; i < ELEMENTSOF(units) && r >= 0; i++)
                r = dropin_allow(units[i], resolved, reterr_failure);
        if (r >= 0)
                r = dropin_list_add(POLICY_DROPIN, "storage", "allow", resolved, reterr_failure);
        if (r < 0)
                return r;
        /* Running jobs keep what they were started with; the next ones have the directory. */
        if (dropin_have_systemd() &&
            dropin_run((const char *const[]){ "systemctl", "daemon-reload", NULL }) != 0)
                return failure_set(reterr_failure, -EIO, "SYSTEMCTL", "systemctl daemon-reload failed.");
        printf("Backup jobs of this machine may write to %s now.\n", resolved);
        return 0;
}

static bool is_help(const char *argument) {
        return streq(argument, "--help") || streq(argument, "-h");
}

static int allow_storage_main(int argc, char **argv, Failure *reterr_failure) {
        if (argc != 3 || argv[2][0] == '-') {
                fprintf(stderr,
                        "backupx agent allow-storage DIR\n\nLets backup jobs of this machine write to DIR, "
                        "which a target of the type local may name then.\n");
                return argc == 3 && is_help(argv[2]) ? EXIT_DONE : EXIT_USAGE;
        }
        return agent_allow_storage(argv[2], reterr_failure);
}

static int uninstall_main(int argc, char **argv, Failure *reterr_failure) {
        bool purge = argc == 3 && streq(argv[2], "--purge");

        if (argc > 2 && !purge) {
                fprintf(stderr,
                        "backupx agent uninstall [--purge]\n\nRemoves the agent that the installer put on "
                        "this machine. With --purge its configuration, key and token, too, and what it "
                        "stored below /var/lib/backupx-agent.\n");
                return argc == 3 && is_help(argv[2]) ? EXIT_DONE : EXIT_USAGE;
        }
        return agent_uninstall(purge, reterr_failure);
}

int agent_main(int argc, char **argv) {
        _cleanup_(failure_done) Failure failure = FAILURE_NULL;
        int r;

        assert(argc >= 1);
        assert(argv);

        if (argc > 1 && streq(argv[1], "allow-storage"))
                r = allow_storage_main(argc, argv, &failure);
        else if (argc > 1 && streq(argv[1], "uninstall"))
                r = uninstall_main(argc, argv, &failure);
        else
                return program_become("backupx-agent", argv);
        if (r >= 0)
                return r;
        fprintf(stderr, "backupx: %s\n", failure_message(&failure, r));
        return r == -EPERM ? EXIT_DENIED : EXIT_ERROR;
}
