#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One stream of blocks to several targets: a thread a target, blocks shared by reference and bounded in
 * number. A target that fails or stalls is dropped, the others go on. Objects of a target become visible
 * together, at the commit, the manifest last; before it, nothing is under a final name but full volumes on
 * storages that cannot seal them, which are removed again where the rest fails. */

#include "archive/backup.h"

#define FANOUT_BLOCK (512U << 10)
/* Blocks in memory, whatever the number of targets: how far the fastest may be ahead of the slowest. */
#define FANOUT_BLOCKS_MAX 16

typedef struct Fanout Fanout;

/* Names of the objects come with each target's key in front. */
int fanout_new(const BackupTarget *targets, size_t n_targets,
               const char *const names[static _BACKUP_OBJECTS], Fanout **ret) _warn_unused_;
/* Ends the threads; leaves behind, with its memory, what does not end. */
Fanout *fanout_free(Fanout *f);

/* Appends to an object. Each object has one writer at a time. Blocks while the slowest target is too far
 * behind. -EPIPE: no target is left; -ECANCELED: stopped. */
int fanout_write(Fanout *f, unsigned object, const void *p, size_t n) _warn_unused_;
/* Ends a volume of the object, which has something in it, for the next one. The digest is of that volume. */
int fanout_next(Fanout *f, unsigned object, const uint8_t sha256[static SHA256_SIZE]) _warn_unused_;
/* All is written: the targets commit what has these digests. */
int fanout_commit(Fanout *f, const BackupObject objects[static _BACKUP_OBJECTS]) _warn_unused_;
/* Ends everything, also writers that wait; nothing is committed. */
void fanout_stop(Fanout *f);
/* Drops targets that took nothing for longer than stall; names them in report. To be called now and then. */
struct Report;
void fanout_watch(Fanout *f, usec_t stall, struct Report *report);
/* Whether every target has ended, well or not. */
bool fanout_is_done(Fanout *f);
/* Bytes written to the target that is furthest. */
uint64_t fanout_written(Fanout *f);
/* The outcome per target; takes the failures over. */
void fanout_results(Fanout *f, BackupTargetResult *ret);

DEFINE_CLEANUP(Fanout *, fanout_free);
