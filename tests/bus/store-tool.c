/* SPDX-License-Identifier: Apache-2.0 */

/* A hand in the store: does what the API does for people and for agents, one step a call, so that a test can
 * put the scheduler and the dispatcher into any situation. Prints JSON.
 *
 *     store-tool DATABASE VERB [ARGUMENT…] */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "crypto/seal.h"
#include "store/audit.h"
#include "store/node.h"
#include "store/queue.h"
#include "store/run-log.h"
#include "store/run.h"
#include "store/target.h"
#include "store/task.h"
#include "wire/json.h"

typedef struct Tool {
        Store *store;
        char **arguments;
        int n;
} Tool;

static const char *text(const Tool *t, int i) {
        return i < t->n ? t->arguments[i] : "";
}

static uint64_t number(const Tool *t, int i) {
        return strtoull(text(t, i), NULL, 10);
}

static int print(json_t *json) {
        _cleanup_(freep) char *line = NULL;
        int r;

        r = json_format(json, &line, NULL);
        json_decref(json);
        if (r >= 0)
                puts(line);
        return r;
}

static int print_id(uint64_t id) {
        printf("%llu\n", (unsigned long long) id);
        return 0;
}

static usec_t now_wall(void) {
        return now_usec(CLOCK_REALTIME);
}

static int verb_init(const Tool *t) {
        return 0;
}

/* NAME TYPE CONFIG */
static int verb_target(const Tool *t) {
        const Target target = {
                .name = (char *) text(t, 0),
                .type = (char *) text(t, 1),
                .config = (char *) text(t, 2),
                .created = now_wall(),
        };
        uint64_t id;
        int r = target_add(t->store, &target, NULL, &id);

        return r != 0 ? r : print_id(id);
}

/* ID CONFIG */
static int verb_retarget(const Tool *t) {
        _cleanup_(target_done) Target target = TARGET_NULL;
        int r = target_get(t->store, number(t, 0), &target);

        if (r == 0)
                r = free_and_strdup(&target.config, text(t, 1));
        if (r != 0)
                return r;
        target.updated = now_wall();
        return target_update(t->store, &target, NULL);
}

/* NAME NODE TARGET ENCRYPTION [EXPRESSION ZONE CATCH-UP UPDATED] */
static int verb_task(const Tool *t) {
        const Task task = {
                .name = (char *) text(t, 0),
                .type = (char *) "file",
                .node_id = number(t, 1),
                .source = (char *) "{\"paths\":[\"/etc/hostname\"],\"excludes\":[\"*.tmp\"]}",
                .format = (char *) "archive",
                .compression = (char *) "{\"algorithm\":\"zstd\",\"level\":5}",
                .encryption = (char *) text(t, 3),
                .enabled = true,
                .schedule_expression = isempty(text(t, 4)) ? NULL : (char *) text(t, 4),
                .schedule_timezone = (char *) text(t, 5),
                .schedule_catch_up = streq(text(t, 6), "yes"),
                .target_ids = { number(t, 2) },
                .n_targets = 1,
                .created = t->n > 7 ? number(t, 7) : now_wall(),
                .updated = t->n > 7 ? number(t, 7) : now_wall(),
        };
        uint64_t id;
        int r = task_add(t->store, &task, &id);

        return r != 0 ? r : print_id(id);
}

/* ID EXPRESSION */
static int verb_reschedule(const Tool *t) {
        _cleanup_(task_done) Task task = TASK_NULL;
        int r = task_get(t->store, number(t, 0), &task);

        if (r == 0)
                r = free_and_strdup(&task.schedule_expression, text(t, 1));
        if (r != 0)
                return r;
        task.updated = now_wall();
        return task_update(t->store, &task);
}

/* ID yes|no */
static int verb_enable(const Tool *t) {
        return task_set_enabled(t->store, number(t, 0), streq(text(t, 1), "yes"), now_wall());
}

