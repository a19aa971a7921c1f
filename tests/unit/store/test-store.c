/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "store/audit.h"
#include "store/db.h"
#include "store/setting.h"
#include "tests/unit/store/fixture.h"

static void test_file(void) {
        _cleanup_fixture_ Fixture f;
        struct stat st;
        int64_t v;
        char wal[64];

        fixture_init(&f);
        CHECK_INT(stat(f.path, &st), 0);
        CHECK_INT(st.st_mode & 07777, 0660);
        (void) snprintf(wal, sizeof(wal), "%s-wal", f.path);
        CHECK_INT(stat(wal, &st), 0);
        CHECK_INT(st.st_mode & 07777, 0660);
        CHECK_OK(store_raw_number(f.api, "SELECT journal_mode = 'wal' FROM pragma_journal_mode", &v));
        CHECK_INT(v, 1);
        CHECK_OK(store_raw_number(f.api, "PRAGMA synchronous", &v));
        CHECK_INT(v, 2);
        CHECK_OK(store_raw_number(f.api, "PRAGMA foreign_keys", &v));
        CHECK_INT(v, 1);
        CHECK_OK(store_raw_number(f.api, "PRAGMA user_version", &v));
        CHECK_INT(v, store_schema_version());
        CHECK_INT(store_role(f.scheduler), STORE_SCHEDULER);
        CHECK_INT(store_raw_number(f.api, "SELECT 1 WHERE 0", &v), -ENODATA);
        CHECK(store_raw(f.api, "SELEKT") < 0);
}

/* Every statement has its text, and fits the schema: as any role, all of that role's are prepared. */
static void test_statements(void) {
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        for (int i = 0; i < _SQL_MAX; i++) {
                CHECK(statement_table[i].sql);
                CHECK(statement_table[i].roles != 0);
                CHECK_INT(f.api->statements[i] != NULL, (statement_table[i].roles & (1U << STORE_API)) != 0);
        }
}

/* What a table that grows with use is called in the statements. */
static bool grows(const char *name, size_t n) {
        static const char *const names[] = { "commands", "c", "runs", "r",
                                             "run_logs", "l", "y", "run_targets" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0)
                        return true;
        return false;
}

static void check_plan(Store *s, const Statement *st) {
        sqlite3_stmt *stmt = NULL;
        char sql[4096];

        (void) snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", st->sql);
        CHECK_INT(sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL), SQLITE_OK);
        while (sqlite3_step(stmt) == SQLITE_ROW) {
                const char *detail = (const char *) sqlite3_column_text(stmt, 3), *name;

                name = startswith(detail, "SCAN ");
                if (name && !strstr(name, " USING ") && grows(name, strcspn(name, " ")))
                        TEST_FAIL("%s reads all rows: %s", st->name, detail);
        }
        (void) sqlite3_finalize(stmt);
}

/* Every statement on a table that grows with use goes by an index. */
static void test_plans(void) {
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        for (int i = 0; i < _SQL_MAX; i++)
                if (i != SQL_DATA_VERSION)
                        check_plan(f.api, &statement_table[i]);
}

/* How many of the two are in the plan of a statement. */
static unsigned plan_has(Store *s, Sql statement, const char *first, const char *second) {
        sqlite3_stmt *stmt = NULL;
        unsigned found = 0;
        char sql[4096];

        (void) snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", statement_table[statement].sql);
        CHECK_INT(sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL), SQLITE_OK);
        while (sqlite3_step(stmt) == SQLITE_ROW) {
                const char *detail = (const char *) sqlite3_column_text(stmt, 3);

                found += strstr(detail, first) != NULL;
                found += strstr(detail, second) != NULL;
        }
        (void) sqlite3_finalize(stmt);
        return found;
}

/* What is asked behind every commit of the API, and for each request of an agent, reads no row. */
static void test_covering_plans(void) {
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        CHECK_INT(plan_has(f.api, SQL_RUNS_LIST_WORK, " USING COVERING INDEX runs_open ",
                           " USING COVERING INDEX commands_live "),
                  2);
        CHECK_INT(plan_has(f.api, SQL_NODE_TOKEN_FIND, " USING COVERING INDEX node_tokens_find ",
                           " USING INDEX nodes_disabled "),
                  2);
}

