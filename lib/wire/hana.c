/* SPDX-License-Identifier: Apache-2.0 */

#include <ctype.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/hana.h"
#include "wire/path.h"

static const char *const hana_backup_table[_HANA_BACKUP_MAX] = {
        [HANA_DATA] = "data",
        [HANA_LOG] = "log",
};

DEFINE_STRING_TABLE(hana_backup, HanaBackup);

static const char *const hana_level_table[_HANA_LEVEL_MAX] = {
        [HANA_FULL] = "full",
        [HANA_INCREMENTAL] = "incremental",
        [HANA_DIFFERENTIAL] = "differential",
};

DEFINE_STRING_TABLE(hana_level, HanaLevel);

static const char *const hana_via_table[_HANA_VIA_MAX] = {
        [HANA_VIA_FILE] = "file",
        [HANA_VIA_BACKINT] = "backint",
};

DEFINE_STRING_TABLE(hana_via, HanaVia);

HanaSettings *hana_settings_free(HanaSettings *s) {
        if (!s)
                return NULL;
        free(s->server.key);
        free(s->server.home);
        free(s->server.host);
        free(s->server.user);
        free(s->server.database);
        free(s->server.tls_ca);
        free(s->directory);
        return mfree(s);
}

bool hana_is_word(const char *s) {
        assert(s);

        if (*s == 0 || *s == '-')
                return false;
        for (const char *p = s; *p; p++)
                if ((unsigned char) *p <= ' ' || *p == 0x7f || strchr("\"';\\", *p))
                        return false;
        return true;
}

bool hana_is_database(const char *s) {
        assert(s);

        if (!isalnum((unsigned char) *s))
                return false;
        for (const char *p = s; *p; p++)
                if ((unsigned char) *p >= 0x80 || !(isalnum((unsigned char) *p) || strchr("_-", *p)))
                        return false;
        return strlen(s) <= HANA_WORD_MAX;
}

/* --- Reading ------------------------------------------------------------------------------------------ */

static int lookup_backup(const char *s) {
        return hana_backup_from_string(s);
}

static int lookup_level(const char *s) {
        return hana_level_from_string(s);
}

static int lookup_via(const char *s) {
        return hana_via_from_string(s);
}

static int lookup_tls(const char *s) {
        return database_tls_from_string(s);
}

static void check_word(JsonReader *r, const char *key, const char *word) {
        if (word && !hana_is_word(word))
                (void) json_reader_fail(r, key,
                                        "must not be empty, begin with '-', or have spaces, quotes, "
                                        "semicolons or backslashes in it");
}

static void check_path(JsonReader *r, const char *key, const char *path) {
        if (!path)
                return;
        for (const char *p = path; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f || *p == '\\') {
                        (void) json_reader_fail(r, key, "has a control character or a backslash in it");
                        return;
                }
        if (!path_is_normalized_absolute(path) || streq(path, "/"))
                (void) json_reader_fail(r, key, "has to be an absolute path without '.' and '..'");
}

static void check_server(JsonReader *r, const HanaServer *s) {
        check_word(r, "key", s->key);
        check_word(r, "host", s->host);
        check_word(r, "user", s->user);
        check_path(r, "home", s->home);
        check_path(r, "tls_ca", s->tls_ca);
        if (s->database && !hana_is_database(s->database))
                (void) json_reader_fail(r, "database", "is no name of a database");
        if (s->key && (s->host || s->user || s->port > 0 || s->has_instance))
                (void) json_reader_fail(r, "key", "has host, port, instance and user in it already");
        if (s->key && !s->home)
                (void) json_reader_fail(r, "home", "is missing: the directory whose .hdb has the key");
        if (!s->key && !s->host)
                (void) json_reader_fail(r, "key", "or 'host' and 'user' have to be named");
        if (s->host && !s->user)
                (void) json_reader_fail(r, "user", "is missing");
        if (s->host && s->has_instance == (s->port > 0))
                (void) json_reader_fail(r, "instance", "or 'port' has to be named, and not both");
}

static void read_server(JsonReader *r, HanaServer *s) {
        int tls = DATABASE_TLS_OFF;

        (void) json_reader_strdup(r, "key", JSON_OPTIONAL, HANA_WORD_MAX, &s->key);
        (void) json_reader_strdup(r, "home", JSON_OPTIONAL, HANA_DIRECTORY_MAX, &s->home);
        (void) json_reader_strdup(r, "host", JSON_OPTIONAL, DATABASE_HOST_MAX, &s->host);
        s->has_instance = json_reader_u32(r, "instance", JSON_OPTIONAL, HANA_INSTANCE_MAX, &s->instance) > 0;
        (void) json_reader_u32(r, "port", JSON_OPTIONAL, UINT16_MAX, &s->port);
        (void) json_reader_strdup(r, "user", JSON_OPTIONAL, HANA_WORD_MAX, &s->user);
        (void) json_reader_strdup(r, "database", JSON_OPTIONAL, HANA_WORD_MAX, &s->database);
        (void) json_reader_enum(r, "tls", JSON_OPTIONAL, lookup_tls, &tls);
        (void) json_reader_strdup(r, "tls_ca", JSON_OPTIONAL, HANA_DIRECTORY_MAX, &s->tls_ca);
        s->tls = (DatabaseTls) tls;
        if (json_reader_finish(r) >= 0)
                check_server(r, s);
}

