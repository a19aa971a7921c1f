/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "recovery/master-files.h"
#include "wire/names.h"
#include "wire/path.h"

#define SYSTEM_UNITS "etc/systemd/system"
#define DEPTH_MAX 3

static const char *const credentials[] = { CREDENTIAL_DISPATCHER, CREDENTIAL_SESSION, CREDENTIAL_TLS_KEY };
/* Of the agent on the master, and of the daemons. */
static const char *const agent_files[] = { "identity", "agent-id", "token" };
static const char *const state_files[] = { FILE_TLS_CERTIFICATE, FILE_DISPATCHER_KEY, FILE_LOCAL_NODE };

void master_files_done(MasterFiles *l) {
        assert(l);

        for (size_t i = 0; i < l->n; i++) {
                free(l->items[i].name);
                if (l->items[i].data)
                        explicit_bzero(l->items[i].data, l->items[i].size);
                free(l->items[i].data);
        }
        free(l->items);
        *l = MASTER_FILES_NULL;
}

int master_files_add(MasterFiles *l, const MasterFile *file) {
        MasterFile *grown, item;
        int r = 0;

        assert(l);
        assert(file && file->name);

        item = *file;
        item.name = strdup(file->name);
        grown = l->n < MASTER_FILES_MAX ? reallocarray(l->items, l->n + 1, sizeof(item)) : NULL;
        if (grown)
                l->items = grown;
        if (item.data)
                r = sha256_hex(item.data, item.size, item.sha256);
        if (grown && item.name && r >= 0) {
                l->items[l->n++] = item;
                return 0;
        }
        free(item.name);
        if (item.data)
                explicit_bzero(item.data, item.size);
        free(item.data);
        if (r < 0)
                return r;
        return l->n < MASTER_FILES_MAX ? -ENOMEM : -E2BIG;
}

const MasterFile *master_files_find(const MasterFiles *l, const char *name) {
        assert(l);
        assert(name);

        for (size_t i = 0; i < l->n; i++)
                if (streq(l->items[i].name, name))
                        return l->items + i;
        return NULL;
}

Creds master_creds(const MasterPlaces *places) {
        assert(places);

        return (Creds){
                .folder = places->plain ? places->plain : places->credstore,
                .prefix = places->plain ? "" : "backupx.",
                .encrypted = !places->plain,
        };
}

/* --- Reading ---------------------------------------------------------------------------------------- */

/* One file, under its name in the copy; one that is not there is passed over. */
static int add_file(MasterFiles *l, const char *path, const char *name, Failure *failure) {
        MasterFile file = { .name = (char *) name };
        struct stat st;
        size_t n = 0;
        int r;

        r = stat(path, &st) < 0 ? -errno : read_file(AT_FDCWD, path, MASTER_FILE_MAX, &file.data, &n);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return failure_set(failure, r, "FILE", "'%s' cannot be read: %m", path);
        file.size = n;
        file.mode = st.st_mode & 0777;
        return master_files_add(l, &file);
}

static int add_named(MasterFiles *l, const char *folder, const char *name, const char *place,
                     Failure *failure) {
        _cleanup_(freep) char *path = NULL, *full = NULL;
        int r;

        r = asprintf_safe(&path, "%s/%s", folder, name);
        if (r >= 0)
                r = asprintf_safe(&full, MASTER_ROOT "%s%s", place, name);
        return r < 0 ? r : add_file(l, path, full, failure);
}

static int add_file_below(MasterFiles *l, const char *folder, const char *below, const char *name,
                          Failure *failure) {
        _cleanup_(freep) char *path = NULL, *full = NULL;
        int r;

        r = asprintf_safe(&path, "%s/%s", folder, name);
        if (r >= 0)
                r = asprintf_safe(&full, MASTER_ROOT "%s", below);
        return r < 0 ? r : add_file(l, path, full, failure);
}

