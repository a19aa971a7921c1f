/* SPDX-License-Identifier: Apache-2.0 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "sys/log.h"

#include "services/keys/leftovers.h"

#define RANDOM_DIGITS 16U
#define HEX "0123456789abcdef"

static bool is_random(const char *text, const char *end) {
        return text && strspn(text, HEX) == RANDOM_DIGITS && streq(text + RANDOM_DIGITS, end);
}

bool leftover_is_of(const char *entry, const char *name) {
        const char *rest;

        assert(entry);
        assert(name);

        rest = startswith(entry, ".#"); /* as systemd names what it writes */
        if (rest) {
                rest = startswith(rest, name);
                return is_random(rest ? startswith(rest, ".new") : NULL, "");
        }
        rest = startswith(entry, name);
        if (!rest || rest[0] != '.')
                return false;
        return streq(rest, ".new") || is_random(rest + 1, "~");
}

static void clean_folder(const char *folder, const char *name) {
        struct dirent *entry;
        DIR *d;

        d = opendir(folder);
        if (!d)
                return;
        while ((entry = readdir(d))) {
                if (!leftover_is_of(entry->d_name, name))
                        continue;
                if (unlinkat(dirfd(d), entry->d_name, 0) < 0 && errno != ENOENT)
                        log_warning_errno(errno, "Cannot remove the leftover %s/%s, ignoring: %m",
                                          folder, entry->d_name);
        }
        (void) closedir(d);
}

void leftovers_remove(const char *path) {
        _cleanup_(freep) char *folder = NULL;
        const char *slash;

        assert(path);

        slash = strrchr(path, '/');
        if (!slash)
                return;
        folder = memdup0(path, (size_t) (slash - path) + 1);
        if (folder)
                clean_folder(folder, slash + 1);
}
