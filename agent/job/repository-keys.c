/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "agent/job/repository-keys.h"
#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "sys/log.h"

#define NAME_BYTES 8

typedef struct KeyFile {
        StoragePut *put;
        Sha256 *hash;
        Failure *failure;
} KeyFile;

static void key_file_done(KeyFile *f) {
        storage_put_free(f->put);
        sha256_free(f->hash);
}

static int key_file_sink(void *userdata, const void *p, size_t n) {
        KeyFile *f = ASSERT_PTR(userdata);
        int r;

        r = sha256_add(f->hash, p, n);
        return r < 0 ? r : storage_put_write(f->put, p, n, f->failure);
}

/* "…/backupx-password-0123456789abcdef.age", by whom it is for. */
static int name_key(const SpecTarget *target, const AgeRecipient *recipients, size_t n, char **ret) {
        uint8_t digest[SHA256_SIZE];
        char digits[2 * NAME_BYTES + 1];
        int r;

        r = sha256(recipients, n * sizeof(*recipients), digest);
        return r < 0 ? r :
                       asprintf_safe(ret, "%sbackupx-password-%s.age", strempty(target->prefix),
                                     hex_encode(digest, NAME_BYTES, digits));
}

static int write_key(const AgeRecipient *recipients, size_t n, const char *password, KeyFile *f) {
        _cleanup_(age_writer_freep) AgeWriter *age = NULL;
        uint8_t digest[SHA256_SIZE];
        int r;

        assert(f);

        r = sha256_new(&f->hash);
        if (r >= 0)
                r = age_writer_new(recipients, n, key_file_sink, f, &age);
        if (r >= 0)
                r = age_writer_write(age, password, strlen(password));
        if (r >= 0)
                r = age_writer_finish(age);
        if (r >= 0)
                r = sha256_finish(f->hash, digest);
        return r < 0 ? r : storage_put_commit(f->put, digest, f->failure);
}

int job_repository_keep_key(const JobRun *run, const SpecTarget *target, Storage *storage,
                            const AgeRecipient *recipients, size_t n_recipients, Failure *reterr_failure) {
        _cleanup_(key_file_done) KeyFile f = { .failure = reterr_failure };
        _cleanup_failure_ Failure absent = FAILURE_NULL;
        _cleanup_(freep) char *key = NULL;
        RepositorySecret secret = {};
        uint64_t size;
        int r;

        assert(run);
        assert(target);
        assert(storage);

        if (n_recipients == 0)
                return 0;
        r = name_key(target, recipients, n_recipients, &key);
        if (r < 0)
                return r;
        if (storage_stat(storage, key, &size, &absent) >= 0)
                return 0;
        r = command_secrets_repository(&run->start->secrets, target->id, &secret);
        if (r >= 0)
                r = storage_put_new(storage, key, &f.put, reterr_failure);
        if (r >= 0)
                r = write_key(recipients, n_recipients, secret.password, &f);
        return r == -EEXIST ? 0 : r;
}
