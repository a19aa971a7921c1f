#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Reads the fields of a target's configuration, which the master has checked and whose bytes are a
 * stranger's all the same. A field is named as people know it, "config.bucket" or "secrets.key". */

#include "storage/backend.h"

typedef struct Fields {
        const Storage *storage;
        const json_t *config, *secrets;
        Failure *failure;
} Fields;

/* Says that the field is wrong; gives -EINVAL. */
int fields_bad(const Fields *c, const char *field, const char *why);
/* A copy of a text; *ret stays where there is none. It holds nothing that would end a header. */
int fields_text(const Fields *c, const char *field, char **ret) _warn_unused_;
int fields_number(const Fields *c, const char *field, uint64_t least, uint64_t most, uint64_t *ret)
                _warn_unused_;
/* config.volume_size, in bytes; *ret stays where there is none. */
int fields_volume_size(const Fields *c, uint64_t *ret) _warn_unused_;
/* config.prefix, "" or with '/' at its end. */
int fields_prefix(const Fields *c, char **ret) _warn_unused_;
/* "https://host:port/" as scheme and host; a port that is the scheme's own is left out, as curl does. more:
 * characters that may stand in it beside those of a host. */
int fields_endpoint(const Fields *c, const char *endpoint, const char *more, const char **ret_scheme,
                    char **ret_host) _warn_unused_;
/* Letters, digits and some more. */
bool fields_is_made_of(const char *s, const char *more, size_t most);
