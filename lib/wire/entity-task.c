/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/calendar.h"
#include "wire/command.h"
#include "wire/database.h"
#include "wire/entity.h"
#include "wire/exclude.h"
#include "wire/hooks.h"
#include "wire/path.h"
#include "wire/retention.h"

#define COMPRESSION_DEFAULT "{\"algorithm\":\"zstd\",\"level\":3}"

int task_init(Task *ret) {
        _cleanup_(task_done) Task task = TASK_NULL;

        assert(ret);

        task.type = strdup("file");
        task.format = strdup("repository");
        task.encryption = strdup("none");
        task.compression = strdup(COMPRESSION_DEFAULT);
        if (!task.type || !task.format || !task.encryption || !task.compression)
                return -ENOMEM;
        task.node_id = NODE_LOCAL;
        task.enabled = true;
        task.schedule_catch_up = true;
        task.verify_catch_up = true;
        *ret = task;
        task = TASK_NULL;
        return 0;
}

/* A text that has to be one of a list; NULL ends the list. */
static int read_choice(JsonReader *reader, const char *key, const char *const *choices, char **text) {
        const char *value = NULL;
        int r;

        r = json_reader_string(reader, key, JSON_OPTIONAL, 32, &value);
        if (r <= 0)
                return r;
        for (const char *const *c = choices; *c; c++)
                if (streq(*c, value))
                        return free_and_strdup(text, value);
        return json_reader_fail(reader, key, "has the value '%s', which is not known", value);
}

/* --- Source --------------------------------------------------------------------------------------- */

static int check_paths(JsonReader *source, char *const *paths) {
        size_t i = 0;

        STRV_FOREACH(path, paths) {
                if (!path_is_normalized_absolute(*path))
                        return json_reader_fail_item(source, "paths", i,
                                                     "has to be an absolute path without '.', '..' and "
                                                     "doubled slashes");
                for (char *const *other = paths; other < path; other++)
                        if (streq(*other, *path))
                                return json_reader_fail_item(source, "paths", i,
                                                             "names a path that is named before");
                i++;
        }
        return 0;
}

/* What is refused here would fail each run, or leave nothing out. */
static int check_excludes(JsonReader *source, char *const *excludes) {
        size_t i = 0;

        STRV_FOREACH(pattern, excludes) {
                const char *reason = NULL;
                int r;

                r = exclude_check(*pattern, &reason);
                if (r == -EINVAL)
                        return json_reader_fail_item(source, "excludes", i, "cannot match anything: %s",
                                                     reason);
                if (r < 0)
                        return r;
                i++;
        }
        return 0;
}

static int source_to_text(char *const *paths, char *const *excludes, bool one_file_system,
                          bool follow_symlinks, char **text) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        r = json_set(json, "paths", json_from_paths(paths));
        if (r >= 0)
                r = json_set(json, "excludes", excludes ? json_from_strv(excludes) : json_array());
        if (r >= 0)
                r = json_set(json, "one_file_system", json_boolean(one_file_system));
        if (r >= 0)
                r = json_set(json, "follow_symlinks", json_boolean(follow_symlinks));
        return r < 0 ? r : json_keep_text(json, text);
}

static int read_database(JsonReader *task, SourceType type, char **text) {
        _cleanup_(database_source_done) DatabaseSource database = DATABASE_SOURCE_NULL;
        _cleanup_json_ json_t *json = NULL;
        JsonReader source;
        int r;

        r = json_reader_object(task, "source", *text ? JSON_OPTIONAL : JSON_REQUIRED, &source);
        if (r <= 0)
                return r;
        (void) database_source_read(&source, type, &database);
        r = json_reader_finish(&source);
        if (r >= 0)
                r = database_source_build(&database, type, &json);
        return r < 0 ? r : json_keep_text(json, text);
}

