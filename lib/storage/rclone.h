#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Storage through the rclone of this host: one child for each operation, with an environment of its own.
 *
 * The remote is always called "x", and its options are RCLONE_CONFIG_X_* in the environment of the child:
 * never in its arguments, never in a file (the configuration file is /dev/null). What stands behind "x:" in
 * an argument is a path, whatever is in it. No child has a port of remote control. */

#include "base/buffer.h"
#include "storage/rclone-describe.h"
#include "storage/remote.h"

#define RCLONE_REMOTE "x:"
#define RCLONE_OPTION_PREFIX "RCLONE_CONFIG_X_"
/* What a child says; the rest is dropped. */
#define RCLONE_WORDS_MAX 8192U
/* Of a description, of one directory's listing. */
#define RCLONE_ANSWER_MAX (256U << 20)
/* rclone holds so much of a stream; what is no larger has a size when it is sent. */
#define RCLONE_CUTOFF (16U << 20)

typedef struct Rclone {
        char *program;      /* an absolute path */
        char **environment; /* with the secrets */
        char **secrets;     /* their values, and how they were obscured: taken out of messages */
        char *stall;        /* "240000ms" */
        char *directory;    /* of this host, where the objects are in one; or NULL */

        pthread_mutex_t lock;
        bool is_known;   /* what follows was asked */
        bool is_store;   /* of objects: there are no directories */
        bool can_stream; /* what is larger than RCLONE_CUTOFF, too */
        bool has_usage;
} Rclone;

typedef struct RcloneChild {
        pid_t pid; /* 0: none runs */
        int in;    /* what it reads */
        int out;   /* what it writes */
        int err;
        int process; /* pidfd */
        char *names; /* what it was told to work on: paths on the remote, one a line */
        char words[RCLONE_WORDS_MAX];
        size_t n_words;
        usec_t moved_at;
        uint64_t moved; /* bytes it read and wrote, as the kernel counts */
} RcloneChild;

typedef struct RcloneSession {
        RemoteSession head;
        Rclone *rclone; /* weak */
        RcloneChild put;
        uint64_t sent; /* to put */
        /* An object that is being read, with the child that gives what follows at `at`. */
        RcloneChild get;
        char *get_path;
        uint64_t get_at, get_stop; /* it will give no more than up to there */
        bool get_is_rest;          /* which is the end of the object */
        /* And where the last reading ended; how large it is holds for a while, for objects do not change. */
        char *last_path;
        uint64_t last_end, last_size;
        usec_t last_asked;
} RcloneSession;

/* Text as rclone wants passwords: AES-256 in counter mode under a key that everybody knows, the counter's
 * start before it, in base64 for URLs (fs/config/obscure of rclone). */
int rclone_obscure(const char *text, char **ret) _warn_unused_;
/* The program; NULL when there is none. */
const char *rclone_program(void);

int rclone_config_new(Rclone **ret) _warn_unused_;
void rclone_config_free(Rclone *rc);
/* Checks what a target gives by the description of this host's rclone, and makes the environment. */
int rclone_config_read(Storage *s, Rclone *rc, const StorageConfig *config, Failure *reterr_failure)
                _warn_unused_;

/* --- The child ----------------------------------------------------------------------------------------- */

/* arguments: behind the program's name and the common flags; NULL-terminated. feeds: it gets an input. */
int rclone_child_start(RcloneSession *x, const char *const *arguments, bool feeds, RcloneChild *ret)
                _warn_unused_;
/* Gives how many bytes it has taken; -EPIPE: it ended. */
ssize_t rclone_child_write(RcloneSession *x, RcloneChild *c, const void *data, size_t n) _warn_unused_;
/* 0: it will write no more. */
ssize_t rclone_child_read(RcloneSession *x, RcloneChild *c, void *buf, size_t n) _warn_unused_;
/* Ends its input, as a whole, and waits for its end. 0, or what it says as an errno, with words. */
int rclone_child_wait(RcloneSession *x, RcloneChild *c) _warn_unused_;
/* Its input ends with a failure, never as if it were whole. Does nothing where none runs. */
void rclone_child_kill(RcloneChild *c);
/* Runs one to its end; its output, of at most limit bytes, to ret (which may be NULL). */
int rclone_child_run(RcloneSession *x, const char *const *arguments, Buffer *ret) _warn_unused_;

/* What went wrong, by the words of rclone and its exit code. Names in them mean nothing: paths has those of
 * the operation, one a line, the environment those of the target; both may be NULL. */
int rclone_error_kind(int code, const char *words, const char *paths, char *const *environment);
