#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Sessions of people: the row is what makes a signed token count. Written by the API. */

#include "store/user.h"

typedef struct Session {
        char *jti;
        uint64_t user_id;
        usec_t created;
        usec_t expires;
        char *address;
        char *user_agent;
} Session;

#define SESSION_NULL ((Session){})

void session_done(Session *x);

/* What one user may have open; the oldest one is closed by the next login. */
#define SESSIONS_PER_USER_MAX 64

int session_add(Store *s, const Session *x) _warn_unused_;
/* The session and its user, when the session lives at now and the user is enabled; else STORE_E_NOT_FOUND.
 * ret may be NULL. */
int session_get(Store *s, const char *jti, usec_t now, Session *ret, User *ret_user) _warn_unused_;
/* STORE_E_NOT_FOUND when it had ended already. */
int session_delete(Store *s, const char *jti) _warn_unused_;
int sessions_delete_of_user(Store *s, uint64_t user_id) _warn_unused_;
