#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* JSON text of the listing, written by hand: a million lines a run are too many for a tree of objects each.
 */

#include "archive/entries.h"
#include "base/buffer.h"

/* A path or name in its JSON form: a string where it is UTF-8, else {"base64":"…"}. */
int listing_text_path(Buffer *out, const char *path) _warn_unused_;
/* One entry, its name being the last part of the path, with the newline. */
int listing_text_entry(Buffer *out, const Entry *e) _warn_unused_;

struct json_t;

/* The reverse of the first, for a value that was parsed; no limit but that of the frame. -EBADMSG. */
int listing_path_parse(const struct json_t *json, char **ret) _warn_unused_;
