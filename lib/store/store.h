#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One SQLite file that three daemons share, and the only place that knows so. Each process opens it once,
 * with the role that says which statements it may run: a transition has one writer, and a statement that
 * belongs to another daemon is refused with -EPERM (it was never prepared). Every header here says who
 * writes.
 *
 * Results, in the whole folder: 0 is done; a negative errno is an error (-EPERM: the role may not; -EBUSY:
 * another process held the lock for longer than the busy timeout; -EIO, -ENOSPC, -EROFS, -EUCLEAN: the
 * file); a positive number is one of the outcomes below or of the function's own header.
 *
 * Texts: JSON columns are opaque here. NULL and an absent text are the same. Ids are never reused. A time of
 * 0 is "never", an id of 0 is "none". Not thread safe: the store belongs to the thread of the event loop. */

#include <errno.h>

#include "base/failure.h"
#include "base/times.h"

typedef struct Store Store;

typedef enum StoreRole {
        STORE_API,
        STORE_SCHEDULER,
        STORE_DISPATCHER,
        STORE_READONLY,
        STORE_RECOVERY, /* reads all, what is sealed to the dispatcher, too: for root of the master */
        _STORE_ROLE_MAX,
        _STORE_ROLE_INVALID = -EINVAL,
} StoreRole;

enum {
        STORE_E_NOT_FOUND = 1, /* no such row */
        STORE_E_EXISTS,        /* the name (or the unique key) is taken */
        STORE_E_IN_USE,        /* another row needs this one: it cannot be deleted */
        STORE_E_STATE,         /* the row is not in the state that this change starts from */
        _STORE_E_MAX = 100,    /* the entities' own outcomes start here, a hundred each */
};

/* Waiting for another process's lock ends after this. Longer than any transaction of ours by orders of
 * magnitude. */
#define STORE_BUSY_TIMEOUT_USEC (5 * USEC_PER_SEC)
/* What one list call gives at most, whatever limit was asked for. */
#define STORE_LIST_MAX 1000U
/* No text or JSON column takes more than this: -EFBIG. */
#define STORE_TEXT_MAX (4U * 1024 * 1024)

/* Opens the file, makes it (0660) when it is missing and the role is not STORE_READONLY, and brings it to
 * our version: any daemon does, each step in a transaction of its own; a step that fails changes nothing,
 * and the file stays as it is. -EUCLEAN: not a database, or not ours; -EPROTONOSUPPORT: a newer version of
 * the suite wrote it; both with a sentence in the failure. */
int store_open(const char *path, StoreRole role, Store **ret, Failure *reterr_failure) _warn_unused_;
Store *store_close(Store *s);
StoreRole store_role(const Store *s);
unsigned store_schema_version(void);

/* Reads the whole file and compares indexes and tables; 0 when all is well, -EUCLEAN with the first
 * complaint. Slow: for tests and for an operator's question. */
int store_check(Store *s, Failure *reterr_failure) _warn_unused_;

/* A number that differs after another process committed something. Cheap: no table is read. */
int store_data_version(Store *s, uint64_t *ret) _warn_unused_;

/* A transaction: BEGIN IMMEDIATE, so it never fails half-way with "locked". Nested ones are savepoints, so
 * every function of this folder can be called inside one, and an audit row goes into the same commit:
 *
 *         _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
 *         r = store_begin(s, &tx);
 *         ...
 *         return store_commit(&tx);
 *
 * What was not committed when tx goes out of scope is rolled back. */
typedef struct StoreTx {
        Store *store;
        unsigned depth;
} StoreTx;

#define STORE_TX_NULL ((StoreTx){})

int store_begin(Store *s, StoreTx *tx) _warn_unused_;
int store_commit(StoreTx *tx) _warn_unused_;
void store_tx_done(StoreTx *tx);

/* Group commit: all that one turn of the event loop writes shares one commit (and one fsync). Open it at the
 * first write of a turn (again is fine: 0), commit at the turn's end, and answer only after that. Functions
 * and transactions inside become savepoints: one that fails takes nothing of the others with it. When the
 * commit fails, all of the group is undone and every answer of the turn is an error. Commit without an open
 * group is 0. */
int store_group_open(Store *s) _warn_unused_;
int store_group_commit(Store *s) _warn_unused_;
bool store_group_is_open(const Store *s);

/* What clean-up keeps. Zero spans keep for ever. */
typedef struct StoreRetention {
        usec_t probe_results; /* finished commands without a run */
        usec_t run_logs;      /* lines of runs that ended */
        usec_t runs;          /* ended runs without an archive (failed, missed, cancelled, restores) */
        usec_t audit;
        usec_t slice; /* how long one call may take; 0: the usual */
} StoreRetention;

#define STORE_RETENTION_DEFAULT \
        ((StoreRetention){ \
                        .probe_results = USEC_PER_HOUR, \
                        .run_logs = 90 * USEC_PER_DAY, \
                        .runs = 365 * USEC_PER_DAY, \
                        .audit = 730 * USEC_PER_DAY, \
        })

/* Deletes one slice (under 10 ms) of what expired: sessions, enrolment tokens, old node tokens, capabilities
 * of ended commands (API role); probe results, logs, runs, audit (dispatcher role). ret_more: call again in
 * a later turn of the loop. */
int store_clean(Store *s, const StoreRetention *keep, usec_t now, bool *ret_more) _warn_unused_;

DEFINE_CLEANUP(Store *, store_close);
