/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "archive/restore-meta.h"
#include "archive/restore-object.h"
#include "archive/restore-tree.h"
#include "base/alloc.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/text.h"
#include "crypto/random.h"

#define TEMPORARY_PREFIX ".backupx-restore-"
#define TEMPORARY_RANDOM 8
#define TEMPORARY_SIZE (STRLEN(TEMPORARY_PREFIX) + 2 * TEMPORARY_RANDOM + 1)

/* An object under its temporary name. */
typedef struct Temporary {
        int dirfd;
        char name[TEMPORARY_SIZE]; /* empty: there is none */
        int fd;
} Temporary;

#define TEMPORARY_NULL ((Temporary){ .fd = -EBADF })

static void temporary_done(Temporary *t) {
        t->fd = safe_close(t->fd);
        if (t->name[0])
                (void) unlinkat(t->dirfd, t->name, 0);
}

static int temporary_name(int dirfd, Temporary *ret) {
        uint8_t random[TEMPORARY_RANDOM];
        int r;

        assert(ret);

        r = random_bytes(random, sizeof(random));
        if (r < 0)
                return r;
        ret->dirfd = dirfd;
        (void) hex_encode(random, sizeof(random), stpcpy(ret->name, TEMPORARY_PREFIX));
        return 0;
}

/* Something is in the way. */
static int in_the_way(RestoreRun *r, const char *path, const char *what) {
        if (r->args->conflict == RESTORE_CONFLICT_SKIP)
                return RESTORE_E_SKIPPED;
        return restore_name(r, path, "EXISTS", "cannot be restored: %s", what);
}

int restore_clear_way(RestoreRun *r, int dirfd, const char *name, const char *path) {
        assert(r);
        assert(name);
        assert(path);

        if (r->args->conflict != RESTORE_CONFLICT_OVERWRITE)
                return in_the_way(r, path, "something that is no directory is in its place");
        if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
                return restore_name_errno(r, path, -errno, "cannot replace what is in its place");
        return 0;
}

/* A rename that does not replace, also where the file system cannot do that in one call. */
static int rename_new(int dirfd, const char *from, const char *to) {
        if (renameat2(dirfd, from, dirfd, to, RENAME_NOREPLACE) >= 0)
                return 0;
        if (errno != EINVAL && errno != ENOSYS)
                return -errno;
        if (linkat(dirfd, from, dirfd, to, 0) < 0)
                return -errno;
        (void) unlinkat(dirfd, from, 0);
        return 0;
}

static int rename_over(int dirfd, const char *from, const char *to) {
        if (renameat(dirfd, from, dirfd, to) >= 0)
                return 0;
        if (errno != EISDIR && errno != ENOTEMPTY && errno != EEXIST)
                return -errno;
        /* An empty directory is no loss; one that is not empty stays. */
        if (unlinkat(dirfd, to, AT_REMOVEDIR) < 0 || renameat(dirfd, from, dirfd, to) < 0)
                return -errno;
        return 0;
}

/* The same by somebody who knows what the file is. */
static int commit_known(RestoreRun *r, Temporary *t, const char *name, const char *path) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int k;

        assert(t);

        k = r->args->replace(r->args->userdata, t->dirfd, t->name, name, &failure);
        if (k == -ENOMEM)
                return k;
        if (k < 0)
                return restore_name(r, path, failure_is_set(&failure) ? failure.code : "WRITE",
                                    "cannot be put in its place: %s", failure_message(&failure, k));
        t->name[0] = 0;
        return 0;
}

/* Gives the object its name. */
static int commit(RestoreRun *r, Temporary *t, const char *name, const char *path) {
        bool over = r->args->conflict == RESTORE_CONFLICT_OVERWRITE;
        int k;

        assert(t);

        k = over ? rename_over(t->dirfd, t->name, name) : rename_new(t->dirfd, t->name, name);
        if (k == -EEXIST && !over)
                return in_the_way(r, path, "it exists already");
        if (k == -ENOTEMPTY || k == -EEXIST)
                return in_the_way(r, path, "a directory that is not empty is in its place");
        if (k < 0)
                return restore_name_errno(r, path, k, "cannot be put in its place");
        t->name[0] = 0;
        return 0;
}

static int write_piece(int fd, const uint8_t *p, size_t n, uint64_t offset) {
        while (n > 0) {
                ssize_t w = pwrite(fd, p, n, (off_t) offset);

                if (w < 0 && errno == EINTR)
                        continue;
                if (w <= 0)
                        return w < 0 ? -errno : -EIO;
                p += w;
                n -= (size_t) w;
                offset += (uint64_t) w;
        }
        return 0;
}

/* Copies the content; the holes of a sparse file are not written. */
static int write_content(RestoreRun *r, int fd, const Member *m, const RestoreContent *content) {
        assert(r);
        assert(m);
        assert(content);

        for (;;) {
                const void *piece;
                uint64_t offset;
                ssize_t n;
                int k;

                n = content->next(content->userdata, &piece, &offset);
                if (n == -ENODATA)
                        return RESTORE_E_NAMED;
                if (n < 0)
                        return (int) n;
                if (n == 0)
                        break;
                k = write_piece(fd, piece, (size_t) n, offset);
                if (k < 0)
                        return restore_name_errno(r, m->path, k, "cannot be written");
                r->progress.bytes_written += (uint64_t) n;
                k = restore_tick(r);
                if (k < 0)
                        return k;
        }
        if (m->sparse && ftruncate(fd, (off_t) m->size) < 0)
                return restore_name_errno(r, m->path, -errno, "cannot be written");
        return 0;
}

