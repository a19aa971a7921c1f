#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The dispatcher's choices as functions of their arguments: what state a node is in, who reads an archive
 * and from where, what a name becomes in a key. */

#include "store/node.h"
#include "store/run.h"

/* Heartbeats come every 15 seconds; two may be lost. */
#define NODE_OFFLINE_USEC (45 * USEC_PER_SEC)
/* Beyond this, times of the node and of the master no longer tell one story. */
#define NODE_SKEW_MAX_USEC ((int64_t) (5 * USEC_PER_MINUTE))

typedef struct NodeView {
        NodeState state;
        bool heard;     /* within NODE_OFFLINE_USEC, really: by a stamp of this boot */
        bool listening; /* the API was listening just now; else nothing is known */
        usec_t silence; /* as stamp_silence() has it */
        bool duplicate; /* another agent used its token */
        bool has_key;
        bool key_differs; /* the agent speaks of another key than the pinned one */
        int64_t clock_skew_usec;
} NodeView;

typedef struct NodeVerdict {
        NodeState state;
        NodeHealth health;
        const char *reason; /* a constant; NULL: healthy */
} NodeVerdict;

NodeVerdict choose_node_state(const NodeView *view);

/* A copy of an archive. */
typedef struct CopyView {
        RunTargetState state;
        const char *type; /* of the target; NULL: the target is gone */
} CopyView;

/* Which copies a node can read, the nearest first; gives their number. A local target is a directory of
 * the node that wrote it. order has room for n. */
size_t choose_copies(const CopyView *copies, size_t n, uint64_t writer, uint64_t reader, size_t *order);

/* Who looks into an archive: the node that wrote it while it is online, else the master's own where it can
 * reach a copy. 0: nobody can. */
uint64_t choose_reader(const CopyView *copies, size_t n, uint64_t writer, bool writer_online,
                       bool local_online);

/* A name as one part of a key: no slash, nothing that hides or climbs, at most CHOOSE_PART_MAX bytes. */
#define CHOOSE_PART_MAX 64
char *choose_key_part(const char *name, char ret[static CHOOSE_PART_MAX + 1]);

/* "20261122T221501.123Z" */
#define CHOOSE_TIME_MAX STRLEN("20261122T221501.123Z+")
char *choose_key_time(usec_t t, char ret[static CHOOSE_TIME_MAX]);
