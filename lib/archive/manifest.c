/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "archive/listing-text.h"
#include "archive/manifest.h"
#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "wire/path.h"

/* More than this many frames of listing would not fit MANIFEST_PLAIN_MAX anyway. */
#define FRAMES_MAX (1U << 20)
#define SOURCES_MAX 4096
#define TEXT_MAX 4096

static const char *const entries_frame_kind_table[_ENTRIES_FRAME_KIND_MAX] = {
        [ENTRIES_LIST] = "list",
        [ENTRIES_INDEX] = "index",
        [ENTRIES_TABLE] = "table",
};

DEFINE_STRING_TABLE(entries_frame_kind, EntriesFrameKind);

void manifest_done(Manifest *m) {
        assert(m);

        free(m->created_by);
        free(m->node);
        free(m->task);
        strv_free(m->sources);
        free(m->data.name);
        free(m->data.volumes);
        free(m->entries.name);
        free(m->entries.volumes);
        for (size_t i = 0; i < m->n_frames; i++)
                free(m->frames[i].last);
        free(m->frames);
        *m = MANIFEST_NULL;
}

/* --- Writing ------------------------------------------------------------------------------------------ */

static json_t *json_from_digest(const uint8_t digest[static SHA256_SIZE]) {
        char hex[SHA256_HEX_SIZE];

        return json_string(hex_encode(digest, SHA256_SIZE, hex));
}

/* {"id":…,"name":…} */
static json_t *json_from_reference(uint64_t id, const char *name) {
        json_t *o = json_object();

        if (json_set(o, "id", json_from_u64(id)) < 0 ||
            json_set(o, "name", json_from_path(strempty(name))) < 0) {
                json_decref(o);
                return NULL;
        }
        return o;
}

static int volume_build(const ManifestObject *object, size_t i, json_t *o) {
        const Volume *volume = &object->volumes[i];
        _cleanup_(freep) char *name = NULL;
        int r;

        r = volume_key(object->name, i, &name);
        if (r >= 0)
                r = json_set(o, "name", json_from_string(name));
        if (r >= 0)
                r = json_set(o, "size", json_from_u64(volume->size));
        if (r >= 0)
                r = json_set(o, "sha256", json_from_digest(volume->sha256));
        return r;
}

