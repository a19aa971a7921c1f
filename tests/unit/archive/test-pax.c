/* SPDX-License-Identifier: Apache-2.0 */

#include "archive/pax.h"
#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"

/* A buffer as the input of a reader, given out in pieces of at most step bytes. */
typedef struct Input {
        const char *data;
        size_t size, at, step;
} Input;

static ssize_t input_read(void *userdata, void *buf, size_t n) {
        Input *in = userdata;

        n = MIN(MIN(n, in->step), in->size - in->at);
        memcpy(buf, in->data + in->at, n);
        in->at += n;
        return (ssize_t) n;
}

static void add_member(Buffer *out, const Member *m) {
        uint64_t stored = member_stored_size(m);

        CHECK_OK(pax_header(m, out));
        CHECK_INT(out->size % PAX_BLOCK, 0);
        for (uint64_t i = 0; i < stored; i++)
                CHECK_OK(buffer_add(out, &"0123456789abcdef"[i % 16], 1));
        for (size_t i = pax_padding(stored); i > 0; i--)
                CHECK_OK(buffer_add(out, "", 1));
        CHECK_INT(out->size % PAX_BLOCK, 0);
}

static void check_member(const Member *a, const Member *b) {
        CHECK_INT(a->type, b->type);
        CHECK_STR(a->path, b->path);
        CHECK_STR(strempty(a->target), strempty(b->target));
        CHECK_INT(a->mode, b->mode);
        CHECK_INT(a->uid, b->uid);
        CHECK_INT(a->gid, b->gid);
        CHECK_STR(strempty(a->user), strempty(b->user));
        CHECK_STR(strempty(a->group), strempty(b->group));
        CHECK_INT(a->mtime_sec, b->mtime_sec);
        CHECK_INT(a->mtime_nsec, b->mtime_nsec);
        CHECK_INT(a->size, b->size);
        CHECK_INT(a->major, b->major);
        CHECK_INT(a->minor, b->minor);
        CHECK_STR(strempty(a->acl_access), strempty(b->acl_access));
        CHECK_STR(strempty(a->acl_default), strempty(b->acl_default));
        CHECK_INT(a->sparse, b->sparse);
        CHECK_INT(a->n_xattrs, b->n_xattrs);
        for (size_t i = 0; i < a->n_xattrs; i++) {
                CHECK_STR(a->xattrs[i].name, b->xattrs[i].name);
                CHECK_INT(a->xattrs[i].size, b->xattrs[i].size);
                CHECK_MEM(a->xattrs[i].value, b->xattrs[i].value, a->xattrs[i].size);
        }
        CHECK_INT(a->n_extents, b->n_extents);
        for (size_t i = 0; i < a->n_extents; i++) {
                CHECK_INT(a->extents[i].offset, b->extents[i].offset);
                CHECK_INT(a->extents[i].size, b->extents[i].size);
        }
}

/* Reads the content: every byte in its place. */
static void check_content(PaxReader *r, const Member *m) {
        uint64_t done = 0, stored = member_stored_size(m);
        char buf[100];

        for (;;) {
                uint64_t offset = 0;
                ssize_t n = pax_reader_data(r, buf, sizeof buf, &offset);

                CHECK_OK(n);
                if (n == 0)
                        break;
                for (ssize_t i = 0; i < n; i++)
                        CHECK_INT(buf[i], "0123456789abcdef"[(done + (uint64_t) i) % 16]);
                if (m->sparse) {
                        bool within = false;

                        for (size_t i = 0; i < m->n_extents; i++)
                                within |= offset >= m->extents[i].offset &&
                                                offset + (uint64_t) n <=
                                                                m->extents[i].offset + m->extents[i].size;
                        CHECK(within);
                } else
                        CHECK_INT(offset, done);
                done += (uint64_t) n;
        }
        CHECK_INT(done, stored);
}

