/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "repository/go-text.h"
#include "repository/snapshot.h"
#include "wire/json.h"

#define DEPTH_MAX 8
#define VERSION_MAX 256

typedef struct Count {
        const char *key;
        size_t offset;
} Count;

#define COUNT(name) \
        { #name, offsetof(SnapshotSummary, name) }

/* In restic's order, behind the two times. */
static const Count counts[] = {
        COUNT(files_new),
        COUNT(files_changed),
        COUNT(files_unmodified),
        COUNT(dirs_new),
        COUNT(dirs_changed),
        COUNT(dirs_unmodified),
        COUNT(data_blobs),
        COUNT(tree_blobs),
        COUNT(data_added),
        COUNT(data_added_packed),
        COUNT(total_files_processed),
        COUNT(total_bytes_processed),
};

void snapshot_done(Snapshot *s) {
        assert(s);

        strv_free(s->paths);
        free(s->hostname);
        free(s->username);
        strv_free(s->excludes);
        strv_free(s->tags);
        free(s->program_version);
        *s = SNAPSHOT_NULL;
}

static int read_moment(JsonReader *r, const char *key, JsonPresence presence, Moment *ret) {
        const char *text = NULL;
        int k;

        k = json_reader_string(r, key, presence, MOMENT_TEXT_MAX, &text);
        if (k <= 0)
                return k;
        if (moment_parse(text, strlen(text), ret) < 0)
                return json_reader_fail(r, key, "has to be a time like 2026-11-22T22:15:01Z");
        return 1;
}

static bool read_id(JsonReader *r, const char *key, JsonPresence presence, Id *ret) {
        const char *text = NULL;

        if (json_reader_string(r, key, presence, ID_HEX_LENGTH, &text) <= 0)
                return false;
        if (id_from_hex(text, strlen(text), ret) < 0) {
                (void) json_reader_fail(r, key, "has to be %d hexadecimal digits", (int) ID_HEX_LENGTH);
                return false;
        }
        return true;
}

/* Files of other versions of restic may have them otherwise: what is no count is none. */
static void read_summary(JsonReader *r, Snapshot *s) {
        JsonReader summary;

        assert(s);

        if (json_reader_object(r, "summary", JSON_OPTIONAL, &summary) <= 0)
                return;
        s->has_summary = true;
        (void) read_moment(&summary, "backup_start", JSON_OPTIONAL, &s->summary.backup_start);
        (void) read_moment(&summary, "backup_end", JSON_OPTIONAL, &s->summary.backup_end);
        for (size_t i = 0; i < ELEMENTSOF(counts); i++)
                (void) json_reader_u64(&summary, counts[i].key, JSON_OPTIONAL, UINT64_MAX,
                                       (uint64_t *) ((char *) &s->summary + counts[i].offset));
}

static int read_fields(const json_t *json, Snapshot *s, Failure *why) {
        JsonReader r;

        assert(s);

        (void) json_reader_init(&r, json, why);
        (void) read_moment(&r, "time", JSON_REQUIRED, &s->time);
        s->has_parent = read_id(&r, "parent", JSON_OPTIONAL, &s->parent);
        (void) read_id(&r, "tree", JSON_REQUIRED, &s->tree);
        (void) json_reader_strv(&r, "paths", JSON_OPTIONAL, SNAPSHOT_ITEMS_MAX, SNAPSHOT_TEXT_MAX,
                                &s->paths);
        (void) json_reader_strdup(&r, "hostname", JSON_OPTIONAL, SNAPSHOT_TEXT_MAX, &s->hostname);
        (void) json_reader_strdup(&r, "username", JSON_OPTIONAL, SNAPSHOT_TEXT_MAX, &s->username);
        (void) json_reader_u32(&r, "uid", JSON_OPTIONAL, UINT32_MAX, &s->uid);
        (void) json_reader_u32(&r, "gid", JSON_OPTIONAL, UINT32_MAX, &s->gid);
        (void) json_reader_strv(&r, "excludes", JSON_OPTIONAL, SNAPSHOT_ITEMS_MAX, SNAPSHOT_TEXT_MAX,
                                &s->excludes);
        (void) json_reader_strv(&r, "tags", JSON_OPTIONAL, SNAPSHOT_ITEMS_MAX, SNAPSHOT_TEXT_MAX, &s->tags);
        s->has_original = read_id(&r, "original", JSON_OPTIONAL, &s->original);
        (void) json_reader_strdup(&r, "program_version", JSON_OPTIONAL, VERSION_MAX, &s->program_version);
        read_summary(&r, s);
        return json_reader_finish_lenient(&r);
}

int snapshot_parse(const void *data, size_t n, Snapshot *ret, Failure *reterr_failure) {
        _cleanup_(snapshot_done) Snapshot s = SNAPSHOT_NULL;
        _cleanup_failure_ Failure why = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;
        int r;

        assert(data || n == 0);
        assert(ret);

        r = n > SNAPSHOT_SIZE_MAX ? -EBADMSG : json_parse_strict(data, n, DEPTH_MAX, &json, &why);
        if (r >= 0)
                r = read_fields(json, &s, &why);
        if (r == -EBADMSG)
                return failure_set(reterr_failure, r, "SNAPSHOT_DAMAGED", "The snapshot is damaged: %s",
                                   failure_message(&why, r));
        if (r < 0)
                return r;
        *ret = s;
        s = SNAPSHOT_NULL;
        return 0;
}

static int add_text(Buffer *out, const char *key, const char *value) {
        int r;

        if (isempty(value))
                return 0;
        r = buffer_printf(out, ",\"%s\":", key);
        return r < 0 ? r : go_text_add_json(out, value);
}

static int add_number(Buffer *out, const char *key, uint64_t value) {
        return value == 0 ? 0 : buffer_printf(out, ",\"%s\":%" PRIu64, key, value);
}

static int add_id(Buffer *out, const char *key, bool there, const Id *id) {
        char hex[ID_HEX_SIZE];

        return there ? buffer_printf(out, ",\"%s\":\"%s\"", key, id_to_hex(id, hex)) : 0;
}

/* required: an empty list is null, as Go has it; else it is left out. */
static int add_list(Buffer *out, const char *key, bool required, char *const *list) {
        bool first = true;
        int r;

        if (strv_length(list) == 0)
                return required ? buffer_printf(out, ",\"%s\":null", key) : 0;
        r = buffer_printf(out, ",\"%s\":[", key);
        STRV_FOREACH(s, list) {
                if (r >= 0 && !first)
                        r = buffer_add_string(out, ",");
                if (r >= 0)
                        r = go_text_add_json(out, *s);
                first = false;
        }
        return r < 0 ? r : buffer_add_string(out, "]");
}

static int add_summary(Buffer *out, const Snapshot *s) {
        char start[MOMENT_TEXT_MAX], end[MOMENT_TEXT_MAX];
        int r;

        assert(s);

        if (!s->has_summary)
                return 0;
        r = buffer_printf(out, ",\"summary\":{\"backup_start\":\"%s\",\"backup_end\":\"%s\"",
                          moment_format(&s->summary.backup_start, start),
                          moment_format(&s->summary.backup_end, end));
        for (size_t i = 0; i < ELEMENTSOF(counts) && r >= 0; i++)
                r = buffer_printf(out, ",\"%s\":%" PRIu64, counts[i].key,
                                  *(const uint64_t *) ((const char *) &s->summary + counts[i].offset));
        return r < 0 ? r : buffer_add_string(out, "}");
}

int snapshot_format(const Snapshot *s, char **ret, size_t *ret_size) {
        _cleanup_buffer_ Buffer out = BUFFER_LIMITED(SNAPSHOT_SIZE_MAX);
        char time[MOMENT_TEXT_MAX];
        int r;

        assert(s);
        assert(ret);
        assert(ret_size);

        r = buffer_printf(&out, "{\"time\":\"%s\"", moment_format(&s->time, time));
        if (r >= 0)
                r = add_id(&out, "parent", s->has_parent, &s->parent);
        if (r >= 0)
                r = add_id(&out, "tree", true, &s->tree);
        if (r >= 0)
                r = add_list(&out, "paths", true, s->paths);
        if (r >= 0)
                r = add_text(&out, "hostname", s->hostname);
        if (r >= 0)
                r = add_text(&out, "username", s->username);
        if (r >= 0)
                r = add_number(&out, "uid", s->uid);
        if (r >= 0)
                r = add_number(&out, "gid", s->gid);
        if (r >= 0)
                r = add_list(&out, "excludes", false, s->excludes);
        if (r >= 0)
                r = add_list(&out, "tags", false, s->tags);
        if (r >= 0)
                r = add_id(&out, "original", s->has_original, &s->original);
        if (r >= 0)
                r = add_text(&out, "program_version", s->program_version);
        if (r >= 0)
                r = add_summary(&out, s);
        if (r >= 0)
                r = buffer_add_string(&out, "}");
        if (r < 0)
                return r;
        *ret_size = out.size;
        *ret = buffer_take(&out);
        return *ret ? 0 : -ENOMEM;
}