static int read_source(JsonReader *task, char **text) {
        _cleanup_(strv_freep) char **paths = NULL, **excludes = NULL;
        bool one_file_system = false, follow_symlinks = false;
        JsonReader source;
        int r;

        r = json_reader_object(task, "source", *text ? JSON_OPTIONAL : JSON_REQUIRED, &source);
        if (r <= 0)
                return r;
        json_reader_paths(&source, "paths", JSON_REQUIRED, TASK_PATHS_MAX, &paths);
        json_reader_strv(&source, "excludes", JSON_OPTIONAL, TASK_EXCLUDES_MAX, TASK_EXCLUDE_MAX, &excludes);
        json_reader_bool(&source, "one_file_system", JSON_OPTIONAL, &one_file_system);
        json_reader_bool(&source, "follow_symlinks", JSON_OPTIONAL, &follow_symlinks);
        r = json_reader_finish(&source);
        if (r < 0)
                return r;
        if (strv_length(paths) == 0)
                return json_reader_fail(&source, "paths", "has to name at least one path");
        r = check_paths(&source, paths);
        if (r >= 0)
                r = check_excludes(&source, excludes);
        if (r < 0)
                return r;
        return source_to_text(paths, excludes, one_file_system, follow_symlinks, text);
}

int database_secrets_read(JsonReader *reader, const json_t **ret) {
        const char *password = NULL;
        JsonReader secrets;
        int r;

        assert(reader);
        assert(ret);

        r = json_reader_object(reader, "secrets", JSON_OPTIONAL, &secrets);
        if (r <= 0)
                return r;
        (void) json_reader_string(&secrets, "password", JSON_OPTIONAL, TASK_PASSWORD_MAX, &password);
        for (const char *p = strempty(password); *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f)
                        return json_reader_fail(&secrets, "password", "has a control character in it");
        r = json_reader_finish(&secrets);
        if (r < 0)
                return r;
        *ret = json_object_get(reader->object, "secrets");
        return 1;
}

/* What a task was before a request changed it. */
typedef struct Before {
        char *type, *source, *label;
        uint64_t node_id;
} Before;

static void before_done(Before *b) {
        free(b->type);
        free(b->source);
        free(b->label);
}

static int keep_before(const Task *task, Before *ret) {
        assert(task);

        ret->node_id = task->node_id;
        if (free_and_strdup(&ret->type, task->type) < 0 || free_and_strdup(&ret->source, task->source) < 0)
                return -ENOMEM;
        return free_and_strdup(&ret->label, task->node_label);
}

static json_t *server_of(const char *source) {
        _cleanup_json_ json_t *json = json_from_text(source);

        return json_incref(json_object_get(json, "server"));
}

/* By which field a stored password would go elsewhere; the address of a server is one as its node sees it,
 * and who has the node has the password. NULL: it would not. */
static const char *moved_by(const Task *task, const Before *before, const json_t *old,
                            const json_t *server) {
        const char *moved;

        if (!streq_ptr(before->type, task->type))
                return "type";
        moved = database_server_moved(old, server);
        if (moved)
                return moved;
        if (!streq_ptr(before->label, task->node_label))
                return "node_label";
        return before->node_id != task->node_id ? "node_id" : NULL;
}

/* A password is for one server: whoever names another has to know it. */
static int read_secrets(JsonReader *reader, const Task *task, const Before *before, const json_t **ret) {
        _cleanup_json_ json_t *old = server_of(before->source), *server = server_of(task->source);
        const char *moved;
        bool has_server;
        int r;

        r = database_secrets_read(reader, ret);
        if (r < 0)
                return r;
        has_server = source_type_has_server(source_type_from_string(task->type));
        if (r > 0 && !has_server)
                return json_reader_fail(reader, "secrets", "is for the server of databases alone");
        /* An empty object takes away the one that the task had before. */
        if (r > 0 && json_object_get(server, "key") && json_object_size(*ret) > 0)
                return json_reader_fail(reader, "secrets.password",
                                        "is in the user store already, with the key");
        moved = r == 0 && has_server && task->has_secrets ? moved_by(task, before, old, server) : NULL;
        if (!moved)
                return 0;
        return json_reader_fail_code(reader, SECRET_NEEDED_AGAIN, "secrets",
                                     "is missing: with another '%s' the password has to be given again, "
                                     "which was for that of before",
                                     moved);
}

