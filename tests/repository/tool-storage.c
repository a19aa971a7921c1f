/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "tests/repository/tool-storage.h"
#include "wire/json.h"

#define FILE_MAX (64U << 10)

static json_t *load(const char *where) {
        _cleanup_(freep) char *text = NULL;
        json_t *o = NULL;
        size_t n;

        if (where[0] != '@')
                return json_pack("{s:s, s:{s:s}}", "type", "local", "config", "path", where);
        if (read_file(AT_FDCWD, where + 1, FILE_MAX, &text, &n) < 0 ||
            json_parse_strict(text, n, JSON_DEPTH_DEFAULT, &o, NULL) < 0) {
                fprintf(stderr, "%s cannot be read\n", where);
                exit(2);
        }
        return o;
}

int tool_storage_open(const char *where, uint64_t id, const atomic_bool *cancel, Storage **ret,
                      Failure *reterr_failure) {
        _cleanup_json_ json_t *o = load(where);
        StorageConfig c = {
                .id = id,
                .name = where,
                .type = json_string_value(json_object_get(o, "type")),
                .config = json_object_get(o, "config"),
                .secrets = json_object_get(o, "secrets"),
                .cancel = cancel,
                .retry = (usec_t) json_integer_value(json_object_get(o, "retry_ms")) * USEC_PER_MSEC,
                .patience = (usec_t) json_integer_value(json_object_get(o, "patience_ms")) * USEC_PER_MSEC,
        };

        return storage_open(&c, ret, reterr_failure);
}
