#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Shared by walk.c (where to go), walk-stack.c (the directories on the way) and walk-store.c (what to keep
 * of it). */

#include "archive/links.h"
#include "archive/metadata.h"
#include "archive/mounts.h"
#include "archive/names.h"
#include "archive/walk.h"
#include "wire/exclude.h"

/* A directory on the way down. */
typedef struct Dir {
        int fd; /* -EBADF: closed for now */
        size_t path_length;
        uint64_t dev, ino;
        NameList names;
        const SourceNode *node; /* where sources are at or below it, else NULL */
        size_t next_node;
        bool full;            /* all its children, not only those that lead to sources */
        bool guarded;         /* on a file system that may not answer */
        bool linked;          /* reached through a link: ".." leads elsewhere */
        bool lost;            /* nothing more can be read from it */
        size_t source;        /* the number of the source it belongs to */
        size_t source_length; /* of that source's path */
        uint64_t source_dev;
} Dir;

/* A directory of this host that a target of this very backup is: an archive of archives would double each
 * time. */
typedef struct OwnTarget {
        uint64_t dev, ino;
} OwnTarget;

typedef struct Walk {
        const BackupArgs *args;
        const Sources *sources;
        const WalkSink *sink;
        void *sink_userdata;
        Report *report;

        Fs *fs;
        Excludes *excludes;
        Mounts *mounts;
        Links *links;
        OwnerNames *owners;
        Buffer path;  /* of what is being visited, relative to the root */
        char *xattrs; /* METADATA_BUFFER */
        Dir *dirs;
        size_t n_dirs, n_allocated;
        size_t names_used;
        unsigned n_linked;
        unsigned noatime_refused; /* in a row */
        bool stalled;             /* a guarded file system did not answer */
        bool links_full;
        OwnTarget own[BACKUP_TARGETS_MAX];
        size_t n_own;
        uint64_t copies; /* hard links stored as copies */
} Walk;

/* What is being visited: its name in a directory. */
typedef struct Child {
        int dirfd;
        const char *name;
        const SourceNode *node;
        bool follow; /* the name may be a link */
        FsStat stat;
} Child;

/* Tells the report of an error of this path. Gives the error where it ends the run, else 0. */
int walk_problem(Walk *w, int error, const char *what);

/* --- walk-stack.c --- */

#define WALK_OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NONBLOCK)

/* The directory that is being read; NULL: the walk is over. */
Dir *walk_top(Walk *w);
/* Opens a name for reading without touching its access time where that is allowed. */
int walk_open(Walk *w, int dirfd, const char *name, int flags) _warn_unused_;

/* The path of what is visited: goes on with a name, and back to a length. */
int walk_path_push(Walk *w, const char *name) _warn_unused_;
void walk_path_cut(Walk *w, size_t length);
/* Puts a directory that was stored on the stack, and reads its names; takes over d.fd. */
int walk_dir_push(Walk *w, Dir d) _warn_unused_;
int walk_dir_pop(Walk *w) _warn_unused_;
void walk_dirs_done(Walk *w);

/* --- walk-store.c --- */

/* Stores what has no content: directories (fd is the open one, or negative), links, devices. */
int walk_store_node(Walk *w, const Child *c, int fd, bool parent, bool incomplete) _warn_unused_;
/* Stores a regular file that is open. */
int walk_store_file(Walk *w, int fd, const FsStat *st) _warn_unused_;