static int volumes_build(const ManifestObject *object, json_t **ret) {
        _cleanup_json_ json_t *array = json_array();
        int r = 0;

        for (size_t i = 0; i < object->n_volumes && r >= 0; i++) {
                json_t *o = json_object();

                r = json_append(array, o);
                if (r >= 0)
                        r = volume_build(object, i, o);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(array);
        return 0;
}

static int object_build(const ManifestObject *object, json_t **ret) {
        _cleanup_json_ json_t *o = json_object();
        json_t *volumes = NULL;
        int r;

        assert(object);

        r = json_set(o, "name", json_from_string(object->name));
        if (r >= 0)
                r = json_set(o, "size", json_from_u64(object->size));
        if (r >= 0)
                r = json_set(o, "sha256", json_from_digest(object->sha256));
        if (r >= 0 && object->n_volumes > 1)
                r = volumes_build(object, &volumes);
        if (r >= 0 && volumes)
                r = json_set(o, "volumes", volumes);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(o);
        return 0;
}

/* The frames of the listing are many: text, not a tree. */
static int frames_format(const Manifest *m, Buffer *out) {
        char hex[SHA256_HEX_SIZE];
        int r = 0;

        assert(m);

        for (size_t i = 0; r >= 0 && i < m->n_frames; i++) {
                const EntriesFrame *f = &m->frames[i];

                r = buffer_printf(out, "%s[\"%s\",%" PRIu32 ",%" PRIu32 ",\"%s\"", i == 0 ? "" : ",\n",
                                  entries_frame_kind_to_string(f->kind), f->frame.size, f->frame.plain_size,
                                  hex_encode(f->frame.sha256, SHA256_SIZE, hex));
                if (r >= 0 && f->kind == ENTRIES_INDEX) {
                        r = buffer_add(out, ",", 1);
                        if (r >= 0)
                                r = listing_text_path(out, f->last);
                }
                if (r >= 0 && f->kind == ENTRIES_TABLE)
                        r = buffer_printf(out, ",%" PRIu64 ",%" PRIu64 ",%" PRIu64, f->first, f->data_offset,
                                          f->data_plain_offset);
                if (r >= 0)
                        r = buffer_add(out, "]", 1);
        }
        return r;
}

static int counts_build(const Manifest *m, json_t **ret) {
        assert(m);

        const struct {
                const char *key;
                uint64_t value;
        } counts[] = {
                { "files", m->files },
                { "directories", m->directories },
                { "others", m->others },
                { "skipped", m->skipped },
                { "errors", m->errors },
                { "bytes", m->bytes },
        };
        _cleanup_json_ json_t *o = json_object();

        for (size_t i = 0; i < ELEMENTSOF(counts); i++) {
                int r = json_set(o, counts[i].key, json_from_u64(counts[i].value));

                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(o);
        return 0;
}

static int head_build(const Manifest *m, json_t *o) {
        bool cut = m->data.n_volumes > 1 || m->entries.n_volumes > 1;
        json_t *counts = NULL;
        int r;

        assert(m);

        r = json_set(o, "format", json_string("backupx-archive"));
        if (r >= 0)
                r = json_set(o, "version", json_from_u64(cut ? MANIFEST_VERSION_VOLUMES : MANIFEST_VERSION));
        if (r >= 0)
                r = json_set(o, "created_by", json_from_string(m->created_by));
        if (r >= 0)
                r = json_set(o, "encrypted", json_boolean(m->encrypted));
        if (r >= 0)
                r = json_set(o, "run", json_from_u64(m->run));
        if (r >= 0)
                r = json_set(o, "attempt", json_from_u64(m->attempt));
        if (r >= 0)
                r = json_set(o, "node", json_from_reference(m->node_id, m->node));
        if (r >= 0)
                r = json_set(o, "task", json_from_reference(m->task_id, m->task));
        if (r >= 0)
                r = json_set(o, "started", json_from_time(m->started));
        if (r >= 0)
                r = json_set(o, "finished", json_from_time(m->finished));
        if (r >= 0)
                r = json_set(o, "sources", json_from_paths(m->sources));
        if (r >= 0)
                r = counts_build(m, &counts);
        if (r >= 0)
                r = json_set(o, "counts", counts);
        return r;
}

/* Everything but the entries, which come last and as text. */
static int body_build(const Manifest *m, json_t **ret) {
        _cleanup_json_ json_t *o = json_object();
        json_t *plain = json_object(), *data = NULL;
        int r;

        assert(m);

        r = head_build(m, o);
        if (r >= 0)
                r = object_build(&m->data, &data);
        if (r >= 0)
                r = json_set(data, "stream_size", json_from_u64(m->data_size));
        if (r >= 0)
                r = json_set(data, "frames", json_from_u64(m->n_data_frames));
        if (r < 0) {
                json_decref(plain);
                json_decref(data);
                return r;
        }
        r = json_set(o, "data", data);
        if (r >= 0)
                r = json_set(plain, "size", json_from_u64(m->plain_size));
        if (r >= 0)
                r = json_set(plain, "sha256", json_from_digest(m->plain_sha256));
        if (r < 0) {
                json_decref(plain);
                return r;
        }
        r = json_set(o, "plain", plain);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(o);
        return 0;
}

int manifest_format(const Manifest *m, Buffer *out) {
        _cleanup_json_ json_t *body = NULL, *entries = NULL;
        _cleanup_(freep) char *head = NULL, *tail = NULL;
        size_t head_size = 0, tail_size = 0;
        int r;

        assert(m);
        assert(out);

        r = body_build(m, &body);
        if (r < 0)
                return r;
        r = object_build(&m->entries, &entries);
        if (r < 0)
                return r;
        r = json_format(body, &head, &head_size);
        if (r < 0)
                return r;
        r = json_format(entries, &tail, &tail_size);
        if (r < 0)
                return r;
        /* Without the closing brackets, which come behind the frames. */
        r = buffer_add(out, head, head_size - 1);
        if (r >= 0)
                r = buffer_add_string(out, ",\n\"entries\":");
        if (r >= 0)
                r = buffer_add(out, tail, tail_size - 1);
        if (r >= 0)
                r = buffer_add_string(out, ",\"frames\":[\n");
        if (r >= 0)
                r = frames_format(m, out);
        if (r >= 0)
                r = buffer_add_string(out, "]}}\n");
        return r;
}

/* --- Reading ------------------------------------------------------------------------------------------ */

static void reference_read(JsonReader *top, const char *key, uint64_t *ret_id, char **ret_name) {
        JsonReader r;

        (void) json_reader_object(top, key, JSON_REQUIRED, &r);
        (void) json_reader_u64(&r, "id", JSON_REQUIRED, INT64_MAX, ret_id);
        (void) json_reader_strdup(&r, "name", JSON_OPTIONAL, TEXT_MAX, ret_name);
}

static void counts_read(JsonReader *top, Manifest *m) {
        JsonReader r;

        assert(m);

        (void) json_reader_object(top, "counts", JSON_REQUIRED, &r);
        (void) json_reader_u64(&r, "files", JSON_REQUIRED, INT64_MAX, &m->files);
        (void) json_reader_u64(&r, "directories", JSON_REQUIRED, INT64_MAX, &m->directories);
        (void) json_reader_u64(&r, "others", JSON_REQUIRED, INT64_MAX, &m->others);
        (void) json_reader_u64(&r, "skipped", JSON_REQUIRED, INT64_MAX, &m->skipped);
        (void) json_reader_u64(&r, "errors", JSON_REQUIRED, INT64_MAX, &m->errors);
        (void) json_reader_u64(&r, "bytes", JSON_REQUIRED, INT64_MAX, &m->bytes);
}

typedef struct VolumeRow {
        const char *name;
        Volume volume;
} VolumeRow;

static void volume_read(JsonReader *row, void *item) {
        VolumeRow *v = item;

        assert(v);

        (void) json_reader_string(row, "name", JSON_REQUIRED, TEXT_MAX, &v->name);
        (void) json_reader_u64(row, "size", JSON_REQUIRED, INT64_MAX, &v->volume.size);
        (void) json_reader_hex(row, "sha256", JSON_REQUIRED, v->volume.sha256, SHA256_SIZE);
}

/* All but the last are of one size, and together they are the object. */
static bool volumes_fit(const ManifestObject *object) {
        uint64_t each = object->volumes[0].size, rest = object->size;

        for (size_t i = 0; i < object->n_volumes; i++) {
                uint64_t size = object->volumes[i].size;

                if (size == 0 || size > each || size > rest || (size != each && i + 1 < object->n_volumes))
                        return false;
                rest -= size;
        }
        return object->n_volumes > 1 && rest == 0;
}

static void volumes_read(JsonReader *r, ManifestObject *ret) {
        static const JsonRows rows = { VOLUMES_MAX, sizeof(VolumeRow), volume_read };
        _cleanup_(freep) VolumeRow *found = NULL;
        size_t n = 0;

        if (json_reader_rows(r, "volumes", JSON_OPTIONAL, &rows, &found, &n) <= 0 || n == 0)
                return;
        ret->volumes = new0(Volume, n);
        if (!ret->volumes) {
                (void) json_reader_fail(r, "volumes", "do not fit into memory");
                return;
        }
        ret->n_volumes = n;
        for (size_t i = 0; i < n; i++) {
                char suffix[VOLUME_SUFFIX_SIZE];
                const char *rest = startswith(found[i].name, ret->name);

                if (!rest || !streq(rest, volume_suffix(i, suffix))) {
                        (void) json_reader_fail(r, "volumes", "have an unexpected name");
                        return;
                }
                ret->volumes[i] = found[i].volume;
        }
        if (!volumes_fit(ret))
                (void) json_reader_fail(r, "volumes", "are not as large as the object");
}

static void object_read(JsonReader *r, ManifestObject *ret) {
        (void) json_reader_strdup(r, "name", JSON_REQUIRED, TEXT_MAX, &ret->name);
        (void) json_reader_u64(r, "size", JSON_REQUIRED, INT64_MAX, &ret->size);
        (void) json_reader_hex(r, "sha256", JSON_REQUIRED, ret->sha256, sizeof ret->sha256);
        if (r->error == 0)
                volumes_read(r, ret);
}

static int array_u64(const json_t *array, size_t i, uint64_t max, uint64_t *ret) {
        const json_t *v = json_array_get(array, i);

        if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t) json_integer_value(v) > max)
                return -EBADMSG;
        *ret = (uint64_t) json_integer_value(v);
        return 0;
}

