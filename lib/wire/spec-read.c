/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "wire/command.h"
#include "wire/path.h"

void read_spec_done(ReadSpec *s) {
        assert(s);

        archive_ref_done(&s->archive);
        snapshot_ref_done(&s->snapshots);
        free(s->path);
        *s = READ_SPEC_NULL;
}

int read_spec_build(const ReadSpec *s, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        assert(s);
        assert(ret);

        r = backup_ref_build(json, &s->archive, &s->snapshots);
        if (r >= 0)
                r = json_set(json, "path", json_from_path(s->path));
        if (r >= 0)
                r = json_set(json, "offset", json_from_u64(s->offset));
        if (r >= 0)
                r = json_set(json, "length", json_from_u64(s->length));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}

int read_spec_parse(const json_t *json, ReadSpec *ret, Failure *reterr_failure) {
        _cleanup_(read_spec_done) ReadSpec s = READ_SPEC_NULL;
        JsonReader r;
        int k;

        assert(ret);

        (void) json_reader_init(&r, json, reterr_failure);
        k = backup_ref_read(&r, &s.archive, &s.snapshots);
        if (k == -ENOMEM)
                return k;
        (void) json_reader_path(&r, "path", JSON_REQUIRED, &s.path);
        (void) json_reader_u64(&r, "offset", JSON_REQUIRED, INT64_MAX, &s.offset);
        (void) json_reader_u32(&r, "length", JSON_REQUIRED, READ_LENGTH_MAX, &s.length);
        if (r.error >= 0 && !path_is_normalized_absolute(s.path))
                (void) json_reader_fail(&r, "path", "has to be an absolute path without '.' and '..'");
        if (r.error >= 0 && s.length == 0)
                (void) json_reader_fail(&r, "length", "has to be at least 1");
        k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        *ret = s;
        s = READ_SPEC_NULL;
        return 0;
}

int read_result_build(uint64_t size, const void *content, size_t n, json_t **ret) {
        _cleanup_json_ json_t *json = json_object();
        _cleanup_(freep) char *text = NULL;
        int r;

        assert(content || n == 0);
        assert(ret);

        r = base64_encode(BASE64_STANDARD, content, n, &text);
        if (r >= 0)
                r = json_set(json, "size", json_from_u64(size));
        if (r >= 0)
                r = json_set(json, "content", json_string(text));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}
