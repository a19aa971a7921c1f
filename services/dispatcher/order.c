/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "services/dispatcher/order.h"
#include "store/setting.h"
#include "wire/path.h"

void order_init(Order *o) {
        assert(o);

        memset(o, 0, sizeof *o);
}

void order_done(Order *o) {
        assert(o);

        free(o->spec);
        free(o->secrets);
        command_secrets_done(&o->plain);
        for (size_t i = 0; i < o->n_caps; i++)
                free(o->caps[i].prefix);
        order_init(o);
}

int order_refuse(Failure *reterr_failure, const char *code, const char *text) {
        failure_set(reterr_failure, 0, code, "%s", text);
        return ORDER_E_REFUSED;
}

int order_get_node(const OrderContext *x, uint64_t node_id, Node *ret, Failure *reterr_failure) {
        int r;

        assert(x);
        assert(ret);

        r = node_get(x->store, node_id, ret);
        if (r == STORE_E_NOT_FOUND)
                return order_refuse(reterr_failure, "NODE_NOT_FOUND",
                                    "The node was deleted before the run could start");
        return r == 0 && !ret->public_key ? (int) ORDER_E_NO_KEY : r;
}

static int take_spec(Order *o, const json_t *json) {
        return json_format(json, &o->spec, NULL);
}

/* --- Backups --- */

static void read_files(JsonReader *reader, BackupSpec *spec) {
        json_reader_paths(reader, "paths", JSON_REQUIRED, SPEC_PATHS_MAX, &spec->paths);
        json_reader_strv(reader, "excludes", JSON_OPTIONAL, SPEC_EXCLUDES_MAX, WIRE_PATH_MAX,
                         &spec->excludes);
        json_reader_bool(reader, "one_file_system", JSON_OPTIONAL, &spec->one_file_system);
        json_reader_bool(reader, "follow_symlinks", JSON_OPTIONAL, &spec->follow_symlinks);
}

/* The columns are the API's; what it checked at save is checked again where it is used. */
static int read_source(const Task *task, BackupSpec *spec, Failure *reterr_failure) {
        _cleanup_json_ json_t *json = NULL;
        JsonReader reader;
        int r;

        assert(task);
        assert(spec);

        r = json_parse_text(task->source, &json, reterr_failure);
        if (r < 0)
                return r;
        json_reader_init(&reader, json, reterr_failure);
        spec->type = source_type_from_string(task->type);
        if (spec->type == SOURCE_FILE)
                read_files(&reader, spec);
        else if (database_source_read(&reader, spec->type, &spec->database) == -ENOMEM)
                return -ENOMEM;
        return json_reader_finish_lenient(&reader);
}

static int read_compression(const Task *task, BackupSpec *spec, Failure *reterr_failure) {
        _cleanup_json_ json_t *json = NULL;
        JsonReader reader;
        int r;

        assert(task);
        assert(spec);

        spec->compression = strdup("zstd");
        if (!spec->compression)
                return -ENOMEM;
        spec->level = 3;
        if (isempty(task->compression))
                return 0;
        r = json_parse_text(task->compression, &json, reterr_failure);
        if (r < 0)
                return r;
        json_reader_init(&reader, json, reterr_failure);
        json_reader_strdup(&reader, "algorithm", JSON_OPTIONAL, 16, &spec->compression);
        json_reader_u32(&reader, "level", JSON_OPTIONAL, 22, &spec->level);
        return json_reader_finish_lenient(&reader);
}

/* A task with hooks is not run without them. */
static int read_hooks(const Task *task, BackupSpec *spec, Failure *reterr_failure) {
        _cleanup_json_ json_t *json = NULL;
        JsonReader reader, hooks;
        int r;

        assert(task);
        assert(spec);

        if (isempty(task->options))
                return 0;
        r = json_parse_text(task->options, &json, reterr_failure);
        if (r < 0)
                return r;
        json_reader_init(&reader, json, reterr_failure);
        if (json_reader_object(&reader, "hooks", JSON_OPTIONAL, &hooks) > 0)
                (void) task_hooks_read(&hooks, &spec->hooks);
        return json_reader_finish_lenient(&reader);
}

