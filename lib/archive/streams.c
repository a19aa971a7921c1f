/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "archive/metadata.h"
#include "archive/streams.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"

typedef struct Feeding {
        const BackupArgs *args;
        const BackupStreams *streams;
        const Sources *sources;
        const WalkSink *sink;
        void *sink_userdata;
        Report *report;

        Fs *fs;
        OwnerNames *owners;
        char *xattrs;  /* METADATA_BUFFER */
        Buffer folder; /* the directory that is entered, relative to the root */
        char *last;    /* what was stored in it last */
        const char *current;
        uint8_t *part; /* of sink->part_max bytes, where streams are cut */
        usec_t now;
} Feeding;

void backup_stream_done(BackupStream *s) {
        assert(s);

        free(s->path);
        free(s->like);
        free(s->lost);
        free(s->note);
        *s = BACKUP_STREAM_NULL;
}

static void feeding_done(Feeding *f) {
        assert(f);

        fs_free(f->fs);
        owner_names_free(f->owners);
        free(f->xattrs);
        buffer_done(&f->folder);
        free(f->last);
        free(f->part);
}

static bool is_cancelled(const Feeding *f) {
        return f->args->cancel && atomic_load_explicit(f->args->cancel, memory_order_relaxed);
}

/* --- Metadata ----------------------------------------------------------------------------------------- */

/* Of what is made here: it is root's, of now, and no file of this host. */
static void stat_made(const Feeding *f, uint32_t mode, FsStat *ret) {
        *ret = (FsStat){
                .mode = mode,
                .nlink = 1,
                .mtime_sec = (int64_t) (f->now / USEC_PER_SEC),
                .ctime_sec = (int64_t) (f->now / USEC_PER_SEC),
        };
}

/* Stat and attributes of the file or directory that it is like. */
static int real_fill(Feeding *f, const char *real, FsStat *st, Entry *entry) {
        _cleanup_close_ int fd = -EBADF;
        uint32_t type = st->mode & S_IFMT;
        int r;

        assert(f);
        assert(st);

        fd = fs_open(f->fs, AT_FDCWD, real, O_PATH);
        r = fd < 0 ? fd : fs_stat(f->fs, fd, "", /* follow= */ false, st);
        if (r >= 0 && (st->mode & S_IFMT) != type)
                r = -ESTALE;
        if (r < 0)
                return failure_set(&f->report->failure, r, "STREAM_FAILED", "%s cannot be looked at: %s",
                                   real, strerror(-r));
        /* No inode: what is stored is not what is on the disk. */
        st->ino = st->dev = 0;
        st->nlink = 1;
        st->ctime_sec = (int64_t) (f->now / USEC_PER_SEC);
        st->ctime_nsec = 0;
        r = metadata_xattrs(f->fs, fd, "", f->sink->acl_text, f->xattrs, &entry->member);
        if (r >= 0)
                return 0;
        if (r == -ENOMEM || r == -ETIMEDOUT)
                return r;
        entry->bare = true;
        report_problem(f->report, real + 1, "METADATA", /* lost= */ true,
                       "Some of its attributes could not be read: %s.", strerror(-r));
        return 0;
}

/* Path, user and group of the entry are borrowed. real: the file or directory that it is like, or NULL. */
static int entry_fill(Feeding *f, const char *path, const char *real, FsStat *st, Entry *entry) {
        Member *m = &entry->member;
        int r;

        assert(f);
        assert(st);

        r = real ? real_fill(f, real, st, entry) : 0;
        if (r < 0)
                return r;
        m->type = S_ISDIR(st->mode) ? MEMBER_DIRECTORY : MEMBER_FILE;
        m->path = (char *) path;
        m->mode = st->mode & 07777;
        m->uid = st->uid;
        m->gid = st->gid;
        m->user = (char *) owner_names_user(f->owners, st->uid);
        m->group = (char *) owner_names_group(f->owners, st->gid);
        m->mtime_sec = st->mtime_sec;
        m->mtime_nsec = st->mtime_nsec;
        return 0;
}

static void entry_clear(Entry *entry) {
        entry->member.path = entry->member.user = entry->member.group = NULL;
        entry_done(entry);
}

/* --- Directories -------------------------------------------------------------------------------------- */

/* Whether the directory only leads to a source. */
static bool is_parent(const Feeding *f, const char *path) {
        const SourceNode *node = f->sources->root;

        while (node && !node->is_source && *path) {
                _cleanup_(freep) char *name = strndup(path, strcspn(path, "/"));

                node = name ? source_node_child(node, name) : NULL;
                path += strcspn(path, "/");
                path += *path == '/';
        }
        return node && !node->is_source;
}

/* Names of one directory come in their order. */
static int remember(Feeding *f, const char *name) {
        assert(f);

        if (f->last && strcmp(f->last, name) >= 0)
                return -EINVAL;
        return free_and_strdup(&f->last, name);
}

