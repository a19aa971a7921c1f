/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/seal.h"
#include "recovery/kit-target.h"
#include "wire/command.h"

#define TAR "tar --numeric-owner --xattrs --xattrs-include='*' --acls --sparse -xpf -"

/* --- What is sealed --------------------------------------------------------------------------------- */

static json_t *open_json(Kit *k, const char *sealed) {
        _cleanup_(unseal_buffer_done) Buffer plain = BUFFER_NULL;
        json_t *json = NULL;

        assert(k);

        if (isempty(sealed))
                return NULL;
        if (unseal(k->info->identity, sealed, &plain) < 0 ||
            json_parse_strict(plain.data, plain.size, JSON_DEPTH_DEFAULT, &json, NULL) < 0) {
                k->n_unreadable++;
                return NULL;
        }
        return json;
}

static int open_targets(Kit *k) {
        const RecoveryData *d = k->info->data;

        k->targets = new0(KitTarget, d->n_targets + 1);
        if (!k->targets)
                return -ENOMEM;
        for (size_t i = 0; i < d->n_targets; i++) {
                KitTarget *t = k->targets + i;

                t->row = d->targets + i;
                if (json_parse_text(d->targets[i].config, &t->config, NULL) < 0)
                        k->n_unreadable++;
                t->secrets = open_json(k, d->targets[i].sealed);
        }
        return 0;
}

static void targets_free(Kit *k) {
        for (size_t i = 0; k->targets && i < k->info->data->n_targets; i++) {
                json_decref(k->targets[i].config);
                json_decref(k->targets[i].secrets);
        }
        free(k->targets);
}

static const KitTarget *find_target(const Kit *k, uint64_t id) {
        for (size_t i = 0; i < k->info->data->n_targets; i++)
                if (k->targets[i].row->id == id)
                        return k->targets + i;
        return NULL;
}

/* Its archive identity as text; false: there is none, or it cannot be opened. */
static bool open_identity(Kit *k, const RecoveryIdentity *row, char ret[static AGE_IDENTITY_TEXT_SIZE]) {
        _cleanup_(unseal_buffer_done) Buffer plain = BUFFER_NULL;
        AgeIdentity identity;
        CLEANUP_ERASE(identity);

        if (unseal(k->info->identity, strempty(row->sealed), &plain) < 0 ||
            age_identity_parse(strempty(plain.data), &identity) < 0)
                return false;
        age_identity_format(&identity, ret);
        return true;
}

static const RecoveryIdentity *find_identity(const Kit *k, uint64_t node_id) {
        const RecoveryData *d = k->info->data;

        for (size_t i = 0; i < d->n_identities; i++)
                if (d->identities[i].node_id == node_id)
                        return d->identities + i;
        return NULL;
}

/* --- Head ------------------------------------------------------------------------------------------- */

static void blank(Kit *k) {
        kit_say(k, "%s", "");
}

static void write_head(Kit *k) {
        const RecoveryData *d = k->info->data;
        char time[RFC3339_MAX];

        kit_say(k, "BackupX recovery kit");
        kit_say(k, "====================");
        blank(k);
        kit_say(k, "Written %s by backupx " BACKUPX_VERSION " on the master %s.",
                format_rfc3339(time, k->info->now), strempty(k->info->hostname));
        kit_say(k,
                "It covers %zu repositories, %zu places of archives and snapshots, %zu targets and the "
                "keys of %zu",
                d->n_repositories, d->n_places, d->n_targets, d->n_identities);
        kit_say(k,
                "nodes: all that there was then. Backups that are made later at the same places are opened "
                "by the");
        kit_say(k,
                "same keys. Write a new kit after a node, a target or a repository was added, or a login "
                "changed.");
        blank(k);
        kit_say(k,
                "WHOEVER HAS THIS TEXT CAN READ EVERY BACKUP. Keep it off the network and away from the "
                "backups:");
        kit_say(k, "printed in a safe, or on a medium in a drawer that is locked.");
        blank(k);
        kit_say(k,
                "How to use it: on any Linux machine, as root (owners and permissions are restored), in an "
                "empty");
        kit_say(k,
                "directory with room for what is restored. Needed are age, zstd, tar, restic and, for "
                "targets on");
        kit_say(k, "servers, rclone (and openssh-client for sftp):");
        blank(k);
        kit_say(k, "    apt install age zstd tar restic rclone openssh-client acl attr");
        blank(k);
        kit_say(k,
                "Lines with four blanks in front are commands for sh, to be pasted as they are, a section "
                "at a time.");
        kit_say(k, "Each section of parts 3 and 4 stands alone. BackupX is not needed.");
        blank(k);
}

