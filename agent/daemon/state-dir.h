#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The agent's own folder, mode 0700: who this agent is.
 *
 *         identity   its X25519 identity; secrets of jobs are sealed to it
 *         agent-id   a random number, so that two agents of one node are told apart
 *         token      the node's token, and the hash of the credential that it replaces */

#include "base/failure.h"
#include "crypto/age.h"

#define TOKEN_MAX 256
#define AGENT_ID_TEXT_MAX (32 + 1)

/* Opens the folder and makes it where it is missing. */
int state_dir_open(const char *path, Failure *reterr_failure) _warn_unused_;

/* Removes what writes that were interrupted left behind; only_old spares those of the last minutes, where
 * somebody else may be writing this moment. */
void state_dir_tidy(int dirfd, bool only_old);

/* Reads the identity; makes one where there is none. A damaged one is an error, never replaced: secrets and
 * the pinned key would be lost. */
int state_identity(int dirfd, AgeIdentity *ret, Failure *reterr_failure) _warn_unused_;
/* Names this agent: from the random number and the machine's id, so that a cloned disk is another agent. */
int state_agent_id(int dirfd, char ret[static AGENT_ID_TEXT_MAX], Failure *reterr_failure) _warn_unused_;

/* --- The token -------------------------------------------------------------------------------------- */

/* Which token counts: given is the credential (flag, file, credential of the unit), or NULL; stored and
 * replaces are from the folder, or NULL. A stored token counts while the credential is the one that it
 * replaced (or there is none): a credential that changed is a reinstall, and wins. Gives one of the two, or
 * NULL. Pure. */
const char *token_choose(const char *given, const char *given_hash, const char *stored,
                         const char *replaces);

/* Reads the token that counts; -ENOKEY: there is none (yet). *ret is for erase_and_freep(). */
int state_token_load(int dirfd, const char *given, char **ret, Failure *reterr_failure) _warn_unused_;
/* Keeps a token that replaces the credential given (NULL: none). */
int state_token_save(int dirfd, const char *token, const char *given) _warn_unused_;
/* Takes a token's text as it stands in a file: one line. -EINVAL. */
int token_clean(char *text) _warn_unused_;
