/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "archive/restore-check.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "wire/path.h"

/* The words for a path of the archive. "" where memory ended: the sentence stays readable. */
static char *shown(const char *path) {
        _cleanup_(freep) char *display = NULL;
        char *text;

        if (path_display(path, &display) < 0 || asprintf_safe(&text, "/%s", display) < 0)
                return NULL;
        return text;
}

/* --- Selections ---------------------------------------------------------------------------------------- */

/* The first child of a directory behind a name. */
typedef struct NextChild {
        const char *after; /* a path */
        bool found;
        uint64_t offset;
} NextChild;

static int find_next_child(void *userdata, const char *directory, Entry *e) {
        NextChild *next = ASSERT_PTR(userdata);

        if (strcmp(path_name(e->member.path), path_name(next->after)) <= 0)
                return 0;
        next->found = true;
        next->offset = e->offset;
        return 1;
}

/* Where the run of members below path ends: where the next sibling of it, or of a directory above it,
 * begins. */
static int find_end(RestoreRun *r, const char *path, uint64_t *ret) {
        _cleanup_(freep) char *at = strdup(path);

        assert(r);

        if (!at)
                return -ENOMEM;
        while (at[0]) {
                _cleanup_(freep) char *parent = memdup0(at, path_parent_length(at));
                NextChild next = { .after = at };
                int k;

                if (!parent)
                        return -ENOMEM;
                k = copies_list(r->copies, parent, find_next_child, &next, &r->result->failure);
                if (k < 0 && k != -ENOENT)
                        return k;
                if (next.found) {
                        *ret = next.offset;
                        return 0;
                }
                at[path_parent_length(at)] = 0;
        }
        *ret = copies_manifest(r->copies)->plain_size;
        return 0;
}

static int select_path(RestoreRun *r, const char *absolute) {
        _cleanup_(entry_done) Entry entry = ENTRY_NULL;
        _cleanup_(freep) char *path = NULL, *text = NULL;
        Selection s = {};
        int k;

        assert(r);

        k = path_from_absolute(absolute, &path);
        if (k == -EINVAL)
                return failure_set(&r->result->failure, k, "PATH_INVALID",
                                   "A chosen path is not an absolute one");
        if (k < 0)
                return k;
        text = shown(path);
        if (!text)
                return -ENOMEM;
        k = copies_lookup(r->copies, path, &entry, &r->result->failure);
        if (k == -ENOENT && path[0])
                return failure_set(&r->result->failure, k, "PATH_NOT_FOUND", "The archive does not have %s",
                                   text);
        if (k < 0 && k != -ENOENT)
                return k;
        s.start = k == -ENOENT ? 0 : entry.offset;
        s.end = s.start + entry.length;
        if (k == -ENOENT || entry.member.type == MEMBER_DIRECTORY)
                k = find_end(r, path, &s.end);
        if (k < 0 && k != -ENOENT)
                return k;
        if (entry.incomplete) {
                k = restore_name(r, path, "INCOMPLETE", "could not be read whole when it was backed up");
                if (k < 0)
                        return k;
        }
        s.path = TAKE_PTR(path);
        r->selections[r->n_selections++] = s;
        return 0;
}

static int compare_selections(const void *a, const void *b) {
        const Selection *x = a, *y = b;

        if (x->start != y->start)
                return x->start < y->start ? -1 : 1;
        return strlen(x->path) < strlen(y->path) ? -1 : strlen(x->path) > strlen(y->path);
}

/* Sorts them and drops those within another. */
static void sort_selections(RestoreRun *r) {
        size_t n = 0;

        assert(r);

        qsort(r->selections, r->n_selections, sizeof(Selection), compare_selections);
        for (size_t i = 0; i < r->n_selections; i++) {
                if (n > 0 && path_is_within(r->selections[i].path, r->selections[n - 1].path))
                        free(r->selections[i].path);
                else
                        r->selections[n++] = r->selections[i];
        }
        r->n_selections = n;
}

static int read_sources(RestoreRun *r) {
        const Manifest *m = copies_manifest(r->copies);

        STRV_FOREACH(source, m->sources) {
                _cleanup_(freep) char *path = NULL;
                int k;

                k = path_from_absolute(*source, &path);
                if (k < 0)
                        return failure_set(&r->result->failure, k == -EINVAL ? -EBADMSG : k,
                                           "ARCHIVE_DAMAGED",
                                           "The manifest of the archive names a source that is no path");
                k = strv_extend(&r->sources, path);
                if (k < 0)
                        return k;
        }
        return 0;
}

