/* SPDX-License-Identifier: Apache-2.0 */

#include <inttypes.h>

#include "archive/entries.h"
#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"

/* An entries object in memory. */
typedef struct Object {
        Buffer bytes;
        EntriesFrame *frames;
        size_t n_frames;
} Object;

static void object_done(Object *o) {
        buffer_done(&o->bytes);
        for (size_t i = 0; i < o->n_frames; i++)
                free(o->frames[i].last);
        free(o->frames);
}

static int sink(void *userdata, const void *p, size_t n) {
        return buffer_add(userdata, p, n);
}

static char *frame_text(const Object *o, size_t i) {
        _cleanup_(frame_decompressor_freep) FrameDecompressor *d = NULL;
        const Frame *f = &o->frames[i].frame;
        char *text = malloc(f->plain_size + 1);

        CHECK(text);
        CHECK_OK(frame_decompressor_new(&d));
        CHECK_OK(frame_decompress(d, f, o->bytes.data + f->offset, text));
        text[f->plain_size] = 0;
        return text;
}

typedef struct Expect {
        const char *directory;
        uint64_t n;
        char last[64];
} Expect;

static int count_entry(void *userdata, const char *directory, Entry *e) {
        Expect *x = userdata;
        const char *slash = strrchr(e->member.path, '/');
        const char *name = slash ? slash + 1 : e->member.path;

        CHECK_STR(strempty(directory), x->directory);
        CHECK(strcmp(x->last, name) < 0);
        (void) snprintf(x->last, sizeof x->last, "%s", name);
        x->n++;
        return 0;
}

static size_t nth_list(const Object *o, uint64_t n) {
        for (size_t i = 0; i < o->n_frames; i++)
                if (o->frames[i].kind == ENTRIES_LIST && n-- == 0)
                        return i;
        TEST_FAIL("no list frame");
}

/* Finds a directory as a reader does, and counts its children; -1: not there. */
static int64_t count_children(const Object *o, const char *directory) {
        Expect x = { .directory = directory };

        for (size_t i = 0; i < o->n_frames; i++) {
                _cleanup_(freep) char *text = NULL;
                _cleanup_(freep) uint64_t *lists = NULL;
                size_t n = 0;

                if (o->frames[i].kind != ENTRIES_INDEX || entries_compare(o->frames[i].last, directory) < 0)
                        continue;
                text = frame_text(o, i);
                if (entries_parse_index(text, strlen(text), directory, &lists, &n) == 0)
                        return -1;
                for (size_t k = 0; k < n; k++) {
                        _cleanup_(freep) char *list = frame_text(o, nth_list(o, lists[k]));

                        CHECK_OK(entries_parse_list(list, strlen(list), directory, count_entry, &x));
                }
                return (int64_t) x.n;
        }
        return -1;
}

static void add(EntriesWriter *w, const char *path, MemberType type) {
        Entry e = { .member = { .type = type, .path = (char *) path, .mode = 0644, .user = (char *) "root" },
                    .length = 512 };

        CHECK_OK(entries_writer_add(w, &e));
}

/* 40 directories of many files below each other's sides, and one that is larger than a frame. */
static void test_directories(void) {
        _cleanup_(entries_writer_freep) EntriesWriter *w = NULL;
        _cleanup_(object_done) Object o = {};
        char path[128];

        CHECK_OK(entries_writer_new(sink, &o.bytes, &w));
        CHECK_OK(entries_writer_enter(w, ""));
        for (unsigned d = 0; d < 40; d++) {
                (void) snprintf(path, sizeof path, "d%02u", d);
                add(w, path, MEMBER_DIRECTORY);
                CHECK_OK(entries_writer_enter(w, path));
                for (unsigned i = 0; i < (d == 7 ? 9000 : 100 * d); i++) {
                        (void) snprintf(path, sizeof path, "d%02u/f%05u", d, i);
                        add(w, path, MEMBER_FILE);
                }
                (void) snprintf(path, sizeof path, "d%02u/sub", d);
                add(w, path, MEMBER_DIRECTORY);
                CHECK_OK(entries_writer_enter(w, path));
                CHECK_OK(entries_writer_leave(w));
                CHECK_OK(entries_writer_leave(w));
        }
        CHECK_OK(entries_writer_finish(w, &o.frames, &o.n_frames));
        CHECK(o.n_frames > 5);
        CHECK_INT(count_children(&o, ""), 40);
        for (unsigned d = 0; d < 40; d++) {
                (void) snprintf(path, sizeof path, "d%02u", d);
                CHECK_INT(count_children(&o, path), (d == 7 ? 9000 : 100 * d) + 1);
                (void) snprintf(path, sizeof path, "d%02u/sub", d);
                CHECK_INT(count_children(&o, path), 0);
        }
        CHECK_INT(count_children(&o, "d99"), -1);
        CHECK_INT(count_children(&o, "d0"), -1);
        CHECK_INT(count_children(&o, "d00/sub/x"), -1);
}

