#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The test of a target that keeps objects under keys: for its types. */

#include "storage/backend.h"

typedef int (*ObjectRemoveFunc)(Storage *s, const char *key, Failure *f);

/* Writes a small object with a random key below prefix, reads it back and removes it. A credential that may
 * add and not remove is a good one. */
int object_probe(Storage *s, const char *prefix, ObjectRemoveFunc remove, Failure *reterr_failure)
                _warn_unused_;
