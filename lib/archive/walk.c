/* SPDX-License-Identifier: Apache-2.0 */

/* Where the walk goes.
 *
 * Sources are a tree of names beside the tree of directories: a directory may be walked in full, or only for
 * the children that lead to sources. What leads to a source is opened as the administrator wrote it, links
 * followed. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "archive/walk-internal.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"

static void walk_done(Walk *w) {
        assert(w);

        walk_dirs_done(w);
        fs_free(w->fs);
        excludes_free(w->excludes);
        mounts_free(w->mounts);
        links_free(w->links);
        owner_names_free(w->owners);
        buffer_done(&w->path);
        free(w->xattrs);
}

int walk_problem(Walk *w, int error, const char *what) {
        const char *path = w->path.data;

        switch (error) {
        case -ENOMEM:
        case -ECANCELED:
                return error;
        case -ETIMEDOUT:
                w->stalled = true;
                report_problem(w->report, path, "STALLED", /* lost= */ true,
                               "%s: its file system does not answer; it is left out from here on. Is the "
                               "server or "
                               "the FUSE program behind this mount point alive?",
                               what);
                return 0;
        case -ENOENT:
                w->report->skipped++;
                report_problem(w->report, path, "VANISHED", /* lost= */ false,
                               "Was removed before it could be read.");
                return 0;
        }
        report_problem(w->report, path, "UNREADABLE", /* lost= */ true, "%s: %s.", what, strerror(-error));
        return 0;
}

static int child_replaced(Walk *w) {
        report_problem(w->report, w->path.data, "UNREADABLE", /* lost= */ true,
                       "Was replaced by something else while it was opened.");
        return 0;
}

/* A source that is not there is no accident of timing. */
static int child_problem(Walk *w, const Child *c, int error, const char *what) {
        if (error == -ENOENT && c->node) {
                report_problem(w->report, w->path.data, "UNREADABLE", /* lost= */ true,
                               "There is no such file or directory, but it is to be backed up.");
                return 0;
        }
        /* By a link, or where there was a directory. */
        if (error == -ENOTDIR || (error == -ELOOP && !c->follow))
                return child_replaced(w);
        return walk_problem(w, error, what);
}

/* What the excludes see: the path below its source. */
static const char *path_below_source(const Walk *w, const Dir *d) {
        return w->path.data + d->source_length + (d->source_length > 0);
}

/* --- Directories -------------------------------------------------------------------------------------- */

static bool is_ancestor(const Walk *w, const FsStat *st) {
        for (size_t i = 0; i < w->n_dirs; i++)
                if (w->dirs[i].dev == st->dev && w->dirs[i].ino == st->ino)
                        return true;
        return false;
}

/* Where a descriptor really is, links resolved: on a file system that may not answer? */
static bool fd_is_remote(const Walk *w, int fd) {
        char link[48], path[PATH_MAX + 1];
        ssize_t n;

        assert(w);

        (void) snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        n = readlink(link, path, sizeof path - 1);
        if (n < 0)
                return false;
        path[n] = 0;
        return mounts_is_below_remote(w->mounts, path);
}

static bool is_own_target(const Walk *w, const FsStat *st) {
        for (size_t i = 0; i < w->n_own; i++)
                if (w->own[i].dev == st->dev && w->own[i].ino == st->ino)
                        return true;
        return false;
}

/* Whether nothing below this directory belongs to the backup; says why where it is not obvious. */
static bool dir_is_border(Walk *w, const Dir *parent, const Child *c, int fd) {
        uint64_t type = 0;

        assert(w);
        assert(parent);
        assert(c);

        if (c->node && c->node->is_source)
                return false;
        if (is_own_target(w, &c->stat)) {
                report_log(w->report, ARCHIVE_LOG_INFO,
                           "/%s is a target of this backup; its content is left out.", w->path.data);
                return true;
        }
        if (c->stat.dev == parent->dev)
                return false;
        if (w->args->one_file_system && c->stat.dev != parent->source_dev)
                return true;
        if (fs_type(w->fs, fd, &type) < 0 || !fs_type_is_pseudo(type))
                return false;
        report_log(w->report, ARCHIVE_LOG_INFO,
                   "/%s is a file system of the kernel's own state; its content is left out.", w->path.data);
        return true;
}