static void test_roles(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(store_closep) Store *reader = NULL;
        Task t = {};
        RunNew n = { .kind = RUN_BACKUP };
        QueueClaim claim = {};
        CommandNew c = { .kind = "k", .spec = "{}", .node_id = 1 };
        CommandEnd end = { .state = COMMAND_FAILED };
        CommandRef ref = { 1, 1 };
        RunEnd run_end = { .state = RUN_FAILED };
        char *secret;
        uint64_t id;

        fixture_init(&f);
        CHECK_OK(store_open(f.path, STORE_READONLY, &reader, NULL));
        id = fixture_command(&f, NODE_LOCAL, 0);
        (void) claim;

        CHECK_INT(task_add(f.scheduler, &t, &id), -EPERM);
        CHECK_INT(task_add(f.dispatcher, &t, &id), -EPERM);
        CHECK_INT(run_add(f.api, &n, T0, &id), -EPERM);
        CHECK_INT(run_add(f.dispatcher, &n, T0, &id), -EPERM);
        CHECK_INT(queue_add(f.api, &c, T0, &id), -EPERM);
        CHECK_INT(queue_finish(f.dispatcher, &ref, 1, &end, T0), -EPERM);
        CHECK_INT(run_finish(f.api, 1, &run_end, T0), -EPERM);
        CHECK_INT(node_pin_key(f.api, 1, "age1x"), -EPERM);
        CHECK_INT(node_identity_get(f.api, 1, &secret, &secret), -EPERM);
        CHECK_INT(node_identity_get(f.scheduler, 1, &secret, &secret), -EPERM);
        CHECK_INT(node_set_health(f.api, 1, &(const NodeHealthNote){ .health = HEALTH_HEALTHY }), -EPERM);
        CHECK_INT(setting_set(f.api, "scheduler.paused", "1"), -EPERM);
        CHECK_INT(setting_set(reader, "api.x", "1"), -EPERM);
        CHECK_INT(node_open_pin(reader, 1), -EPERM);
}

static void test_settings(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(freep) char *value = NULL;

        fixture_init(&f);
        CHECK_INT(setting_get(f.api, "scheduler.paused", &value), STORE_E_NOT_FOUND);
        CHECK_INT(setting_set(f.scheduler, "scheduler.paused", "no"), 0);
        CHECK_INT(setting_set(f.scheduler, "scheduler.paused", "yes"), 0);
        CHECK_INT(setting_get(f.api, "scheduler.paused", &value), 0);
        CHECK_STR(value, "yes");
        CHECK_INT(setting_set(f.scheduler, "scheduler.paused", NULL), 0);
        value = mfree(value);
        CHECK_INT(setting_get(f.api, "scheduler.paused", &value), STORE_E_NOT_FOUND);
}

static int add_node_in(Store *s, const char *name) {
        uint64_t id;

        return node_add(s, name, NULL, T0, &id);
}

static bool has_node(Fixture *f, const char *name) {
        _cleanup_(node_done) Node n = NODE_NULL;
        int r = node_find(f->dispatcher, name, &n);

        CHECK(r == 0 || r == STORE_E_NOT_FOUND);
        return r == 0;
}

static void test_transactions(void) {
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        {
                _cleanup_(store_tx_done) StoreTx outer = STORE_TX_NULL;

                CHECK_OK(store_begin(f.api, &outer));
                CHECK_INT(add_node_in(f.api, "a"), 0);
                {
                        _cleanup_(store_tx_done) StoreTx inner = STORE_TX_NULL;

                        CHECK_OK(store_begin(f.api, &inner));
                        CHECK_INT(add_node_in(f.api, "b"), 0);
                }
                /* One that fails takes nothing with it. */
                CHECK_INT(add_node_in(f.api, "a"), STORE_E_EXISTS);
                CHECK(!has_node(&f, "a"));
                CHECK_OK(store_commit(&outer));
        }
        CHECK(has_node(&f, "a"));
        CHECK(!has_node(&f, "b"));
        {
                _cleanup_(store_tx_done) StoreTx dropped = STORE_TX_NULL;

                CHECK_OK(store_begin(f.api, &dropped));
                CHECK_INT(add_node_in(f.api, "c"), 0);
        }
        CHECK(!has_node(&f, "c"));
}

