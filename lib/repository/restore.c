/* SPDX-License-Identifier: Apache-2.0 */

/* Three parts that go on at once: a thread walks through the trees and says what comes, helpers read and
 * check the blobs of files (stream.h), and the thread that called makes the objects, in the order of the
 * walk. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/links.h"
#include "archive/restore-check.h"
#include "archive/restore-run.h"
#include "archive/restore-tree.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "repository/restore-source.h"
#include "repository/restore.h"
#include "repository/stream.h"

/* --- The walk ---------------------------------------------------------------------------------------- */

/* What the walk says of one object; the blobs of a file follow. */
typedef struct Step {
        Member member;
        size_t n_blobs;
        bool there;    /* as it should be, from a restore before */
        char *problem; /* instead of an object: why the directory at member.path is missing */
        int error;
} Step;

typedef struct Walker {
        const RepositoryRestoreArgs *args;
        RestoreRun *run;
        RestoreSource *source;
        BlobReader *reader;
        BlobStream *stream;
        Links *links;
} Walker;

static Step *step_free(Step *s) {
        if (!s)
                return NULL;
        member_done(&s->member);
        free(s->problem);
        return mfree(s);
}

DEFINE_CLEANUP(Step *, step_free);

static void step_destroy(void *step) {
        (void) step_free(step);
}

/* Whether path is chosen, or leads to what is. */
static bool is_wanted(const RestoreRun *run, const char *path, bool *ret_leads) {
        *ret_leads = false;
        for (size_t i = 0; i < run->n_selections; i++) {
                if (path_is_within(path, run->selections[i].path))
                        return true;
                if (path_is_within(run->selections[i].path, path))
                        *ret_leads = true;
        }
        return false;
}

/* Whether a file of this size and time is in the destination. */
static bool is_there(const Walker *w, const Member *m) {
        _cleanup_(freep) char *parent = NULL;
        const Place *place;
        _cleanup_close_ int fd = -EBADF;
        const char *relative;
        struct stat st;

        if (!w->args->resume || w->run->args->conflict != RESTORE_CONFLICT_OVERWRITE)
                return false;
        place = places_find(&w->run->places, m->path);
        if (!place)
                return false;
        relative = place_relative(place, m->path);
        parent = memdup0(relative, path_parent_length(relative));
        if (!parent)
                return false;
        fd = place_open(place->fd, parent, O_PATH | O_DIRECTORY);
        return fd >= 0 && fstatat(fd, path_name(relative), &st, AT_SYMLINK_NOFOLLOW) >= 0 &&
                        S_ISREG(st.st_mode) && (uint64_t) st.st_size == m->size &&
                        st.st_mtim.tv_sec == m->mtime_sec && (uint32_t) st.st_mtim.tv_nsec == m->mtime_nsec;
}

/* A second name of an object becomes a hard link to the first. */
static int look_for_link(Walker *w, const TreeNode *n, Member *m) {
        const char *first;
        int r;

        if (n->links < 2 || n->inode == 0 || n->type == TREE_NODE_DIRECTORY)
                return 0;
        first = links_find(w->links, n->device_id, n->inode);
        if (!first) {
                r = links_add(w->links, n->device_id, n->inode,
                              (uint32_t) MIN(n->links, (uint64_t) UINT32_MAX), m->path);
                return r < 0 ? r : 0;
        }
        m->type = MEMBER_HARDLINK;
        return free_and_strdup(&m->target, first);
}

/* Takes the step. */
static int say(Walker *w, Step *s) {
        int r;

        r = blob_stream_mark(w->stream, s);
        if (r < 0)
                (void) step_free(s);
        return r;
}

static int say_problem(Walker *w, const char *path, int error, const char *problem) {
        _cleanup_(step_freep) Step *s = new0(Step, 1);

        if (!s || free_and_strdup(&s->member.path, path) < 0 || free_and_strdup(&s->problem, problem) < 0)
                return -ENOMEM;
        s->error = error;
        return say(w, TAKE_PTR(s));
}

