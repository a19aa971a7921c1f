/* SPDX-License-Identifier: Apache-2.0 */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/exclude.h"

/* Parts of a pattern and names of a path are matched by the same method, once over bytes and once over
 * names: go forward, and on a mismatch go back to the last star and let it take one more. The last star is
 * enough, since whatever an earlier one could take, the last one can. So there is no exponential case. */

#define EVERY_SOURCE SIZE_MAX

typedef struct Rule {
        char **parts; /* between slashes; "**" stands for any number of names */
        size_t n_parts;
        size_t source; /* or EVERY_SOURCE */
        bool negate;
        bool directories;
        bool anchored; /* else it is one part that is compared with the last name */
        const char *problem;
} Rule;

struct Excludes {
        Rule *rules;
        size_t n_rules;
        const char *problem; /* of the pattern that was refused */
};

/* --- One name against one part ------------------------------------------------------------------------ */

/* An item of a class: the characters from low to high, or those that is() takes. */
typedef struct ClassItem {
        uint8_t low, high;
        int (*is)(int);
} ClassItem;

static ClassItem named_item(const char *name, size_t n) {
        static const struct {
                const char *name;
                int (*is)(int);
        } classes[] = {
                { "alnum", isalnum },
                { "alpha", isalpha },
                { "blank", isblank },
                { "cntrl", iscntrl },
                { "digit", isdigit },
                { "graph", isgraph },
                { "lower", islower },
                { "print", isprint },
                { "punct", ispunct },
                { "space", isspace },
                { "upper", isupper },
                { "xdigit", isxdigit },
        };

        for (size_t i = 0; i < ELEMENTSOF(classes); i++)
                if (strlen(classes[i].name) == n && memcmp(classes[i].name, name, n) == 0)
                        return (ClassItem){ .is = classes[i].is };
        return (ClassItem){ .low = 1, .high = 0 }; /* an unknown name stands for nothing */
}

static bool item_has(const ClassItem *item, uint8_t c) {
        return item->is ? c < 0x80 && item->is(c) : item->low <= c && c <= item->high;
}

static bool item_is_empty(const ClassItem *item) {
        return !item->is && item->low > item->high;
}

/* One item of a class at p: a character, a range or [:name:]. Gives the end of the item, or NULL where the
 * class is not closed. */
static const char *item_parse(const char *p, ClassItem *ret) {
        if (p[0] == '[' && p[1] == ':') {
                const char *end = strstr(p + 2, ":]");

                if (end) {
                        *ret = named_item(p + 2, (size_t) (end - p) - 2);
                        return end + 2;
                }
        }
        if (*p == '\\')
                p++;
        if (*p == 0)
                return NULL;
        *ret = (ClassItem){ .low = (uint8_t) *p, .high = (uint8_t) *p };
        p++;
        if (p[0] == '-' && p[1] != ']' && p[1] != 0) {
                p++;
                if (*p == '\\')
                        p++;
                if (*p == 0)
                        return NULL;
                ret->high = (uint8_t) *p++;
        }
        return p;
}

/* The class whose '[' is at p - 1: whether c is in it, and whether nothing at all is. Gives the place behind
 * its ']', or NULL where it is not closed. */
static const char *class_parse(const char *p, uint8_t c, bool *ret_in, bool *ret_empty) {
        bool negate = *p == '!' || *p == '^', in = false, empty = !negate;

        p += negate;
        do {
                ClassItem item;

                p = item_parse(p, &item);
                if (!p || *p == 0)
                        return NULL;
                in |= item_has(&item, c);
                empty &= item_is_empty(&item);
        } while (*p != ']');
        *ret_in = in != negate;
        *ret_empty = empty;
        return p + 1;
}

/* Whether the pattern's next element takes c; gives the place behind the element, or NULL. */
static const char *element_match(const char *p, uint8_t c) {
        bool in = false, empty;

        if (*p == '?')
                return p + 1;
        if (*p == '[') {
                p = class_parse(p + 1, c, &in, &empty);
                return in ? p : NULL;
        }
        if (*p == '\\')
                p++;
        return *p != 0 && (uint8_t) *p == c ? p + 1 : NULL;
}