static int add_credentials(const MasterPlaces *places, MasterFiles *l, Failure *failure) {
        Creds creds = master_creds(places);

        for (size_t i = 0; i < ELEMENTSOF(credentials); i++) {
                _cleanup_(freep) char *name = NULL;
                char *secret = NULL;
                int r;

                r = creds_exist(&creds, credentials[i], failure);
                if (r == 0 && i == 0)
                        return failure_set(failure, -ENOENT, "KEYS_MISSING",
                                           "There is no %s in %s: is this the master?", credentials[i],
                                           creds.folder);
                if (r == 0)
                        continue;
                if (r > 0)
                        r = creds_read(&creds, credentials[i], &secret, failure);
                if (r >= 0)
                        r = asprintf_safe(&name, MASTER_KEYS "%s", credentials[i]);
                if (r < 0) {
                        erase_and_free(secret);
                        return r;
                }
                r = master_files_add(l,
                                     &(MasterFile){ .name = name,
                                                    .data = secret,
                                                    .size = strlen(secret),
                                                    .mode = 0600 });
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Regular files of a folder of the configuration, as it is below the root. */
static int add_folder(const MasterPlaces *places, const char *folder, unsigned depth, MasterFiles *l,
                      Failure *failure) {
        _cleanup_(freep) char *path = NULL;
        struct dirent *entry;
        DIR *d;
        int r;

        r = asprintf_safe(&path, "%s/%s", places->root, folder);
        if (r < 0)
                return r;
        d = opendir(path);
        if (!d)
                return errno == ENOENT ?
                                0 :
                                failure_set(failure, -errno, "FILE", "'%s' cannot be read: %m", path);
        while (r >= 0 && (entry = readdir(d))) {
                _cleanup_(freep) char *below = NULL;
                struct stat st;

                if (entry->d_name[0] == '.' || strchr(entry->d_name, '~') ||
                    endswith(entry->d_name, ".before-restore") ||
                    fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                if (streq(folder, SYSTEM_UNITS) &&
                    !(startswith(entry->d_name, "backupx") && endswith(entry->d_name, ".d")))
                        continue;
                r = asprintf_safe(&below, "%s/%s", folder, entry->d_name);
                if (r >= 0 && S_ISDIR(st.st_mode) && depth > 0)
                        r = add_folder(places, below, depth - 1, l, failure);
                else if (r >= 0 && S_ISREG(st.st_mode))
                        r = add_file_below(l, path, below, entry->d_name, failure);
        }
        (void) closedir(d);
        return r;
}

int master_files_read(const MasterPlaces *places, MasterFiles *ret, Failure *reterr_failure) {
        static const char *const folders[] = { "etc/backupx", "etc/backupx-agent", SYSTEM_UNITS };
        _cleanup_(master_files_done) MasterFiles l = MASTER_FILES_NULL;
        int r;

        assert(places);
        assert(ret);

        r = add_credentials(places, &l, reterr_failure);
        for (size_t i = 0; i < ELEMENTSOF(state_files) && r >= 0; i++)
                r = add_named(&l, places->state, state_files[i], "state/", reterr_failure);
        for (size_t i = 0; i < ELEMENTSOF(agent_files) && r >= 0; i++)
                r = add_named(&l, places->agent_state, agent_files[i], "agent/", reterr_failure);
        if (r >= 0 && places->plain)
                r = add_named(&l, places->plain, CREDENTIAL_AGENT_TOKEN, "keys/", reterr_failure);
        for (size_t i = 0; i < ELEMENTSOF(folders) && r >= 0 && !places->plain; i++)
                r = add_folder(places, folders[i], DEPTH_MAX, &l, reterr_failure);
        if (r < 0)
                return r;
        *ret = l;
        l = MASTER_FILES_NULL;
        return 0;
}

/* --- Places ----------------------------------------------------------------------------------------- */

static bool is_one_of(const char *name, const char *const *names, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (streq(name, names[i]))
                        return true;
        return false;
}

static int place_of_key(const MasterPlaces *places, const char *name, char **ret_path,
                        const char **ret_credential) {
        Creds creds = master_creds(places);

        for (size_t i = 0; i < ELEMENTSOF(credentials); i++)
                if (streq(name, credentials[i])) {
                        *ret_credential = credentials[i];
                        return creds_path(&creds, name, ret_path);
                }
        if (!streq(name, CREDENTIAL_AGENT_TOKEN))
                return -EINVAL;
        return places->plain ? asprintf_safe(ret_path, "%s/%s", places->plain, name) :
                               asprintf_safe(ret_path, "%s/etc/backupx-agent/token", places->root);
}

/* Of a unit of ours: no unit. */
static bool is_dropin(const char *path) {
        const char *unit = startswith(path, "/" SYSTEM_UNITS "/"), *slash = unit ? strchr(unit, '/') : NULL;

        return slash && startswith(unit, "backupx") && slash - unit > 2 && strncmp(slash - 2, ".d", 2) == 0;
}

static int place_of_config(const MasterPlaces *places, const char *name, char **ret_path) {
        _cleanup_(freep) char *path = NULL;
        int r;

        r = asprintf_safe(&path, "/%s", name);
        if (r < 0)
                return r;
        if (!path_is_normalized_absolute(path))
                return -EINVAL;
        if (!startswith(path, "/etc/backupx/") && !startswith(path, "/etc/backupx-agent/") &&
            !is_dropin(path))
                return -EINVAL;
        if (places->plain)
                return -ENOENT;
        return asprintf_safe(ret_path, "%s%s", places->root, path);
}

int master_file_place(const MasterPlaces *places, const char *name, char **ret_path,
                      const char **ret_credential) {
        const char *rest, *below;

        assert(places);
        assert(name);
        assert(ret_path);
        assert(ret_credential);

        *ret_credential = NULL;
        rest = startswith(name, MASTER_ROOT);
        if (!rest)
                return -EINVAL;
        if (streq(rest, FILE_DATABASE))
                return asprintf_safe(ret_path, "%s/" FILE_DATABASE, places->state);
        below = startswith(rest, "keys/");
        if (below)
                return place_of_key(places, below, ret_path, ret_credential);
        below = startswith(rest, "state/");
        if (below)
                return is_one_of(below, state_files, ELEMENTSOF(state_files)) ?
                                asprintf_safe(ret_path, "%s/%s", places->state, below) :
                                -EINVAL;
        below = startswith(rest, "agent/");
        if (below)
                return is_one_of(below, agent_files, ELEMENTSOF(agent_files)) ?
                                asprintf_safe(ret_path, "%s/%s", places->agent_state, below) :
                                -EINVAL;
        return place_of_config(places, rest, ret_path);
}
