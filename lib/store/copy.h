#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Copies of the whole database: made while the daemons work, and put into service elsewhere. */

#include "store/store.h"

/* Writes all that was committed at one moment to a new file (0600); writers go on meanwhile. The copy is
 * checked: -EUCLEAN when it is damaged, which is then said of the original. */
int store_copy(Store *s, const char *path, Failure *reterr_failure) _warn_unused_;

/* Whether another process has the file open: 1; 0: nobody, and there is nothing beside the file then that
 * belongs to it. -ENOENT. */
int store_in_use(const char *path, Failure *reterr_failure) _warn_unused_;

/* Whether something is in it that a new master has not: users, tasks, targets, runs, nodes of others. */
int store_has_content(const char *path, Failure *reterr_failure) _warn_unused_;

/* A copy becomes the database of a master again: checks all of it, brings it to our version, ends all
 * sessions, and lets new ids begin far above those that were given after the copy was made. */
int store_revive(const char *path, Failure *reterr_failure) _warn_unused_;
