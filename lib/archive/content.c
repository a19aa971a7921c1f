/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "archive/content.h"
#include "archive/copies.h"
#include "archive/pax.h"
#include "archive/restore-place.h"
#include "base/alloc.h"
#include "base/text.h"
#include "wire/path.h"

typedef struct Cursor {
        Copies *copies;
        uint64_t position;
        Failure *failure;
} Cursor;

static ssize_t cursor_read(void *userdata, void *buf, size_t n) {
        Cursor *c = ASSERT_PTR(userdata);
        ssize_t k = copies_pread(c->copies, c->position, buf, n, c->failure);

        if (k > 0)
                c->position += (uint64_t) k;
        return k;
}

static int read_fully(Cursor *c, void *buf, size_t n) {
        for (size_t done = 0; done < n;) {
                ssize_t k = cursor_read(c, (char *) buf + done, n - done);

                if (k <= 0)
                        return k < 0 ? (int) k : -EBADMSG;
                done += (size_t) k;
        }
        return 0;
}

/* Where the header of the file begins that has the content of this path. */
static int find_file(Copies *copies, const char *path, uint64_t *ret, Failure *f) {
        _cleanup_(entry_done) Entry named = ENTRY_NULL, first = ENTRY_NULL;
        const Entry *e = &named;
        int r;

        r = copies_lookup(copies, path, &named, f);
        if (r >= 0 && named.member.type == MEMBER_HARDLINK) {
                r = copies_lookup(copies, named.member.target, &first, f);
                e = &first;
        }
        if (r < 0)
                return r;
        if (e->member.type != MEMBER_FILE || e->parent)
                return -EISDIR;
        *ret = e->offset;
        return 0;
}

/* The part of one run of data that was asked for. data: where it lies in the stream. */
static int copy_extent(Cursor *c, const ArchiveReadArgs *args, const Extent *e, uint64_t data, Buffer *to) {
        uint64_t end = args->offset + to->size, from = MAX(args->offset, e->offset),
                 until = MIN(end, e->offset + e->size);

        assert(c);

        if (from >= until)
                return 0;
        c->position = data + (from - e->offset);
        return read_fully(c, to->data + (from - args->offset), (size_t) (until - from));
}

static int copy_content(Cursor *c, const ArchiveReadArgs *args, const Member *m, Buffer *ret) {
        const Extent whole = { 0, m->size };
        uint64_t data = c->position;
        size_t n = m->sparse ? m->n_extents : 1, size;
        int r;

        assert(ret);

        if (args->offset >= m->size)
                return 0;
        size = (size_t) MIN((uint64_t) args->length, m->size - args->offset);
        r = buffer_reserve(ret, size);
        if (r < 0)
                return r;
        memset(ret->data, 0, size);
        ret->size = size;
        for (size_t i = 0; i < n && r >= 0; i++) {
                const Extent *e = m->sparse ? m->extents + i : &whole;

                r = copy_extent(c, args, e, data, ret);
                data += e->size;
        }
        return r;
}

static int read_member(Copies *copies, uint64_t offset, const ArchiveReadArgs *args, Buffer *ret,
                       uint64_t *ret_size, Failure *f) {
        Cursor c = { .copies = copies, .position = offset, .failure = f };
        _cleanup_(pax_reader_freep) PaxReader *reader = NULL;
        _cleanup_(member_done) Member m = MEMBER_NULL;
        int r;

        r = pax_reader_new(cursor_read, &c, &reader);
        if (r >= 0)
                r = pax_reader_next(reader, &m, NULL);
        if (r < 0)
                return r;
        if (r == 0 || m.type != MEMBER_FILE)
                return -EBADMSG; /* the listing says otherwise */
        c.position = offset + pax_reader_position(reader);
        r = copy_content(&c, args, &m, ret);
        if (r < 0)
                return r;
        *ret_size = m.size;
        return 0;
}

static int explain(const char *path, int error, const Failure *why, Failure *reterr_failure) {
        _cleanup_(freep) char *display = NULL;

        if (path_display(path, &display) < 0)
                return -ENOMEM;
        if (error == -ENOENT || error == -ENOTDIR)
                return failure_set(reterr_failure, -ENOENT, "PATH_NOT_FOUND", "The archive has no file %s",
                                   display);
        if (error == -EISDIR)
                return failure_set(reterr_failure, error, "PATH_INVALID", "%s is not a file", display);
        return failure_set(reterr_failure, error, why->code[0] ? why->code : "ARCHIVE_UNREADABLE", "%s",
                           failure_message(why, error));
}

int archive_read_file(const ArchiveReadArgs *args, Buffer *ret, uint64_t *ret_size,
                      Failure *reterr_failure) {
        _cleanup_(copies_freep) Copies *copies = NULL;
        _cleanup_failure_ Failure why = FAILURE_NULL;
        _cleanup_(freep) char *path = NULL;
        uint64_t offset = 0;
        int r;

        assert(args && args->path);
        assert(ret && ret->size == 0);
        assert(ret_size);

        r = path_from_absolute(args->path, &path);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return explain(args->path, -ENOENT, &why, reterr_failure);
        r = copies_open(&args->source, NULL, NULL, &copies, &why);
        if (r < 0)
                return failure_set(reterr_failure, r, why.code[0] ? why.code : "ARCHIVE_UNREADABLE", "%s",
                                   failure_message(&why, r));
        r = find_file(copies, path, &offset, &why);
        if (r >= 0)
                r = read_member(copies, offset, args, ret, ret_size, &why);
        return r < 0 ? explain(args->path, r, &why, reterr_failure) : 0;
}
