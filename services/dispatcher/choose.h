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

/* Less than this, and an agent can keep neither results nor its own state for long. */
#define NODE_FREE_MIN (UINT64_C(256) << 20)

/* What can be wrong with a node. Each one goes away by itself when its cause is gone. */
typedef enum NodeReason {
        REASON_DISABLED,
        REASON_NEVER_SEEN,
        REASON_SILENT,
        REASON_DUPLICATE,
        REASON_KEY_MISMATCH,
        REASON_KEY_MISSING,
        REASON_CLOCK_SKEW,
        REASON_DISK_LOW,
        REASON_TOKEN_OLD,
        REASON_CHECK_FAILED,
        _NODE_REASON_MAX,
        _NODE_REASON_INVALID = -EINVAL,
} NodeReason;

/* "CLOCK_SKEW" */
DECLARE_STRING_TABLE(node_reason, NodeReason);
/* A sentence for people. */
const char *node_reason_text(NodeReason reason);

typedef struct NodeView {
        NodeState state;
        bool heard;     /* within NODE_OFFLINE_USEC, really: by a stamp of this boot */
        bool listening; /* the API was listening just now; else nothing is known */
        usec_t silence; /* as stamp_silence() has it */
        bool disabled;
        bool duplicate; /* another agent used its token */
        bool has_key;
        bool key_differs;  /* the agent speaks of another key than the pinned one */
        bool token_old;    /* it was given a new token a while ago, and shows the old one still */
        bool check_failed; /* the last check of the host found an error */
        int64_t clock_skew_usec;
        bool has_facts; /* it told what follows */
        uint64_t free_bytes;
} NodeView;

typedef struct NodeVerdict {
        NodeState state;
        NodeHealth health;
        unsigned reasons; /* a bit for each NodeReason; the lowest one counts most */
} NodeVerdict;

NodeVerdict choose_node_state(const NodeView *view);
/* The most important one; _NODE_REASON_INVALID: none. */
NodeReason choose_first_reason(unsigned reasons);

/* A node that a run could go to because of its label. */
typedef struct PoolNode {
        uint64_t id;
        bool usable;       /* online, enabled, not draining, with a key */
        uint64_t load;     /* open commands */
        uint32_t capacity; /* jobs at a time; 0 counts as 1 */
} PoolNode;

/* The usable one with the least load for its capacity, the least load, the lowest id. NULL: none. */
const PoolNode *choose_pool_node(const PoolNode *nodes, size_t n);

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
