/* SPDX-License-Identifier: Apache-2.0 */

#include <fnmatch.h>

#include "base/text.h"
#include "wire/database.h"
#include "wire/hana.h"
#include "wire/path.h"

static const char *const source_type_table[_SOURCE_TYPE_MAX] = {
        [SOURCE_FILE] = "file",
        [SOURCE_SQLITE] = "sqlite",
        [SOURCE_MYSQL] = "mysql",
        [SOURCE_POSTGRESQL] = "postgresql",
        [SOURCE_SAPHANA] = "saphana",
};

DEFINE_STRING_TABLE(source_type, SourceType);

static const char *const database_tls_table[_DATABASE_TLS_MAX] = {
        [DATABASE_TLS_OFF] = "off",
        [DATABASE_TLS_REQUIRE] = "require",
        [DATABASE_TLS_VERIFY] = "verify",
};

DEFINE_STRING_TABLE(database_tls, DatabaseTls);

void database_server_done(DatabaseServer *s) {
        assert(s);

        free(s->host);
        free(s->socket);
        free(s->user);
        free(s->tls_ca);
        *s = DATABASE_SERVER_NULL;
}

void database_source_done(DatabaseSource *s) {
        assert(s);

        strv_free(s->paths);
        database_server_done(&s->server);
        strv_free(s->databases);
        strv_free(s->exclude);
        hana_settings_free(s->hana);
        *s = DATABASE_SOURCE_NULL;
}

/* --- Reading ------------------------------------------------------------------------------------------ */

static int lookup_tls(const char *s) {
        return database_tls_from_string(s);
}

/* They become lines of an option file. */
static void check_text(JsonReader *r, const char *key, const char *text) {
        for (const char *p = strempty(text); *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f) {
                        (void) json_reader_fail(r, key, "has a control character in it");
                        return;
                }
}

static void check_path(JsonReader *r, const char *key, const char *path) {
        check_text(r, key, path);
        if (path && !path_is_normalized_absolute(path))
                (void) json_reader_fail(r, key, "has to be an absolute path without '.' and '..'");
}

int database_server_read(JsonReader *r, DatabaseServer *ret) {
        int tls = DATABASE_TLS_OFF;

        assert(r);
        assert(ret);

        (void) json_reader_strdup(r, "host", JSON_OPTIONAL, DATABASE_HOST_MAX, &ret->host);
        (void) json_reader_u32(r, "port", JSON_OPTIONAL, UINT16_MAX, &ret->port);
        (void) json_reader_strdup(r, "socket", JSON_OPTIONAL, DATABASE_PATTERN_MAX, &ret->socket);
        (void) json_reader_strdup(r, "user", JSON_REQUIRED, DATABASE_USER_MAX, &ret->user);
        (void) json_reader_enum(r, "tls", JSON_OPTIONAL, lookup_tls, &tls);
        (void) json_reader_strdup(r, "tls_ca", JSON_OPTIONAL, DATABASE_PATTERN_MAX, &ret->tls_ca);
        if (r->error < 0)
                return r->error;
        ret->tls = (DatabaseTls) tls;
        check_text(r, "host", ret->host);
        check_text(r, "user", ret->user);
        check_path(r, "socket", ret->socket);
        check_path(r, "tls_ca", ret->tls_ca);
        if (isempty(ret->host) == isempty(ret->socket))
                (void) json_reader_fail(r, "host", "or 'socket' has to be named, and not both");
        return r->error;
}

static DatabaseTls tls_of(const json_t *server) {
        const char *text = json_string_value(json_object_get(server, "tls"));

        return text ? database_tls_from_string(text) : DATABASE_TLS_OFF;
}

/* A member of one that the other has not, or not the same. */
static const char *moved_member(const json_t *one, const json_t *other) {
        const char *name;
        json_t *value;

        json_object_foreach((json_t *) one, name, value) {
                const json_t *there = json_object_get(other, name);

                if (!streq(name, "tls") && (!there || !json_equal(value, there)))
                        return name;
        }
        return NULL;
}

