#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* prune: what a policy does not keep of a task is forgotten in the repositories that hold a backup, and the
 * space of what nobody refers to is given back. The command, and what its job answers. */

#include "wire/result.h"
#include "wire/retention.h"

#define PRUNE_TAG_MAX 64
/* Snapshots of all repositories of one answer. */
#define PRUNE_SNAPSHOTS_MAX 20000

/* "backupx-task-3": the snapshots of a task have it. */
int prune_tag(uint64_t task_id, char **ret) _warn_unused_;

typedef struct PruneSpec {
        uint64_t run;
        uint64_t source_run;
        SnapshotRef snapshots; /* in each of these repositories */
        char *tag;             /* what the retention is for; NULL: nothing is forgotten */
        Retention retention;
        uint64_t prune[SPEC_TARGETS_MAX]; /* targets whose space is given back */
        size_t n_prune;
} PruneSpec;

#define PRUNE_SPEC_NULL ((PruneSpec){})
void prune_spec_done(PruneSpec *s);
int prune_spec_build(const PruneSpec *s, json_t **ret) _warn_unused_;
int prune_spec_parse(const json_t *json, PruneSpec *ret, Failure *reterr_failure) _warn_unused_;
bool prune_spec_names(const PruneSpec *s, uint64_t target_id);

/* When space is given back. */
typedef enum PruneWhen {
        PRUNE_NEVER,
        PRUNE_DUE, /* where it was not done for a week */
        PRUNE_NOW,
        _PRUNE_WHEN_MAX,
        _PRUNE_WHEN_INVALID = -EINVAL,
} PruneWhen;

/* "never", "due", "now". */
DECLARE_STRING_TABLE(prune_when, PruneWhen);

/* What a run is asked for: {"space":"due"}; now where nothing is said. */
int prune_request_build(PruneWhen when, json_t **ret) _warn_unused_;
int prune_request_parse(const json_t *json, PruneWhen *ret, Failure *reterr_failure) _warn_unused_;

typedef struct PruneTarget {
        uint64_t target_id;
        uint64_t removed; /* snapshots, by this job */
        bool pruned;
        json_t *snapshots; /* names of those that are there; NULL: not known */
} PruneTarget;

/* Beside the figures of a restore, with which it is judged. */
typedef struct PruneOutcome {
        RestoreOutcome base;
        PruneTarget *targets;
        size_t n_targets;
} PruneOutcome;

#define PRUNE_OUTCOME_NULL ((PruneOutcome){})
void prune_outcome_done(PruneOutcome *o);
int prune_outcome_build(const PruneOutcome *o, json_t **ret) _warn_unused_;
int prune_outcome_parse(const json_t *json, PruneOutcome *ret, Failure *reterr_failure) _warn_unused_;
