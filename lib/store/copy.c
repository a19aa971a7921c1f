/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "store/copy.h"
#include "store/db.h"

/* An empty file with its mode, which SQLite then fills. */
static int make_empty(const char *path, Failure *reterr_failure) {
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0)
                return failure_set(reterr_failure, -errno, "COPY_FAILED", "Cannot make %s: %m", path);
        return 0;
}

static int copy_pages(Store *s, sqlite3 *to) {
        sqlite3_backup *backup;
        int rc;

        backup = sqlite3_backup_init(to, "main", s->db, "main");
        if (!backup)
                return sqlite_to_errno(sqlite3_extended_errcode(to));
        rc = sqlite3_backup_step(backup, -1); /* all of one moment */
        (void) sqlite3_backup_finish(backup);
        return rc == SQLITE_DONE ? 0 : sqlite_to_errno(rc);
}

int store_copy(Store *s, const char *path, Failure *reterr_failure) {
        Store copy = { .role = STORE_RECOVERY };
        int r;

        assert(s);
        assert(path);

        r = make_empty(path, reterr_failure);
        if (r < 0)
                return r;
        r = sqlite_to_errno(sqlite3_open_v2(path, &copy.db,
                                            SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                                                            SQLITE_OPEN_EXRESCODE,
                                            NULL));
        if (r >= 0)
                r = copy_pages(s, copy.db);
        /* One file, without a log beside it. */
        if (r >= 0)
                r = store_raw(&copy, "PRAGMA journal_mode = DELETE");
        if (r < 0)
                r = failure_set(reterr_failure, r, "COPY_FAILED", "Cannot copy the database to %s: %m",
                                path);
        if (r >= 0)
                r = store_check(&copy, reterr_failure);
        (void) sqlite3_close_v2(copy.db);
        return r;
}

/* A connection for pragmas alone. */
static int connect_plain(const char *path, sqlite3 **ret, Failure *reterr_failure) {
        sqlite3 *db = NULL;
        int r;

        if (access(path, F_OK) < 0)
                return -errno;
        r = sqlite_to_errno(sqlite3_open_v2(
                        path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                        NULL));
        if (r < 0) {
                (void) sqlite3_close_v2(db);
                return failure_set(reterr_failure, r, "STORE_OPEN", "Cannot open the database %s: %m", path);
        }
        *ret = db;
        return 0;
}

int store_in_use(const char *path, Failure *reterr_failure) {
        Store s = { .role = STORE_RECOVERY };
        int r;

        assert(path);

        r = connect_plain(path, &s.db, reterr_failure);
        if (r < 0)
                return r;
        /* Only the one connection that there is can leave WAL. */
        r = store_raw(&s, "PRAGMA journal_mode = DELETE");
        (void) sqlite3_close_v2(s.db);
        if (r == -EBUSY)
                return 1;
        return r < 0 ? failure_set(reterr_failure, r, "STORE_OPEN", "Cannot read the database %s: %m",
                                   path) :
                       0;
}

int store_has_content(const char *path, Failure *reterr_failure) {
        Store s = { .role = STORE_RECOVERY };
        int64_t n = 0, tables = 0;
        int r;

        assert(path);

        r = connect_plain(path, &s.db, reterr_failure);
        if (r < 0)
                return r;
        r = store_raw_number(&s, "SELECT count(*) FROM sqlite_master WHERE name IN ('users', 'tasks')",
                             &tables);
        if (r >= 0 && tables > 0)
                r = store_raw_number(&s,
                                     "SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM tasks)"
                                     " + (SELECT count(*) FROM targets) + (SELECT count(*) FROM runs)"
                                     " + (SELECT count(*) FROM nodes WHERE id <> 1)",
                                     &n);
        (void) sqlite3_close_v2(s.db);
        if (r < 0)
                return failure_set(reterr_failure, r, "STORE_OPEN", "Cannot read the database %s: %m", path);
        return n > 0;
}

/* Objects and commands that were made after the copy have ids which agents and storages still know. Who was
 * heard was heard by another machine: the agent of this one, which is new, is no second one of its node. */
#define REVIVE_SQL \
        "DELETE FROM sessions;" \
        "UPDATE nodes SET agent_id = NULL, duplicate = NULL;" \
        "INSERT INTO sqlite_sequence (name, seq) SELECT name, 0 FROM sqlite_master WHERE type = 'table'" \
        " AND sql LIKE '%AUTOINCREMENT%' AND name NOT IN (SELECT name FROM sqlite_sequence);" \
        "UPDATE sqlite_sequence SET seq = seq + CASE name WHEN 'commands' THEN 1000000" \
        " WHEN 'runs' THEN 100000 WHEN 'audit' THEN 100000 ELSE 1000 END"

int store_revive(const char *path, Failure *reterr_failure) {
        _cleanup_(store_closep) Store *s = NULL;
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int r;

        assert(path);

        r = store_open(path, STORE_API, &s, reterr_failure);
        if (r >= 0)
                r = store_check(s, reterr_failure);
        if (r < 0)
                return r;
        r = store_begin(s, &tx);
        if (r >= 0)
                r = store_raw(s, REVIVE_SQL);
        if (r >= 0)
                r = store_commit(&tx);
        if (r >= 0)
                r = store_raw(s, "PRAGMA journal_mode = DELETE");
        return r < 0 ? failure_set(reterr_failure, r, "STORE_OPEN", "Cannot change the database %s: %m",
                                   path) :
                       0;
}
