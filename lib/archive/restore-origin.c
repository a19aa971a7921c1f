/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "archive/restore-object.h"
#include "archive/restore-origin.h"
#include "base/text.h"

static ssize_t next_piece(void *userdata, const void **ret, uint64_t *ret_offset) {
        RestorePax *p = ASSERT_PTR(userdata);
        ssize_t n;

        n = pax_reader_data(p->reader, p->run->buf, RESTORE_BUFFER_SIZE, ret_offset);
        if (n < 0) /* of the archive: nothing after it can be read */
                return failure_set(&p->run->result->failure, (int) n, "ARCHIVE_DAMAGED",
                                   "The archive ends within a file");
        *ret = p->run->buf;
        return n;
}

RestoreContent restore_pax_content(RestorePax *pax) {
        return (RestoreContent){ next_piece, pax };
}

/* Reads the member at an offset; the reader stands at its content then. */
static int read_member(RestoreCursor *cursor, PaxReader **reader, Member *ret) {
        int r;

        r = restore_cursor_open(cursor, reader);
        if (r < 0)
                return r;
        r = restore_cursor_next(cursor, *reader, ret);
        return r < 0 ? r : r == 0 ? -EBADMSG :
                                    0;
}

static int lookup(RestoreRun *r, const char *path, Member *ret) {
        _cleanup_(pax_reader_freep) PaxReader *reader = NULL;
        _cleanup_(entry_done) Entry entry = ENTRY_NULL;
        RestoreCursor cursor = { .run = r };
        int k;

        assert(r);
        assert(ret);

        k = copies_lookup(r->copies, path, &entry, &r->result->failure);
        if (k < 0)
                return k;
        cursor.position = entry.offset;
        return read_member(&cursor, &reader, ret);
}

typedef struct Listing {
        RestoreListFunc func;
        void *userdata;
} Listing;

static int list_entry(void *userdata, const char *directory, Entry *e) {
        const Listing *l = ASSERT_PTR(userdata);

        return l->func(l->userdata, e->member.path, e->member.type == MEMBER_DIRECTORY);
}

static int list(RestoreRun *r, const char *directory, RestoreListFunc func, void *userdata) {
        Listing l = { func, userdata };

        assert(r);

        return copies_list(r->copies, directory, list_entry, &l, &r->result->failure);
}

/* Its content is read once more and becomes this object; later links join it. */
static int copy(RestoreRun *r, const Member *link) {
        _cleanup_(pax_reader_freep) PaxReader *reader = NULL;
        _cleanup_(entry_done) Entry entry = ENTRY_NULL;
        _cleanup_(member_done) Member first = MEMBER_NULL;
        RestoreCursor cursor = { .run = r };
        RestorePax pax = { .run = r };
        RestoreContent content;
        int k;

        assert(r);
        assert(link);

        k = copies_lookup(r->copies, link->target, &entry, &r->result->failure);
        if (k == -ENOENT)
                return restore_name(r, link->path, "LINK",
                                    "is a hard link to something that the archive does not have");
        if (k < 0)
                return k;
        cursor.position = entry.offset;
        k = read_member(&cursor, &reader, &first);
        if (k < 0)
                return k;
        if (first.type == MEMBER_DIRECTORY || first.type == MEMBER_HARDLINK)
                return restore_name(r, link->path, "LINK", "is a hard link to something that can have none");
        k = free_and_strdup(&first.path, link->path);
        if (k < 0)
                return k;
        pax.reader = reader;
        content = restore_pax_content(&pax);
        k = restore_object(r, &first, &content);
        return k != 0 ? k : restore_links_add_alias(r->links, link->target, link->path);
}

const RestoreOrigin restore_origin_archive = { .lookup = lookup, .list = list, .copy = copy };
