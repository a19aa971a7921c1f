#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Owner, mode, ACLs, xattrs and times of one object, by a descriptor of it, so that nothing that happens to
 * its name meanwhile leads elsewhere. */

#include "archive/member.h"
#include "archive/restore-run.h"

/* fd may be O_PATH. What cannot be set is named, each, and the rest is set all the same. Gives 0,
 * RESTORE_E_NAMED, or negative errno that ends the run. inherits: the object may have ACLs of the directory
 * it was made in. */
int restore_metadata(RestoreRun *r, int fd, const Member *m, bool inherits) _warn_unused_;
/* Removes ACLs that a new object has from the directory it was made in. */
void restore_drop_acls(int fd);
/* Whether new objects in the directory get ACLs from it. */
bool restore_has_default_acl(int fd);
