/* SPDX-License-Identifier: Apache-2.0 */

#include <inttypes.h>
#include <stdlib.h>

#include "archive/listing-text.h"
#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"

static int add_base64(Buffer *out, const char *path) {
        _cleanup_(freep) char *text = NULL;
        int r;

        r = base64_encode(BASE64_STANDARD, path, strlen(path), &text);
        if (r < 0)
                return r;
        return buffer_printf(out, "{\"base64\":\"%s\"}", text);
}

int listing_text_path(Buffer *out, const char *path) {
        const char *from = path, *p;
        int r;

        assert(out);
        assert(path);

        if (!utf8_is_valid(path, strlen(path)))
                return add_base64(out, path);
        r = buffer_add(out, "\"", 1);
        for (p = path; r >= 0 && *p; p++) {
                uint8_t c = (uint8_t) *p;

                if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
                        continue;
                r = buffer_add(out, from, (size_t) (p - from));
                if (r >= 0)
                        r = buffer_printf(out, c == '"' || c == '\\' ? "\\%c" : "\\u%04x", c);
                from = p + 1;
        }
        if (r >= 0)
                r = buffer_add(out, from, (size_t) (p - from));
        if (r >= 0)
                r = buffer_add(out, "\"", 1);
        return r;
}

static int add_path_field(Buffer *out, const char *key, const char *path) {
        int r;

        if (!path)
                return 0;
        r = buffer_printf(out, ",\"%s\":", key);
        if (r < 0)
                return r;
        return listing_text_path(out, path);
}

int listing_text_entry(Buffer *out, const Entry *e) {
        const Member *m = &e->member;
        const char *slash;
        int r;

        assert(out);
        assert(m->path);

        slash = strrchr(m->path, '/');
        r = buffer_add_string(out, "{\"name\":");
        if (r >= 0)
                r = listing_text_path(out, slash ? slash + 1 : m->path);
        if (r >= 0)
                r = buffer_printf(out,
                                  ",\"type\":\"%s\",\"mode\":%" PRIu32 ",\"uid\":%" PRIu64
                                  ",\"gid\":%" PRIu64,
                                  member_type_to_string(m->type), m->mode, m->uid, m->gid);
        if (r >= 0)
                r = add_path_field(out, "user", m->user);
        if (r >= 0)
                r = add_path_field(out, "group", m->group);
        if (r >= 0)
                r = buffer_printf(out, ",\"mtime\":[%" PRIi64 ",%" PRIu32 "]", m->mtime_sec, m->mtime_nsec);
        if (r >= 0 && m->type == MEMBER_FILE)
                r = buffer_printf(out, ",\"size\":%" PRIu64, m->size);
        if (r >= 0 && (m->type == MEMBER_SYMLINK || m->type == MEMBER_HARDLINK))
                r = add_path_field(out, "target", m->target);
        if (r >= 0 && (m->type == MEMBER_CHARACTER || m->type == MEMBER_BLOCK))
                r = buffer_printf(out, ",\"device\":[%" PRIu32 ",%" PRIu32 "]", m->major, m->minor);
        if (r >= 0)
                r = buffer_printf(out, ",\"at\":%" PRIu64 ",\"length\":%" PRIu64 "%s%s}\n", e->offset,
                                  e->length, e->parent ? ",\"parent\":true" : "",
                                  e->incomplete ? ",\"incomplete\":true" : "");
        return r;
}