static bool part_match(const char *pattern, const char *name, size_t n) {
        const char *star = NULL, *end = name + n, *retry = NULL;

        while (name < end) {
                const char *next;

                if (*pattern == '*') {
                        star = ++pattern;
                        retry = name;
                        continue;
                }
                next = element_match(pattern, (uint8_t) *name);
                if (next) {
                        pattern = next;
                        name++;
                } else if (star) {
                        pattern = star;
                        name = ++retry;
                } else
                        return false;
        }
        while (*pattern == '*')
                pattern++;
        return *pattern == 0;
}

/* --- A path against a rule ---------------------------------------------------------------------------- */

static size_t name_length(const char *path) {
        return strcspn(path, "/");
}

static const char *name_next(const char *path) {
        path += name_length(path);
        return *path == '/' ? path + 1 : path;
}

static bool any_names(const char *part) {
        return streq(part, "**");
}

static bool rule_match(const Rule *rule, const char *path) {
        size_t part = 0, star = SIZE_MAX;
        const char *retry = NULL;

        assert(rule);

        if (!rule->anchored) {
                const char *last = strrchr(path, '/');

                last = last ? last + 1 : path;
                return part_match(rule->parts[0], last, strlen(last));
        }
        while (*path) {
                bool last = part + 1 == rule->n_parts;

                if (part < rule->n_parts && any_names(rule->parts[part])) {
                        /* At the end it takes whatever is below, at least one name. */
                        if (last)
                                return true;
                        star = ++part;
                        retry = path;
                } else if (part < rule->n_parts && part_match(rule->parts[part], path, name_length(path))) {
                        part++;
                        path = name_next(path);
                } else if (star != SIZE_MAX) {
                        part = star;
                        path = retry = name_next(retry);
                } else
                        return false;
        }
        return part == rule->n_parts;
}

bool excludes_match(const Excludes *e, size_t source, const char *path, bool is_directory) {
        assert(e);
        assert(path);

        for (size_t i = e->n_rules; i-- > 0;) {
                const Rule *rule = &e->rules[i];

                if (rule->directories && !is_directory)
                        continue;
                if (rule->source != EVERY_SOURCE && rule->source != source)
                        continue;
                if (rule_match(rule, path))
                        return !rule->negate;
        }
        return false;
}

/* --- From text to rules ------------------------------------------------------------------------------- */

static void rule_done(Rule *rule) {
        for (size_t i = 0; i < rule->n_parts; i++)
                free(rule->parts[i]);
        free(rule->parts);
}

Excludes *excludes_free(Excludes *e) {
        if (!e)
                return NULL;
        for (size_t i = 0; i < e->n_rules; i++)
                rule_done(&e->rules[i]);
        free(e->rules);
        return mfree(e);
}

/* Why a part cannot match anything; NULL: it can. */
static const char *part_problem(const char *p) {
        bool in, empty;

        if (streq(p, ".") || streq(p, ".."))
                return "'.' and '..' are no names of files";
        while (*p) {
                if (*p == '\\') {
                        if (p[1] == 0)
                                return "a '\\' is at the end of a name";
                        p += 2;
                } else if (*p == '[') {
                        p = class_parse(p + 1, 'a', &in, &empty);
                        if (!p)
                                return "a '[' is not closed";
                        if (empty)
                                return "no character is in its class";
                } else
                        p++;
        }
        return NULL;
}

/* Takes spaces off the end that no '\' protects. */
static void trim_end(char *s) {
        size_t n = strlen(s);

        while (n > 0 && s[n - 1] == ' ' && !(n > 1 && s[n - 2] == '\\'))
                s[--n] = 0;
}

/* The next slash that separates, where "\/" is one, too; its '\' is dropped. NULL: none. */
static char *slash_find(char *p) {
        for (; *p; p++) {
                if (p[0] == '\\' && p[1] == '/') {
                        memmove(p, p + 1, strlen(p));
                        return p;
                }
                if (*p == '/')
                        return p;
                if (p[0] == '\\' && p[1] != 0)
                        p++;
        }
        return NULL;
}

static int part_add(Rule *rule, const char *part, size_t n) {
        char **grown, *copy;

        assert(rule);

        copy = memdup0(part, n);
        grown = copy ? reallocarray(rule->parts, rule->n_parts + 1, sizeof *grown) : NULL;
        if (!grown) {
                free(copy);
                return -ENOMEM;
        }
        rule->parts = grown;
        rule->parts[rule->n_parts++] = copy;
        rule->problem = part_problem(copy);
        return rule->problem ? -EINVAL : 0;
}

