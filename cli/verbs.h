#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What the commands do; each gives the exit status, or a negative errno with c->failure set. */

#include "cli/api.h"

int verb_setup(Cli *c, const Arguments *a);
int verb_login(Cli *c, const Arguments *a);
int verb_logout(Cli *c, const Arguments *a);
int verb_status(Cli *c, const Arguments *a);
int verb_password(Cli *c, const Arguments *a);

/* list, show, create, edit, delete of whatever the command's noun is. */
int verb_list(Cli *c, const Arguments *a);
int verb_show(Cli *c, const Arguments *a);
int verb_create(Cli *c, const Arguments *a);
int verb_edit(Cli *c, const Arguments *a);
int verb_delete(Cli *c, const Arguments *a);

int verb_nodes_enroll(Cli *c, const Arguments *a);
int verb_nodes_install(Cli *c, const Arguments *a);
int verb_nodes_rotate(Cli *c, const Arguments *a);
int verb_nodes_enable(Cli *c, const Arguments *a);
int verb_nodes_drain(Cli *c, const Arguments *a);
int verb_nodes_reset(Cli *c, const Arguments *a);
int verb_targets_test(Cli *c, const Arguments *a);
int verb_tasks_create(Cli *c, const Arguments *a);
int verb_tasks_test(Cli *c, const Arguments *a);
int verb_tasks_run(Cli *c, const Arguments *a);
int verb_queue(Cli *c, const Arguments *a);
int verb_runs_cancel(Cli *c, const Arguments *a);
int verb_runs_logs(Cli *c, const Arguments *a);
int verb_dump(Cli *c, const Arguments *a);
int verb_runs_prune(Cli *c, const Arguments *a);
int verb_runs_verify(Cli *c, const Arguments *a);
int verb_runs_files(Cli *c, const Arguments *a);
int verb_nodes_ls(Cli *c, const Arguments *a);
int verb_nodes_check(Cli *c, const Arguments *a);
int verb_nodes_discover_databases(Cli *c, const Arguments *a);
int verb_nodes_rclone(Cli *c, const Arguments *a);
int verb_runs_wait(Cli *c, const Arguments *a);
int verb_restores_create(Cli *c, const Arguments *a);
int verb_users_create(Cli *c, const Arguments *a);
int verb_users_edit(Cli *c, const Arguments *a);

/* On the machine itself, as root. */
int verb_relay_allow(Cli *c, const Arguments *a);
int verb_reset_password(Cli *c, const Arguments *a);
int verb_offline_keys_set(Cli *c, const Arguments *a);
int verb_offline_keys_clear(Cli *c, const Arguments *a);
int verb_offline_keys_show(Cli *c, const Arguments *a);
int verb_recovery_kit(Cli *c, const Arguments *a);
int verb_self_backup(Cli *c, const Arguments *a);
int verb_self_restore(Cli *c, const Arguments *a);

int verb_help(Cli *c, const Arguments *a);