/* A directory that is open: stores it, and goes down into it. */
static int dir_enter(Walk *w, const Child *c, int fd, bool full, bool linked) {
        const Dir *parent = walk_top(w);
        bool source = c->node && c->node->is_source, border;
        Dir d = {
                .fd = fd,
                .path_length = w->path.size,
                .dev = c->stat.dev,
                .ino = c->stat.ino,
                .node = c->node,
                .linked = linked,
                .source = source ? c->node->index : parent->source,
                .source_length = source ? w->path.size : parent->source_length,
                .source_dev = source ? c->stat.dev : parent->source_dev,
        };
        int r;

        border = full && dir_is_border(w, parent, c, fd);
        d.full = full && !border;
        d.guarded = parent->guarded || (linked || c->node ? fd_is_remote(w, fd) : false);
        if (c->stat.dev != parent->dev)
                d.guarded |= mounts_is_remote(w->mounts, w->path.data);
        r = walk_store_node(w, c, fd, /* parent= */ !full && !source, /* incomplete= */ false);
        if (r < 0 || w->stalled) {
                safe_close(fd);
                return r;
        }
        return walk_dir_push(w, d);
}

/* A directory that cannot be opened is stored, without what is in it. */
static int dir_unreadable(Walk *w, Child *c, int error) {
        int r;

        assert(w);
        assert(c);

        r = child_problem(w, c, error, "Could not open the directory");
        if (r < 0 || w->stalled || error == -ENOENT)
                return r;
        r = fs_stat(w->fs, c->dirfd, c->name, c->follow, &c->stat);
        if (r < 0 || !S_ISDIR(c->stat.mode))
                return 0;
        r = walk_store_node(w, c, /* fd= */ -EBADF, /* parent= */ false, /* incomplete= */ true);
        if (r < 0)
                return r;
        r = w->sink->enter(w->sink_userdata, w->path.data);
        return r < 0 ? r : w->sink->leave(w->sink_userdata);
}

static int dir_visit(Walk *w, Child *c, bool full, bool linked) {
        int fd, r;

        assert(w);
        assert(c);

        fd = walk_open(w, c->dirfd, c->name,
                       (full ? WALK_OPEN_DIRECTORY : O_PATH | O_DIRECTORY) | (c->follow ? 0 : O_NOFOLLOW));
        if (fd < 0)
                return dir_unreadable(w, c, fd);
        r = fs_stat(w->fs, fd, "", /* follow= */ false, &c->stat);
        if (r < 0) {
                safe_close(fd);
                return child_problem(w, c, r, "Could not look at the directory");
        }
        if (linked && (is_ancestor(w, &c->stat) || w->n_linked >= WALK_LINKS_MAX)) {
                safe_close(fd);
                report_problem(w->report, w->path.data, "LOOP", /* lost= */ w->n_linked >= WALK_LINKS_MAX,
                               "The link leads back to where it is, or through too many links; it is not "
                               "followed.");
                return 0;
        }
        return dir_enter(w, c, fd, full, linked);
}

/* --- Everything else ---------------------------------------------------------------------------------- */

/* Whether the sink takes the file as it is known, without a look into it. */
static int file_is_known(Walk *w, Child *c) {
        int r;

        if (!w->sink->known)
                return 0;
        r = fs_stat(w->fs, c->dirfd, c->name, c->follow, &c->stat);
        /* What is wrong with it is told when it is opened. */
        if (r < 0 || !S_ISREG(c->stat.mode))
                return 0;
        r = w->sink->known(w->sink_userdata, w->path.data, &c->stat);
        w->report->files += r > 0;
        return r;
}

static int file_visit(Walk *w, Child *c) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        assert(w);
        assert(c);

        r = file_is_known(w, c);
        if (r != 0)
                return MIN(r, 0);
        fd = walk_open(w, c->dirfd, c->name, O_RDONLY | O_NONBLOCK | (c->follow ? 0 : O_NOFOLLOW));
        if (fd < 0)
                return child_problem(w, c, fd, "Could not be opened");
        r = fs_stat(w->fs, fd, "", /* follow= */ false, &c->stat);
        if (r < 0)
                return child_problem(w, c, r, "Could not be looked at");
        return S_ISREG(c->stat.mode) ? walk_store_file(w, fd, &c->stat) : child_replaced(w);
}

/* What a name is: from the listing where that says it, else from stat. Links are followed where they are to
 * be, and where they lead to something. */