static void test_audit_in_transaction(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(audit_list_done) AuditList l = AUDIT_LIST_NULL, filtered = AUDIT_LIST_NULL,
                                             paged = AUDIT_LIST_NULL;
        AuditEntry e = {
                .at = T0,
                .user_id = 7,
                .username = (char *) "anna",
                .address = (char *) "::1",
                .action = (char *) "node.create",
                .object_type = (char *) "node",
                .object_id = 2,
                .object_name = (char *) "a",
                .detail = (char *) "{}",
        };
        AuditFilter filter = {
                .object_type = "node", .object_id = 2, .user_id = 7, .action = "node.create"
        };

        fixture_init(&f);
        {
                _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;

                CHECK_OK(store_begin(f.api, &tx));
                CHECK_INT(add_node_in(f.api, "a"), 0);
                CHECK_INT(audit_add(f.api, &e), 0);
        }
        CHECK_INT(audit_list(f.api, NULL, 0, 10, &l), 0);
        CHECK_INT(l.n, 0);
        CHECK_INT(audit_add(f.scheduler, &e), 0);
        e.action = (char *) "node.delete";
        e.object_id = 3;
        CHECK_INT(audit_add(f.dispatcher, &e), 0);
        CHECK_INT(audit_list(f.api, NULL, 0, 10, &l), 0);
        CHECK_INT(l.n, 2);
        CHECK_STR(l.items[0].action, "node.delete");
        CHECK_STR(l.items[1].username, "anna");
        CHECK_STR(l.items[1].address, "::1");
        CHECK_STR(l.items[1].object_name, "a");
        CHECK_INT(audit_list(f.api, &filter, 0, 10, &filtered), 0);
        CHECK_INT(filtered.n, 1);
        CHECK_STR(filtered.items[0].action, "node.create");
        CHECK_INT(audit_list(f.api, NULL, l.items[0].id, 1, &paged), 0);
        CHECK_INT(paged.n, 1);
        CHECK_INT(paged.items[0].id, l.items[1].id);
}

static void test_group(void) {
        _cleanup_fixture_ Fixture f;
        uint64_t before, after;

        fixture_init(&f);
        CHECK_OK(store_group_commit(f.api));
        CHECK_OK(store_data_version(f.dispatcher, &before));
        CHECK_OK(store_group_open(f.api));
        CHECK_OK(store_group_open(f.api));
        CHECK(store_group_is_open(f.api));
        CHECK_INT(add_node_in(f.api, "a"), 0);
        CHECK_INT(add_node_in(f.api, "b"), 0);
        CHECK_INT(add_node_in(f.api, "a"), STORE_E_EXISTS);
        CHECK(!has_node(&f, "a"));
        CHECK_OK(store_group_commit(f.api));
        CHECK(!store_group_is_open(f.api));
        CHECK(has_node(&f, "a"));
        CHECK(has_node(&f, "b"));
        CHECK_OK(store_data_version(f.dispatcher, &after));
        CHECK(before != after);
        CHECK_OK(store_data_version(f.dispatcher, &before));
        CHECK_INT(before, after);
}

/* What a failure undid as a whole must not go on, statement by statement. */
static void test_lost_transaction(void) {
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        CHECK_OK(store_group_open(f.api));
        CHECK_INT(add_node_in(f.api, "a"), 0);
        CHECK_OK(store_raw(f.api, "ROLLBACK"));
        CHECK_INT(add_node_in(f.api, "b"), -ECANCELED);
        CHECK_INT(store_group_commit(f.api), -ECANCELED);
        CHECK(!has_node(&f, "a"));
        CHECK(!has_node(&f, "b"));
        CHECK_INT(add_node_in(f.api, "c"), 0);
        CHECK(has_node(&f, "c"));
}

