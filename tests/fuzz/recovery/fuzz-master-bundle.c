/* SPDX-License-Identifier: Apache-2.0 */

/* Any file that is given as a copy: decompressed and decrypted without a crash, with bounded memory, and to
 * an end. */

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "recovery/bundle.h"

/* A few bytes of zstd may stand for terabytes. */
#define PLAIN_MAX (64U << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const AgeIdentity identity = { .secret = { 1 } };
        const AgeKeys keys = { .identities = &identity, .n_identities = 1 };
        _cleanup_(bundle_reader_freep) BundleReader *reader = NULL;
        _cleanup_close_ int fd = memfd_create("fuzz", MFD_CLOEXEC);
        char buf[4096];
        size_t total = 0;
        ssize_t n;

        if (fd < 0 || write_full(fd, data, size) < 0 || lseek(fd, 0, SEEK_SET) < 0)
                abort();
        if (bundle_reader_new(fd, &keys, &reader) < 0)
                return 0;
        while (total < PLAIN_MAX && (n = bundle_reader_read(reader, buf, sizeof(buf))) > 0) {
                if ((size_t) n > sizeof(buf))
                        abort();
                total += (size_t) n;
        }
        return 0;
}
