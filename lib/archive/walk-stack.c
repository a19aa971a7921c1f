/* SPDX-License-Identifier: Apache-2.0 */

/* The directories on the way down. The stack is explicit, so that depth costs memory in proportion and no
 * more; every name is opened relative to its directory, so that paths may be longer than PATH_MAX and nobody
 * can put a link in the way. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "archive/walk-internal.h"
#include "base/alloc.h"
#include "base/fd.h"

/* Refusals of O_NOATIME in a row after which it is not tried any more: we own nothing here. */
#define NOATIME_TRIES 64

Dir *walk_top(Walk *w) {
        return w->n_dirs == 0 ? NULL : &w->dirs[w->n_dirs - 1];
}

int walk_open(Walk *w, int dirfd, const char *name, int flags) {
        int fd;

        assert(w);

        if (w->noatime_refused < NOATIME_TRIES && (flags & O_PATH) == 0) {
                fd = fs_open(w->fs, dirfd, name, flags | O_NOATIME);
                if (fd != -EPERM) {
                        w->noatime_refused = 0;
                        return fd;
                }
                w->noatime_refused++;
        }
        return fs_open(w->fs, dirfd, name, flags);
}

/* --- Paths -------------------------------------------------------------------------------------------- */

int walk_path_push(Walk *w, const char *name) {
        int r;

        assert(w);

        if (w->path.size > 0) {
                r = buffer_add(&w->path, "/", 1);
                if (r < 0)
                        return r;
        }
        return buffer_add_string(&w->path, name);
}

void walk_path_cut(Walk *w, size_t length) {
        w->path.size = length;
        w->path.data[length] = 0;
}

/* --- The stack ---------------------------------------------------------------------------------------- */

/* Closes directories far above, if ".." leads back to them. */
static void dirs_park(Walk *w) {
        Dir *d;

        if (w->n_dirs <= WALK_OPEN_MAX)
                return;
        d = &w->dirs[w->n_dirs - 1 - WALK_OPEN_MAX];
        if (!d[1].linked)
                d->fd = safe_close(d->fd);
}

/* Opens the parent of d again from below. */
static void dir_unpark(Walk *w, const Dir *child, Dir *d) {
        FsStat st;
        int fd, r;

        assert(w);
        assert(child);
        assert(d);

        if (d->fd >= 0 || d->lost)
                return;
        fs_guard(w->fs, d->guarded);
        fd = walk_open(w, child->fd, "..", d->full ? WALK_OPEN_DIRECTORY : O_PATH | O_DIRECTORY);
        r = fd < 0 ? fd : fs_stat(w->fs, fd, "", /* follow= */ false, &st);
        if (r >= 0 && st.dev == d->dev && st.ino == d->ino) {
                d->fd = fd;
                return;
        }
        safe_close(fd);
        d->lost = true;
        report_problem(w->report, w->path.data, "UNREADABLE", /* lost= */ true,
                       "The directory was moved while it was read; the rest of it is left out.");
}

int walk_dir_pop(Walk *w) {
        Dir *d = walk_top(w);

        assert(w);
        assert(d);

        if (w->n_dirs > 1) {
                walk_path_cut(w, d[-1].path_length);
                dir_unpark(w, d, &d[-1]);
        }
        w->names_used -= name_list_memory(&d->names);
        name_list_done(&d->names);
        d->fd = safe_close(d->fd);
        w->n_linked -= d->linked;
        w->n_dirs--;
        return w->sink->leave(w->sink_userdata);
}

static int dirs_grow(Walk *w) {
        Dir *grown;
        size_t n;

        assert(w);

        if (w->n_dirs < w->n_allocated)
                return 0;
        n = w->n_allocated == 0 ? 64 : 2 * w->n_allocated;
        grown = reallocarray(w->dirs, n, sizeof *grown);
        if (!grown)
                return -ENOMEM;
        w->dirs = grown;
        w->n_allocated = n;
        return 0;
}

static size_t names_budget(const Walk *w) {
        size_t left = w->names_used < WALK_NAMES_BUDGET ? WALK_NAMES_BUDGET - w->names_used : 0;

        /* Half of what is left, so that something is left for every level below. */
        return MAX(left / 2, (size_t) WALK_NAMES_MIN);
}

int walk_dir_push(Walk *w, Dir d) {
        int r;

        assert(w);

        r = dirs_grow(w);
        if (r >= 0)
                r = w->sink->enter(w->sink_userdata, w->path.data);
        if (r < 0) {
                safe_close(d.fd);
                return r;
        }
        w->n_linked += d.linked;
        w->dirs[w->n_dirs++] = d;
        dirs_park(w);
        if (!d.full || d.fd < 0)
                return 0;
        report_first_read(w->report);
        fs_guard(w->fs, d.guarded);
        r = name_list_read(&walk_top(w)->names, w->fs, d.fd, names_budget(w));
        w->names_used += name_list_memory(&walk_top(w)->names);
        if (r < 0) {
                walk_top(w)->lost = true;
                return walk_problem(w, r, "Could not list the directory");
        }
        return 0;
}

void walk_dirs_done(Walk *w) {
        assert(w);

        while (w->n_dirs > 0) {
                Dir *d = &w->dirs[--w->n_dirs];

                safe_close(d->fd);
                name_list_done(&d->names);
        }
        free(w->dirs);
}