/* NAME */
static int verb_node(const Tool *t) {
        uint64_t id;
        int r = node_add(t->store, text(t, 0), NULL, now_wall(), &id);

        return r != 0 ? r : print_id(id);
}

static int verb_open_pin(const Tool *t) {
        return node_open_pin(t->store, number(t, 0));
}

/* [NODE…]: the API lives, and heard these. */
static int verb_beat(const Tool *t) {
        ApiStamp api = {};
        int r = stamp_now(&api.at);

        if (r < 0)
                return r;
        api.listening_since = 1;
        r = api_stamp_write(t->store, &api);
        for (int i = 0; i < t->n && r == 0; i++)
                r = node_heard(t->store, number(t, i), &api.at, now_wall());
        return r;
}

/* NODE SECONDS: the API lives, and heard this one long ago. */
static int verb_silence(const Tool *t) {
        ApiStamp api = {};
        Stamp heard;
        int r = stamp_now(&api.at);

        if (r < 0)
                return r;
        heard = api.at;
        heard.mono -= number(t, 1) * USEC_PER_SEC;
        api.listening_since = 1;
        r = api_stamp_write(t->store, &api);
        return r == 0 ? node_heard(t->store, number(t, 0), &heard, now_wall()) : r;
}

static json_t *show_command(const Command *c) {
        return json_pack("{s:I,s:I,s:I,s:s,s:s,s:i,s:b,s:s?,s:s?,s:s?,s:s?}", "id", (json_int_t) c->id,
                         "run", (json_int_t) c->run_id, "node", (json_int_t) c->node_id, "kind", c->kind,
                         "state", command_state_to_string(c->state), "attempt", (int) c->attempt, "cancel",
                         c->cancel, "spec", c->spec, "secrets", c->secrets, "error_code", c->error_code,
                         "error", c->error);
}

/* NODE [SECONDS]: so long ago. */
static int verb_claim(const Tool *t) {
        _cleanup_(command_list_done) CommandList list = COMMAND_LIST_NULL;
        QueueClaim claim = {
                .node_id = number(t, 0), .agent_id = "tool", .capacity = 8, .probes = 8, .wall = now_wall()
        };
        json_t *array = json_array();
        int r = stamp_now(&claim.now);

        claim.now.mono -= number(t, 1) * USEC_PER_SEC;
        if (r == 0)
                r = queue_claim(t->store, &claim, &list);
        if (r < 0)
                return r;
        for (size_t i = 0; i < list.n; i++)
                json_array_append_new(array, show_command(list.items + i));
        return print(array);
}

/* NODE ID ATTEMPT */
static int verb_accept(const Tool *t) {
        const CommandRef ref = { number(t, 1), (uint32_t) number(t, 2) };
        Stamp now;
        int r = stamp_now(&now);

        return r != 0 ? r : queue_accept(t->store, &ref, number(t, 0), &now, now_wall());
}

/* NODE ID ATTEMPT SECONDS: its last sign of life was then. */
static int verb_age(const Tool *t) {
        const CommandRef ref = { number(t, 1), (uint32_t) number(t, 2) };
        size_t renewed;
        Stamp then;
        int r = stamp_now(&then);

        then.mono -= number(t, 3) * USEC_PER_SEC;
        return r != 0 ? r : queue_renew(t->store, number(t, 0), &ref, 1, &then, &renewed);
}

/* NODE ID ATTEMPT STATE CODE ERROR RESULT */
static int verb_finish(const Tool *t) {
        const CommandRef ref = { number(t, 1), (uint32_t) number(t, 2) };
        const CommandEnd end = {
                .state = command_state_from_string(text(t, 3)),
                .error_code = isempty(text(t, 4)) ? NULL : text(t, 4),
                .error = isempty(text(t, 5)) ? NULL : text(t, 5),
                .result = isempty(text(t, 6)) ? NULL : text(t, 6),
        };

        return queue_finish(t->store, &ref, number(t, 0), &end, now_wall());
}

