#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A server's own certificate: a key of curve P-256 that stays for good, and self-signed certificates of it
 * that are made anew when they end. Clients pin the key, so a new certificate changes nothing for them. */

#include "base/macros.h"
#include "base/times.h"
#include "crypto/pin.h"

/* A certificate lives this long, and is renewed when less than the second is left. */
#define CERTIFICATE_DAYS 3653
#define CERTIFICATE_RENEW_DAYS 366
#define CERTIFICATE_NAMES_MAX 64U

/* A new private key: PKCS #8 in base64, one line. *ret is for erase_and_freep(). */
int certificate_key_new(char **ret) _warn_unused_;
/* The same key as PEM. -EBADMSG: not such a key. */
int certificate_key_pem(const char *key, char **ret) _warn_unused_;
int certificate_key_pin(const char *key, char ret[static PIN_TEXT_SIZE]) _warn_unused_;
/* The pin of a certificate (PEM; the first one counts). */
int certificate_pin(const char *pem, char ret[static PIN_TEXT_SIZE]) _warn_unused_;

/* A self-signed certificate for these names and addresses as PEM. What can be no name is left out; the first
 * good one is also the subject. -EINVAL: none is good. */
int certificate_make(const char *key, char *const *names, usec_t now, char **ret) _warn_unused_;

/* Whether a certificate is of this key, is valid now and for long enough, and has all these names. What can
 * be no name is not asked for. -EBADMSG: no certificate. */
int certificate_is_fit(const char *pem, const char *key, char *const *names, usec_t now) _warn_unused_;
