/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/parse.h"
#include "base/text.h"
#include "cli/body.h"
#include "wire/path.h"

#define SECRET_MAX (64U << 10)

int body_set(json_t *body, const char *field, json_t *value) {
        json_t *object = body;

        assert(body);
        assert(field);

        for (const char *dot; (dot = strchr(field, '.')); field = dot + 1) {
                _cleanup_(freep) char *key = memdup0(field, (size_t) (dot - field));
                json_t *next;

                if (!key) {
                        json_decref(value);
                        return -ENOMEM;
                }
                next = json_object_get(object, key);
                if (!json_is_object(next)) {
                        next = json_object();
                        if (json_set(object, key, next) < 0) {
                                json_decref(value);
                                return -ENOMEM;
                        }
                }
                object = next;
        }
        return json_set(object, field, value);
}

static json_t *body_get(json_t *body, const char *field) {
        json_t *object = body;

        for (const char *dot; (dot = strchr(field, '.')); field = dot + 1) {
                char key[64];

                if ((size_t) (dot - field) >= sizeof(key))
                        return NULL;
                memcpy(key, field, (size_t) (dot - field));
                key[dot - field] = 0;
                object = json_object_get(object, key);
        }
        return json_object_get(object, field);
}

/* Appends to the array at field, which the first value of an option starts anew. */
static int add_to_list(json_t *body, const char *field, bool first, json_t *value) {
        int r;

        if (first) {
                r = body_set(body, field, json_array());
                if (r < 0) {
                        json_decref(value);
                        return r;
                }
        }
        return json_append(body_get(body, field), value);
}

static int read_secret(Cli *c, const char *path, json_t **ret) {
        _cleanup_(erase_and_freep) char *secret = NULL;
        size_t n;
        int r;

        assert(c);

        r = read_file(AT_FDCWD, path, SECRET_MAX, &secret, &n);
        if (r < 0)
                return failure_set(&c->failure, r, "SECRET_FILE", "The secret in '%s' cannot be read: %m",
                                   path);
        while (n > 0 && (secret[n - 1] == '\n' || secret[n - 1] == '\r'))
                secret[--n] = 0;
        *ret = json_stringn(secret, n);
        return *ret ? 0 :
                      failure_set(&c->failure, -EINVAL, "SECRET_FILE", "The secret in '%s' is no text.",
                                  path);
}

/* KEY=VALUE into the object at field; KEY=FILE for secrets. */
static int add_pair(Cli *c, json_t *body, const Given *given, bool first) {
        const Option *option = given->option;
        const char *equals = strchr(given->value, '=');
        _cleanup_(freep) char *key = NULL;
        json_t *value = NULL;
        int r;

        assert(c);

        if (!equals || equals == given->value)
                return failure_set(&c->failure, -EINVAL, "USAGE", "--%s takes %s, not '%s'.", option->name,
                                   option->argument, given->value);
        if (first) {
                r = body_set(body, option->field, json_object());
                if (r < 0)
                        return r;
        }
        key = memdup0(given->value, (size_t) (equals - given->value));
        if (!key)
                return -ENOMEM;
        if (option->kind == OPTION_SECRETS) {
                r = read_secret(c, equals + 1, &value);
                if (r < 0)
                        return r;
        } else
                value = json_string(equals + 1);
        return json_set(body_get(body, option->field), key, value);
}

static int add_number(Cli *c, json_t *body, const Given *given) {
        uint64_t n;

        if (parse_u64(given->value, 0, INT64_MAX, &n) < 0)
                return failure_set(&c->failure, -EINVAL, "USAGE", "--%s is a number, not '%s'.",
                                   given->option->name, given->value);
        return body_set(body, given->option->field, json_from_u64(n));
}

static int add_found(Cli *c, json_t *body, const Given *given, bool first) {
        bool node = given->option->kind == OPTION_NODE;
        uint64_t id;
        int r;

        r = cli_find(c, node ? "nodes" : "targets", given->value, &id);
        if (r < 0)
                return r;
        return node ? body_set(body, given->option->field, json_from_u64(id)) :
                      add_to_list(body, given->option->field, first, json_from_u64(id));
}

static int add_option(Cli *c, json_t *body, const Given *given, bool first) {
        const char *field = given->option->field;

        switch (given->option->kind) {
        case OPTION_SWITCH:
                return body_set(body, field, json_true());
        case OPTION_CLEARED:
                return body_set(body, field, json_null());
        case OPTION_EMPTIED:
                return body_set(body, field, json_object());
        case OPTION_NEGATED:
                return body_set(body, field, json_false());
        case OPTION_STRING:
                return body_set(body, field, json_string(given->value));
        case OPTION_NUMBER:
                return add_number(c, body, given);
        case OPTION_LIST:
                if (isempty(given->value)) /* none of them */
                        return body_set(body, field, json_array());
                return add_to_list(body, field, first, json_string(given->value));
        case OPTION_PATHS:
                return add_to_list(body, field, first, json_from_path(given->value));
        case OPTION_PATH:
                return body_set(body, field, json_from_path(given->value));
        case OPTION_NODE:
        case OPTION_TARGETS:
                return add_found(c, body, given, first);
        case OPTION_PAIRS:
        case OPTION_SECRETS:
                return add_pair(c, body, given, first);
        }
        return -EINVAL;
}

static bool is_first(const Arguments *a, size_t i) {
        for (size_t j = 0; j < i; j++)
                if (a->given[j].option == a->given[i].option)
                        return false;
        return true;
}

int body_from_options(Cli *c, const Arguments *a, json_t *body) {
        int r;

        assert(c);
        assert(a);
        assert(body);

        for (size_t i = 0; i < a->n_given; i++) {
                if (!a->given[i].option->field)
                        continue;
                r = add_option(c, body, a->given + i, is_first(a, i));
                if (r < 0)
                        return failure_set(&c->failure, r, "USAGE", "--%s cannot be used: %m",
                                           a->given[i].option->name);
        }
        return 0;
}

int body_copy(const json_t *object, const char *const *fields, json_t *body) {
        assert(fields);
        assert(body);

        for (; *fields; fields++) {
                json_t *value = json_object_get(object, *fields);

                if (value && json_object_set_new(body, *fields, json_deep_copy(value)) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* What a server is reached by: naming one way takes the others away. */
static void drop_other_ways(json_t *merged, const json_t *part) {
        static const char *const ways[][6] = {
                { "host", "socket", "key", NULL },
                { "socket", "host", "port", "key", NULL },
                { "key", "host", "port", "instance", "user", NULL },
                { "port", "instance", NULL },
                { "instance", "port", NULL },
        };

        assert(merged);

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                if (!json_object_get(part, ways[i][0]))
                        continue;
                for (const char *const *gone = ways[i] + 1; *gone; gone++)
                        if (!json_object_get(part, *gone))
                                (void) json_object_del(merged, *gone);
        }
}

int body_merge(const json_t *current, json_t *body) {
        const char *key;
        json_t *part;
        void *next;

        assert(body);

        json_object_foreach_safe(body, next, key, part) {
                const json_t *now = json_object_get(current, key);
                _cleanup_json_ json_t *merged = NULL;
                int r;

                if (!json_is_object(part) || !json_is_object(now))
                        continue;
                r = body_merge(now, part);
                if (r < 0)
                        return r;
                merged = json_deep_copy(now);
                if (!merged || json_object_update(merged, part) < 0)
                        return -ENOMEM;
                if (streq(key, "server"))
                        drop_other_ways(merged, part);
                if (json_object_set(body, key, merged) < 0)
                        return -ENOMEM;
        }
        return 0;
}