static int take_entry(void *userdata, const char *directory, Entry *e) {
        Entry *ret = userdata;

        *ret = *e;
        *e = ENTRY_NULL;
        return 1;
}

static void test_fields(void) {
        static const char *const names[] = { "plain", "new\nline", "quo\"te\\",
                                             "\xff\xfe", "tab\t\x7f", "\xe2\x82\xac" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_(entries_writer_freep) EntriesWriter *w = NULL;
                _cleanup_(object_done) Object o = {};
                _cleanup_(entry_done) Entry got = ENTRY_NULL;
                _cleanup_(freep) char *text = NULL, *path = NULL;
                Entry e = {
                        .member = { .type = MEMBER_SYMLINK,
                                    .mode = 0777,
                                    .uid = UINT32_MAX,
                                    .gid = 7,
                                    .group = (char *) "g\xff",
                                    .mtime_sec = -5,
                                    .mtime_nsec = 123456789,
                                    .target = (char *) names[i] },
                        .offset = UINT64_C(1) << 40,
                        .length = 1536,
                        .parent = true,
                        .incomplete = true,
                };

                CHECK_OK(asprintf_safe(&path, "dir\xe9/%s", names[i]));
                e.member.path = path;
                CHECK_OK(entries_writer_new(sink, &o.bytes, &w));
                CHECK_OK(entries_writer_enter(w, "dir\xe9"));
                CHECK_OK(entries_writer_add(w, &e));
                CHECK_OK(entries_writer_finish(w, &o.frames, &o.n_frames));
                text = frame_text(&o, 0);
                CHECK_INT(entries_parse_list(text, strlen(text), NULL, take_entry, &got), 1);
                CHECK_STR(got.member.path, path);
                CHECK_STR(got.member.target, names[i]);
                CHECK_STR(got.member.group, "g\xff");
                CHECK(!got.member.user);
                CHECK_INT(got.member.type, MEMBER_SYMLINK);
                CHECK_INT(got.member.mode, 0777);
                CHECK_INT(got.member.uid, UINT32_MAX);
                CHECK_INT(got.member.mtime_sec, -5);
                CHECK_INT(got.member.mtime_nsec, 123456789);
                CHECK_INT(got.offset, e.offset);
                CHECK_INT(got.length, e.length);
                CHECK(got.parent && got.incomplete);
        }
}

static void test_order(void) {
        /* As a walk leaves them. */
        static const char *const order[] = { "a/b/c", "a/b", "a/bc", "a", "ab/x", "ab",
                                             "b-c/d", "b-c", "b/c", "b", "" };

        /* 'b-c' is before 'b/c' in bytes, but 'b' is before 'b-c' among siblings. */
        for (size_t i = 0; i < ELEMENTSOF(order); i++)
                CHECK_INT(entries_compare(order[i], order[i]), 0);
        CHECK(entries_compare("a/b/c", "a/b") < 0);
        CHECK(entries_compare("a/b", "a/bc") < 0);
        CHECK(entries_compare("a/bc", "a") < 0);
        CHECK(entries_compare("a", "ab/x") < 0);
        CHECK(entries_compare("b", "b-c/d") < 0);
        CHECK(entries_compare("b/z", "b-c") < 0);
        CHECK(entries_compare("b-c", "") < 0);
        CHECK(entries_compare("", "zzz") > 0);
        CHECK(entries_compare("a\xff", "b") < 0);
}

