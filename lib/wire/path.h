#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* File names are bytes, JSON is Unicode. A path or name is a JSON string where it is valid UTF-8, else the
 * object {"base64":"…"} of its bytes. So nearly every path reads well, and none is lost or changed. */

#include "wire/json.h"

#define WIRE_PATH_MAX 4096 /* PATH_MAX of Linux: what a system call takes */
#define WIRE_NAME_MAX 255

/* New reference; NULL when out of memory. */
json_t *json_from_path(const char *path);
/* -EINVAL: neither of the two forms, empty, or with a NUL in it; -ENAMETOOLONG: over WIRE_PATH_MAX. */
int json_to_path(const json_t *json, char **ret) _warn_unused_;

json_t *json_from_paths(char *const *paths);

int json_reader_path(JsonReader *r, const char *key, JsonPresence presence, char **ret);
/* An array of paths. */
int json_reader_paths(JsonReader *r, const char *key, JsonPresence presence, size_t max_items, char ***ret);

/* For logs and terminals: bytes that are no UTF-8 and control characters become \xHH, a backslash \\. */
int path_display(const char *path, char **ret) _warn_unused_;

/* Whether path starts with '/' and has no empty, "." or ".." part; "/" is one. */
bool path_is_normalized_absolute(const char *path);
