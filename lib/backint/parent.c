/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backint/parent.h"
#include "base/alloc.h"
#include "base/file.h"

#define STAT_MAX 4096
/* The kernel's PF_EXITING, in the field behind state, parent, group, session, terminal and its group. */
#define FLAG_ENDING 0x4UL
#define FIELDS_BEFORE_FLAGS 6

bool backint_stat_is_ending(const char *stat) {
        const char *p;

        assert(stat);

        /* The name may hold everything but says where it ends. */
        p = strrchr(stat, ')');
        if (!p || p[1] != ' ')
                return false;
        p += 2;
        if (*p == 'Z' || *p == 'X')
                return true;
        for (int i = 0; i < FIELDS_BEFORE_FLAGS; i++) {
                p = strchr(p, ' ');
                if (!p)
                        return false;
                p++;
        }
        return strtoul(p, NULL, 10) & FLAG_ENDING;
}

bool backint_parent_lives(pid_t parent) {
        _cleanup_(freep) char *stat = NULL;
        char path[40];

        if (getppid() != parent)
                return false;
        (void) snprintf(path, sizeof path, "/proc/%d/stat", (int) parent);
        if (read_file(AT_FDCWD, path, STAT_MAX, &stat, NULL) < 0)
                return getppid() == parent;
        return !backint_stat_is_ending(stat);
}