static void test_tables(void) {
        _cleanup_(entries_writer_freep) EntriesWriter *w = NULL;
        _cleanup_(object_done) Object o = {};
        uint64_t offset = 0, plain = 0, seen = 0;

        CHECK_OK(entries_writer_new(sink, &o.bytes, &w));
        for (uint32_t i = 0; i < 7000; i++) {
                Frame f = { .size = 100 + i, .plain_size = 1000 + i, .sha256 = { (uint8_t) i, 1, 2 } };

                CHECK_OK(entries_writer_add_frame(w, &f));
        }
        CHECK_OK(entries_writer_finish(w, &o.frames, &o.n_frames));
        CHECK(o.n_frames > 1);
        for (size_t i = 0; i < o.n_frames; i++) {
                _cleanup_(freep) char *text = frame_text(&o, i);
                _cleanup_(freep) Frame *frames = NULL;
                size_t n = 0;

                CHECK_INT(o.frames[i].kind, ENTRIES_TABLE);
                CHECK_INT(o.frames[i].first, seen);
                CHECK_OK(entries_parse_table(text, strlen(text), &o.frames[i], &frames, &n));
                for (size_t k = 0; k < n; k++, seen++) {
                        CHECK_INT(frames[k].offset, offset);
                        CHECK_INT(frames[k].plain_offset, plain);
                        CHECK_INT(frames[k].size, 100 + seen);
                        CHECK_INT(frames[k].sha256[0], (uint8_t) seen);
                        offset += frames[k].size;
                        plain += frames[k].plain_size;
                }
        }
        CHECK_INT(seen, 7000);
}

static void make_manifest(Manifest *m) {
        *m = (Manifest){ .encrypted = true,
                         .run = 12,
                         .attempt = 2,
                         .node_id = 1,
                         .task_id = 3,
                         .started = 1700000000000000,
                         .finished = 1700000001000000,
                         .files = 10,
                         .bytes = 12345,
                         .plain_size = 4096,
                         .n_data_frames = 2,
                         .data_size = 1000 };
        CHECK_OK(free_and_strdup(&m->created_by, "backupx test"));
        CHECK_OK(free_and_strdup(&m->node, "web-1"));
        CHECK_OK(free_and_strdup(&m->task, "etc"));
        CHECK_OK(strv_extend(&m->sources, "/srv/\xff"));
        CHECK_OK(free_and_strdup(&m->data.name, ARCHIVE_DATA ARCHIVE_AGE_SUFFIX));
        m->data.size = 2000;
        CHECK_OK(free_and_strdup(&m->entries.name, ARCHIVE_ENTRIES ARCHIVE_AGE_SUFFIX));
        m->entries.size = 900;
        m->frames = new0(EntriesFrame, 3);
        m->n_frames = 3;
        for (size_t i = 0; i < 3; i++)
                m->frames[i] = (EntriesFrame){ .kind = (EntriesFrameKind) i,
                                               .frame = { .size = 50 + (uint32_t) i, .plain_size = 90 } };
        CHECK_OK(free_and_strdup(&m->frames[1].last, "srv/\xff"));
        m->frames[2].first = 0;
}

static void test_manifest(void) {
        _cleanup_(manifest_done) Manifest m = MANIFEST_NULL, got = MANIFEST_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_buffer_ Buffer text = BUFFER_NULL;

        make_manifest(&m);
        CHECK_OK(manifest_format(&m, &text));
        if (manifest_parse(text.data, text.size, &got, &failure) < 0)
                TEST_FAIL("%s", failure_message(&failure, -EBADMSG));
        CHECK_INT(got.run, 12);
        CHECK_INT(got.attempt, 2);
        CHECK_STR(got.node, "web-1");
        CHECK_STR(got.sources[0], "/srv/\xff");
        CHECK_INT(got.started, m.started);
        CHECK_INT(got.bytes, 12345);
        CHECK_INT(got.n_frames, 3);
        CHECK_INT(got.frames[1].frame.offset, 50);
        CHECK_STR(got.frames[1].last, "srv/\xff");
        CHECK_INT(got.frames[2].frame.offset, 101);
        CHECK(got.encrypted);
}

static void check_refused(const Buffer *text, const char *from, const char *to) {
        _cleanup_(manifest_done) Manifest got = MANIFEST_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_buffer_ Buffer edited = BUFFER_NULL;
        char *at = strstr(text->data, from);

        CHECK(at);
        CHECK_OK(buffer_add(&edited, text->data, (size_t) (at - text->data)));
        CHECK_OK(buffer_add_string(&edited, to));
        CHECK_OK(buffer_add_string(&edited, at + strlen(from)));
        if (manifest_parse(edited.data, edited.size, &got, &failure) >= 0)
                TEST_FAIL("'%s' was taken for '%s'", to, from);
        CHECK(failure_is_set(&failure));
}