/* A source belongs to its type: with another type there has to be another source. */
static int read_type(JsonReader *reader, Task *task) {
        static const char *const types[] = { "file", "sqlite", "mysql", "postgresql", "saphana", NULL };
        _cleanup_(freep) char *before = NULL;
        SourceType type;
        int r, k;

        assert(task);

        before = strdup(strempty(task->type));
        if (!before)
                return -ENOMEM;
        r = read_choice(reader, "type", types, &task->type);
        if (r < 0 && r != -EBADMSG)
                return r;
        if (r >= 0 && !streq(before, task->type))
                task->source = mfree(task->source);
        /* Behind an error, too: a field that nobody reads would be told of as an unknown one, instead. */
        type = task->type ? source_type_from_string(task->type) : SOURCE_FILE;
        k = type == SOURCE_FILE ? read_source(reader, &task->source) :
                                  read_database(reader, type, &task->source);
        return r < 0 ? r : k;
}

/* --- The rest ------------------------------------------------------------------------------------- */

static int read_compression(JsonReader *task, char **text) {
        static const char *const algorithms[] = { "zstd", NULL };
        _cleanup_(freep) char *algorithm = NULL;
        _cleanup_json_ json_t *json = NULL;
        uint32_t level = TASK_LEVEL_DEFAULT;
        JsonReader compression;
        int r;

        r = json_reader_object(task, "compression", JSON_OPTIONAL, &compression);
        if (r <= 0)
                return r;
        read_choice(&compression, "algorithm", algorithms, &algorithm);
        json_reader_u32(&compression, "level", JSON_OPTIONAL, TASK_LEVEL_MAX, &level);
        r = json_reader_finish(&compression);
        if (r < 0)
                return r;
        if (level < 1)
                return json_reader_fail(&compression, "level", "is a number from 1 to %d", TASK_LEVEL_MAX);
        json = json_pack("{s:s, s:i}", "algorithm", algorithm ? algorithm : "zstd", "level", (int) level);
        return json ? json_keep_text(json, text) : -ENOMEM;
}

static int read_target_ids(JsonReader *reader, Task *task) {
        const json_t *array = NULL, *item;
        size_t i;
        int r;

        assert(task);

        r = json_reader_array(reader, "target_ids", task->n_targets > 0 ? JSON_OPTIONAL : JSON_REQUIRED,
                              TASK_TARGETS_MAX, &array);
        if (r <= 0)
                return r;
        if (json_array_size(array) == 0)
                return json_reader_fail(reader, "target_ids", "has to name at least one target");
        task->n_targets = 0;
        json_array_foreach((json_t *) array, i, item) {
                json_int_t id = json_is_integer(item) ? json_integer_value(item) : 0;

                if (id <= 0)
                        return json_reader_fail(reader, "target_ids",
                                                "holds something that is not the id of a target");
                for (size_t k = 0; k < task->n_targets; k++)
                        if (task->target_ids[k] == (uint64_t) id)
                                return json_reader_fail(reader, "target_ids",
                                                        "names target %" PRIu64 " twice", (uint64_t) id);
                task->target_ids[task->n_targets++] = (uint64_t) id;
        }
        return 0;
}

/* Where a schedule is kept. */
typedef struct Times {
        char **expression;
        char **timezone;
        bool *catch_up;
} Times;

/* An expression that never happens, or a zone that nobody knows, is refused here: later nobody looks. */
static int check_schedule(JsonReader *schedule, const Times *t) {
        _cleanup_(timetable_freep) Timetable *timetable = NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        usec_t next;
        int r;

        assert(t);

        r = timetable_new(*t->expression, *t->timezone, &timetable, &failure);
        if (r == -EINVAL)
                return json_reader_fail(schedule,
                                        streq(failure.code, "TIMEZONE_INVALID") ? "timezone" : "expression",
                                        "is not valid: %s", failure_message(&failure, r));
        if (r < 0)
                return r;
        r = timetable_next(timetable, now_usec(CLOCK_REALTIME), &next);
        if (r == CALENDAR_E_NEVER)
                return json_reader_fail(schedule, "expression", "names no time that is still to come");
        return r;
}

