#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The handlers of the route table, one file a noun. Sessions are in login.h, the agents' in agent.h and
 * relay.h. */

#include "store/node.h"
#include "store/task.h"

#include "services/api/request.h"

/* user.c */
int users_get(Request *r);
int users_post(Request *r);
int user_get_one(Request *r);
int user_put(Request *r);
int user_remove(Request *r);

/* api-key.c */
int api_keys_get(Request *r);
int api_keys_post(Request *r);
int api_key_remove(Request *r);

/* target.c */
int targets_get(Request *r);
int targets_post(Request *r);
int target_get_one(Request *r);
int target_put(Request *r);
int target_remove(Request *r);
int target_test(Request *r);

/* node.c */
int nodes_get(Request *r);
int nodes_post(Request *r);
int node_get_one(Request *r);
int node_put(Request *r);
int node_remove(Request *r);
int node_drain(Request *r);
int node_undrain(Request *r);
/* Answers with what an outcome of the store's functions means for this node. */
int node_fail(Request *r, int outcome, const Node *node);

/* node-token.c */
int node_enrollment(Request *r);
int node_rotate(Request *r);
int node_reset_identity(Request *r);

/* probe.c */
int node_directories(Request *r);
int node_rclone_backends(Request *r);
/* node-databases.c */
int node_databases(Request *r);
/* node-check.c */
int node_check(Request *r);

/* install.c, install-serve.c */
int install_links_post(Request *r);
int install_get(Request *r);
int install_compose_get(Request *r);
int agent_packages_get(Request *r);
int agent_package_get(Request *r);

/* task.c */
int tasks_get(Request *r);
int tasks_post(Request *r);
int task_get_one(Request *r);
int task_put(Request *r);
int task_remove(Request *r);
/* Answers with 400 and gives -EBADMSG where more of its targets go through the master than may. */
int task_check_relays(Request *r, const Task *task);

/* task-test.c */
int task_test(Request *r);

/* run.c, run-log.c, restore.c, entries.c */
int task_run(Request *r);
int runs_get(Request *r);
int snapshots_get(Request *r);
int run_get_one(Request *r);
int run_cancel(Request *r);
int run_logs(Request *r);
int run_content(Request *r);
int run_verify(Request *r);
int run_prune(Request *r);
int run_entries(Request *r);
int run_restore(Request *r);

/* queue.c */
int queue_get(Request *r);

/* recovery-kit.c */
int recovery_kit_get(Request *r);

/* stream.c, audit.c, health.c, metrics.c */
int events_get(Request *r);
int audit_get(Request *r);
int health_get(Request *r);
int ready_get(Request *r);
int metrics_get(Request *r);
