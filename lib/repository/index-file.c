/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "base/text.h"
#include "repository/index-file.h"

typedef struct Reading {
        JsonPull *pull;
        const IndexSink *sink;
        void *userdata;
} Reading;

static int read_id(JsonPull *p, Id *ret) {
        const char *text;
        size_t n;
        int r;

        r = json_pull_string(p, &text, &n);
        if (r < 0)
                return r;
        return id_from_hex(text, n, ret) < 0 ? -EBADMSG : 0;
}

static int read_type(JsonPull *p, BlobType *ret) {
        const char *text;
        size_t n;
        int r;

        assert(ret);

        r = json_pull_string(p, &text, &n);
        if (r < 0)
                return r;
        r = blob_type_from_string(text);
        if (r < 0)
                return -EBADMSG;
        *ret = (BlobType) r;
        return 0;
}

static int read_u32(JsonPull *p, uint32_t max, uint32_t *ret) {
        uint64_t v = 0;
        int r;

        assert(ret);

        r = json_pull_u64(p, max, &v);
        if (r < 0)
                return r;
        *ret = (uint32_t) v;
        return 0;
}

/* Bits of the fields of a blob. */
enum {
        HAS_ID = 1,
        HAS_TYPE = 2,
        HAS_OFFSET = 4,
        HAS_LENGTH = 8,
        HAS_UNCOMPRESSED = 16,
        HAS_ALL = 15, /* that are required */
};

static int read_field(JsonPull *p, const char *name, PackBlob *b, unsigned *ret_bit) {
        assert(name);
        assert(b);
        assert(ret_bit);

        if (streq(name, "id")) {
                *ret_bit = HAS_ID;
                return read_id(p, &b->id);
        }
        if (streq(name, "type")) {
                *ret_bit = HAS_TYPE;
                return read_type(p, &b->type);
        }
        if (streq(name, "offset")) {
                *ret_bit = HAS_OFFSET;
                return read_u32(p, UINT32_MAX, &b->offset);
        }
        if (streq(name, "length")) {
                *ret_bit = HAS_LENGTH;
                return read_u32(p, BLOB_LENGTH_MAX, &b->length);
        }
        if (streq(name, "uncompressed_length")) {
                *ret_bit = HAS_UNCOMPRESSED;
                return read_u32(p, BLOB_LENGTH_MAX, &b->uncompressed_length);
        }
        *ret_bit = 0;
        return json_pull_skip(p);
}

static int read_blob(Reading *g) {
        PackBlob b = {};
        unsigned found = 0;
        int r;

        assert(g);

        r = json_pull_enter_object(g->pull);
        while (r >= 0) {
                const char *name;
                unsigned bit = 0;

                r = json_pull_member(g->pull, &name);
                if (r <= 0)
                        break;
                r = read_field(g->pull, name, &b, &bit);
                if (found & bit)
                        r = -EBADMSG;
                found |= bit;
        }
        if (r < 0)
                return r;
        if ((found & HAS_ALL) != HAS_ALL || b.length < CIPHER_OVERHEAD)
                return -EBADMSG;
        return g->sink->blob ? g->sink->blob(g->userdata, &b) : 0;
}

static int read_pack(Reading *g) {
        bool has_id = false, has_blobs = false;
        const char *name;
        Id id = {};
        int r;

        r = json_pull_enter_object(g->pull);
        while (r >= 0) {
                r = json_pull_member(g->pull, &name);
                if (r <= 0)
                        break;
                if (streq(name, "id")) {
                        r = has_id ? -EBADMSG : read_id(g->pull, &id);
                        has_id = true;
                } else if (streq(name, "blobs")) {
                        r = has_blobs ? -EBADMSG : json_pull_enter_array(g->pull);
                        has_blobs = true;
                        while (r >= 0) {
                                r = json_pull_element(g->pull);
                                if (r <= 0)
                                        break;
                                r = read_blob(g);
                        }
                } else
                        r = json_pull_skip(g->pull);
        }
        if (r < 0)
                return r;
        if (!has_id || !has_blobs)
                return -EBADMSG;
        return g->sink->pack ? g->sink->pack(g->userdata, &id) : 0;
}

static int read_superseded(Reading *g) {
        Id id;
        int r;

        r = read_id(g->pull, &id);
        if (r < 0)
                return r;
        return g->sink->supersedes ? g->sink->supersedes(g->userdata, &id) : 0;
}

