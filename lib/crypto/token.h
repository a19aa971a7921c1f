#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Bearer tokens: a prefix that says what it opens and 256 random bits. Only their SHA-256 is ever stored:
 * with that much entropy a slow hash would add nothing. */

#include "base/macros.h"

#define TOKEN_NODE "bxn_"
#define TOKEN_ENROLLMENT "bxe_"
#define TOKEN_INSTALL "bxi_"
#define TOKEN_API_KEY "bxk_"
#define TOKEN_RELAY "bxr_"

#define TOKEN_PREFIX_SIZE 4
#define TOKEN_LENGTH (TOKEN_PREFIX_SIZE + 43)
#define TOKEN_HASH_SIZE 32

/* Give it back with erase_and_free(). */
int token_new(const char *prefix, char **ret) _warn_unused_;
/* With its hash, which is all that is stored of it. */
int token_new_hashed(const char *prefix, char **ret, uint8_t ret_hash[static TOKEN_HASH_SIZE]) _warn_unused_;
/* Whether s has the form of a token with this prefix. Says nothing of its worth. */
bool token_is_valid(const char *s, const char *prefix);
/* SHA-256 of the text, prefix included. */
int token_hash(const char *token, uint8_t ret[static TOKEN_HASH_SIZE]) _warn_unused_;
