/* SPDX-License-Identifier: Apache-2.0 */

/* browse: one page of one directory of a backup. */

#include <errno.h>

#include "agent/job/archives.h"
#include "agent/job/kinds.h"
#include "agent/job/repositories.h"
#include "archive/browse.h"
#include "base/alloc.h"
#include "base/text.h"
#include "repository/browse.h"

static EntryType type_of(MemberType type) {
        switch (type) {
        case MEMBER_FILE:
                return ENTRY_FILE;
        case MEMBER_DIRECTORY:
                return ENTRY_DIRECTORY;
        case MEMBER_SYMLINK:
                return ENTRY_SYMLINK;
        case MEMBER_HARDLINK:
                return ENTRY_HARDLINK;
        case MEMBER_FIFO:
                return ENTRY_FIFO;
        case MEMBER_CHARACTER:
                return ENTRY_CHARACTER;
        case MEMBER_BLOCK:
                return ENTRY_BLOCK;
        case _MEMBER_TYPE_MAX:
        case _MEMBER_TYPE_INVALID:
                return _ENTRY_TYPE_INVALID;
        }
        return _ENTRY_TYPE_INVALID;
}

static int append(json_t *entries, const Member *m) {
        _cleanup_(freep) char *path = NULL;
        ListingEntry e;
        int r;

        assert(m);

        r = asprintf_safe(&path, "/%s", m->path[0] == '/' ? m->path + 1 : m->path);
        if (r < 0)
                return r;
        e = (ListingEntry){
                .name = strrchr(path, '/') + 1,
                .path = path,
                .type = type_of(m->type),
                .size = m->size,
                .mtime = m->mtime_sec < 0 ? 0 : (usec_t) m->mtime_sec * USEC_PER_SEC + m->mtime_nsec / 1000,
                .mode = m->mode,
                .uid = (uint32_t) m->uid,
                .gid = (uint32_t) m->gid,
                .user = m->user,
                .group = m->group,
                .target = m->target,
        };
        if (e.type < 0)
                return 0;
        /* The root of an archive has no name of its own. */
        if (isempty(e.name))
                e.name = e.path;
        return json_append(entries, listing_entry_build(&e));
}

static int build_page(const BrowseResult *page, json_t **ret) {
        _cleanup_json_ json_t *entries = json_array();

        assert(page);

        if (!entries)
                return -ENOMEM;
        for (size_t i = 0; i < page->n_entries; i++) {
                int r = append(entries, &page->entries[i].member);

                if (r < 0)
                        return r;
        }
        return listing_build(TAKE_PTR(entries), page->next_cursor, ret);
}

static int browse_archive(const JobRun *run, const ListingSpec *spec, BrowseResult *ret,
                          Failure *reterr_failure) {
        _cleanup_(job_archive_done) JobArchive archive = {};
        BrowseArgs args;
        int r;

        assert(spec);

        r = job_archive_open(run, &spec->archive, &archive, reterr_failure);
        if (r < 0)
                return r;
        args = (BrowseArgs){
                .source = archive.source,
                .path = strempty(spec->path),
                .limit = MIN(spec->limit, (uint32_t) BROWSE_LIMIT_MAX),
                .cursor = spec->cursor,
        };
        return archive_browse(&args, ret, reterr_failure);
}

static int browse_snapshot(const JobRun *run, const ListingSpec *spec, BrowseResult *ret,
                           Failure *reterr_failure) {
        _cleanup_(job_snapshot_done) JobSnapshot snapshot = {};
        RepositoryBrowseArgs args;
        int r;

        assert(spec);

        r = job_snapshot_open(run, &spec->snapshots, &snapshot, reterr_failure);
        if (r < 0)
                return r;
        args = (RepositoryBrowseArgs){
                .repository = snapshot.repository,
                .snapshot = snapshot.id,
                .path = strempty(spec->path),
                .limit = MIN(spec->limit, (uint32_t) BROWSE_LIMIT_MAX),
                .cursor = spec->cursor,
        };
        return repository_browse(&args, ret, reterr_failure);
}

static int browse(const JobRun *run, JobOutcome *ret, Failure *reterr_failure) {
        _cleanup_(listing_spec_done) ListingSpec spec = LISTING_SPEC_NULL;
        _cleanup_(browse_result_done) BrowseResult page = BROWSE_RESULT_NULL;
        int r;

        assert(run);
        assert(ret);

        r = listing_spec_parse(run->start->spec, COMMAND_BROWSE, &spec, reterr_failure);
        if (r >= 0)
                r = spec.snapshots.n > 0 ? browse_snapshot(run, &spec, &page, reterr_failure) :
                                           browse_archive(run, &spec, &page, reterr_failure);
        return r < 0 ? r : build_page(&page, &ret->result);
}

void job_kind_browse(const JobRun *run, JobOutcome *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(run);
        assert(ret);

        r = browse(run, ret, &failure);
        if (r < 0)
                job_outcome_fail(run, ret, &failure, r);
        else
                ret->status = RESULT_SUCCEEDED;
}
