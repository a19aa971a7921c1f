#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Changes of the store on somebody's behalf: what was changed and who did it go into one transaction. */

#include "store/store.h"

#include "services/api/request.h"

/* Adds the audit row of a change that the caller of r makes. detail (JSON, never a secret) is taken over and
 * may be NULL. Inside the transaction of the change. */
int change_audit(Request *r, const char *action, uint64_t object_id, const char *object_name, json_t *detail)
                _warn_unused_;
/* The same as the last step of the change: commits it, too. */
int change_commit(Request *r, StoreTx *tx, const char *action, uint64_t object_id, const char *object_name,
                  json_t *detail) _warn_unused_;
/* node_delete(), task_delete(), … */
typedef int ChangeDelete(Store *store, uint64_t id);
/* Deletes one row, in a transaction of its own; gives the outcomes of the store's function. */
int change_delete(Request *r, ChangeDelete *drop, const char *action, uint64_t object_id,
                  const char *object_name) _warn_unused_;
/* The row of somebody who makes or opens the own account: at set-up and login there is no caller yet. */
int change_audit_self(Request *r, uint64_t user_id, const char *username, const char *action) _warn_unused_;

/* {"user_id","username","address"} for the siblings, who write rows of their own. */
json_t *change_by(const Request *r);

/* An event for all streams: "task", "target", … with {"id","change":"created|updated|deleted"}. */
void change_tell(Request *r, const char *name, uint64_t id, const char *change);
