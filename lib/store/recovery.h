#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What has to be known to read all that was ever stored, once the master is gone. In role STORE_RECOVERY
 * alone, which reads and writes nothing. Lists go up by key, from behind after; *ret_n 0 is the end. */

#include "store/store.h"

/* The archive identity of a node; the node may be deleted. */
typedef struct RecoveryIdentity {
        uint64_t node_id;
        char *node_name; /* NULL: forgotten */
        char *hostname;  /* NULL: not known */
        char *recipient;
        char *sealed; /* to the dispatcher */
} RecoveryIdentity;

typedef struct RecoveryTarget {
        uint64_t id;
        char *name;
        char *type;
        char *config; /* JSON */
        char *sealed; /* secrets, to the dispatcher; NULL: none */
} RecoveryTarget;

typedef struct RecoveryRepository {
        uint64_t id;
        uint64_t node_id;
        char *node_name;    /* NULL: forgotten */
        uint64_t target_id; /* the target may be deleted */
        char *prefix;       /* ends in / */
        char *sealed;       /* to the dispatcher */
        usec_t created;
} RecoveryRepository;

/* The newest backup of a task of a node on a target. */
typedef struct RecoveryPlace {
        uint64_t key;
        uint64_t run_id;
        uint64_t target_id;
        char *target_name;
        uint64_t node_id;
        char *node_name;
        char *task_name;
        usec_t finished;
        char *prefix;   /* of the archive, or of the repository; ends in / */
        char *snapshot; /* NULL: an archive */
        char *sha256;   /* of the manifest of an archive; or NULL */
        bool encrypted;
} RecoveryPlace;

typedef struct RecoveryData {
        RecoveryIdentity *identities;
        size_t n_identities;
        RecoveryTarget *targets;
        size_t n_targets;
        RecoveryRepository *repositories;
        size_t n_repositories;
        RecoveryPlace *places;
        size_t n_places;
} RecoveryData;

#define RECOVERY_DATA_NULL ((RecoveryData){})

void recovery_data_done(RecoveryData *d);
/* No kit has more of anything; -E2BIG. */
#define RECOVERY_MAX 100000U
/* All of it, of one moment. */
int recovery_data_read(Store *s, RecoveryData *ret) _warn_unused_;
