/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "backint/catalog.h"
#include "base/alloc.h"
#include "base/text.h"

/* Others write one row and are through. */
#define BUSY_MS 10000
/* "BXBC": whose file this is. */
#define APPLICATION "1113080387"

typedef enum Statement {
        STATEMENT_ADD,
        STATEMENT_FIND,
        STATEMENT_REMOVE,
        _STATEMENT_MAX,
} Statement;

struct BackintCatalog {
        pthread_mutex_t lock;
        char *path;
        sqlite3 *db;
        sqlite3_stmt *statements[_STATEMENT_MAX];
};

static const char schema[] =
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; BEGIN IMMEDIATE;"
                "CREATE TABLE IF NOT EXISTS pieces ("
                " ebid TEXT NOT NULL PRIMARY KEY, user TEXT NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL,"
                " level TEXT, saved INTEGER NOT NULL, size INTEGER NOT NULL, stored_size INTEGER NOT NULL,"
                " sha256 BLOB NOT NULL) WITHOUT ROWID, STRICT;"
                "PRAGMA application_id=" APPLICATION "; PRAGMA user_version=1; COMMIT;";

static const char *const texts[_STATEMENT_MAX] = {
        [STATEMENT_ADD] =
                        "INSERT INTO pieces VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [STATEMENT_FIND] = "SELECT size, stored_size, sha256 FROM pieces WHERE ebid = ?",
        [STATEMENT_REMOVE] = "DELETE FROM pieces WHERE ebid = ?",
};

static int error_of(int code) {
        switch (code & 0xff) {
        case SQLITE_OK:
        case SQLITE_DONE:
        case SQLITE_ROW:
                return 0;
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return -EBUSY;
        case SQLITE_FULL:
                return -ENOSPC;
        case SQLITE_READONLY:
        case SQLITE_CANTOPEN:
        case SQLITE_PERM:
                return -EACCES;
        case SQLITE_NOTADB:
        case SQLITE_CORRUPT:
                return -EBADMSG;
        default: /* a number of another library's: the rest is all the same to us */
                return -EIO;
        }
}

static int fail(const BackintCatalog *c, int code, Failure *reterr_failure) {
        return failure_set(reterr_failure, error_of(code), "BACKINT_CATALOG",
                           "The local catalog %s cannot be used: %s", c->path,
                           c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(code));
}

static int user_version(const BackintCatalog *c, int *ret) {
        sqlite3_stmt *statement = NULL;
        int code;

        code = sqlite3_prepare_v2(c->db,
                                  "SELECT (SELECT user_version FROM pragma_user_version), (SELECT"
                                  " application_id FROM pragma_application_id), (SELECT count(*) FROM"
                                  " sqlite_schema)",
                                  -1, &statement, NULL);
        if (code == SQLITE_OK)
                code = sqlite3_step(statement);
        if (code == SQLITE_ROW) {
                bool ours = sqlite3_column_int64(statement, 1) == strtoll(APPLICATION, NULL, 10);
                bool empty = sqlite3_column_int(statement, 2) == 0;

                *ret = ours || empty ? sqlite3_column_int(statement, 0) : -1;
        }
        (void) sqlite3_finalize(statement);
        return code == SQLITE_ROW ? SQLITE_OK : code;
}

static int prepare(BackintCatalog *c, Failure *reterr_failure) {
        int version = 0, code;

        code = sqlite3_busy_timeout(c->db, BUSY_MS);
        if (code == SQLITE_OK)
                code = user_version(c, &version);
        if (code == SQLITE_OK && (version < 0 || version > 1))
                return failure_set(reterr_failure, -EBADMSG, "BACKINT_CATALOG",
                                   "%s is no catalog of this version: name another file as CATALOG_DB",
                                   c->path);
        if (code == SQLITE_OK && version == 0)
                code = sqlite3_exec(c->db, schema, NULL, NULL, NULL);
        for (size_t i = 0; i < _STATEMENT_MAX && code == SQLITE_OK; i++)
                code = sqlite3_prepare_v3(c->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &c->statements[i],
                                          NULL);
        return code == SQLITE_OK ? 0 : fail(c, code, reterr_failure);
}

