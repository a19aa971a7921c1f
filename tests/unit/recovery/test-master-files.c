/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "recovery/master-files.h"
#include "tests/test.h"

static const MasterPlaces host = {
        .state = "/var/lib/backupx",
        .agent_state = "/var/lib/backupx-agent",
        .credstore = "/etc/credstore.encrypted",
        .root = "",
};
static const MasterPlaces plain = { .state = "/s",
                                    .agent_state = "/a",
                                    .plain = "/k",
                                    .credstore = "/etc/credstore.encrypted",
                                    .root = "" };

/* What a copy may write, and nothing else. */
static void test_places(void) {
        static const struct {
                const MasterPlaces *places;
                const char *name;
                int result;
                const char *path;
        } cases[] = {
                { &host, "backupx-master/backupx.db", 0, "/var/lib/backupx/backupx.db" },
                { &host, "backupx-master/keys/session-key", 0,
                  "/etc/credstore.encrypted/backupx.session-key" },
                { &plain, "backupx-master/keys/session-key", 0, "/k/session-key" },
                { &plain, "backupx-master/keys/agent-token", 0, "/k/agent-token" },
                { &host, "backupx-master/keys/agent-token", 0, "/etc/backupx-agent/token" },
                { &host, "backupx-master/keys/other", -EINVAL, NULL },
                { &host, "backupx-master/keys/../x", -EINVAL, NULL },
                { &host, "backupx-master/state/tls.crt", 0, "/var/lib/backupx/tls.crt" },
                { &host, "backupx-master/state/x", -EINVAL, NULL },
                { &host, "backupx-master/agent/identity", 0, "/var/lib/backupx-agent/identity" },
                { &host, "backupx-master/agent/../identity", -EINVAL, NULL },
                { &host, "backupx-master/etc/backupx/config.yaml", 0, "/etc/backupx/config.yaml" },
                { &plain, "backupx-master/etc/backupx/config.yaml", -ENOENT, NULL },
                { &host, "backupx-master/etc/backupx/../passwd", -EINVAL, NULL },
                { &host, "backupx-master/etc/backupx/", -EINVAL, NULL },
                { &host, "backupx-master/etc/passwd", -EINVAL, NULL },
                { &host, "backupx-master/etc/systemd/system/backupx-api.service.d/allow-srv.conf", 0,
                  "/etc/systemd/system/backupx-api.service.d/allow-srv.conf" },
                { &host, "backupx-master/etc/systemd/system/backupx-own.service", -EINVAL, NULL },
                { &host, "backupx-master/etc/systemd/system/ssh.service.d/x.conf", -EINVAL, NULL },
                { &host, "etc/passwd", -EINVAL, NULL },
                { &host, "backupx-master//etc/passwd", -EINVAL, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(freep) char *path = NULL;
                const char *credential = NULL;

                CHECK_INT(master_file_place(cases[i].places, cases[i].name, &path, &credential),
                          cases[i].result);
                CHECK(streq_ptr(path, cases[i].path));
                CHECK((credential != NULL) ==
                      (cases[i].result == 0 && strstr(cases[i].name, "session-key")));
        }
}

int main(void) {
        RUN(test_places);
        return EXIT_SUCCESS;
}
