/* SPDX-License-Identifier: Apache-2.0 */

/* A task in YAML, as "tasks create --file" takes it: the fields of the API, with names of nodes and targets.
 *
 *         name: etc
 *         node: web-1             # name or number
 *         targets: [disk, vault]  # names or numbers
 *         encryption: sealed
 *         source:
 *           paths: [/etc, /srv]
 *           excludes: ["*.tmp"]
 *         schedule:
 *           expression: "Mon..Fri 02:30"
 *           timezone: Europe/Berlin
 *         retention:
 *           daily: 7
 *
 * A key stands where the body has it: the table below is all of it. docs/tasks.md is for people. */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/body.h"
#include "sys/config.h"
#include "wire/path.h"

#define YAML_MAX (1U << 20)

/* --- Values: each becomes what the body will have ------------------------------------------------------ */

static int keep(void *field, json_t *value) {
        json_t **at = ASSERT_PTR(field);

        if (!value)
                return -ENOMEM;
        json_decref(*at);
        *at = value;
        return 0;
}

/* An empty one is none. */
static int parse_text(const ConfigValue *value, void *field, Failure *reterr_failure) {
        _cleanup_(freep) char *text = NULL;
        int r;

        r = config_parse_string(value, &text, reterr_failure);
        return r < 0 || !text ? r : keep(field, json_string(text));
}

static int parse_list(const ConfigValue *value, void *field, Failure *reterr_failure) {
        _cleanup_(strv_freep) char **list = NULL;
        int r;

        r = config_parse_strv(value, &list, reterr_failure);
        if (r < 0)
                return r;
        return keep(field, list ? json_from_strv(list) : json_array());
}

static int parse_paths(const ConfigValue *value, void *field, Failure *reterr_failure) {
        _cleanup_(strv_freep) char **list = NULL;
        int r;

        r = config_parse_strv(value, &list, reterr_failure);
        if (r < 0)
                return r;
        return keep(field, list ? json_from_paths(list) : json_array());
}

static int parse_flag(const ConfigValue *value, void *field, Failure *reterr_failure) {
        bool flag = false;
        int r;

        r = config_parse_boolean(value, &flag, reterr_failure);
        return r < 0 ? r : keep(field, json_boolean(flag));
}

static int parse_number(const ConfigValue *value, void *field, Failure *reterr_failure) {
        uint32_t number = 0;
        int r;

        r = config_parse_u32(value, &number, reterr_failure);
        return r < 0 ? r : keep(field, json_from_u64(number));
}

/* Such files are kept beside programs, and shown to others. */
static int refuse_secret(const ConfigValue *value, void *field, Failure *reterr_failure) {
        return failure_set(reterr_failure, -EINVAL, "FILE",
                           "a password does not belong in this file: give --secret password=FILE");
}

/* --- Keys ---------------------------------------------------------------------------------------------- */

/* All that the API knows of a task; the offsets come from the place in this table. */
static const ConfigItem keys[] = {
        { NULL, "name", parse_text, 0 },
        { NULL, "type", parse_text, 0 },
        { NULL, "node", parse_text, 0 },
        { NULL, "node_label", parse_text, 0 },
        { NULL, "targets", parse_list, 0 },
        { NULL, "format", parse_text, 0 },
        { NULL, "encryption", parse_text, 0 },
        { NULL, "enabled", parse_flag, 0 },
        { "source", "paths", parse_paths, 0 },
        { "source", "excludes", parse_list, 0 },
        { "source", "one_file_system", parse_flag, 0 },
        { "source", "follow_symlinks", parse_flag, 0 },
        { "source", "databases", parse_list, 0 },
        { "source", "exclude", parse_list, 0 },
        { "source", "one_snapshot", parse_flag, 0 },
        { "source", "backup", parse_text, 0 },
        { "source", "level", parse_text, 0 },
        { "source", "via", parse_text, 0 },
        { "source", "directory", parse_text, 0 },
        { "source", "channels", parse_number, 0 },
        { "source", "retries", parse_number, 0 },
        { "source.server", "host", parse_text, 0 },
        { "source.server", "port", parse_number, 0 },
        { "source.server", "socket", parse_text, 0 },
        { "source.server", "user", parse_text, 0 },
        { "source.server", "tls", parse_text, 0 },
        { "source.server", "tls_ca", parse_text, 0 },
        { "source.server", "key", parse_text, 0 },
        { "source.server", "home", parse_text, 0 },
        { "source.server", "instance", parse_number, 0 },
        { "source.server", "database", parse_text, 0 },
        { "secrets", "password", refuse_secret, 0 },
        { "compression", "algorithm", parse_text, 0 },
        { "compression", "level", parse_number, 0 },
        { "schedule", "expression", parse_text, 0 },
        { "schedule", "timezone", parse_text, 0 },
        { "schedule", "catch_up", parse_flag, 0 },
        { "verify", "shares", parse_number, 0 },
        { "verify.schedule", "expression", parse_text, 0 },
        { "verify.schedule", "timezone", parse_text, 0 },
        { "verify.schedule", "catch_up", parse_flag, 0 },
        { "retention", "last", parse_number, 0 },
        { "retention", "hourly", parse_number, 0 },
        { "retention", "daily", parse_number, 0 },
        { "retention", "weekly", parse_number, 0 },
        { "retention", "monthly", parse_number, 0 },
        { "retention", "yearly", parse_number, 0 },
        { "retention", "within", parse_text, 0 },
        { "hooks", "pre", parse_list, 0 },
        { "hooks", "post", parse_list, 0 },
        { "hooks", "timeout_s", parse_number, 0 },
        { "hooks", "on_failure", parse_text, 0 },
};

