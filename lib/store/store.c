/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "store/db.h"

/* Marks the file as ours ("BkpX"), so that another program's database is never migrated into one of ours. */
#define APPLICATION_ID 0x426b7058

/* The change to WAL mode does not wait for other openers, so we do: this often, this long apart. */
#define WAL_TRIES 100
#define WAL_PAUSE_USEC (20 * USEC_PER_MSEC)

/* Rows are read and written whole; ours are far below this. */
#define ROW_LENGTH_MAX (32 * 1024 * 1024)

int store_raw(Store *s, const char *sql) {
        assert(s);
        assert(sql);

        return sqlite_to_errno(sqlite3_exec(s->db, sql, NULL, NULL, NULL));
}

int store_raw_number(Store *s, const char *sql, int64_t *ret) {
        sqlite3_stmt *stmt = NULL;
        int64_t v = 0;
        int rc;

        assert(s);
        assert(sql);
        assert(ret);

        rc = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);
        if (rc != SQLITE_OK)
                return sqlite_to_errno(rc);
        rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW)
                v = sqlite3_column_int64(stmt, 0);
        (void) sqlite3_finalize(stmt);
        if (rc == SQLITE_DONE)
                return -ENODATA;
        if (rc != SQLITE_ROW)
                return sqlite_to_errno(rc);
        *ret = v;
        return 0;
}

/* --- transactions --- */

int store_begin(Store *s, StoreTx *tx) {
        int r;

        assert(s);
        assert(tx && !tx->store);

        if (s->depth > 0 && sqlite3_get_autocommit(s->db))
                return -ECANCELED;
        r = store_raw(s, s->depth == 0 ? "BEGIN IMMEDIATE" : "SAVEPOINT nested");
        if (r < 0)
                return r;
        s->depth++;
        *tx = (StoreTx){ .store = s, .depth = s->depth };
        return 0;
}

static void store_undo(Store *s) {
        const char *sql;

        s->depth--;
        /* Some failures have undone everything already. */
        if (sqlite3_get_autocommit(s->db))
                return;
        sql = s->depth > 0 ? "ROLLBACK TO nested; RELEASE nested" : "ROLLBACK";
        (void) sqlite3_exec(s->db, sql, NULL, NULL, NULL);
}

int store_commit(StoreTx *tx) {
        Store *s;
        int r;

        assert(tx && tx->store);

        s = tx->store;
        assert(s->depth == tx->depth);
        *tx = STORE_TX_NULL;

        r = sqlite3_get_autocommit(s->db) ? -ECANCELED :
                                            store_raw(s, s->depth > 1 ? "RELEASE nested" : "COMMIT");
        if (r < 0) {
                store_undo(s);
                return r;
        }
        s->depth--;
        return 0;
}

void store_tx_done(StoreTx *tx) {
        assert(tx);

        if (!tx->store)
                return;
        assert(tx->store->depth == tx->depth);
        store_undo(tx->store);
        *tx = STORE_TX_NULL;
}

int store_group_open(Store *s) {
        StoreTx tx = STORE_TX_NULL;
        int r;

        assert(s);

        if (s->group)
                return 0;
        assert(s->depth == 0);
        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        s->group = true;
        return 0;
}

int store_group_commit(Store *s) {
        StoreTx tx;

        assert(s);

        if (!s->group)
                return 0;
        assert(s->depth == 1);
        s->group = false;
        tx = (StoreTx){ .store = s, .depth = 1 };
        return store_commit(&tx);
}

bool store_group_is_open(const Store *s) {
        assert(s);

        return s->group;
}

/* --- opening --- */

Store *store_close(Store *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(s->statements); i++)
                (void) sqlite3_finalize(s->statements[i]);
        (void) sqlite3_close_v2(s->db);
        free(s);
        return NULL;
}

StoreRole store_role(const Store *s) {
        assert(s);

        return s->role;
}

unsigned store_schema_version(void) {
        return schema_version;
}