static int name_backup(const Run *run, const Task *task, const Node *node, BackupSpec *spec) {
        spec->run = run->id;
        spec->task_id = task->id;
        spec->node_id = node->id;
        spec->task_name = strdup(strempty(task->name));
        spec->node_name = strdup(strempty(node->name));
        spec->format = strdup(isempty(task->format) ? "archive" : task->format);
        return spec->task_name && spec->node_name && spec->format ? 0 : -ENOMEM;
}

/* "web-1/etc/20261122T221501.123Z-12-": the job puts its attempt behind it. */
static int make_prefix(const Run *run, const BackupSpec *spec, usec_t now, char **ret) {
        char node[CHOOSE_PART_MAX + 1], task[CHOOSE_PART_MAX + 1], date[CHOOSE_TIME_MAX];

        return asprintf_safe(ret, "%s/%s/%s-%" PRIu64 "-", choose_key_part(spec->node_name, node),
                             choose_key_part(spec->task_name, task), choose_key_time(now, date), run->id);
}

static int add_archive(const OrderContext *x, const Target *target, const char *prefix, Order *o,
                       SpecTarget *ret, Failure *reterr_failure) {
        int r;

        r = order_spec_target(target, prefix, ret);
        return r < 0 ? r :
                       order_add_target(x, o, target, prefix, RELAY_VERB_PUT | RELAY_VERB_GET,
                                        reterr_failure);
}

/* Where it goes to; the failure says why not. */
static int add_places(const OrderContext *x, const Run *run, const Node *node, usec_t now, Order *o,
                      BackupSpec *spec, Failure *reterr_failure) {
        _cleanup_(run_target_list_done) RunTargetList targets = RUN_TARGET_LIST_NULL;
        bool is_repository = streq(spec->format, FORMAT_REPOSITORY);
        _cleanup_(freep) char *prefix = NULL;
        int r;

        assert(x);
        assert(run);

        r = run_targets_get(x->store, run->id, &targets);
        if (r >= 0 && !is_repository)
                r = make_prefix(run, spec, now, &prefix);
        if (r < 0)
                return r;
        spec->targets = new0(SpecTarget, MAX(targets.n, (size_t) 1));
        if (!spec->targets)
                return -ENOMEM;
        for (size_t i = 0; i < targets.n && i < SPEC_TARGETS_MAX; i++) {
                _cleanup_(target_done) Target target = TARGET_NULL;
                SpecTarget *place = spec->targets + spec->n_targets;

                r = target_get(x->store, targets.items[i].target_id, &target);
                if (r < 0)
                        return r;
                /* Deleted behind our back: the run tells that it was not written. */
                if (r > 0)
                        continue;
                spec->n_targets++;
                r = is_repository ? order_repository(x, node, &target, now, o, place, reterr_failure) :
                                    add_archive(x, &target, prefix, o, place, reterr_failure);
                if (r != 0)
                        return r;
        }
        return 0;
}

/* Of the administrator, who keeps them elsewhere. */
static int add_offline_keys(const OrderContext *x, BackupSpec *spec) {
        _cleanup_(freep) char *text = NULL;
        char *save = NULL;
        int r;

        assert(x);
        assert(spec);

        r = setting_get(x->store, SETTING_OFFLINE_KEYS, &text);
        if (r != 0)
                return MIN(r, 0); /* there are none */
        for (char *key = strtok_r(text, "\n", &save); key && r >= 0; key = strtok_r(NULL, "\n", &save))
                r = strv_extend(&spec->recipients, key);
        return r;
}

static int add_recipients(const OrderContext *x, const Task *task, const Node *node, BackupSpec *spec,
                          Failure *reterr_failure) {
        _cleanup_(freep) char *recipient = NULL;
        int r;

        assert(task);
        assert(node);
        assert(spec);

        /* A repository is sealed with its own password, which they can have. */
        if (streq(spec->format, FORMAT_REPOSITORY))
                return add_offline_keys(x, spec);
        if (streq(strempty(task->encryption), "none"))
                return 0;
        r = order_archive_recipient(x, node->id, &recipient, reterr_failure);
        if (r != 0)
                return r;
        r = strv_extend(&spec->recipients, recipient);
        return r < 0 ? r : add_offline_keys(x, spec);
}

