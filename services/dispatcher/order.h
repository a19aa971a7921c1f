#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* From a run to what its node is told to do: the spec, which anybody may read, and the secrets, sealed to
 * the node. Only here are stored secrets opened, and only for the one job that needs them. */

#include "crypto/age.h"
#include "crypto/token.h"
#include "services/dispatcher/choose.h"
#include "store/queue.h"
#include "store/relay-cap.h"
#include "store/target.h"
#include "store/task.h"
#include "wire/command.h"
#include "wire/discovery.h"
#include "wire/task-test.h"

/* What a job may do through the relay. */
typedef struct OrderCap {
        uint64_t target_id;
        char *prefix;
        uint32_t verbs;
        uint8_t hash[TOKEN_HASH_SIZE];
} OrderCap;

typedef struct Order {
        uint64_t node_id;
        CommandKind kind;
        char *spec;
        char *secrets;        /* sealed */
        CommandSecrets plain; /* while they are gathered; sealing wipes them */
        OrderCap caps[TASK_TARGETS_MAX];
        size_t n_caps;
} Order;

void order_init(Order *o);
void order_done(Order *o);

enum {
        /* Positive outcomes. */
        ORDER_E_NO_KEY = 1, /* the node has not offered a key: nothing can be sealed to it yet */
        ORDER_E_REFUSED,    /* this can never become a command; the failure says why */
        ORDER_E_AWAY,       /* the master's own node, which is to do it for another one, takes nothing now */
};

typedef struct OrderContext {
        Store *store;
        const AgeIdentity *identity; /* the dispatcher's */
        const AgeRecipient *recipient;
} OrderContext;

/* Reads the task and its targets as they are now. */
int order_backup(const OrderContext *x, const Run *run, usec_t now, Order *ret, Failure *reterr_failure)
                _warn_unused_;
/* Chooses copies that the run's node can reach, and hands out the file keys of that one archive. */
int order_restore(const OrderContext *x, const Run *run, Order *ret, Failure *reterr_failure) _warn_unused_;

/* Looks at every repository that holds a backup and that the run's node can reach. */
int order_verify(const OrderContext *x, const Run *run, Order *ret, Failure *reterr_failure) _warn_unused_;

/* Applies the retention of the task whose backup the source run is, and gives space back, in the
 * repositories that the source run wrote to: in those behind the relay on the master's own node, in the
 * others on the node that writes there. Where there are both it is the order for the first part, until a
 * command of the run on the master's own node has ended. */
int order_prune(const OrderContext *x, const Run *run, usec_t now, Order *ret, Failure *reterr_failure)
                _warn_unused_;
/* Whether this command of a prune, which ended, was the first part of two. */
int order_prune_goes_on(const OrderContext *x, const Run *run, const Command *c, bool *ret) _warn_unused_;

/* A look at something, for a person who waits. */
typedef struct ProbeRequest {
        uint64_t node_id; /* 0: the master's own; for browse the dispatcher chooses */
        CommandKind kind; /* a probe that the API asks for */
        char *path;
        uint32_t limit;
        char *cursor;
        uint64_t offset;                       /* of read_file: this and limit name the part of path */
        uint64_t target_ids[SPEC_TARGETS_MAX]; /* of test_storage one, of test_task any number */
        size_t n_targets;
        uint64_t source_run;
        DiscoverySpec discovery;
        TaskTestSpec test; /* without its targets */
        /* What opens the server of databases, and neither is nothing: a secret that somebody has entered,
         * sealed to the dispatcher, or the task whose secret it is. */
        char *sealed;
        uint64_t task_id;
        char *backend; /* of rclone; NULL: all */
} ProbeRequest;

#define PROBE_REQUEST_NULL ((ProbeRequest){ .test = TASK_TEST_SPEC_NULL })

void probe_request_done(ProbeRequest *p);
/* The argument of Probe(): -EBADMSG with a failure that names the field. */
int probe_request_parse(const char *text, ProbeRequest *ret, Failure *reterr_failure) _warn_unused_;
int order_probe(const OrderContext *x, const ProbeRequest *p, Order *ret,
                Failure *reterr_failure) _warn_unused_;

/* --- Shared by the kinds --- */

/* ORDER_E_REFUSED, with this failure. */
int order_refuse(Failure *reterr_failure, const char *code, const char *text);
/* The node that is to do it: ORDER_E_REFUSED when it is gone, ORDER_E_NO_KEY. */
int order_get_node(const OrderContext *x, uint64_t node_id, Node *ret, Failure *reterr_failure)
                _warn_unused_;