/* Opens what was made under the temporary name, without any effect of opening it. */
static int open_made(RestoreRun *r, const Member *m, Temporary *t) {
        t->fd = openat(t->dirfd, t->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (t->fd < 0)
                return restore_name_errno(r, m->path, -errno, "cannot be opened after it was made");
        return 0;
}

static int make_file(RestoreRun *r, const Member *m, Temporary *t, const RestoreContent *content) {
        t->fd = openat(t->dirfd, t->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (t->fd < 0) {
                int error = -errno;

                t->name[0] = 0;
                return restore_name_errno(r, m->path, error, "cannot be made");
        }
        return write_content(r, t->fd, m, content);
}

static int make_other(RestoreRun *r, const Member *m, Temporary *t) {
        int k = 0;

        assert(m);
        assert(t);

        switch (m->type) {
        case MEMBER_SYMLINK:
                k = symlinkat(m->target, t->dirfd, t->name);
                break;
        case MEMBER_FIFO:
                k = mknodat(t->dirfd, t->name, S_IFIFO | 0600, 0);
                break;
        case MEMBER_CHARACTER:
                k = mknodat(t->dirfd, t->name, S_IFCHR | 0600, makedev(m->major, m->minor));
                break;
        case MEMBER_BLOCK:
                k = mknodat(t->dirfd, t->name, S_IFBLK | 0600, makedev(m->major, m->minor));
                break;
        case MEMBER_FILE:
        case MEMBER_DIRECTORY:
        case MEMBER_HARDLINK:
        case _MEMBER_TYPE_MAX:
        case _MEMBER_TYPE_INVALID:
                assert(false);
        }
        if (k < 0) {
                int error = -errno;

                t->name[0] = 0;
                return restore_name_errno(r, m->path, error, "cannot be made");
        }
        return open_made(r, m, t);
}

/* Whether something is in the way that stays: then nothing needs to be read. */
static int look_at_way(RestoreRun *r, const TreeSpot *spot, const char *path) {
        struct stat st;

        if (r->args->conflict == RESTORE_CONFLICT_OVERWRITE)
                return 0;
        if (fstatat(spot->fd, spot->name, &st, AT_SYMLINK_NOFOLLOW) >= 0)
                return in_the_way(r, path, "it exists already");
        return errno == ENOENT ? 0 : restore_name_errno(r, path, -errno, "cannot be restored");
}

static int restore_plain(RestoreRun *r, const Member *m, const RestoreContent *content) {
        _cleanup_(temporary_done) Temporary temporary = TEMPORARY_NULL;
        TreeSpot spot;
        int k;

        assert(r);
        assert(m);

        k = restore_tree_go(r->tree, m->path, &spot);
        if (k != 0)
                return k;
        k = look_at_way(r, &spot, m->path);
        if (k != 0)
                return k;
        k = temporary_name(spot.fd, &temporary);
        if (k < 0)
                return k;
        k = m->type == MEMBER_FILE ? make_file(r, m, &temporary, content) : make_other(r, m, &temporary);
        if (k != 0)
                return k;
        k = restore_metadata(r, temporary.fd, m, spot.inherits);
        if (k < 0)
                return k;
        k = m->type == MEMBER_FILE && r->args->replace ? commit_known(r, &temporary, spot.name, m->path) :
                                                         commit(r, &temporary, spot.name, m->path);
        if (k != 0)
                return k;
        return restore_links_add(r->links, m->path);
}

/* Links the object at path, of this run, under the temporary name. */
static int make_link(RestoreRun *r, const char *path, Temporary *t) {
        _cleanup_close_ int from = -EBADF;
        _cleanup_(freep) char *parent = NULL;
        const Place *place = places_find(&r->places, path);

        assert(t);

        if (!place || strlen(path) <= strlen(place->prefix))
                return -ENOENT;
        path = place_relative(place, path);
        parent = memdup0(path, path_parent_length(path));
        if (!parent)
                return -ENOMEM;
        from = place_open(place->fd, parent, O_PATH | O_DIRECTORY);
        if (from < 0)
                return from;
        return linkat(from, path_name(path), t->dirfd, t->name, 0) < 0 ? -errno : 0;
}

static int restore_link(RestoreRun *r, const Member *m) {
        _cleanup_(temporary_done) Temporary temporary = TEMPORARY_NULL;
        char name[TEMPORARY_SIZE];
        const char *first;
        TreeSpot spot;
        int k;

        assert(r);
        assert(m);

        first = restore_links_find(r->links, m->target);
        if (!first)
                return r->origin->copy(r, m);
        k = restore_tree_go(r->tree, m->path, &spot);
        if (k != 0)
                return k;
        k = look_at_way(r, &spot, m->path);
        if (k != 0)
                return k;
        k = temporary_name(spot.fd, &temporary);
        if (k < 0)
                return k;
        k = make_link(r, first, &temporary);
        if (k < 0) {
                temporary.name[0] = 0;
                if (k == -ENOMEM)
                        return k;
                errno = -k;
                k = restore_name(r, m->path, "LINK",
                                 "was restored as a copy: the link to /%s cannot be made: %m", first);
                return k < 0 ? k : r->origin->copy(r, m);
        }
        memcpy(name, temporary.name, sizeof(name));
        k = commit(r, &temporary, spot.name, m->path);
        /* Where both names were links to the same object already, the rename did nothing at all. */
        (void) unlinkat(spot.fd, name, 0);
        return k;
}

int restore_object(RestoreRun *r, const Member *m, const RestoreContent *content) {
        assert(r);
        assert(m);
        assert(m->type != MEMBER_DIRECTORY);
        assert(content || m->type != MEMBER_FILE);

        return m->type == MEMBER_HARDLINK ? restore_link(r, m) : restore_plain(r, m, content);
}
