/* SPDX-License-Identifier: Apache-2.0 */

/* The manifest of any copy of a master: read without a crash, its names go nowhere but where files of ours
 * are, no name twice. */

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "recovery/self-stage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_place(const char *name) {
        const MasterPlaces places = { .state = "/s", .agent_state = "/a", .credstore = "/c", .root = "" };
        _cleanup_(freep) char *path = NULL;
        const char *credential;

        if (master_file_place(&places, name, &path, &credential) < 0)
                return;
        if (strstr(path, "..") && !strstr(name, ".."))
                abort();
        if (strstr(path, "/../") ||
            (!startswith(path, "/s/") && !startswith(path, "/a/") && !startswith(path, "/c/") &&
             !startswith(path, "/etc/")))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(staged_done) Staged s = STAGED_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;

        if (stage_parse_manifest(data, size, &s, &failure) < 0) {
                if (!failure_is_set(&failure))
                        abort();
                return 0;
        }
        for (size_t i = 0; i < s.files.n; i++) {
                check_place(s.files.items[i].name);
                if (master_files_find(&s.files, s.files.items[i].name) != s.files.items + i)
                        abort();
        }
        return 0;
}
