/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/text.h"
#include "crypto/random.h"
#include "recovery/bundle.h"
#include "recovery/master-files.h"
#include "store/copy.h"
#include "wire/json.h"
#include "wire/names.h"

#define BLOCK (1U << 20)
#define README_NAME MASTER_ROOT "README"
#define README_TEXT \
        "A copy of a BackupX master: its database, keys and configuration.\n" \
        "\n" \
        "On a new machine, with BackupX installed, as root:\n" \
        "\n" \
        "    systemctl stop backupx.target backupx-agent.service\n" \
        "    backupx self-restore COPY\n" \
        "\n" \
        "keys/dispatcher-identity is the age key that the secrets in the database are sealed to.\n" \
        "manifest.json names all files with their SHA-256.\n"

int master_identity(const MasterPlaces *places, AgeIdentity *ret, Failure *reterr_failure) {
        _cleanup_(erase_and_freep) char *text = NULL;
        Creds creds = master_creds(places);
        int r;

        assert(ret);

        r = creds_exist(&creds, CREDENTIAL_DISPATCHER, reterr_failure);
        if (r == 0)
                return failure_set(reterr_failure, -ENOENT, "KEYS_MISSING",
                                   "There is no " CREDENTIAL_DISPATCHER " in %s: is this the master?",
                                   creds.folder);
        if (r > 0)
                r = creds_read(&creds, CREDENTIAL_DISPATCHER, &text, reterr_failure);
        if (r < 0)
                return r;
        if (age_identity_parse(text, ret) < 0)
                return failure_set(reterr_failure, -EUCLEAN, "CREDENTIAL_INVALID",
                                   "The " CREDENTIAL_DISPATCHER " in %s is no age identity", creds.folder);
        return 0;
}

/* --- The database ----------------------------------------------------------------------------------- */

typedef struct Copy {
        int fd;
        char *path; /* NULL: it has no name any more */
} Copy;

static void copy_done(Copy *c) {
        (void) safe_close(c->fd);
        if (c->path)
                (void) unlink(c->path);
        free(c->path);
}

/* Beside the database, where there is room for one more; it loses its name as soon as it is open. */
static int copy_database(const MasterPlaces *places, Copy *c, Failure *failure) {
        _cleanup_(store_closep) Store *store = NULL;
        _cleanup_(freep) char *path = NULL;
        uint8_t random[8];
        char digits[2 * sizeof(random) + 1];
        int r;

        assert(c);

        r = random_bytes(random, sizeof(random));
        if (r >= 0)
                r = asprintf_safe(&path, "%s/" FILE_DATABASE, places->state);
        if (r >= 0)
                r = asprintf_safe(&c->path, "%s.copy.%s~", path, hex_encode(random, sizeof(random), digits));
        if (r < 0)
                return r;
        if (access(path, R_OK) < 0)
                return failure_set(failure, -errno, "DATABASE",
                                   "'%s' cannot be opened: %m. Is this the master?", path);
        r = store_open(path, STORE_RECOVERY, &store, failure);
        if (r >= 0)
                r = store_copy(store, c->path, failure);
        if (r < 0)
                return r;
        c->fd = open(c->path, O_RDONLY | O_CLOEXEC);
        if (c->fd < 0)
                return -errno;
        (void) unlink(c->path);
        c->path = mfree(c->path);
        return 0;
}