static void test_manifest_refused(void) {
        static const struct {
                const char *from, *to;
        } edits[] = {
                { "backupx-archive", "backupx-archiv2" },
                { "\"version\":1", "\"version\":3" },
                { "data.tar.zst.age", "../../etc/shadow" },
                { "\"list\",50", "\"list\",0" },
                { "\"list\",50", "\"lost\",50" },
                { "\"index\",51,90", "\"index\",51,99999999" },
                { "\"stream_size\":1000", "\"stream_size\":3000" },
                { "\"run\":12", "\"run\":-1" },
                { "\"plain\":", "\"plan\":" },
        };
        _cleanup_(manifest_done) Manifest m = MANIFEST_NULL;
        _cleanup_buffer_ Buffer text = BUFFER_NULL;

        make_manifest(&m);
        CHECK_OK(manifest_format(&m, &text));
        for (size_t i = 0; i < ELEMENTSOF(edits); i++)
                check_refused(&text, edits[i].from, edits[i].to);
}

static void cut_manifest(Manifest *m) {
        make_manifest(m);
        m->data.size = 2500;
        m->data.volumes = new0(Volume, 3);
        CHECK(m->data.volumes);
        m->data.n_volumes = 3;
        for (size_t i = 0; i < 3; i++) {
                m->data.volumes[i].size = i < 2 ? 1000 : 500;
                memset(m->data.volumes[i].sha256, (int) i, SHA256_SIZE);
        }
}

static void test_volumes(void) {
        _cleanup_(manifest_done) Manifest m = MANIFEST_NULL, got = MANIFEST_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_buffer_ Buffer text = BUFFER_NULL;

        cut_manifest(&m);
        CHECK_OK(manifest_format(&m, &text));
        CHECK(strstr(text.data, "\"version\":2"));
        CHECK(strstr(text.data, "\"name\":\"data.tar.zst.age.002\""));
        if (manifest_parse(text.data, text.size, &got, &failure) < 0)
                TEST_FAIL("%s", failure_message(&failure, -EBADMSG));
        CHECK_INT(got.data.n_volumes, 3);
        CHECK_INT(got.data.size, 2500);
        CHECK_MEM(got.data.volumes, m.data.volumes, 3 * sizeof *m.data.volumes);
        CHECK_INT(got.entries.n_volumes, 0);
}

static void test_volumes_refused(void) {
        static const struct {
                const char *from, *to;
        } edits[] = {
                { "\"data.tar.zst.age.001\"", "\"data.tar.zst.age.002\"" },
                { "\"data.tar.zst.age.001\"", "\"../data.tar.zst.age.001\"" },
                { "\"size\":2500", "\"size\":2501" },
                { "\"size\":1000", "\"size\":1001" },
                { "\"size\":500", "\"size\":0" },
                { "\"size\":500", "\"size\":9223372036854775807" },
        };
        _cleanup_(manifest_done) Manifest m = MANIFEST_NULL;
        _cleanup_buffer_ Buffer text = BUFFER_NULL;

        cut_manifest(&m);
        CHECK_OK(manifest_format(&m, &text));
        for (size_t i = 0; i < ELEMENTSOF(edits); i++)
                check_refused(&text, edits[i].from, edits[i].to);
}

/* A frame that was changed in any place is not decompressed. */
static void test_frames(void) {
        _cleanup_(frame_compressor_freep) FrameCompressor *c = NULL;
        _cleanup_(frame_decompressor_freep) FrameDecompressor *d = NULL;
        char plain[1000], packed[2000], back[1000];
        Frame f;

        memset(plain, 'x', sizeof plain);
        CHECK(frame_bound(sizeof plain) <= sizeof packed);
        CHECK_OK(frame_compressor_new(3, &c));
        CHECK_OK(frame_decompressor_new(&d));
        CHECK_OK(frame_compress(c, plain, sizeof plain, packed, sizeof packed, &f));
        CHECK_OK(frame_decompress(d, &f, packed, back));
        CHECK_MEM(plain, back, sizeof plain);
        for (uint32_t i = 0; i < f.size; i++) {
                packed[i] ^= 1;
                CHECK_INT(frame_decompress(d, &f, packed, back), -EBADMSG);
                packed[i] ^= 1;
        }
        /* The right digest of something that is not one frame of that size. */
        f.plain_size--;
        CHECK_INT(frame_decompress(d, &f, packed, back), -EBADMSG);
}

int main(void) {
        RUN(test_directories);
        RUN(test_fields);
        RUN(test_order);
        RUN(test_tables);
        RUN(test_manifest);
        RUN(test_manifest_refused);
        RUN(test_volumes);
        RUN(test_volumes_refused);
        RUN(test_frames);
        return 0;
}
