#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What every file uses: attributes, cleanup, small arithmetic. Nothing here allocates or logs. */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _warn_unused_ __attribute__((warn_unused_result))
#define _unused_ __attribute__((unused))
#define _noreturn_ __attribute__((noreturn))
#define _fallthrough_ __attribute__((fallthrough))
#define _pure_ __attribute__((pure))

#define ELEMENTSOF(x) (sizeof(x) / sizeof((x)[0]))
#define STRLEN(literal) (sizeof("" literal "") - 1)
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define CLAMP(x, low, high) MIN(MAX(x, low), high)
#define CONTAINER_OF(ptr, type, member) ((type *) ((char *) (ptr) -offsetof(type, member)))

/* For callbacks: the userdata that we registered ourselves is never NULL. */
#define ASSERT_PTR(p) \
        ({ \
                __typeof__(p) _assert_ptr = (p); \
                assert(_assert_ptr); \
                _assert_ptr; \
        })

/* Hands over what a cleanup variable owns. */
#define TAKE_PTR(p) \
        ({ \
                __typeof__(p) _taken = (p); \
                (p) = NULL; \
                _taken; \
        })
#define TAKE_FD(fd) \
        ({ \
                int _taken_fd = (fd); \
                (fd) = -EBADF; \
                _taken_fd; \
        })

/* Defines func##p for _cleanup_(): calls func on the variable when it is not NULL. */
#define DEFINE_CLEANUP(type, func) \
        static inline void func##p(type *p) { \
                if (*p) \
                        (void) func(*p); \
        } \
        struct _swallow_semicolon_

/* The text forms of an enum: name_to_string() gives NULL and name_from_string() gives the invalid value
 * (which is a negative errno) for what is not in the table. */
#define DECLARE_STRING_TABLE(name, type) \
        const char *name##_to_string(type v); \
        type name##_from_string(const char *s)

#define DEFINE_STRING_TABLE(name, type) \
        const char *name##_to_string(type v) { \
                if ((int) v < 0 || (size_t) v >= ELEMENTSOF(name##_table)) \
                        return NULL; \
                return name##_table[v]; \
        } \
        type name##_from_string(const char *s) { \
                for (size_t i = 0; s && i < ELEMENTSOF(name##_table); i++) \
                        if (name##_table[i] && strcmp(name##_table[i], s) == 0) \
                                return (type) i; \
                return (type) -22; /* -EINVAL */ \
        } \
        struct _swallow_semicolon_
