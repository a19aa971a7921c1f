/* SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/backint/call.h"

/* A database sets it for libraries of its own, some of which have the names of ours. */
static void leave_foreign_libraries(char *argv[]) {
        if (!getenv("LD_LIBRARY_PATH") || unsetenv("LD_LIBRARY_PATH") < 0)
                return;
        (void) execv("/proc/self/exe", argv);
}

int main(int argc, char *argv[]) {
        const struct rlimit no_core = {};
        BackintOptions options;
        int status;

        leave_foreign_libraries(argv);
        (void) setrlimit(RLIMIT_CORE, &no_core); /* it would hold the secrets */
        (void) umask(0077);
        if (backint_options_parse(argc, argv, &options, &status) <= 0)
                return status;
        return backint_call(&options);
}
