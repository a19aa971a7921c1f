/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backint/setup.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "wire/json.h"
#include "wire/target-config.h"

#define CONFIG_MAX (64U << 10)
#define IDENTITIES_MAX 16

/* --- Files ------------------------------------------------------------------------------------------ */

static int check_owner(const char *path, BackintFileKind kind, const struct stat *st,
                       Failure *reterr_failure) {
        /* A group that root chose may read, nobody else may read secrets, and only the owner writes. */
        mode_t read = st->st_uid == 0 ? S_IROTH : S_IRGRP | S_IROTH;
        mode_t refused = S_IWGRP | S_IWOTH | (kind == BACKINT_FILE_SECRETS ? read : 0);

        if (!S_ISREG(st->st_mode))
                return failure_set(reterr_failure, -EINVAL, "BACKINT_FILE", "%s is not a file", path);
        if (st->st_uid != 0 && st->st_uid != geteuid())
                return failure_set(reterr_failure, -EPERM, "BACKINT_FILE",
                                   "%s belongs neither to root nor to the user of this call: chown it",
                                   path);
        if (st->st_mode & refused)
                return failure_set(reterr_failure, -EPERM, "BACKINT_FILE",
                                   "%s can be %s by others: chmod it to %s", path,
                                   st->st_mode & (S_IWGRP | S_IWOTH) ? "changed" : "read",
                                   st->st_uid == 0 ? "0640, of a group that has the database's user alone" :
                                                     "0600");
        return 0;
}

int backint_file_load(const char *path, BackintFileKind kind, size_t max, char **ret, size_t *ret_size,
                      Failure *reterr_failure) {
        _cleanup_(erase_and_freep) char *text = NULL;
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        ssize_t n;
        int r;

        assert(path);
        assert(ret);
        assert(ret_size);

        /* A pipe in its place must not hold us up. */
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        if (fd < 0 || fstat(fd, &st) < 0)
                return failure_set(reterr_failure, -errno, "BACKINT_FILE", "%s cannot be read: %m", path);
        r = check_owner(path, kind, &st, reterr_failure);
        if (r < 0)
                return r;
        text = calloc(1, max + 2);
        if (!text)
                return -ENOMEM;
        n = read_full(fd, text, max + 1);
        if (n < 0)
                return failure_set(reterr_failure, (int) n, "BACKINT_FILE", "%s cannot be read: %m", path);
        if ((size_t) n > max)
                return failure_set(reterr_failure, -EFBIG, "BACKINT_FILE", "%s has more than %zu bytes",
                                   path, max);
        *ret = TAKE_PTR(text);
        *ret_size = (size_t) n;
        return 0;
}

/* --- The storage ------------------------------------------------------------------------------------ */

static int load_json(const char *path, BackintFileKind kind, json_t **ret, Failure *reterr_failure) {
        _cleanup_(erase_and_freep) char *text = NULL;
        _cleanup_failure_ Failure why = FAILURE_NULL;
        size_t n;
        int r;

        r = backint_file_load(path, kind, CONFIG_MAX, &text, &n, reterr_failure);
        if (r < 0)
                return r;
        r = json_parse_strict(text, n, JSON_DEPTH_BODY, ret, &why);
        /* What is wrong may hold what is around it. */
        if (r < 0 && kind == BACKINT_FILE_SECRETS)
                return failure_set(reterr_failure, r, "JSON_INVALID", "%s is no JSON", path);
        return r < 0 ? failure_set(reterr_failure, r, why.code, "%s: %s", path, failure_message(&why, r)) :
                       0;
}

static int load_config(const BackintParameters *p, json_t **ret, Failure *reterr_failure) {
        const char *text = p->storage_config_json;

        if (p->storage_config)
                return load_json(p->storage_config, BACKINT_FILE_SETTINGS, ret, reterr_failure);
        if (!text)
                text = "{}";
        return json_parse_strict(text, strlen(text), JSON_DEPTH_BODY, ret, reterr_failure);
}