static int leave(Feeding *f) {
        char *slash;
        int r;

        assert(f);

        r = f->sink->leave(f->sink_userdata);
        if (r < 0)
                return r;
        slash = strrchr(f->folder.data, '/');
        r = free_and_strdup(&f->last, slash ? slash + 1 : f->folder.data);
        f->folder.size = slash ? (size_t) (slash - f->folder.data) : 0;
        f->folder.data[f->folder.size] = 0;
        return r;
}

/* Stores the directory name of the one that is entered, and enters it. real: which it is like, or NULL. */
static int enter(Feeding *f, const char *name, const char *real, uint32_t mode) {
        _cleanup_(entry_clear) Entry entry = {};
        FsStat st;
        int r;

        assert(f);
        assert(name);

        r = remember(f, name);
        if (r >= 0 && f->folder.size > 0)
                r = buffer_add(&f->folder, "/", 1);
        if (r >= 0)
                r = buffer_add_string(&f->folder, name);
        if (r < 0)
                return r;
        stat_made(f, S_IFDIR | mode, &st);
        r = entry_fill(f, f->folder.data, real, &st, &entry);
        if (r < 0)
                return r;
        entry.parent = is_parent(f, f->folder.data);
        r = f->sink->begin(f->sink_userdata, &entry, &st);
        if (r >= 0)
                r = f->sink->end(f->sink_userdata, &entry);
        if (r >= 0)
                r = f->sink->enter(f->sink_userdata, f->folder.data);
        f->report->directories++;
        f->last = mfree(f->last);
        return r;
}

/* Whether the directory that is entered leads to path. */
static bool leads_to(const Feeding *f, const char *path) {
        size_t n = f->folder.size;

        return n == 0 || (strncmp(path, f->folder.data, n) == 0 && path[n] == '/');
}

/* Leaves and enters until the directory of path is the one that is entered. */
static int go_to(Feeding *f, const BackupStream *s) {
        int r = 0;

        assert(f);
        assert(s);

        while (r >= 0 && !leads_to(f, s->path))
                r = leave(f);
        while (r >= 0) {
                const char *rest = s->path + f->folder.size + (f->folder.size > 0);
                size_t n = strcspn(rest, "/");
                _cleanup_(freep) char *name = NULL, *real = NULL;

                if (rest[n] == 0)
                        return 0;
                name = strndup(rest, n);
                if (!name)
                        return -ENOMEM;
                if (s->like)
                        r = asprintf_safe(&real, "/%.*s", (int) (rest + n - s->path), s->path);
                if (r >= 0)
                        r = enter(f, name, real, 0700);
        }
        return r;
}

/* --- Content ------------------------------------------------------------------------------------------ */

static ssize_t stream_read(Feeding *f, void *p, size_t n) {
        ssize_t k;

        if (is_cancelled(f))
                return -ECANCELED;
        report_first_read(f->report);
        k = f->streams->read(f->streams->userdata, p, n, &f->report->failure);
        if (k > 0)
                atomic_fetch_add_explicit(&f->report->bytes_read, (uint64_t) k, memory_order_relaxed);
        return k;
}

static int size_wrong(Feeding *f) {
        return failure_set(&f->report->failure, -EPROTO, "STREAM_FAILED",
                           "/%s is not as large as it was said to be", f->current);
}

/* The end of what is sized is also the word that all went well. */
static int content_end(Feeding *f) {
        uint8_t more;
        ssize_t n;

        n = stream_read(f, &more, 1);
        return n > 0 ? size_wrong(f) : (int) n;
}

/* Straight into the sink. size: what was promised; UINT64_MAX: nothing. */
static int content_feed(Feeding *f, uint64_t size, uint64_t *ret) {
        uint64_t given = 0;

        for (;;) {
                size_t room;
                void *space;
                ssize_t n;
                int r;

                if (given == size)
                        return content_end(f);
                r = f->sink->space(f->sink_userdata, &space, &room);
                if (r < 0)
                        return r;
                n = stream_read(f, space, (size_t) MIN((uint64_t) room, size - given));
                if (n < 0)
                        return (int) n;
                if (n == 0 && size != UINT64_MAX)
                        return size_wrong(f);
                r = f->sink->advance(f->sink_userdata, (size_t) n);
                given += (uint64_t) n;
                if (size == UINT64_MAX)
                        *ret = given;
                if (r < 0 || n == 0)
                        return r;
        }
}

/* A file of the directory that is entered. The size of one that is not sized is known at its end. */
static int file_feed(Feeding *f, const BackupStream *s) {
        _cleanup_(entry_clear) Entry entry = {};
        const char *slash = strrchr(s->path, '/');
        FsStat st;
        int r;

        assert(f);

        stat_made(f, S_IFREG | s->mode, &st);
        r = remember(f, slash ? slash + 1 : s->path);
        if (r >= 0)
                r = entry_fill(f, s->path, s->like, &st, &entry);
        if (r < 0)
                return r;
        entry.member.size = st.size = st.allocated = s->sized ? s->size : 0;
        r = f->sink->begin(f->sink_userdata, &entry, &st);
        if (r > 0)
                return -EPROTO; /* nobody knows a stream before it is read */
        if (r >= 0)
                r = content_feed(f, s->sized ? s->size : UINT64_MAX, &entry.member.size);
        if (r < 0)
                return r;
        f->report->files++;
        return f->sink->end(f->sink_userdata, &entry);
}

