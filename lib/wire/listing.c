/* SPDX-License-Identifier: Apache-2.0 */

/* Answers of probes. */

#include "base/text.h"
#include "wire/path.h"
#include "wire/result.h"

static const char *const entry_type_table[_ENTRY_TYPE_MAX] = {
        [ENTRY_FILE] = "file",
        [ENTRY_DIRECTORY] = "directory",
        [ENTRY_SYMLINK] = "symlink",
        [ENTRY_HARDLINK] = "hardlink",
        [ENTRY_FIFO] = "fifo",
        [ENTRY_CHARACTER] = "character",
        [ENTRY_BLOCK] = "block",
};

DEFINE_STRING_TABLE(entry_type, EntryType);

json_t *listing_entry_build(const ListingEntry *e) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        assert(e);

        r = json_set(json, "name", json_from_path(strempty(e->name)));
        if (r >= 0)
                r = json_set(json, "path", json_from_path(strempty(e->path)));
        if (r >= 0)
                r = json_set(json, "type", json_from_string(entry_type_to_string(e->type)));
        if (r >= 0)
                r = json_set(json, "size", json_from_u64(e->size));
        if (r >= 0)
                r = json_set(json, "mtime", json_from_time(e->mtime));
        if (r >= 0)
                r = json_set(json, "mode", json_integer(e->mode));
        if (r >= 0)
                r = json_set(json, "uid", json_integer(e->uid));
        if (r >= 0)
                r = json_set(json, "gid", json_integer(e->gid));
        if (r >= 0)
                r = json_set(json, "user", json_from_path(strempty(e->user)));
        if (r >= 0)
                r = json_set(json, "group", json_from_path(strempty(e->group)));
        if (r >= 0)
                r = json_set(json, "target", json_from_path(e->target));
        return r < 0 ? NULL : TAKE_PTR(json);
}

int listing_build(json_t *entries, const char *next_cursor, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        assert(ret);

        r = json_set(json, "entries", entries);
        if (r >= 0)
                r = json_set(json, "next_cursor", json_from_string(next_cursor));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

int storage_usage_build(bool writable, uint64_t free_bytes, uint64_t total_bytes, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        assert(ret);

        r = json_set(json, "writable", json_boolean(writable));
        if (r >= 0)
                r = json_set(json, "free_bytes",
                             free_bytes == UINT64_MAX ? json_null() : json_from_u64(free_bytes));
        if (r >= 0)
                r = json_set(json, "total_bytes",
                             total_bytes == UINT64_MAX ? json_null() : json_from_u64(total_bytes));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}