static void write_keys(Kit *k) {
        const RecoveryData *d = k->info->data;
        char text[AGE_IDENTITY_TEXT_SIZE];
        CLEANUP_ERASE(text);

        kit_say(k, "1. Keys");
        kit_say(k, "-------");
        blank(k);
        kit_say(k, "### 1.0 The key of the master");
        blank(k);
        kit_say(k,
                "The secrets in the master's database are sealed to it. It is needed for a new master "
                "(part 5).");
        blank(k);
        kit_run(k, "umask 077");
        kit_run(k, "printf '%%s\\n' %s > backupx-master.key", age_identity_format(k->info->identity, text));
        blank(k);
        for (size_t i = 0; i < d->n_identities; i++) {
                const RecoveryIdentity *x = d->identities + i;
                _cleanup_(freep) char *name = kit_name(k, x->node_name);

                kit_say(k, "### 1.%" PRIu64 " Sealed archives of node %s%s%s", x->node_id, strempty(name),
                        x->hostname ? ", host " : "", strempty(x->hostname));
                blank(k);
                kit_say(k, "Public key: %s", strempty(x->recipient));
                if (open_identity(k, x, text)) {
                        blank(k);
                        kit_run(k, "umask 077");
                        kit_run(k, "printf '%%s\\n' %s > backupx-node-%" PRIu64 ".key", text, x->node_id);
                } else {
                        k->n_unreadable++;
                        kit_say(k, "ITS KEY COULD NOT BE OPENED with the master's key.");
                }
                blank(k);
        }
}

/* --- Repositories ----------------------------------------------------------------------------------- */

static void write_snapshots(Kit *k, const RecoveryRepository *x) {
        const RecoveryData *d = k->info->data;

        for (size_t i = 0; i < d->n_places; i++) {
                const RecoveryPlace *p = d->places + i;
                _cleanup_(freep) char *task = NULL;
                char time[RFC3339_MAX];

                if (!p->snapshot || p->node_id != x->node_id || p->target_id != x->target_id)
                        continue;
                task = kit_name(k, p->task_name);
                kit_say(k, "Task %s: the newest was %.8s of %s.", strempty(task), p->snapshot,
                        format_rfc3339(time, p->finished));
        }
}

static void write_restic(Kit *k, const RecoveryRepository *x, const KitTarget *t, const char *password) {
        _cleanup_(kit_reach_done) KitReach reach = KIT_REACH_NULL;

        assert(x);

        kit_target_reach(k, t, x->prefix, &reach);
        kit_export(k, "RESTIC_REPOSITORY", reach.repository);
        kit_export(k, "RESTIC_PASSWORD", password);
        kit_run(k, "restic%s snapshots", strempty(reach.options));
        kit_run(k, "restic%s restore latest --target restored-repository-%" PRIu64, strempty(reach.options),
                x->id);
        blank(k);
        kit_say(k,
                "latest is the newest of all tasks of the node; for another one put its ID from the list "
                "there.");
        kit_say(k,
                "One file: restic%s dump ID PATH. Where nothing can be written, add --no-lock. Files with "
                "holes",
                strempty(reach.options));
        kit_say(k, "are restored at their full size.");
}

