/* SPDX-License-Identifier: Apache-2.0 */

/* One visited object: its metadata and its content, to the sink. */

#include <errno.h>
#include <inttypes.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "archive/walk-internal.h"
#include "base/alloc.h"
#include "base/text.h"

/* An object on its way. Path, user and group of the member are borrowed. */
typedef struct Item {
        Entry entry;
} Item;

static void item_done(Item *item) {
        Member *m = &item->entry.member;

        m->path = m->user = m->group = NULL;
        member_done(m);
}

/* Metadata from stat, attributes of name in dirfd. */
static int item_fill(Walk *w, Item *item, const FsStat *st, int dirfd, const char *name) {
        Member *m = &item->entry.member;
        int r;

        assert(w);
        assert(st);

        m->path = w->path.data;
        m->mode = st->mode & 07777;
        m->uid = st->uid;
        m->gid = st->gid;
        m->user = (char *) owner_names_user(w->owners, st->uid);
        m->group = (char *) owner_names_group(w->owners, st->gid);
        m->mtime_sec = st->mtime_sec;
        m->mtime_nsec = st->mtime_nsec;
        r = metadata_xattrs(w->fs, dirfd, name, w->sink->acl_text, w->xattrs, m);
        if (r >= 0)
                return 0;
        if (r == -ENOMEM || r == -ETIMEDOUT)
                return walk_problem(w, r, "Could not read its attributes");
        item->entry.bare = true;
        report_problem(w->report, w->path.data, "METADATA", /* lost= */ true,
                       "Some of its attributes could not be read: %s.", strerror(-r));
        return 0;
}

/* 1: the content is not wanted. */
static int item_begin(Walk *w, Item *item, const FsStat *st) {
        return w->sink->begin(w->sink_userdata, &item->entry, st);
}

static int item_end(Walk *w, Item *item) {
        const Member *m = &item->entry.member;

        assert(w);

        if (m->type == MEMBER_DIRECTORY)
                w->report->directories++;
        else if (m->type == MEMBER_FILE)
                w->report->files++;
        else
                w->report->others++;
        return w->sink->end(w->sink_userdata, &item->entry);
}

/* --- Links, devices, directories -------------------------------------------------------------------------
 */

static int type_of(uint32_t mode, MemberType *ret) {
        switch (mode & S_IFMT) {
        case S_IFDIR:
                *ret = MEMBER_DIRECTORY;
                return 0;
        case S_IFLNK:
                *ret = MEMBER_SYMLINK;
                return 0;
        case S_IFIFO:
                *ret = MEMBER_FIFO;
                return 0;
        case S_IFCHR:
                *ret = MEMBER_CHARACTER;
                return 0;
        case S_IFBLK:
                *ret = MEMBER_BLOCK;
                return 0;
        }
        return -EINVAL;
}

/* Whether this is another name of what was stored before; then the member is a hard link to it. */
static int item_link(Walk *w, Item *item, const FsStat *st) {
        const char *first;
        char *target;

        assert(w);
        assert(item);
        assert(st);

        if (!w->sink->hard_links || st->nlink < 2 || S_ISDIR(st->mode))
                return 0;
        first = links_find(w->links, st->dev, st->ino);
        if (!first)
                return 0;
        target = memdup0(first, strlen(first));
        if (!target)
                return -ENOMEM;
        free(item->entry.member.target);
        item->entry.member.target = target;
        item->entry.member.type = MEMBER_HARDLINK;
        return 1;
}

/* Remembers a first name. */
static int item_remember(Walk *w, const FsStat *st) {
        int r;

        assert(w);
        assert(st);

        if (!w->sink->hard_links || st->nlink < 2 || S_ISDIR(st->mode))
                return 0;
        r = links_add(w->links, st->dev, st->ino, st->nlink, w->path.data);
        if (r != 0)
                return MIN(r, 0);
        w->copies++;
        if (w->links_full)
                return 0;
        w->links_full = true;
        report_log(w->report, ARCHIVE_LOG_WARNING,
                   "More hard links than the %u MiB of memory for them hold: from here on some are "
                   "stored as copies.",
                   LINKS_BUDGET >> 20);
        return 0;
}

