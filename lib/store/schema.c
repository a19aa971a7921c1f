/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db.h"

/* The ladder of the database's format. A step that was released is never edited: a change is a new step at
 * the end. Numbers of enums (states, kinds, roles) are written down here, so enums grow at their end, too.
 *
 * Where an id may be absent it is NULL; a time of 0 is never. AUTOINCREMENT: ids are never given twice, so a
 * row that names a deleted one can not come to mean another. */
static const char step_1[] =
                "CREATE TABLE settings ("
                "  name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT;"
                "CREATE TABLE counters ("
                "  name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) STRICT;"
                "INSERT INTO counters VALUES ('timeouts', 0);"

                "CREATE TABLE api_stamp ("
                "  one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),"
                "  boot_id TEXT NOT NULL, mono INTEGER NOT NULL, listening_since INTEGER NOT NULL) STRICT;"

                "CREATE TABLE users ("
                "  id INTEGER PRIMARY KEY AUTOINCREMENT, username TEXT NOT NULL UNIQUE, password_hash"
                " TEXT NOT NULL,"
                "  role INTEGER NOT NULL, enabled INTEGER NOT NULL, created INTEGER NOT NULL,"
                "  password_changed INTEGER NOT NULL, last_login INTEGER NOT NULL DEFAULT 0) STRICT;"
                "CREATE TABLE sessions ("
                "  jti TEXT NOT NULL PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users ON DELETE"
                " CASCADE,"
                "  created INTEGER NOT NULL, expires INTEGER NOT NULL, address TEXT, user_agent TEXT)"
                " STRICT;"
                "CREATE INDEX sessions_user ON sessions (user_id);"
                "CREATE INDEX sessions_expires ON sessions (expires);"
                "CREATE TABLE api_keys ("
                "  id INTEGER PRIMARY KEY AUTOINCREMENT, user_id INTEGER NOT NULL REFERENCES users ON DELETE"
                " CASCADE,"
                "  name TEXT NOT NULL, hash BLOB NOT NULL UNIQUE, role INTEGER NOT NULL, created INTEGER"
                " NOT NULL,"
                "  expires INTEGER NOT NULL, last_used INTEGER NOT NULL DEFAULT 0, UNIQUE (user_id,"
                " name)) STRICT;"

                "CREATE TABLE audit ("
                "  id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, user_id INTEGER, username"
                " TEXT,"
                " address TEXT,"
                "  action TEXT NOT NULL, object_type TEXT, object_id INTEGER, object_name TEXT, detail"
                " TEXT) STRICT;"

                "CREATE TABLE nodes ("
                "  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, description TEXT,"
                "  created INTEGER NOT NULL, revision INTEGER NOT NULL DEFAULT 1,"
                "  state INTEGER NOT NULL DEFAULT 0, health INTEGER NOT NULL DEFAULT 2, health_reason TEXT,"
                "  draining INTEGER NOT NULL DEFAULT 0, public_key TEXT,"
                "  pin_open INTEGER NOT NULL DEFAULT 0, heard_boot TEXT, heard_mono INTEGER NOT NULL"
                " DEFAULT 0,"
                "  last_seen INTEGER NOT NULL DEFAULT 0, agent_id TEXT, duplicate TEXT, boot_id TEXT,"
                " version TEXT,"
                " os TEXT,"
                "  arch TEXT, hostname TEXT, addresses TEXT, tools TEXT, offered_key TEXT,"
                "  capacity INTEGER NOT NULL DEFAULT 0, free_bytes INTEGER NOT NULL DEFAULT 0,"
                "  clock_skew INTEGER NOT NULL DEFAULT 0) STRICT;"
                "INSERT INTO nodes (id, name, description, created)"
                "  VALUES (1, 'local', 'This machine', CAST(strftime('%s', 'now') AS INTEGER) * 1000000);"
                /* Without a foreign key: archives outlive the node that wrote them. */
                "CREATE TABLE node_identities ("
                "  node_id INTEGER PRIMARY KEY, recipient TEXT NOT NULL, sealed TEXT NOT NULL) STRICT;"
                "CREATE TABLE node_tokens ("
                "  id INTEGER PRIMARY KEY AUTOINCREMENT, node_id INTEGER NOT NULL REFERENCES nodes ON DELETE"
                " CASCADE,"
                "  hash BLOB NOT NULL UNIQUE, created INTEGER NOT NULL, first_used INTEGER NOT NULL"
                " DEFAULT 0,"
                "  last_used INTEGER NOT NULL DEFAULT 0, valid_until INTEGER NOT NULL DEFAULT 0, sealed"
                " TEXT)"
                " STRICT;"
                "CREATE INDEX node_tokens_node ON node_tokens (node_id);"
                "CREATE TABLE enrollments ("
                "  hash BLOB NOT NULL PRIMARY KEY, node_id INTEGER NOT NULL REFERENCES nodes ON DELETE"
                " CASCADE,"
                "  created INTEGER NOT NULL, expires INTEGER NOT NULL, created_by INTEGER,"
                "  used INTEGER NOT NULL DEFAULT 0, used_key TEXT) STRICT;"
                "CREATE INDEX enrollments_node ON enrollments (node_id);"

                "CREATE TABLE targets ("
                "  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, type TEXT NOT NULL,"
                "  config TEXT NOT NULL, secrets TEXT, secret_names TEXT, created INTEGER NOT NULL,"
                " updated INTEGER"
                " NOT NULL,"
                "  revision INTEGER NOT NULL DEFAULT 1, tested INTEGER NOT NULL DEFAULT 0,"
                "  test_ok INTEGER NOT NULL DEFAULT 0, test_result TEXT) STRICT;"

                "CREATE TABLE tasks ("
                "  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, type TEXT NOT NULL,"
                "  node_id INTEGER NOT NULL REFERENCES nodes ON DELETE RESTRICT, source TEXT NOT NULL,"
                "  format TEXT NOT NULL, compression TEXT, encryption TEXT NOT NULL, options TEXT,"
                "  enabled INTEGER NOT NULL, schedule_expression TEXT, schedule_timezone TEXT,"
                "  schedule_catch_up INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,"
                "  revision INTEGER NOT NULL DEFAULT 1) STRICT;"
                "CREATE INDEX tasks_node ON tasks (node_id);"
                "CREATE TABLE task_targets ("
                "  task_id INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE, position INTEGER NOT NULL,"
                "  target_id INTEGER NOT NULL REFERENCES targets ON DELETE RESTRICT,"
                "  PRIMARY KEY (task_id, position), UNIQUE (task_id, target_id)) STRICT, WITHOUT ROWID;"
                "CREATE INDEX task_targets_target ON task_targets (target_id);"
                "CREATE TABLE schedules ("
                "  task_id INTEGER PRIMARY KEY REFERENCES tasks ON DELETE CASCADE, revision INTEGER NOT"
                " NULL,"
                "  next INTEGER NOT NULL, last INTEGER NOT NULL, error TEXT) STRICT;"

                "CREATE TABLE runs ("
                "  id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, state INTEGER NOT NULL,"
                "  task_id INTEGER REFERENCES tasks ON DELETE SET NULL, task_name TEXT,"
                "  node_id INTEGER NOT NULL, node_name TEXT, origin TEXT, user_id INTEGER, username TEXT,"
                "  scheduled_for INTEGER, deadline INTEGER NOT NULL, source_run INTEGER, request TEXT,"
                " spec TEXT,"
                "  queued INTEGER NOT NULL, dispatched INTEGER NOT NULL DEFAULT 0, started INTEGER NOT"
                " NULL DEFAULT"
                " 0,"
                "  finished INTEGER NOT NULL DEFAULT 0, cancel INTEGER NOT NULL DEFAULT 0, command_id"
                " INTEGER,"
                "  error_code TEXT, error TEXT, bytes_read INTEGER NOT NULL DEFAULT 0,"
                "  bytes_written INTEGER NOT NULL DEFAULT 0, files INTEGER NOT NULL DEFAULT 0,"
                "  skipped INTEGER NOT NULL DEFAULT 0, errors_total INTEGER NOT NULL DEFAULT 0, errors TEXT,"
                " objects TEXT,"
                "  manifest_sha256 TEXT, archives INTEGER NOT NULL DEFAULT 0, encrypted INTEGER NOT NULL"
                " DEFAULT 0, first_read INTEGER NOT"
                " NULL DEFAULT"
                " 0)"
                "  STRICT;"
                "CREATE UNIQUE INDEX runs_elapse ON runs (task_id, scheduled_for) WHERE scheduled_for IS"
                " NOT NULL;"
                "CREATE UNIQUE INDEX runs_overlap ON runs (task_id) WHERE state < 3 AND kind = 0;"
                "CREATE INDEX runs_open ON runs (id) WHERE state < 3;"
                "CREATE INDEX runs_task ON runs (task_id, id);"
                "CREATE INDEX runs_node ON runs (node_id, id);"
                "CREATE INDEX runs_state ON runs (state);" /* counting by state reads no row */
                "CREATE INDEX runs_removable ON runs (finished) WHERE state >= 3 AND archives = 0;"
                /* Without a foreign key to targets: what was written stays on record. */
                "CREATE TABLE run_targets ("
                "  run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, position INTEGER NOT NULL,"
                "  target_id INTEGER NOT NULL, target_name TEXT, state INTEGER NOT NULL DEFAULT 0, key TEXT,"
                "  size INTEGER NOT NULL DEFAULT 0, sha256 TEXT, error_code TEXT, error TEXT,"
                "  PRIMARY KEY (run_id, position), UNIQUE (run_id, target_id)) STRICT, WITHOUT ROWID;"
                "CREATE INDEX run_targets_target ON run_targets (target_id);"
                "CREATE TABLE run_logs ("
                "  run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, seq INTEGER NOT NULL,"
                "  at INTEGER NOT NULL, level TEXT NOT NULL, text TEXT NOT NULL,"
                "  PRIMARY KEY (run_id, seq)) STRICT, WITHOUT ROWID;"
                "CREATE TABLE run_log_heads ("
                "  run_id INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE, seq INTEGER NOT NULL,"
                "  bytes INTEGER NOT NULL, attempt INTEGER NOT NULL, source_seq INTEGER NOT NULL,"
                "  cut_seq INTEGER NOT NULL, cut_lines INTEGER NOT NULL, cut_bytes INTEGER NOT NULL) STRICT;"

                "CREATE TABLE commands ("
                "  id INTEGER PRIMARY KEY AUTOINCREMENT, run_id INTEGER REFERENCES runs ON DELETE CASCADE,"
                "  node_id INTEGER NOT NULL REFERENCES nodes ON DELETE CASCADE, kind TEXT NOT NULL,"
                "  state INTEGER NOT NULL DEFAULT 0, attempt INTEGER NOT NULL, created INTEGER NOT NULL,"
                "  deadline INTEGER NOT NULL, dispatched INTEGER NOT NULL DEFAULT 0,"
                "  accepted INTEGER NOT NULL DEFAULT 0, finished INTEGER NOT NULL DEFAULT 0,"
                "  cancel INTEGER NOT NULL DEFAULT 0, settled INTEGER NOT NULL DEFAULT 0, agent_id TEXT,"
                "  heard_boot TEXT, heard_mono INTEGER NOT NULL DEFAULT 0, spec TEXT NOT NULL, secrets TEXT,"
                "  progress TEXT, result TEXT, error_code TEXT, error TEXT) STRICT;"
                "CREATE INDEX commands_open ON commands (node_id, state, id) WHERE state < 3;"
                "CREATE UNIQUE INDEX commands_run_open ON commands (run_id) WHERE state < 3 AND run_id IS"
                " NOT NULL;"
                "CREATE INDEX commands_live ON commands (id) WHERE state < 3;"
                "CREATE INDEX commands_run ON commands (run_id, id);"
                "CREATE INDEX commands_node ON commands (node_id, id);"
                "CREATE INDEX commands_unsettled ON commands (id) WHERE state >= 3 AND settled = 0;"
                "CREATE INDEX commands_probes ON commands (finished) WHERE run_id IS NULL AND state >= 3;"
                "CREATE TABLE relay_caps ("
                "  hash BLOB NOT NULL PRIMARY KEY, command_id INTEGER NOT NULL REFERENCES commands ON DELETE"
                " CASCADE,"
                "  attempt INTEGER NOT NULL, target_id INTEGER NOT NULL REFERENCES targets ON DELETE"
                " CASCADE,"
                "  prefix TEXT NOT NULL, verbs INTEGER NOT NULL, created INTEGER NOT NULL) STRICT;"
                "CREATE INDEX relay_caps_command ON relay_caps (command_id);"
                "CREATE INDEX relay_caps_target ON relay_caps (target_id);";

