/* SPDX-License-Identifier: Apache-2.0 */

/* list, show, create, edit and delete: the same for every kind of thing. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/parse.h"
#include "base/text.h"
#include "cli/body.h"
#include "cli/entities.h"
#include "cli/prompt.h"
#include "cli/verbs.h"

#define LIST_DEFAULT 50

static int add_filter(Buffer *path, const char *name, const char *value) {
        _cleanup_(freep) char *escaped = NULL;
        int r;

        r = http_escape(value, &escaped);
        if (r < 0)
                return r;
        return buffer_printf(path, "%c%s=%s", strchr(path->data, '?') ? '&' : '?', name, escaped);
}

/* Options of a list are filters of the API; names become numbers. */
static int list_path(Cli *c, const Entity *e, const Arguments *a, Buffer *path) {
        assert(e);

        static const char *const filters[][3] = {
                { "state", "state", NULL },
                { "task", "task_id", "tasks" },
                { "on-node", "node_id", "nodes" },
                { "on-target", "target_id", "targets" },
                { "user", "user_id", "users" },
                { "action", "action", NULL },
        };
        int r;

        r = buffer_add_string(path, e->path);
        for (size_t i = 0; i < ELEMENTSOF(filters) && r >= 0; i++) {
                const char *value = arguments_value(a, filters[i][0]);
                _cleanup_(freep) char *number = NULL;
                uint64_t id;

                if (!value)
                        continue;
                if (filters[i][2]) {
                        r = cli_find(c, filters[i][2], value, &id);
                        if (r >= 0)
                                r = asprintf_safe(&number, "%" PRIu64, id);
                }
                if (r >= 0)
                        r = add_filter(path, filters[i][1], number ? number : value);
        }
        return r;
}

int verb_list(Cli *c, const Arguments *a) {
        const Entity *e = entity_find(a->command->noun);
        const char *limit = arguments_value(a, "limit");
        _cleanup_(buffer_done) Buffer path = BUFFER_NULL;
        _cleanup_json_ json_t *items = NULL;
        uint64_t max = arguments_has(a, "all") ? SIZE_MAX : LIST_DEFAULT;
        int r;

        assert(c);
        assert(e);

        if (limit && parse_u64(limit, 1, SIZE_MAX, &max) < 0)
                return failure_set(&c->failure, -EINVAL, "USAGE", "--limit is a number from 1, not '%s'.",
                                   limit);
        r = list_path(c, e, a, &path);
        if (r >= 0)
                r = cli_list(c, path.data, max, &items);
        return r < 0 ? r : show_list(c, items, e->columns, e->n_columns);
}

/* What the first operand names. */
static int find_operand(Cli *c, const Entity *e, const Arguments *a, char **ret_path, uint64_t *ret_id) {
        _cleanup_(freep) char *path = NULL;
        int r;

        r = entity_path(e, &path);
        if (r >= 0)
                r = cli_find(c, path, arguments_operand(a, 0), ret_id);
        if (r >= 0)
                *ret_path = TAKE_PTR(path);
        return r;
}

int verb_show(Cli *c, const Arguments *a) {
        const Entity *e = entity_find(a->command->noun);
        _cleanup_(freep) char *path = NULL;
        _cleanup_json_ json_t *data = NULL;
        uint64_t id = 0;
        int r;

        assert(e);

        r = find_operand(c, e, a, &path, &id);
        if (r >= 0)
                r = cli_get(c, &data, "%s/%" PRIu64, path, id);
        return r < 0 ? r : show_object(c, data);
}

/* What was made: its number, and what is shown this once. */
static int show_created(const Cli *c, const Entity *e, const json_t *data) {
        assert(c);
        assert(e);

        static const char *const once[] = { "token", "key", "password" };

        if (c->json)
                return show_json(data);
        if (!c->quiet)
                printf("Created %s %" JSON_INTEGER_FORMAT "\n", e->singular,
                       json_integer_value(json_object_get(data, "id")));
        for (size_t i = 0; i < ELEMENTSOF(once); i++) {
                const char *secret = json_string_value(json_object_get(data, once[i]));

                if (!secret)
                        continue;
                printf("%s\n", secret);
                if (!c->quiet)
                        fprintf(stderr, "It is shown this once: keep it now.\n");
        }
        return 0;
}

/* A target whose directory was named has the type that such a directory means. */
static int imply_type(const Entity *e, json_t *body) {
        const json_t *config = json_object_get(body, "config");
        const char *type;

        assert(e);

        if (!streq(e->path, "targets") || json_object_get(body, "type"))
                return 0;
        type = json_object_get(config, "path")               ? "local" :
                        json_object_get(config, "directory") ? "relay" :
                                                               NULL;
        return type ? body_set(body, "type", json_string(type)) : 0;
}

int verb_create(Cli *c, const Arguments *a) {
        const Entity *e = entity_find(a->command->noun);
        _cleanup_json_ json_t *body = json_object(), *data = NULL;
        _cleanup_(freep) char *path = NULL;
        int r;

        assert(c);
        assert(e);

        r = body_set(body, streq(e->path, "users") ? "username" : "name",
                     json_string(arguments_operand(a, 0)));
        if (r == -ENOMEM)
                return failure_set(&c->failure, -EINVAL, "USAGE", "A name is text in UTF-8.");
        if (r >= 0)
                r = body_from_options(c, a, body);
        if (r >= 0)
                r = imply_type(e, body);
        if (r >= 0)
                r = entity_path(e, &path);
        if (r >= 0)
                r = cli_post(c, body, &data, "%s", path);
        return r < 0 ? r : show_created(c, e, data);
}

int verb_edit(Cli *c, const Arguments *a) {
        const Entity *e = entity_find(a->command->noun);
        _cleanup_json_ json_t *body = json_object(), *current = NULL;
        _cleanup_(freep) char *path = NULL, *one = NULL;
        uint64_t id = 0;
        int r;

        assert(c);
        assert(e);

        r = body_from_options(c, a, body);
        if (r < 0)
                return r;
        if (json_object_size(body) == 0)
                return failure_set(&c->failure, -EINVAL, "USAGE", "Say what to change: backupx help %s edit",
                                   e->noun);
        r = find_operand(c, e, a, &path, &id);
        if (r >= 0)
                r = asprintf_safe(&one, "%s/%" PRIu64, path, id);
        if (r >= 0)
                r = cli_get(c, &current, "%s", one);
        if (r >= 0)
                r = body_merge(current, body);
        if (r >= 0)
                r = cli_call(c, "PUT", one, body, NULL);
        if (r >= 0 && !c->quiet && !c->json)
                printf("Changed %s %" PRIu64 "\n", e->singular, id);
        return r;
}

int verb_delete(Cli *c, const Arguments *a) {
        const Entity *e = entity_find(a->command->noun);
        _cleanup_(freep) char *path = NULL, *one = NULL, *question = NULL;
        uint64_t id = 0;
        int r;

        assert(c);
        assert(e);

        r = find_operand(c, e, a, &path, &id);
        if (r >= 0)
                r = asprintf_safe(&question, "Delete %s %" PRIu64 "?", e->singular, id);
        if (r >= 0)
                r = prompt_sure(c, a, question);
        if (r >= 0)
                r = asprintf_safe(&one, "%s/%" PRIu64, path, id);
        if (r >= 0)
                r = cli_call(c, "DELETE", one, NULL, NULL);
        if (r >= 0 && !c->quiet && !c->json)
                printf("Deleted %s %" PRIu64 "\n", e->singular, id);
        return r;
}
