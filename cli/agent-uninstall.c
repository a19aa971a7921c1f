/* SPDX-License-Identifier: Apache-2.0 */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "cli/agent-uninstall.h"
#include "cli/dropin.h"

#define PREFIX "/opt/backupx-agent"
#define UNITS "/etc/systemd/system"
#define LINK "/usr/local/bin/backupx"

/* Whether name is a unit that is started and stopped by itself, and no template. */
static bool is_stoppable(const char *name) {
        if (strstr(name, "@."))
                return false;
        return endswith(name, ".service") || endswith(name, ".socket") || endswith(name, ".timer");
}

static void run(const char *const *argv) {
        if (dropin_run(argv) != 0)
                fprintf(stderr, "backupx: %s %s %s failed, ignoring\n", argv[0], strempty(argv[1]),
                        argv[1] ? strempty(argv[2]) : "");
}

static void remove_tree(const char *path) {
        run((const char *const[]){ "rm", "-rf", "--one-file-system", path, NULL });
}

/* The units that the installer copied are those of the package. */
static int list_units(char ***ret) {
        _cleanup_(strv_freep) char **names = NULL;
        struct dirent **entries = NULL;
        int n, r = 0;

        n = scandir(PREFIX "/units", &entries, NULL, alphasort);
        for (int i = 0; i < n; i++) {
                if (entries[i]->d_name[0] != '.' && r >= 0)
                        r = strv_extend(&names, entries[i]->d_name);
                free(entries[i]);
        }
        free(entries);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(names);
        return 0;
}

static int remove_unit(const char *name) {
        _cleanup_(freep) char *path = NULL, *dropins = NULL;
        int r;

        r = asprintf_safe(&path, UNITS "/%s", name);
        if (r >= 0)
                r = asprintf_safe(&dropins, UNITS "/%s.d", name);
        if (r < 0)
                return r;
        if (unlink(path) < 0 && errno != ENOENT)
                fprintf(stderr, "backupx: %s cannot be removed: %m, ignoring\n", path);
        remove_tree(dropins); /* what allow-storage opened */
        return 0;
}

static int remove_units(void) {
        _cleanup_(strv_freep) char **names = NULL;
        int r;

        r = list_units(&names);
        if (r < 0)
                return r;
        /* The agent first: it tells its master what becomes of its jobs. */
        run((const char *const[]){ "systemctl", "-q", "stop", "backupx-agent.service", NULL });
        STRV_FOREACH(name, names)
                if (is_stoppable(*name))
                        run((const char *const[]){ "systemctl", "-q", "disable", "--now", *name, NULL });
        run((const char *const[]){ "systemctl", "-q", "stop", "backupx-backup@*", "backupx-restore@*",
                                   "backupx-probe@*", "backupx-hook@*", "backupx.slice", NULL });
        STRV_FOREACH(name, names) {
                r = remove_unit(*name);
                if (r < 0)
                        return r;
        }
        run((const char *const[]){ "systemctl", "daemon-reload", NULL });
        return 0;
}

/* Only a link that leads to us. */
static void remove_link(void) {
        char to[64];
        ssize_t n = readlink(LINK, to, sizeof(to) - 1);

        if (n < 0)
                return;
        to[n] = 0;
        if (startswith(to, PREFIX "/"))
                (void) unlink(LINK);
}

static void remove_data(void) {
        static const char *const folders[] = { "/etc/backupx-agent", "/var/lib/backupx-agent",
                                               "/var/lib/backupx-hook" };

        for (size_t i = 0; i < ELEMENTSOF(folders); i++)
                remove_tree(folders[i]);
        run((const char *const[]){ "userdel", "backupx", NULL });
}

int agent_uninstall(bool purge, Failure *reterr_failure) {
        int r;

        r = dropin_need_root("remove the agent", reterr_failure);
        if (r < 0)
                return r;
        if (access(PREFIX "/VERSION", F_OK) < 0 && !purge)
                return failure_set(reterr_failure, -ENOENT, "NOT_INSTALLED",
                                   "There is no agent in " PREFIX
                                   ". One that came as a package is removed by the package manager: "
                                   "apt remove backupx-agent.");
        if (access("/usr/lib/systemd/system/backupx-agent.service", F_OK) >= 0)
                return failure_set(reterr_failure, -EEXIST, "PACKAGED",
                                   "The package manager installed the agent: apt remove backupx-agent.");
        if (dropin_have_systemd()) {
                r = remove_units();
                if (r < 0)
                        return r;
        }
        (void) unlink("/etc/tmpfiles.d/backupx-agent.conf");
        (void) unlink("/etc/dbus-1/system.d/org.backupx.Agent1.conf");
        remove_tree("/run/backupx-agent");
        remove_tree("/var/cache/backupx-agent");
        if (purge)
                remove_data();
        remove_link();
        remove_tree(PREFIX); /* last: what was interrupted can be begun again */
        printf("The agent was removed.%s The node is still known to its master: delete it there.\n",
               purge ? "" :
                       " Its configuration, key and token are in /etc/backupx-agent and "
                       "/var/lib/backupx-agent still (--purge).");
        return 0;
}