/* What a link gives is sealed to a key that is made from the link's own token, of which only the hash is
 * here. */
static const char step_2[] =
                "CREATE TABLE install_links ("
                "  hash BLOB NOT NULL PRIMARY KEY, node_id INTEGER NOT NULL REFERENCES nodes ON DELETE"
                " CASCADE,"
                "  created INTEGER NOT NULL, expires INTEGER NOT NULL, created_by INTEGER,"
                "  used INTEGER NOT NULL DEFAULT 0, sealed TEXT) STRICT;"
                "CREATE INDEX install_links_node ON install_links (node_id);"
                "CREATE INDEX install_links_expires ON install_links (expires);";

/* Settings of nodes; tasks that name a label instead of a node. node_id of such a task names nobody: it
 * cannot be absent in that column, so the node that is always there stands in, and no statement reads it.
 * A run of such a task has the node 0 until one is chosen. */
static const char step_3[] =
                "ALTER TABLE nodes ADD COLUMN enabled INTEGER NOT NULL DEFAULT 1;"
                "ALTER TABLE nodes ADD COLUMN labels TEXT;"
                "ALTER TABLE nodes ADD COLUMN limit_jobs INTEGER NOT NULL DEFAULT 0;"
                "ALTER TABLE nodes ADD COLUMN limit_bandwidth INTEGER NOT NULL DEFAULT 0;"
                "ALTER TABLE nodes ADD COLUMN limit_cpu INTEGER NOT NULL DEFAULT 0;"
                "ALTER TABLE nodes ADD COLUMN limit_io INTEGER NOT NULL DEFAULT 0;"
                "ALTER TABLE nodes ADD COLUMN health_reasons TEXT;"
                "ALTER TABLE nodes ADD COLUMN timeouts INTEGER NOT NULL DEFAULT 0;"
                "ALTER TABLE tasks ADD COLUMN node_label TEXT;"
                "ALTER TABLE runs ADD COLUMN node_label TEXT;"
                "ALTER TABLE runs ADD COLUMN waiting TEXT;"
                "CREATE INDEX node_tokens_unused ON node_tokens (created) WHERE valid_until = 0"
                " AND first_used = 0;"
                "CREATE INDEX commands_errors ON commands (node_id, finished) WHERE state IN (4, 5, 6)"
                " AND error_code IS NOT NULL;";

