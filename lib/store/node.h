#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Servers. Node 1 is `local`, the master's own, made with the database; it cannot be deleted or renamed.
 *
 * The API writes: settings (name, description, labels, limits, whether it is enabled), what the heartbeat
 * said (NodeContact), the operator's leave to pin a new key. The dispatcher writes: state, health, drain,
 * the pinned public key and the archive identity. Nobody else. */

#include "store/stamp.h"

#define NODE_LOCAL UINT64_C(1)

typedef enum NodeState {
        NODE_PENDING, /* made, never heard */
        NODE_ONLINE,
        NODE_OFFLINE,
        _NODE_STATE_MAX,
        _NODE_STATE_INVALID = -EINVAL,
} NodeState;

typedef enum NodeHealth {
        HEALTH_HEALTHY,
        HEALTH_DEGRADED,
        HEALTH_OFFLINE,
        _NODE_HEALTH_MAX,
        _NODE_HEALTH_INVALID = -EINVAL,
} NodeHealth;

DECLARE_STRING_TABLE(node_state, NodeState);
DECLARE_STRING_TABLE(node_health, NodeHealth);

enum {
        NODE_E_KEY_MISMATCH = _STORE_E_MAX + 100, /* another key is pinned */
        NODE_E_LOCAL,                             /* the master's own node cannot be deleted or renamed */
};

/* What its agent may use; 0: no limit. The agent's own settings may say less. */
typedef struct NodeLimits {
        uint32_t jobs;       /* at a time, probes not counted */
        uint64_t bandwidth;  /* bytes a second, of all uploads over the network */
        uint32_t cpu_weight; /* of its jobs, as systemd counts */
        uint32_t io_weight;
} NodeLimits;

/* Labels are words of [a-z0-9._-] that begin with a letter or a digit. */
#define NODE_LABEL_MAX 63U
#define NODE_LABELS_MAX 32U

#define NODE_LABEL_RULE "1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit"

bool node_label_is_valid(const char *label);

typedef struct Node {
        uint64_t id;
        char *name;
        char *description;
        usec_t created;
        uint64_t revision; /* of the settings */
        bool enabled;      /* else its agent is refused, and it gets nothing to do */
        char *labels;      /* sorted, with a space between; NULL: none */
        NodeLimits limits;

        /* by the dispatcher */
        NodeState state;
        NodeHealth health;
        char *health_reason;  /* the first of the reasons; NULL: healthy */
        char *health_reasons; /* JSON: [{"code","message","since"},…]; NULL: none */
        bool draining;
        char *public_key;        /* pinned age recipient; NULL: none yet */
        char *archive_recipient; /* NULL: no identity made yet */

        /* by the API */
        bool pin_open; /* the operator allowed the next enrolment to pin another key */
        Stamp heard;
        usec_t last_seen; /* wall clock, for people */
        char *agent_id;
        char *duplicate; /* the other agent_id that was refused, NULL: none */
        char *boot_id;
        char *version;
        char *os;
        char *arch;
        char *hostname;
        char *addresses;   /* JSON */
        char *tools;       /* JSON */
        char *offered_key; /* the public key that the agent last spoke of */
        uint32_t capacity;
        uint64_t free_bytes;
        int64_t clock_skew_usec; /* the node's clock minus ours */
} Node;

#define NODE_NULL ((Node){})

void node_done(Node *n);
bool node_has_label(const Node *n, const char *label);

typedef struct NodeList {
        Node *items;
        size_t n;
} NodeList;

#define NODE_LIST_NULL ((NodeList){})

void node_list_done(NodeList *l);

/* --- reading --- */

/* STORE_E_NOT_FOUND. */
int node_get(Store *s, uint64_t id, Node *ret) _warn_unused_;
int node_find(Store *s, const char *name, Node *ret) _warn_unused_;
int nodes_list(Store *s, uint64_t after_id, size_t limit, NodeList *ret) _warn_unused_;

/* What the answer to a heartbeat is made from. */
typedef struct NodeGreeting {
        char *name;
        char *public_key; /* pinned; NULL: none yet */
        char *sealed;     /* the newest token, where an older one was shown and it was never used; or NULL */
        NodeState state;
        NodeLimits limits;
        bool pin_open;
        bool has_cancels; /* of its commands one or more are to be cancelled */
} NodeGreeting;

#define NODE_GREETING_NULL ((NodeGreeting){})

void node_greeting_done(NodeGreeting *g);
/* old_token_id: the token that the heartbeat came with, where a newer one has replaced it; 0: it is the
 * newest, none is to be handed over. STORE_E_NOT_FOUND. */
int node_greet(Store *s, uint64_t id, uint64_t old_token_id, NodeGreeting *ret) _warn_unused_;

/* How many are online; and of those the time of the one that was heard longest ago, 0 where that was in
 * another boot than this one, USEC_INFINITY where none is online. */
