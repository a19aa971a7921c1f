/* SPDX-License-Identifier: Apache-2.0 */

#include "archive/tar-sink.h"
#include "archive/pax.h"

void tar_sink_done(TarSink *t) {
        assert(t);

        buffer_done(&t->header);
}

static int tar_enter(void *userdata, const char *path) {
        TarSink *t = ASSERT_PTR(userdata);

        return entries_writer_enter(t->entries, path);
}

static int tar_leave(void *userdata) {
        TarSink *t = ASSERT_PTR(userdata);

        return entries_writer_leave(t->entries);
}

/* Writes the headers. */
static int tar_begin(void *userdata, Entry *entry, const FsStat *st) {
        TarSink *t = ASSERT_PTR(userdata);
        uint64_t stored = member_stored_size(&entry->member);
        int r;

        buffer_clear(&t->header);
        r = pax_header(&entry->member, &t->header);
        if (r < 0)
                return r;
        entry->length = t->header.size + stored + pax_padding(stored);
        r = pipeline_member(t->pipeline, entry->length);
        if (r < 0)
                return r;
        entry->offset = pipeline_offset(t->pipeline);
        return pipeline_write(t->pipeline, t->header.data, t->header.size);
}

static int tar_space(void *userdata, void **ret, size_t *ret_n) {
        TarSink *t = ASSERT_PTR(userdata);

        return pipeline_space(t->pipeline, ret, ret_n);
}

static int tar_advance(void *userdata, size_t n) {
        TarSink *t = ASSERT_PTR(userdata);

        pipeline_advance(t->pipeline, n);
        return 0;
}

static int tar_zeros(void *userdata, uint64_t n) {
        TarSink *t = ASSERT_PTR(userdata);

        return pipeline_zeros(t->pipeline, n);
}

static int tar_end(void *userdata, const Entry *entry) {
        TarSink *t = ASSERT_PTR(userdata);
        int r;

        r = pipeline_zeros(t->pipeline, pax_padding(member_stored_size(&entry->member)));
        return r < 0 ? r : entries_writer_add(t->entries, entry);
}

const WalkSink tar_sink = {
        .enter = tar_enter,
        .leave = tar_leave,
        .begin = tar_begin,
        .space = tar_space,
        .advance = tar_advance,
        .zeros = tar_zeros,
        .end = tar_end,
        .hard_links = true,
        .acl_text = true,
        .extents_max = PAX_EXTENTS_MAX,
        .part_max = TAR_PART_SIZE,
};
