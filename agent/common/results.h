#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The folder results/: what outlives an agent and a job.
 *
 *         command-<id>-<attempt>.json   the result of a job, kept until the master acknowledged it
 *         command-<id>-<attempt>.lock   held with flock() by the job for as long as it lives; its PID inside
 *         command-<id>-<attempt>.job    written by the agent before it accepts the command
 *         command-<id>-<attempt>.todo   beside it, and gone once the job was sent its orders
 *
 * The lock is the proof of life: no PID can be reused under it, and it works across users and sandboxes. The
 * agent takes it and sends it along with the orders, so that it is held from before the job could begin: a
 * lock that nobody holds beside a .todo means that nothing was begun. */

#include <sys/types.h>

#include "base/failure.h"
#include "wire/command.h"
#include "wire/job.h"

#define RESULT_FILE_MAX (3 * JOB_FRAME_MAX)

typedef struct WorkName {
        uint64_t command;
        uint64_t attempt;
} WorkName;

#define WORK_NAME_MAX STRLEN("command-18446744073709551615-18446744073709551615.json+")

/* "command-7-1" and suffix ("", ".json", …). Gives buf. */
char *work_name_format(char buf[static WORK_NAME_MAX], WorkName name, const char *suffix);
/* Takes exactly the one text of a name with this suffix: -EINVAL. */
int work_name_parse(const char *s, const char *suffix, WorkName *ret) _warn_unused_;

/* --- Results --------------------------------------------------------------------------------------- */

/* Durable, and readable for the owner of the folder whoever writes it (a restore job is root). */
int result_save(int dirfd, WorkName name, const json_t *result) _warn_unused_;
/* -ENOENT; -EBADMSG: not a result. */
int result_load(int dirfd, WorkName name, json_t **ret, Failure *reterr_failure) _warn_unused_;
/* Removes all files of this name. */
void result_forget(int dirfd, WorkName name);

/* --- The agent's notes ------------------------------------------------------------------------------- */

typedef struct WorkNote {
        CommandKind kind;
        uint64_t run; /* 0: none */
} WorkNote;

int work_note_save(int dirfd, WorkName name, const WorkNote *note) _warn_unused_;
/* Reads a note; one that is damaged still says that there was a command. */
int work_note_load(int dirfd, WorkName name, WorkNote *ret) _warn_unused_;

/* A mark that the job has no orders yet. It is not synced, and says the boot instead: after another one it
 * proves nothing. */
int work_todo_save(int dirfd, WorkName name, const char *boot_id) _warn_unused_;
int work_todo_end(int dirfd, WorkName name) _warn_unused_;
/* Whether it is there, of this boot. */
bool work_todo_holds(int dirfd, WorkName name, const char *boot_id);

/* --- Signs of life ----------------------------------------------------------------------------------- */

/* For the job with this PID (0: not known). Gives a descriptor that holds the lock until it and all its
 * copies are closed. -EBUSY: another job of this name lives. */
int job_lock_take(int dirfd, WorkName name, pid_t pid) _warn_unused_;
/* For the agent: 1 when the job lives (*ret_pid is what it wrote, 0 when unreadable), 0 when it does not. */
int job_lock_probe(int dirfd, WorkName name, pid_t *ret_pid) _warn_unused_;
