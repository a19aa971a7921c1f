/* SPDX-License-Identifier: Apache-2.0 */

/* "backupx reset-password" works on the database itself, without a login: it is for root of the master who
 * is locked out. It is the one part of the command that opens the store, in the role of the API. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "cli/dropin.h"
#include "cli/prompt.h"
#include "cli/verbs.h"
#include "crypto/password.h"
#include "store/audit.h"
#include "store/user.h"
#include "sys/daemon.h"
#include "wire/names.h"

/* The account, enabled again, with its new password; one transaction with its row in the audit log. */
static int change(Store *store, const char *name, const char *hash) {
        _cleanup_(user_done) User user = USER_NULL;
        usec_t now = now_usec(CLOCK_REALTIME);
        AuditEntry entry = {
                .at = now,
                .username = (char *) "root",
                .address = (char *) "local",
                .action = (char *) "user.reset_password",
                .object_type = (char *) "user",
                .object_name = (char *) name,
        };
        int r;

        r = user_find(store, name, &user);
        if (r != 0)
                return r;
        entry.object_id = user.id;
        r = user_set_password(store, user.id, hash, now, NULL);
        if (r == 0 && !user.enabled)
                r = user_update(store, user.id, user.username, user.role, /* enabled= */ true);
        return r == 0 ? audit_add(store, &entry) : r;
}

static int change_and_commit(Cli *c, Store *store, const char *name, const char *hash) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int r;

        assert(c);

        r = store_begin(store, &tx);
        if (r == 0)
                r = change(store, name, hash);
        if (r == 0)
                return store_commit(&tx);
        if (r == STORE_E_NOT_FOUND)
                return failure_set(&c->failure, -ENOENT, "NOT_FOUND", "There is no user called '%s'.", name);
        return r < 0 ? r : -EIO;
}

int verb_reset_password(Cli *c, const Arguments *a) {
        const char *name = arguments_operand(a, 0);
        _cleanup_(erase_and_freep) char *password = NULL;
        _cleanup_(freep) char *hash = NULL, *path = NULL;
        _cleanup_(store_closep) Store *store = NULL;
        int r;

        assert(c);

        name = name ? name : "admin";
        r = dropin_need_root("reset a password", &c->failure);
        if (r >= 0)
                r = asprintf_safe(&path, "%s/" FILE_DATABASE, daemon_state_directory());
        if (r < 0)
                return r;
        if (access(path, R_OK | W_OK) < 0)
                return failure_set(&c->failure, -errno, "DATABASE",
                                   "'%s' cannot be opened: %m. Is this the master?", path);
        r = prompt_password(c, a, "New password", /* is_new= */ true, &password);
        if (r >= 0)
                r = password_hash(password, &hash);
        if (r == -EINVAL)
                return failure_set(&c->failure, r, "PASSWORD", "A password has at least %d characters.",
                                   PASSWORD_MIN);
        if (r >= 0)
                r = store_open(path, STORE_API, &store, &c->failure);
        if (r >= 0)
                r = change_and_commit(c, store, name, hash);
        if (r < 0)
                return failure_set(&c->failure, r, "DATABASE", "The password of '%s' was not changed: %m",
                                   name);
        if (!c->quiet)
                printf("The password of %s is changed; all its sessions are over.\n", name);
        return 0;
}