const char *database_server_moved(const json_t *before, const json_t *after) {
        const char *moved;

        if (!json_is_object(before) || !json_is_object(after))
                return "source.server";
        moved = moved_member(before, after) ?: moved_member(after, before);
        if (moved)
                return moved;
        return tls_of(after) < tls_of(before) ? "tls" : NULL;
}

static void check_patterns(JsonReader *r, char *const *patterns) {
        size_t i = 0;

        if (!patterns)
                (void) json_reader_fail(r, "paths", "has to name at least one database");
        STRV_FOREACH(pattern, patterns) {
                if (!path_is_normalized_absolute(*pattern))
                        (void) json_reader_fail_item(r, "paths", i,
                                                     "has to be an absolute path without '.' and '..'");
                else if (strstr(*pattern, "**"))
                        (void) json_reader_fail_item(r, "paths", i,
                                                     "has '**': a wildcard stays within one name");
                i++;
        }
}

static int read_names(JsonReader *r, DatabaseSource *ret) {
        (void) json_reader_strv(r, "databases", JSON_OPTIONAL, DATABASE_PATTERNS_MAX, DATABASE_NAME_MAX,
                                &ret->databases);
        (void) json_reader_strv(r, "exclude", JSON_OPTIONAL, DATABASE_PATTERNS_MAX, DATABASE_NAME_MAX,
                                &ret->exclude);
        return r->error;
}

static int read_server_source(JsonReader *r, SourceType type, DatabaseSource *ret) {
        JsonReader server;

        if (json_reader_object(r, "server", JSON_REQUIRED, &server) > 0) {
                (void) database_server_read(&server, &ret->server);
                if (json_reader_finish(&server) < 0)
                        return r->error;
        }
        if (type == SOURCE_MYSQL)
                (void) json_reader_bool(r, "one_snapshot", JSON_OPTIONAL, &ret->one_snapshot);
        return read_names(r, ret);
}

static int read_hana(JsonReader *r, DatabaseSource *ret) {
        int k, n;

        k = hana_settings_read(r, &ret->hana);
        /* Behind an error, too: a field that nobody reads would be told of as an unknown one. */
        n = read_names(r, ret);
        return k < 0 ? k : n;
}

int database_source_read(JsonReader *r, SourceType type, DatabaseSource *ret) {
        assert(r);
        assert(ret);

        switch (type) {
        case SOURCE_SQLITE:
                (void) json_reader_paths(r, "paths", JSON_REQUIRED, DATABASE_PATTERNS_MAX, &ret->paths);
                if (r->error >= 0)
                        check_patterns(r, ret->paths);
                return r->error;
        case SOURCE_MYSQL:
        case SOURCE_POSTGRESQL:
                return read_server_source(r, type, ret);
        case SOURCE_SAPHANA:
                return read_hana(r, ret);
        case SOURCE_FILE:
        case _SOURCE_TYPE_MAX:
        case _SOURCE_TYPE_INVALID:
                break;
        }
        return json_reader_fail(r, NULL, "is of no database");
}

/* --- Building ----------------------------------------------------------------------------------------- */