static void clear_times(const Times *t) {
        *t->expression = mfree(*t->expression);
        *t->timezone = mfree(*t->timezone);
        *t->catch_up = true;
}

static int read_times(JsonReader *schedule, const Times *t) {
        int r;

        assert(schedule);
        assert(t);

        json_reader_strdup(schedule, "expression", JSON_REQUIRED, CALENDAR_TEXT_MAX, t->expression);
        json_reader_strdup(schedule, "timezone", JSON_OPTIONAL, ZONE_NAME_MAX, t->timezone);
        json_reader_bool(schedule, "catch_up", JSON_OPTIONAL, t->catch_up);
        r = json_reader_finish(schedule);
        return r < 0 ? r : check_schedule(schedule, t);
}

static int read_schedule(JsonReader *reader, Task *task) {
        JsonReader schedule;
        int r;

        assert(reader);
        assert(task);

        const Times times = { &task->schedule_expression, &task->schedule_timezone,
                              &task->schedule_catch_up };

        r = json_reader_object(reader, "schedule", JSON_OPTIONAL, &schedule);
        if (r == 0 && json_is_null(json_object_get(reader->object, "schedule")))
                clear_times(&times);
        if (r <= 0)
                return r;
        clear_times(&times);
        return read_times(&schedule, &times);
}

/* Checks of what its backups left: when, and how much of the data each of them reads. */
static int read_verify(JsonReader *reader, Task *task) {
        JsonReader verify, schedule;
        int r;

        assert(reader);
        assert(task);

        const Times times = { &task->verify_expression, &task->verify_timezone, &task->verify_catch_up };

        r = json_reader_object(reader, "verify", JSON_OPTIONAL, &verify);
        if (r < 0 || (r == 0 && !json_is_null(json_object_get(reader->object, "verify"))))
                return r;
        clear_times(&times);
        task->verify_shares = 0;
        if (r == 0)
                return 0;
        (void) json_reader_u32(&verify, "shares", JSON_OPTIONAL, VERIFY_SHARES_MAX, &task->verify_shares);
        r = json_reader_object(&verify, "schedule", JSON_REQUIRED, &schedule);
        if (r > 0)
                r = read_times(&schedule, &times);
        return r < 0 && r != -EBADMSG ? r : json_reader_finish(&verify);
}

static int read_retention(JsonReader *reader, Task *task) {
        Retention retention = RETENTION_NULL;
        _cleanup_json_ json_t *json = NULL;
        int r;

        assert(task);

        r = retention_read(reader, "retention", &retention);
        if (r == 0 && json_is_null(json_object_get(reader->object, "retention")))
                task->retention = mfree(task->retention);
        if (r > 0)
                r = retention_build(&retention, &json);
        if (r < 0 || !json)
                return r;
        return json_keep_text(json, &task->retention);
}

static int keep_hooks(const TaskHooks *hooks, char **text) {
        _cleanup_json_ json_t *options = json_object();
        json_t *value = NULL;
        int r;

        r = task_hooks_build(hooks, &value);
        if (r >= 0)
                r = json_set(options, "hooks", value);
        return r < 0 ? r : json_keep_text(options, text);
}

/* The one thing among the options. No names at all are no hooks. */
static int read_hooks(JsonReader *reader, Task *task) {
        _cleanup_(task_hooks_done) TaskHooks hooks = TASK_HOOKS_NULL;
        JsonReader object;
        int r;

        assert(task);

        r = json_reader_object(reader, "hooks", JSON_OPTIONAL, &object);
        if (r == 0 && json_is_null(json_object_get(reader->object, "hooks")))
                task->options = mfree(task->options);
        if (r <= 0)
                return r;
        (void) task_hooks_read(&object, &hooks);
        r = json_reader_finish(&object);
        if (r < 0)
                return r;
        task->options = mfree(task->options);
        return task_hooks_any(&hooks) ? keep_hooks(&hooks, &task->options) : 0;
}