static void test_text_limit(void) {
        _cleanup_fixture_ Fixture f;
        _cleanup_(freep) char *text = NULL;

        fixture_init(&f);
        text = malloc(STORE_TEXT_MAX + 2);
        CHECK(text);
        memset(text, 'x', STORE_TEXT_MAX + 1);
        text[STORE_TEXT_MAX + 1] = 0;
        CHECK_INT(setting_set(f.api, "api.x", text), -EFBIG);
        text[STORE_TEXT_MAX] = 0;
        CHECK_INT(setting_set(f.api, "api.x", text), 0);
}

/* A full disk: what was told to be stored is there, what was refused is not, and reading goes on. */
static void test_full(void) {
        _cleanup_fixture_ Fixture f;
        int64_t pages, told = 0, stored = 0;
        char sql[64], name[16];
        int r = 0;

        fixture_init(&f);
        CHECK_OK(store_raw_number(f.api, "PRAGMA page_count", &pages));
        (void) snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %" PRIi64, pages + 3);
        CHECK_OK(store_raw(f.api, sql));
        for (unsigned i = 0; i < 100000 && r == 0; i++) {
                int64_t in_group = 0;

                CHECK_OK(store_group_open(f.api));
                for (unsigned k = 0; k < 10 && r == 0; k++) {
                        (void) snprintf(name, sizeof(name), "n-%u-%u", i, k);
                        r = add_node_in(f.api, name);
                        in_group += r == 0;
                }
                if (store_group_commit(f.api) == 0)
                        told += in_group;
                else
                        CHECK(r < 0);
        }
        CHECK_INT(r, -ENOSPC);
        CHECK_OK(store_raw_number(f.dispatcher, "SELECT count(*) FROM nodes WHERE id > 1", &stored));
        CHECK_INT(stored, told);
        CHECK(told > 10);
        CHECK_OK(store_raw(f.api, "PRAGMA max_page_count = 100000"));
        CHECK_INT(add_node_in(f.api, "one more"), 0);
}

/* A daemon that holds the lock for too long: writers give up with -EBUSY and lose nothing, readers do not
 * notice. */
static void test_busy(void) {
        _cleanup_fixture_ Fixture f;

        fixture_init(&f);
        CHECK_OK(store_raw(f.api, "PRAGMA busy_timeout = 20"));
        {
                _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;

                CHECK_OK(store_begin(f.dispatcher, &tx));
                CHECK_INT(node_set_draining(f.dispatcher, NODE_LOCAL, true), 0);
                CHECK_INT(add_node_in(f.api, "a"), -EBUSY);
                CHECK_INT(store_group_open(f.api), -EBUSY);
                CHECK(!store_group_is_open(f.api));
                CHECK(has_node(&f, "local"));
                CHECK_OK(store_commit(&tx));
        }
        CHECK_INT(add_node_in(f.api, "a"), 0);
        CHECK(has_node(&f, "a"));
}

/* --- the ladder --- */

static const char *const ladder[] = {
        "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)",
        "ALTER TABLE a ADD COLUMN y INTEGER NOT NULL DEFAULT 5",
        "CREATE TABLE b (z INTEGER); INSERT INTO b SELECT x + y FROM a",
};

static const char *const ladder_broken[] = {
        "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)",
        "INSERT INTO a VALUES (2); ALTER TABLE nowhere ADD COLUMN y INTEGER",
};

