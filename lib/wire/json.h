#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Strict JSON, and a reader that checks every field by name. The one includer of jansson; others include
 * this header. */

#include <jansson.h>

#include "base/failure.h"
#include "base/macros.h"
#include "base/times.h"

#define _cleanup_json_ _cleanup_(json_decrefp)

/* Deeper documents are refused. Bodies of clients have less: what they hold (the configuration of a target)
 * is part of our own messages later, up to eight levels down. */
#define JSON_DEPTH_DEFAULT 16
#define JSON_DEPTH_BODY 8

/* Takes exactly one value in UTF-8: no duplicate names, nothing behind it, no NUL, no nesting beyond depth.
 * -EBADMSG with code JSON_INVALID and the place in the message. */
int json_parse_strict(const void *data, size_t n, size_t depth, json_t **ret, Failure *reterr_failure)
                _warn_unused_;
/* The same of a string, no deeper than JSON_DEPTH_DEFAULT. NULL is "", which is no value. */
int json_parse_text(const char *text, json_t **ret, Failure *reterr_failure) _warn_unused_;

/* Compact text; allocated, NUL-terminated. ret_size may be NULL. -EINVAL: holds what JSON cannot. */
int json_format(const json_t *json, char **ret, size_t *ret_size) _warn_unused_;

/* Sets object[key], taking over value even on failure; NULL for value is -ENOMEM, so that constructors nest.
 */
int json_set(json_t *object, const char *key, json_t *value) _warn_unused_;
/* The same at the end of an array. */
int json_append(json_t *array, json_t *value) _warn_unused_;

/* A time as RFC 3339, USEC_INFINITY as null. New reference, NULL when out of memory. */
json_t *json_from_time(usec_t t);
/* A string that may be NULL: then null. */
json_t *json_from_string(const char *s);
json_t *json_from_strv(char *const *l);
json_t *json_from_u64(uint64_t v);

/* --- Reading ----------------------------------------------------------------------------------------- */

/* Walks one object. Getters give 1 when the field was there, 0 when it was absent or null (outputs stay as
 * they are), or -EBADMSG with a Failure that names the field with its full path ("source.paths[3]"). The
 * first error sticks: later getters of this reader and of its parents give it again and do nothing, so a
 * codec is a list of getters whose results may be ignored and one json_reader_finish(). */
#define JSON_READER_FIELDS_MAX 40 /* more fields than any object of ours has */

typedef struct JsonReader {
        const json_t *object;
        struct JsonReader *parent; /* weak */
        const char *key;           /* in the parent; NULL at the top */
        size_t index;              /* in the parent's array; SIZE_MAX: not an element */
        Failure *failure;
        int error;
        size_t n_seen;
        const char *seen[JSON_READER_FIELDS_MAX];
} JsonReader;

typedef enum JsonPresence {
        JSON_OPTIONAL,
        JSON_REQUIRED,
} JsonPresence;

/* Starts at the top; anything but an object is an error that the getters give. */
int json_reader_init(JsonReader *r, const json_t *object, Failure *reterr_failure);
/* A reader of the object in field key; 0 (and a reader of nothing) when absent. */
int json_reader_object(JsonReader *r, const char *key, JsonPresence presence, JsonReader *ret);
/* A reader of element index, which is an object, of the array in field key. */
int json_reader_element(JsonReader *r, const char *key, size_t index, const json_t *element,
                        JsonReader *ret);

/* Names are literals or outlive the reader. Borrowed outputs live as long as the document. */
int json_reader_string(JsonReader *r, const char *key, JsonPresence presence, size_t max, const char **ret);
/* A copy; replaces and frees what *ret was. Empty strings are refused where presence is JSON_REQUIRED. */
int json_reader_strdup(JsonReader *r, const char *key, JsonPresence presence, size_t max, char **ret);
int json_reader_u64(JsonReader *r, const char *key, JsonPresence presence, uint64_t max, uint64_t *ret);
int json_reader_u32(JsonReader *r, const char *key, JsonPresence presence, uint32_t max, uint32_t *ret);
int json_reader_bool(JsonReader *r, const char *key, JsonPresence presence, bool *ret);
int json_reader_time(JsonReader *r, const char *key, JsonPresence presence, usec_t *ret);
/* Any value, borrowed; null counts as absent. */
int json_reader_value(JsonReader *r, const char *key, JsonPresence presence, const json_t **ret);
int json_reader_array(JsonReader *r, const char *key, JsonPresence presence, size_t max, const json_t **ret);
/* Strings, each of 1 … max_length bytes. */
int json_reader_strv(JsonReader *r, const char *key, JsonPresence presence, size_t max_items,
                     size_t max_length, char ***ret);
/* An array of objects as an array of structs. */
typedef struct JsonRows {
        size_t max;  /* elements */
        size_t size; /* of the struct */
        void (*read)(JsonReader *row, void *item);
} JsonRows;

/* *ret (a pointer to the array's pointer) is allocated, and each struct is read from one element; absent or
 * empty: it stays NULL. After an error it is there, too, and zero where nothing was read: the caller lets go
 * of it as ever. */
int json_reader_rows(JsonReader *r, const char *key, JsonPresence presence, const JsonRows *rows, void *ret,
                     size_t *ret_n);
/* 2 n hexadecimal digits. */
int json_reader_hex(JsonReader *r, const char *key, JsonPresence presence, void *ret, size_t n);
/* The value of a string table: lookup gives a negative errno for an unknown text. */
typedef int (*JsonLookup)(const char *text);
int json_reader_enum(JsonReader *r, const char *key, JsonPresence presence, JsonLookup lookup, int *ret);

/* Makes field key (NULL: the object itself) the one that failed; for checks beyond those above. */
int json_reader_fail(JsonReader *r, const char *key, const char *format, ...) _printf_(3, 4);
/* The same with a code of its own, for programs that act on it. */
int json_reader_fail_code(JsonReader *r, const char *code, const char *key, const char *format, ...)
                _printf_(4, 5);
/* The same for one element of an array. */
int json_reader_fail_item(JsonReader *r, const char *key, size_t index, const char *format, ...)
                _printf_(4, 5);

/* Ends the walk: 0, the error that stuck, or code FIELD_UNKNOWN for a field that no getter asked for. */
int json_reader_finish(JsonReader *r) _warn_unused_;
/* The same, but unknown fields are fine: for what agents of another version send. */
int json_reader_finish_lenient(JsonReader *r) _warn_unused_;