/* The last check of a node; state 2 is one that found errors. */
static const char step_4[] =
                "CREATE TABLE node_checks ("
                "  node_id INTEGER PRIMARY KEY REFERENCES nodes ON DELETE CASCADE, at INTEGER NOT NULL,"
                "  state INTEGER NOT NULL, source TEXT NOT NULL, summary TEXT, report TEXT NOT NULL) STRICT;"
                "CREATE INDEX node_checks_failed ON node_checks (node_id) WHERE state = 2;";

/* The moments at which nodes were heard, apart from what is known of them: written with every heartbeat, and
 * so narrow that thousands of them fit into a few pages. */
static const char step_5[] =
                "CREATE TABLE node_heard ("
                "  node_id INTEGER PRIMARY KEY REFERENCES nodes ON DELETE CASCADE, boot TEXT,"
                "  mono INTEGER NOT NULL, last_seen INTEGER NOT NULL) STRICT;"
                "INSERT INTO node_heard SELECT id, heard_boot, heard_mono, last_seen FROM nodes"
                " WHERE last_seen > 0;"
                "ALTER TABLE nodes DROP COLUMN heard_boot;"
                "ALTER TABLE nodes DROP COLUMN heard_mono;"
                "ALTER TABLE nodes DROP COLUMN last_seen;";

