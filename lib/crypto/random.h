#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Random numbers of the kernel, fit for keys. */

#include "base/macros.h"

/* -EIO where the kernel gives none. */
int random_bytes(void *p, size_t n) _warn_unused_;
/* For jitter and sampling. Where the kernel gives none it ends the program: nothing of ours works then. */
uint32_t random_u32(void);
