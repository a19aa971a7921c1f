/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"
#include "sys/config.h"
#include "sys/log.h"

static int one(const ConfigValue *value, const char **ret, Failure *failure) {
        assert(value);

        if (value->is_list || value->n != 1)
                return failure_set(failure, -EINVAL, "CONFIG_INVALID", "one value is expected, not a list");
        *ret = value->items[0];
        return 0;
}

int config_parse_string(const ConfigValue *value, void *field, Failure *reterr_failure) {
        const char *s = NULL;
        int r;

        assert(field);

        r = one(value, &s, reterr_failure);
        if (r < 0)
                return r;
        return free_and_strdup(field, isempty(s) ? NULL : s);
}

/* Appends the parts of a list in a variable. */
static int split(char ***list, const char *s) {
        while (*s) {
                _cleanup_(freep) char *part = NULL;
                size_t n = strcspn(s, ":");
                int r;

                if (n > 0) {
                        part = memdup0(s, n);
                        if (!part)
                                return -ENOMEM;
                        r = strv_extend(list, part);
                        if (r < 0)
                                return r;
                }
                s += n + (s[n] == ':');
        }
        return 0;
}

int config_parse_strv(const ConfigValue *value, void *field, Failure *reterr_failure) {
        _cleanup_(strv_freep) char **list = NULL;
        char ***target = ASSERT_PTR(field);
        int r = 0;

        assert(value);

        for (size_t i = 0; i < value->n && r >= 0; i++) {
                if (value->from_environment)
                        r = split(&list, value->items[i]);
                else if (!isempty(value->items[i]))
                        r = strv_extend(&list, value->items[i]);
        }
        if (r < 0)
                return r;
        strv_free(*target);
        *target = TAKE_PTR(list);
        return 0;
}

/* What a parser of one text gave, and what it would have liked to see. */
static int checked(int r, const char *s, const char *expected, Failure *failure) {
        return r < 0 ? failure_set(failure, r, "CONFIG_INVALID", "'%s' is not %s", s, expected) : 0;
}

int config_parse_boolean(const ConfigValue *value, void *field, Failure *reterr_failure) {
        const char *s = NULL;
        int r;

        assert(field);

        r = one(value, &s, reterr_failure);
        return r < 0 ? r : checked(parse_boolean(s, field), s, "yes or no", reterr_failure);
}

int config_parse_u32(const ConfigValue *value, void *field, Failure *reterr_failure) {
        const char *s = NULL;
        int r;

        assert(field);

        r = one(value, &s, reterr_failure);
        return r < 0 ? r :
                       checked(parse_u32(s, 0, UINT32_MAX, field), s, "a whole number of 32 bits",
                               reterr_failure);
}

int config_parse_size(const ConfigValue *value, void *field, Failure *reterr_failure) {
        const char *s = NULL;
        int r;

        assert(field);

        r = one(value, &s, reterr_failure);
        return r < 0 ? r :
                       checked(parse_size(s, field), s, "a size: digits with K, M, G or T are expected",
                               reterr_failure);
}

int config_parse_span(const ConfigValue *value, void *field, Failure *reterr_failure) {
        const char *s = NULL;
        int r;

        assert(field);

        r = one(value, &s, reterr_failure);
        return r < 0 ? r :
                       checked(parse_span(s, field), s,
                               "a time span: digits with ms, s, min, h or d are expected", reterr_failure);
}

int config_parse_log_level(const ConfigValue *value, void *field, Failure *reterr_failure) {
        int *level = ASSERT_PTR(field);
        const char *s = NULL;
        int r;

        r = one(value, &s, reterr_failure);
        if (r < 0)
                return r;
        r = log_level_from_string(s);
        if (r >= 0)
                *level = r;
        return checked(r, s, "a log level: emerg, alert, crit, err, warning, notice, info or debug",
                       reterr_failure);
}

static int check_absolute(const char *s, Failure *failure) {
        if (s[0] != '/')
                return failure_set(failure, -EINVAL, "CONFIG_INVALID", "'%s' is not an absolute path", s);
        return 0;
}

int config_parse_path(const ConfigValue *value, void *field, Failure *reterr_failure) {
        const char *s = NULL;
        int r;

        assert(field);

        r = one(value, &s, reterr_failure);
        if (r < 0)
                return r;
        if (!isempty(s)) {
                r = check_absolute(s, reterr_failure);
                if (r < 0)
                        return r;
        }
        return free_and_strdup(field, isempty(s) ? NULL : s);
}

int config_parse_paths(const ConfigValue *value, void *field, Failure *reterr_failure) {
        _cleanup_(strv_freep) char **list = NULL;
        char ***target = ASSERT_PTR(field);
        int r;

        r = config_parse_strv(value, &list, reterr_failure);
        if (r < 0)
                return r;
        STRV_FOREACH(s, list) {
                r = check_absolute(*s, reterr_failure);
                if (r < 0)
                        return r;
        }
        strv_free(*target);
        *target = TAKE_PTR(list);
        return 0;
}
