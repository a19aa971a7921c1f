#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The recovery kit: one text with all that is needed to read what BackupX stored when BackupX is gone. It is
 * for a person in trouble: each section stands alone, and every line that begins with four blanks is a
 * command for sh that can be pasted as it is. Secrets go into the environment or files of the shell, never
 * into the arguments of a program. */

#include "base/buffer.h"
#include "crypto/age.h"
#include "store/recovery.h"

typedef struct KitInfo {
        const char *hostname; /* of the master */
        const char *state;    /* its state directory: relay targets may lie below */
        usec_t now;
        const AgeIdentity *identity; /* of the dispatcher: all the rest is sealed to it */
        const RecoveryData *data;
} KitInfo;

/* What the identity does not open is named in the kit and counted in *ret_unreadable. The text holds
 * secrets: erase it with unseal_buffer_done() of crypto/seal.h. */
int kit_format(const KitInfo *info, Buffer *out, size_t *ret_unreadable) _warn_unused_;
