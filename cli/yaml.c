/* SPDX-License-Identifier: Apache-2.0 */

/* A task in YAML, as "tasks create --file" takes it: the fields of the API.
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
 */

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

typedef struct Flag {
        bool given;
        bool value;
} Flag;

typedef struct Number {
        bool given;
        uint32_t value;
} Number;

typedef struct TaskFile {
        char *name, *type, *node, *format, *encryption;
        char **targets, **paths, **excludes;
        char *algorithm, *expression, *timezone;
        Number level;
        Flag enabled, one_file_system, follow_symlinks, catch_up;
} TaskFile;

static void task_file_done(TaskFile *f) {
        assert(f);

        free(f->name);
        free(f->type);
        free(f->node);
        free(f->format);
        free(f->encryption);
        strv_free(f->targets);
        strv_free(f->paths);
        strv_free(f->excludes);
        free(f->algorithm);
        free(f->expression);
        free(f->timezone);
}

static int parse_flag(const ConfigValue *value, void *field, Failure *reterr_failure) {
        Flag *flag = field;

        flag->given = true;
        return config_parse_boolean(value, &flag->value, reterr_failure);
}

static int parse_number(const ConfigValue *value, void *field, Failure *reterr_failure) {
        Number *number = field;

        number->given = true;
        return config_parse_u32(value, &number->value, reterr_failure);
}

#define AT(member) offsetof(TaskFile, member)

static const ConfigItem items[] = {
        { NULL, "name", config_parse_string, AT(name) },
        { NULL, "type", config_parse_string, AT(type) },
        { NULL, "node", config_parse_string, AT(node) },
        { NULL, "targets", config_parse_strv, AT(targets) },
        { NULL, "format", config_parse_string, AT(format) },
        { NULL, "encryption", config_parse_string, AT(encryption) },
        { NULL, "enabled", parse_flag, AT(enabled) },
        { "source", "paths", config_parse_strv, AT(paths) },
        { "source", "excludes", config_parse_strv, AT(excludes) },
        { "source", "one_file_system", parse_flag, AT(one_file_system) },
        { "source", "follow_symlinks", parse_flag, AT(follow_symlinks) },
        { "compression", "algorithm", config_parse_string, AT(algorithm) },
        { "compression", "level", parse_number, AT(level) },
        { "schedule", "expression", config_parse_string, AT(expression) },
        { "schedule", "timezone", config_parse_string, AT(timezone) },
        { "schedule", "catch_up", parse_flag, AT(catch_up) },
};

static int set_string(json_t *body, const char *field, const char *value) {
        return value ? body_set(body, field, json_string(value)) : 0;
}

static int set_flag(json_t *body, const char *field, const Flag *flag) {
        return flag->given ? body_set(body, field, json_boolean(flag->value)) : 0;
}

static int set_names(Cli *c, const TaskFile *f, json_t *body) {
        _cleanup_json_ json_t *ids = json_array();
        uint64_t id;
        int r;

        assert(f);

        if (f->node) {
                r = cli_find(c, "nodes", f->node, &id);
                if (r >= 0)
                        r = body_set(body, "node_id", json_from_u64(id));
                if (r < 0)
                        return r;
        }
        STRV_FOREACH(name, f->targets) {
                r = cli_find(c, "targets", *name, &id);
                if (r >= 0)
                        r = json_append(ids, json_from_u64(id));
                if (r < 0)
                        return r;
        }
        return f->targets ? body_set(body, "target_ids", json_incref(ids)) : 0;
}

/* The first error of a row of setters. */
static int first_error(const int *results, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (results[i] < 0)
                        return results[i];
        return 0;
}

static int set_fields(const TaskFile *f, json_t *body) {
        const int results[] = {
                set_string(body, "name", f->name),
                set_string(body, "type", f->type),
                set_string(body, "format", f->format),
                set_string(body, "encryption", f->encryption),
                set_flag(body, "enabled", &f->enabled),
                f->paths ? body_set(body, "source.paths", json_from_paths(f->paths)) : 0,
                f->excludes ? body_set(body, "source.excludes", json_from_strv(f->excludes)) : 0,
                set_flag(body, "source.one_file_system", &f->one_file_system),
                set_flag(body, "source.follow_symlinks", &f->follow_symlinks),
                set_string(body, "compression.algorithm", f->algorithm),
                f->level.given ? body_set(body, "compression.level", json_from_u64(f->level.value)) : 0,
                set_string(body, "schedule.expression", f->expression),
                set_string(body, "schedule.timezone", f->timezone),
                set_flag(body, "schedule.catch_up", &f->catch_up),
        };

        return first_error(results, ELEMENTSOF(results));
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
        ConfigArgs args = { .items = items, .n_items = ELEMENTSOF(items), .target = &file };
        size_t n = 0;
        int r;

        assert(c);
        assert(path);
        assert(body);

        r = streq(path, "-") ? read_stdin(&data, &n) : read_file(AT_FDCWD, path, YAML_MAX, &data, &n);
        if (r < 0)
                return failure_set(&c->failure, r, "FILE", "'%s' cannot be read: %m", path);
        r = config_parse(&args, streq(path, "-") ? "standard input" : path, data, n, &c->failure);
        if (r < 0)
                return r;
        r = set_names(c, &file, body);
        return r < 0 ? r : set_fields(&file, body);
}