/* Its bytes go to sink; the digest, where wanted. */
static int read_copy(int fd, BundleWriter *to, Sha256 *hash) {
        _cleanup_(freep) char *block = malloc(BLOCK);
        int r = 0;

        if (!block)
                return -ENOMEM;
        if (lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        for (;;) {
                ssize_t n = read_full(fd, block, BLOCK);

                if (n <= 0)
                        return (int) n;
                if (hash)
                        r = sha256_add(hash, block, (size_t) n);
                if (r >= 0 && to)
                        r = bundle_writer_add(to, block, (size_t) n);
                if (r < 0)
                        return r;
        }
}

static int add_database(const Copy *c, MasterFiles *l) {
        _cleanup_(sha256_freep) Sha256 *hash = NULL;
        MasterFile file = { .name = (char *) MASTER_DATABASE, .mode = 0660 };
        uint8_t digest[SHA256_SIZE];
        struct stat st;
        int r;

        r = sha256_new(&hash);
        if (r >= 0)
                r = read_copy(c->fd, NULL, hash);
        if (r >= 0)
                r = sha256_finish(hash, digest);
        if (r < 0)
                return r;
        if (fstat(c->fd, &st) < 0)
                return -errno;
        file.size = (uint64_t) st.st_size;
        hex_encode(digest, sizeof(digest), file.sha256);
        return master_files_add(l, &file);
}

/* --- Writing ---------------------------------------------------------------------------------------- */

static int file_json(const MasterFile *f, json_t *list) {
        json_t *item = json_object();
        int r;

        if (!item)
                return -ENOMEM;
        r = json_set(item, "name", json_string(f->name));
        if (r >= 0)
                r = json_set(item, "size", json_from_u64(f->size));
        if (r >= 0)
                r = json_set(item, "mode", json_from_u64(f->mode));
        if (r >= 0)
                r = json_set(item, "sha256", json_string(f->sha256));
        if (r < 0) {
                json_decref(item);
                return r;
        }
        return json_append(list, item);
}

static int make_manifest(const MasterFiles *l, usec_t now, char **ret, size_t *ret_n) {
        _cleanup_json_ json_t *json = json_object(), *files = json_array();
        char host[256] = "";
        int r = 0;

        assert(l);

        if (!json || !files)
                return -ENOMEM;
        (void) gethostname(host, sizeof(host) - 1);
        for (size_t i = 0; i < l->n && r >= 0; i++)
                r = file_json(l->items + i, files);
        if (r >= 0)
                r = json_set(json, "format", json_string("backupx-master"));
        if (r >= 0)
                r = json_set(json, "version", json_from_u64(1));
        if (r >= 0)
                r = json_set(json, "created_by", json_string("backupx " BACKUPX_VERSION));
        if (r >= 0)
                r = json_set(json, "created", json_from_time(now));
        if (r >= 0)
                r = json_set(json, "hostname",
                             json_from_string(utf8_is_valid(host, strlen(host)) ? host : NULL));
        if (r >= 0)
                r = json_set(json, "files", TAKE_PTR(files));
        return r < 0 ? r : json_format(json, ret, ret_n);
}

static int write_text(BundleWriter *w, const char *name, const char *text, size_t n, usec_t now) {
        int r;

        r = bundle_writer_begin(w, name, n, now);
        return r < 0 ? r : bundle_writer_add(w, text, n);
}

static int write_bundle(BundleWriter *w, const MasterFiles *l, const Copy *c, usec_t now) {
        _cleanup_(freep) char *manifest = NULL;
        size_t n = 0;
        int r;

        r = make_manifest(l, now, &manifest, &n);
        if (r >= 0)
                r = write_text(w, MASTER_MANIFEST, manifest, n, now);
        if (r >= 0)
                r = write_text(w, README_NAME, README_TEXT, STRLEN(README_TEXT), now);
        for (size_t i = 0; i < l->n && r >= 0; i++) {
                const MasterFile *f = l->items + i;

                if (f->data)
                        r = write_text(w, f->name, f->data, f->size, now);
                else {
                        r = bundle_writer_begin(w, f->name, f->size, now);
                        if (r >= 0)
                                r = read_copy(c->fd, w, NULL);
                }
        }
        return r < 0 ? r : bundle_writer_finish(w);
}

int self_backup(const MasterPlaces *places, const Sealing *sealing, OutFile *to, Failure *reterr_failure) {
        _cleanup_(master_files_done) MasterFiles files = MASTER_FILES_NULL;
        _cleanup_(bundle_writer_freep) BundleWriter *w = NULL;
        _cleanup_(copy_done) Copy copy = { .fd = -EBADF };
        _cleanup_(age_identity_erase) AgeIdentity identity = {};
        int r;

        assert(places);
        assert(sealing);
        assert(to);

        r = master_identity(places, &identity, reterr_failure); /* without it the rest is of little use */
        if (r >= 0)
                r = master_files_read(places, &files, reterr_failure);
        if (r >= 0)
                r = copy_database(places, &copy, reterr_failure);
        if (r >= 0)
                r = add_database(&copy, &files);
        if (r >= 0)
                r = bundle_writer_new(to, sealing, &w);
        if (r >= 0)
                r = write_bundle(w, &files, &copy, now_usec(CLOCK_REALTIME));
        return r < 0 ? failure_set(reterr_failure, r, "COPY_FAILED", "The copy cannot be written: %m") : 0;
}