static void test_ladder(void) {
        char directory[] = "/tmp/test-ladder-XXXXXX", path[48];

        CHECK(mkdtemp(directory));
        (void) snprintf(path, sizeof(path), "%s/x.db", directory);
        for (unsigned from = 1; from <= ELEMENTSOF(ladder); from++) {
                _cleanup_(store_closep) Store *s = NULL;
                int64_t v;

                CHECK_OK(store_open_ladder(path, STORE_API, ladder, from, &s, NULL));
                CHECK_OK(store_raw(s, "UPDATE a SET x = 10"));
                s = store_close(s);
                CHECK_OK(store_open_ladder(path, STORE_SCHEDULER, ladder, ELEMENTSOF(ladder), &s, NULL));
                CHECK_OK(store_raw_number(s, "PRAGMA user_version", &v));
                CHECK_INT(v, ELEMENTSOF(ladder));
                CHECK_OK(store_raw_number(s, "SELECT z FROM b", &v));
                CHECK_INT(v, from == ELEMENTSOF(ladder) ? 6 : 15);
                s = store_close(s);
                CHECK_INT(unlink(path), 0);
        }
        CHECK_INT(rmdir(directory), 0);
}

static void test_ladder_refuses(void) {
        char directory[] = "/tmp/test-ladder-XXXXXX", path[48];
        _cleanup_(failure_done) Failure failed = FAILURE_NULL, newer = FAILURE_NULL, old = FAILURE_NULL;
        _cleanup_(store_closep) Store *s = NULL;
        int64_t v;

        CHECK(mkdtemp(directory));
        (void) snprintf(path, sizeof(path), "%s/x.db", directory);
        CHECK(store_open_ladder(path, STORE_API, ladder_broken, 2, &s, &failed) < 0);
        CHECK(!s);
        CHECK_STR(failed.code, "STORE_MIGRATION");
        CHECK(strstr(failed.message, "nowhere"));
        /* The step that worked stays; of the one that did not, nothing. */
        CHECK_OK(store_open_ladder(path, STORE_API, ladder, 1, &s, NULL));
        CHECK_OK(store_raw_number(s, "SELECT count(*) FROM a", &v));
        CHECK_INT(v, 1);
        s = store_close(s);

        CHECK_INT(store_open_ladder(path, STORE_READONLY, ladder, 3, &s, &old), -EROFS);
        CHECK_STR(old.code, "STORE_OLD");
        CHECK_OK(store_open_ladder(path, STORE_API, ladder, 3, &s, NULL));
        s = store_close(s);
        CHECK_INT(store_open_ladder(path, STORE_API, ladder, 2, &s, &newer), -EPROTONOSUPPORT);
        CHECK_STR(newer.code, "STORE_NEWER");
        CHECK(strstr(newer.message, "newer version"));
        CHECK_INT(unlink(path), 0);
        CHECK_INT(rmdir(directory), 0);
}

static void test_foreign_files(void) {
        char directory[] = "/tmp/test-foreign-XXXXXX", path[48];
        _cleanup_(failure_done) Failure text = FAILURE_NULL, other = FAILURE_NULL, missing = FAILURE_NULL;
        static const char *const steps[] = { "CREATE TABLE a (x INTEGER)" };
        _cleanup_(store_closep) Store *s = NULL;

        CHECK(mkdtemp(directory));
        (void) snprintf(path, sizeof(path), "%s/x.db", directory);
        CHECK_OK(write_file_atomic(AT_FDCWD, path, "hello, this is a text of no database at all", 43, 0600));
        CHECK_INT(store_open(path, STORE_API, &s, &text), -EUCLEAN);
        CHECK_STR(text.code, "STORE_CORRUPT");
        CHECK_INT(unlink(path), 0);

        CHECK_OK(store_open_ladder(path, STORE_API, steps, 1, &s, NULL));
        CHECK_OK(store_raw(s, "PRAGMA application_id = 5"));
        s = store_close(s);
        CHECK_INT(store_open(path, STORE_API, &s, &other), -EUCLEAN);
        CHECK_STR(other.code, "STORE_FOREIGN");
        CHECK_INT(unlink(path), 0);

        CHECK_INT(store_open(path, STORE_READONLY, &s, &missing), -EACCES);
        CHECK_STR(missing.code, "STORE_OPEN");
        CHECK(access(path, F_OK) < 0);
        CHECK_INT(rmdir(directory), 0);
        CHECK(store_open(path, STORE_API, &s, NULL) < 0);
}

