/* SPDX-License-Identifier: Apache-2.0 */

/* One spec per kind. */

#include "base/alloc.h"
#include "base/text.h"
#include "wire/command.h"
#include "wire/feature.h"
#include "wire/path.h"

#define NAME_MAX_BYTES 255
#define PATTERN_MAX 4096
#define RECIPIENT_MAX 128
#define LEVEL_MAX 22 /* of zstd */

static const char *const restore_conflict_table[_RESTORE_CONFLICT_MAX] = {
        [RESTORE_CONFLICT_FAIL] = "fail",
        [RESTORE_CONFLICT_OVERWRITE] = "overwrite",
        [RESTORE_CONFLICT_SKIP] = "skip",
        [RESTORE_CONFLICT_RESUME] = "resume",
};

DEFINE_STRING_TABLE(restore_conflict, RestoreConflict);

static int lookup_conflict(const char *s) {
        return restore_conflict_from_string(s);
}

/* {"id":…,"name":…} of a task or node. */
static json_t *named(uint64_t id, const char *name) {
        _cleanup_json_ json_t *json = json_object();

        if (json_set(json, "id", json_from_u64(id)) < 0 ||
            json_set(json, "name", json_from_string(name)) < 0)
                return NULL;
        return TAKE_PTR(json);
}

static int read_named(JsonReader *r, const char *key, uint64_t *ret_id, char **ret_name) {
        JsonReader object;

        (void) json_reader_object(r, key, JSON_REQUIRED, &object);
        (void) json_reader_u64(&object, "id", JSON_REQUIRED, INT64_MAX, ret_id);
        (void) json_reader_strdup(&object, "name", JSON_REQUIRED, NAME_MAX_BYTES, ret_name);
        return json_reader_finish_lenient(&object);
}

/* --- backup ------------------------------------------------------------------------------------------ */

void backup_spec_done(BackupSpec *s) {
        assert(s);

        free(s->task_name);
        free(s->node_name);
        database_source_done(&s->database);
        strv_free(s->paths);
        strv_free(s->excludes);
        free(s->format);
        free(s->compression);
        strv_free(s->recipients);
        task_hooks_done(&s->hooks);
        for (size_t i = 0; i < s->n_targets; i++)
                spec_target_done(&s->targets[i]);
        free(s->targets);
        *s = BACKUP_SPEC_NULL;
}

static json_t *build_source(const BackupSpec *s) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        assert(s);

        r = json_set(json, "paths", json_from_paths(s->paths));
        if (r >= 0)
                r = json_set(json, "excludes", json_from_strv(s->excludes));
        if (r >= 0)
                r = json_set(json, "one_file_system", json_boolean(s->one_file_system));
        if (r >= 0)
                r = json_set(json, "follow_symlinks", json_boolean(s->follow_symlinks));
        return r < 0 ? NULL : TAKE_PTR(json);
}

/* A database is not under "source": an agent that knows none of them must not take it for files. */
static int build_what(json_t *json, const BackupSpec *s) {
        json_t *database = NULL;
        int r;

        assert(s);

        if (s->type == SOURCE_FILE)
                return json_set(json, "source", build_source(s));
        r = database_source_build(&s->database, s->type, &database);
        if (r >= 0)
                r = json_set(json, "database", database);
        if (r >= 0 && s->database.one_snapshot)
                r = spec_add_need(json, FEATURE_ONE_SNAPSHOT);
        return r < 0 ? r : json_set(json, "type", json_string(source_type_to_string(s->type)));
}

static int build_hooks(json_t *json, const TaskHooks *hooks) {
        json_t *value = NULL;
        int r;

        if (!task_hooks_any(hooks))
                return 0;
        r = task_hooks_build(hooks, &value);
        if (r >= 0)
                r = json_set(json, "hooks", value);
        return r < 0 ? r : spec_add_need(json, FEATURE_HOOKS);
}