static void round_trip(const Member *members, size_t n, size_t step, bool read_content) {
        _cleanup_buffer_ Buffer out = BUFFER_NULL;
        _cleanup_(pax_reader_freep) PaxReader *r = NULL;
        static const char zeros[PAX_TRAILER];
        Input in;

        for (size_t i = 0; i < n; i++)
                add_member(&out, &members[i]);
        CHECK_OK(buffer_add(&out, zeros, sizeof zeros));
        in = (Input){ out.data, out.size, 0, step };
        CHECK_OK(pax_reader_new(input_read, &in, &r));
        for (size_t i = 0; i < n; i++) {
                _cleanup_(member_done) Member m = MEMBER_NULL;
                const char *reason = "";

                if (pax_reader_next(r, &m, &reason) != 1)
                        TEST_FAIL("member %zu: %s", i, reason);
                check_member(&m, &members[i]);
                if (read_content)
                        check_content(r, &m);
        }
        CHECK_INT(pax_reader_next(r, &(Member){}, NULL), 0);
}

static char *repeat(const char *part, size_t n) {
        _cleanup_buffer_ Buffer b = BUFFER_NULL;

        while (n-- > 0)
                CHECK_OK(buffer_add_string(&b, part));
        return buffer_take(&b);
}

static void test_round_trip(void) {
        _cleanup_(freep) char *long_path = repeat("/0123456789", 300), *long_name = repeat("n", 100),
                              *user = repeat("u", 32);
        Xattr xattrs[] = { { (char *) "user.a", (void *) "x\0y", 3 },
                           { (char *) "user.=%25%", (void *) "", 0 },
                           { (char *) "security.capability", (void *) "\1\0\n\2", 4 } };
        Extent extents[] = { { 0, 10 }, { 4096, 600 }, { 1 << 20, 1 } };
        Member members[] = {
                { .type = MEMBER_DIRECTORY, .path = (char *) "", .mode = 0755 },
                { .type = MEMBER_FILE,
                  .path = (char *) "a",
                  .mode = 04755,
                  .uid = 1,
                  .gid = 2,
                  .size = 1000,
                  .user = (char *) "root",
                  .group = (char *) "daemon",
                  .mtime_sec = 1700000000,
                  .mtime_nsec = 1 },
                { .type = MEMBER_FILE,
                  .path = long_path + 1,
                  .mode = 0,
                  .uid = UINT32_MAX,
                  .gid = UINT32_MAX - 1,
                  .size = 512,
                  .user = user,
                  .mtime_sec = -2,
                  .mtime_nsec = 500000000 },
                { .type = MEMBER_FILE, .path = long_name, .mtime_sec = -1, .mtime_nsec = 999999999 },
                { .type = MEMBER_SYMLINK, .path = (char *) "l", .target = long_path, .mode = 0777 },
                { .type = MEMBER_SYMLINK,
                  .path = (char *) "m",
                  .target = (char *) "../..//x/",
                  .mode = 0777 },
                { .type = MEMBER_HARDLINK, .path = (char *) "h", .target = (char *) "a", .mode = 0644 },
                { .type = MEMBER_FIFO, .path = (char *) "fi\nfo", .mode = 0600 },
                { .type = MEMBER_CHARACTER, .path = (char *) "c\xff", .major = 4000, .minor = 1 << 20 },
                { .type = MEMBER_BLOCK, .path = (char *) "b", .major = 7, .minor = 255 },
                { .type = MEMBER_FILE,
                  .path = (char *) "x",
                  .xattrs = xattrs,
                  .n_xattrs = 3,
                  .mtime_sec = 1LL << 34,
                  .acl_access = (char *) "user::rwx\nuser:1000:r--\ngroup::r-x\nmask::r-x\nother::---\n" },
                { .type = MEMBER_DIRECTORY,
                  .path = (char *) "d/e",
                  .mode = 01777,
                  .acl_default = (char *) "user::rwx\ngroup::r-x\nother::---\n" },
                { .type = MEMBER_FILE,
                  .path = (char *) "d/s",
                  .sparse = true,
                  .extents = extents,
                  .n_extents = 3,
                  .size = 2 << 20 },
                { .type = MEMBER_FILE,
                  .path = (char *) "full",
                  .sparse = true,
                  .extents = extents,
                  .n_extents = 3,
                  .size = (1 << 20) + 1 },
                { .type = MEMBER_FILE, .path = (char *) "holes", .sparse = true, .size = UINT64_C(1) << 40 },
        };

        round_trip(members, ELEMENTSOF(members), SIZE_MAX, true);
        round_trip(members, ELEMENTSOF(members), 7, true);
        round_trip(members, ELEMENTSOF(members), 511, false);
}