/* All daemons start at once, on no database at all. */
static void test_open_race(void) {
        char directory[] = "/tmp/test-race-XXXXXX", path[48];
        pid_t children[8];

        CHECK(mkdtemp(directory));
        (void) snprintf(path, sizeof(path), "%s/x.db", directory);
        for (size_t i = 0; i < ELEMENTSOF(children); i++) {
                children[i] = fork();
                CHECK_OK(children[i]);
                if (children[i] == 0) {
                        Store *s = NULL;

                        CHECK_OK(store_open(path, (StoreRole) (i % STORE_READONLY), &s, NULL));
                        store_close(s);
                        _exit(0);
                }
        }
        for (size_t i = 0; i < ELEMENTSOF(children); i++) {
                int status;

                CHECK_INT(waitpid(children[i], &status, 0), children[i]);
                CHECK_INT(status, 0);
        }
        /* Of several that close at once, none may be the last one that folds the WAL in. */
        (void) snprintf(path, sizeof(path), "%s/x.db-wal", directory);
        (void) unlink(path);
        (void) snprintf(path, sizeof(path), "%s/x.db-shm", directory);
        (void) unlink(path);
        (void) snprintf(path, sizeof(path), "%s/x.db", directory);
        CHECK_INT(unlink(path), 0);
        CHECK_INT(rmdir(directory), 0);
}

/* Bytes that rot: an error or the old values, never a crash. Every page is hit. */
static void test_damage(void) {
        static const char *const suffixes[] = { "", "-wal", "-shm" };
        _cleanup_fixture_ Fixture f;
        _cleanup_(freep) char *bytes = NULL;
        unsigned refused = 0;
        uint64_t seed = 42;
        size_t n;

        fixture_init(&f);
        (void) fixture_run(&f, fixture_task(&f, "t", NODE_LOCAL, fixture_target(&f, "x"), 0));
        CHECK_OK(store_raw(f.api, "PRAGMA wal_checkpoint(TRUNCATE)"));
        CHECK_OK(read_file(AT_FDCWD, f.path, 16 * 1024 * 1024, &bytes, &n));
        for (unsigned i = 0; i < 60; i++) {
                _cleanup_(run_list_done) RunList runs = RUN_LIST_NULL;
                _cleanup_(task_list_done) TaskList tasks = TASK_LIST_NULL;
                _cleanup_(node_list_done) NodeList nodes = NODE_LIST_NULL;
                _cleanup_(store_closep) Store *s = NULL;
                char path[64];
                size_t at;
                int r;

                seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
                at = (i * 4096 + (seed >> 33) % 4096) % n;
                bytes[at] ^= (char) (1 + (seed >> 40) % 255);
                (void) snprintf(path, sizeof(path), "%s-damaged", f.path);
                CHECK_OK(write_file_atomic(AT_FDCWD, path, bytes, n, 0600));
                r = store_open(path, STORE_READONLY, &s, NULL);
                if (r < 0 || store_check(s, NULL) < 0)
                        refused++;
                if (r >= 0) {
                        (void) !runs_list(s, NULL, 0, 100, &runs);
                        (void) !tasks_list(s, 0, 100, &tasks);
                        (void) !nodes_list(s, 0, 100, &nodes);
                }
                s = store_close(s);
                for (size_t k = 0; k < ELEMENTSOF(suffixes); k++) {
                        (void) snprintf(path, sizeof(path), "%s-damaged%s", f.path, suffixes[k]);
                        (void) unlink(path);
                }
        }
        CHECK(refused > 20);
}

int main(void) {
        RUN(test_file);
        RUN(test_statements);
        RUN(test_plans);
        RUN(test_covering_plans);
        RUN(test_roles);
        RUN(test_settings);
        RUN(test_transactions);
        RUN(test_audit_in_transaction);
        RUN(test_group);
        RUN(test_lost_transaction);
        RUN(test_text_limit);
        RUN(test_full);
        RUN(test_busy);
        RUN(test_ladder);
        RUN(test_ladder_refuses);
        RUN(test_foreign_files);
        RUN(test_open_race);
        RUN(test_damage);
        return EXIT_SUCCESS;
}