/* What is between several fields. */
static int check_format(JsonReader *reader, const Task *task) {
        assert(task);

        if (streq_ptr(task->format, "repository"))
                return 0;
        if (task->verify_expression)
                return json_reader_fail(reader, "verify",
                                        "is for repositories; archives are checked as they are read");
        if (!task->retention)
                return 0;
        return json_reader_fail(reader, "retention",
                                "is for repositories; archives stay until they are deleted by hand");
}

/* A node, or a label that any one node with it answers to: naming one takes the other away. */
static int read_node(JsonReader *reader, Task *task) {
        const char *label = NULL;
        uint64_t id = 0;
        int r;

        assert(task);

        r = json_reader_u64(reader, "node_id", JSON_OPTIONAL, INT64_MAX, &id);
        if (r >= 0)
                r = json_reader_string(reader, "node_label", JSON_OPTIONAL, NODE_LABEL_MAX, &label);
        if (r < 0)
                return r;
        if (label && id > 0)
                return json_reader_fail(reader, "node_label", "and 'node_id' exclude each other: name one");
        if (label && !node_label_is_valid(label))
                return json_reader_fail(reader, "node_label", "is not a label: " NODE_LABEL_RULE);
        if (label) {
                task->node_id = 0;
                return free_and_strdup(&task->node_label, label);
        }
        if (id > 0) {
                task->node_id = id;
                task->node_label = mfree(task->node_label);
        } else if (!task->node_label && task->node_id == 0)
                task->node_id = NODE_LOCAL;
        return 0;
}

/* All parts are looked at, so that json_reader_finish() knows all names; the first error is the one told. */
static int first_error(int before, int now) {
        return before < 0 ? before : now;
}

int task_from_json(const json_t *json, Task *task, const json_t **ret_secrets, Failure *reterr_failure) {
        static const char *const formats[] = { "archive", "repository", NULL };
        static const char *const encryptions[] = { "none", "sealed", NULL };
        _cleanup_(before_done) Before before = {};
        const json_t *secrets = NULL;
        JsonReader reader;
        int r;

        assert(task);
        assert(ret_secrets);

        if (keep_before(task, &before) < 0)
                return -ENOMEM;
        json_reader_init(&reader, json, reterr_failure);
        json_reader_name(&reader, "name", &task->name);
        read_choice(&reader, "format", formats, &task->format);
        read_choice(&reader, "encryption", encryptions, &task->encryption);
        json_reader_bool(&reader, "enabled", JSON_OPTIONAL, &task->enabled);
        r = first_error(0, read_node(&reader, task));
        r = first_error(r, read_type(&reader, task));
        r = first_error(r, read_secrets(&reader, task, &before, &secrets));
        r = first_error(r, read_target_ids(&reader, task));
        r = first_error(r, read_compression(&reader, &task->compression));
        r = first_error(r, read_schedule(&reader, task));
        r = first_error(r, read_verify(&reader, task));
        r = first_error(r, read_retention(&reader, task));
        r = first_error(r, read_hooks(&reader, task));
        r = first_error(r, r < 0 ? r : check_format(&reader, task));
        r = r < 0 && r != -EBADMSG ? r : json_reader_finish(&reader);
        if (r >= 0)
                *ret_secrets = secrets;
        return r;
}

/* --- To JSON -------------------------------------------------------------------------------------- */

static json_t *target_ids_to_json(const Task *task) {
        _cleanup_json_ json_t *array = json_array();

        for (size_t i = 0; i < task->n_targets; i++)
                if (json_append(array, json_from_u64(task->target_ids[i])) < 0)
                        return NULL;
        return TAKE_PTR(array);
}

static json_t *hooks_to_json(const Task *task) {
        _cleanup_json_ json_t *options = json_from_text(task->options);
        json_t *hooks = json_object_get(options, "hooks");

        return hooks ? json_incref(hooks) : json_null();
}

