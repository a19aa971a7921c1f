#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* People. Written by the API alone (and by `backupx reset-password`, which opens the store in the API's
 * role). There is always an enabled admin once there was one: the guard is in the statement that would end
 * it. */

#include "store/store.h"

typedef enum UserRole {
        USER_VIEWER,
        USER_OPERATOR,
        USER_ADMIN,
        _USER_ROLE_MAX,
        _USER_ROLE_INVALID = -EINVAL,
} UserRole;

DECLARE_STRING_TABLE(user_role, UserRole);

enum {
        USER_E_LAST_ADMIN = _STORE_E_MAX, /* no other enabled admin would be left */
        USER_E_SET_UP,                    /* the first user exists already */
};

typedef struct User {
        uint64_t id;
        char *username;
        char *password_hash;
        UserRole role;
        bool enabled;
        usec_t created;
        usec_t password_changed;
        usec_t last_login;
} User;

#define USER_NULL ((User){})

void user_done(User *u);

typedef struct UserList {
        User *items;
        size_t n;
} UserList;

#define USER_LIST_NULL ((UserList){})

void user_list_done(UserList *l);

/* First start: makes the admin when there is no user at all, in one statement: of two at once one wins, the
 * other gets USER_E_SET_UP. */
int user_set_up(Store *s, const char *username, const char *password_hash, usec_t now, uint64_t *ret_id)
                _warn_unused_;
int users_exist(Store *s, bool *ret) _warn_unused_;

/* STORE_E_EXISTS. The fields username, password_hash, role, enabled and created count. */
int user_add(Store *s, const User *u, uint64_t *ret_id) _warn_unused_;
/* STORE_E_NOT_FOUND. */
int user_get(Store *s, uint64_t id, User *ret) _warn_unused_;
int user_find(Store *s, const char *username, User *ret) _warn_unused_;
int users_list(Store *s, uint64_t after_id, size_t limit, UserList *ret) _warn_unused_;

/* Changes name, role and enabled; a change of role or enabled ends the user's sessions. STORE_E_NOT_FOUND,
 * STORE_E_EXISTS, USER_E_LAST_ADMIN. */
int user_update(Store *s, uint64_t id, const char *username, UserRole role, bool enabled) _warn_unused_;
/* Ends the user's sessions. keep_jti (or NULL) is the one that stays: the session that changes its own
 * password gets a new one in most faces, so NULL is the rule. STORE_E_NOT_FOUND. */
int user_set_password(Store *s, uint64_t id, const char *password_hash, usec_t now, const char *keep_jti)
                _warn_unused_;
int user_logged_in(Store *s, uint64_t id, usec_t now) _warn_unused_;
/* Deletes sessions and API keys too. STORE_E_NOT_FOUND, USER_E_LAST_ADMIN. */
int user_delete(Store *s, uint64_t id) _warn_unused_;
