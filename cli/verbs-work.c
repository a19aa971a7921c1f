/* SPDX-License-Identifier: Apache-2.0 */

/* What is done: targets tested, tasks run, runs followed, backups restored. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"
#include "cli/body.h"
#include "cli/entities.h"
#include "cli/follow.h"
#include "cli/human.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "wire/command.h"
#include "wire/path.h"

#define STATUS_RUNS 10

/* The run whose number is operand i. */
static int run_operand(Cli *c, const Arguments *a, size_t i, uint64_t *ret) {
        const char *text = arguments_operand(a, i);

        if (parse_u64(text, 1, INT64_MAX, ret) < 0)
                return failure_set(&c->failure, -EINVAL, "USAGE", "A run is named by its number, not '%s'.",
                                   text);
        return 0;
}

/* Says that a run was started, or waits for its end. */
static int started(Cli *c, const Arguments *a, const json_t *data) {
        uint64_t run = (uint64_t) json_integer_value(json_object_get(data, "run_id"));

        assert(c);

        if (arguments_has(a, "wait"))
                return follow_run(c, run);
        if (c->json)
                return show_json(data);
        if (c->quiet)
                printf("%" PRIu64 "\n", run);
        else
                printf("Run %" PRIu64 " is queued. Follow it: backupx runs logs -f %" PRIu64 "\n", run, run);
        return 0;
}

int verb_targets_test(Cli *c, const Arguments *a) {
        _cleanup_json_ json_t *body = json_object(), *data = NULL;
        uint64_t id = 0;
        int r;

        r = body_from_options(c, a, body);
        if (r >= 0)
                r = cli_find(c, "targets", arguments_operand(a, 0), &id);
        if (r >= 0)
                r = cli_post(c, body, &data, "targets/%" PRIu64 "/test", id);
        return r < 0 ? r : show_object(c, data);
}

int verb_tasks_create(Cli *c, const Arguments *a) {
        const char *file = arguments_value(a, "file"), *name = arguments_operand(a, 0);
        _cleanup_json_ json_t *body = json_object(), *data = NULL;
        int r = 0;

        assert(c);

        if (!file && !name)
                return failure_set(&c->failure, -EINVAL, "USAGE", "A task needs a name, or --file FILE.");
        if (file)
                r = body_from_yaml(c, file, body);
        if (r >= 0 && name)
                r = body_set(body, "name", json_string(name));
        if (r >= 0)
                r = body_from_options(c, a, body);
        if (r >= 0)
                r = cli_post(c, body, &data, "tasks");
        if (r < 0)
                return r;
        if (c->json)
                return show_json(data);
        if (!c->quiet)
                printf("Created task %" JSON_INTEGER_FORMAT "\n",
                       json_integer_value(json_object_get(data, "id")));
        return 0;
}

int verb_tasks_run(Cli *c, const Arguments *a) {
        _cleanup_json_ json_t *data = NULL;
        uint64_t id = 0;
        int r;

        r = cli_find(c, "tasks", arguments_operand(a, 0), &id);
        if (r >= 0)
                r = cli_post(c, NULL, &data, "tasks/%" PRIu64 "/run", id);
        return r < 0 ? r : started(c, a, data);
}

int verb_runs_cancel(Cli *c, const Arguments *a) {
        uint64_t run = 0;
        int r;

        assert(c);

        r = run_operand(c, a, 0, &run);
        if (r >= 0)
                r = cli_post(c, NULL, NULL, "runs/%" PRIu64 "/cancel", run);
        if (r < 0)
                return r;
        if (arguments_has(a, "wait"))
                return follow_run(c, run);
        if (!c->quiet && !c->json)
                printf("Run %" PRIu64 " is being cancelled\n", run);
        return 0;
}

int verb_runs_logs(Cli *c, const Arguments *a) {
        uint64_t run = 0;
        int r;

        r = run_operand(c, a, 0, &run);
        return r < 0 ? r : follow_logs(c, run, arguments_has(a, "follow"));
}

int verb_runs_wait(Cli *c, const Arguments *a) {
        uint64_t run = 0;
        int r;

        r = run_operand(c, a, 0, &run);
        return r < 0 ? r : follow_run(c, run);
}

/* "1/7". */
static int parse_share(Cli *c, const char *text, uint32_t *ret_share, uint32_t *ret_shares) {
        _cleanup_(freep) char *share = strdup(text);
        char *slash = share ? strchr(share, '/') : NULL;

        if (!share)
                return -ENOMEM;
        if (slash)
                *slash = 0;
        if (!slash || parse_u32(slash + 1, 1, VERIFY_SHARES_MAX, ret_shares) < 0 ||
            parse_u32(share, 1, *ret_shares, ret_share) < 0)
                return failure_set(&c->failure, -EINVAL, "USAGE",
                                   "A share is one number of several, as 1/7, at most of %d; not '%s'.",
                                   VERIFY_SHARES_MAX, text);
        return 0;
}

