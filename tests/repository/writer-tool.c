/* SPDX-License-Identifier: Apache-2.0 */

/* The writing side of lib/repository for tests, without daemons:
 *
 *   writer-tool cuts rabin|gear POLYNOMIAL FILE    prints length and SHA-256 of each chunk
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "repository/chunker.h"

#define PIECE ((size_t) 128 << 10)

static int print_chunk(const uint8_t *p, size_t n) {
        char id[SHA256_HEX_SIZE];
        int r;

        r = sha256_hex(p, n, id);
        if (r >= 0)
                printf("%zu %s\n", n, id);
        return r;
}

static int cut_file(const Chunker *c, int fd, uint8_t *buf) {
        size_t size = 0, n;
        ssize_t got;
        int r;

        while ((got = read(fd, buf + size, PIECE)) > 0) {
                size_t seen = size;

                size += (size_t) got;
                while ((n = chunker_cut(c, buf, seen, size)) > 0) {
                        r = print_chunk(buf, n);
                        if (r < 0)
                                return r;
                        size -= n;
                        memmove(buf, buf + n, size);
                        seen = 0;
                }
        }
        if (got < 0)
                return -errno;
        return size > 0 ? print_chunk(buf, size) : 0;
}

static int command_cuts(char **arguments) {
        _cleanup_(chunker_freep) Chunker *c = NULL;
        _cleanup_(freep) uint8_t *buf = malloc(CHUNK_MAX + PIECE);
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (!buf)
                return -ENOMEM;
        r = chunker_new(chunker_kind_from_string(arguments[0]), strtoull(arguments[1], NULL, 16), &c);
        if (r < 0)
                return r;
        fd = open(arguments[2], O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return cut_file(c, fd, buf);
}

int main(int argc, char **argv) {
        int r = -EINVAL;

        if (argc == 5 && streq(argv[1], "cuts"))
                r = command_cuts(argv + 2);
        if (r < 0)
                fprintf(stderr, "writer-tool: %s\n", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
