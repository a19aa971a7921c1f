#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Where this program lies, and where this machine keeps what programs share. A package that brings its own
 * libraries may be unpacked anywhere, on another distribution than the one that built it. */

#include "base/macros.h"

/* A path relative to the folder of the running program, for example "../libexec/x". Allocates. -ENOENT when
 * no executable file is there. */
int place_beside_program(const char *relative, char **ret) _warn_unused_;

/* The first of candidates (NULL ends them) that can be read; NULL when none can. */
const char *place_first_readable(const char *const *candidates);

/* The machine's bundle of certificate authorities when a library looks for it at a path that does not exist
 * here; NULL when compiled_in is right, or when there is no known bundle. */
const char *place_ca_bundle(const char *compiled_in);
