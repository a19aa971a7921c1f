/* SPDX-License-Identifier: Apache-2.0 */

/* Questions that a node answers while we wait: what is in a directory, of the node or of a backup; how the
 * node is; which databases it has, and which storage its rclone knows; whether a task would work. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/parse.h"
#include "base/text.h"
#include "cli/api.h"
#include "cli/body.h"
#include "cli/http.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "wire/path.h"

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

/* A piece of the file, and the size of all of it. */
static int get_piece(Cli *c, uint64_t run, const char *path, uint64_t offset, void **ret, size_t *ret_n,
                     uint64_t *ret_size) {
        _cleanup_json_ json_t *piece = NULL;
        const char *content;
        int r;

        r = cli_get(c, &piece, "runs/%" PRIu64 "/content?path=%s&offset=%" PRIu64, run, path, offset);
        if (r < 0)
                return r;
        content = json_string_value(json_object_get(piece, "content"));
        *ret_size = (uint64_t) json_integer_value(json_object_get(piece, "size"));
        r = content ? base64_decode(BASE64_STANDARD, content, strlen(content), ret, ret_n) : -EBADMSG;
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return failure_set(&c->failure, -EBADMSG, "ANSWER_INVALID",
                                   "The server's answer is not a piece of a file.");
        return 0;
}

/* One after the other, until the file's end. */
static int dump(Cli *c, uint64_t run, const char *path) {
        uint64_t offset = 0, size = 0;

        do {
                _cleanup_(freep) void *data = NULL;
                size_t n = 0;
                int r;

                r = get_piece(c, run, path, offset, &data, &n, &size);
                if (r < 0)
                        return r;
                if (n == 0 && offset < size)
                        return failure_set(&c->failure, -EBADMSG, "ANSWER_INVALID",
                                           "The file ended after %" PRIu64 " of %" PRIu64 " bytes.", offset,
                                           size);
                if (fwrite(data, 1, n, stdout) != n || fflush(stdout) != 0)
                        return failure_set(&c->failure, -errno, "WRITE",
                                           "The file cannot be written to standard output: %m");
                offset += n;
        } while (offset < size);
        return 0;
}

int verb_dump(Cli *c, const Arguments *a) {
        const char *text = arguments_operand(a, 0), *path = arguments_operand(a, 1);
        _cleanup_(freep) char *escaped = NULL;
        uint64_t run = 0;
        int r;

        if (parse_u64(text, 1, INT64_MAX, &run) < 0)
                return failure_set(&c->failure, -EINVAL, "USAGE", "A run is named by its number, not '%s'.",
                                   text);
        r = http_escape(path, &escaped);
        return r < 0 ? r : dump(c, run, escaped);
}

int verb_nodes_ls(Cli *c, const Arguments *a) {
        uint64_t id = 0;
        int r;

        r = cli_find(c, "nodes", arguments_operand(a, 0), &id);
        return r < 0 ? r : list_entries(c, "nodes", id, "directories", arguments_operand(a, 1));
}

static int print_check(const Cli *c, const json_t *report) {
        static const Column columns[] = {
                { "STATE", "state", COLUMN_TEXT },
                { "WHAT", "name", COLUMN_TEXT },
                { "HOW IT IS", "text", COLUMN_TEXT },
                { "WHAT TO DO", "hint", COLUMN_TEXT },
        };
        const json_t *tools = json_object_get(report, "tools"), *version;
        const char *name;
        int r;

        r = show_list(c, json_object_get(report, "items"), columns, ELEMENTSOF(columns));
        if (r < 0 || json_object_size(tools) == 0)
                return r;
        putchar('\n');
        fputs("Tools:", stdout);
        json_object_foreach((json_t *) tools, name, version) {
                _cleanup_(freep) char *shown = NULL;

                r = path_display(strempty(json_string_value(version)), &shown);
                if (r < 0)
                        return r;
                printf(" %s %s", name, shown);
        }
        putchar('\n');
        return 0;
}

/* An error in it is one of ours. */
static int end_check(Cli *c, const json_t *report, const char *what) {
        const char *summary = json_string_value(json_object_get(report, "summary"));

        if (!streq_ptr(json_string_value(json_object_get(report, "state")), "error"))
                return 0;
        return failure_set(&c->failure, -EREMOTEIO, "CHECK_FAILED", "%s found %s", what, strempty(summary));
}

int verb_nodes_check(Cli *c, const Arguments *a) {
        _cleanup_json_ json_t *report = NULL;
        uint64_t id = 0;
        int r;

        r = cli_find(c, "nodes", arguments_operand(a, 0), &id);
        if (r >= 0)
                r = cli_post(c, NULL, &report, "nodes/%" PRIu64 "/check", id);
        if (r >= 0)
                r = c->json ? show_json(report) : print_check(c, report);
        return r < 0 ? r : end_check(c, report, "The check");
}

