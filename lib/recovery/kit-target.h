#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Inside of lib/recovery: how stock tools reach the places of each type of target. */

#include "recovery/kit-text.h"

typedef struct KitReach {
        const char *fetch; /* what prints an object: "cat", "rclone cat"; NULL: no stock tool is known here
                            */
        const char *list;
        char *place;      /* of the prefix, for these two; ends without / */
        char *repository; /* as restic calls it */
        char *options;    /* of restic: " -o …", or "" */
} KitReach;

#define KIT_REACH_NULL ((KitReach){})
void kit_reach_done(KitReach *r);

/* Writes the commands that log in at a target, and says how its prefix (that ends in /) is reached then. */
void kit_target_reach(Kit *k, const KitTarget *t, const char *prefix, KitReach *ret);

/* What is known of a target: settings and secrets, a line each. */
void kit_target_describe(Kit *k, const KitTarget *t);
