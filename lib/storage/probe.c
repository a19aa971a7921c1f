/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "storage/backend.h"

int storage_probe_key(char **ret) {
        return asprintf_safe(ret, "backupx-probe/%08" PRIx32 "%08" PRIx32, random_u32(), random_u32());
}

int storage_probe_object(Storage *s, const void *data, size_t size, Failure *reterr_failure) {
        _cleanup_(storage_put_freep) StoragePut *put = NULL;
        _cleanup_(freep) char *key = NULL, *back = malloc(size);
        uint8_t digest[SHA256_SIZE];
        ssize_t n;
        int r;

        assert(s);
        assert(data && size > 0);

        r = back ? storage_probe_key(&key) : -ENOMEM;
        if (r >= 0)
                r = sha256(data, size, digest);
        if (r >= 0)
                r = storage_put_new(s, key, &put, reterr_failure);
        if (r >= 0)
                r = storage_put_write(put, data, size, reterr_failure);
        if (r >= 0)
                r = storage_put_commit(put, digest, reterr_failure);
        if (r < 0)
                return r;
        n = storage_read_at(s, key, 0, back, size, reterr_failure);
        r = storage_remove(s, key, reterr_failure);
        if (n < 0)
                return (int) n;
        if ((size_t) n != size || memcmp(data, back, size) != 0)
                return failure_set(reterr_failure, -EIO, "STORAGE_FAILED",
                                   "What %s gives back is not what was written.", s->name);
        return r;
}