typedef struct TaskFile {
        json_t *values[ELEMENTSOF(keys)]; /* NULL: not given */
} TaskFile;

static void task_file_done(TaskFile *f) {
        assert(f);

        for (size_t i = 0; i < ELEMENTSOF(f->values); i++)
                json_decref(f->values[i]);
}

/* --- The body ------------------------------------------------------------------------------------------ */

static int set_node(Cli *c, const json_t *name, json_t *body) {
        uint64_t id;
        int r;

        r = cli_find(c, "nodes", json_string_value(name), &id);
        return r < 0 ? r : body_set(body, "node_id", json_from_u64(id));
}

static int set_targets(Cli *c, const json_t *names, json_t *body) {
        _cleanup_json_ json_t *ids = json_array();
        uint64_t id;
        int r;

        for (size_t i = 0; i < json_array_size(names); i++) {
                r = cli_find(c, "targets", json_string_value(json_array_get(names, i)), &id);
                if (r >= 0)
                        r = json_append(ids, json_from_u64(id));
                if (r < 0)
                        return r;
        }
        return body_set(body, "target_ids", TAKE_PTR(ids));
}

/* Things have names here, and numbers there. */
static int set_value(Cli *c, const ConfigItem *key, json_t *value, json_t *body) {
        _cleanup_(freep) char *field = NULL;
        int r;

        assert(key);

        if (!key->section && streq(key->key, "node"))
                return set_node(c, value, body);
        if (!key->section && streq(key->key, "targets"))
                return set_targets(c, value, body);
        r = asprintf_safe(&field, "%s%s%s", strempty(key->section), key->section ? "." : "", key->key);
        return r < 0 ? r : body_set(body, field, json_incref(value));
}

static int read_stdin(char **ret, size_t *ret_size) {
        _cleanup_(buffer_done) Buffer b = BUFFER_LIMITED(YAML_MAX);
        char chunk[4096];
        ssize_t n;
        int r;

        while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) != 0) {
                r = n < 0 ? -errno : buffer_add(&b, chunk, (size_t) n);
                if (r < 0 && r != -EINTR)
                        return r;
        }
        *ret_size = b.size;
        *ret = buffer_take(&b);
        return *ret ? 0 : -ENOMEM;
}

int body_from_yaml(Cli *c, const char *path, json_t *body) {
        _cleanup_(task_file_done) TaskFile file = {};
        _cleanup_(freep) char *data = NULL;
        ConfigItem items[ELEMENTSOF(keys)];
        const ConfigArgs args = { .items = items, .n_items = ELEMENTSOF(items), .target = &file };
        size_t n = 0;
        int r;

        assert(c);
        assert(path);
        assert(body);

        for (size_t i = 0; i < ELEMENTSOF(items); i++) {
                items[i] = keys[i];
                items[i].offset = offsetof(TaskFile, values) + i * sizeof(file.values[0]);
        }
        r = streq(path, "-") ? read_stdin(&data, &n) : read_file(AT_FDCWD, path, YAML_MAX, &data, &n);
        if (r < 0)
                return failure_set(&c->failure, r, "FILE", "'%s' cannot be read: %m", path);
        r = config_parse(&args, streq(path, "-") ? "standard input" : path, data, n, &c->failure);
        for (size_t i = 0; i < ELEMENTSOF(keys) && r >= 0; i++)
                if (file.values[i])
                        r = set_value(c, keys + i, file.values[i], body);
        return r;
}
