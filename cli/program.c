/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/place.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/program.h"

/* The agent's package has its programs beside this one, wherever it was unpacked. */
static int find_program(const char *name, char **ret) {
        _cleanup_(freep) char *beside = NULL;
        const char *folder = getenv("BACKUPX_LIBEXECDIR");
        int r;

        r = asprintf_safe(&beside, "../libexec/%s", name);
        if (r < 0)
                return r;
        if (isempty(folder) && place_beside_program(beside, ret) >= 0)
                return 0;
        return asprintf_safe(ret, "%s/%s", isempty(folder) ? BACKUPX_LIBEXECDIR : folder, name);
}

int program_become(const char *name, char **argv) {
        _cleanup_(freep) char *path = NULL;

        assert(name);
        assert(argv);

        if (find_program(name, &path) < 0)
                return EXIT_ERROR;
        argv[0] = path;
        (void) execv(path, argv);
        fprintf(stderr, "backupx: %s cannot be started: %s. Is the agent installed?\n", path,
                strerror(errno));
        return EXIT_ERROR;
}
