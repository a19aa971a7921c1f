#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Bech32 (BIP 173) as age uses it: for 32 bytes with a human-readable prefix. */

#include "base/macros.h"

#define BECH32_BYTES 32

/* Writes prefix, 1, 52 digits, 6 of checksum and a NUL, in the case of the prefix, which has one. */
void bech32_encode(const char *prefix, const uint8_t bytes[static BECH32_BYTES], char *buf);
/* Takes exactly that, in one case throughout; -EINVAL. */
int bech32_decode(const char *prefix, const char *s, uint8_t ret[static BECH32_BYTES]) _warn_unused_;
