/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "storage/object-probe.h"

static int probe_key(Storage *s, const char *key, ObjectRemoveFunc remove, Failure *f) {
        static const char text[] = "BackupX writes and removes this to see whether it can.\n";
        _cleanup_(storage_put_freep) StoragePut *put = NULL;
        _cleanup_failure_ Failure refused = FAILURE_NULL;
        uint8_t digest[SHA256_SIZE];
        char back[sizeof text];
        ssize_t n;
        int r;

        r = sha256(text, sizeof text, digest);
        if (r >= 0)
                r = storage_put_new(s, key, &put, f);
        if (r >= 0)
                storage_put_set_transient(put);
        if (r >= 0)
                r = storage_put_write(put, text, sizeof text, f);
        if (r >= 0)
                r = storage_put_commit(put, digest, f);
        if (r < 0)
                return r;
        n = storage_read_at(s, key, 0, back, sizeof back, f);
        r = remove(s, key, &refused);
        if (n < 0)
                return (int) n;
        if (n != sizeof text || memcmp(text, back, sizeof text) != 0)
                return failure_set(f, -EIO, "STORAGE_FAILED", "What %s gives back is not what was written.",
                                   s->name);
        if (r < 0 && r != -EACCES && r != -EPERM)
                return failure_set(f, r, refused.code, "%s", failure_message(&refused, r));
        return 0;
}

int object_probe(Storage *s, const char *prefix, ObjectRemoveFunc remove, Failure *reterr_failure) {
        _cleanup_(freep) char *key = NULL;
        int r;

        assert(s);
        assert(remove);

        r = asprintf_safe(&key, "%s%08" PRIx32 "%08" PRIx32, prefix, random_u32(), random_u32());
        return r < 0 ? r : probe_key(s, key, remove, reterr_failure);
}
