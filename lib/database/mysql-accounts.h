#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Who may log in to a server of MySQL or MariaDB, with what roles and rights: as SQL that makes all of them
 * again. It has the hashes of their passwords. */

#include "base/buffer.h"
#include "database/mysql-server.h"

#define MYSQL_ACCOUNTS_MAX (16U << 20)

/* 1: this user may not read them, and *ret is empty. */
enum {
        MYSQL_E_HIDDEN = 1,
};
int mysql_accounts_read(MysqlServer *s, Buffer *ret, Failure *reterr_failure) _warn_unused_;
