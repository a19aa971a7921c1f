/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "crypto/seal.h"
#include "recovery/self-restore.h"
#include "recovery/self-stage.h"
#include "store/copy.h"
#include "store/recovery.h"
#include "wire/names.h"

#define AGENT_USER "backupx"
#define NEW_SUFFIX ".self-restore"

void self_restored_done(SelfRestored *r) {
        assert(r);

        free(r->hostname);
        *r = SELF_RESTORED_NULL;
}

/* --- May it be replaced? ---------------------------------------------------------------------------- */

static int check_place(const SelfRestore *a, const char *database, bool again, Failure *failure) {
        int r;

        r = store_in_use(database, a->force ? NULL : failure);
        if (r == -ENOENT)
                return 0;
        if (r > 0)
                return failure_set(failure, -EBUSY, "MASTER_RUNS",
                                   "The master on this machine is running: somebody has %s open. Stop it "
                                   "first: "
                                   "systemctl stop backupx.target",
                                   database);
        if (a->force || again)
                return 0;
        if (r >= 0)
                r = store_has_content(database, failure);
        if (r <= 0)
                return r;
        return failure_set(failure, -EEXIST, "MASTER_EXISTS",
                           "There is a master on this machine, with content in %s. With --force it is "
                           "replaced; "
                           "its files are kept as *" SELF_RESTORE_SAVED ".",
                           database);
}

/* --- The folder that marks a restore ---------------------------------------------------------------- */

static void empty_folder(const char *path) {
        struct dirent *entry;
        DIR *d = opendir(path);

        while (d && (entry = readdir(d)))
                if (entry->d_name[0] != '.')
                        (void) unlinkat(dirfd(d), entry->d_name, 0);
        if (d)
                (void) closedir(d);
}

/* 1: it was there, left by a restore that was killed. */
static int make_folder(const char *path, Failure *failure) {
        if (mkdir(path, 0700) == 0)
                return 0;
        if (errno != EEXIST)
                return failure_set(failure, -errno, "STATE", "'%s' cannot be made: %m", path);
        empty_folder(path);
        return 1;
}

static void remove_folder(char **path) {
        if (!*path)
                return;
        empty_folder(*path);
        (void) rmdir(*path);
        free(*path);
}

/* --- Do key and database belong together? ----------------------------------------------------------- */

static int opens(const AgeIdentity *identity, const char *sealed) {
        _cleanup_(unseal_buffer_done) Buffer plain = BUFFER_NULL;

        return unseal(identity, strempty(sealed), &plain) >= 0;
}

static bool opens_some(const AgeIdentity *identity, const RecoveryData *d) {
        for (size_t i = 0; i < d->n_identities; i++)
                if (opens(identity, d->identities[i].sealed))
                        return true;
        for (size_t i = 0; i < d->n_repositories; i++)
                if (opens(identity, d->repositories[i].sealed))
                        return true;
        return d->n_identities + d->n_repositories == 0;
}

static int check_key(const Staged *s, Failure *failure) {
        const MasterFile *key = master_files_find(&s->files, MASTER_KEYS CREDENTIAL_DISPATCHER);
        _cleanup_(recovery_data_done) RecoveryData data = RECOVERY_DATA_NULL;
        _cleanup_(age_identity_erase) AgeIdentity identity = {};
        _cleanup_(erase_and_freep) char *text = NULL;
        _cleanup_(store_closep) Store *store = NULL;
        int r;

        assert(key && key->data);

        text = memdup0(key->data, key->size);
        if (!text)
                return -ENOMEM;
        text[strcspn(text, "\r\n")] = 0;
        r = store_open(s->database, STORE_RECOVERY, &store, failure);
        if (r >= 0)
                r = recovery_data_read(store, &data);
        if (r < 0)
                return r;
        if (age_identity_parse(text, &identity) < 0 || !opens_some(&identity, &data))
                return failure_set(failure, -EKEYREJECTED, "COPY_INVALID",
                                   "The key in the copy does not open what is sealed in its database");
        return 0;
}

/* --- Putting it in place ---------------------------------------------------------------------------- */

