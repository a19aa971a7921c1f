#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Capabilities that open the relay for one job: a target, a prefix, some verbs. Written by the dispatcher,
 * as SHA-256; read by the API. One is alive while its command is out (dispatched or accepted), for jobs of
 * its current attempt: it dies with the attempt, by that condition and not by a deletion that could be late.
 * The secrets of a command are sealed once, so that all its attempts get the same token: a job presents it
 * together with its attempt, "bxr_….2". */

#include "store/api-key.h"

#define RELAY_VERB_GET (1U << 0)    /* read, stat, list */
#define RELAY_VERB_PUT (1U << 1)    /* new objects */
#define RELAY_VERB_DELETE (1U << 2) /* remove: prunes on the master's own node, tests */
#define RELAY_VERB_LOCK (1U << 3)   /* remove the locks that the command itself wrote, and nothing else */

typedef struct RelayCap {
        uint64_t command_id;
        uint32_t attempt; /* made for this one; 0: for whichever is current */
        uint64_t target_id;
        char *prefix; /* ends in / or in the - that the attempt is to follow */
        uint32_t verbs;
        /* read only */
        uint64_t node_id;
        uint64_t run_id;
        uint32_t current_attempt;
        char *target_type;
        char *target_config; /* JSON */
} RelayCap;

#define RELAY_CAP_NULL ((RelayCap){})

void relay_cap_done(RelayCap *c);

/* STORE_E_NOT_FOUND: no such command or target. */
int relay_cap_add(Store *s, const RelayCap *c, const uint8_t hash[static TOKEN_HASH_SIZE], usec_t now)
                _warn_unused_;
/* For a job of this attempt. STORE_E_NOT_FOUND: unknown, or the attempt has ended. */
int relay_cap_find(Store *s, const uint8_t hash[static TOKEN_HASH_SIZE], uint32_t attempt, RelayCap *ret)
                _warn_unused_;

/* --- Locks of repositories, written by the API --- */

/* The command wrote this object, and may remove it. */
int relay_lock_add(Store *s, uint64_t target_id, const char *key, uint64_t command_id) _warn_unused_;
/* Who wrote it. STORE_E_NOT_FOUND: nobody who is known. */
int relay_lock_find(Store *s, uint64_t target_id, const char *key, uint64_t *ret_command_id) _warn_unused_;
/* It is gone; none is fine. */
int relay_lock_forget(Store *s, uint64_t target_id, const char *key) _warn_unused_;
