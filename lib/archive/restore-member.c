/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "archive/restore-object.h"
#include "archive/restore-run.h"
#include "archive/restore-tree.h"
#include "base/alloc.h"
#include "base/text.h"

void restore_run_done(RestoreRun *r) {
        assert(r);

        restore_tree_free(r->tree);
        restore_links_free(r->links);
        places_done(&r->places);
        for (size_t i = 0; i < r->n_selections; i++)
                free(r->selections[i].path);
        free(r->selections);
        strv_free(r->sources);
        copies_free(r->copies);
        buffer_done(&r->current);
        free(r->buf);
}

static int set_current(RestoreRun *r, const char *path) {
        int k;

        buffer_clear(&r->current);
        k = buffer_add(&r->current, "/", 1);
        return k < 0 ? k : buffer_add_string(&r->current, path);
}

int restore_make_places(RestoreRun *r) {
        int k;

        for (size_t i = 0; i < r->places.n; i++) {
                k = place_make(r->places.items + i, &r->result->failure);
                if (k < 0)
                        return k;
        }
        return 0;
}

int restore_member(RestoreRun *r, Member *m, const RestoreContent *content) {
        bool directory = m->type == MEMBER_DIRECTORY;
        int k;

        assert(r);

        if (!places_find(&r->places, m->path))
                return 0; /* a directory that only leads to a source: it is there */
        k = set_current(r, m->path);
        if (k < 0)
                return k;
        k = restore_tick(r);
        if (k < 0)
                return k;
        k = restore_make_places(r);
        if (k < 0)
                return k;
        k = directory ? restore_tree_directory(r->tree, m) : restore_object(r, m, content);
        if (k < 0)
                return k;
        if (k == RESTORE_E_SKIPPED)
                r->result->skipped++;
        else if (k == 0 && directory)
                r->result->directories++;
        else if (k == 0)
                r->result->files++;
        r->progress.files_done += !directory;
        return 0;
}

int restore_sync(RestoreRun *r) {
        assert(r);

        restore_tell_phase(r, RESTORE_SYNCING);
        for (size_t i = 0; i < r->places.n; i++)
                if (syncfs(r->places.items[i].fd) < 0)
                        return failure_set(&r->result->failure, -errno, "SYNC",
                                           "What was restored into %s could not be written to disk: %m",
                                           r->places.items[i].path);
        return 0;
}

void restore_conclude(RestoreRun *r, int error) {
        RestoreResult *result = r->result;

        assert(result);

        result->bytes_read = r->progress.bytes_read;
        result->bytes_written = r->progress.bytes_written;
        if (error == -ECANCELED) {
                failure_done(&result->failure);
                (void) failure_set(&result->failure, error, "CANCELLED", "The restore was cancelled");
                result->state = ARCHIVE_CANCELLED;
                return;
        }
        if (error < 0) {
                (void) failure_set(&result->failure, error, "FAILED", "The restore failed: %m");
                result->state = ARCHIVE_FAILED;
                return;
        }
        result->state = ARCHIVE_SUCCEEDED;
        if (result->errors_total == 0)
                return;
        result->state = result->files + result->directories > 0 ? ARCHIVE_PARTIAL : ARCHIVE_FAILED;
        if (result->n_errors > 0)
                (void) failure_set(&result->failure, -EIO, result->errors[0].code, "%s",
                                   strempty(result->errors[0].message));
}