/* One file on its way; new lies beside it. */
typedef struct Move {
        char *path;
        char *new;
        char *saved;
        bool was_there;
        bool is_saved, is_placed;
} Move;

typedef struct Moves {
        Move *items;
        size_t n;
        bool again; /* what is saved already is the master before, and stays */
} Moves;

static void moves_done(Moves *m) {
        for (size_t i = 0; i < m->n; i++) {
                (void) unlink(m->items[i].new); /* gone, where it was placed */
                free(m->items[i].path);
                free(m->items[i].new);
                free(m->items[i].saved);
        }
        free(m->items);
}

static int add_move(Moves *m, const char *path, Move **ret) {
        Move *x = m->items + m->n;
        int r;

        r = free_and_strdup(&x->path, path);
        if (r >= 0)
                r = asprintf_safe(&x->new, "%s" NEW_SUFFIX, path);
        if (r >= 0)
                r = asprintf_safe(&x->saved, "%s" SELF_RESTORE_SAVED, path);
        if (r < 0) {
                free(x->path);
                free(x->new);
                *x = (Move){};
                return r;
        }
        m->n++;
        *ret = x;
        return 0;
}

/* The folder of the agent is its user's, where there is one. */
static int own_by_agent(const char *folder, const char *file) {
        const struct passwd *user = getpwnam(AGENT_USER);
        struct stat st;

        if (stat(folder, &st) < 0)
                return -errno;
        if (user && st.st_uid == 0) {
                st.st_uid = user->pw_uid;
                st.st_gid = user->pw_gid;
                if (chown(folder, st.st_uid, st.st_gid) < 0)
                        return -errno;
        }
        return chown(file, st.st_uid, st.st_gid) < 0 ? -errno : 0;
}

static int make_parent(const char *path, bool is_private) {
        _cleanup_(freep) char *folder = memdup0(path, (size_t) (strrchr(path, '/') - path));

        return folder ? mkdir_p(folder, is_private ? 0700 : 0755) : -ENOMEM;
}

static int prepare_file(const SelfRestore *a, const MasterFile *f, const char *credential, const Move *x,
                        Failure *failure) {
        bool is_agent = startswith(f->name, MASTER_ROOT "agent/") != NULL;
        bool is_secret = is_agent || startswith(f->name, MASTER_KEYS);
        Creds creds = master_creds(a->places);
        int r;

        (void) unlink(x->new);
        r = make_parent(x->path, is_secret);
        if (r >= 0 && credential)
                return creds_stage(&creds, credential, f->data, x->new, failure);
        if (r >= 0)
                r = write_file_atomic(AT_FDCWD, x->new, f->data, f->size, is_secret ? 0600 : f->mode);
        if (r >= 0 && is_agent)
                r = own_by_agent(a->places->agent_state, x->new);
        return r < 0 ? failure_set(failure, r, "FILE", "'%s' cannot be written: %m", x->new) : 0;
}

