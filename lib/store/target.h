#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Places that archives go to. Written by the API; secrets are sealed to the dispatcher, which alone reads
 * them (target_get_secrets). */

#include "store/store.h"

typedef struct Target {
        uint64_t id;
        char *name;
        char *type;   /* "local", "relay", ... */
        char *config; /* JSON, nothing secret */
        bool has_secrets;
        char *secret_names; /* JSON array: which secrets are set, for people; NULL: none */
        usec_t created;
        usec_t updated;
        uint64_t revision;
        usec_t tested; /* 0: never */
        bool test_ok;
        char *test_result; /* JSON: of the last test */
} Target;

#define TARGET_NULL ((Target){})

void target_done(Target *t);

typedef struct TargetList {
        Target *items;
        size_t n;
} TargetList;

#define TARGET_LIST_NULL ((TargetList){})

void target_list_done(TargetList *l);

/* name, type, config, secret_names and created count. STORE_E_EXISTS. */
int target_add(Store *s, const Target *t, const char *secrets_sealed, uint64_t *ret_id) _warn_unused_;
/* STORE_E_NOT_FOUND. */
int target_get(Store *s, uint64_t id, Target *ret) _warn_unused_;
int target_find(Store *s, const char *name, Target *ret) _warn_unused_;
int targets_list(Store *s, uint64_t after_id, size_t limit, TargetList *ret) _warn_unused_;
/* When one of them was changed last; 0: there is none. */
int targets_newest(Store *s, usec_t *ret) _warn_unused_;
/* name, type, config and updated count, secret_names with secrets_sealed: NULL keeps what is there of both,
 * "" removes. STORE_E_NOT_FOUND, STORE_E_EXISTS. */
int target_update(Store *s, const Target *t, const char *secrets_sealed) _warn_unused_;
int target_set_tested(Store *s, uint64_t id, bool ok, const char *result, usec_t now) _warn_unused_;
/* Archives that lie in it stay where they are. STORE_E_IN_USE: a task has it, or a run that has not ended
 * writes to it. STORE_E_NOT_FOUND. */
int target_delete(Store *s, uint64_t id) _warn_unused_;
/* Dispatcher only. *ret is NULL when it has none. STORE_E_NOT_FOUND. */
int target_get_secrets(Store *s, uint64_t id, char **ret) _warn_unused_;