/* Sizes that no octal field holds. */
static void test_large(void) {
        _cleanup_buffer_ Buffer out = BUFFER_NULL;
        Member m = { .type = MEMBER_FILE, .path = (char *) "a", .size = UINT64_C(1) << 40 };

        CHECK_OK(pax_header(&m, &out));
        CHECK(memmem(out.data, out.size, " size=1099511627776\n", 20));
}

static void test_hostile(void) {
        _cleanup_buffer_ Buffer out = BUFFER_NULL;
        Member m = { .type = MEMBER_FILE, .path = (char *) "aa/bb", .size = 5, .mtime_nsec = 1 };

        add_member(&out, &m);
        /* Every single byte changed, and every length cut: an error or something sane, never a crash. */
        for (size_t i = 0; i < out.size; i++) {
                _cleanup_(pax_reader_freep) PaxReader *r = NULL;
                _cleanup_(freep) char *copy = memdup0(out.data, out.size);
                _cleanup_(member_done) Member got = MEMBER_NULL;
                Input in = { copy, out.size, 0, SIZE_MAX };

                copy[i] ^= 0x15;
                CHECK_OK(pax_reader_new(input_read, &in, &r));
                if (pax_reader_next(r, &got, NULL) > 0)
                        CHECK(got.path);
        }
        for (size_t i = 1; i < out.size - PAX_BLOCK; i++) {
                _cleanup_(pax_reader_freep) PaxReader *r = NULL;
                _cleanup_(member_done) Member got = MEMBER_NULL;
                Input in = { out.data, i, 0, SIZE_MAX };

                CHECK_OK(pax_reader_new(input_read, &in, &r));
                CHECK_INT(pax_reader_next(r, &got, NULL), -EBADMSG);
        }
}

static void test_paths(void) {
        static const struct {
                const char *path, *expected; /* NULL: refused */
        } paths[] = {
                { "/etc/passwd", "etc/passwd" },
                { "./x", "x" },
                { "././/x/", "x" },
                { "../x", NULL },
                { "a/../b", NULL },
                { "a//b", NULL },
                { "a/./b", NULL },
                { "a/..", NULL },
                { "..a", "..a" },
        };

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                _cleanup_buffer_ Buffer out = BUFFER_NULL;
                _cleanup_(pax_reader_freep) PaxReader *r = NULL;
                _cleanup_(member_done) Member m = { .type = MEMBER_FIFO, .path = strdup(paths[i].path) },
                                              got = MEMBER_NULL;
                Input in;

                CHECK_OK(pax_header(&m, &out));
                in = (Input){ out.data, out.size, 0, SIZE_MAX };
                CHECK_OK(pax_reader_new(input_read, &in, &r));
                CHECK_INT(pax_reader_next(r, &got, NULL), paths[i].expected ? 1 : -EBADMSG);
                if (paths[i].expected)
                        CHECK_STR(got.path, paths[i].expected);
        }
}

int main(void) {
        RUN(test_round_trip);
        RUN(test_large);
        RUN(test_hostile);
        RUN(test_paths);
        return 0;
}
