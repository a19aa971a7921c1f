#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What is in a server of MySQL or MariaDB, for people who choose what a task backs up. */

#include "database/mysql-server.h"

/* More are counted, and not told: all of it has to fit into one answer of a job. */
#define MYSQL_LOOK_DATABASES_MAX 1000U
#define MYSQL_LOOK_NAMES_MAX 20U /* tables that are named, of each database */
#define MYSQL_LOOK_NAMES_TOTAL 2000U

/* *ret: [{"name":P,"size_bytes","charset","collation","tables":N,"engines":{"InnoDB":N,…},
 * "not_transactional":N,"not_transactional_names":[P,…]},…], of the first databases in the order given;
 * those tables have an engine without transactions, so that a dump may have them as of another moment. */
int mysql_look(MysqlServer *s, const MysqlDatabases *databases, json_t **ret,
               Failure *reterr_failure) _warn_unused_;
