/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/text.h"
#include "database/hana-pieces.h"
#include "wire/path.h"

static void file_done(HanaFile *f) {
        free(f->name);
        free(f->path);
        free(f->text);
}

void hana_files_done(HanaFiles *f) {
        assert(f);

        for (size_t i = 0; i < f->n; i++)
                file_done(f->items + i);
        free(f->items);
        *f = HANA_FILES_NULL;
}

/* Takes over what is in item, even on failure. */
static int add(HanaFiles *f, HanaFile *item) {
        HanaFile *more = NULL;

        if (item->name && (item->path || item->text))
                more = reallocarray(f->items, f->n + 1, sizeof(HanaFile));
        if (!more) {
                file_done(item);
                return -ENOMEM;
        }
        f->items = more;
        f->items[f->n++] = *item;
        return 0;
}

static int add_file(HanaFiles *f, const char *name, const char *path, bool needed) {
        HanaFile item = { .name = strdup(name), .path = strdup(path), .needed = needed };

        return add(f, &item);
}

int hana_files_add_text(HanaFiles *f, const char *name, char *text) {
        HanaFile item = { .name = strdup(name), .text = text, .needed = true };

        assert(f);
        assert(text);

        return add(f, &item);
}

int hana_files_add_place(HanaFiles *f, const HanaPlace *p, const char *begin) {
        _cleanup_(strv_freep) char **names = NULL;
        int r;

        assert(f);

        r = hana_place_list(p, begin, &names);
        STRV_FOREACH(name, names) {
                _cleanup_(freep) char *path = NULL;

                if (r >= 0)
                        r = asprintf_safe(&path, "%s/%s", p->path, *name);
                if (r >= 0)
                        r = add_file(f, *name, path, /* needed= */ true);
        }
        return r;
}

static int check_piece(const HanaPlace *p, const char *name, const HanaPiece *piece,
                       Failure *reterr_failure) {
        struct stat st;

        if (fstatat(p->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return failure_set(reterr_failure, -errno, "PIECE_MISSING",
                                   "SAP HANA says that it wrote %s, but this node does not see it: %m",
                                   piece->path);
        if (!S_ISREG(st.st_mode) || (uint64_t) st.st_size < piece->size)
                return failure_set(reterr_failure, -EIO, "PIECE_MISSING",
                                   "SAP HANA says that it wrote %" PRIu64 " bytes to %s, and %" PRIu64
                                   " are there",
                                   piece->size, piece->path, (uint64_t) st.st_size);
        return 0;
}

/* A path as the database puts it together: with one '/' where it has several. */
static char *collapse(const char *path) {
        char *copy = strdup(path), *to = copy;

        for (const char *p = path; copy && *p; p++)
                if (*p != '/' || p[1] != '/')
                        *to++ = *p;
        if (copy)
                *to = 0;
        return copy;
}

static int add_piece(HanaFiles *f, const HanaPlace *p, const char *name, const HanaPiece *piece,
                     bool *ret_ours, Failure *reterr_failure) {
        _cleanup_(freep) char *path = collapse(piece->path);
        const char *last;

        if (!path)
                return -ENOMEM;
        last = strrchr(path, '/');
        if (!last || isempty(last + 1) || !path_is_normalized_absolute(path))
                return failure_set(reterr_failure, -EBADMSG, "HANA_FAILED",
                                   "The catalog names a piece that is no path of a file: %s", piece->path);
        *ret_ours = name && startswith(last + 1, name);
        return *ret_ours ? check_piece(p, last + 1, piece, reterr_failure) :
                           add_file(f, last + 1, path, /* needed= */ false);
}

int hana_files_add_answer(HanaFiles *f, const HanaPlace *p, const char *name, const HanaAnswer *a,
                          Failure *reterr_failure) {
        bool found = false;
        int r = 0;

        assert(f);
        assert(a);
        assert(!name || p);

        for (size_t i = 0; i < a->n_pieces && r >= 0; i++) {
                bool ours = false;

                if (!streq(a->pieces[i].destination, "file"))
                        continue;
                r = add_piece(f, p, name, a->pieces + i, &ours, reterr_failure);
                found = found || ours;
        }
        if (r >= 0 && name && !found)
                return failure_set(reterr_failure, -ENOENT, "PIECE_MISSING",
                                   "The catalog of SAP HANA names no pieces of %s", name);
        return r;
}

static int by_name(const void *a, const void *b) {
        const HanaFile *x = a, *y = b;
        int d = strcmp(x->name, y->name);

        /* Of one name, those that a run cannot do without come first. */
        return d != 0 ? d : (int) y->needed - (int) x->needed;
}

void hana_files_sort(HanaFiles *f) {
        size_t kept = 0;

        assert(f);

        if (f->n == 0)
                return;
        qsort(f->items, f->n, sizeof(HanaFile), by_name);
        for (size_t i = 1; i < f->n; i++)
                if (streq(f->items[i].name, f->items[kept].name))
                        file_done(f->items + i);
                else
                        f->items[++kept] = f->items[i];
        f->n = kept + 1;
}