static void check_settings(JsonReader *r, const HanaSettings *s) {
        check_path(r, "directory", s->directory);
        if (s->backup == HANA_LOG && s->level != HANA_FULL)
                (void) json_reader_fail(r, "level", "is for backups of data");
        if (s->backup == HANA_LOG && s->via == HANA_VIA_BACKINT)
                (void) json_reader_fail(r, "via",
                                        "cannot be backint for logs: the database itself gives them to "
                                        "Backint, where it is told to (log_backup_using_backint)");
        if (s->via == HANA_VIA_BACKINT || s->backup == HANA_LOG) {
                if (s->directory)
                        (void) json_reader_fail(r, "directory", "is for backups of data via file");
        } else if (!s->directory)
                (void) json_reader_fail(r, "directory",
                                        "is missing: the database writes there, and the node takes it "
                                        "from there");
        if (s->channels > 1 && s->via != HANA_VIA_BACKINT)
                (void) json_reader_fail(r, "channels",
                                        "above 1 need via backint: into files the database writes with "
                                        "one");
}

int hana_settings_read(JsonReader *r, HanaSettings **ret) {
        _cleanup_(hana_settings_freep) HanaSettings *s = NULL;
        int backup = HANA_DATA, level = HANA_FULL, via = HANA_VIA_FILE;
        JsonReader server;

        assert(r);
        assert(ret);

        s = new0(HanaSettings, 1);
        if (!s)
                return -ENOMEM;
        s->retries = HANA_RETRIES_DEFAULT;
        if (json_reader_object(r, "server", JSON_REQUIRED, &server) > 0)
                read_server(&server, &s->server);
        (void) json_reader_enum(r, "backup", JSON_OPTIONAL, lookup_backup, &backup);
        (void) json_reader_enum(r, "level", JSON_OPTIONAL, lookup_level, &level);
        (void) json_reader_enum(r, "via", JSON_OPTIONAL, lookup_via, &via);
        (void) json_reader_strdup(r, "directory", JSON_OPTIONAL, HANA_DIRECTORY_MAX, &s->directory);
        if (json_reader_u32(r, "channels", JSON_OPTIONAL, HANA_CHANNELS_MAX, &s->channels) > 0 &&
            s->channels == 0)
                (void) json_reader_fail(r, "channels", "is a number from 1 to %u", HANA_CHANNELS_MAX);
        (void) json_reader_u32(r, "retries", JSON_OPTIONAL, HANA_RETRIES_MAX, &s->retries);
        s->backup = (HanaBackup) backup;
        s->level = (HanaLevel) level;
        s->via = (HanaVia) via;
        if (r->error >= 0)
                check_settings(r, s);
        if (r->error < 0)
                return r->error;
        *ret = TAKE_PTR(s);
        return 0;
}

/* --- Building ----------------------------------------------------------------------------------------- */

static int set_string(json_t *json, const char *key, const char *value) {
        return value ? json_set(json, key, json_from_string(value)) : 0;
}

static int build_server(const HanaServer *s, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        r = set_string(json, "key", s->key);
        if (r >= 0)
                r = set_string(json, "home", s->home);
        if (r >= 0)
                r = set_string(json, "host", s->host);
        if (r >= 0 && s->has_instance)
                r = json_set(json, "instance", json_integer(s->instance));
        if (r >= 0 && s->port > 0)
                r = json_set(json, "port", json_integer(s->port));
        if (r >= 0)
                r = set_string(json, "user", s->user);
        if (r >= 0)
                r = set_string(json, "database", s->database);
        if (r >= 0 && s->tls != DATABASE_TLS_OFF)
                r = json_set(json, "tls", json_string(database_tls_to_string(s->tls)));
        if (r >= 0)
                r = set_string(json, "tls_ca", s->tls_ca);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

int hana_settings_build(const HanaSettings *s, json_t *json) {
        json_t *server = NULL;
        int r;

        assert(s);
        assert(json);

        r = build_server(&s->server, &server);
        if (r >= 0)
                r = json_set(json, "server", server);
        if (r >= 0)
                r = json_set(json, "backup", json_string(hana_backup_to_string(s->backup)));
        if (r >= 0 && s->backup == HANA_DATA)
                r = json_set(json, "level", json_string(hana_level_to_string(s->level)));
        if (r >= 0)
                r = json_set(json, "via", json_string(hana_via_to_string(s->via)));
        if (r >= 0)
                r = set_string(json, "directory", s->directory);
        if (r >= 0 && s->channels > 0)
                r = json_set(json, "channels", json_integer(s->channels));
        if (r >= 0)
                r = json_set(json, "retries", json_integer(s->retries));
        return r;
}