static int fill_backup(const OrderContext *x, const Run *run, const Task *task, const Node *node,
                       Order *o, BackupSpec *spec, Failure *reterr_failure) {
        int r;

        r = name_backup(run, task, node, spec);
        if (r >= 0)
                r = read_source(task, spec, reterr_failure);
        if (r >= 0)
                r = read_compression(task, spec, reterr_failure);
        if (r >= 0)
                r = read_hooks(task, spec, reterr_failure);
        if (r == -EBADMSG)
                return ORDER_E_REFUSED;
        if (r >= 0 && source_type_has_server(spec->type))
                r = order_add_database(x, task->id, task->name, o, reterr_failure);
        if (r != 0)
                return r;
        return add_recipients(x, task, node, spec, reterr_failure);
}

int order_backup(const OrderContext *x, const Run *run, usec_t now, Order *ret, Failure *reterr_failure) {
        _cleanup_(backup_spec_done) BackupSpec spec = BACKUP_SPEC_NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        _cleanup_(task_done) Task task = TASK_NULL;
        _cleanup_json_ json_t *json = NULL;
        int r;

        assert(x);
        assert(run);
        assert(ret);

        order_init(ret);
        r = task_get(x->store, run->task_id, &task);
        if (r == STORE_E_NOT_FOUND)
                return order_refuse(reterr_failure, "TASK_NOT_FOUND",
                                    "The task was deleted before the run could start");
        if (r == 0)
                r = order_get_node(x, run->node_id, &node, reterr_failure);
        if (r != 0)
                return r;
        ret->node_id = node.id;
        ret->kind = COMMAND_BACKUP;
        r = fill_backup(x, run, &task, &node, ret, &spec, reterr_failure);
        if (r == 0)
                r = add_places(x, run, &node, now, ret, &spec, reterr_failure);
        if (r != 0)
                return r;
        if (spec.n_targets == 0)
                return order_refuse(reterr_failure, "TARGET_NOT_FOUND",
                                    "None of the task's targets exists any more");
        r = backup_spec_build(&spec, &json);
        if (r >= 0 && streq(spec.format, FORMAT_REPOSITORY))
                r = order_add_ended(x, node.id, json);
        if (r >= 0)
                r = take_spec(ret, json);
        if (r < 0)
                return r;
        return order_seal(ret, &node);
}

/* --- Restores --- */

static int read_request(const Run *run, RestoreSpec *spec, uint64_t *ret_task, Failure *reterr_failure) {
        _cleanup_json_ json_t *json = NULL;
        int conflict = RESTORE_CONFLICT_FAIL, r;
        JsonReader reader, destination, database;

        assert(run);
        assert(spec);

        r = json_parse_text(run->request, &json, reterr_failure);
        if (r < 0)
                return r;
        json_reader_init(&reader, json, reterr_failure);
        json_reader_paths(&reader, "paths", JSON_OPTIONAL, SPEC_PATHS_MAX, &spec->paths);
        json_reader_enum(&reader, "conflict", JSON_OPTIONAL,
                         (int (*)(const char *)) restore_conflict_from_string, &conflict);
        json_reader_bool(&reader, "force", JSON_OPTIONAL, &spec->force);
        if (json_reader_object(&reader, "destination", JSON_REQUIRED, &destination) > 0) {
                if (json_reader_object(&destination, "database", JSON_OPTIONAL, &database) > 0) {
                        (void) database_restore_read(&database, /* with_server= */ false, &spec->database);
                        (void) json_reader_u64(&database, "task_id", JSON_OPTIONAL, INT64_MAX, ret_task);
                }
                json_reader_path(&destination, "path", JSON_OPTIONAL, &spec->destination);
                json_reader_bool(&destination, "in_place", JSON_OPTIONAL, &spec->in_place);
                r = json_reader_finish_lenient(&destination);
                if (r < 0)
                        return r;
        }
        r = json_reader_finish_lenient(&reader);
        if (r < 0)
                return r;
        spec->conflict = (RestoreConflict) conflict;
        /* In place is a choice that was made by name, never what is left of a broken request. */
        if (!spec->database.path && spec->in_place == (spec->destination != NULL))
                return failure_set_field(reterr_failure, -EBADMSG, "FIELD_INVALID", "restore.destination",
                                         "The destination is either a path or in_place");
        return 0;
}

