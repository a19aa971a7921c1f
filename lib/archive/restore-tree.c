/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/restore-meta.h"
#include "archive/restore-object.h"
#include "archive/restore-tree.h"
#include "base/alloc.h"
#include "base/fd.h"

/* Descriptors kept open: those of the innermost levels. A path of PATH_MAX bytes can have 2,000 of them. */
#define LEVELS_OPEN 64

typedef struct Level {
        size_t length; /* of the tree's path, up to here */
        int fd;        /* -EBADF: closed, opened again when it is needed */
        dev_t dev;     /* what it must be then */
        ino_t ino;
        bool inherits;  /* it has a default ACL that was not made here */
        Member *member; /* metadata to set when it is left; or NULL */
} Level;

struct RestoreTree {
        RestoreRun *run;
        const Place *place;
        Buffer path;   /* of the innermost level, a path of the archive */
        Level *levels; /* the first is the place itself, its descriptor belongs to the place */
        size_t n, allocated;
        char *blocked; /* a directory that is not there; what is below it cannot be either */
        int blocked_outcome;
};

static Member *member_free(Member *m) {
        if (m)
                member_done(m);
        return mfree(m);
}

DEFINE_CLEANUP(Member *, member_free);

int restore_tree_new(RestoreRun *run, RestoreTree **ret) {
        RestoreTree *t;

        assert(run);
        assert(ret);

        t = new0(RestoreTree, 1);
        if (!t)
                return -ENOMEM;
        t->run = run;
        *ret = t;
        return 0;
}

static void drop_level(RestoreTree *t) {
        Level *l = t->levels + --t->n;

        if (t->n > 0)
                l->fd = safe_close(l->fd);
        l->member = member_free(l->member);
        if (t->n > 0) {
                t->path.size = l[-1].length;
                t->path.data[t->path.size] = 0;
        }
}

RestoreTree *restore_tree_free(RestoreTree *t) {
        if (!t)
                return NULL;
        while (t->n > 0)
                drop_level(t);
        buffer_done(&t->path);
        free(t->levels);
        free(t->blocked);
        return mfree(t);
}

static Level *top(RestoreTree *t) {
        assert(t->n > 0);

        return t->levels + t->n - 1;
}

/* Opens the innermost level again if it was closed meanwhile. */
static int top_fd(RestoreTree *t) {
        Level *l = top(t);
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        assert(t);

        if (l->fd >= 0)
                return l->fd;
        fd = place_open(t->place->fd, place_relative(t->place, t->path.data), O_RDONLY | O_DIRECTORY);
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_dev != l->dev || st.st_ino != l->ino)
                return -ESTALE; /* somebody put another directory there */
        l->fd = TAKE_FD(fd);
        return l->fd;
}

/* Sets the metadata of the innermost level and leaves it. */
static int leave(RestoreTree *t) {
        Level *l = top(t);
        int r = 0, fd;

        assert(t);

        if (l->member) {
                fd = top_fd(t);
                if (fd < 0)
                        r = restore_name_errno(t->run, l->member->path, fd,
                                               "was restored, but is not there any more");
                else
                        r = restore_metadata(t->run, fd, l->member, /* inherits= */ false);
        }
        drop_level(t);
        return r < 0 ? r : 0;
}

int restore_tree_finish(RestoreTree *t) {
        int r = 0;

        assert(t);

        while (t->n > 0) {
                int k = leave(t);

                if (k < 0 && r >= 0)
                        r = k;
        }
        return r;
}

/* Makes the descriptor the innermost level. Takes fd and member, also on failure. */
static int push(RestoreTree *t, const char *path, size_t length, int fd, bool inherits, Member *member) {
        _cleanup_(member_freep) Member *m = member;
        Level *grown;
        struct stat st;
        int r;

        assert(t);

        if (fstat(fd, &st) < 0)
                r = -errno;
        else {
                r = buffer_reserve(&t->path, length - MIN(length, t->path.size));
                grown = r < 0 ? NULL : reallocarray(t->levels, t->n + 1, sizeof(Level));
                if (grown)
                        t->levels = grown;
                else
                        r = -ENOMEM;
        }
        if (r < 0) {
                if (t->n > 0)
                        (void) safe_close(fd);
                return r;
        }
        memcpy(t->path.data, path, length);
        t->path.data[length] = 0;
        t->path.size = length;
        t->levels[t->n++] = (Level){ .length = length,
                                     .fd = fd,
                                     .dev = st.st_dev,
                                     .ino = st.st_ino,
                                     .inherits = inherits,
                                     .member = TAKE_PTR(m) };
        /* The first one is the place's own. */
        if (t->n > LEVELS_OPEN + 1)
                t->levels[t->n - 1 - LEVELS_OPEN].fd = safe_close(t->levels[t->n - 1 - LEVELS_OPEN].fd);
        return 0;
}

/* Remembers that path is no directory, so that what is below it is not tried. */
static int block(RestoreTree *t, const char *path, size_t length, int outcome) {
        char *copy;

        assert(t);

        if (outcome < 0)
                return outcome;
        copy = memdup0(path, length);
        if (!copy)
                return -ENOMEM;
        free(t->blocked);
        t->blocked = copy;
        t->blocked_outcome = outcome;
        return outcome;
}

/* Whether the directory may have the archive's metadata: it is new, or what is there is to be replaced. */
static bool takes_metadata(const RestoreTree *t, bool made) {
        return made || t->run->args->conflict == RESTORE_CONFLICT_OVERWRITE;
}