/* ["list",400,1300,"…", what the kind has]: one frame that follows the frames before it. */
static int frame_read(const json_t *a, EntriesFrame *ret) {
        static const size_t lengths[_ENTRIES_FRAME_KIND_MAX] = { 4, 5, 7 };
        uint64_t size = 0, plain_size = 0;
        const char *hex = json_string_value(json_array_get(a, 3));
        int r;

        assert(ret);

        ret->kind = entries_frame_kind_from_string(json_string_value(json_array_get(a, 0)));
        if (ret->kind < 0 || json_array_size(a) != lengths[ret->kind] || !hex)
                return -EBADMSG;
        if (array_u64(a, 1, UINT32_MAX, &size) < 0 || array_u64(a, 2, FRAME_PLAIN_MAX, &plain_size) < 0 ||
            size == 0 || plain_size == 0 || size > frame_bound(plain_size) ||
            hex_decode(hex, ret->frame.sha256, SHA256_SIZE) < 0)
                return -EBADMSG;
        ret->frame.size = (uint32_t) size;
        ret->frame.plain_size = (uint32_t) plain_size;
        switch (ret->kind) {
        case ENTRIES_LIST:
                return 0;
        case ENTRIES_INDEX:
                return listing_path_parse(json_array_get(a, 4), &ret->last);
        case ENTRIES_TABLE:
                r = array_u64(a, 4, INT64_MAX, &ret->first);
                if (r >= 0)
                        r = array_u64(a, 5, INT64_MAX, &ret->data_offset);
                if (r >= 0)
                        r = array_u64(a, 6, INT64_MAX, &ret->data_plain_offset);
                return r;
        case _ENTRIES_FRAME_KIND_MAX:
        case _ENTRIES_FRAME_KIND_INVALID:
                break;
        }
        return -EBADMSG;
}

