#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The storages of the tools of this folder. */

#include "storage/storage.h"

/* Of a folder, or of "@FILE" with {"type":…,"config":…,"secrets":…,"retry_ms":…,
 * "patience_ms":…}. Ends the program when that
 * is not well-formed. */
int tool_storage_open(const char *where, uint64_t id, const atomic_bool *cancel, Storage **ret,
                      Failure *reterr_failure) _warn_unused_;