/* -ENAMETOOLONG for a link that no system call could have made. */
static int link_read(Walk *w, const Child *c, char **ret) {
        _cleanup_(freep) char *buf = malloc(PATH_MAX + 1);
        ssize_t n;

        assert(w);
        assert(c);

        if (!buf)
                return -ENOMEM;
        n = fs_readlink(w->fs, c->dirfd, c->name, buf, PATH_MAX + 1);
        if (n < 0)
                return (int) n;
        if (n == 0 || n > PATH_MAX || memchr(buf, 0, (size_t) n))
                return -EUCLEAN;
        buf[n] = 0;
        *ret = TAKE_PTR(buf);
        return 0;
}

int walk_store_node(Walk *w, const Child *c, int fd, bool parent, bool incomplete) {
        _cleanup_(item_done) Item item = {};
        Member *m = &item.entry.member;
        int r;

        assert(w);
        assert(c);

        r = type_of(c->stat.mode, &m->type);
        if (r < 0)
                return walk_problem(w, r, "Of a type that cannot be stored");
        r = fd >= 0 ? item_fill(w, &item, &c->stat, fd, "") :
                      item_fill(w, &item, &c->stat, c->dirfd, c->name);
        if (r < 0 || w->stalled)
                return r;
        item.entry.parent = parent;
        item.entry.incomplete = incomplete;
        if (m->type == MEMBER_SYMLINK) {
                r = link_read(w, c, &m->target);
                if (r < 0)
                        return walk_problem(w, r, "Could not read the link");
        }
        if (m->type == MEMBER_CHARACTER || m->type == MEMBER_BLOCK) {
                m->major = c->stat.major;
                m->minor = c->stat.minor;
        }
        r = item_link(w, &item, &c->stat);
        if (r < 0)
                return r;
        r = item_begin(w, &item, &c->stat);
        if (r < 0)
                return r;
        if (m->type != MEMBER_HARDLINK) {
                r = item_remember(w, &c->stat);
                if (r < 0)
                        return r;
        }
        return item_end(w, &item);
}

/* --- Files -------------------------------------------------------------------------------------------- */

typedef enum ContentEnd {
        CONTENT_WHOLE,
        CONTENT_SHORT, /* the file ended early */
        CONTENT_ERROR,
} ContentEnd;

/* Copies one run of data; *ret says how it ended, and *done how far it came. */
static int run_copy(Walk *w, int fd, const Extent *e, uint64_t *done, ContentEnd *ret) {
        int r;

        assert(w);
        assert(e);

        while (*done < e->size) {
                void *space;
                size_t room;
                ssize_t n;

                r = w->sink->space(w->sink_userdata, &space, &room);
                if (r < 0)
                        return r;
                room = (size_t) MIN((uint64_t) MIN(room, (size_t) FS_READ_MAX), e->size - *done);
                report_first_read(w->report);
                n = fs_pread(w->fs, fd, space, room, e->offset + *done);
                if (n < 0) {
                        *ret = CONTENT_ERROR;
                        return walk_problem(w, (int) n, "Could not be read to its end");
                }
                if (n == 0) {
                        *ret = CONTENT_SHORT;
                        return 0;
                }
                r = w->sink->advance(w->sink_userdata, (size_t) n);
                if (r < 0)
                        return r;
                *done += (uint64_t) n;
                atomic_fetch_add_explicit(&w->report->bytes_read, (uint64_t) n, memory_order_relaxed);
        }
        return 0;
}

/* So many zeros, which may be none. */
static int zeros(Walk *w, uint64_t n) {
        return n > 0 ? w->sink->zeros(w->sink_userdata, n) : 0;
}