/* --- Tasks -------------------------------------------------------------------------------------------- */

/* What is written of it. */
static int read_draft(Cli *c, const Arguments *a, json_t *task) {
        const char *file = arguments_value(a, "file");
        int r = 0;

        if (file)
                r = body_from_yaml(c, file, task);
        return r < 0 ? r : body_from_options(c, a, task);
}

/* A task that is there. */
static int name_task(Cli *c, const char *name, json_t *body, json_t *task) {
        _cleanup_json_ json_t *current = NULL;
        uint64_t id = 0;
        int r;

        r = cli_find(c, "tasks", name, &id);
        if (r >= 0)
                r = json_set(body, "task_id", json_from_u64(id));
        if (r < 0 || json_object_size(task) == 0)
                return r;
        r = cli_get(c, &current, "tasks/%" PRIu64, id);
        return r < 0 ? r : body_merge(current, task);
}

/* A task that is there, with changes or without, or one that is being written. */
static int read_task_test(Cli *c, const Arguments *a, json_t *body) {
        const char *name = arguments_operand(a, 0), *node = arguments_value(a, "on-node");
        _cleanup_json_ json_t *task = json_object();
        uint64_t id = 0;
        int r;

        if (!task)
                return -ENOMEM;
        r = read_draft(c, a, task);
        if (r >= 0 && name)
                r = name_task(c, name, body, task);
        if (r >= 0 && node)
                r = cli_find(c, "nodes", node, &id);
        if (r >= 0 && node)
                r = json_set(body, "node_id", json_from_u64(id));
        if (r < 0)
                return r;
        if (json_object_size(task) > 0)
                return json_set(body, "task", TAKE_PTR(task));
        if (!name)
                return failure_set(&c->failure, -EINVAL, "USAGE",
                                   "Which task? Name one, or write one with options or --file FILE.");
        return 0;
}

int verb_tasks_test(Cli *c, const Arguments *a) {
        _cleanup_json_ json_t *body = json_object(), *report = NULL;
        int r;

        r = read_task_test(c, a, body);
        if (r >= 0)
                r = cli_post(c, body, &report, "tasks/test");
        if (r >= 0)
                r = c->json ? show_json(report) : print_check(c, report);
        return r < 0 ? r : end_check(c, report, "The test");
}

/* --- Databases ---------------------------------------------------------------------------------------- */

static int show_sqlite(const Cli *c, const json_t *files) {
        static const Column columns[] = {
                { "SQLITE", "path", COLUMN_TEXT },
                { "SIZE", "size_bytes", COLUMN_SIZE },
                { "CHANGED", "modified_at", COLUMN_TIME },
                { "WRITTEN BY", "version", COLUMN_TEXT },
                { "WAL", "wal", COLUMN_FLAG },
        };

        if (json_array_size(files) == 0)
                return 0;
        putchar('\n');
        return show_list(c, files, columns, ELEMENTSOF(columns));
}

static int show_tools(const json_t *tools) {
        const char *name;
        json_t *version;

        if (json_object_size(tools) > 0)
                putchar('\n');
        json_object_foreach((json_t *) tools, name, version) {
                _cleanup_(freep) char *line = NULL, *safe = NULL;
                int r;

                r = asprintf_safe(&line, "%s %s", name, strempty(json_string_value(version)));
                if (r >= 0)
                        r = text_safe(line, &safe);
                if (r < 0)
                        return r;
                puts(safe);
        }
        return 0;
}

/* What is in one server, and what a dump of it would need. */
static int show_content(const Cli *c, const json_t *server) {
        static const Column of_mysql[] = {
                { "DATABASE", "name", COLUMN_TEXT },
                { "SIZE", "size_bytes", COLUMN_SIZE },
                { "TABLES", "tables", COLUMN_NUMBER },
                { "WITHOUT TRANSACTIONS", "not_transactional", COLUMN_NUMBER },
                { "NAMELY", "not_transactional_names", COLUMN_LIST },
                { "CHARSET", "charset", COLUMN_TEXT },
        };
        static const Column of_postgresql[] = {
                { "DATABASE", "name", COLUMN_TEXT },
                { "SIZE", "size_bytes", COLUMN_SIZE },
                { "OWNER", "owner", COLUMN_TEXT },
                { "ENCODING", "encoding", COLUMN_TEXT },
                { "MAY CONNECT", "may_connect", COLUMN_FLAG },
        };
        bool pg = streq_ptr(json_string_value(json_object_get(server, "type")), "postgresql");
        const json_t *list = json_object_get(server, "databases");
        int r = 0;

        if (json_array_size(list) > 0) {
                r = show_list(c, list, pg ? of_postgresql : of_mysql,
                              pg ? ELEMENTSOF(of_postgresql) : ELEMENTSOF(of_mysql));
                putchar('\n');
        }
        if (json_is_true(json_object_get(server, "more")))
                fputs("There are more databases than these.\n", stderr);
        return r < 0 ? r : print_check(c, server);
}

