#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What the rclone of this host says of itself. */

#include <stdatomic.h>

#include "wire/rclone-options.h"

/* Takes about 0.1 s. STORAGE_TYPE_UNKNOWN: there is no rclone. cancel may be NULL. */
int rclone_describe_host(const atomic_bool *cancel, RcloneDescription *ret,
                         Failure *reterr_failure) _warn_unused_;
