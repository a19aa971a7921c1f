/* SPDX-License-Identifier: Apache-2.0 */

/* The form of a document is checked here, with the lines of what is wrong; what a value means is the
 * business of the parsers in the table. */

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <yaml.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "sys/config.h"
#include "sys/log.h"

#define VALUES_MAX 256 /* items of one list */

typedef struct Document {
        const ConfigArgs *args;
        const char *name; /* for messages */
        Failure *failure;
        yaml_parser_t yaml;
        yaml_event_t event; /* the current one */
        uint64_t seen;      /* bits of args->items */
} Document;

static void document_done(Document *d) {
        yaml_event_delete(&d->event);
        yaml_parser_delete(&d->yaml);
}

_printf_(3, 4) static int fail_at(Document *d, size_t line, const char *format, ...) {
        _cleanup_(freep) char *text = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf_safe(&text, format, ap);
        va_end(ap);
        if (r < 0)
                return r;
        return failure_set(d->failure, -EINVAL, "CONFIG_INVALID", "%s:%zu: %s", d->name, line + 1, text);
}

/* Moves to the next event. */
static int advance(Document *d) {
        assert(d);

        yaml_event_delete(&d->event);
        d->event = (yaml_event_t){};
        if (!yaml_parser_parse(&d->yaml, &d->event)) {
                if (d->yaml.error == YAML_MEMORY_ERROR)
                        return -ENOMEM;
                return fail_at(d, d->yaml.problem_mark.line, "not valid YAML: %s",
                               d->yaml.problem ? d->yaml.problem : "cannot be read");
        }
        if (d->event.type == YAML_ALIAS_EVENT)
                return fail_at(d, d->event.start_mark.line, "aliases (*name) are not supported");
        return 0;
}

static const char *scalar(const Document *d) {
        return (const char *) d->event.data.scalar.value;
}

/* A plain nothing, as in "relay:" with all its keys commented out. */
static bool is_empty_scalar(const Document *d) {
        return d->event.type == YAML_SCALAR_EVENT && d->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                        (d->event.data.scalar.length == 0 || streq(scalar(d), "~") ||
                         streq(scalar(d), "null"));
}

/* A copy of the current scalar. */
static int take_scalar(Document *d, char **ret) {
        if (d->event.type != YAML_SCALAR_EVENT)
                return fail_at(d, d->event.start_mark.line, "a plain value is expected here");
        if (strlen(scalar(d)) != d->event.data.scalar.length)
                return fail_at(d, d->event.start_mark.line, "a NUL character cannot be part of a value");
        *ret = strdup(scalar(d));
        return *ret ? 0 : -ENOMEM;
}