static int frames_read(const json_t *array, Manifest *m) {
        uint64_t offset = 0, plain_offset = 0;

        assert(m);

        m->frames = new0(EntriesFrame, json_array_size(array) + 1);
        if (!m->frames)
                return -ENOMEM;
        for (size_t i = 0; i < json_array_size(array); i++) {
                EntriesFrame *f = &m->frames[m->n_frames++];
                int r = frame_read(json_array_get(array, i), f);

                if (r < 0)
                        return r;
                f->frame.offset = offset;
                f->frame.plain_offset = plain_offset;
                offset += f->frame.size;
                plain_offset += f->frame.plain_size;
        }
        return 0;
}

/* Names are ours, tables follow each other, sizes are possible. */
static const char *manifest_problem(const Manifest *m) {
        uint64_t first = 0, data_offset = 0, plain_offset = 0;
        const char *data = m->encrypted ? ARCHIVE_DATA ARCHIVE_AGE_SUFFIX : ARCHIVE_DATA;
        const char *entries = m->encrypted ? ARCHIVE_ENTRIES ARCHIVE_AGE_SUFFIX : ARCHIVE_ENTRIES;

        if (!streq(m->data.name, data) || !streq(m->entries.name, entries))
                return "an object has an unexpected name";
        if (m->data_size > m->data.size)
                return "the data is larger than its object";
        for (size_t i = 0; i < m->n_frames; i++) {
                const EntriesFrame *f = &m->frames[i];

                if (f->kind != ENTRIES_TABLE)
                        continue;
                if (f->first < first || f->data_offset < data_offset || f->data_plain_offset < plain_offset)
                        return "the tables of frames are out of order";
                first = f->first;
                data_offset = f->data_offset;
                plain_offset = f->data_plain_offset;
        }
        if (first > m->n_data_frames || data_offset > m->data_size || plain_offset > m->plain_size)
                return "a table of frames is beyond the data";
        return NULL;
}

