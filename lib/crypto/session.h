#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Signed sessions: JWTs with HS256 and nothing else. A valid signature only says that we issued it; whether
 * the session still lives is asked of the store by its id. */

#include "base/macros.h"
#include "base/times.h"

#define SESSION_KEY_SIZE 32
/* 128 random bits, base64url. */
#define SESSION_ID_LENGTH 22
/* A text longer than this is no session of ours. */
#define SESSION_TEXT_MAX 1024

typedef struct SessionClaims {
        char id[SESSION_ID_LENGTH + 1]; /* jti */
        uint64_t user_id;               /* sub */
        usec_t issued_at;               /* iat, whole seconds */
        usec_t expires_at;              /* exp, whole seconds */
} SessionClaims;

int session_id_new(char ret[static SESSION_ID_LENGTH + 1]) _warn_unused_;

int session_sign(const uint8_t key[static SESSION_KEY_SIZE], const SessionClaims *claims,
                 char **ret) _warn_unused_;
/* -EBADMSG: not a session of ours (form, algorithm, signature, claims); -ESTALE: ours, but it has
 * expired. */
int session_verify(const uint8_t key[static SESSION_KEY_SIZE], const char *text, usec_t now,
                   SessionClaims *ret) _warn_unused_;