/* Splits text, which is changed. No parts: the pattern is of nothing ("/", "!"). */
static int rule_split(Rule *rule, char *text) {
        bool slashes = false;
        int r;

        assert(rule);

        for (char *p = text;;) {
                char *slash = slash_find(p);
                size_t n = slash ? (size_t) (slash - p) : strlen(p);

                if (n > 0) {
                        r = part_add(rule, p, n);
                        if (r < 0)
                                return r;
                }
                if (!slash)
                        break;
                p = slash + 1;
                if (*p == 0)
                        rule->directories = true;
                else
                        slashes = true;
        }
        rule->anchored = slashes;
        return 0;
}

static int rule_add(Excludes *e, const char *text, size_t source, bool anchored, bool negate) {
        _cleanup_(rule_done) Rule rule = { .source = source, .negate = negate };
        _cleanup_(freep) char *copy = NULL;
        Rule *grown;
        int r;

        assert(e);

        copy = memdup0(text, strlen(text));
        if (!copy)
                return -ENOMEM;
        r = rule_split(&rule, copy);
        e->problem = rule.problem;
        if (r < 0)
                return r;
        if (rule.n_parts == 0)
                return 0;
        rule.anchored |= anchored;
        grown = reallocarray(e->rules, e->n_rules + 1, sizeof *grown);
        if (!grown)
                return -ENOMEM;
        e->rules = grown;
        e->rules[e->n_rules++] = rule;
        rule = (Rule){};
        return 0;
}

/* The rest of text behind the source's path and '/', or NULL. */
static const char *below_source(const char *text, const char *source) {
        const char *rest = startswith(text, source);

        if (!rest)
                return NULL;
        if (endswith(source, "/"))
                return rest;
        return *rest == '/' ? rest + 1 : NULL;
}

static int pattern_add(Excludes *e, const char *pattern, char *const *sources) {
        _cleanup_(freep) char *copy = NULL;
        bool negate, absolute = false;
        const char *text;
        int r;

        copy = memdup0(pattern, strlen(pattern));
        if (!copy)
                return -ENOMEM;
        trim_end(copy);
        if (copy[0] == '#')
                return 0;
        negate = copy[0] == '!';
        text = copy + negate;
        for (size_t i = 0; sources && sources[i]; i++)
                absolute |= below_source(text, sources[i]) != NULL;
        if (!absolute)
                return rule_add(e, text, EVERY_SOURCE, text[0] == '/', negate);
        for (size_t i = 0; sources[i]; i++) {
                const char *rest = below_source(text, sources[i]);

                r = rule_add(e, rest ? rest : text, i, /* anchored= */ true, negate);
                if (r < 0)
                        return r;
        }
        return 0;
}

int exclude_check(const char *pattern, const char **ret_reason) {
        _cleanup_(excludes_freep) Excludes *e = NULL;
        int r;

        assert(pattern);
        assert(ret_reason);

        e = new0(Excludes, 1);
        if (!e)
                return -ENOMEM;
        r = pattern_add(e, pattern, /* sources= */ NULL);
        if (r == 0 && e->n_rules == 0 && pattern[0] != '#') {
                r = -EINVAL;
                e->problem = "it has no name in it";
        }
        if (r == -EINVAL)
                *ret_reason = e->problem;
        return r;
}

int excludes_new(char *const *patterns, char *const *sources, Excludes **ret, Failure *reterr_failure) {
        _cleanup_(excludes_freep) Excludes *e = NULL;

        assert(ret);

        if (strv_length(patterns) > EXCLUDES_MAX)
                return failure_set(reterr_failure, -E2BIG, "EXCLUDES_TOO_MANY", "More than %d excludes.",
                                   EXCLUDES_MAX);
        e = new0(Excludes, 1);
        if (!e)
                return -ENOMEM;
        STRV_FOREACH(p, patterns) {
                int r;

                if (strlen(*p) > EXCLUDE_LENGTH_MAX)
                        return failure_set(reterr_failure, -E2BIG, "EXCLUDE_INVALID",
                                           "An exclude is longer than %d bytes.", EXCLUDE_LENGTH_MAX);
                r = pattern_add(e, *p, sources);
                if (r == -EINVAL)
                        return failure_set(
                                        reterr_failure, r, "EXCLUDE_INVALID",
                                        "The exclude '%s' cannot match anything: %s.", *p, e->problem);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(e);
        return 0;
}