/* Objects and frames; the reader's first error is the result. */
static void objects_read(JsonReader *r, Manifest *m) {
        const json_t *frames = NULL;
        JsonReader plain, data, entries;
        const char *problem;

        assert(r);
        assert(m);

        (void) json_reader_object(r, "plain", JSON_REQUIRED, &plain);
        (void) json_reader_u64(&plain, "size", JSON_REQUIRED, INT64_MAX, &m->plain_size);
        (void) json_reader_hex(&plain, "sha256", JSON_REQUIRED, m->plain_sha256, SHA256_SIZE);

        (void) json_reader_object(r, "data", JSON_REQUIRED, &data);
        object_read(&data, &m->data);
        (void) json_reader_u64(&data, "stream_size", JSON_REQUIRED, INT64_MAX, &m->data_size);
        (void) json_reader_u64(&data, "frames", JSON_REQUIRED, INT64_MAX, &m->n_data_frames);

        (void) json_reader_object(r, "entries", JSON_REQUIRED, &entries);
        object_read(&entries, &m->entries);
        if (json_reader_array(&entries, "frames", JSON_REQUIRED, FRAMES_MAX, &frames) > 0 &&
            frames_read(frames, m) < 0)
                (void) json_reader_fail(&entries, "frames", "a frame of the listing is not well-formed");
        if (json_reader_finish_lenient(&entries) < 0 || r->error < 0)
                return;
        problem = manifest_problem(m);
        if (problem)
                (void) json_reader_fail(r, NULL, "%s", problem);
}

int manifest_parse(const void *p, size_t n, Manifest *ret, Failure *reterr_failure) {
        _cleanup_(manifest_done) Manifest m = MANIFEST_NULL;
        _cleanup_json_ json_t *json = NULL;
        const char *format = NULL;
        uint32_t version = 0;
        JsonReader r;
        int k;

        assert(p || n == 0);
        assert(ret);

        k = json_parse_strict(p, n, JSON_DEPTH_DEFAULT, &json, reterr_failure);
        if (k < 0)
                return k;
        (void) json_reader_init(&r, json, reterr_failure);
        (void) json_reader_string(&r, "format", JSON_REQUIRED, TEXT_MAX, &format);
        if (format && !streq(format, "backupx-archive"))
                (void) json_reader_fail(&r, "format", "not a manifest of an archive");
        (void) json_reader_u32(&r, "version", JSON_REQUIRED, UINT32_MAX, &version);
        if (r.error == 0 && version != MANIFEST_VERSION && version != MANIFEST_VERSION_VOLUMES)
                (void) json_reader_fail(&r, "version", "version %" PRIu32 " needs a newer BackupX", version);
        (void) json_reader_strdup(&r, "created_by", JSON_OPTIONAL, TEXT_MAX, &m.created_by);
        (void) json_reader_bool(&r, "encrypted", JSON_REQUIRED, &m.encrypted);
        (void) json_reader_u64(&r, "run", JSON_REQUIRED, INT64_MAX, &m.run);
        (void) json_reader_u64(&r, "attempt", JSON_REQUIRED, INT64_MAX, &m.attempt);
        reference_read(&r, "node", &m.node_id, &m.node);
        reference_read(&r, "task", &m.task_id, &m.task);
        (void) json_reader_time(&r, "started", JSON_REQUIRED, &m.started);
        (void) json_reader_time(&r, "finished", JSON_REQUIRED, &m.finished);
        (void) json_reader_paths(&r, "sources", JSON_REQUIRED, SOURCES_MAX, &m.sources);
        counts_read(&r, &m);
        objects_read(&r, &m);
        k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        *ret = m;
        m = MANIFEST_NULL;
        return 0;
}
