/* SPDX-License-Identifier: Apache-2.0 */

/* "backupx relay allow DIR": a directory of the master that relay targets may name. */

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/dropin.h"
#include "cli/verbs.h"

#define API_USER "backupx-api"
#define API_UNIT "backupx-api.service"
#define RELAY_DEFAULT "/var/lib/backupx/relay"
#define CONFIG_DROPIN "/etc/backupx/config.yaml.d/relay.yaml"

/* The directory belongs to the API; one that others use is not taken from them. */
static int own(const char *directory, Failure *reterr_failure) {
        const struct passwd *user = getpwnam(API_USER);
        struct stat st;

        if (!user)
                return failure_set(reterr_failure, -ESRCH, "NO_USER",
                                   "The user " API_USER " does not exist: is this the master?");
        if (stat(directory, &st) < 0)
                return failure_set(reterr_failure, -errno, "DIRECTORY", "'%s' cannot be used: %m",
                                   directory);
        if (st.st_uid == user->pw_uid)
                return 0;
        if (st.st_uid != 0 || rmdir(directory) < 0)
                return failure_set(
                                reterr_failure, -EACCES, "DIRECTORY",
                                "'%s' is in use by others. Name an empty directory, or give it to the API: "
                                "chown " API_USER " '%s'",
                                directory, directory);
        if (mkdir(directory, 0700) < 0 || chown(directory, user->pw_uid, user->pw_gid) < 0)
                return failure_set(reterr_failure, -errno, "DIRECTORY", "'%s' cannot be made: %m",
                                   directory);
        return 0;
}

int verb_relay_allow(Cli *c, const Arguments *a) {
        assert(c);

        static const char *const reload[] = { "systemctl", "daemon-reload", NULL };
        static const char *const restart[] = { "systemctl", "try-restart", API_UNIT, NULL };
        _cleanup_(freep) char *resolved = NULL;
        int r;

        r = dropin_need_root("open a directory to the relay", &c->failure);
        if (r >= 0)
                r = dropin_check_directory(arguments_operand(a, 0), &resolved, &c->failure);
        if (r >= 0)
                r = own(resolved, &c->failure);
        if (r >= 0)
                r = dropin_allow(API_UNIT, resolved, &c->failure);
        /* The list replaces the default, so that the default is its first entry. */
        if (r >= 0)
                r = dropin_list_add(CONFIG_DROPIN, "relay", "directories", RELAY_DEFAULT, &c->failure);
        if (r >= 0)
                r = dropin_list_add(CONFIG_DROPIN, "relay", "directories", resolved, &c->failure);
        if (r < 0)
                return r;
        if (dropin_have_systemd() && (dropin_run(reload) != 0 || dropin_run(restart) != 0))
                return failure_set(&c->failure, -EIO, "SYSTEMCTL",
                                   API_UNIT " could not be restarted: systemctl status " API_UNIT);
        printf("Relay targets may name %s now.\n", resolved);
        return 0;
}
