#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Secrets that a request brings. They are sealed to the dispatcher, who alone can open them: from then on
 * nobody of this process can, either. */

#include "services/api/request.h"

/* The object of secrets, as text that only the dispatcher opens; "" of an empty one. Negative: an error, or
 * why not was answered. Allocates. */
int secrets_seal(Request *r, const json_t *secrets, char **ret_sealed) _warn_unused_;
/* Wipes what the request left of them; its body is not read again. */
void secrets_wipe(Request *r);
