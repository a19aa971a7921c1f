#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Strings and lists of strings. */

#include <stdarg.h>

#include "base/macros.h"

#define streq(a, b) (strcmp((a), (b)) == 0)

static inline bool streq_ptr(const char *a, const char *b) {
        return (!a && !b) || (a && b && streq(a, b));
}

static inline bool isempty(const char *s) {
        return !s || s[0] == 0;
}

static inline const char *strempty(const char *s) {
        return s ? s : "";
}

/* The rest of s behind prefix, or NULL. */
static inline const char *startswith(const char *s, const char *prefix) {
        size_t n = strlen(prefix);

        return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

bool endswith(const char *s, const char *suffix);

/* *ret becomes an allocated text; 0, or -ENOMEM and it stays what it was. */
int asprintf_safe(char **ret, const char *format, ...) _printf_(2, 3) _warn_unused_;
int vasprintf_safe(char **ret, const char *format, va_list ap) _printf_(2, 0) _warn_unused_;

/* Replaces *p, which is freed, by a copy of s (NULL is a copy of NULL). */
int free_and_strdup(char **p, const char *s) _warn_unused_;

/* Compares in time that depends on n alone. */
bool equal_constant_time(const void *a, const void *b, size_t n);

/* NULL-terminated arrays of allocated strings; NULL is the empty one. */
char **strv_free(char **l);
size_t strv_length(char *const *l);
bool strv_contains(char *const *l, const char *s);
/* Appends a copy of s. */
int strv_extend(char ***l, const char *s) _warn_unused_;

#define STRV_FOREACH(s, l) for (char *const *s = (l); s && *s; s++)

static inline void strv_freep(char ***l) {
        *l = strv_free(*l);
}

/* Whether the n bytes at s are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms); NUL counts
 * as text. */
bool utf8_is_valid(const char *s, size_t n);