/* Opens or makes the directory name in the innermost level. */
static int open_directory(RestoreTree *t, const char *path, const char *name, bool *ret_made, int *ret_fd) {
        int parent, fd, r;
        bool made;

        assert(t);

        parent = top_fd(t);
        if (parent < 0)
                return restore_name_errno(t->run, path, parent, "cannot be made");
        made = mkdirat(parent, name, 0700) >= 0;
        if (!made && errno != EEXIST)
                return restore_name_errno(t->run, path, -errno, "cannot be made");
        fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && (errno == ENOTDIR || errno == ELOOP)) {
                r = restore_clear_way(t->run, parent, name, path);
                if (r != 0)
                        return r;
                made = mkdirat(parent, name, 0700) >= 0;
                fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        }
        if (fd < 0)
                return restore_name_errno(t->run, path, -errno, "cannot be opened");
        if (made && top(t)->inherits)
                restore_drop_acls(fd);
        *ret_made = made;
        *ret_fd = fd;
        return 0;
}

/* Goes one level down, to a directory that has no member of its own among what is restored. */
static int descend(RestoreTree *t, const char *path, size_t length) {
        _cleanup_(freep) char *directory = memdup0(path, length);
        _cleanup_(member_freep) Member *member = NULL;
        bool made;
        int fd, r;

        assert(t);

        if (!directory)
                return -ENOMEM;
        r = open_directory(t, directory, path_name(directory), &made, &fd);
        if (r != 0)
                return block(t, path, length, r);
        if (made) {
                member = new0(Member, 1);
                r = !member ? -ENOMEM : t->run->origin->lookup(t->run, directory, member);
                if (r < 0 || member->type != MEMBER_DIRECTORY)
                        member = member_free(member);
                if (r < 0 && r != -ENOENT) {
                        (void) safe_close(fd);
                        return r;
                }
        }
        return push(t, path, length, fd, !made && restore_has_default_acl(fd), TAKE_PTR(member));
}

/* Makes the place of path the outermost level. */
static int enter_place(RestoreTree *t, const Place *place) {
        int r;

        assert(t);

        if (t->n > 0 && t->place == place)
                return 0;
        r = restore_tree_finish(t);
        if (r < 0)
                return r;
        t->place = place;
        return push(t, place->prefix, strlen(place->prefix), place->fd, restore_has_default_acl(place->fd),
                    NULL);
}

/* Makes the directory that the first length bytes of path name the innermost level. */
static int go(RestoreTree *t, const char *path, size_t length) {
        int r;

        assert(t);

        while (t->n > 1 &&
               !(t->path.size <= length && memcmp(t->path.data, path, t->path.size) == 0 &&
                 (t->path.size == length || path[t->path.size] == '/'))) {
                r = leave(t);
                if (r < 0)
                        return r;
        }
        while (t->path.size < length) {
                size_t from = t->path.size > 0 ? t->path.size + 1 : 0, k = from;

                while (k < length && path[k] != '/')
                        k++;
                r = descend(t, path, k);
                if (r != 0)
                        return r;
        }
        return 0;
}

static bool is_blocked(RestoreTree *t, const char *path) {
        if (!t->blocked)
                return false;
        if (path_is_within(path, t->blocked))
                return true;
        free(t->blocked);
        t->blocked = NULL;
        return false;
}

int restore_tree_go(RestoreTree *t, const char *path, TreeSpot *ret) {
        const Place *place;
        int r;

        assert(t);
        assert(path);
        assert(ret);

        if (is_blocked(t, path)) {
                if (t->blocked_outcome == RESTORE_E_NAMED) /* the directory was named, this one is counted */
                        t->run->result->errors_total++;
                return t->blocked_outcome;
        }
        place = places_find(&t->run->places, path);
        assert(place);
        assert(strlen(path) > strlen(place->prefix));
        r = enter_place(t, place);
        if (r < 0)
                return r;
        r = go(t, path, path_parent_length(path));
        if (r != 0)
                return r;
        r = top_fd(t);
        if (r < 0)
                return restore_name_errno(t->run, path, r,
                                          "cannot be restored, its directory cannot be opened");
        *ret = (TreeSpot){ .fd = r, .name = path_name(path), .inherits = top(t)->inherits };
        return 0;
}

/* The place itself is a directory of the archive. */
static int restore_place_directory(RestoreTree *t, const Place *place, Member *m) {
        int r;

        assert(t);
        assert(place);

        r = enter_place(t, place);
        if (r < 0)
                return r;
        r = go(t, m->path, strlen(m->path));
        if (r != 0)
                return r;
        if (!takes_metadata(t, place->made) || t->levels[0].member)
                return 0;
        t->levels[0].member = new0(Member, 1);
        if (!t->levels[0].member)
                return -ENOMEM;
        *t->levels[0].member = *m;
        *m = MEMBER_NULL;
        return 0;
}

int restore_tree_directory(RestoreTree *t, Member *m) {
        _cleanup_(member_freep) Member *member = NULL;
        const Place *place;
        const char *path;
        TreeSpot spot;
        bool made;
        int fd, r;

        assert(t);
        assert(m);

        place = places_find(&t->run->places, m->path);
        assert(place);
        if (strlen(m->path) == strlen(place->prefix))
                return restore_place_directory(t, place, m);
        r = restore_tree_go(t, m->path, &spot);
        if (r != 0)
                return r;
        r = open_directory(t, m->path, spot.name, &made, &fd);
        if (r != 0)
                return block(t, m->path, strlen(m->path), r);
        if (takes_metadata(t, made)) {
                member = new0(Member, 1);
                if (!member) {
                        (void) safe_close(fd);
                        return -ENOMEM;
                }
                *member = *m;
                *m = MEMBER_NULL;
        }
        path = member ? member->path : m->path;
        return push(t, path, strlen(path), fd, !made && restore_has_default_acl(fd), TAKE_PTR(member));
}