/* NODE: ids of commands to cancel. */
static int verb_cancels(const Tool *t) {
        json_t *array = json_array();
        uint64_t ids[16];
        size_t n;
        int r = queue_cancels(t->store, number(t, 0), ids, ELEMENTSOF(ids), &n);

        for (size_t i = 0; r == 0 && i < n; i++)
                json_array_append_new(array, json_integer((json_int_t) ids[i]));
        return r != 0 ? r : print(array);
}

static int verb_command(const Tool *t) {
        _cleanup_(command_done) Command command = COMMAND_NULL;
        int r = command_get(t->store, number(t, 0), &command);

        return r != 0 ? r : print(show_command(&command));
}

static json_t *show_targets(const RunTargetList *targets) {
        json_t *array = json_array();

        for (size_t i = 0; i < targets->n; i++) {
                const RunTarget *x = targets->items + i;

                json_array_append_new(array,
                                      json_pack("{s:I,s:s,s:s?,s:s?}", "id", (json_int_t) x->target_id,
                                                "state", run_target_state_to_string(x->state), "key", x->key,
                                                "error", x->error));
        }
        return array;
}

static json_t *show_run(const Run *run) {
        return json_pack("{s:I,s:s,s:s,s:I,s:I,s:s?,s:I,s:I,s:I,s:s?,s:s?,s:I,s:s?,s:b}", "id",
                         (json_int_t) run->id, "kind", run_kind_to_string(run->kind), "state",
                         run_state_to_string(run->state), "task", (json_int_t) run->task_id, "node",
                         (json_int_t) run->node_id, "origin", run->origin, "scheduled_for",
                         (json_int_t) run->scheduled_for, "deadline", (json_int_t) run->deadline, "command",
                         (json_int_t) run->command_id, "error_code", run->error_code, "error", run->error,
                         "files", (json_int_t) run->files, "username", run->username, "cancel", run->cancel);
}

static int verb_run(const Tool *t) {
        _cleanup_(run_target_list_done) RunTargetList targets = RUN_TARGET_LIST_NULL;
        _cleanup_(run_done) Run run = RUN_NULL;
        json_t *json;
        int r = run_get(t->store, number(t, 0), &run);

        if (r == 0)
                r = run_targets_get(t->store, run.id, &targets);
        if (r != 0)
                return r;
        json = show_run(&run);
        json_object_set_new(json, "targets", show_targets(&targets));
        return print(json);
}

static int verb_runs(const Tool *t) {
        _cleanup_(run_list_done) RunList list = RUN_LIST_NULL;
        json_t *array = json_array();
        int r = runs_list(t->store, NULL, 0, STORE_LIST_MAX, &list);

        for (size_t i = 0; r == 0 && i < list.n; i++)
                json_array_append_new(array, show_run(list.items + i));
        return r != 0 ? r : print(array);
}

static int verb_nodes(const Tool *t) {
        _cleanup_(node_list_done) NodeList list = NODE_LIST_NULL;
        json_t *array = json_array();
        int r = nodes_list(t->store, 0, STORE_LIST_MAX, &list);

        for (size_t i = 0; r == 0 && i < list.n; i++) {
                const Node *n = list.items + i;

                json_array_append_new(array,
                                      json_pack("{s:I,s:s,s:s,s:s,s:s?,s:s?,s:b}", "id", (json_int_t) n->id,
                                                "name", n->name, "state", node_state_to_string(n->state),
                                                "health", node_health_to_string(n->health), "reason",
                                                n->health_reason, "key", n->public_key, "draining",
                                                n->draining));
        }
        return r != 0 ? r : print(array);
}

static int verb_audit(const Tool *t) {
        _cleanup_(audit_list_done) AuditList list = AUDIT_LIST_NULL;
        json_t *array = json_array();
        int r = audit_list(t->store, NULL, 0, STORE_LIST_MAX, &list);

        for (size_t i = 0; r == 0 && i < list.n; i++)
                json_array_append_new(array,
                                      json_pack("{s:s,s:s?,s:I}", "action", list.items[i].action, "username",
                                                list.items[i].username, "object",
                                                (json_int_t) list.items[i].object_id));
        return r != 0 ? r : print(array);
}

