/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/retention.h"

typedef struct Rule {
        const char *key;
        size_t offset;
} Rule;

static const Rule rules[] = {
        { "last", offsetof(Retention, last) },
        { "hourly", offsetof(Retention, hourly) },
        { "daily", offsetof(Retention, daily) },
        { "weekly", offsetof(Retention, weekly) },
        { "monthly", offsetof(Retention, monthly) },
        { "yearly", offsetof(Retention, yearly) },
};

static uint32_t *number_of(Retention *r, const Rule *rule) {
        return (uint32_t *) (void *) ((char *) r + rule->offset);
}

bool retention_is_empty(const Retention *r) {
        Retention copy = *r;

        for (size_t i = 0; i < ELEMENTSOF(rules); i++)
                if (*number_of(&copy, rules + i) > 0)
                        return false;
        return isempty(r->within);
}

/* Numbers from 1 and their units, each once and in this order. */
static bool span_is_valid(const char *s) {
        const char *units = "ymdh";

        assert(s);

        while (*s) {
                uint32_t n = 0;
                const char *unit;
                size_t digits = strspn(s, "0123456789");

                if (digits == 0 || digits > STRLEN("100000"))
                        return false;
                for (size_t i = 0; i < digits; i++)
                        n = n * 10 + (uint32_t) (s[i] - '0');
                unit = s[digits] ? strchr(units, s[digits]) : NULL;
                if (n == 0 || n > RETENTION_NUMBER_MAX || !unit)
                        return false;
                units = unit + 1;
                s += digits + 1;
        }
        return true;
}

static void read_within(JsonReader *r, Retention *ret) {
        const char *within = NULL;

        if (json_reader_string(r, "within", JSON_OPTIONAL, RETENTION_SPAN_MAX, &within) <= 0)
                return;
        if (!span_is_valid(within))
                (void) json_reader_fail(r, "within",
                                        "is not a span as 30d or 2y5m7d3h: numbers from 1 to %d, each with "
                                        "its unit, years first",
                                        RETENTION_NUMBER_MAX);
        else
                (void) snprintf(ret->within, sizeof(ret->within), "%s", within);
}

int retention_read(JsonReader *reader, const char *key, Retention *ret) {
        Retention found = RETENTION_NULL;
        JsonReader r;
        int k;

        assert(reader);
        assert(ret);

        k = json_reader_object(reader, key, JSON_OPTIONAL, &r);
        if (k <= 0)
                return k;
        for (size_t i = 0; i < ELEMENTSOF(rules); i++)
                (void) json_reader_u32(&r, rules[i].key, JSON_OPTIONAL, RETENTION_NUMBER_MAX,
                                       number_of(&found, rules + i));
        read_within(&r, &found);
        k = json_reader_finish(&r);
        if (k < 0)
                return k;
        if (retention_is_empty(&found))
                return json_reader_fail(reader, key, "has to have a rule that keeps something");
        *ret = found;
        return 1;
}

int retention_build(const Retention *r, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        Retention copy = *r;
        int k = json ? 0 : -ENOMEM;

        assert(ret);

        for (size_t i = 0; i < ELEMENTSOF(rules) && k >= 0; i++)
                if (*number_of(&copy, rules + i) > 0)
                        k = json_set(json, rules[i].key, json_from_u64(*number_of(&copy, rules + i)));
        if (k >= 0 && !isempty(r->within))
                k = json_set(json, "within", json_string(r->within));
        if (k < 0)
                return k;
        *ret = TAKE_PTR(json);
        return 0;
}
