#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Tables and views of several databases out of one run of the dump program, and so of one moment, as a
 * section for each. What the program says once, in front, is in front of each of them. */

#include "database/mysql-dump.h"

typedef struct MysqlSnapshot MysqlSnapshot;

/* The databases in the order of their sections; both arguments must outlive it. NAME_UNSUPPORTED. */
int mysql_snapshot_new(const MysqlDumpArgs *args, const MysqlDatabases *databases, MysqlSnapshot **ret,
                       Failure *reterr_failure) _warn_unused_;
MysqlSnapshot *mysql_snapshot_free(MysqlSnapshot *s);
/* The next section: 1, and of which database; all tables come before all views, which are there where one of
 * the databases has a view. 0: there is none. The section before has to be read to its end. DUMP_INVALID. */
int mysql_snapshot_next(MysqlSnapshot *s, size_t *ret_index, bool *ret_views,
                        Failure *reterr_failure) _warn_unused_;
/* Up to n bytes of the section; 0 at its end. As mysql_dump_read(), and DUMP_INVALID. */
ssize_t mysql_snapshot_read(MysqlSnapshot *s, void *p, size_t n, Failure *reterr_failure) _warn_unused_;

DEFINE_CLEANUP(MysqlSnapshot *, mysql_snapshot_free);