/* Runs that ended, counted where they end, so that the totals only rise: old runs are cleaned up. */
static const char step_6[] =
                "CREATE TABLE run_totals ("
                "  kind INTEGER NOT NULL, type TEXT NOT NULL, state INTEGER NOT NULL,"
                "  value INTEGER NOT NULL,"
                "  PRIMARY KEY (kind, type, state)) STRICT, WITHOUT ROWID;"
                "INSERT INTO run_totals SELECT r.kind, coalesce(t.type, ''), r.state, count(*) FROM runs r"
                "  LEFT JOIN tasks t ON t.id = r.task_id WHERE r.state >= 3 GROUP BY 1, 2, 3;"
                "CREATE TRIGGER runs_ended AFTER UPDATE OF state ON runs WHEN new.state >= 3"
                " AND old.state < 3 BEGIN"
                "  INSERT INTO run_totals VALUES (new.kind, coalesce((SELECT type FROM tasks"
                "   WHERE id = new.task_id), ''), new.state, 1)"
                "   ON CONFLICT (kind, type, state) DO UPDATE SET value = value + 1; END;"
                "CREATE TRIGGER runs_missed AFTER INSERT ON runs WHEN new.state >= 3 BEGIN"
                "  INSERT INTO run_totals VALUES (new.kind, coalesce((SELECT type FROM tasks"
                "   WHERE id = new.task_id), ''), new.state, 1)"
                "   ON CONFLICT (kind, type, state) DO UPDATE SET value = value + 1; END;";

