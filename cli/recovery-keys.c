/* SPDX-License-Identifier: Apache-2.0 */

/* "backupx offline-keys": root on the master says which keys of age, kept elsewhere, open what is stored
 * from now on. Through no API: whoever may configure tasks must not be able to add a reader of every
 * backup. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "cli/dropin.h"
#include "cli/verbs.h"
#include "crypto/age.h"
#include "store/audit.h"
#include "store/setting.h"
#include "sys/daemon.h"
#include "wire/names.h"

static int open_store(Cli *c, StoreRole role, Store **ret) {
        _cleanup_(freep) char *path = NULL;
        int r;

        assert(c);

        r = dropin_need_root("look after the offline keys", &c->failure);
        if (r >= 0)
                r = asprintf_safe(&path, "%s/" FILE_DATABASE, daemon_state_directory());
        if (r < 0)
                return r;
        if (access(path, R_OK | W_OK) < 0)
                return failure_set(&c->failure, -errno, "DATABASE",
                                   "'%s' cannot be opened: %m. Is this the master?", path);
        return store_open(path, role, ret, &c->failure);
}

/* value NULL: none any more. */
static int change(Store *store, const char *value) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        AuditEntry entry = {
                .at = now_usec(CLOCK_REALTIME),
                .username = (char *) "root",
                .address = (char *) "local",
                .action = (char *) (value ? "offline_keys.set" : "offline_keys.clear"),
        };
        int r;

        r = store_begin(store, &tx);
        if (r >= 0)
                r = setting_set(store, SETTING_OFFLINE_KEYS, value);
        if (r >= 0)
                r = audit_add(store, &entry);
        return r < 0 ? r : store_commit(&tx);
}

static int join_keys(Cli *c, const Arguments *a, Buffer *out) {
        if (a->n_operands > OFFLINE_KEYS_MAX)
                return failure_set(&c->failure, -E2BIG, "USAGE", "These are more than %u keys.",
                                   OFFLINE_KEYS_MAX);
        for (size_t i = 0; i < a->n_operands; i++) {
                char text[AGE_RECIPIENT_TEXT_SIZE];
                AgeRecipient key;
                int r;

                if (age_recipient_parse(a->operands[i], &key) < 0)
                        return failure_set(&c->failure, -EINVAL, "USAGE",
                                           "'%s' is not a public key of age (age1…).", a->operands[i]);
                r = buffer_printf(out, "%s%s", i > 0 ? "\n" : "", age_recipient_format(&key, text));
                if (r < 0)
                        return r;
        }
        return 0;
}

int verb_offline_keys_set(Cli *c, const Arguments *a) {
        _cleanup_(store_closep) Store *store = NULL;
        _cleanup_buffer_ Buffer keys = BUFFER_NULL;
        int r;

        assert(c);

        r = join_keys(c, a, &keys);
        if (r >= 0)
                r = open_store(c, STORE_API, &store);
        if (r >= 0)
                r = change(store, keys.data);
        if (r < 0)
                return failure_set(&c->failure, r, "DATABASE", "The offline keys were not set: %m");
        if (!c->quiet)
                printf("Sealed archives can be opened by them from the next run on, and so can the "
                       "passwords that then lie in the repositories.\n");
        return 0;
}

int verb_offline_keys_clear(Cli *c, const Arguments *a) {
        _cleanup_(store_closep) Store *store = NULL;
        int r;

        assert(c);

        r = open_store(c, STORE_API, &store);
        if (r >= 0)
                r = change(store, NULL);
        if (r < 0)
                return failure_set(&c->failure, r, "DATABASE", "The offline keys were not cleared: %m");
        if (!c->quiet)
                printf("What was stored before can still be opened by the keys that were set then.\n");
        return 0;
}

int verb_offline_keys_show(Cli *c, const Arguments *a) {
        _cleanup_(store_closep) Store *store = NULL;
        _cleanup_(freep) char *keys = NULL;
        int r;

        assert(c);

        r = open_store(c, STORE_READONLY, &store);
        if (r >= 0)
                r = setting_get(store, SETTING_OFFLINE_KEYS, &keys);
        if (r < 0)
                return failure_set(&c->failure, r, "DATABASE", "The offline keys cannot be read: %m");
        if (keys)
                printf("%s\n", keys);
        return 0;
}