int verb_runs_verify(Cli *c, const Arguments *a) {
        const char *text = arguments_value(a, "share");
        _cleanup_json_ json_t *body = NULL, *data = NULL;
        uint32_t share = 0, shares = 0;
        uint64_t run = 0;
        int r;

        assert(c);
        assert(a);

        r = run_operand(c, a, 0, &run);
        if (r >= 0 && text && arguments_has(a, "read-data"))
                r = failure_set(&c->failure, -EINVAL, "USAGE", "Either --read-data or --share, not both.");
        if (r >= 0 && text)
                r = parse_share(c, text, &share, &shares);
        if (r < 0)
                return r;
        if (arguments_has(a, "read-data"))
                share = shares = 1;
        body = json_pack("{s:I, s:I}", "share", (json_int_t) share, "shares", (json_int_t) shares);
        r = body ? cli_post(c, body, &data, "runs/%" PRIu64 "/verify", run) : -ENOMEM;
        return r < 0 ? r : started(c, a, data);
}

int verb_runs_prune(Cli *c, const Arguments *a) {
        _cleanup_json_ json_t *body = NULL, *data = NULL;
        uint64_t run = 0;
        int r;

        assert(c);
        assert(a);

        r = run_operand(c, a, 0, &run);
        if (r < 0)
                return r;
        body = json_pack("{s:s}", "space", streq(a->command->verb, "forget") ? "never" : "now");
        r = body ? cli_post(c, body, &data, "runs/%" PRIu64 "/prune", run) : -ENOMEM;
        return r < 0 ? r : started(c, a, data);
}

int verb_restores_create(Cli *c, const Arguments *a) {
        bool in_place = arguments_has(a, "in-place");
        _cleanup_json_ json_t *body = json_object(), *data = NULL;
        uint64_t run = 0;
        int r;

        assert(c);
        assert(a);

        if (in_place + (arguments_value(a, "to") != NULL) + (arguments_value(a, "dump") != NULL) != 1)
                return failure_set(&c->failure, -EINVAL, "USAGE",
                                   "Say where to restore: --to DIRECTORY, or --in-place, or a --dump with "
                                   "--database NAME.");
        r = run_operand(c, a, 0, &run);
        if (r >= 0)
                r = body_from_options(c, a, body);
        if (r >= 0 && in_place)
                r = body_set(body, "destination", json_string("in_place"));
        for (size_t i = 1; i < a->n_operands && r >= 0; i++) {
                if (i == 1)
                        r = body_set(body, "paths", json_array());
                if (r >= 0)
                        r = json_append(json_object_get(body, "paths"), json_from_path(a->operands[i]));
        }
        if (r >= 0)
                r = cli_post(c, body, &data, "runs/%" PRIu64 "/restore", run);
        return r < 0 ? r : started(c, a, data);
}

static int status_lists(Cli *c, json_t **ret_nodes, json_t **ret_runs) {
        int r;

        r = cli_list(c, "nodes", SIZE_MAX, ret_nodes);
        return r < 0 ? r : cli_list(c, "runs", STATUS_RUNS, ret_runs);
}

static void status_kit(const json_t *kit) {
        if (!json_is_true(json_object_get(kit, "is_old")))
                return;
        if (json_is_string(json_object_get(kit, "written")))
                printf("\nThe last recovery kit does not have everything that restoring needs.");
        else
                printf("\nNo recovery kit was written yet.");
        printf(" As root on the master: backupx recovery-kit FILE\n");
}

int verb_status(Cli *c, const Arguments *a) {
        const Entity *node = entity_find("nodes"), *run = entity_find("runs");
        _cleanup_json_ json_t *setup = NULL, *me = NULL, *nodes = NULL, *runs = NULL;
        _cleanup_json_ json_t *kit = NULL, *all = NULL;
        int r;

        assert(c);

        r = cli_get(c, &setup, "setup");
        if (r < 0)
                return r;
        if (json_is_true(json_object_get(setup, "needed")))
                return failure_set(&c->failure, -EACCES, "SETUP_NEEDED",
                                   "%s is new: make its first administrator with backupx setup.", c->server);
        r = cli_get(c, &me, "auth/me");
        if (r >= 0)
                r = status_lists(c, &nodes, &runs);
        if (r >= 0)
                r = cli_get(c, &kit, "recovery-kit");
        if (r < 0)
                return r;
        if (c->json) {
                all = json_pack("{s:s, s:O, s:O, s:O, s:O}", "server", c->server, "me", me, "nodes", nodes,
                                "runs", runs, "recovery_kit", kit);
                return show_json(all);
        }
        printf("%s, logged in as %s (%s)\n\n", c->server,
               strempty(json_string_value(show_lookup(me, "username|name|user.username"))),
               strempty(json_string_value(show_lookup(me, "role|user.role"))));
        r = show_list(c, nodes, node->columns, node->n_columns);
        if (r >= 0 && json_array_size(runs) > 0) {
                putchar('\n');
                r = show_list(c, runs, run->columns, run->n_columns);
        }
        if (r >= 0)
                status_kit(kit);
        return r;
}
