/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdlib.h>
#include <sys/acl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "archive/metadata.h"
#include "archive/pax.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "tests/test.h"

static void test_acl_text(void) {
        struct {
                struct posix_acl_xattr_header header;
                struct posix_acl_xattr_entry entries[6];
        } acl = {
                .header = { POSIX_ACL_XATTR_VERSION },
                .entries = {
                                { ACL_USER_OBJ, 7, UINT32_MAX },
                                { ACL_USER, 5, 4000000000U },
                                { ACL_GROUP_OBJ, 4, UINT32_MAX },
                                { ACL_GROUP, 2, 77 },
                                { ACL_MASK, 7, UINT32_MAX },
                                { ACL_OTHER, 0, UINT32_MAX },
                },
        };
        _cleanup_(freep) char *text = NULL;
        acl_t parsed;

        CHECK_OK(acl_text_from_xattr(&acl, sizeof acl, &text));
        CHECK_STR(text, "user::rwx\nuser:4000000000:r-x\ngroup::r--\ngroup:77:-w-\nmask::rwx\nother::---\n");
        /* The library that restores it takes it. */
        parsed = acl_from_text(text);
        CHECK(parsed);
        CHECK_INT(acl_valid(parsed), 0);
        acl_free(parsed);
        CHECK_INT(acl_text_from_xattr(&acl, sizeof acl - 1, &text), -EBADMSG);
        CHECK_INT(acl_text_from_xattr(&acl, 2, &text), -EBADMSG);
        acl.entries[0].e_tag = 0x7777;
        CHECK_INT(acl_text_from_xattr(&acl, sizeof acl, &text), -EBADMSG);
}

static int sparse_file(unsigned n, off_t step) {
        int fd = memfd_create("sparse", MFD_CLOEXEC);

        CHECK(fd >= 0);
        for (unsigned i = 0; i < n; i++)
                CHECK(pwrite(fd, "x", 1, i * step + step / 2) == 1);
        CHECK(ftruncate(fd, n * step + 100000) >= 0);
        return fd;
}

static void test_extents(void) {
        _cleanup_close_ int fd = sparse_file(50, 1 << 20);
        _cleanup_(member_done) Member m = MEMBER_NULL;
        _cleanup_(fs_freep) Fs *fs = NULL;
        uint64_t size = 50 * (UINT64_C(1) << 20) + 100000;

        CHECK_OK(fs_new(USEC_PER_SEC, NULL, &fs));
        CHECK_OK(metadata_extents(fs, fd, size, PAX_EXTENTS_MAX, &m));
        CHECK(m.sparse);
        CHECK_INT(m.n_extents, 50);
        for (size_t i = 0; i < 50; i++) {
                uint64_t at = i * (UINT64_C(1) << 20) + (1 << 19);

                CHECK(m.extents[i].offset <= at && m.extents[i].offset + m.extents[i].size > at);
        }
}

/* More extents than are kept: fewer, larger ones, and no data left out. */
static void test_many_extents(void) {
        _cleanup_close_ int fd = sparse_file(500, 64 << 10);
        _cleanup_(member_done) Member m = MEMBER_NULL;
        _cleanup_(fs_freep) Fs *fs = NULL;
        uint64_t end = 0;

        CHECK_OK(fs_new(USEC_PER_SEC, NULL, &fs));
        CHECK_OK(metadata_extents(fs, fd, 500 * (UINT64_C(64) << 10), 20, &m));
        CHECK(m.sparse);
        CHECK(m.n_extents <= 20);
        for (size_t i = 0; i < m.n_extents; i++) {
                CHECK(m.extents[i].offset >= end);
                end = m.extents[i].offset + m.extents[i].size;
        }
        for (uint64_t i = 0; i < 500; i++) {
                uint64_t at = i * (64 << 10) + (32 << 10);
                bool found = false;

                for (size_t k = 0; k < m.n_extents; k++)
                        found |= m.extents[k].offset <= at && m.extents[k].offset + m.extents[k].size > at;
                CHECK(found);
        }
}

static void test_no_holes(void) {
        _cleanup_close_ int fd = memfd_create("full", MFD_CLOEXEC);
        _cleanup_(member_done) Member m = MEMBER_NULL;
        _cleanup_(fs_freep) Fs *fs = NULL;

        CHECK(write(fd, "hello", 5) == 5);
        CHECK_OK(fs_new(USEC_PER_SEC, NULL, &fs));
        CHECK_OK(metadata_extents(fs, fd, 5, PAX_EXTENTS_MAX, &m));
        CHECK(!m.sparse);
        CHECK_INT(m.n_extents, 0);
}

static void test_owners(void) {
        _cleanup_(owner_names_freep) OwnerNames *o = NULL;

        CHECK_OK(owner_names_new(&o));
        CHECK_STR(owner_names_user(o, 0), "root");
        CHECK_STR(owner_names_user(o, 0), "root");
        CHECK_STR(owner_names_group(o, 0), "root");
        CHECK(!owner_names_user(o, 4123456789U));
        /* The same slot. */
        CHECK(!owner_names_user(o, 1024 * 4000));
        CHECK_STR(owner_names_user(o, 0), "root");
}

static void test_small_holes(void) {
        static const struct {
                Extent in[3];
                size_t n_in;
                Extent out[3];
                size_t n_out;
        } cases[] = {
                /* Size 1000, holes of 100 and more stay. */
                { {}, 0, {}, 0 },
                { { { 100, 800 } }, 1, { { 100, 800 } }, 1 },
                { { { 99, 802 } }, 1, { { 0, 1000 } }, 1 },
                { { { 0, 10 }, { 20, 10 }, { 500, 500 } }, 3, { { 0, 30 }, { 500, 500 } }, 2 },
                { { { 200, 10 }, { 300, 10 }, { 410, 10 } }, 3, { { 200, 110 }, { 410, 10 } }, 2 },
                { { { 200, 10 }, { 310, 10 }, { 420, 500 } },
                  3,
                  { { 200, 10 }, { 310, 10 }, { 420, 580 } },
                  3 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Extent extents[3];
                Member m = { .size = 1000, .sparse = true, .extents = extents, .n_extents = cases[i].n_in };

                memcpy(extents, cases[i].in, sizeof extents);
                metadata_fill_holes(&m, 100);
                CHECK_INT(m.n_extents, cases[i].n_out);
                for (size_t k = 0; k < m.n_extents; k++) {
                        CHECK_INT(m.extents[k].offset, cases[i].out[k].offset);
                        CHECK_INT(m.extents[k].size, cases[i].out[k].size);
                }
        }
}

int main(void) {
        RUN(test_acl_text);
        RUN(test_extents);
        RUN(test_many_extents);
        RUN(test_no_holes);
        RUN(test_owners);
        RUN(test_small_holes);
        return 0;
}
