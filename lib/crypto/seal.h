#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Secrets sealed to whom they are for: an age file in standard base64, fit for a column or a JSON string.
 * Who sealed it is not proved. */

#include "crypto/age.h"

/* Sealed secrets are small: credentials, never data. */
#define SEAL_PLAIN_MAX (256U << 10)

/* -EFBIG beyond SEAL_PLAIN_MAX. */
int seal(const AgeRecipient *recipient, const void *p, size_t n, char **ret_base64) _warn_unused_;

/* Errors as in crypto/age.h, -EBADMSG also for text that is not base64. Give the buffer back with
 * unseal_buffer_done(), which wipes it. */
int unseal(const AgeIdentity *identity, const char *base64, Buffer *ret) _warn_unused_;
void unseal_buffer_done(Buffer *b);

/* The identity that a token of 256 random bits stands for: what is sealed to it is opened by whoever brings
 * the token, and by nobody who knows its hash alone. Erase it with age_identity_erase(). */
int seal_identity_of_token(const char *token, AgeIdentity *ret) _warn_unused_;