/* Copies what was promised; zeros stand for what could not be read. */
static int content_copy(Walk *w, int fd, const Member *m, ContentEnd *ret) {
        const Extent whole = { .size = m->size };
        const Extent *extents = m->sparse ? m->extents : &whole;
        bool holes = w->sink->hole_min > 0;
        size_t n = m->sparse ? m->n_extents : 1;
        uint64_t promised = holes ? m->size : member_stored_size(m), given = 0;
        int r;

        assert(w);

        *ret = CONTENT_WHOLE;
        for (size_t i = 0; i < n && *ret == CONTENT_WHOLE; i++) {
                uint64_t done = 0;

                if (holes) {
                        r = zeros(w, extents[i].offset - given);
                        if (r < 0)
                                return r;
                        given = extents[i].offset;
                }
                r = run_copy(w, fd, &extents[i], &done, ret);
                given += done;
                if (r < 0)
                        return r;
        }
        return zeros(w, promised - given);
}

/* Compares the file with what it was before it was read. */
static void content_check(Walk *w, int fd, const FsStat *before, ContentEnd end, Item *item) {
        const char *path = w->path.data;
        FsStat after;
        int r;

        assert(before);
        assert(item);

        if (end == CONTENT_ERROR) {
                item->entry.incomplete = true;
                return;
        }
        r = fs_stat(w->fs, fd, "", /* follow= */ false, &after);
        if (r < 0)
                after = *before;
        if (end == CONTENT_SHORT) {
                item->entry.incomplete = true;
                report_problem(w->report, path, "SHRANK", /* lost= */ true,
                               "Became shorter while it was read; it is filled with zeros to %" PRIu64
                               " bytes.",
                               before->size);
        } else if (after.size > before->size)
                report_problem(w->report, path, "GREW", /* lost= */ false,
                               "Grew while it was read; the first %" PRIu64 " bytes are stored.",
                               before->size);
        else if (after.size != before->size || after.mtime_sec != before->mtime_sec ||
                 after.mtime_nsec != before->mtime_nsec)
                report_problem(w->report, path, "CHANGED", /* lost= */ false,
                               "Changed while it was read; what is stored may be of before and after.");
}

/* Where the data of a file is; its size is set before. */
static int file_extents(Walk *w, int fd, const FsStat *st, Member *m) {
        int r;

        assert(w);
        assert(st);

        if (st->allocated >= st->size)
                return 0;
        r = metadata_extents(w->fs, fd, st->size, w->sink->extents_max, m);
        if (r >= 0 && w->sink->hole_min > 0)
                metadata_fill_holes(m, w->sink->hole_min);
        return r;
}

/* A regular file with its content. */
static int file_store(Walk *w, int fd, const FsStat *st, Item *item) {
        ContentEnd end;
        int r;

        assert(w);
        assert(item);

        r = item_begin(w, item, st);
        if (r > 0)
                return item_end(w, item);
        if (r >= 0)
                r = content_copy(w, fd, &item->entry.member, &end);
        if (r < 0)
                return r;
        if (!w->stalled)
                content_check(w, fd, st, end, item);
        else
                item->entry.incomplete = true;
        r = item_remember(w, st);
        return r < 0 ? r : item_end(w, item);
}

int walk_store_file(Walk *w, int fd, const FsStat *st) {
        _cleanup_(item_done) Item item = { .entry.member.type = MEMBER_FILE };
        Member *m = &item.entry.member;
        int r;

        assert(w);
        assert(st);

        r = item_fill(w, &item, st, fd, "");
        if (r < 0 || w->stalled)
                return r;
        r = item_link(w, &item, st);
        if (r < 0)
                return r;
        if (r > 0) {
                r = item_begin(w, &item, st);
                return r < 0 ? r : item_end(w, &item);
        }
        m->size = st->size;
        r = file_extents(w, fd, st, m);
        if (r < 0)
                return walk_problem(w, r, "Could not find its holes");
        return file_store(w, fd, st, &item);
}