int nodes_count_online(Store *s, uint64_t *ret) _warn_unused_;
int nodes_quietest(Store *s, const char *boot_id, usec_t *ret_mono) _warn_unused_;
/* Up to n nodes that are online and were not heard behind this time of this boot, with rising ids. */
int nodes_silent(Store *s, const char *boot_id, usec_t mono, uint64_t after_id, uint64_t *ids, size_t n,
                 size_t *ret_n) _warn_unused_;

/* What a node has to do, and how it went. */
typedef struct NodeQueue {
        uint64_t pending;
        uint64_t dispatched;
        uint64_t running;  /* accepted commands of runs: those that take long */
        usec_t oldest;     /* when the oldest command that is out went out, wall clock; 0: none is */
        uint64_t timeouts; /* since the node was made */
        usec_t error_at;   /* of the newest command that ended badly; 0: none that is known still */
        uint64_t error_run;
        char *error_code;
        char *error;
} NodeQueue;

#define NODE_QUEUE_NULL ((NodeQueue){})

void node_queue_done(NodeQueue *q);
int node_queue_get(Store *s, uint64_t id, NodeQueue *ret) _warn_unused_;

/* What is measured of each node. */
typedef struct NodeMetric {
        uint64_t id;
        char *name;
        NodeState state;
        NodeHealth health;
        char *version;     /* of the agent; NULL: not known */
        uint64_t timeouts; /* since the node was made */
        uint64_t pending;
        uint64_t dispatched;
        uint64_t running; /* accepted commands of runs */
} NodeMetric;

typedef struct NodeMetricList {
        NodeMetric *items;
        size_t n;
} NodeMetricList;

#define NODE_METRIC_LIST_NULL ((NodeMetricList){})

void node_metric_list_done(NodeMetricList *l);
int node_metrics_list(Store *s, uint64_t after_id, size_t limit, NodeMetricList *ret) _warn_unused_;

/* --- the API --- */

/* STORE_E_EXISTS. */
int node_add(Store *s, const char *name, const char *description, usec_t now, uint64_t *ret_id)
                _warn_unused_;
/* All settings. STORE_E_NOT_FOUND, STORE_E_EXISTS, NODE_E_LOCAL (another name for node 1). */
int node_update(Store *s, const Node *n) _warn_unused_;
/* Its tokens and ended commands go too; its archive identity stays, for the archives it wrote.
 * STORE_E_IN_USE: tasks or open commands name it. NODE_E_LOCAL. */
int node_delete(Store *s, uint64_t id) _warn_unused_;
/* The operator's leave (making an install link, resetting the identity): the next enrolment may pin another
 * key. */
int node_open_pin(Store *s, uint64_t id) _warn_unused_;

/* What a heartbeat said, kept in memory by the API and flushed once a second. Also renews leases, see
 * queue.h. NULL texts leave what is there. */
typedef struct NodeContact {
        uint64_t node_id;
        const char *agent_id;
        const char *boot_id;
        const char *version;
        const char *os;
        const char *arch;
        const char *hostname;
        const char *addresses;
        const char *tools;
        const char *offered_key;
        uint32_t capacity;
        uint64_t free_bytes;
        int64_t clock_skew_usec;
} NodeContact;

/* STORE_E_NOT_FOUND. */
int node_contact(Store *s, const NodeContact *c) _warn_unused_;
/* The other agent_id that was refused; NULL: there is none any more. */
int node_set_duplicate(Store *s, uint64_t id, const char *agent_id) _warn_unused_;
/* The moment it was heard: most heartbeats have nothing else to say. STORE_E_NOT_FOUND. */
int node_heard(Store *s, uint64_t id, const Stamp *heard, usec_t last_seen) _warn_unused_;

/* An agent spoke of this key and was refused: that much is kept. */
int node_offer_key(Store *s, uint64_t id, const char *public_key) _warn_unused_;

/* --- the dispatcher --- */

typedef struct NodeHealthNote {
        NodeHealth health;
        const char *reason;  /* the first one, for people; NULL: healthy */
        const char *reasons; /* all of them, JSON; NULL: none */
} NodeHealthNote;

/* from must be the state now: else STORE_E_STATE. Sets health along. */
int node_set_state(Store *s, uint64_t id, NodeState from, NodeState to, const NodeHealthNote *note)
                _warn_unused_;
int node_set_health(Store *s, uint64_t id, const NodeHealthNote *note) _warn_unused_;
int node_set_draining(Store *s, uint64_t id, bool draining) _warn_unused_;
/* Pins the key when none is, when it is the same, or when the pin is open (which closes it); else
 * NODE_E_KEY_MISMATCH. STORE_E_NOT_FOUND. */
int node_pin_key(Store *s, uint64_t id, const char *public_key) _warn_unused_;
/* Keeps the identity of this node's archives, sealed to the dispatcher; STORE_E_EXISTS when it has one: an
 * identity is never replaced. Works for deleted nodes' readers too: node_identity_get() needs the id
 * alone. */
int node_identity_set(Store *s, uint64_t id, const char *recipient, const char *sealed) _warn_unused_;
/* STORE_E_NOT_FOUND. Dispatcher only. */
int node_identity_get(Store *s, uint64_t id, char **ret_recipient, char **ret_sealed) _warn_unused_;
