/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "backint/parameters.h"
#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"
#include "crypto/age.h"
#include "storage/storage.h"

#define LEVEL_MAX 19
/* The longest path, and more recipients than a file may have. */
#define VALUE_MAX (16U << 10)

/* Each gives NULL, or what is wrong with the value. Out of memory is wrong as well. */
typedef const char *(*ParameterSetter)(BackintParameters *p, const char *value);

typedef struct Parameter {
        const char *key;
        ParameterSetter set;
} Parameter;

static const char no_memory[] = "does not fit into memory";

static const char *set_text(char **to, const char *value) {
        return free_and_strdup(to, value) < 0 ? no_memory : NULL;
}

static const char *set_path(char **to, const char *value) {
        return value[0] == '/' ? set_text(to, value) : "is not an absolute path";
}

static const char *set_storage_type(BackintParameters *p, const char *value) {
        /* That one needs a command of the master, and its token. */
        return streq(value, "relay") ? "cannot be reached from here: relay goes through the master" :
                                       set_text(&p->storage_type, value);
}

static const char *set_storage_config(BackintParameters *p, const char *value) {
        return set_path(&p->storage_config, value);
}

static const char *set_storage_config_json(BackintParameters *p, const char *value) {
        /* Files of this kind were often given under this name. */
        return value[0] == '/' ? set_path(&p->storage_config, value) :
                                 set_text(&p->storage_config_json, value);
}

static const char *set_storage_secrets(BackintParameters *p, const char *value) {
        return set_path(&p->storage_secrets, value);
}

static const char *set_key_prefix(BackintParameters *p, const char *value) {
        _cleanup_(freep) char *prefix = NULL;
        size_t n = strlen(value);

        if (n > 0 && value[n - 1] == '/')
                n--;
        prefix = memdup0(value, n);
        if (!prefix)
                return no_memory;
        if (n > 256 || !storage_key_is_valid(prefix))
                return "is no prefix of keys: names joined by '/', at most 256 bytes";
        free(p->key_prefix);
        p->key_prefix = NULL;
        return asprintf_safe(&p->key_prefix, "%s/", prefix) < 0 ? no_memory : NULL;
}

static const char *set_parallel(BackintParameters *p, const char *value) {
        return parse_u32(value, 1, BACKINT_PARALLEL_MAX, &p->parallel) < 0 ? "is no number from 1 to 32" :
                                                                             NULL;
}

static const char *set_compress(BackintParameters *p, const char *value) {
        return parse_boolean(value, &p->compress) < 0 ? "is neither true nor false" : NULL;
}

static const char *set_level(BackintParameters *p, const char *value) {
        uint32_t level;

        if (parse_u32(value, 1, LEVEL_MAX, &level) < 0)
                return "is no number from 1 to 19";
        p->level = (int) level;
        return NULL;
}

static const char *set_recipients(BackintParameters *p, const char *value) {
        _cleanup_(freep) char *copy = memdup0(value, strlen(value));
        char *state = NULL;

        if (!copy)
                return no_memory;
        for (char *word = strtok_r(copy, ", \t", &state); word; word = strtok_r(NULL, ", \t", &state)) {
                AgeRecipient recipient;

                if (strv_length(p->recipients) == AGE_RECIPIENTS_MAX)
                        return "has too many recipients";
                if (age_recipient_parse(word, &recipient) < 0)
                        return "is not a list of recipients as age-keygen prints them (age1…)";
                if (strv_extend(&p->recipients, word) < 0)
                        return no_memory;
        }
        return p->recipients ? NULL : "names no recipient";
}

static const char *set_identity_file(BackintParameters *p, const char *value) {
        return set_path(&p->identity_file, value);
}

static const char *set_catalog(BackintParameters *p, const char *value) {
        return set_path(&p->catalog, value);
}

static const char *set_log_file(BackintParameters *p, const char *value) {
        return set_path(&p->log_file, value);
}

static const char *set_time(usec_t *to, const char *value) {
        return parse_span(value, to) < 0 || *to == 0 || *to > USEC_PER_DAY ? "is no time from 1ms to 1d" :
                                                                             NULL;
}

static const char *set_pipe_timeout(BackintParameters *p, const char *value) {
        return set_time(&p->pipe_timeout, value);
}

static const char *set_end_timeout(BackintParameters *p, const char *value) {
        return set_time(&p->end_timeout, value);
}

static const Parameter parameters[] = {
        { "STORAGE_TYPE", set_storage_type },
        { "STORAGE_CONFIG", set_storage_config },
        { "STORAGE_CONFIG_JSON", set_storage_config_json },
        { "STORAGE_SECRETS", set_storage_secrets },
        { "KEY_PREFIX", set_key_prefix },
        { "PARALLEL_FACTOR", set_parallel },
        { "COMPRESS", set_compress },
        { "COMPRESSION_LEVEL", set_level },
        { "AGE_RECIPIENTS", set_recipients },
        { "AGE_IDENTITY_FILE", set_identity_file },
        { "CATALOG_DB", set_catalog },
        { "LOG_FILE", set_log_file },
        { "PIPE_TIMEOUT", set_pipe_timeout },
        { "END_TIMEOUT", set_end_timeout },
};

