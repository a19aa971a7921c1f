/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "archive/browse.h"
#include "archive/copies.h"
#include "archive/restore-place.h"
#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "wire/path.h"

/* A name of 255 bytes in base64. */
#define CURSOR_MAX 340

void browse_result_done(BrowseResult *r) {
        assert(r);

        for (size_t i = 0; i < r->n_entries; i++)
                entry_done(r->entries + i);
        free(r->entries);
        free(r->next_cursor);
        *r = BROWSE_RESULT_NULL;
}

void browse_page_done(BrowsePage *p) {
        assert(p);

        free(p->after);
        browse_result_done(&p->result);
        *p = (BrowsePage){};
}

int browse_page_add(BrowsePage *p, Entry *e) {
        assert(p);
        assert(e);

        if (p->after && strcmp(path_name(e->member.path), p->after) <= 0)
                return 0;
        if (p->result.n_entries == p->limit) {
                p->more = true;
                return 1;
        }
        if (p->result.n_entries == p->allocated) {
                size_t n = MIN(p->limit, MAX((size_t) 64, 2 * p->allocated));
                Entry *grown = reallocarray(p->result.entries, n, sizeof(Entry));

                if (!grown)
                        return -ENOMEM;
                p->result.entries = grown;
                p->allocated = n;
        }
        p->result.entries[p->result.n_entries++] = *e;
        *e = ENTRY_NULL;
        return 0;
}

static int take_entry(void *userdata, const char *directory, Entry *e) {
        return browse_page_add(userdata, e);
}

/* The cursor is the last name of a page: bytes, so in base64. */
static int read_cursor(const char *cursor, char **ret) {
        void *name;
        size_t n;
        int r;

        if (isempty(cursor))
                return 0;
        if (strnlen(cursor, CURSOR_MAX + 1) > CURSOR_MAX)
                return -EINVAL;
        r = base64_decode(BASE64_URL, cursor, strlen(cursor), &name, &n);
        if (r < 0)
                return r;
        *ret = name;
        return 0;
}

int browse_page_init(BrowsePage *p, size_t limit, const char *cursor, Failure *reterr_failure) {
        int r;

        assert(p);

        *p = (BrowsePage){ .limit = limit };
        if (limit == 0 || limit > BROWSE_LIMIT_MAX)
                return failure_set_field(reterr_failure, -EINVAL, "FIELD_INVALID", "limit",
                                         "limit is from 1 to %d", BROWSE_LIMIT_MAX);
        r = read_cursor(cursor, &p->after);
        if (r < 0)
                return failure_set_field(reterr_failure, r, "FIELD_INVALID", "cursor",
                                         "cursor is none that an earlier answer gave");
        return 0;
}

int browse_page_finish(BrowsePage *p, BrowseResult *ret) {
        int r = 0;

        assert(p);
        assert(ret);

        if (p->more) {
                const char *last = path_name(p->result.entries[p->result.n_entries - 1].member.path);

                r = base64_encode(BASE64_URL, last, strlen(last), &p->result.next_cursor);
        }
        if (r < 0)
                return r;
        *ret = p->result;
        p->result = BROWSE_RESULT_NULL;
        return 0;
}

/* Whether the directory that was not found is something else. */
static int explain_missing(Copies *c, const char *path, Failure *reterr_failure) {
        _cleanup_(entry_done) Entry entry = ENTRY_NULL;
        _cleanup_(freep) char *display = NULL;
        int r;

        if (path_display(path, &display) < 0)
                return -ENOMEM;
        r = copies_lookup(c, path, &entry, NULL);
        if (r >= 0 && entry.member.type != MEMBER_DIRECTORY)
                return failure_set(reterr_failure, -ENOTDIR, "NOT_A_DIRECTORY",
                                   "/%s is no directory in the archive", display);
        return failure_set(reterr_failure, -ENOENT, "PATH_NOT_FOUND", "The archive has no directory /%s",
                           display);
}

static int list_page(Copies *c, const char *path, BrowsePage *page, Failure *reterr_failure) {
        _cleanup_failure_ Failure why = FAILURE_NULL;
        int r;

        assert(page);

        r = copies_list(c, path, take_entry, page, &why);
        if (r == -ENOENT || r == -ENOTDIR)
                return explain_missing(c, path, reterr_failure);
        if (r < 0)
                return failure_set(reterr_failure, r, why.code[0] ? why.code : "ARCHIVE_UNREADABLE", "%s",
                                   failure_message(&why, r));
        return 0;
}

int archive_browse(const BrowseArgs *args, BrowseResult *ret, Failure *reterr_failure) {
        _cleanup_(browse_page_done) BrowsePage page = {};
        _cleanup_(copies_freep) Copies *copies = NULL;
        _cleanup_(freep) char *path = NULL;
        int r;

        assert(args);
        assert(ret);

        r = browse_page_init(&page, args->limit, args->cursor, reterr_failure);
        if (r < 0)
                return r;
        if (args->source.n_copies == 0)
                return failure_set(reterr_failure, -EINVAL, "FIELD_INVALID",
                                   "No storage that holds the archive is named");
        r = path_from_absolute(isempty(args->path) ? "/" : args->path, &path);
        if (r < 0)
                return failure_set_field(reterr_failure, r, "FIELD_INVALID", "path",
                                         "path is not an absolute path");
        r = copies_open(&args->source, NULL, NULL, &copies, reterr_failure);
        if (r < 0)
                return r;
        r = list_page(copies, path, &page, reterr_failure);
        return r < 0 ? r : browse_page_finish(&page, ret);
}