/* --- Parts -------------------------------------------------------------------------------------------- */

/* Fills a part; less than its size only at the end of the stream. */
static int part_read(Feeding *f, size_t *ret) {
        size_t n = 0;

        assert(f);

        while (n < f->sink->part_max) {
                ssize_t k = stream_read(f, f->part + n, f->sink->part_max - n);

                if (k < 0)
                        return (int) k;
                if (k == 0)
                        break;
                n += (size_t) k;
        }
        *ret = n;
        return 0;
}

static int part_write(Feeding *f, const BackupStream *s, const char *name, size_t n) {
        _cleanup_(freep) char *path = NULL;
        _cleanup_(entry_clear) Entry entry = {};
        FsStat st;
        int r;

        assert(f);

        r = asprintf_safe(&path, "%s/%s", s->path, name);
        if (r < 0)
                return r;
        stat_made(f, S_IFREG | s->mode, &st);
        r = entry_fill(f, path, NULL, &st, &entry);
        if (r < 0)
                return r;
        entry.member.size = st.size = st.allocated = n;
        r = f->sink->begin(f->sink_userdata, &entry, &st);
        for (size_t done = 0; r >= 0 && done < n;) {
                size_t room;
                void *space;

                r = f->sink->space(f->sink_userdata, &space, &room);
                if (r < 0)
                        return r;
                room = MIN(room, n - done);
                memcpy(space, f->part + done, room);
                r = f->sink->advance(f->sink_userdata, room);
                done += room;
        }
        return r < 0 ? r : f->sink->end(f->sink_userdata, &entry);
}

static int parts_feed(Feeding *f, const BackupStream *s) {
        const char *slash = strrchr(s->path, '/');
        uint64_t number = 0;
        size_t n;
        int r;

        assert(f);

        if (!f->part)
                f->part = malloc(f->sink->part_max);
        if (!f->part)
                return -ENOMEM;
        r = enter(f, slash ? slash + 1 : s->path, NULL, 0700);
        do {
                char name[STREAM_PART_DIGITS + 1];

                if (r >= 0)
                        r = part_read(f, &n);
                if (r < 0)
                        return r;
                if (number >= UINT64_C(10000000000))
                        return -EFBIG;
                (void) snprintf(name, sizeof name, "%0*" PRIu64, STREAM_PART_DIGITS, number++);
                if (n > 0 || number == 1)
                        r = part_write(f, s, name, n);
        } while (r >= 0 && n == f->sink->part_max);
        if (r < 0)
                return r;
        f->report->files++;
        return leave(f);
}

/* --- The run ------------------------------------------------------------------------------------------ */

static int stream_store(Feeding *f, const BackupStream *s) {
        int r;

        assert(f);
        assert(s);

        f->current = s->path;
        report_current(f->report, s->path);
        if (s->note)
                report_log(f->report, ARCHIVE_LOG_WARNING, "/%s: %s", s->path, s->note);
        if (s->lost) {
                report_problem(f->report, s->path, "DATABASE", /* lost= */ true, "%s.", s->lost);
                return 0;
        }
        r = go_to(f, s);
        if (r < 0)
                return r;
        return !s->sized && f->sink->part_max > 0 ? parts_feed(f, s) : file_feed(f, s);
}

static int start(Feeding *f) {
        int r;

        f->xattrs = malloc(METADATA_BUFFER);
        if (!f->xattrs)
                return -ENOMEM;
        r = buffer_add_string(&f->folder, "");
        if (r >= 0)
                r = fs_new(f->args->source_stall > 0 ? f->args->source_stall : BACKUP_SOURCE_STALL,
                           f->args->cancel, &f->fs);
        if (r >= 0)
                r = owner_names_new(&f->owners);
        if (r < 0)
                return r;
        fs_guard(f->fs, true);
        return f->sink->enter(f->sink_userdata, "");
}

int streams_run(const BackupArgs *args, const Sources *sources, const WalkSink *sink, void *sink_userdata,
                Report *report) {
        _cleanup_(feeding_done) Feeding f = {
                .args = args,
                .streams = args->streams,
                .sources = sources,
                .sink = sink,
                .sink_userdata = sink_userdata,
                .report = report,
                .now = now_usec(CLOCK_REALTIME),
        };
        int r;

        assert(args->streams);
        assert(sources);
        assert(sink);
        assert(report);

        r = start(&f);
        while (r >= 0) {
                _cleanup_(backup_stream_done) BackupStream s = BACKUP_STREAM_NULL;

                if (is_cancelled(&f))
                        return -ECANCELED;
                r = f.streams->next(f.streams->userdata, &s, &report->failure);
                if (r == 0)
                        break;
                if (r > 0)
                        r = stream_store(&f, &s);
        }
        while (r >= 0 && f.folder.size > 0)
                r = leave(&f);
        return r < 0 ? r : sink->leave(sink_userdata);
}