/* Makes the file with its mode, whatever the umask; what SQLite puts beside it gets the same. */
static int store_make_file(const char *path, Failure *reterr_failure) {
        _cleanup_close_ int fd = -EBADF;

        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0660);
        if (fd < 0) {
                if (errno == EEXIST)
                        return 0;
                return failure_set(reterr_failure, -errno, "STORE_OPEN",
                                   "Cannot make the database %s: %m. Check the directory and its owner.",
                                   path);
        }
        if (fchmod(fd, 0660) < 0)
                return failure_set(reterr_failure, -errno, "STORE_OPEN", "Cannot set the mode of %s: %m",
                                   path);
        return 0;
}

#define LOCK_PAUSE_MIN_USEC ((usec_t) 250)
#define LOCK_PAUSE_MAX_USEC (5 * USEC_PER_MSEC)

/* Whoever commits does it within a few milliseconds: looked at often at first. SQLite's own pauses grow to
 * many times what was to be waited for, in daemons that have nothing else to wait for. */
static int wait_for_lock(void *userdata, int n) {
        Store *s = ASSERT_PTR(userdata);
        usec_t now = now_usec(CLOCK_MONOTONIC), waited, pause;

        if (n == 0)
                s->busy_since = now;
        waited = now - s->busy_since;
        if (waited >= STORE_BUSY_TIMEOUT_USEC)
                return 0;
        pause = CLAMP(waited / 16, LOCK_PAUSE_MIN_USEC, LOCK_PAUSE_MAX_USEC);
        (void) nanosleep(&(struct timespec){ .tv_nsec = (long) (pause * 1000) }, NULL);
        return 1;
}

static bool is_reader(StoreRole role) {
        return role == STORE_READONLY || role == STORE_RECOVERY;
}

static int store_connect(Store *s, const char *path, Failure *reterr_failure) {
        int flags = is_reader(s->role) ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE, r;

        r = sqlite_to_errno(sqlite3_open_v2(path, &s->db,
                                            flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL));
        if (r < 0)
                return failure_set(reterr_failure, r, "STORE_OPEN", "Cannot open the database %s: %m", path);

        (void) sqlite3_busy_handler(s->db, wait_for_lock, s);
        (void) sqlite3_limit(s->db, SQLITE_LIMIT_LENGTH, ROW_LENGTH_MAX);
        (void) sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        (void) sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        return 0;
}

typedef struct Identity {
        int64_t application;
        int64_t version;
        int64_t tables;
} Identity;

/* All three of one moment: a sibling that makes the first tables meanwhile must not look like a stranger. */
static int store_identify(Store *s, Identity *ret) {
        Identity i = {};
        int r, end;

        assert(s);

        r = store_raw(s, "BEGIN");
        if (r < 0)
                return r;
        r = store_raw_number(s, "PRAGMA application_id", &i.application);
        if (r >= 0)
                r = store_raw_number(s, "PRAGMA user_version", &i.version);
        if (r >= 0)
                r = store_raw_number(s, "SELECT count(*) FROM sqlite_master", &i.tables);
        end = sqlite3_get_autocommit(s->db) ? 0 : store_raw(s, "ROLLBACK");
        if (r < 0 || end < 0)
                return r < 0 ? r : end;
        *ret = i;
        return 0;
}

/* Refuses files of others before anything is written. */
static int store_recognize(Store *s, const char *path, unsigned n_steps, Failure *reterr_failure) {
        Identity identity = {};
        int r;

        r = store_identify(s, &identity);
        if (r == -EUCLEAN)
                return failure_set(
                                reterr_failure, r, "STORE_CORRUPT",
                                "%s is not a database, or it is damaged. It was left as it is; restore it "
                                "from a backup of the master.",
                                path);
        if (r < 0)
                return failure_set(reterr_failure, r, "STORE_OPEN", "Cannot read the database %s: %m", path);

        if (identity.application != APPLICATION_ID && (identity.application != 0 || identity.tables > 0))
                return failure_set(reterr_failure, -EUCLEAN, "STORE_FOREIGN",
                                   "%s is a database of another program. It was left as it is; set "
                                   "BACKUPX_STATE_DIR or move it away.",
                                   path);
        if (identity.version < 0 || identity.version > (int64_t) n_steps)
                return failure_set(
                                reterr_failure, -EPROTONOSUPPORT, "STORE_NEWER",
                                "%s was written by a newer version of BackupX (schema %" PRIi64
                                ", this one knows %u). Install that version again, or restore the database "
                                "from before the upgrade.",
                                path, identity.version, n_steps);
        return 0;
}