static json_t *schedule_to_json(const char *expression, const char *zone, bool catch_up) {
        _cleanup_json_ json_t *json = NULL;

        if (!expression)
                return json_null();
        json = json_object();
        if (json_set(json, "expression", json_from_string(expression)) < 0 ||
            json_set(json, "timezone", json_from_string(zone)) < 0 ||
            json_set(json, "catch_up", json_boolean(catch_up)) < 0)
                return NULL;
        return TAKE_PTR(json);
}

static json_t *verify_to_json(const Task *task) {
        _cleanup_json_ json_t *json = NULL;

        assert(task);

        if (!task->verify_expression)
                return json_null();
        json = json_object();
        if (json_set(json, "schedule",
                     schedule_to_json(task->verify_expression, task->verify_timezone,
                                      task->verify_catch_up)) < 0 ||
            json_set(json, "shares", json_from_u64(task->verify_shares)) < 0)
                return NULL;
        return TAKE_PTR(json);
}

static json_t *summary_to_json(const TaskSummary *summary) {
        _cleanup_json_ json_t *json = NULL;

        if (!summary || summary->last_run_id == 0)
                return json_null();
        json = json_object();
        if (json_set(json, "id", json_from_u64(summary->last_run_id)) < 0 ||
            json_set(json, "state", json_from_string(run_state_to_string(summary->last_state))) < 0 ||
            json_set(json, "finished_at", json_from_stamp(summary->last_finished)) < 0)
                return NULL;
        return TAKE_PTR(json);
}

static int add_settings(json_t *json, const Task *task) {
        assert(task);

        if (json_set(json, "id", json_from_u64(task->id)) < 0 ||
            json_set(json, "name", json_from_string(task->name)) < 0 ||
            json_set(json, "type", json_from_string(task->type)) < 0 ||
            json_set(json, "node_id", json_from_id(task->node_id)) < 0 ||
            json_set(json, "node_name", json_from_string(task->node_name)) < 0 ||
            json_set(json, "node_label", json_from_string(task->node_label)) < 0 ||
            json_set(json, "source", json_from_text(task->source)) < 0 ||
            json_set(json, "secret_names", task->has_secrets ? json_pack("[s]", "password") : json_array()) <
                            0 ||
            json_set(json, "target_ids", target_ids_to_json(task)) < 0 ||
            json_set(json, "format", json_from_string(task->format)) < 0 ||
            json_set(json, "compression", json_from_text(task->compression)) < 0 ||
            json_set(json, "encryption", json_from_string(task->encryption)) < 0 ||
            json_set(json, "schedule",
                     schedule_to_json(task->schedule_expression, task->schedule_timezone,
                                      task->schedule_catch_up)) < 0 ||
            json_set(json, "verify", verify_to_json(task)) < 0 ||
            json_set(json, "retention", json_from_text(task->retention)) < 0 ||
            json_set(json, "hooks", hooks_to_json(task)) < 0)
                return -ENOMEM;
        return 0;
}

json_t *task_to_json(const Task *task, const Schedule *schedule, const Schedule *verify,
                     const TaskSummary *summary) {
        _cleanup_json_ json_t *json = json_object();

        assert(task);

        if (add_settings(json, task) < 0 ||
            json_set(json, "enabled", json_boolean(task->enabled)) < 0 ||
            json_set(json, "next_run_at", json_from_stamp(schedule ? schedule->next : 0)) < 0 ||
            json_set(json, "schedule_error", json_from_string(schedule ? schedule->error : NULL)) < 0 ||
            json_set(json, "next_verify_at", json_from_stamp(verify ? verify->next : 0)) < 0 ||
            json_set(json, "verify_error", json_from_string(verify ? verify->error : NULL)) < 0 ||
            json_set(json, "last_run", summary_to_json(summary)) < 0 ||
            json_set(json, "last_success_at", json_from_stamp(summary ? summary->last_success : 0)) < 0 ||
            json_set(json, "created_at", json_from_stamp(task->created)) < 0 ||
            json_set(json, "updated_at", json_from_stamp(task->updated)) < 0 ||
            json_set(json, "revision", json_from_u64(task->revision)) < 0)
                return NULL;
        return TAKE_PTR(json);
}
