/* SPDX-License-Identifier: Apache-2.0 */

/* The writing side of lib/repository for tests, without daemons:
 *
 *   writer-tool cuts rabin|gear POLYNOMIAL FILE    prints length and SHA-256 of each chunk
 *   writer-tool forget RULE… TIME…                 which of the times (newest first) are kept, 1 or 0 each;
 *                                                  rules are last=3, daily=7, within=1d, within-weekly=2m
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "repository/chunker.h"
#include "repository/forget.h"

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

/* "daily=7", "within=1d", "within-daily=1m". */
static int forget_rule(const char *text, ForgetPolicy *p) {
        const char *value = strchr(text, '='), *within = startswith(text, "within");
        _cleanup_(freep) char *name = NULL;
        ForgetRule rule;
        uint64_t n;
        int r;

        name = memdup0(text, (size_t) (value - text));
        if (!name)
                return -ENOMEM;
        if (streq(name, "within"))
                return forget_span_parse(value + 1, &p->within[FORGET_LAST], NULL);
        rule = forget_rule_from_string(within ? name + STRLEN("within-") : name);
        if (rule < 0)
                return rule;
        if (within)
                return forget_span_parse(value + 1, &p->within[rule], NULL);
        r = parse_u64(value + 1, 0, FORGET_NUMBER_MAX, &n);
        if (r >= 0)
                p->keep[rule] = (uint32_t) n;
        return r;
}

static int command_forget(char **arguments, size_t n) {
        _cleanup_(freep) Moment *times = new0(Moment, n);
        _cleanup_(freep) ForgetReasons *keep = new0(ForgetReasons, n);
        ForgetPolicy policy = FORGET_POLICY_NULL;
        Moment now = moment_now();
        int r = 0;

        if (!times || !keep)
                return -ENOMEM;
        for (; n > 0 && strchr(*arguments, '=') && r >= 0; n--)
                r = forget_rule(*arguments++, &policy);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = moment_parse(arguments[i], strlen(arguments[i]), &times[i]);
        if (r < 0)
                return r;
        forget_apply(&policy, times, n, &now, keep);
        for (size_t i = 0; i < n; i++)
                printf("%d\n", keep[i] != 0);
        return 0;
}

int main(int argc, char **argv) {
        int r = -EINVAL;

        if (argc == 5 && streq(argv[1], "cuts"))
                r = command_cuts(argv + 2);
        else if (argc > 3 && streq(argv[1], "forget"))
                r = command_forget(argv + 2, (size_t) argc - 2);
        if (r < 0)
                fprintf(stderr, "writer-tool: %s\n", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