/* Whoever commits when the WAL has this many pages folds it in, before the commit returns. The API answers
 * agents and people from its loop, so the others are to come first. */
static unsigned checkpoint_pages(StoreRole role) {
        return role == STORE_API ? 4000 : 1000;
}

static int store_set_up(Store *s, const char *path, Failure *reterr_failure) {
        char checkpoint[STRLEN("PRAGMA wal_autocheckpoint = ") + 11];
        int r;

        assert(s);

        r = store_raw(s, "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
                         "PRAGMA cell_size_check = ON; PRAGMA journal_size_limit = 67108864");
        (void) snprintf(checkpoint, sizeof(checkpoint), "PRAGMA wal_autocheckpoint = %u",
                        checkpoint_pages(s->role));
        if (r >= 0)
                r = store_raw(s, checkpoint);
        if (r < 0)
                return failure_set(reterr_failure, r, "STORE_OPEN", "Cannot set up the database %s: %m",
                                   path);
        return 0;
}

static int store_set_wal(Store *s, const char *path, Failure *reterr_failure) {
        static const struct timespec pause = { .tv_nsec = (long) (WAL_PAUSE_USEC * 1000) };
        int r;

        for (unsigned i = 0; i < WAL_TRIES; i++) {
                r = store_raw(s, "PRAGMA journal_mode = WAL");
                if (r != -EBUSY)
                        break;
                (void) nanosleep(&pause, NULL);
        }
        if (r < 0)
                return failure_set(reterr_failure, r, "STORE_OPEN", "Cannot set %s to WAL mode: %m", path);
        return 0;
}

/* One step of the ladder, in one transaction. Another daemon may have done it while we waited: 1. */
static int store_climb(Store *s, const char *path, const char *const *steps, unsigned from,
                       Failure *reterr_failure) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        char pragma[STRLEN("PRAGMA application_id = ; PRAGMA user_version = ") + 2 * 11 + 1];
        int64_t version = from;
        int r;

        assert(s);

        (void) snprintf(pragma, sizeof(pragma), "PRAGMA application_id = %d; PRAGMA user_version = %u",
                        APPLICATION_ID, from + 1);
        r = store_begin(s, &tx);
        if (r >= 0)
                r = store_raw_number(s, "PRAGMA user_version", &version);
        if (r >= 0 && version != (int64_t) from)
                return 1;
        if (r >= 0)
                r = store_raw(s, steps[from]);
        if (r >= 0)
                r = store_raw(s, pragma);
        if (r >= 0)
                r = store_commit(&tx);
        if (r < 0)
                return failure_set(
                                reterr_failure, r, "STORE_MIGRATION",
                                "The step from schema %u to %u failed on %s: %s. Nothing was changed; the "
                                "file is as it was.",
                                from, from + 1, path, sqlite3_errmsg(s->db));
        return 0;
}

static int store_migrate(Store *s, const char *path, const char *const *steps, unsigned n_steps,
                         Failure *reterr_failure) {
        int64_t version;
        int r;

        assert(s);

        for (;;) {
                r = store_raw_number(s, "PRAGMA user_version", &version);
                if (r < 0)
                        return failure_set(reterr_failure, r, "STORE_OPEN", "Cannot read %s: %m", path);
                if (version >= (int64_t) n_steps)
                        return 0;
                if (is_reader(s->role))
                        return failure_set(reterr_failure, -EROFS, "STORE_OLD",
                                           "%s has an older format (schema %" PRIi64
                                           "). Start the suite once: it "
                                           "brings the database up to date.",
                                           path, version);
                r = store_climb(s, path, steps, (unsigned) version, reterr_failure);
                if (r < 0)
                        return r;
        }
}

