/* SPDX-License-Identifier: Apache-2.0 */

/* Preloaded, stops whoever reads the file BACKUPX_TEST_HOLD_PATH in its middle, at the first read behind
 * its beginning: makes the file BACKUPX_TEST_HOLD.held, and goes on when BACKUPX_TEST_HOLD.go is there. */

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
/* Who held it is gone: five minutes of looking. */
#define LOOKS_MAX 60000
#define LOOK_USEC 5000

static bool is_held(int fd) {
        const char *held = getenv("BACKUPX_TEST_HOLD_PATH");
        char link[64], path[PATH_MAX + 1] = "";

        (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        return held && readlink(link, path, sizeof(path) - 1) > 0 && strcmp(path, held) == 0;
}

static void hold(void) {
        const char *mark = getenv("BACKUPX_TEST_HOLD");
        char held[PATH_MAX], go[PATH_MAX];
        int fd;

        if (!mark)
                return;
        (void) snprintf(held, sizeof(held), "%s.held", mark);
        (void) snprintf(go, sizeof(go), "%s.go", mark);
        fd = open(held, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0)
                (void) close(fd);
        for (unsigned i = 0; i < LOOKS_MAX && access(go, F_OK) != 0; i++)
                (void) usleep(LOOK_USEC);
}

EXPORT ssize_t pread64(int fd, void *buf, size_t n, off64_t offset) {
        if (offset > 0 && is_held(fd))
                hold();
        return (ssize_t) syscall(SYS_pread64, fd, buf, n, offset);
}
