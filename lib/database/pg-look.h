#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What is in a server of PostgreSQL, for people who choose what a task backs up, and whether a user may read
 * it. */

#include "database/pg-server.h"

/* More are not told. */
#define PG_LOOK_DATABASES_MAX 1000U

/* *ret: [{"name":P,"size_bytes":N or null,"encoding","owner":P,"may_connect":bool},…], all that are no
 * templates, by the bytes of their names. *ret_more: there are others behind them. */
int pg_look(PgServer *s, json_t **ret, bool *ret_more, Failure *reterr_failure) _warn_unused_;

/* How many tables and sequences of the database that the connection is in this user may not dump, and one of
 * them; *ret_name is NULL where there is none. Allocates. */
int pg_look_unreadable(PgServer *s, uint64_t *ret_n, char **ret_name, Failure *reterr_failure) _warn_unused_;
