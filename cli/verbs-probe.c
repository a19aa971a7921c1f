/* SPDX-License-Identifier: Apache-2.0 */

/* Questions that a node answers while we wait: what is in a directory, of the node or of a backup. */

#include <errno.h>
#include <inttypes.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"
#include "cli/api.h"
#include "cli/http.h"
#include "cli/show.h"
#include "cli/verbs.h"

static const Column entry_columns[] = {
        { "TYPE", "type", COLUMN_TEXT },
        { "SIZE", "size", COLUMN_SIZE },
        { "MODIFIED", "mtime", COLUMN_TIME },
        { "OWNER", "user|uid", COLUMN_TEXT },
        { "GROUP", "group|gid", COLUMN_TEXT },
        { "NAME", "name", COLUMN_TEXT },
        { "TARGET", "target", COLUMN_TEXT },
};

/* All of the directory, page by page: NOUN/ID/WHAT. */
static int list_entries(Cli *c, const char *noun, uint64_t id, const char *what, const char *directory) {
        _cleanup_(freep) char *escaped = NULL, *path = NULL;
        _cleanup_json_ json_t *items = NULL;
        int r;

        r = http_escape(strempty(directory), &escaped);
        if (r >= 0)
                r = asprintf_safe(&path, "%s/%" PRIu64 "/%s?path=%s", noun, id, what, escaped);
        if (r >= 0)
                r = cli_list(c, path, SIZE_MAX, &items);
        return r < 0 ? r : show_list(c, items, entry_columns, ELEMENTSOF(entry_columns));
}

int verb_runs_files(Cli *c, const Arguments *a) {
        const char *text = arguments_operand(a, 0);
        uint64_t run = 0;

        if (parse_u64(text, 1, INT64_MAX, &run) < 0)
                return failure_set(&c->failure, -EINVAL, "USAGE", "A run is named by its number, not '%s'.",
                                   text);
        return list_entries(c, "runs", run, "entries", arguments_operand(a, 1));
}

int verb_nodes_ls(Cli *c, const Arguments *a) {
        uint64_t id = 0;
        int r;

        r = cli_find(c, "nodes", arguments_operand(a, 0), &id);
        return r < 0 ? r : list_entries(c, "nodes", id, "directories", arguments_operand(a, 1));
}