static int store_prepare(Store *s, const char *path, Failure *reterr_failure) {
        assert(s);

        for (int i = 0; i < _SQL_MAX; i++) {
                const Statement *st = &statement_table[i];
                int r;

                if ((st->roles & (1U << s->role)) == 0)
                        continue;
                r = sqlite_to_errno(sqlite3_prepare_v3(s->db, st->sql, -1, SQLITE_PREPARE_PERSISTENT,
                                                       &s->statements[i], NULL));
                if (r < 0)
                        return failure_set(reterr_failure, r, "STORE_STATEMENT",
                                           "Statement %s does not fit the database %s: %s", st->name, path,
                                           sqlite3_errmsg(s->db));
        }
        return 0;
}

static int store_open_any(const char *path, StoreRole role, const char *const *steps, unsigned n_steps,
                          Store **ret, Failure *reterr_failure) {
        _cleanup_(store_closep) Store *s = NULL;
        int r;

        s = new0(Store, 1);
        if (!s)
                return -ENOMEM;
        s->role = role;

        if (!is_reader(role)) {
                r = store_make_file(path, reterr_failure);
                if (r < 0)
                        return r;
        }
        r = store_connect(s, path, reterr_failure);
        if (r < 0)
                return r;
        r = store_recognize(s, path, n_steps, reterr_failure);
        if (r < 0)
                return r;
        r = store_set_up(s, path, reterr_failure);
        if (r < 0)
                return r;
        if (!is_reader(role)) {
                r = store_set_wal(s, path, reterr_failure);
                if (r < 0)
                        return r;
        }
        r = store_migrate(s, path, steps, n_steps, reterr_failure);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

int store_open_ladder(const char *path, StoreRole role, const char *const *steps, unsigned n_steps,
                      Store **ret, Failure *reterr_failure) {
        assert(path);
        assert(role >= 0 && role < _STORE_ROLE_MAX);
        assert(steps);
        assert(ret);

        return store_open_any(path, role, steps, n_steps, ret, reterr_failure);
}

int store_open(const char *path, StoreRole role, Store **ret, Failure *reterr_failure) {
        _cleanup_(store_closep) Store *s = NULL;
        int r;

        assert(path);
        assert(role >= 0 && role < _STORE_ROLE_MAX);
        assert(ret);

        r = store_open_any(path, role, schema_steps, schema_version, &s, reterr_failure);
        if (r < 0)
                return r;
        r = store_prepare(s, path, reterr_failure);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

/* --- questions about the file --- */

int store_data_version(Store *s, uint64_t *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_DATA_VERSION);
        r = query_step(&q);
        if (r < 0)
                return r;
        *ret = column_u64(&q);
        return q.error;
}

int store_check(Store *s, Failure *reterr_failure) {
        sqlite3_stmt *stmt = NULL;
        const char *text;
        int r = 0, rc;

        assert(s);

        rc = sqlite3_prepare_v2(s->db, "PRAGMA integrity_check(1)", -1, &stmt, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(stmt);
        if (rc != SQLITE_ROW)
                r = failure_set(reterr_failure, sqlite_to_errno(rc) < 0 ? sqlite_to_errno(rc) : -EIO,
                                "STORE_CORRUPT", "Cannot check the database: %s", sqlite3_errmsg(s->db));
        else {
                text = (const char *) sqlite3_column_text(stmt, 0);
                if (!text || !streq(text, "ok"))
                        r = failure_set(reterr_failure, -EUCLEAN, "STORE_CORRUPT",
                                        "The database is damaged: %s", strempty(text));
        }
        (void) sqlite3_finalize(stmt);
        if (r < 0)
                return r;

        rc = sqlite3_prepare_v2(s->db, "PRAGMA foreign_key_check", -1, &stmt, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW)
                r = failure_set(reterr_failure, -EUCLEAN, "STORE_CORRUPT",
                                "The database is damaged: a row of table %s refers to one that is not there",
                                (const char *) sqlite3_column_text(stmt, 0));
        (void) sqlite3_finalize(stmt);
        return r;
}