int restore_check_selections(RestoreRun *r) {
        size_t n;
        int k;

        assert(r);

        k = read_sources(r);
        if (k < 0)
                return k;
        n = strv_length(r->args->paths);
        r->selections = new0(Selection, MAX(n, (size_t) 1));
        if (!r->selections)
                return -ENOMEM;
        if (n == 0) {
                const Manifest *m = copies_manifest(r->copies);

                r->selections[0] = (Selection){ .path = strdup(""), .end = m->plain_size };
                if (!r->selections[0].path)
                        return -ENOMEM;
                r->n_selections = 1;
                r->progress.files_total = m->files + m->others;
        }
        STRV_FOREACH(path, r->args->paths) {
                k = select_path(r, *path);
                if (k < 0)
                        return k;
        }
        sort_selections(r);
        for (size_t i = 0; i < r->n_selections; i++)
                r->progress.bytes_total += r->selections[i].end - r->selections[i].start;
        return 0;
}

/* --- Places -------------------------------------------------------------------------------------------- */

static int ask(RestoreRun *r, const Place *place, const char *rest) {
        _cleanup_(freep) char *path = NULL;
        int k;

        assert(r);
        assert(place);

        k = asprintf_safe(&path, "%s%s%s", streq(place->path, "/") && rest[0] ? "" : place->path,
                          rest[0] ? "/" : "", rest);
        if (k < 0)
                return k;
        k = strv_extend(&r->result->roots, path);
        if (k < 0 || !r->args->allowed)
                return k;
        k = r->args->allowed(r->args->userdata, path);
        if (k < 0) {
                _cleanup_(freep) char *display = NULL;

                if (path_display(path, &display) < 0)
                        return -ENOMEM;
                return failure_set(&r->result->failure, k, "DESTINATION_REFUSED",
                                   "This node's policy does not allow to restore into %s (restore.allow)",
                                   display);
        }
        return 0;
}

/* In place: the source itself where it is a directory, else the directory that holds it. */
static int add_source(RestoreRun *r, const char *source) {
        _cleanup_(member_done) Member member = MEMBER_NULL;
        _cleanup_(freep) char *path = NULL;
        int k;

        assert(r);

        k = r->origin->lookup(r, source, &member);
        if (k == -ENOENT) /* it could not be read when it was backed up */
                return 0;
        if (k < 0)
                return k;
        k = asprintf_safe(&path, "/%.*s",
                          (int) (member.type == MEMBER_DIRECTORY ? strlen(source) :
                                                                   path_parent_length(source)),
                          source);
        if (k < 0)
                return k;
        return places_add(&r->places, path, source, /* is_destination= */ false, &r->result->failure);
}

static int add_sources(RestoreRun *r) {
        int k;

        assert(r);

        STRV_FOREACH(source, r->sources) {
                bool wanted = false;

                for (size_t i = 0; i < r->n_selections; i++)
                        wanted = wanted || path_is_within(*source, r->selections[i].path) ||
                                        path_is_within(r->selections[i].path, *source);
                if (!wanted)
                        continue;
                k = add_source(r, *source);
                if (k < 0)
                        return k;
        }
        for (size_t i = 0; i < r->n_selections; i++)
                STRV_FOREACH(source, r->sources) {
                        const char *path = r->selections[i].path;
                        const Place *place;

                        /* The smaller of the two is what is restored. */
                        if (path_is_within(*source, path))
                                path = *source;
                        else if (!path_is_within(path, *source))
                                continue;
                        place = places_find(&r->places, path);
                        if (!place)
                                continue;
                        k = ask(r, place, place_relative(place, path));
                        if (k < 0)
                                return k;
                }
        return 0;
}

int restore_check_places(RestoreRun *r) {
        const Place *place;
        int k;

        assert(r);

        if (r->args->in_place)
                return add_sources(r);
        k = places_add(&r->places, r->args->destination, "", /* is_destination= */ true,
                       &r->result->failure);
        if (k < 0)
                return k;
        place = r->places.items;
        return ask(r, place, strempty(place->missing));
}

/* --- Space --------------------------------------------------------------------------------------------- */

int restore_check_space(RestoreRun *r) {
        const Manifest *m;
        uint64_t need = 0;

        assert(r);

        m = copies_manifest(r->copies);
        for (size_t i = 0; i < r->n_selections; i++)
                need += r->selections[i].end - r->selections[i].start;
        need = MIN(need, m->bytes);
        for (size_t i = 0; i < r->places.n; i++) {
                const Place *place = r->places.items + i;
                struct statvfs st;
                uint64_t free_bytes;

                if (fstatvfs(place->fd, &st) < 0)
                        return failure_set(&r->result->failure, -errno, "DESTINATION_UNUSABLE",
                                           "The destination %s cannot be looked at: %m", place->path);
                if (st.f_flag & ST_RDONLY)
                        return failure_set(&r->result->failure, -EROFS, "DESTINATION_UNUSABLE",
                                           "The destination %s is on a read-only file system", place->path);
                free_bytes = (uint64_t) st.f_bavail * st.f_frsize;
                if (free_bytes >= need || st.f_blocks == 0)
                        continue;
                /* What is replaced or stays needs no space of its own; several places share the need. */
                if (r->args->conflict == RESTORE_CONFLICT_FAIL && r->places.n == 1)
                        return failure_set(&r->result->failure, -ENOSPC, "NO_SPACE",
                                           "The restore needs %" PRIu64 " MiB, and %s has %" PRIu64
                                           " MiB free",
                                           need >> 20, place->path, free_bytes >> 20);
                restore_log(r, ARCHIVE_LOG_WARNING,
                            "Up to %" PRIu64 " MiB are restored, and %s has %" PRIu64 " MiB free",
                            need >> 20, place->path, free_bytes >> 20);
        }
        return 0;
}