static void write_repository(Kit *k, const RecoveryRepository *x) {
        _cleanup_json_ json_t *json = open_json(k, x->sealed);
        const KitTarget *t = find_target(k, x->target_id);
        _cleanup_(freep) char *node = kit_name(k, x->node_name);
        _cleanup_(freep) char *target = kit_name(k, t ? t->row->name : NULL);
        RepositorySecret secret = {};

        kit_say(k, "### 3.%" PRIu64 " Repository of node %s on target %s (%s)", x->id, strempty(node),
                strempty(target), t ? strempty(t->row->type) : "deleted");
        blank(k);
        kit_say(k, "It lies at %s of the target.", x->prefix);
        write_snapshots(k, x);
        blank(k);
        if (!json || repository_secret_parse(json, &secret) < 0) {
                kit_say(k, "ITS PASSWORD COULD NOT BE OPENED with the master's key.");
                blank(k);
                return;
        }
        if (t)
                write_restic(k, x, t, secret.password);
        else {
                kit_say(k,
                        "Its target was deleted, so that it is not known here where that is. Its "
                        "password:");
                kit_export(k, "RESTIC_PASSWORD", secret.password);
        }
        blank(k);
}

/* --- Archives --------------------------------------------------------------------------------------- */

/* "web-1/etc/<time>-<run>-<attempt>/" → "web-1/etc" */
static char *parent_of(Kit *k, const char *prefix) {
        size_t n = strlen(prefix);
        char *parent;

        while (n > 0 && prefix[n - 1] == '/')
                n--;
        while (n > 0 && prefix[n - 1] != '/')
                n--;
        while (n > 0 && prefix[n - 1] == '/')
                n--;
        parent = memdup0(prefix, n);
        if (!parent)
                k->error = k->error < 0 ? k->error : -ENOMEM;
        return parent;
}

static void write_unpack(Kit *k, const RecoveryPlace *p, const KitReach *reach) {
        const char *suffix = p->encrypted ? ".age" : "";
        _cleanup_(freep) char *parent = parent_of(k, p->prefix),
                              *place = parent_of(k, strempty(reach->place));
        _cleanup_(freep) char *to = NULL, *archive = kit_quote(k, reach->place),
                              *above = kit_quote(k, place);
        _cleanup_(freep) char *folder = NULL, *open = NULL;

        if (asprintf_safe(&folder, "restored/%s", strempty(parent)) < 0 ||
            asprintf_safe(&open, " | age -d -i backupx-node-%" PRIu64 ".key", p->node_id) < 0) {
                k->error = -ENOMEM;
                return;
        }
        to = kit_quote(k, folder);
        kit_run(k, "%s %s", reach->list, strempty(above));
        kit_run(k, "archive=%s", strempty(archive));
        kit_run(k, "mkdir -p %s", strempty(to));
        if (p->sha256)
                kit_run(k, "%s \"$archive/manifest.json.zst%s\" | sha256sum | grep '^%s '", reach->fetch,
                        suffix, p->sha256);
        /* It may be cut into volumes. */
        kit_run(k,
                "%s \"$archive\" | grep '^data[.]tar' | sort | while read -r name; do %s "
                "\"$archive/$name\" < /dev/null; done%s | zstd -dc | " TAR " -C %s",
                reach->list, reach->fetch, p->encrypted ? open : "", strempty(to));
        blank(k);
        kit_say(k,
                "The first command lists all archives of the task; put another one's name into the second "
                "to take");
        kit_say(k, "that.%s",
                p->sha256 ? " The line with sha256sum prints something when the manifest is the one that "
                            "was "
                            "written; for another archive leave it out." :
                            "");
        kit_say(k,
                "A list of what is in it: the same with entries in the place of data[.]tar, and without "
                "tar.");
}