static int verb_log(const Tool *t) {
        _cleanup_(run_log_list_done) RunLogList list = RUN_LOG_LIST_NULL;
        json_t *array = json_array();
        int r = run_log_list(t->store, number(t, 0), 0, STORE_LIST_MAX, &list);

        for (size_t i = 0; r == 0 && i < list.n; i++)
                json_array_append_new(array, json_string(list.items[i].text));
        return r != 0 ? r : print(array);
}

/* A key pair: the identity and its recipient. */
static int verb_identity(const Tool *t) {
        char identity_text[AGE_IDENTITY_TEXT_SIZE], recipient_text[AGE_RECIPIENT_TEXT_SIZE];
        AgeIdentity identity;
        AgeRecipient recipient;
        int r = age_identity_generate(&identity);

        if (r >= 0)
                r = age_identity_recipient(&identity, &recipient);
        if (r < 0)
                return r;
        return print(json_pack("[s,s]", age_identity_format(&identity, identity_text),
                               age_recipient_format(&recipient, recipient_text)));
}

/* IDENTITY SEALED: as the agent opens its secrets. */
static int verb_unseal(const Tool *t) {
        _cleanup_(unseal_buffer_done) Buffer plain = BUFFER_NULL;
        AgeIdentity identity;
        int r = age_identity_parse(text(t, 0), &identity);

        if (r >= 0)
                r = unseal(&identity, text(t, 1), &plain);
        if (r >= 0)
                printf("%s\n", plain.data);
        return r;
}

/* RECIPIENT KEY: the header of an object that has this file key, in base64. */
static int verb_header(const Tool *t) {
        _cleanup_buffer_ Buffer header = BUFFER_NULL;
        uint8_t key[AGE_FILE_KEY_SIZE];
        _cleanup_(freep) char *encoded = NULL;
        AgeRecipient recipient;
        int r = age_recipient_parse(text(t, 0), &recipient);

        if (r >= 0)
                r = hex_decode(text(t, 1), key, sizeof(key));
        if (r >= 0)
                r = age_header_make(&recipient, 1, key, &header);
        if (r >= 0)
                r = base64_encode(BASE64_STANDARD, header.data, header.size, &encoded);
        return r < 0 ? r : print(json_string(encoded));
}

static const struct {
        const char *name;
        int (*run)(const Tool *t);
} verbs[] = {
        { "init", verb_init },
        { "target", verb_target },
        { "retarget", verb_retarget },
        { "task", verb_task },
        { "reschedule", verb_reschedule },
        { "enable", verb_enable },
        { "node", verb_node },
        { "open-pin", verb_open_pin },
        { "beat", verb_beat },
        { "silence", verb_silence },
        { "claim", verb_claim },
        { "accept", verb_accept },
        { "age", verb_age },
        { "finish", verb_finish },
        { "cancels", verb_cancels },
        { "command", verb_command },
        { "run", verb_run },
        { "runs", verb_runs },
        { "nodes", verb_nodes },
        { "audit", verb_audit },
        { "log", verb_log },
        { "identity", verb_identity },
        { "unseal", verb_unseal },
        { "header", verb_header },
};

int main(int argc, char *argv[]) {
        _cleanup_(store_closep) Store *store = NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        if (argc < 3)
                return 2;
        r = store_open(argv[1], STORE_API, &store, &failure);
        if (r < 0) {
                fprintf(stderr, "%s: %s\n", argv[1], failure_message(&failure, r));
                return 1;
        }
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (streq(verbs[i].name, argv[2])) {
                        const Tool tool = { store, argv + 3, argc - 3 };

                        r = verbs[i].run(&tool);
                        if (r != 0)
                                fprintf(stderr, "%s gives %d\n", argv[2], r);
                        return r == 0 ? 0 : 1;
                }
        fprintf(stderr, "There is no verb '%s'\n", argv[2]);
        return 2;
}
