#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Points in time that no step of the wall clock moves: the kernel's boot id and CLOCK_MONOTONIC. Silence is
 * measured with these, and counts only while the API was listening. */

#include "store/store.h"

#define BOOT_ID_MAX 37 /* 8-4-4-4-12 hex digits and NUL */

typedef struct Stamp {
        char boot_id[BOOT_ID_MAX]; /* empty: never */
        usec_t mono;
} Stamp;

#define STAMP_NULL ((Stamp){})

/* The stamp of this instant on this machine; -errno when /proc does not tell the boot id. */
int stamp_now(Stamp *ret) _warn_unused_;

/* The API's sign of life: written by the API (once a second, in its flush), read by all. */
typedef struct ApiStamp {
        Stamp at;               /* when it was written */
        usec_t listening_since; /* monotonic, of the same boot */
} ApiStamp;

#define API_STAMP_FRESH_USEC (5 * USEC_PER_SEC)

int api_stamp_write(Store *s, const ApiStamp *stamp) _warn_unused_;
/* STORE_E_NOT_FOUND before the API's first start. */
int api_stamp_get(Store *s, ApiStamp *ret) _warn_unused_;

/* Pure: whether the API listens now (its stamp is of this boot and under API_STAMP_FRESH_USEC old). */
bool api_stamp_is_fresh(const ApiStamp *api, const Stamp *now);
/* Pure: how long nothing was heard: now - max(heard, listening_since); what was heard in another boot counts
 * as heard at listening_since. 0 when the API's stamp is not fresh: silence that nobody listened to is
 * none. */
usec_t stamp_silence(const Stamp *heard, const ApiStamp *api, const Stamp *now);
