/* SPDX-License-Identifier: Apache-2.0 */

/* The order of a restore: everything that can be known without touching the destination is checked first
 * (the manifest, the chosen paths, the room, what is in the way), then members are written selection by
 * selection, then the file systems are synced. The destination is made when the first thing for it was read
 * and checked: an archive that cannot be opened leaves no empty directory behind. Directories get their
 * modes and times last, since writing into them would change both. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "archive/restore-check.h"
#include "archive/restore-origin.h"
#include "archive/restore-run.h"
#include "archive/restore-stream.h"
#include "archive/restore-tree.h"
#include "base/alloc.h"
#include "base/text.h"

/* What is wrong with the arguments; NULL: nothing. */
static const char *find_mistake(const RestoreArgs *args) {
        const ArchiveSource *s = &args->source;

        if (s->n_copies == 0 || !s->copies)
                return "The restore names no storage that holds the archive";
        if ((args->destination != NULL) == args->in_place)
                return "A restore goes either to a directory or in place";
        if (args->destination && args->destination[0] != '/')
                return "The destination is not an absolute path";
        if (args->conflict < 0 || args->conflict > RESTORE_CONFLICT_SKIP)
                return "The conflict rule is none of fail, overwrite, skip";
        if (strv_length(args->paths) > RESTORE_PATHS_MAX)
                return "More than 1000 paths are chosen; choose the directories that hold them";
        if (s->encrypted && (!s->data_key || !s->entries_key || !s->manifest_key))
                return "The archive is encrypted, and its file keys are missing";
        return NULL;
}

static void log_copies(void *userdata, const char *text) {
        restore_log(ASSERT_PTR(userdata), ARCHIVE_LOG_WARNING, "%s", text);
}

static int restore_selection(RestoreRun *r, const Selection *s) {
        RestoreCursor cursor = { .run = r, .position = s->start, .counted = s->end };
        _cleanup_(pax_reader_freep) PaxReader *reader = NULL;
        RestorePax pax = { .run = r };
        RestoreContent content;
        int k;

        k = restore_cursor_open(&cursor, &reader);
        if (k < 0)
                return k;
        pax.reader = reader;
        content = restore_pax_content(&pax);
        while (s->start + pax_reader_position(reader) < s->end) {
                _cleanup_(member_done) Member m = MEMBER_NULL;

                k = restore_cursor_next(&cursor, reader, &m);
                if (k <= 0)
                        return k;
                if (!path_is_within(m.path, s->path))
                        return 0;
                k = restore_member(r, &m, &content);
                if (k < 0)
                        return k;
        }
        return 0;
}

static int check(RestoreRun *r) {
        int k;

        assert(r);

        restore_tell_phase(r, RESTORE_CHECKING);
        k = copies_open(&r->args->source, log_copies, r, &r->copies, &r->result->failure);
        if (k < 0)
                return k;
        if (copies_manifest(r->copies)->errors > 0)
                restore_log(r, ARCHIVE_LOG_WARNING,
                            "The archive was made with %" PRIu64 " errors: not everything is in it",
                            copies_manifest(r->copies)->errors);
        k = restore_check_selections(r);
        if (k < 0)
                return k;
        k = restore_check_places(r);
        if (k < 0)
                return k;
        k = restore_check_space(r);
        if (k < 0)
                return k;
        return restore_check_conflicts(r);
}

static int write_all(RestoreRun *r) {
        int k, left;

        assert(r);

        restore_tell_phase(r, RESTORE_WRITING);
        k = restore_links_new(&r->links);
        if (k < 0)
                return k;
        k = restore_tree_new(r, &r->tree);
        if (k < 0)
                return k;
        for (size_t i = 0; i < r->n_selections && k >= 0; i++)
                k = restore_selection(r, r->selections + i);
        /* Directories get their own modes and times also where the rest did not come. */
        left = restore_tree_finish(r->tree);
        return k < 0 ? k : left;
}

int archive_restore(const RestoreArgs *args, RestoreResult *ret, Failure *reterr_failure) {
        _cleanup_(restore_result_done) RestoreResult result = RESTORE_RESULT_NULL;
        _cleanup_(restore_run_done) RestoreRun run = { .args = args, .result = &result };
        const char *mistake;
        int r;

        assert(args);
        assert(ret);

        mistake = find_mistake(args);
        if (mistake)
                return failure_set(reterr_failure, -EINVAL, "RESTORE_INVALID", "%s", mistake);
        run.origin = &restore_origin_archive;
        run.buf = malloc(RESTORE_BUFFER_SIZE);
        if (!run.buf)
                return -ENOMEM;

        r = check(&run);
        if (r >= 0)
                r = write_all(&run);
        if (r >= 0)
                r = restore_sync(&run);
        restore_conclude(&run, r);
        *ret = result;
        result = RESTORE_RESULT_NULL;
        return 0;
}