static void write_archive(Kit *k, const RecoveryPlace *p) {
        const KitTarget *t = find_target(k, p->target_id);
        const RecoveryIdentity *identity = find_identity(k, p->node_id);
        _cleanup_(kit_reach_done) KitReach reach = KIT_REACH_NULL;
        _cleanup_(freep) char *task = kit_name(k, p->task_name), *node = kit_name(k, p->node_name);
        _cleanup_(freep) char *target = kit_name(k, t ? t->row->name : p->target_name);
        char time[RFC3339_MAX], key[AGE_IDENTITY_TEXT_SIZE];
        CLEANUP_ERASE(key);

        kit_say(k, "### 4.%" PRIu64 ".%" PRIu64 " Archives of task %s of node %s on target %s (%s)",
                p->run_id, p->target_id, strempty(task), strempty(node), strempty(target),
                t ? strempty(t->row->type) : "deleted");
        blank(k);
        kit_say(k, "The newest was made by run %" PRIu64 ", %s, at %s of the target.", p->run_id,
                format_rfc3339(time, p->finished), p->prefix);
        blank(k);
        if (t) {
                kit_run(k, "umask 077");
                if (p->encrypted && identity && open_identity(k, identity, key))
                        kit_run(k, "printf '%%s\\n' %s > backupx-node-%" PRIu64 ".key", key, p->node_id);
                else if (p->encrypted)
                        kit_say(k, "THERE IS NO KEY FOR IT IN THIS KIT.");
                kit_target_reach(k, t, p->prefix, &reach);
                write_unpack(k, p, &reach);
        } else
                kit_say(k, "Its target was deleted, so that it is not known here where that is.");
        blank(k);
}

/* --- The master itself ------------------------------------------------------------------------------ */

static void write_master(Kit *k) {
        kit_say(k, "5. A new master");
        kit_say(k, "---------------");
        blank(k);
        kit_say(k,
                "With a copy that 'backupx self-backup' made: install BackupX on a new machine, and as root "
                "there");
        blank(k);
        kit_say(k, "    systemctl stop backupx.target backupx-agent.service");
        kit_say(k, "    backupx self-restore COPY");
        kit_say(k, "    systemctl enable --now backupx.target backupx-agent.service");
        blank(k);
        kit_say(k,
                "The agents come back by themselves when the new machine is reached at the old address. "
                "With the");
        kit_say(k,
                "database alone (from the old disk), give the new machine the key of the master (1.0) "
                "before the");
        kit_say(k, "first start, and put the database to /var/lib/backupx/backupx.db:");
        blank(k);
        kit_say(k, "    systemd-creds encrypt --name=dispatcher-identity backupx-master.key "
                   "/etc/credstore.encrypted/backupx.dispatcher-identity");
}

static void write_all(Kit *k) {
        const RecoveryData *d = k->info->data;

        write_head(k);
        write_keys(k);
        kit_say(k, "2. Targets");
        kit_say(k, "----------");
        blank(k);
        for (size_t i = 0; i < d->n_targets; i++)
                kit_target_describe(k, k->targets + i);
        kit_say(k, "3. Repositories");
        kit_say(k, "---------------");
        blank(k);
        for (size_t i = 0; i < d->n_repositories; i++)
                write_repository(k, d->repositories + i);
        kit_say(k, "4. Archives");
        kit_say(k, "-----------");
        blank(k);
        for (size_t i = 0; i < d->n_places; i++)
                if (!d->places[i].snapshot)
                        write_archive(k, d->places + i);
        write_master(k);
}

int kit_format(const KitInfo *info, Buffer *out, size_t *ret_unreadable) {
        Kit k = { .info = info, .out = out };
        int r;

        assert(info && info->identity && info->data && info->state);
        assert(out);
        assert(ret_unreadable);

        r = open_targets(&k);
        if (r >= 0)
                write_all(&k);
        targets_free(&k);
        if (r < 0 || k.error < 0)
                return r < 0 ? r : k.error;
        *ret_unreadable = k.n_unreadable;
        return 0;
}
