#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The repositories that runs write to: one a node and target. Written by the dispatcher, which alone opens
 * their secrets. Rows stay when the node or the target goes: what was written is read with them alone. */

#include "store/store.h"

typedef struct StoredRepository {
        uint64_t id;
        uint64_t node_id;
        uint64_t target_id;
        char *prefix;  /* of its keys; ends in / */
        char *chunker; /* how it cuts files: "gear" */
        char *sealed;  /* to the dispatcher: JSON with the password and the polynomial of the node */
        usec_t created;
        usec_t pruned;      /* read only: when the space of what was forgotten was given back; 0: never */
        bool has_snapshots; /* read only: a run committed one, so that it has to be there */
} StoredRepository;

#define STORED_REPOSITORY_NULL ((StoredRepository){})

void stored_repository_done(StoredRepository *r);

/* STORE_E_EXISTS: there is one for this node and target, or with this prefix on the target. */
int stored_repository_add(Store *s, const StoredRepository *r, uint64_t *ret_id) _warn_unused_;
/* STORE_E_NOT_FOUND. */
int stored_repository_find(Store *s, uint64_t node_id, uint64_t target_id, StoredRepository *ret)
                _warn_unused_;
/* The oldest one of a node: all of a node have one polynomial. STORE_E_NOT_FOUND. */
int stored_repository_first(Store *s, uint64_t node_id, StoredRepository *ret) _warn_unused_;
int stored_repository_set_pruned(Store *s, uint64_t node_id, uint64_t target_id, usec_t at) _warn_unused_;

/* Names ("command-7-1", by id and attempt) of the newest commands that worked in this node's repositories,
 * there or, of checks, on another node, and ended otherwise than well, as their agent told: none of them
 * goes on, and each may have left a lock. At most max; a lock does not count for longer than so many runs
 * take. */
int stored_repository_list_ended(Store *s, uint64_t node_id, size_t max, char ***ret) _warn_unused_;

/* A snapshot that a run committed to one target. */
typedef struct StoredSnapshot {
        uint64_t key; /* of the row, for pages */
        char *id;     /* 64 digits */
        uint64_t run_id;
        uint64_t task_id; /* 0: deleted */
        char *task_name;
        uint64_t node_id;
        char *node_name;
        uint64_t target_id;
        char *target_name;
        int run_state; /* a RunState */
        usec_t finished;
        uint64_t files;
        uint64_t bytes_new, bytes_total;
} StoredSnapshot;

typedef struct StoredSnapshotList {
        StoredSnapshot *items;
        size_t n;
} StoredSnapshotList;

#define STORED_SNAPSHOT_LIST_NULL ((StoredSnapshotList){})

void stored_snapshot_list_done(StoredSnapshotList *l);

typedef struct StoredSnapshotFilter {
        uint64_t node_id, task_id, target_id; /* 0: all */
} StoredSnapshotFilter;

/* What is in the repository of this node on this target: snapshots that runs until that time left there and
 * that are not named become removed ones, those that are named are there. ids: JSON, an array of names. */
int stored_snapshots_set_listed(Store *s, uint64_t node_id, uint64_t target_id, const char *ids,
                                usec_t until) _warn_unused_;

/* Newest first, without removed ones; before 0 starts at the newest. */
int stored_snapshots_list(Store *s, const StoredSnapshotFilter *filter, uint64_t before, size_t limit,
                          StoredSnapshotList *ret) _warn_unused_;