/* What can be seen without a login. */
static int show_around(const Cli *c, const json_t *data) {
        static const Column columns[] = {
                { "TYPE", "type", COLUMN_TEXT },
                { "VERSION", "version", COLUMN_TEXT },
                { "NAME", "name", COLUMN_TEXT },
                { "PORT", "port", COLUMN_NUMBER },
                { "SOCKET", "socket", COLUMN_TEXT },
                { "DATA", "data_directory", COLUMN_TEXT },
                { "RUNNING", "running", COLUMN_FLAG },
        };
        int r;

        r = show_list(c, json_object_get(data, "servers"), columns, ELEMENTSOF(columns));
        if (r >= 0)
                r = show_sqlite(c, json_object_get(data, "sqlite"));
        if (r >= 0)
                r = show_tools(json_object_get(data, "tools"));
        if (r >= 0 && json_is_true(json_object_get(data, "incomplete")))
                fputs("Something on the node could not be read: there may be more.\n", stderr);
        return r;
}

int verb_nodes_discover_databases(Cli *c, const Arguments *a) {
        _cleanup_json_ json_t *data = NULL, *body = json_object();
        const json_t *server;
        uint64_t id = 0;
        int r;

        if (!body)
                return -ENOMEM;
        r = cli_find(c, "nodes", arguments_operand(a, 0), &id);
        if (r >= 0)
                r = body_from_options(c, a, body);
        if (r >= 0)
                r = cli_post(c, body, &data, "nodes/%" PRIu64 "/discover-databases", id);
        if (r < 0)
                return r;
        server = json_object_get(data, "server");
        if (c->json)
                r = show_json(data);
        else
                r = json_is_object(server) ? show_content(c, server) : show_around(c, data);
        return r < 0 ? r : end_check(c, server, "The look at the server");
}

/* --- rclone ------------------------------------------------------------------------------------------- */

/* Of each text the first line; what is not for a table is left out. */
static int shorten_options(const json_t *all, bool advanced, json_t **ret) {
        _cleanup_json_ json_t *list = json_array();
        json_t *option;
        size_t i;

        json_array_foreach((json_t *) all, i, option) {
                const char *help = strempty(json_string_value(json_object_get(option, "help")));
                json_t *row;
                int r;

                if (!advanced && json_is_true(json_object_get(option, "advanced")))
                        continue;
                row = json_copy(option);
                r = json_append(list, row);
                if (r >= 0)
                        r = json_set(row, "help", json_stringn(help, strcspn(help, "\r\n")));
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(list);
        return *ret ? 0 : -ENOMEM;
}

static int show_backend(const Cli *c, const json_t *backend, bool advanced) {
        static const Column columns[] = {
                { "OPTION", "name", COLUMN_TEXT },
                { "KIND", "kind", COLUMN_TEXT },
                { "DEFAULT", "default", COLUMN_TEXT },
                { "REQUIRED", "required", COLUMN_FLAG },
                { "SECRET", "secret", COLUMN_FLAG },
                { "FOR", "providers", COLUMN_TEXT },
                { "WHAT IT IS", "help", COLUMN_TEXT },
        };
        _cleanup_json_ json_t *options = NULL;
        int r;

        r = shorten_options(json_object_get(backend, "options"), advanced, &options);
        return r < 0 ? r : show_list(c, options, columns, ELEMENTSOF(columns));
}

int verb_nodes_rclone(Cli *c, const Arguments *a) {
        static const Column columns[] = {
                { "BACKEND", "name", COLUMN_TEXT },
                { "WHAT IT IS", "about", COLUMN_TEXT },
        };
        const char *backend = arguments_operand(a, 1);
        _cleanup_(freep) char *escaped = NULL;
        _cleanup_json_ json_t *data = NULL;
        const json_t *list;
        uint64_t id = 0;
        int r;

        r = cli_find(c, "nodes", arguments_operand(a, 0), &id);
        if (r >= 0)
                r = http_escape(strempty(backend), &escaped);
        if (r >= 0)
                r = cli_get(c, &data, "nodes/%" PRIu64 "/rclone-backends%s%s", id,
                            backend ? "?backend=" : "", escaped);
        if (r < 0)
                return r;
        if (c->json)
                return show_json(data);
        list = json_object_get(data, "backends");
        return backend ? show_backend(c, json_array_get(list, 0), arguments_has(a, "advanced")) :
                         show_list(c, list, columns, ELEMENTSOF(columns));
}