static int child_look(Walk *w, Child *c, unsigned char type, bool *ret_linked) {
        int r;

        assert(w);
        assert(c);

        *ret_linked = false;
        if ((type == DT_REG || type == DT_DIR) && !c->node) {
                c->stat.mode = type == DT_REG ? S_IFREG : S_IFDIR;
                return 0;
        }
        r = fs_stat(w->fs, c->dirfd, c->name, /* follow= */ false, &c->stat);
        if (r < 0 || !S_ISLNK(c->stat.mode) || !c->follow)
                return r;
        r = fs_stat(w->fs, c->dirfd, c->name, /* follow= */ true, &c->stat);
        *ret_linked = r >= 0;
        if ((r == -ENOENT || r == -ELOOP) && !c->node) {
                c->follow = false;
                return fs_stat(w->fs, c->dirfd, c->name, /* follow= */ false, &c->stat);
        }
        return r;
}

/* Whether the policy and the excludes let this name in; *full becomes false for what only leads to a source.
 */
static bool child_is_wanted(Walk *w, const Dir *d, const Child *c, bool *full) {
        _cleanup_(freep) char *absolute = NULL;
        bool source = c->node && c->node->is_source;
        int r;

        assert(w);
        assert(d);

        if (*full && !source &&
            excludes_match(w->excludes, d->source, path_below_source(w, d), S_ISDIR(c->stat.mode))) {
                if (!c->node)
                        return false;
                *full = false;
        }
        if (!w->args->allowed || (!*full && !source))
                return true;
        r = asprintf_safe(&absolute, "/%s", w->path.data);
        if (r >= 0)
                r = w->args->allowed(w->args->userdata, absolute);
        if (r < 0)
                report_problem(w->report, w->path.data, "REFUSED", /* lost= */ true,
                               "The policy of this host does not allow backing it up.");
        return r >= 0;
}

static int child_visit(Walk *w, const char *name, unsigned char type, const SourceNode *node) {
        const Dir *d = walk_top(w);
        Child c = { .dirfd = d->fd, .name = name, .node = node, .follow = node || w->args->follow_symlinks };
        bool full = d->full || (node && node->is_source), linked = false;
        int r;

        r = walk_path_push(w, name);
        if (r < 0)
                return r;
        report_current(w->report, w->path.data);
        /* The first step to what may not answer is guarded, too. */
        fs_guard(w->fs,
                 d->guarded || node || (type == DT_LNK && c.follow) ||
                                 (type != DT_REG && mounts_is_remote(w->mounts, w->path.data)));
        r = child_look(w, &c, type, &linked);
        if (r < 0)
                return child_problem(w, &c, r, "Could not be looked at");
        if (!child_is_wanted(w, d, &c, &full))
                return 0;
        if (S_ISDIR(c.stat.mode))
                return dir_visit(w, &c, full, linked);
        if (!full)
                return child_problem(w, &c, -ENOTDIR, "Leads to a source");
        if (S_ISREG(c.stat.mode))
                return file_visit(w, &c);
        if (S_ISSOCK(c.stat.mode)) {
                w->report->skipped++;
                return 0;
        }
        return walk_store_node(w, &c, /* fd= */ -EBADF, /* parent= */ false, /* incomplete= */ false);
}

/* The next child of d: a name of its list, or one that leads to a source, whichever is first. 0: no more. */
static int child_next(Walk *w, Dir *d, const char **ret, unsigned char *ret_type,
                      const SourceNode **ret_node) {
        const SourceNode *node = NULL;
        int r = 0;

        assert(w);
        assert(d);

        if (d->lost)
                return 0;
        if (d->node && d->next_node < d->node->n_children)
                node = d->node->children[d->next_node];
        if (d->full) {
                fs_guard(w->fs, d->guarded);
                r = name_list_peek(&d->names, w->fs, d->fd, ret, ret_type);
                if (r < 0) {
                        d->lost = true;
                        return walk_problem(w, r, "Could not list the directory");
                }
        }
        if (r > 0 && (!node || strcmp(*ret, node->name) <= 0)) {
                *ret_node = node && streq(*ret, node->name) ? node : NULL;
                d->next_node += *ret_node != NULL;
                name_list_skip(&d->names);
                return 1;
        }
        if (!node)
                return 0;
        d->next_node++;
        *ret = node->name;
        *ret_type = DT_UNKNOWN;
        *ret_node = node;
        return 1;
}

