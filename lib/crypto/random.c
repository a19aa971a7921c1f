/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "crypto/random.h"

int random_bytes(void *p, size_t n) {
        unsigned char *out = p;

        assert(p || n == 0);

        while (n > 0) {
                ssize_t k = getrandom(out, n, 0);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k <= 0)
                        return -EIO;
                out += k;
                n -= (size_t) k;
        }
        return 0;
}

uint32_t random_u32(void) {
        uint32_t v;

        if (random_bytes(&v, sizeof(v)) < 0)
                abort();
        return v;
}