void backint_parameters_done(BackintParameters *p) {
        assert(p);

        free(p->storage_type);
        free(p->storage_config);
        free(p->storage_config_json);
        free(p->storage_secrets);
        free(p->key_prefix);
        strv_free(p->recipients);
        free(p->identity_file);
        free(p->catalog);
        free(p->log_file);
        *p = BACKINT_PARAMETERS_NULL;
}

typedef struct Reading {
        BackintParameters *parameters;
        bool seen[ELEMENTSOF(parameters)];
        const char *name;
        size_t line;
        Failure *failure;
} Reading;

/* The value is not told: it may be a secret in the wrong place. */
static int refuse(const Reading *r, const char *key, const char *why) {
        return failure_set(r->failure, -EINVAL, "BACKINT_PARAMETERS", "%s:%zu: %s %s", r->name, r->line, key,
                           why);
}

static int set(Reading *r, const char *key, const char *value) {
        for (size_t i = 0; i < ELEMENTSOF(parameters); i++) {
                const char *why;

                if (!streq(key, parameters[i].key))
                        continue;
                if (r->seen[i])
                        return refuse(r, key, "is there twice");
                r->seen[i] = true;
                why = isempty(value) ? "has no value" : parameters[i].set(r->parameters, value);
                if (why == no_memory)
                        return -ENOMEM;
                return why ? refuse(r, key, why) : 0;
        }
        return refuse(r, "This line", "has no parameter that is known here");
}

/* A copy of the n bytes without blanks around them. */
static char *trimmed(const char *p, size_t n) {
        while (n > 0 && (p[0] == ' ' || p[0] == '\t')) {
                p++;
                n--;
        }
        while (n > 0 && strchr(" \t\r", p[n - 1]))
                n--;
        return memdup0(p, n);
}

static int take_line(Reading *r, const char *line, size_t n) {
        _cleanup_(freep) char *text = trimmed(line, n), *key = NULL, *value = NULL;
        const char *equals, *from;

        if (!text)
                return -ENOMEM;
        if (text[0] == 0 || text[0] == ';' || (text[0] == '#' && strchr(" \t#", text[1])))
                return 0;
        if (n > VALUE_MAX || strlen(text) > VALUE_MAX || memchr(line, 0, n))
                return refuse(r, "This line", "is too long, or no text");
        from = text[0] == '#' ? text + 1 : text;
        equals = strchr(from, '=');
        if (!equals)
                return refuse(r, "This line", "is not of the form #KEY = VALUE");
        key = trimmed(from, (size_t) (equals - from));
        value = trimmed(equals + 1, strlen(equals + 1));
        if (!key || !value)
                return -ENOMEM;
        return set(r, key, value);
}

static int check(const Reading *r) {
        const BackintParameters *p = r->parameters;
        const char *why = NULL;

        if (!p->storage_type)
                why = "does not say STORAGE_TYPE";
        else if (p->storage_config && p->storage_config_json)
                why = "has STORAGE_CONFIG and STORAGE_CONFIG_JSON: one of them is enough";
        return why ? failure_set(r->failure, -EINVAL, "BACKINT_PARAMETERS", "%s %s", r->name, why) : 0;
}

int backint_parameters_parse(const char *name, const char *data, size_t n, BackintParameters *ret,
                             Failure *reterr_failure) {
        _cleanup_(backint_parameters_done) BackintParameters p = {
                .parallel = BACKINT_PARALLEL_DEFAULT,
                .compress = true,
                .level = BACKINT_LEVEL_DEFAULT,
                .pipe_timeout = BACKINT_PIPE_TIMEOUT_DEFAULT,
                .end_timeout = BACKINT_END_TIMEOUT_DEFAULT,
        };
        Reading reading = { .parameters = &p, .name = name, .failure = reterr_failure };
        int r;

        assert(name);
        assert(data || n == 0);
        assert(ret);

        r = free_and_strdup(&p.key_prefix, "");
        for (size_t at = 0; at < n && r >= 0;) {
                const char *end = memchr(data + at, '\n', n - at);
                size_t length = end ? (size_t) (end - (data + at)) : n - at;

                reading.line++;
                r = take_line(&reading, data + at, length);
                at += length + 1;
        }
        if (r >= 0)
                r = check(&reading);
        if (r < 0)
                return r;
        *ret = p;
        p = BACKINT_PARAMETERS_NULL;
        return 0;
}
