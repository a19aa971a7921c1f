#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A look at what a task would back up, as a job of this node finds it, for a person who waits: what works
 * and what does not becomes items of a report (wire/check.h). Nothing is dumped, nothing is changed. */

#include "agent/job/kinds.h"

typedef struct Look {
        const JobRun *run;
        SourceType type;
        const DatabaseSource *source;
        json_t *items;
        /* Gets "type", "version", "databases", "more" of the server, which then is looked at as a whole;
         * NULL: what the source names counts. */
        json_t *server;
        usec_t until; /* CLOCK_MONOTONIC: what would come later is left out, and an item says so */
} Look;

/* The server that the source names. A server that cannot be asked is an item, too: negative are only
 * -ENOMEM and -ECANCELED. */
int look_at_server(const Look *l) _warn_unused_;
/* Files of SQLite that the source's patterns match. */
int look_at_sqlite(const Look *l) _warn_unused_;
/* Files and directories. */
int look_at_files(const Look *l, char *const *paths) _warn_unused_;

/* --- Shared by the kinds of servers ------------------------------------------------------------------- */

/* look-mysql.c, look-postgresql.c, look-saphana.c */
int look_at_mysql(const Look *l) _warn_unused_;
int look_at_postgresql(const Look *l) _warn_unused_;
/* SAP HANA itself is not asked: its client waits for longer than a person, and the first run asks all before
 * it has anything written. */
int look_at_saphana(const Look *l) _warn_unused_;

/* An item of what failed; -ENOMEM and -ECANCELED are given back. */
int look_failed(const Look *l, const char *name, const Failure *failure, int error) _warn_unused_;
/* One after the other, until a step gives something negative or the time is over. */
typedef int (*LookStep)(const Look *l, void *userdata);
int look_steps(const Look *l, const LookStep *steps, size_t n, void *userdata) _warn_unused_;
/* That the server answers: who it is, and where. Sets "type" and "version". */
int look_answers(const Look *l, const char *type, const char *title, const char *version,
                 unsigned usual_port) _warn_unused_;
/* Which of the databases of the server the source is of. */
int look_chosen(const Look *l, char *const *names) _warn_unused_;