/* A list; null, which Go writes for an empty one, is the same as none. */
static int read_list(Reading *g, int (*element)(Reading *g)) {
        int r;

        assert(g);

        r = json_pull_peek(g->pull);
        if (r == JSON_PULL_NULL)
                return json_pull_skip(g->pull);
        if (r >= 0)
                r = json_pull_enter_array(g->pull);
        while (r >= 0) {
                r = json_pull_element(g->pull);
                if (r <= 0)
                        break;
                r = element(g);
        }
        return r;
}

static int read_top(Reading *g) {
        bool has_packs = false, has_supersedes = false;
        const char *name;
        int r;

        assert(g);

        r = json_pull_peek(g->pull);
        if (r == JSON_PULL_ARRAY)
                return read_list(g, read_pack);
        if (r >= 0)
                r = json_pull_enter_object(g->pull);
        while (r >= 0) {
                r = json_pull_member(g->pull, &name);
                if (r <= 0)
                        break;
                if (streq(name, "packs")) {
                        r = has_packs ? -EBADMSG : read_list(g, read_pack);
                        has_packs = true;
                } else if (streq(name, "supersedes")) {
                        r = has_supersedes ? -EBADMSG : read_list(g, read_superseded);
                        has_supersedes = true;
                } else
                        r = json_pull_skip(g->pull);
        }
        if (r < 0)
                return r;
        return has_packs ? 0 : -EBADMSG;
}

int index_file_read(JsonPullRead read, void *source, const IndexSink *sink, void *userdata,
                    Failure *reterr_failure) {
        _cleanup_(json_pull_freep) JsonPull *pull = NULL;
        Reading g = { .sink = sink, .userdata = userdata };
        int r;

        assert(read);
        assert(sink);

        r = json_pull_new(read, source, &pull);
        if (r < 0)
                return r;
        g.pull = pull;
        r = read_top(&g);
        if (r >= 0)
                r = json_pull_end(pull);
        if (r == -EBADMSG)
                return failure_set(reterr_failure, r, "INDEX_DAMAGED",
                                   "The index is no valid document: see its byte %" PRIu64,
                                   json_pull_offset(pull));
        return r;
}

int index_file_begin(IndexFileWriter *w, Buffer *out, const Id *supersedes, size_t n) {
        char hex[ID_HEX_SIZE];
        int r;

        assert(w);
        assert(out);
        assert(supersedes || n == 0);

        *w = (IndexFileWriter){ .out = out };
        r = buffer_add_string(out, n > 0 ? "{\"supersedes\":[" : "{\"packs\":[");
        for (size_t i = 0; i < n && r >= 0; i++)
                r = buffer_printf(out, "%s\"%s\"", i > 0 ? "," : "", id_to_hex(supersedes + i, hex));
        if (r >= 0 && n > 0)
                r = buffer_add_string(out, "],\"packs\":[");
        return r;
}

static int add_blob(Buffer *out, const PackBlob *b, bool first) {
        char hex[ID_HEX_SIZE];
        int r;

        assert(b);

        r = buffer_printf(out, "%s{\"id\":\"%s\",\"type\":\"%s\",\"offset\":%" PRIu32 ",\"length\":%" PRIu32,
                          first ? "" : ",", id_to_hex(&b->id, hex), blob_type_to_string(b->type), b->offset,
                          b->length);
        if (r >= 0 && b->uncompressed_length > 0)
                r = buffer_printf(out, ",\"uncompressed_length\":%" PRIu32, b->uncompressed_length);
        return r < 0 ? r : buffer_add_string(out, "}");
}

int index_file_add(IndexFileWriter *w, const Id *pack, const PackBlob *blobs, size_t n) {
        char hex[ID_HEX_SIZE];
        int r;

        assert(w && w->out);
        assert(pack);
        assert(blobs || n == 0);

        r = buffer_printf(w->out, "%s{\"id\":\"%s\",\"blobs\":[", w->n_packs > 0 ? "," : "",
                          id_to_hex(pack, hex));
        for (size_t i = 0; i < n && r >= 0; i++)
                r = add_blob(w->out, blobs + i, i == 0);
        w->n_packs++;
        return r < 0 ? r : buffer_add_string(w->out, "]}");
}

int index_file_end(IndexFileWriter *w) {
        assert(w && w->out);

        return buffer_add_string(w->out, "]}");
}