/* Leaves everything that is on a file system which does not answer. */
static int stalled_leave(Walk *w) {
        int r = 0;

        assert(w);

        w->stalled = false;
        while (r >= 0 && w->n_dirs > 0 && walk_top(w)->guarded) {
                if (w->n_dirs > 1)
                        w->dirs[w->n_dirs - 2].lost |= w->dirs[w->n_dirs - 2].fd < 0;
                r = walk_dir_pop(w);
        }
        return r;
}

static int step(Walk *w) {
        const SourceNode *node = NULL;
        const char *name = NULL;
        unsigned char type = DT_UNKNOWN;
        size_t depth = w->n_dirs;
        int r;

        r = child_next(w, walk_top(w), &name, &type, &node);
        if (r == 0 && !w->stalled)
                return walk_dir_pop(w);
        if (r > 0) {
                r = child_visit(w, name, type, node);
                if (w->n_dirs == depth)
                        walk_path_cut(w, walk_top(w)->path_length);
        }
        if (r >= 0 && w->stalled)
                r = stalled_leave(w);
        return r;
}

/* Finds the directories that are targets. One that cannot be looked at is not found in a source either. */
static void own_targets_find(Walk *w) {
        assert(w);

        fs_guard(w->fs, true);
        for (size_t i = 0; i < w->args->n_targets; i++) {
                const char *path = storage_directory(w->args->targets[i].storage);
                FsStat st;

                if (path && fs_stat(w->fs, AT_FDCWD, path, /* follow= */ true, &st) >= 0)
                        w->own[w->n_own++] = (OwnTarget){ st.dev, st.ino };
        }
        fs_guard(w->fs, false);
}

static int walk_start(Walk *w) {
        const SourceNode *root = w->sources->root;
        Child c = { .dirfd = AT_FDCWD, .name = "/", .node = root };
        Dir d = { .node = root, .full = root->is_source, .source = root->index };
        int r;

        r = buffer_add_string(&w->path, "");
        if (r < 0)
                return r;
        d.fd = walk_open(w, AT_FDCWD, "/", d.full ? WALK_OPEN_DIRECTORY : O_PATH | O_DIRECTORY);
        if (d.fd < 0)
                return d.fd;
        r = fs_stat(w->fs, d.fd, "", /* follow= */ false, &c.stat);
        if (r >= 0 && d.full)
                r = walk_store_node(w, &c, d.fd, /* parent= */ false, /* incomplete= */ false);
        if (r < 0) {
                safe_close(d.fd);
                return r;
        }
        d.dev = d.source_dev = c.stat.dev;
        d.ino = c.stat.ino;
        return walk_dir_push(w, d);
}

int walk_run(const BackupArgs *args, const Sources *sources, const WalkSink *sink, void *sink_userdata,
             Report *report) {
        _cleanup_(walk_done) Walk w = {
                .args = args,
                .sources = sources,
                .sink = sink,
                .sink_userdata = sink_userdata,
                .report = report,
        };
        int r;

        assert(args);
        assert(sources);
        assert(sink);
        assert(report);

        w.xattrs = malloc(METADATA_BUFFER);
        if (!w.xattrs)
                return -ENOMEM;
        r = fs_new(args->source_stall > 0 ? args->source_stall : BACKUP_SOURCE_STALL, args->cancel, &w.fs);
        if (r >= 0)
                r = excludes_new(args->excludes, sources->paths, &w.excludes, /* reterr_failure= */ NULL);
        if (r >= 0)
                r = mounts_load(&w.mounts);
        if (r >= 0)
                r = links_new(LINKS_BUDGET, &w.links);
        if (r >= 0)
                r = owner_names_new(&w.owners);
        if (r >= 0)
                own_targets_find(&w);
        if (r >= 0)
                r = walk_start(&w);
        while (r >= 0 && w.n_dirs > 0) {
                if (args->cancel && atomic_load_explicit(args->cancel, memory_order_relaxed))
                        return -ECANCELED;
                r = step(&w);
        }
        if (r >= 0 && w.copies > 0)
                report_log(report, ARCHIVE_LOG_WARNING, "%" PRIu64 " hard links were stored as copies.",
                           w.copies);
        return r;
}
