/* SPDX-License-Identifier: Apache-2.0 */

#include "base/text.h"
#include "wire/database.h"
#include "wire/path.h"

static const char *const source_type_table[_SOURCE_TYPE_MAX] = {
        [SOURCE_FILE] = "file",
        [SOURCE_SQLITE] = "sqlite",
};

DEFINE_STRING_TABLE(source_type, SourceType);

void database_source_done(DatabaseSource *s) {
        assert(s);

        strv_free(s->paths);
        *s = DATABASE_SOURCE_NULL;
}

static void check_patterns(JsonReader *r, char *const *patterns) {
        size_t i = 0;

        if (!patterns)
                (void) json_reader_fail(r, "paths", "has to name at least one database");
        STRV_FOREACH(pattern, patterns) {
                if (!path_is_normalized_absolute(*pattern))
                        (void) json_reader_fail_item(r, "paths", i,
                                                     "has to be an absolute path without '.' and '..'");
                else if (strstr(*pattern, "**"))
                        (void) json_reader_fail_item(r, "paths", i,
                                                     "has '**': a wildcard stays within one name");
                i++;
        }
}

int database_source_read(JsonReader *r, SourceType type, DatabaseSource *ret) {
        assert(r);
        assert(ret);

        switch (type) {
        case SOURCE_SQLITE:
                (void) json_reader_paths(r, "paths", JSON_REQUIRED, DATABASE_PATTERNS_MAX, &ret->paths);
                if (r->error >= 0)
                        check_patterns(r, ret->paths);
                break;
        case SOURCE_FILE:
        case _SOURCE_TYPE_MAX:
        case _SOURCE_TYPE_INVALID:
                return json_reader_fail(r, NULL, "is of no database");
        }
        return r->error;
}

int database_source_build(const DatabaseSource *s, SourceType type, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        assert(s);
        assert(type == SOURCE_SQLITE);
        assert(ret);

        r = json_set(json, "paths", json_from_paths(s->paths));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}