static int say_object(Walker *w, const char *path, const TreeNode *n) {
        _cleanup_(step_freep) Step *s = new0(Step, 1);
        size_t n_blobs = 0;
        int r;

        if (!s)
                return -ENOMEM;
        r = tree_node_to_member(n, path, &s->member);
        if (r == -EINVAL) /* as a backup leaves sockets out */
                return n->type == TREE_NODE_SOCKET ? 0 : say_problem(w, path, r, "no such kind here");
        if (r >= 0)
                r = look_for_link(w, n, &s->member);
        if (r < 0)
                return r;
        if (s->member.type == MEMBER_FILE) {
                s->member.size = restore_source_size(w->source, n);
                s->member.sparse = true; /* so that its size is set where it ends in a hole */
                s->there = is_there(w, &s->member);
                s->n_blobs = n_blobs = s->there ? 0 : n->n_content;
        }
        r = say(w, TAKE_PTR(s));
        for (size_t i = 0; i < n_blobs && r >= 0; i++)
                r = blob_stream_add(w->stream, n->content + i);
        return r;
}

static int walk_all(Walker *w) {
        _cleanup_(tree_walk_freep) TreeWalk *walk = NULL;
        int r;

        r = tree_walk_new(w->reader, &w->source->snapshot.tree, &walk);
        while (r >= 0) {
                _cleanup_failure_ Failure f = FAILURE_NULL;
                const TreeNode *node;
                const char *path;
                bool leads;
                int k;

                k = tree_walk_next(walk, &path, &node, &f);
                if (k == 0)
                        break;
                if (k == -ENOMEM || k == -ECANCELED)
                        return k;
                if (k < 0) {
                        r = say_problem(w, path, k, failure_message(&f, k));
                        continue;
                }
                if (is_wanted(w->run, path, &leads))
                        r = say_object(w, path, node);
                else if (!leads)
                        tree_walk_skip(walk);
        }
        return r;
}

static void *walk_thread(void *userdata) {
        Walker *w = ASSERT_PTR(userdata);
        int r = walk_all(w);

        blob_stream_end(w->stream, r);
        return NULL;
}

/* --- Content ----------------------------------------------------------------------------------------- */

/* The blobs of one file, as they come out of the stream. */
typedef struct StepContent {
        RestoreRun *run;
        BlobStream *stream;
        const Step *step;
        size_t left;
        uint64_t offset;
} StepContent;

static int name_damage(StepContent *c, const BlobStreamItem *item) {
        char hex[ID_HEX_SIZE];
        int r;

        if (item->error != -EBADMSG && item->error != -ENOENT)
                return failure_set(&c->run->result->failure, item->error, "STORAGE",
                                   "The repository cannot be read further: %s", strerror(-item->error));
        r = restore_name(c->run, c->step->member.path, "DAMAGED",
                         "was not restored: its content in the repository is %s (blob %.16s)",
                         item->error == -ENOENT ? "missing" : "damaged", id_to_hex(&item->blob.id, hex));
        return r < 0 ? r : -ENODATA;
}

static ssize_t next_blob(void *userdata, const void **ret, uint64_t *ret_offset) {
        StepContent *c = ASSERT_PTR(userdata);

        while (c->left > 0) {
                BlobStreamItem item;
                int r;

                r = blob_stream_next(c->stream, &item);
                if (r <= 0)
                        return r < 0 ? r : -EIO;
                assert(!item.mark);
                c->left--;
                if (item.error < 0)
                        return name_damage(c, &item);
                c->run->progress.bytes_read += item.size;
                *ret_offset = c->offset;
                c->offset += item.size;
                if (item.data && item.size > 0) {
                        *ret = item.data;
                        return (ssize_t) item.size;
                }
        }
        return 0;
}

/* What nobody wanted. */
static int drop_rest(StepContent *c) {
        for (; c->left > 0; c->left--) {
                BlobStreamItem item;
                int r = blob_stream_next(c->stream, &item);

                if (r <= 0)
                        return r < 0 ? r : -EIO;
        }
        return 0;
}

