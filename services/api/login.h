#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Sessions of people: set-up of the first admin, login, logout, the own password. */

#include "services/api/request.h"

#define SESSION_COOKIE "backupx_session"
/* A working day. A session ends earlier at logout, at a change of the password, and when its user is
 * disabled, demoted or deleted. */
#define SESSION_USEC (12 * USEC_PER_HOUR)

int setup_get(Request *r);
int setup_post(Request *r);
int auth_login(Request *r);
int auth_logout(Request *r);
int auth_me(Request *r);
int auth_password(Request *r);
