/* SPDX-License-Identifier: Apache-2.0 */

/* Runs lib/database alone, for tests:
 *
 *   database-tool copy STAGING DATABASE OUT [BUSY_MSEC]   a checked copy of a database of SQLite
 *
 * Prints JSON. Exit status: 0 done, 4 failed. */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "database/sqlite-copy.h"
#include "wire/json.h"

static int print(json_t *json, int status) {
        char *text = NULL;

        if (!json || json_format(json, &text, NULL) < 0)
                return 2;
        puts(text);
        free(text);
        json_decref(json);
        return status;
}

static int print_failure(const Failure *failure, int r) {
        return print(json_pack("{s:s,s:s}", "code", failure->code, "message", failure_message(failure, r)),
                     4);
}

static int keep(const SqliteCopy *copy, const char *path) {
        char buf[65536];
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        ssize_t n;

        if (fd < 0)
                return -errno;
        while ((n = read(copy->fd, buf, sizeof(buf))) > 0)
                if (write_full(fd, buf, (size_t) n) < 0)
                        return -EIO;
        return n < 0 ? -errno : 0;
}

static int copy(char *argv[]) {
        _cleanup_(staging_done) Staging staging = STAGING_NULL;
        _cleanup_(sqlite_copy_done) SqliteCopy copied = SQLITE_COPY_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        SqliteCopyArgs args = { .path = argv[3], .staging = &staging };
        int r;

        args.busy = argv[5] ? (usec_t) atoi(argv[5]) * USEC_PER_MSEC : 0;
        r = staging_open(argv[2], 0, &staging, &failure);
        if (r >= 0)
                r = sqlite_copy(&args, &copied, &failure);
        if (r >= 0)
                r = keep(&copied, argv[4]);
        if (r < 0)
                return print_failure(&failure, r);
        return print(json_pack("{s:I,s:b,s:i,s:b,s:b}", "size", (json_int_t) copied.size, "at_rest",
                               (int) copied.at_rest, "restarts", (int) copied.restarts, "held",
                               (int) copied.held, "unchecked", (int) copied.unchecked),
                     0);
}

int main(int argc, char *argv[]) {
        if (argc >= 5 && streq(argv[1], "copy"))
                return copy(argv);
        fputs("database-tool: see its source\n", stderr);
        return 2;
}
