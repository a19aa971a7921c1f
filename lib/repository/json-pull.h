#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Strict JSON (RFC 8259) read piece by piece, in memory that does not depend on the size of the document:
 * for indexes and trees, which may be larger than what we hold. The caller says what comes next; anything
 * else is -EBADMSG, and the first error sticks. Duplicate names are for the caller to refuse. Text is UTF-8
 * without surrogates or NUL. */

#include <sys/types.h>

#include "base/macros.h"

/* Gives up to n bytes, 0 at the end, or negative errno. */
typedef ssize_t (*JsonPullRead)(void *userdata, void *buf, size_t n);

typedef struct JsonPull JsonPull;

/* Deeper values are refused, also those that are skipped. */
#define JSON_PULL_DEPTH_MAX 16
/* A string or a name. */
#define JSON_PULL_STRING_MAX (1U << 20)

int json_pull_new(JsonPullRead read, void *userdata, JsonPull **ret) _warn_unused_;
/* Of a document in memory, which outlives it and is read where it is. */
int json_pull_new_text(const char *text, size_t n, JsonPull **ret) _warn_unused_;
JsonPull *json_pull_free(JsonPull *p);

typedef enum JsonPullType {
        JSON_PULL_OBJECT,
        JSON_PULL_ARRAY,
        JSON_PULL_STRING,
        JSON_PULL_NUMBER,
        JSON_PULL_BOOLEAN,
        JSON_PULL_NULL,
        _JSON_PULL_TYPE_MAX,
        _JSON_PULL_TYPE_INVALID = -22, /* -EINVAL */
} JsonPullType;

/* The type of the value that comes next, or negative errno. */
int json_pull_peek(JsonPull *p) _warn_unused_;

/* Goes into an object or array. */
int json_pull_enter_object(JsonPull *p) _warn_unused_;
int json_pull_enter_array(JsonPull *p) _warn_unused_;
/* 1: the name of the next member, NUL-terminated, valid until the next call; its value comes next. 0: the
 * object ended. */
int json_pull_member(JsonPull *p, const char **ret) _warn_unused_;
/* 1: an element comes next. 0: the array ended. */
int json_pull_element(JsonPull *p) _warn_unused_;

/* Text that is valid until the next call, NUL-terminated; without a NUL in it. */
int json_pull_string(JsonPull *p, const char **ret, size_t *ret_n) _warn_unused_;
/* Whole numbers from 0 to max. */
int json_pull_u64(JsonPull *p, uint64_t max, uint64_t *ret) _warn_unused_;
/* Reads over any value. */
int json_pull_skip(JsonPull *p) _warn_unused_;
/* Only white space is left. */
int json_pull_end(JsonPull *p) _warn_unused_;
/* From here on the text is kept as it is, until json_pull_kept() gives it, which is valid until the next
 * call of json_pull_keep(). -EFBIG: it is more than JSON_PULL_STRING_MAX. */
void json_pull_keep(JsonPull *p);
int json_pull_kept(JsonPull *p, const char **ret, size_t *ret_n) _warn_unused_;
/* Bytes taken so far, for messages. */
uint64_t json_pull_offset(const JsonPull *p);

/* A source of bytes in memory, with json_pull_memory() as its function. */
typedef struct JsonPullMemory {
        const char *data;
        size_t n;
} JsonPullMemory;

ssize_t json_pull_memory(void *userdata, void *buf, size_t n);

DEFINE_CLEANUP(JsonPull *, json_pull_free);