int database_server_build(const DatabaseServer *s, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        assert(s);
        assert(ret);

        r = json_set(json, "user", json_from_string(strempty(s->user)));
        if (r >= 0 && s->host)
                r = json_set(json, "host", json_from_string(s->host));
        if (r >= 0 && s->port > 0)
                r = json_set(json, "port", json_integer(s->port));
        if (r >= 0 && s->socket)
                r = json_set(json, "socket", json_from_string(s->socket));
        if (r >= 0 && s->tls != DATABASE_TLS_OFF)
                r = json_set(json, "tls", json_string(database_tls_to_string(s->tls)));
        if (r >= 0 && s->tls_ca)
                r = json_set(json, "tls_ca", json_from_string(s->tls_ca));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

static int build_server(json_t *json, const DatabaseSource *s, SourceType type) {
        json_t *server = NULL;
        int r;

        if (type == SOURCE_SAPHANA)
                return hana_settings_build(s->hana, json);
        r = database_server_build(&s->server, &server);
        return r < 0 ? r : json_set(json, "server", server);
}

int database_source_build(const DatabaseSource *s, SourceType type, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        assert(s);
        assert(type > SOURCE_FILE);
        assert(ret);

        if (type == SOURCE_SQLITE)
                r = json_set(json, "paths", json_from_paths(s->paths));
        else {
                r = build_server(json, s, type);
                if (r >= 0)
                        r = json_set(json, "databases", json_from_strv(s->databases));
                if (r >= 0)
                        r = json_set(json, "exclude", json_from_strv(s->exclude));
                if (r >= 0 && s->one_snapshot)
                        r = json_set(json, "one_snapshot", json_true());
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

/* --- Choosing ----------------------------------------------------------------------------------------- */

static bool matches(char *const *patterns, const char *name) {
        STRV_FOREACH(pattern, patterns)
                if (streq(*pattern, name) || fnmatch(*pattern, name, 0) == 0)
                        return true;
        return false;
}

bool database_source_has(const DatabaseSource *s, const char *name) {
        assert(s);
        assert(name);

        return (strv_length(s->databases) == 0 || matches(s->databases, name)) &&
                        !matches(s->exclude, name);
}

bool database_name_is_pattern(const char *name) {
        assert(name);

        return strpbrk(name, "*?[") != NULL;
}

bool database_source_is_open(const DatabaseSource *s) {
        assert(s);

        STRV_FOREACH(name, s->databases)
                if (database_name_is_pattern(*name))
                        return true;
        return strv_length(s->databases) == 0;
}

/* --- Restoring ---------------------------------------------------------------------------------------- */

void database_restore_done(DatabaseRestore *d) {
        assert(d);

        free(d->path);
        free(d->name);
        strv_free(d->schemas);
        strv_free(d->tables);
        database_server_done(&d->server);
        *d = DATABASE_RESTORE_NULL;
}

int database_restore_read(JsonReader *r, bool with_server, DatabaseRestore *ret) {
        JsonReader server;

        assert(r);
        assert(ret);

        (void) json_reader_strdup(r, "path", JSON_REQUIRED, DATABASE_PATTERN_MAX, &ret->path);
        (void) json_reader_strdup(r, "name", JSON_REQUIRED, DATABASE_NAME_MAX, &ret->name);
        (void) json_reader_bool(r, "drop", JSON_OPTIONAL, &ret->drop);
        (void) json_reader_strv(r, "schemas", JSON_OPTIONAL, DATABASE_PATTERNS_MAX, DATABASE_NAME_MAX,
                                &ret->schemas);
        (void) json_reader_strv(r, "tables", JSON_OPTIONAL, DATABASE_PATTERNS_MAX, DATABASE_NAME_MAX,
                                &ret->tables);
        (void) json_reader_bool(r, "no_owners", JSON_OPTIONAL, &ret->no_owners);
        if (r->error >= 0 && !path_is_normalized_absolute(ret->path))
                (void) json_reader_fail(r, "path", "has to be an absolute path of the backup");
        if (r->error >= 0 && isempty(ret->name))
                (void) json_reader_fail(r, "name", "must not be empty");
        if (with_server && json_reader_object(r, "server", JSON_REQUIRED, &server) > 0)
                (void) database_server_read(&server, &ret->server);
        return r->error;
}

int database_restore_build(const DatabaseRestore *d, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        json_t *server = NULL;
        int r;

        assert(d);
        assert(ret);

        r = json_set(json, "path", json_from_string(d->path));
        if (r >= 0)
                r = json_set(json, "name", json_from_string(d->name));
        if (r >= 0)
                r = json_set(json, "drop", json_boolean(d->drop));
        if (r >= 0 && strv_length(d->schemas) > 0)
                r = json_set(json, "schemas", json_from_strv(d->schemas));
        if (r >= 0 && strv_length(d->tables) > 0)
                r = json_set(json, "tables", json_from_strv(d->tables));
        if (r >= 0 && d->no_owners)
                r = json_set(json, "no_owners", json_true());
        if (r >= 0 && d->server.user)
                r = database_server_build(&d->server, &server);
        if (r >= 0 && server)
                r = json_set(json, "server", server);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}