static int read_list(Document *d, char ***ret) {
        _cleanup_(strv_freep) char **list = NULL;
        int r;

        assert(d);

        for (;;) {
                _cleanup_(freep) char *item = NULL;

                r = advance(d);
                if (r < 0)
                        return r;
                if (d->event.type == YAML_SEQUENCE_END_EVENT)
                        break;
                r = take_scalar(d, &item);
                if (r < 0)
                        return r;
                if (strv_length(list) >= VALUES_MAX)
                        return fail_at(d, d->event.start_mark.line, "more than %d items", VALUES_MAX);
                r = strv_extend(&list, item);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(list);
        return 0;
}

static const ConfigItem *find_item(const ConfigArgs *args, const char *section, const char *key) {
        for (size_t i = 0; i < args->n_items; i++)
                if (streq_ptr(args->items[i].section, section) && streq(args->items[i].key, key))
                        return &args->items[i];
        return NULL;
}

static bool has_section(const ConfigArgs *args, const char *section) {
        for (size_t i = 0; i < args->n_items; i++)
                if (streq_ptr(args->items[i].section, section))
                        return true;
        return false;
}

static int store_value(const ConfigArgs *args, const ConfigItem *item, const ConfigValue *value,
                       Failure *failure) {
        return item->parse(value, (char *) args->target + item->offset, failure);
}

/* Reads over the current event and all that is in it. */
static int skip_value(Document *d) {
        unsigned depth = 0;

        assert(d);

        for (;;) {
                int r;

                if (d->event.type == YAML_MAPPING_START_EVENT || d->event.type == YAML_SEQUENCE_START_EVENT)
                        depth++;
                else if (d->event.type == YAML_MAPPING_END_EVENT || d->event.type == YAML_SEQUENCE_END_EVENT)
                        depth--;
                if (depth == 0)
                        return 0;
                r = advance(d);
                if (r < 0)
                        return r;
        }
}

/* The current event is the value of key. */
static int read_value(Document *d, const char *section, const char *key, size_t line) {
        _cleanup_(strv_freep) char **list = NULL;
        _cleanup_failure_ Failure reason = FAILURE_NULL;
        ConfigValue value = {};
        const ConfigItem *item;
        uint64_t bit;
        int r;

        assert(d);

        item = find_item(d->args, section, key);
        if (!item && d->args->shared)
                return skip_value(d);
        if (!item)
                return fail_at(d, line, "unknown key '%s%s%s'", strempty(section), section ? "." : "", key);
        bit = UINT64_C(1) << (item - d->args->items);
        if (d->seen & bit)
                return fail_at(d, line, "'%s%s%s' is set twice", strempty(section), section ? "." : "", key);
        d->seen |= bit;

        if (d->event.type == YAML_SEQUENCE_START_EVENT) {
                value.is_list = true;
                r = read_list(d, &list);
        } else {
                _cleanup_(freep) char *text = NULL;

                r = take_scalar(d, &text);
                if (r >= 0)
                        r = strv_extend(&list, text);
        }
        if (r < 0)
                return r;
        value.items = (const char *const *) list;
        value.n = strv_length(list);
        r = store_value(d->args, item, &value, &reason);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return fail_at(d, line, "%s%s%s: %s", strempty(section), section ? "." : "", key,
                               failure_message(&reason, r));
        return 0;
}

/* Within a mapping: reads the next key and moves to its value. 0: the mapping ended. */
static int next_key(Document *d, char **ret, size_t *ret_line) {
        _cleanup_(freep) char *key = NULL;
        int r;

        assert(d);

        r = advance(d);
        if (r < 0)
                return r;
        if (d->event.type == YAML_MAPPING_END_EVENT)
                return 0;
        *ret_line = d->event.start_mark.line;
        r = take_scalar(d, &key);
        if (r < 0)
                return r;
        r = advance(d);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(key);
        return 1;
}

static int read_keys(Document *d, const char *section) {
        for (;;) {
                _cleanup_(freep) char *key = NULL;
                size_t line;
                int r;

                r = next_key(d, &key, &line);
                if (r <= 0)
                        return r;
                r = read_value(d, section, key, line);
                if (r < 0)
                        return r;
        }
}

/* A key whose value is a mapping may be a section of its own, "server.tls"; there is no third level. */
static int read_section(Document *d, const char *section) {
        assert(d);

        for (;;) {
                _cleanup_(freep) char *key = NULL, *inner = NULL;
                size_t line;
                int r;

                r = next_key(d, &key, &line);
                if (r <= 0)
                        return r;
                r = asprintf_safe(&inner, "%s.%s", section, key);
                if (r < 0)
                        return r;
                if (d->event.type == YAML_MAPPING_START_EVENT && has_section(d->args, inner))
                        r = read_keys(d, inner);
                else if (d->args->shared || !has_section(d->args, inner) ||
                         find_item(d->args, section, key))
                        r = read_value(d, section, key, line);
                else if (!is_empty_scalar(d))
                        r = fail_at(d, line, "'%s' is a section, keys are expected below it", inner);
                if (r < 0)
                        return r;
        }
}

static int read_top(Document *d) {
        assert(d);

        for (;;) {
                _cleanup_(freep) char *key = NULL;
                size_t line;
                int r;

                r = next_key(d, &key, &line);
                if (r <= 0)
                        return r;
                if (has_section(d->args, key)) {
                        if (d->event.type == YAML_MAPPING_START_EVENT)
                                r = read_section(d, key);
                        else if (!is_empty_scalar(d))
                                r = fail_at(d, line, "'%s' is a section, keys are expected below it", key);
                } else if (d->event.type == YAML_MAPPING_START_EVENT)
                        r = d->args->shared ? skip_value(d) : fail_at(d, line, "unknown section '%s'", key);
                else
                        r = read_value(d, NULL, key, line);
                if (r < 0)
                        return r;
        }
}

static int read_document(Document *d) {
        int r;

        assert(d);

        r = advance(d); /* start of stream */
        if (r < 0)
                return r;
        r = advance(d);
        if (r < 0 || d->event.type == YAML_STREAM_END_EVENT)
                return r;
        r = advance(d); /* what the document holds */
        if (r < 0)
                return r;
        if (d->event.type == YAML_MAPPING_START_EVENT)
                r = read_top(d);
        else if (!is_empty_scalar(d))
                r = fail_at(d, d->event.start_mark.line, "sections are expected at the top");
        if (r < 0)
                return r;
        r = advance(d); /* end of document */
        if (r < 0)
                return r;
        r = advance(d);
        if (r < 0)
                return r;
        if (d->event.type != YAML_STREAM_END_EVENT)
                return fail_at(d, d->event.start_mark.line, "only one document is allowed in a file");
        return 0;
}

int config_parse(const ConfigArgs *args, const char *name, const char *data, size_t n,
                 Failure *reterr_failure) {
        _cleanup_(document_done) Document d = { .args = args, .name = name, .failure = reterr_failure };

        assert(args);
        assert(args->n_items <= CONFIG_ITEMS_MAX);
        assert(name);
        assert(data || n == 0);

        if (!yaml_parser_initialize(&d.yaml))
                return -ENOMEM;
        yaml_parser_set_encoding(&d.yaml, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&d.yaml, (const unsigned char *) (data ? data : ""), n);
        return read_document(&d);
}

static int load_file(const ConfigArgs *args, const char *path, bool required, Failure *failure) {
        _cleanup_(freep) char *data = NULL;
        size_t n;
        int r;

        r = read_file(AT_FDCWD, path, CONFIG_FILE_MAX, &data, &n);
        if (r == -ENOENT && !required)
                return 0;
        if (r < 0)
                return failure_set(failure, r, "CONFIG_UNREADABLE", "Cannot read configuration %s: %m",
                                   path);
        return config_parse(args, path, data, n, failure);
}

static int is_drop_in(const struct dirent *entry) {
        return entry->d_name[0] != '.' && endswith(entry->d_name, ".yaml");
}

static int load_drop_ins(const ConfigArgs *args, Failure *failure) {
        _cleanup_(freep) char *folder = NULL;
        struct dirent **entries = NULL;
        int n, r;

        assert(args);

        r = asprintf_safe(&folder, "%s.d", args->path);
        if (r < 0)
                return r;
        n = scandir(folder, &entries, is_drop_in, alphasort);
        if (n < 0 && errno == ENOENT)
                return 0;
        if (n < 0)
                return failure_set(failure, -errno, "CONFIG_UNREADABLE",
                                   "Cannot read configuration folder %s: %m", folder);
        for (int i = 0; i < n; i++) {
                _cleanup_(freep) char *path = NULL;

                if (r >= 0)
                        r = asprintf_safe(&path, "%s/%s", folder, entries[i]->d_name);
                if (r >= 0)
                        r = load_file(args, path, /* required= */ true, failure);
                free(entries[i]);
        }
        free(entries);
        return r;
}

/* BACKUPX + relay + directories: BACKUPX_RELAY_DIRECTORIES; a dot of a section becomes _, too. */
static int variable_name(const char *prefix, const ConfigItem *item, char **ret) {
        int r;

        assert(item);

        r = asprintf_safe(ret, "%s_%s%s%s", prefix, strempty(item->section), item->section ? "_" : "",
                          item->key);
        if (r < 0)
                return r;
        for (char *p = *ret; *p; p++)
                *p = (char) (strchr("-.", *p) ? '_' : toupper((unsigned char) *p));
        return 0;
}

static int load_environment(const ConfigArgs *args, Failure *failure) {
        assert(args);

        for (size_t i = 0; i < args->n_items; i++) {
                _cleanup_failure_ Failure reason = FAILURE_NULL;
                _cleanup_(freep) char *name = NULL;
                const char *text;
                int r;

                r = variable_name(args->environment, &args->items[i], &name);
                if (r < 0)
                        return r;
                text = getenv(name);
                if (!text)
                        continue;
                r = store_value(args, &args->items[i],
                                &(const ConfigValue){ .items = (const char *const[]){ text, NULL },
                                                      .n = 1,
                                                      .from_environment = true },
                                &reason);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        return failure_set(failure, r, "CONFIG_INVALID", "Environment variable %s: %s", name,
                                           failure_message(&reason, r));
        }
        return 0;
}

int config_load(const ConfigArgs *args, Failure *reterr_failure) {
        int r;

        assert(args);
        assert(args->items);
        assert(args->n_items <= CONFIG_ITEMS_MAX);
        assert(args->target);

        if (args->path) {
                r = load_file(args, args->path, args->required, reterr_failure);
                if (r < 0)
                        return r;
                r = load_drop_ins(args, reterr_failure);
                if (r < 0)
                        return r;
        }
        return args->environment ? load_environment(args, reterr_failure) : 0;
}

int config_apply_log_level(const char *path, Failure *reterr_failure) {
        static const ConfigItem items[] = {
                { "log", "level", config_parse_log_level, 0 },
        };
        int level = -1, r;
        const ConfigArgs args = {
                .items = items,
                .n_items = ELEMENTSOF(items),
                .environment = "BACKUPX",
                .path = path ? path : CONFIG_MASTER_PATH,
                .required = path,
                .shared = true,
                .target = &level,
        };

        r = config_load(&args, reterr_failure);
        if (r < 0)
                return r;
        if (level >= 0)
                log_set_max_level(level);
        return 0;
}
