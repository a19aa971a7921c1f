/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "database/sqlite-check.h"

/* Of the virtual machine: how often the flag is looked at. */
#define STEPS 10000

static int on_steps(void *userdata) {
        const atomic_bool *cancel = userdata;

        return atomic_load(cancel);
}

void sqlite_obey(sqlite3 *db, const atomic_bool *cancel) {
        assert(db);

        if (cancel)
                sqlite3_progress_handler(db, STEPS, on_steps, (void *) cancel);
}

int sqlite_errno(int code) {
        switch (code & 0xff) {
        case SQLITE_OK:
                return 0;
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return -EBUSY;
        case SQLITE_INTERRUPT:
                return -ECANCELED;
        case SQLITE_FULL:
                return -ENOSPC;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                return -EUCLEAN;
        case SQLITE_CANTOPEN:
        case SQLITE_READONLY:
                return -EROFS;
        default: /* the library has many, and more to come */
                return -EIO;
        }
}

/* 1: it is as it should be; 0: *ret says what is not; SQLITE_E_UNKNOWN. */
enum {
        SQLITE_E_UNKNOWN = 2, /* it names functions or orders of texts that only its owner has */
};

static int ask(sqlite3 *db, sqlite3_stmt *statement, char **ret) {
        int code = sqlite3_step(statement);
        char *text;

        if (code != SQLITE_ROW) /* no answer is no good one */
                return code == SQLITE_DONE ? -EIO : code == SQLITE_ERROR ? SQLITE_E_UNKNOWN :
                                                                           sqlite_errno(code);
        text = strdup(strempty((const char *) sqlite3_column_text(statement, 0)));
        if (!text)
                return -ENOMEM;
        if (streq(text, "ok")) {
                free(text);
                return 1;
        }
        free(*ret);
        *ret = text;
        return 0;
}

/* The whole, or what belongs to one table. */
static int check_part(sqlite3 *db, const char *table, char **ret) {
        sqlite3_stmt *statement = NULL;
        char *sql;
        int code, r;

        assert(db);

        /* One finding is enough to know. */
        sql = table ? sqlite3_mprintf("PRAGMA integrity_check(%Q)", table) :
                      sqlite3_mprintf("PRAGMA integrity_check(1)");
        if (!sql)
                return -ENOMEM;
        code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
        r = code == SQLITE_OK                ? ask(db, statement, ret) :
                        code == SQLITE_ERROR ? SQLITE_E_UNKNOWN :
                                               sqlite_errno(code);
        (void) sqlite3_finalize(statement);
        sqlite3_free(sql);
        return r;
}

/* Table by table, so that as much as possible is checked. */
static int check_tables(sqlite3 *db, char **ret) {
        sqlite3_stmt *statement = NULL;
        int code, r = 1;

        code = sqlite3_prepare_v2(db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0",
                                  -1, &statement, NULL);
        while (code == SQLITE_OK || code == SQLITE_ROW) {
                code = sqlite3_step(statement);
                if (code != SQLITE_ROW)
                        break;
                r = check_part(db, (const char *) sqlite3_column_text(statement, 0), ret);
                if (r <= 0)
                        break;
        }
        (void) sqlite3_finalize(statement);
        return r <= 0 || code == SQLITE_DONE ? r : sqlite_errno(code);
}

static int check(sqlite3 *db, char **ret) {
        int r;

        /* With a log of its own the file would not be all of it. */
        r = sqlite_errno(sqlite3_exec(db,
                                      "PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=OFF;"
                                      " PRAGMA trusted_schema=OFF; PRAGMA wal_checkpoint(TRUNCATE);",
                                      NULL, NULL, NULL));
        if (r < 0)
                return r;
        r = check_part(db, /* table= */ NULL, ret);
        if (r != SQLITE_E_UNKNOWN)
                return r > 0 ? 0 : r == 0 ? -EUCLEAN :
                                            r;
        r = check_tables(db, ret);
        return r > 0 ? SQLITE_E_UNCHECKED : r == 0 ? -EUCLEAN :
                                                     r;
}

int sqlite_check(const char *path, const char *name, const atomic_bool *cancel, Failure *reterr_failure) {
        _cleanup_(sqlite_closep) sqlite3 *db = NULL;
        _cleanup_(freep) char *why = NULL;
        int code, r;

        assert(path);
        assert(name);

        code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
        if (!db)
                return -ENOMEM;
        r = sqlite_errno(code);
        if (r >= 0) {
                sqlite_obey(db, cancel);
                r = check(db, &why);
        }
        if (r >= 0 || r == -ECANCELED || r == -ENOMEM)
                return r;
        if (r == -EUCLEAN)
                return failure_set(reterr_failure, r, "SQLITE_DAMAGED",
                                   "The database %s is damaged: %s", name, why ? why : sqlite3_errmsg(db));
        return failure_set(reterr_failure, r, "SQLITE_FAILED", "The copy of %s cannot be checked: %s", name,
                           sqlite3_errmsg(db));
}