/* --- order-secrets.c --- */

/* Whether its objects are in a directory of the master's, which nodes reach through the API alone. */
bool order_target_is_relay(const Target *target);
/* Opens the target's own secrets, or makes a capability for the relay (noted in the order), under this
 * prefix. */
int order_add_target(const OrderContext *x, Order *o, const Target *target, const char *prefix,
                     uint32_t verbs, Failure *reterr_failure) _warn_unused_;
/* What opens a server of databases, into the secrets of the order; it is sealed to the dispatcher, and what
 * and name say to people whose it is. */
int order_open_database(const OrderContext *x, const char *sealed, const char *what, const char *name,
                        Order *o, Failure *reterr_failure) _warn_unused_;
/* The same of a task's databases. */
int order_add_database(const OrderContext *x, uint64_t task_id, const char *task_name, Order *o,
                       Failure *reterr_failure) _warn_unused_;
/* The server of a task of databases. */
int order_server_of(const Task *task, DatabaseServer *ret, Failure *reterr_failure) _warn_unused_;
/* ORDER_E_NO_KEY. */
int order_seal(Order *o, const Node *node) _warn_unused_;
/* The recipient of this node's archives; its identity is made at the first call. Allocates. */
int order_archive_recipient(const OrderContext *x, uint64_t node_id, char **ret, Failure *reterr_failure)
                _warn_unused_;
/* The file keys of one run's objects, with the identity of the node that wrote it. */
int order_file_keys(const OrderContext *x, const Run *source, Order *o, bool *ret_encrypted,
                    Failure *reterr_failure) _warn_unused_;

/* --- order-databases.c --- */

/* What is in a server of databases, or which there are; node is who looks. */
int order_discovery(const OrderContext *x, const ProbeRequest *p, const Node *node, Order *o,
                    Failure *reterr_failure) _warn_unused_;
int order_task_test(const OrderContext *x, const ProbeRequest *p, const Node *node, Order *o,
                    Failure *reterr_failure) _warn_unused_;
/* ORDER_E_REFUSED: a run of the task would not go to that node, which its password is not for. Pure. */
int order_check_place(const Task *task, const Node *node, Failure *reterr_failure) _warn_unused_;
/* Where tests write, so that it can be told from archives and swept. */
#define ORDER_TEST_PREFIX "backupx-probe/"

/* --- order-repository.c --- */

/* The repository of this node on this target, which is put on record where there was none: its place and
 * whether it may be made, its password among the secrets, and a capability to write to it. */
int order_repository(const OrderContext *x, const Node *node, const Target *target, usec_t now, Order *o,
                     SpecTarget *ret, Failure *reterr_failure) _warn_unused_;
/* Tells who takes locks in the repositories of this node whose locks are nobody's. */
int order_add_ended(const OrderContext *x, uint64_t node_id, json_t *spec) _warn_unused_;
/* A snapshot that a run of node writer left on this target, to be read. */
int order_snapshot(const OrderContext *x, uint64_t writer, const Target *target, const RunTarget *written,
                   Order *o, SnapshotCopy *ret, Failure *reterr_failure) _warn_unused_;

/* --- order-archive.c --- */

/* Where the archive of a run lies, or its snapshots (then *ret_snapshots is set), as far as reader can reach
 * it; capabilities to read and what opens it go into the order. */
int order_backup_of(const OrderContext *x, const Run *source, uint64_t reader, Order *o, ArchiveRef *ret,
                    SnapshotRef *ret_snapshots, Failure *reterr_failure) _warn_unused_;
/* Which targets are meant. */
typedef enum OrderPart {
        ORDER_ALL,
        ORDER_RELAYS, /* those behind the relay */
        ORDER_OTHERS, /* all but these */
} OrderPart;

/* The snapshots of a run on these targets, as order_backup_of() has them. */
int order_snapshots_of(const OrderContext *x, const Run *source, uint64_t reader, OrderPart part, Order *o,
                       SnapshotRef *ret, Failure *reterr_failure) _warn_unused_;
/* How many snapshots of a run there are on relays, and on all other targets. */
int order_count_snapshots(const OrderContext *x, const Run *source, size_t *ret_relays, size_t *ret_others)
                _warn_unused_;
/* Who can look into it: choose_reader() with what the store knows. */
int order_archive_reader(const OrderContext *x, const Run *source, uint64_t *ret, Failure *reterr_failure)
                _warn_unused_;
/* A target as specs have it. */
int order_spec_target(const Target *target, const char *prefix, SpecTarget *ret) _warn_unused_;
