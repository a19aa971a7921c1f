#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Pins of public keys, as curl and RFC 7469 write them: "sha256//" and the base64 of a SHA-256. */

#include "base/failure.h"
#include "base/macros.h"

#define PIN_PREFIX "sha256//"
/* With a NUL. */
#define PIN_TEXT_SIZE (STRLEN(PIN_PREFIX) + 44 + 1)

/* Brings a pin into that form; takes it, the bare base64 or 64 hexadecimal digits. curl would take any other
 * text for the name of a file. -EINVAL with a sentence. */
int pin_normalize(const char *pin, char **ret, Failure *reterr_failure) _warn_unused_;