int backint_catalog_open(const char *path, BackintCatalog **ret, Failure *reterr_failure) {
        _cleanup_(backint_catalog_freep) BackintCatalog *c = NULL;
        int code, r;

        assert(path);
        assert(ret);

        c = new0(BackintCatalog, 1);
        if (!c)
                return -ENOMEM;
        (void) pthread_mutex_init(&c->lock, NULL);
        r = free_and_strdup(&c->path, path);
        if (r < 0)
                return r;
        code = sqlite3_open_v2(path, &c->db,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
        if (code != SQLITE_OK)
                return fail(c, code, reterr_failure);
        r = prepare(c, reterr_failure);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

BackintCatalog *backint_catalog_free(BackintCatalog *c) {
        if (!c)
                return NULL;
        for (size_t i = 0; i < _STATEMENT_MAX; i++)
                (void) sqlite3_finalize(c->statements[i]);
        (void) sqlite3_close(c->db);
        (void) pthread_mutex_destroy(&c->lock);
        free(c->path);
        return mfree(c);
}

static int bind_row(sqlite3_stmt *s, const BackintCatalogRow *row) {
        const char *const words[] = { row->ebid, row->user, row->name, row->key, row->level };
        const uint64_t numbers[] = { row->saved, row->summary.size, row->summary.stored_size };
        int code = SQLITE_OK, at = 1;

        for (size_t i = 0; i < ELEMENTSOF(words) && code == SQLITE_OK; i++)
                code = sqlite3_bind_text(s, at++, words[i], -1, SQLITE_STATIC);
        for (size_t i = 0; i < ELEMENTSOF(numbers) && code == SQLITE_OK; i++)
                code = sqlite3_bind_int64(s, at++, (sqlite3_int64) numbers[i]);
        return code == SQLITE_OK ?
                        sqlite3_bind_blob(s, at, row->summary.sha256, SHA256_SIZE, SQLITE_STATIC) :
                        code;
}

/* Ends a statement whose step gave code. */
static int settle(BackintCatalog *c, sqlite3_stmt *s, int code, Failure *reterr_failure) {
        int r = error_of(code);

        if (r < 0)
                r = fail(c, code, reterr_failure);
        (void) sqlite3_reset(s);
        (void) sqlite3_clear_bindings(s);
        return r;
}

int backint_catalog_add(BackintCatalog *c, const BackintCatalogRow *row, Failure *reterr_failure) {
        sqlite3_stmt *s;
        int code, r;

        assert(c);
        assert(row);

        (void) pthread_mutex_lock(&c->lock);
        s = c->statements[STATEMENT_ADD];
        code = bind_row(s, row);
        if (code == SQLITE_OK)
                code = sqlite3_step(s);
        r = settle(c, s, code, reterr_failure);
        (void) pthread_mutex_unlock(&c->lock);
        return r;
}

int backint_catalog_find(BackintCatalog *c, const char *ebid, PieceSummary *ret, Failure *reterr_failure) {
        sqlite3_stmt *s;
        int code, r;
        bool found;

        assert(c);
        assert(ebid);
        assert(ret);

        (void) pthread_mutex_lock(&c->lock);
        s = c->statements[STATEMENT_FIND];
        code = sqlite3_bind_text(s, 1, ebid, -1, SQLITE_STATIC);
        if (code == SQLITE_OK)
                code = sqlite3_step(s);
        found = code == SQLITE_ROW && sqlite3_column_bytes(s, 2) == SHA256_SIZE;
        if (found) {
                ret->size = (uint64_t) sqlite3_column_int64(s, 0);
                ret->stored_size = (uint64_t) sqlite3_column_int64(s, 1);
                memcpy(ret->sha256, sqlite3_column_blob(s, 2), SHA256_SIZE);
        }
        r = settle(c, s, code, reterr_failure);
        (void) pthread_mutex_unlock(&c->lock);
        return r < 0 ? r : found;
}

int backint_catalog_remove(BackintCatalog *c, const char *ebid, Failure *reterr_failure) {
        sqlite3_stmt *s;
        int code, r;

        assert(c);
        assert(ebid);

        (void) pthread_mutex_lock(&c->lock);
        s = c->statements[STATEMENT_REMOVE];
        code = sqlite3_bind_text(s, 1, ebid, -1, SQLITE_STATIC);
        if (code == SQLITE_OK)
                code = sqlite3_step(s);
        r = settle(c, s, code, reterr_failure);
        (void) pthread_mutex_unlock(&c->lock);
        return r;
}