static json_t *build_targets(const BackupSpec *s) {
        _cleanup_json_ json_t *array = json_array();

        assert(s);

        for (size_t i = 0; i < s->n_targets; i++) {
                json_t *target = NULL;

                if (spec_target_build(&s->targets[i], &target) < 0 || json_append(array, target) < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

int backup_spec_build(const BackupSpec *s, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        assert(s);
        assert(ret);

        r = json_set(json, "run", json_from_u64(s->run));
        if (r >= 0)
                r = json_set(json, "task", named(s->task_id, s->task_name));
        if (r >= 0)
                r = json_set(json, "node", named(s->node_id, s->node_name));
        if (r >= 0)
                r = build_what(json, s);
        if (r >= 0)
                r = json_set(json, "format", json_string(s->format ? s->format : "archive"));
        if (r >= 0)
                r = json_set(json, "compression",
                             json_pack("{s:s,s:i}", "algorithm", s->compression ? s->compression : "zstd",
                                       "level", (int) s->level));
        if (r >= 0)
                r = json_set(json, "recipients", json_from_strv(s->recipients));
        if (r >= 0)
                r = build_hooks(json, &s->hooks);
        if (r >= 0)
                r = json_set(json, "targets", build_targets(s));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

static void read_target(JsonReader *row, void *item) {
        SpecTarget *target = item;

        (void) spec_target_read(row, target);
        if (row->error >= 0 && !target->prefix)
                (void) json_reader_fail(row, "prefix", "is missing");
}

static const JsonRows target_rows = { SPEC_TARGETS_MAX, sizeof(SpecTarget), read_target };

static void read_targets(JsonReader *r, BackupSpec *s) {
        (void) json_reader_rows(r, "targets", JSON_REQUIRED, &target_rows, &s->targets, &s->n_targets);
        if (r->error >= 0 && s->n_targets == 0)
                (void) json_reader_fail(r, "targets", "must not be empty");
}

static void read_source(JsonReader *r, BackupSpec *s) {
        JsonReader source;

        assert(s);

        (void) json_reader_object(r, "source", JSON_REQUIRED, &source);
        (void) json_reader_paths(&source, "paths", JSON_REQUIRED, SPEC_PATHS_MAX, &s->paths);
        (void) json_reader_strv(&source, "excludes", JSON_OPTIONAL, SPEC_EXCLUDES_MAX, PATTERN_MAX,
                                &s->excludes);
        (void) json_reader_bool(&source, "one_file_system", JSON_OPTIONAL, &s->one_file_system);
        (void) json_reader_bool(&source, "follow_symlinks", JSON_OPTIONAL, &s->follow_symlinks);
        if (source.error >= 0 && !s->paths)
                (void) json_reader_fail(&source, "paths", "must not be empty");
}

static int lookup_source_type(const char *s) {
        return source_type_from_string(s);
}

static void read_what(JsonReader *r, BackupSpec *s) {
        int type = SOURCE_FILE;
        JsonReader database;

        assert(s);

        (void) json_reader_enum(r, "type", JSON_OPTIONAL, lookup_source_type, &type);
        s->type = (SourceType) type;
        if (s->type == SOURCE_FILE) {
                read_source(r, s);
                return;
        }
        if (json_reader_object(r, "database", JSON_REQUIRED, &database) > 0)
                (void) database_source_read(&database, s->type, &s->database);
}

int backup_spec_parse(const json_t *json, BackupSpec *ret, Failure *reterr_failure) {
        _cleanup_(backup_spec_done) BackupSpec s = BACKUP_SPEC_NULL;
        JsonReader r, compression, hooks;
        int k;

        assert(ret);

        (void) json_reader_init(&r, json, reterr_failure);
        (void) json_reader_u64(&r, "run", JSON_REQUIRED, INT64_MAX, &s.run);
        (void) read_named(&r, "task", &s.task_id, &s.task_name);
        (void) read_named(&r, "node", &s.node_id, &s.node_name);
        read_what(&r, &s);
        (void) json_reader_strdup(&r, "format", JSON_REQUIRED, 32, &s.format);
        (void) json_reader_object(&r, "compression", JSON_REQUIRED, &compression);
        (void) json_reader_strdup(&compression, "algorithm", JSON_REQUIRED, 32, &s.compression);
        (void) json_reader_u32(&compression, "level", JSON_REQUIRED, LEVEL_MAX, &s.level);
        (void) json_reader_strv(&r, "recipients", JSON_OPTIONAL, SPEC_RECIPIENTS_MAX, RECIPIENT_MAX,
                                &s.recipients);
        if (json_reader_object(&r, "hooks", JSON_OPTIONAL, &hooks) > 0)
                (void) task_hooks_read(&hooks, &s.hooks);
        read_targets(&r, &s);
        k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        *ret = s;
        s = BACKUP_SPEC_NULL;
        return 0;
}

/* --- restore ----------------------------------------------------------------------------------------- */

void restore_spec_done(RestoreSpec *s) {
        assert(s);

        archive_ref_done(&s->archive);
        snapshot_ref_done(&s->snapshots);
        free(s->destination);
        database_restore_done(&s->database);
        strv_free(s->paths);
        *s = RESTORE_SPEC_NULL;
}

int backup_ref_build(json_t *json, const ArchiveRef *archive, const SnapshotRef *snapshots) {
        json_t *value = NULL;
        int r;

        assert(snapshots);

        r = snapshots->n > 0 ? snapshot_ref_build(snapshots, &value) : archive_ref_build(archive, &value);
        return r < 0 ? r : json_set(json, snapshots->n > 0 ? "snapshots" : "archive", value);
}

int backup_ref_read(JsonReader *r, ArchiveRef *archive, SnapshotRef *snapshots) {
        JsonReader object;

        (void) snapshot_ref_read(r, snapshots);
        if (json_reader_object(r, "archive", snapshots->n > 0 ? JSON_OPTIONAL : JSON_REQUIRED, &object) > 0)
                return archive_ref_read(&object, archive);
        return r->error;
}

static json_t *build_destination(const RestoreSpec *s) {
        _cleanup_json_ json_t *json = json_object();
        json_t *database = NULL;
        int r;

        if (s->database.path) {
                r = database_restore_build(&s->database, &database);
                if (r >= 0)
                        r = json_set(json, "database", database);
        } else if (s->in_place)
                r = json_set(json, "in_place", json_true());
        else
                r = json_set(json, "path", json_from_path(s->destination));
        return r < 0 ? NULL : TAKE_PTR(json);
}

int restore_spec_build(const RestoreSpec *s, json_t **ret) {
        _cleanup_json_ json_t *json = NULL;
        int r;

        assert(s);
        assert(ret);

        r = spec_about_build(s->run, s->source_run, /* snapshots= */ NULL, &json);
        if (r >= 0)
                r = backup_ref_build(json, &s->archive, &s->snapshots);
        if (r >= 0)
                r = json_set(json, "destination", build_destination(s));
        if (r >= 0)
                r = json_set(json, "paths", json_from_paths(s->paths));
        if (r >= 0)
                r = json_set(json, "conflict", json_string(restore_conflict_to_string(s->conflict)));
        if (r >= 0 && s->type != SOURCE_FILE)
                r = json_set(json, "type", json_string(source_type_to_string(s->type)));
        if (r >= 0 && s->force)
                r = json_set(json, "force", json_true());
        if (r >= 0 && s->database.path && startswith(s->database.path, MYSQL_TABLES_PATH))
                r = spec_add_need(json, FEATURE_ONE_SNAPSHOT);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

static void read_destination(JsonReader *r, RestoreSpec *s) {
        JsonReader d, database;

        assert(s);

        (void) json_reader_object(r, "destination", JSON_REQUIRED, &d);
        if (json_reader_object(&d, "database", JSON_OPTIONAL, &database) > 0) {
                (void) database_restore_read(&database, /* with_server= */ true, &s->database);
                return;
        }
        (void) json_reader_path(&d, "path", JSON_OPTIONAL, &s->destination);
        (void) json_reader_bool(&d, "in_place", JSON_OPTIONAL, &s->in_place);
        if (d.error >= 0 && s->in_place == (s->destination != NULL))
                (void) json_reader_fail(&d, NULL, "has to have either a path or in_place");
        if (d.error >= 0 && s->destination && !path_is_normalized_absolute(s->destination))
                (void) json_reader_fail(&d, "path", "has to be an absolute path without '.' and '..'");
}

int restore_spec_parse(const json_t *json, RestoreSpec *ret, Failure *reterr_failure) {
        _cleanup_(restore_spec_done) RestoreSpec s = RESTORE_SPEC_NULL;
        int k, conflict = RESTORE_CONFLICT_FAIL, type = SOURCE_FILE;
        JsonReader r;

        assert(ret);

        (void) json_reader_init(&r, json, reterr_failure);
        (void) spec_about_read(&r, &s.run, &s.source_run, /* ret_snapshots= */ NULL);
        k = backup_ref_read(&r, &s.archive, &s.snapshots);
        if (k == -ENOMEM)
                return k;
        read_destination(&r, &s);
        (void) json_reader_paths(&r, "paths", JSON_OPTIONAL, SPEC_PATHS_MAX, &s.paths);
        (void) json_reader_enum(&r, "conflict", JSON_REQUIRED, lookup_conflict, &conflict);
        (void) json_reader_enum(&r, "type", JSON_OPTIONAL, lookup_source_type, &type);
        (void) json_reader_bool(&r, "force", JSON_OPTIONAL, &s.force);
        s.conflict = (RestoreConflict) conflict;
        s.type = (SourceType) type;
        k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        *ret = s;
        s = RESTORE_SPEC_NULL;
        return 0;
}

/* --- browse and list_dir ----------------------------------------------------------------------------- */

void listing_spec_done(ListingSpec *s) {
        assert(s);

        archive_ref_done(&s->archive);
        snapshot_ref_done(&s->snapshots);
        free(s->path);
        free(s->cursor);
        *s = LISTING_SPEC_NULL;
}

int listing_spec_build(const ListingSpec *s, CommandKind kind, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        int r = 0;

        assert(s);
        assert(kind == COMMAND_BROWSE || kind == COMMAND_LIST_DIR);
        assert(ret);

        if (kind == COMMAND_BROWSE)
                r = backup_ref_build(json, &s->archive, &s->snapshots);
        if (r >= 0)
                r = json_set(json, "path", json_from_path(strempty(s->path)));
        if (r >= 0)
                r = json_set(json, "limit", json_integer(s->limit > 0 ? s->limit : LISTING_LIMIT_DEFAULT));
        if (r >= 0)
                r = json_set(json, "cursor", json_string(strempty(s->cursor)));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

/* "" is no path but stands for the roots. */
static int read_listing_path(JsonReader *r, char **ret) {
        const json_t *value = NULL;

        assert(r);

        if (json_reader_value(r, "path", JSON_REQUIRED, &value) <= 0)
                return r->error;
        if (json_is_string(value) && json_string_length(value) == 0)
                return free_and_strdup(ret, "");
        if (json_to_path(value, ret) < 0 || !path_is_normalized_absolute(*ret))
                return json_reader_fail(r, "path", "has to be an absolute path without '.' and '..'");
        return 0;
}

int listing_spec_parse(const json_t *json, CommandKind kind, ListingSpec *ret, Failure *reterr_failure) {
        _cleanup_(listing_spec_done) ListingSpec s = { .limit = LISTING_LIMIT_DEFAULT };
        JsonReader r;
        int k;

        assert(kind == COMMAND_BROWSE || kind == COMMAND_LIST_DIR);
        assert(ret);

        (void) json_reader_init(&r, json, reterr_failure);
        if (kind == COMMAND_BROWSE) {
                k = backup_ref_read(&r, &s.archive, &s.snapshots);
                if (k == -ENOMEM)
                        return k;
        }
        k = read_listing_path(&r, &s.path);
        if (k == -ENOMEM)
                return k;
        (void) json_reader_u32(&r, "limit", JSON_OPTIONAL, LISTING_LIMIT_MAX, &s.limit);
        (void) json_reader_strdup(&r, "cursor", JSON_OPTIONAL, LISTING_CURSOR_MAX, &s.cursor);
        k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        if (!s.cursor) {
                k = free_and_strdup(&s.cursor, "");
                if (k < 0)
                        return k;
        }
        s.limit = MAX(s.limit, 1U);
        *ret = s;
        s = LISTING_SPEC_NULL;
        return 0;
}

/* --- test_storage ------------------------------------------------------------------------------------ */

int test_storage_spec_build(const SpecTarget *target, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        json_t *inner = NULL;
        int r;

        assert(target);
        assert(ret);

        r = spec_target_build(target, &inner);
        if (r >= 0)
                r = json_set(json, "target", inner);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

int test_storage_spec_parse(const json_t *json, SpecTarget *ret, Failure *reterr_failure) {
        _cleanup_(spec_target_done) SpecTarget t = SPEC_TARGET_NULL;
        JsonReader r, target;
        int k;

        assert(ret);

        (void) json_reader_init(&r, json, reterr_failure);
        (void) json_reader_object(&r, "target", JSON_REQUIRED, &target);
        (void) spec_target_read(&target, &t);
        k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        *ret = t;
        t = SPEC_TARGET_NULL;
        return 0;
}
