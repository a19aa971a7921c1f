#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What SAP HANA is told, and what it answers. Pure.
 *
 * hdbsql gets its statements on standard input, one a line: that is the way in which a login with a password
 * needs neither an argument nor the environment ("\c" is a line, too). A line is short, because nobody tells
 * how long one may be. Each row of an answer is one text that begins with a mark, so that nothing else that
 * hdbsql prints is taken for a row; behind the last one comes a mark of the end, so that an answer that was
 * cut is not taken for a short one. */

#include "base/buffer.h"
#include "base/failure.h"
#include "wire/hana.h"

/* Of a line, its end included. The client that hdbsql comes from reads 1,023 bytes at a time. */
#define HANA_LINE_MAX 1000U

/* Adds one statement as a line. -E2BIG; -EINVAL: there is a line break in it. */
int hana_sql_add(Buffer *b, const char *format, ...) _printf_(2, 3) _warn_unused_;
/* How hdbsql logs in; the password is in it: wipe it. -EINVAL, PASSWORD_UNUSABLE: it cannot be a word of
 * that line. */
int hana_sql_connect(Buffer *b, const HanaServer *server, const char *password,
                     Failure *reterr_failure) _warn_unused_;

/* A catalog, as seen from where one is logged in: a database has its own, the system database all. */
typedef struct HanaCatalog {
        const char *connected;
        const char *database;
} HanaCatalog;

/* Which system and database this is, and which databases run in it. */
int hana_sql_look(Buffer *b) _warn_unused_;
/* The number of channels that its Backint gets. */
int hana_sql_channels(Buffer *b, const HanaCatalog *of, unsigned channels) _warn_unused_;
/* "BACKUP DATA …": target is a path with the beginning of a name, or that alone for Backint. */
int hana_sql_backup(Buffer *b, const HanaCatalog *of, const HanaSettings *how,
                    const char *target) _warn_unused_;
/* The backup whose pieces have this in their names, with all its pieces; and one of data that runs. */
int hana_sql_find(Buffer *b, const HanaCatalog *of, const char *name) _warn_unused_;
/* The backups of logs that a recovery from the newest full backup needs: in files. */
int hana_sql_logs(Buffer *b, const HanaCatalog *of) _warn_unused_;
/* Has to be the last one. */
int hana_sql_end(Buffer *b) _warn_unused_;

/* --- Answers ------------------------------------------------------------------------------------------ */

typedef struct HanaEntry {
        uint64_t id;
        char *state; /* "successful", "running", "failed", … */
        char *type;  /* "complete data backup", "log backup", … */
} HanaEntry;

typedef struct HanaPiece {
        uint64_t id;       /* of the backup */
        uint64_t size;     /* 0: it does not say */
        char *type;        /* "volume", "topology", "catalog" */
        char *destination; /* "file", "backint" */
        char *ebid;        /* of Backint; "" */
        char *path;
} HanaPiece;

/* So many pieces are asked for at a time, at most. */
#define HANA_PIECES_MAX 50000U
#define HANA_DATABASES_MAX 1000U

typedef struct HanaAnswer {
        bool whole;    /* its end is there */
        char *system;  /* "HXE" */
        char *version; /* "2.00.045.00.1575639312" */
        char *database;
        char **databases;
        HanaEntry *entries;
        size_t n_entries;
        HanaPiece *pieces;
        size_t n_pieces;
        int64_t error; /* of the first "* 10: authentication failed SQLSTATE: 28000"; 0: none */
        char *message; /* "authentication failed" */
        char *last;    /* the last line that is neither a row nor empty; NULL: there is none */
} HanaAnswer;

#define HANA_ANSWER_NULL ((HanaAnswer){})
void hana_answer_done(HanaAnswer *a);
/* -E2BIG: more than may be. What is no row is passed over. */
int hana_answer_parse(const char *text, size_t n, HanaAnswer *ret) _warn_unused_;

/* Whether another try with the same words would end the same: a wrong password, a missing right. */
bool hana_error_is_final(int64_t error);