static int prepare(const SelfRestore *a, const Staged *s, Moves *m, Failure *failure) {
        m->items = new0(Move, s->files.n + 3);
        if (!m->items)
                return -ENOMEM;
        for (size_t i = 0; i < s->files.n; i++) {
                const MasterFile *f = s->files.items + i;
                _cleanup_(freep) char *path = NULL;
                const char *credential;
                Move *x;
                int r;

                r = master_file_place(a->places, f->name, &path, &credential);
                if (r == -ENOENT)
                        continue;
                if (r == -EINVAL)
                        return failure_set(failure, -EBADMSG, "COPY_INVALID",
                                           "The copy has a file '%s' that no master has", f->name);
                if (r >= 0)
                        r = add_move(m, path, &x);
                if (r < 0)
                        return r;
                if (f->data)
                        r = prepare_file(a, f, credential, x, failure);
                else if (rename(s->database, x->new) < 0)
                        r = failure_set(failure, -errno, "FILE", "'%s' cannot be made: %m", x->new);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int place(Move *x, bool again) {
        struct stat st;

        x->was_there = lstat(x->path, &st) == 0;
        if (x->was_there && !(again && lstat(x->saved, &st) == 0)) {
                if (rename(x->path, x->saved) < 0)
                        return -errno;
                x->is_saved = true;
        }
        if (rename(x->new, x->path) < 0)
                return -errno;
        x->is_placed = true;
        return fsync_parent(AT_FDCWD, x->path);
}

static void take_back(Moves *m) {
        for (size_t i = m->n; i > 0; i--) {
                Move *x = m->items + i - 1;

                if (x->is_placed)
                        (void) unlink(x->path);
                if (x->is_saved)
                        (void) rename(x->saved, x->path);
        }
}

/* What SQLite keeps beside a database that was not closed: it must not meet the new one. */
static int set_aside(const char *database, const char *suffix) {
        _cleanup_(freep) char *path = NULL, *saved = NULL;
        int r;

        r = asprintf_safe(&path, "%s%s", database, suffix);
        if (r >= 0)
                r = asprintf_safe(&saved, "%s" SELF_RESTORE_SAVED "%s", database, suffix);
        if (r < 0)
                return r;
        return rename(path, saved) < 0 && errno != ENOENT ? -errno : 0;
}

static int place_all(Moves *m, const char *database, Failure *failure) {
        int r;

        r = set_aside(database, "-wal");
        if (r >= 0)
                r = set_aside(database, "-shm");
        for (size_t i = 0; i < m->n && r >= 0; i++) {
                r = place(m->items + i, m->again);
                if (r < 0)
                        failure_set(failure, r, "FILE",
                                    "'%s' cannot be replaced: %m. All is as it was before.",
                                    m->items[i].path);
        }
        if (r < 0)
                take_back(m);
        return r;
}

static int read_copy(const SelfRestore *a, const char *folder, Staged *s, Failure *failure) {
        _cleanup_(bundle_reader_freep) BundleReader *reader = NULL;
        _cleanup_(freep) char *path = NULL;
        int r;

        r = asprintf_safe(&path, "%s/" FILE_DATABASE, folder);
        if (r >= 0)
                r = bundle_reader_new(a->fd, a->keys, &reader);
        if (r == -ENOKEY)
                return failure_set(
                                failure, r, "COPY_SEALED",
                                "The copy is sealed, and not opened by what was given: see --identity and "
                                "--passphrase.");
        if (r < 0)
                return failure_set(failure, r, "COPY_INVALID", "The copy cannot be read: %m");
        r = stage_read(reader, path, s, failure);
        if (r >= 0)
                r = store_revive(path, failure);
        return r < 0 ? r : check_key(s, failure);
}

int self_restore(const SelfRestore *args, SelfRestored *ret, Failure *reterr_failure) {
        _cleanup_(freep) char *database = NULL;
        _cleanup_(remove_folder) char *folder = NULL;
        _cleanup_(staged_done) Staged s = STAGED_NULL;
        _cleanup_(moves_done) Moves moves = {};
        struct stat st;
        int r;

        assert(args && args->places && args->keys);
        assert(ret);

        r = asprintf_safe(&database, "%s/" FILE_DATABASE, args->places->state);
        if (r >= 0)
                r = asprintf_safe(&folder, "%s/" SELF_RESTORE_FOLDER, args->places->state);
        if (r >= 0)
                r = mkdir_p(args->places->state, 0770);
        if (r < 0)
                return r;
        moves.again = lstat(folder, &st) == 0;
        r = check_place(args, database, moves.again, reterr_failure);
        if (r < 0) {
                folder = mfree(folder); /* not ours to remove */
                return r;
        }
        r = make_folder(folder, reterr_failure);
        if (r >= 0)
                r = read_copy(args, folder, &s, reterr_failure);
        if (r >= 0)
                r = prepare(args, &s, &moves, reterr_failure);
        if (r >= 0)
                r = place_all(&moves, database, reterr_failure);
        if (r < 0) {
                /* A master that was half replaced by an earlier one must not start either. */
                if (moves.again)
                        folder = mfree(folder);
                return r;
        }
        *ret = (SelfRestored){ .created = s.created, .hostname = TAKE_PTR(s.hostname), .n_files = moves.n };
        return 0;
}