/* What is looked for every second, however many nodes there are. */
static const char step_7[] =
                "CREATE INDEX nodes_online ON nodes (id) WHERE state = 1;"
                "CREATE INDEX nodes_disabled ON nodes (id) WHERE enabled = 0;"
                "CREATE INDEX targets_updated ON targets (updated);";

/* Repositories, one a node and target, and the snapshots in them. Without foreign keys to nodes and targets:
 * what was written stays on record. A lock in the relay is removed by the command that wrote it alone. */
static const char step_8[] =
                "CREATE TABLE repositories ("
                "  id INTEGER PRIMARY KEY AUTOINCREMENT, node_id INTEGER NOT NULL,"
                "  target_id INTEGER NOT NULL, prefix TEXT NOT NULL, chunker TEXT NOT NULL,"
                "  sealed TEXT NOT NULL, created INTEGER NOT NULL,"
                "  UNIQUE (node_id, target_id), UNIQUE (target_id, prefix)) STRICT;"
                "ALTER TABLE run_targets ADD COLUMN snapshot TEXT;"
                "ALTER TABLE run_targets ADD COLUMN repository_id INTEGER;"
                "CREATE INDEX run_targets_repository ON run_targets (repository_id)"
                " WHERE repository_id IS NOT NULL;"
                "ALTER TABLE runs ADD COLUMN format TEXT;"
                "ALTER TABLE runs ADD COLUMN files_new INTEGER NOT NULL DEFAULT 0;"
                "ALTER TABLE runs ADD COLUMN files_changed INTEGER NOT NULL DEFAULT 0;"
                "ALTER TABLE runs ADD COLUMN files_unchanged INTEGER NOT NULL DEFAULT 0;"
                "ALTER TABLE runs ADD COLUMN bytes_new INTEGER NOT NULL DEFAULT 0;"
                "ALTER TABLE runs ADD COLUMN bytes_total INTEGER NOT NULL DEFAULT 0;"
                "CREATE TABLE relay_locks ("
                "  target_id INTEGER NOT NULL, key TEXT NOT NULL, command_id INTEGER NOT NULL"
                " REFERENCES commands ON DELETE CASCADE,"
                "  PRIMARY KEY (target_id, key)) STRICT, WITHOUT ROWID;"
                "CREATE INDEX relay_locks_command ON relay_locks (command_id);";

