/* SPDX-License-Identifier: Apache-2.0 */

/* The queue: all of it, runs that have no command yet first. */

#include <inttypes.h>

#include "base/alloc.h"
#include "base/text.h"
#include "cli/api.h"
#include "cli/show.h"
#include "cli/verbs.h"

static const Column queue_columns[] = {
        { "COMMAND", "command_id", COLUMN_NUMBER },
        { "RUN", "run_id", COLUMN_NUMBER },
        { "TASK", "task_name|kind", COLUMN_TEXT },
        { "NODE", "node_name", COLUMN_TEXT },
        { "STATE", "state", COLUMN_TEXT },
        { "ATTEMPT", "attempt", COLUMN_NUMBER },
        { "AGE S", "age_s", COLUMN_NUMBER },
        { "SILENT S", "silent_s", COLUMN_NUMBER },
        { "DEADLINE", "deadline", COLUMN_TIME },
        { "WAITS FOR", "waits_for", COLUMN_TEXT },
};

int verb_queue(Cli *c, const Arguments *a) {
        _cleanup_json_ json_t *commands = NULL, *data = NULL;
        const char *node = arguments_value(a, "node");
        _cleanup_(freep) char *path = NULL;
        json_t *items;
        uint64_t id = 0;
        int r = 0;

        if (node)
                r = cli_find(c, "nodes", node, &id);
        if (r >= 0)
                r = node ? asprintf_safe(&path, "queue?node_id=%" PRIu64, id) :
                           asprintf_safe(&path, "queue");
        if (r >= 0)
                r = cli_get(c, &data, "%s", path);
        if (r >= 0)
                r = cli_list(c, path, SIZE_MAX, &commands);
        if (r < 0)
                return r;
        items = json_object_get(data, "unassigned");
        if (!json_is_array(items))
                return show_list(c, commands, queue_columns, ELEMENTSOF(queue_columns));
        if (json_array_extend(items, commands) < 0)
                return -ENOMEM;
        return show_list(c, items, queue_columns, ELEMENTSOF(queue_columns));
}
