/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "database/child.h"
#include "database/pg-tool.h"

#define VERSION_MAX 256
#define MARK "(PostgreSQL) "

char *const pg_versions_default[] = {
        (char *) "/usr/lib/postgresql/*/bin",     /* Debian, Ubuntu */
        (char *) "/usr/pgsql-*/bin",              /* the project's packages for RHEL */
        (char *) "/usr/lib/postgresql[0-9]*/bin", /* SUSE */
        NULL,
};

void pg_tool_done(PgTool *t) {
        assert(t);

        free(t->path);
        *t = PG_TOOL_NULL;
}

unsigned pg_tool_parse_version(const char *text) {
        unsigned major;
        const char *at;

        assert(text);

        at = strstr(text, MARK);
        return at && sscanf(at + STRLEN(MARK), "%u", &major) == 1 ? major : 0;
}

/* Takes path where it is a newer one than the best so far. */
static int consider(char *path, const atomic_bool *cancel, PgTool *best) {
        char *const arguments[] = { path, (char *) "--version", NULL };
        const ChildArgs args = { .path = path, .arguments = arguments, .cancel = cancel };
        char text[VERSION_MAX];
        unsigned major;
        int r;

        r = child_capture(&args, text, sizeof text, NULL);
        if (r == -ECANCELED || r == -ENOMEM)
                return r;
        major = r == 0 ? pg_tool_parse_version(text) : 0;
        if (major <= best->major)
                return 0;
        r = free_and_strdup(&best->path, path);
        if (r >= 0)
                best->major = major;
        return MIN(r, 0);
}

static int consider_versions(const char *pattern, const char *name, const atomic_bool *cancel,
                             PgTool *best) {
        _cleanup_(freep) char *paths = NULL;
        glob_t found = {};
        int r;

        r = asprintf_safe(&paths, "%s/%s", pattern, name);
        if (r < 0)
                return r;
        if (glob(paths, 0, NULL, &found) == GLOB_NOSPACE)
                r = -ENOMEM;
        for (size_t i = 0; i < found.gl_pathc && r >= 0; i++)
                if (access(found.gl_pathv[i], X_OK) == 0)
                        r = consider(found.gl_pathv[i], cancel, best);
        globfree(&found);
        return MIN(r, 0);
}

int pg_tool_find(const char *name, const PgFacts *server, const ToolFinder *finder,
                 const atomic_bool *cancel, PgTool *ret, Failure *reterr_failure) {
        _cleanup_(pg_tool_done) PgTool best = PG_TOOL_NULL;
        _cleanup_(freep) char *path = NULL;
        int r = 0;

        assert(name);
        assert(server);
        assert(finder && finder->find);
        assert(ret);

        STRV_FOREACH(pattern, finder->versions)
                if (r >= 0)
                        r = consider_versions(*pattern, name, cancel, &best);
        if (r >= 0)
                r = finder->find(finder->userdata, name, &path);
        if (r >= 0)
                r = consider(path, cancel, &best);
        if (r < 0 && r != -ENOENT)
                return r;
        if (!best.path)
                return failure_set(reterr_failure, -ENOENT, "TOOL_MISSING",
                                   "There is no %s on this node: install the client programs of PostgreSQL "
                                   "%u",
                                   name, server->major);
        if (best.major < server->major)
                return failure_set(reterr_failure, -ENOEXEC, "TOOL_MISMATCH",
                                   "%s is of version %u, which is older than the server, %s: install client "
                                   "programs of that version or a later one",
                                   best.path, best.major, server->version);
        *ret = best;
        best = PG_TOOL_NULL;
        return 0;
}
