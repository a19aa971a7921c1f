#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The dump of several databases, cut at its marks while it passes. The dump program prints
 *
 *         preamble, the mark of a, the tables of a, the mark of b, the tables of b, …
 *         and, where one of them has a view: the mark of a, the views of a, …, and then an epilogue;
 *
 * a mark is "\n--\n-- Current Database: `a`\n--\n\nUSE `a`;\n". Nothing else in such a dump reads like one:
 * of names the backticks are doubled, strings are escaped, and procedures are not in it. All the same, marks
 * have to come in exactly this order, and any other one is an error. Pure. */

#include "base/macros.h"

/* Bytes of a name. */
#define MYSQL_CUTTER_NAME_MAX 1024U

typedef struct MysqlCutter MysqlCutter;

typedef enum MysqlCut {
        MYSQL_CUT_WANTS, /* more to be fed */
        MYSQL_CUT_DATA,
        MYSQL_CUT_MARK, /* the next section begins */
        MYSQL_CUT_END,  /* all sections were there */
} MysqlCut;

typedef struct MysqlCutPiece {
        const char *data; /* of MYSQL_CUT_DATA: borrowed until the next call */
        size_t size;
        size_t index; /* of MYSQL_CUT_MARK: which of the names */
        bool views;
} MysqlCutPiece;

/* Whether a mark can be told by this name: it has no control characters. Pure. */
bool mysql_cutter_knows(const char *name);
/* The names in the order of the dump, at least one; borrowed. views: whether there may be a second round.
 * -EINVAL: a name that no mark can be told by. */
int mysql_cutter_new(char *const *names, size_t n, bool views, MysqlCutter **ret) _warn_unused_;
MysqlCutter *mysql_cutter_free(MysqlCutter *c);
/* Where to put more, after MYSQL_CUT_WANTS; there is always room. */
char *mysql_cutter_room(MysqlCutter *c, size_t *ret_size);
/* So much was put there; 0: the dump has ended. */
void mysql_cutter_fed(MysqlCutter *c, size_t n);
/* A MysqlCut, or -EBADMSG: that is no such dump. */
int mysql_cutter_next(MysqlCutter *c, MysqlCutPiece *ret) _warn_unused_;

DEFINE_CLEANUP(MysqlCutter *, mysql_cutter_free);
