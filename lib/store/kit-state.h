#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Whether the last recovery kit still has all that is needed to read what was stored: it has not what was
 * made after it. Noted in role STORE_API, by root's own command; read by everybody. */

#include "store/store.h"

/* What a kit has. */
typedef struct KitContent {
        usec_t written;      /* 0: there never was one */
        uint64_t repository; /* the newest one; 0: none */
        uint64_t identities; /* of sealed archives: how many */
} KitContent;

typedef struct KitState {
        usec_t written;        /* the last one; 0: never */
        uint64_t repositories; /* made since then */
        uint64_t identities;   /* the same: nodes that began to seal archives */
        uint64_t targets;      /* made or changed since then */
} KitState;

int kit_state_note(Store *s, const KitContent *kit) _warn_unused_;
int kit_state_read(Store *s, KitState *ret) _warn_unused_;
bool kit_state_is_old(const KitState *state);
