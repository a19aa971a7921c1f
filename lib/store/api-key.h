#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* API keys: a user's power for a program, never above the user's own role. Only the SHA-256 is here. Written
 * by the API. */

#include "store/user.h"

#define TOKEN_HASH_SIZE 32

typedef struct ApiKey {
        uint64_t id;
        uint64_t user_id;
        char *username; /* read only: of the user */
        char *name;
        UserRole role;
        usec_t created;
        usec_t expires; /* 0: never */
        usec_t last_used;
} ApiKey;

#define API_KEY_NULL ((ApiKey){})

void api_key_done(ApiKey *k);

typedef struct ApiKeyList {
        ApiKey *items;
        size_t n;
} ApiKeyList;

#define API_KEY_LIST_NULL ((ApiKeyList){})

void api_key_list_done(ApiKeyList *l);

/* STORE_E_EXISTS: the user has one of this name; STORE_E_NOT_FOUND: no such user. */
int api_key_add(Store *s, const ApiKey *k, const uint8_t hash[static TOKEN_HASH_SIZE], uint64_t *ret_id)
                _warn_unused_;
/* The key that lives at now, and its enabled user, with ret->role already lowered to the user's; else
 * STORE_E_NOT_FOUND. */
int api_key_find(Store *s, const uint8_t hash[static TOKEN_HASH_SIZE], usec_t now, ApiKey *ret,
                 User *ret_user) _warn_unused_;
int api_key_get(Store *s, uint64_t id, ApiKey *ret) _warn_unused_;
/* user_id 0: of all users. */
int api_keys_list(Store *s, uint64_t user_id, uint64_t after_id, size_t limit, ApiKeyList *ret)
                _warn_unused_;
int api_key_used(Store *s, uint64_t id, usec_t now) _warn_unused_;
int api_key_delete(Store *s, uint64_t id) _warn_unused_;