/* What the backup is of, as it was when it was made: the task may be another one by now, or none. */
static SourceType type_of(const Run *source) {
        _cleanup_json_ json_t *json = NULL;
        SourceType type;

        if (json_parse_text(source->spec, &json, NULL) < 0)
                return SOURCE_FILE;
        type = source_type_from_string(json_string_value(json_object_get(json, "type")));
        return type < 0 ? SOURCE_FILE : type;
}

/* The server that a database is restored into is that of a task, with its password, which goes to no other
 * node than a run of the task would. */
static int add_server(const OrderContext *x, const Run *source, const Node *node, uint64_t task_id,
                      RestoreSpec *spec, Order *o, Failure *reterr_failure) {
        _cleanup_(task_done) Task task = TASK_NULL;
        int r;

        if (!spec->database.path && spec->in_place && source_type_has_server(spec->type))
                return order_refuse(reterr_failure, "DESTINATION_INVALID",
                                    "What databases gave has no place of its own: say which database a dump "
                                    "is to become, or into which directory the files are restored");
        if (!spec->database.path)
                return 0;
        if (spec->type == SOURCE_SAPHANA)
                return order_refuse(reterr_failure, "DESTINATION_INVALID",
                                    "SAP HANA recovers by itself: restore its files into a directory, where "
                                    "recovery.txt says how it goes on");
        r = task_get(x->store, task_id > 0 ? task_id : source->task_id, &task);
        if (r < 0)
                return r;
        if (r == STORE_E_NOT_FOUND || source_type_from_string(task.type) != spec->type ||
            !source_type_has_dumps(spec->type))
                return order_refuse(reterr_failure, "TASK_NOT_FOUND",
                                    "A database is restored into the server of a task of the same type, and"
                                    " this is none: name one by its task_id");
        r = task.has_secrets ? order_check_place(&task, node, reterr_failure) : 0;
        if (r == 0)
                r = order_server_of(&task, &spec->database.server, reterr_failure);
        return r != 0 ? r : order_add_database(x, task.id, task.name, o, reterr_failure);
}

int order_restore(const OrderContext *x, const Run *run, Order *ret, Failure *reterr_failure) {
        _cleanup_(restore_spec_done) RestoreSpec spec = RESTORE_SPEC_NULL;
        _cleanup_(node_done) Node node = NODE_NULL;
        _cleanup_(run_done) Run source = RUN_NULL;
        _cleanup_json_ json_t *json = NULL;
        uint64_t task_id = 0;
        int r;

        assert(x);
        assert(run);
        assert(ret);

        order_init(ret);
        r = run_get(x->store, run->source_run, &source);
        if (r == STORE_E_NOT_FOUND)
                return order_refuse(reterr_failure, "RUN_NOT_FOUND", "The run to restore from is gone");
        if (r == 0)
                r = order_get_node(x, run->node_id, &node, reterr_failure);
        if (r != 0)
                return r;
        ret->node_id = node.id;
        ret->kind = COMMAND_RESTORE;
        spec.run = run->id;
        spec.source_run = source.id;
        spec.type = type_of(&source);
        r = read_request(run, &spec, &task_id, reterr_failure);
        if (r == -EBADMSG)
                return ORDER_E_REFUSED;
        if (r == 0)
                r = add_server(x, &source, &node, task_id, &spec, ret, reterr_failure);
        if (r == 0)
                r = order_backup_of(x, &source, node.id, ret, &spec.archive, &spec.snapshots,
                                    reterr_failure);
        if (r != 0)
                return r;
        r = restore_spec_build(&spec, &json);
        if (r >= 0)
                r = take_spec(ret, json);
        if (r < 0)
                return r;
        return order_seal(ret, &node);
}