/* --- Conflicts ----------------------------------------------------------------------------------------- */

typedef struct Conflicts {
        RestoreRun *run;
        char **pending; /* directories that are in both, still to be looked into */
        size_t n_pending;
        char *first;
        uint64_t count;
} Conflicts;

static void conflicts_done(Conflicts *c) {
        for (size_t i = 0; i < c->n_pending; i++)
                free(c->pending[i]);
        free(c->pending);
        free(c->first);
}

static int add_pending(Conflicts *c, const char *path) {
        char **grown = reallocarray(c->pending, c->n_pending + 1, sizeof(char *)), *copy = strdup(path);

        if (grown)
                c->pending = grown;
        if (!grown || !copy) {
                free(copy);
                return -ENOMEM;
        }
        c->pending[c->n_pending++] = copy;
        return 0;
}

static int add_conflict(Conflicts *c, const char *path) {
        c->count++;
        return c->first ? 0 : free_and_strdup(&c->first, path);
}

/* Looks for one object of the archive in the destination. */
static int look_at(Conflicts *c, const char *path, bool directory) {
        _cleanup_(freep) char *parent = NULL;
        _cleanup_close_ int fd = -EBADF;
        const Place *place = places_find(&c->run->places, path);
        const char *relative;
        struct stat st;

        if (!place || place->missing)
                return !place && directory ? add_pending(c, path) : 0;
        relative = place_relative(place, path);
        if (!relative[0])
                return directory ? add_pending(c, path) : add_conflict(c, path);
        parent = memdup0(relative, path_parent_length(relative));
        if (!parent)
                return -ENOMEM;
        fd = place_open(place->fd, parent, O_PATH | O_DIRECTORY);
        if (fd == -ENOENT)
                return 0;
        if (fd == -ELOOP || fd == -ENOTDIR)
                return add_conflict(c, path);
        if (fd < 0)
                return failure_set(&c->run->result->failure, fd, "DESTINATION_UNUSABLE",
                                   "The destination %s cannot be looked at: %s", place->path, strerror(-fd));
        if (fstatat(fd, path_name(relative), &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : add_conflict(c, path);
        return directory && S_ISDIR(st.st_mode) ? add_pending(c, path) : add_conflict(c, path);
}

static int look_at_child(void *userdata, const char *path, bool directory) {
        Conflicts *c = ASSERT_PTR(userdata);
        int r;

        r = look_at(c, path, directory);
        if (r >= 0 && c->count <= ARCHIVE_PROBLEMS_MAX)
                r = restore_tick(c->run);
        return r;
}

/* Looks at a selection, and at what is below it as far as directories are in both. */
static int look_at_selection(Conflicts *c, const Selection *s) {
        _cleanup_(member_done) Member member = MEMBER_NULL;
        bool directory;
        int r;

        assert(c);
        assert(s);

        r = c->run->origin->lookup(c->run, s->path, &member);
        if (r < 0 && (r != -ENOENT || s->path[0]))
                return r;
        directory = r == -ENOENT || member.type == MEMBER_DIRECTORY;
        r = look_at(c, s->path, directory);
        while (r >= 0 && c->n_pending > 0 && c->count <= ARCHIVE_PROBLEMS_MAX) {
                _cleanup_(freep) char *path = c->pending[--c->n_pending];

                r = c->run->origin->list(c->run, path, look_at_child, c);
                if (r == -ENOENT)
                        r = 0;
        }
        return r;
}

int restore_check_conflicts(RestoreRun *r) {
        _cleanup_(conflicts_done) Conflicts c = { .run = r };
        _cleanup_(freep) char *first = NULL;
        int k;

        assert(r);

        if (r->args->conflict != RESTORE_CONFLICT_FAIL)
                return 0;
        for (size_t i = 0; i < r->n_selections; i++) {
                k = look_at_selection(&c, r->selections + i);
                if (k < 0)
                        return k;
        }
        if (c.count == 0)
                return 0;
        first = shown(c.first);
        if (!first)
                return -ENOMEM;
        return failure_set(&r->result->failure, -EEXIST, "EXISTS",
                           "Nothing was restored: %s%" PRIu64
                           " of the paths exist already, the first is %s. "
                           "Choose another destination, or \"overwrite\" or \"skip\"",
                           c.count > ARCHIVE_PROBLEMS_MAX ? "more than " : "",
                           MIN(c.count, (uint64_t) ARCHIVE_PROBLEMS_MAX), first);
}