/* Reads what was given through the table of the type, so that what is wrong is said of its field. */
static int check_target(const BackintParameters *p, const json_t *given, json_t **ret_config,
                        const json_t **ret_secrets, Failure *reterr_failure) {
        const TargetType *type = target_type_find(p->storage_type);
        _cleanup_json_ json_t *none = json_object();
        JsonReader reader, config;
        int r;

        if (!type)
                return failure_set(reterr_failure, -EINVAL, "BACKINT_PARAMETERS",
                                   "There is no STORAGE_TYPE '%s'", p->storage_type);
        *ret_secrets = NULL;
        r = json_reader_init(&reader, given, reterr_failure);
        if (r >= 0)
                r = json_reader_object(&reader, "config", JSON_REQUIRED, &config);
        if (r >= 0)
                r = target_config_read(type, &config, ret_config);
        if (r >= 0)
                r = json_reader_value(&reader, "secrets", JSON_OPTIONAL, ret_secrets);
        if (r >= 0)
                r = target_secrets_check(type, &reader, *ret_secrets, /* is_new= */ true);
        if (r >= 0 && type->check)
                r = type->check(&reader, *ret_config, *ret_secrets ? *ret_secrets : none);
        return r;
}

static int set_part(json_t *config, const char *type, unsigned mib) {
        const char *name = streq(type, "s3") ? "part_size" : streq(type, "azure") ? "block_size" :
                                                                                    NULL;

        if (!name || json_object_get(config, name))
                return 0;
        return json_set(config, name, json_integer(mib));
}

int backint_storage_open(const BackintParameters *p, unsigned part_mib, const atomic_bool *cancel,
                         Storage **ret, Failure *reterr_failure) {
        _cleanup_json_ json_t *given = json_object(), *config = NULL;
        const json_t *secrets;
        json_t *part = NULL;
        int r;

        assert(p);
        assert(ret);

        r = load_config(p, &part, reterr_failure);
        if (r >= 0)
                r = json_set(given, "config", part);
        if (r >= 0 && p->storage_secrets) {
                part = NULL;
                r = load_json(p->storage_secrets, BACKINT_FILE_SECRETS, &part, reterr_failure);
                if (r >= 0)
                        r = json_set(given, "secrets", part);
        }
        if (r >= 0)
                r = check_target(p, given, &config, &secrets, reterr_failure);
        if (r >= 0)
                r = set_part(config, p->storage_type, part_mib);
        if (r < 0)
                return r;
        return storage_open(&(StorageConfig){ .name = "backint",
                                              .type = p->storage_type,
                                              .config = config,
                                              .secrets = secrets,
                                              .cancel = cancel },
                            ret, reterr_failure);
}

/* --- Keys ------------------------------------------------------------------------------------------- */

int backint_recipients_load(const BackintParameters *p, AgeRecipient **ret, size_t *ret_n) {
        _cleanup_(freep) AgeRecipient *recipients = NULL;
        size_t n = strv_length(p->recipients);

        assert(ret);
        assert(ret_n);

        recipients = new0(AgeRecipient, MAX(n, (size_t) 1));
        if (!recipients)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                int r = age_recipient_parse(p->recipients[i], &recipients[i]);

                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(recipients);
        *ret_n = n;
        return 0;
}

/* Comments and empty lines, and else one identity a line. */
int backint_identities_parse(const char *text, AgeIdentity **ret, size_t *ret_n) {
        _cleanup_(erase_and_freep) char *copy = NULL;
        AgeIdentity identities[IDENTITIES_MAX];
        CLEANUP_ERASE(identities);
        char *state = NULL;
        size_t n = 0;

        assert(text);
        assert(ret);
        assert(ret_n);

        copy = memdup0(text, strlen(text));
        if (!copy)
                return -ENOMEM;
        for (char *line = strtok_r(copy, "\r\n", &state); line; line = strtok_r(NULL, "\r\n", &state)) {
                if (line[0] == '#')
                        continue;
                if (n == IDENTITIES_MAX || age_identity_parse(line, &identities[n]) < 0)
                        return -EINVAL;
                n++;
        }
        if (n == 0)
                return -EINVAL;
        *ret = memdup0(identities, n * sizeof *identities);
        if (!*ret)
                return -ENOMEM;
        *ret_n = n;
        return 0;
}

int backint_identities_load(const char *path, AgeIdentity **ret, size_t *ret_n, Failure *reterr_failure) {
        _cleanup_(erase_and_freep) char *text = NULL;
        size_t n;
        int r;

        assert(path);

        r = backint_file_load(path, BACKINT_FILE_SECRETS, CONFIG_MAX, &text, &n, reterr_failure);
        if (r < 0)
                return r;
        r = backint_identities_parse(text, ret, ret_n);
        return r == -EINVAL ? failure_set(reterr_failure, r, "BACKINT_FILE",
                                          "%s holds no identities as age-keygen writes them", path) :
                              r;
}