/* Which backups of a task are kept; runs behind which that is applied; when a repository was pruned last. */
static const char step_9[] =
                "ALTER TABLE tasks ADD COLUMN retention TEXT;"
                "ALTER TABLE runs ADD COLUMN retain INTEGER NOT NULL DEFAULT 0;"
                "CREATE INDEX runs_retain ON runs (id) WHERE retain = 1;"
                "ALTER TABLE repositories ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0;"
                /* Who works in the repositories of a node. */
                "CREATE INDEX runs_open_node ON runs (node_id) WHERE state < 3;"
                "CREATE INDEX runs_open_reading ON runs (source_run) WHERE state < 3 AND kind IN (1, 2);";

/* What opens the server of a task's databases, sealed to the dispatcher. */
static const char step_10[] =
                "ALTER TABLE tasks ADD COLUMN secrets TEXT;";

/* What is asked all the time is answered by indexes alone: which runs have work, behind every commit of the
 * API; whose token it is that an agent shows, with each of its requests. */
static const char step_11[] =
                "DROP INDEX runs_open;"
                "CREATE INDEX runs_open ON runs (id, state, cancel, command_id) WHERE state < 3;"
                "DROP INDEX commands_live;"
                "CREATE INDEX commands_live ON commands (id, state, cancel) WHERE state < 3;"
                "CREATE INDEX node_tokens_find ON node_tokens (hash, valid_until, node_id, created,"
                " first_used, last_used);";

/* Checks that ended otherwise than well, by whichever node: few, and each may have left a lock. */
static const char step_12[] =
                "CREATE INDEX commands_bad_checks ON commands (id) WHERE kind = 'verify'"
                " AND state IN (4, 5, 7);";

/* Checks of repositories that the clock starts, beside the backups of the same task, maybe at the same
 * times. */
static const char step_13[] =
                "ALTER TABLE tasks ADD COLUMN verify_expression TEXT;"
                "ALTER TABLE tasks ADD COLUMN verify_timezone TEXT;"
                "ALTER TABLE tasks ADD COLUMN verify_catch_up INTEGER NOT NULL DEFAULT 1;"
                "ALTER TABLE tasks ADD COLUMN verify_shares INTEGER NOT NULL DEFAULT 0;"
                "CREATE TABLE verify_schedules ("
                "  task_id INTEGER PRIMARY KEY REFERENCES tasks ON DELETE CASCADE, revision INTEGER NOT"
                " NULL,"
                "  next INTEGER NOT NULL, last INTEGER NOT NULL, error TEXT) STRICT;"
                "DROP INDEX runs_elapse;"
                "CREATE UNIQUE INDEX runs_elapse ON runs (task_id, scheduled_for, kind)"
                " WHERE scheduled_for IS NOT NULL;";

const char *const schema_steps[] = {
        step_1,
        step_2,
        step_3,
        step_4,
        step_5,
        step_6,
        step_7,
        step_8,
        step_9,
        step_10,
        step_11,
        step_12,
        step_13,
};

const unsigned schema_version = ELEMENTSOF(schema_steps);