static int take_step(RestoreRun *run, BlobStream *stream, Step *s) {
        StepContent c = { .run = run, .stream = stream, .step = s, .left = s->n_blobs };
        RestoreContent content = { next_blob, &c };
        int r;

        if (s->problem) {
                r = restore_name(run, s->member.path, "DAMAGED", "cannot be restored: %s", s->problem);
                return r < 0 ? r : 0;
        }
        if (s->there) {
                run->progress.files_done++;
                run->result->files++;
                r = restore_links_add(run->links, s->member.path);
                return r < 0 ? r : restore_tick(run);
        }
        r = restore_member(run, &s->member, &content);
        return r < 0 ? r : drop_rest(&c);
}

static int take_all(RestoreRun *run, BlobStream *stream) {
        int r;

        for (;;) {
                _cleanup_(step_freep) Step *s = NULL;
                BlobStreamItem item;

                r = blob_stream_next(stream, &item);
                if (r <= 0)
                        return r;
                assert(item.mark);
                s = item.mark;
                r = take_step(run, stream, s);
                if (r < 0)
                        return r;
        }
}

/* --- The run ----------------------------------------------------------------------------------------- */

static int write_all(const RepositoryRestoreArgs *args, RestoreRun *run, RestoreSource *source) {
        Walker w = { .args = args, .run = run, .source = source };
        pthread_t thread;
        int r, left;

        restore_tell_phase(run, RESTORE_WRITING);
        r = restore_links_new(&run->links);
        if (r >= 0)
                r = restore_tree_new(run, &run->tree);
        if (r >= 0)
                r = restore_make_places(run);
        if (r >= 0)
                r = links_new(LINKS_BUDGET, &w.links);
        if (r >= 0)
                r = blob_reader_new(args->repository, source->index, &w.reader);
        if (r >= 0)
                r = blob_stream_new(args->repository, source->index,
                                    repository_read_threads(args->repository, args->n_threads), &w.stream);
        if (r >= 0)
                r = -pthread_create(&thread, NULL, walk_thread, &w);
        if (r >= 0) {
                r = take_all(run, w.stream);
                blob_stream_stop(w.stream);
                (void) pthread_join(thread, NULL);
                left = restore_tree_finish(run->tree);
                r = r < 0 ? r : left;
        }
        (void) blob_stream_free(w.stream, step_destroy);
        (void) blob_reader_free(w.reader);
        (void) links_free(w.links);
        return r;
}

static const char *find_mistake(const RestoreArgs *args) {
        if ((args->destination != NULL) == args->in_place)
                return "A restore goes either to a directory or in place";
        if (args->destination && args->destination[0] != '/')
                return "The destination is not an absolute path";
        if (args->conflict < 0 || args->conflict > RESTORE_CONFLICT_SKIP)
                return "The conflict rule is none of fail, overwrite, skip";
        if (strv_length(args->paths) > RESTORE_PATHS_MAX)
                return "More than 1000 paths are chosen; choose the directories that hold them";
        return NULL;
}

int repository_restore(const RepositoryRestoreArgs *args, RestoreResult *ret, Failure *reterr_failure) {
        _cleanup_(restore_result_done) RestoreResult result = RESTORE_RESULT_NULL;
        _cleanup_(restore_source_done) RestoreSource source = RESTORE_SOURCE_NULL;
        _cleanup_(restore_run_done) RestoreRun run = { .args = &args->restore, .result = &result };
        const char *mistake;
        int r;

        assert(args && args->repository && args->snapshot);
        assert(ret);

        mistake = find_mistake(&args->restore);
        if (mistake)
                return failure_set(reterr_failure, -EINVAL, "RESTORE_INVALID", "%s", mistake);
        run.origin = &restore_origin_repository;
        run.origin_data = &source;
        restore_tell_phase(&run, RESTORE_CHECKING);
        r = restore_source_open(&source, args->repository, args->snapshot, &result.failure);
        if (r >= 0)
                r = restore_source_select(&source, &run);
        if (r >= 0)
                r = restore_check_places(&run);
        if (r >= 0)
                r = restore_check_conflicts(&run);
        if (r >= 0)
                r = write_all(args, &run, &source);
        if (r >= 0)
                r = restore_sync(&run);
        restore_conclude(&run, r);
        *ret = result;
        result = RESTORE_RESULT_NULL;
        return 0;
}
