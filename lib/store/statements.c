/* SPDX-License-Identifier: Apache-2.0 */
#include "store/statements.h"
#include "store/store.h"

/* Who may run it. */
#define API (1U << STORE_API)
#define SCHEDULER (1U << STORE_SCHEDULER)
#define DISPATCHER (1U << STORE_DISPATCHER)
#define DAEMONS (API | SCHEDULER | DISPATCHER)
#define RECOVERY (1U << STORE_RECOVERY)
#define ALL (DAEMONS | RECOVERY | 1U << STORE_READONLY)

/* Columns, in the order in which the entity's one read function takes them; and pieces that statements
 * share. */
#define USER_COLUMNS \
        "u.id, u.username, u.password_hash, u.role, u.enabled, u.created, u.password_changed, u.last_login"
#define NODE_COLUMNS \
        "n.id, n.name, n.description, n.created, n.revision, n.state, n.health, n.health_reason," \
        " n.draining, n.public_key, i.recipient, n.pin_open, h.boot, coalesce(h.mono, 0)," \
        " coalesce(h.last_seen, 0)," \
        " n.agent_id, n.duplicate, n.boot_id, n.version, n.os, n.arch, n.hostname, n.addresses, n.tools," \
        " n.offered_key, n.capacity, n.free_bytes, n.clock_skew, n.enabled, n.labels, n.limit_jobs," \
        " n.limit_bandwidth, n.limit_cpu, n.limit_io, n.health_reasons"
#define NODE_FROM \
        " FROM nodes n LEFT JOIN node_identities i ON i.node_id = n.id" \
        " LEFT JOIN node_heard h ON h.node_id = n.id "
#define TARGET_COLUMNS \
        "id, name, type, config, secrets IS NOT NULL, secret_names, created, updated, revision, tested," \
        " test_ok, test_result"
#define TASK_COLUMNS \
        "t.id, t.name, t.type, CASE WHEN t.node_label IS NULL THEN t.node_id ELSE 0 END," \
        " CASE WHEN t.node_label IS NULL THEN n.name END, t.node_label, t.source, t.format," \
        " t.compression, t.encryption," \
        " t.options, t.retention, t.enabled, t.schedule_expression, t.schedule_timezone," \
        " t.schedule_catch_up," \
        " t.verify_expression, t.verify_timezone, t.verify_catch_up, t.verify_shares," \
        " t.created, t.updated, t.revision, (SELECT group_concat(x.target_id) FROM" \
        " (SELECT target_id FROM task_targets WHERE task_id = t.id ORDER BY position) x)," \
        " t.secrets IS NOT NULL"
#define TASK_FROM " FROM tasks t JOIN nodes n ON n.id = t.node_id "
#define SCHEDULE_COLUMNS \
        "t.id, t.name, t.schedule_expression, t.schedule_timezone, t.schedule_catch_up, t.enabled," \
        " t.revision, t.updated, x.revision, x.next, x.last, x.error, 0, 0"
#define SCHEDULE_FROM " FROM tasks t LEFT JOIN schedules x ON x.task_id = t.id "
#define VERIFY_COLUMNS \
        "t.id, t.name, t.verify_expression, t.verify_timezone, t.verify_catch_up, t.enabled," \
        " t.revision, t.updated, x.revision, x.next, x.last, x.error, 1, t.verify_shares"
#define VERIFY_FROM " FROM tasks t LEFT JOIN verify_schedules x ON x.task_id = t.id "
#define RUN_REPOSITORY \
        " r.archives, r.format, r.files_new, r.files_changed, r.files_unchanged, r.bytes_new," \
        " r.bytes_total"
#define RUN_COLUMNS \
        "r.id, r.kind, r.state, r.task_id, r.task_name, r.node_id, r.node_name, r.origin, r.user_id," \
        " r.username, r.scheduled_for, r.deadline, r.source_run, r.request, r.spec, r.queued," \
        " r.dispatched, r.started, r.finished, r.cancel, r.command_id, c.attempt, r.error_code, r.error," \
        " r.bytes_read, r.bytes_written, r.files, r.skipped, r.errors_total, r.errors, r.objects," \
        " r.manifest_sha256, r.encrypted, r.first_read, r.node_label, r.waiting," RUN_REPOSITORY
#define RUN_COLUMNS_SHORT \
        "r.id, r.kind, r.state, r.task_id, r.task_name, r.node_id, r.node_name, r.origin, r.user_id," \
        " r.username, r.scheduled_for, r.deadline, r.source_run, NULL, NULL, r.queued, r.dispatched," \
        " r.started, r.finished, r.cancel, r.command_id, c.attempt, r.error_code, r.error, r.bytes_read," \
        " r.bytes_written, r.files, r.skipped, r.errors_total, NULL, NULL, r.manifest_sha256," \
        " r.encrypted, r.first_read, r.node_label, r.waiting," RUN_REPOSITORY
#define REPOSITORY_COLUMNS \
        "p.id, p.node_id, p.target_id, p.prefix, p.chunker, p.sealed, p.created, p.pruned," \
        " EXISTS (SELECT 1 FROM run_targets x WHERE x.repository_id = p.id)"
#define RUN_FROM " FROM runs r LEFT JOIN commands c ON c.id = r.command_id "
/* Open runs behind ?1 that have no live command, or are not what it is. Looked for behind every commit of
 * the API, over all that are open: the two indexes have all of it, and no row is read. */
#define RUNS_WITH_WORK \
        "SELECT o.id FROM runs o INDEXED BY runs_open" \
        " LEFT JOIN commands x INDEXED BY commands_live ON x.id = o.command_id AND x.state < 3" \
        " WHERE o.state < 3 AND o.id > ?1 AND (x.id IS NULL OR (x.state = 0 AND o.state > 0)" \
        " OR (x.state = 1 AND o.state = 0) OR (x.state = 2 AND o.state < 2)" \
        " OR (o.cancel = 1 AND x.cancel = 0))"
#define COMMAND_COLUMNS \
        "id, run_id, node_id, kind, state, attempt, created, deadline, dispatched, accepted, finished," \
        " cancel, settled, agent_id, heard_boot, heard_mono, spec, secrets, progress, result, error_code," \
        " error"
#define COMMAND_COLUMNS_SHORT \
        "id, run_id, node_id, kind, state, attempt, created, deadline, dispatched, accepted, finished," \
        " cancel, settled, agent_id, heard_boot, heard_mono, NULL, NULL, progress, NULL, error_code, error"
#define API_KEY_COLUMNS \
        "k.id, k.user_id, u.username, k.name, min(k.role, u.role), k.created, k.expires, k.last_used"
#define NODE_TOKEN_COLUMNS \
        "id, node_id, created, first_used, last_used, valid_until, NOT EXISTS (SELECT 1 FROM nodes n" \
        " INDEXED BY nodes_disabled WHERE n.id = node_tokens.node_id AND n.enabled = 0)"
#define OLDEST_LOGS "(SELECT run_id FROM run_log_heads ORDER BY run_id LIMIT 50)"
#define RUN_FILTER_WHERE "r.id < ?1 AND ((1 << r.state) & ?2) <> 0 AND (?3 = -1 OR r.kind = ?3)"
#define RUN_FILTER_ORDER " ORDER BY r.id DESC LIMIT ?5"
#define CLAIMABLE \
        "node_id = ?1 AND state < 3 AND state = 0 AND (deadline = 0 OR deadline > ?2) AND (SELECT" \
        " draining = 0 AND enabled = 1 FROM nodes WHERE nodes.id = ?1)"

#define STATEMENT(id, who, text) [SQL_##id] = { .roles = (who), .sql = (text), .name = #id }

const Statement statement_table[_SQL_MAX] = {
        /* --- the database itself --- */

        STATEMENT(DATA_VERSION, ALL, "PRAGMA data_version"),
        STATEMENT(SETTING_SET, DAEMONS,
                  "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE"
                  " SET value = excluded.value"),
        STATEMENT(SETTING_DELETE, DAEMONS, "DELETE FROM settings WHERE name = ?1"),
        STATEMENT(SETTING_GET, ALL, "SELECT value FROM settings WHERE name = ?1"),
        STATEMENT(STAMP_SET, API,
                  "INSERT INTO api_stamp (one, boot_id, mono, listening_since) VALUES (1, ?1, ?2, ?3)"
                  " ON CONFLICT (one) DO UPDATE SET boot_id = excluded.boot_id, mono = excluded.mono,"
                  " listening_since = excluded.listening_since"),
        STATEMENT(STAMP_GET, ALL, "SELECT boot_id, mono, listening_since FROM api_stamp WHERE one = 1"),

        /* --- people --- */

        STATEMENT(USERS_EXIST, ALL, "SELECT EXISTS (SELECT 1 FROM users)"),
        STATEMENT(USER_SET_UP, API,
                  "INSERT INTO users (username, password_hash, role, enabled, created, password_changed)"
                  " SELECT ?1, ?2, ?3, 1, ?4, ?4 WHERE NOT EXISTS (SELECT 1 FROM users)"),
        STATEMENT(USER_ADD, API,
                  "INSERT INTO users (username, password_hash, role, enabled, created, password_changed)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?5)"),
        STATEMENT(USER_GET, ALL, "SELECT " USER_COLUMNS " FROM users u WHERE u.id = ?1"),
        STATEMENT(USER_FIND, ALL, "SELECT " USER_COLUMNS " FROM users u WHERE u.username = ?1"),
        STATEMENT(USERS_LIST, ALL,
                  "SELECT " USER_COLUMNS " FROM users u WHERE u.id > ?1 ORDER BY u.id LIMIT ?2"),
        /* ?3 role, ?4 enabled, ?5 the admin role: what stays an enabled admin needs no other one. */
        STATEMENT(USER_UPDATE, API,
                  "UPDATE users SET username = ?2, role = ?3, enabled = ?4 WHERE id = ?1 AND ((?3 = ?5"
                  " AND ?4 = 1) OR role <> ?5 OR enabled = 0 OR EXISTS (SELECT 1 FROM users o"
                  " WHERE o.role = ?5 AND o.enabled = 1 AND o.id <> ?1))"),
        STATEMENT(USER_SET_PASSWORD, API,
                  "UPDATE users SET password_hash = ?2, password_changed = ?3 WHERE id = ?1"),
        STATEMENT(USER_LOGGED_IN, API, "UPDATE users SET last_login = ?2 WHERE id = ?1"),
        STATEMENT(USER_DELETE, API,
                  "DELETE FROM users WHERE id = ?1 AND (role <> ?2 OR enabled = 0 OR EXISTS (SELECT 1"
                  " FROM users o WHERE o.role = ?2 AND o.enabled = 1 AND o.id <> ?1))"),
        STATEMENT(SESSION_ADD, API,
                  "INSERT INTO sessions (jti, user_id, created, expires, address, user_agent)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"),
        /* Keeps the newest ?2. */
        STATEMENT(SESSIONS_TRIM, API,
                  "DELETE FROM sessions WHERE jti IN (SELECT jti FROM sessions WHERE user_id = ?1"
                  " ORDER BY created DESC, jti LIMIT -1 OFFSET ?2)"),
        STATEMENT(SESSION_GET, ALL,
                  "SELECT s.jti, s.user_id, s.created, s.expires, s.address, s.user_agent FROM sessions s"
                  " WHERE s.jti = ?1 AND s.expires > ?2"),
        STATEMENT(SESSION_USER, ALL,
                  "SELECT " USER_COLUMNS " FROM sessions s JOIN users u ON u.id = s.user_id"
                  " WHERE s.jti = ?1 AND s.expires > ?2 AND u.enabled = 1"),
        STATEMENT(SESSION_DELETE, API, "DELETE FROM sessions WHERE jti = ?1"),
        STATEMENT(SESSIONS_DELETE_OF_USER, API, "DELETE FROM sessions WHERE user_id = ?1 AND jti IS NOT ?2"),
        STATEMENT(SESSIONS_CLEAN, API,
                  "DELETE FROM sessions WHERE jti IN (SELECT jti FROM sessions WHERE expires <= ?1"
                  " LIMIT ?2)"),
        STATEMENT(API_KEY_ADD, API,
                  "INSERT INTO api_keys (user_id, name, hash, role, created, expires)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"),
        STATEMENT(API_KEY_FIND, ALL,
                  "SELECT " API_KEY_COLUMNS " FROM api_keys k JOIN users u ON u.id = k.user_id"
                  " WHERE k.hash = ?1 AND u.enabled = 1 AND (k.expires = 0 OR k.expires > ?2)"),
        STATEMENT(API_KEY_GET, ALL,
                  "SELECT " API_KEY_COLUMNS " FROM api_keys k JOIN users u ON u.id = k.user_id"
                  " WHERE k.id = ?1"),
        STATEMENT(API_KEYS_LIST, ALL,
                  "SELECT " API_KEY_COLUMNS " FROM api_keys k JOIN users u ON u.id = k.user_id"
                  " WHERE k.id > ?1 AND (?2 = 0 OR k.user_id = ?2) ORDER BY k.id LIMIT ?3"),
        STATEMENT(API_KEY_USED, API, "UPDATE api_keys SET last_used = ?2 WHERE id = ?1"),
        STATEMENT(API_KEY_DELETE, API, "DELETE FROM api_keys WHERE id = ?1"),
        STATEMENT(AUDIT_ADD, DAEMONS,
                  "INSERT INTO audit (at, user_id, username, address, action, object_type, object_id,"
                  " object_name, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"),
        STATEMENT(AUDIT_LIST, ALL,
                  "SELECT id, at, user_id, username, address, action, object_type, object_id,"
                  " object_name, detail FROM audit WHERE id < ?1 AND (?2 = 0 OR user_id = ?2)"
                  " AND (?3 IS NULL OR object_type = ?3) AND (?4 = 0 OR object_id = ?4) AND (?5 IS NULL"
                  " OR action = ?5) ORDER BY id DESC LIMIT ?6"),
        STATEMENT(AUDIT_CLEAN, DISPATCHER,
                  "DELETE FROM audit WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT ?2) AND at < ?1"),

        /* --- nodes --- */

        STATEMENT(NODE_ADD, API, "INSERT INTO nodes (name, description, created) VALUES (?1, ?2, ?3)"),
        STATEMENT(NODE_GET, ALL, "SELECT " NODE_COLUMNS NODE_FROM "WHERE n.id = ?1"),
        STATEMENT(NODE_FIND, ALL, "SELECT " NODE_COLUMNS NODE_FROM "WHERE n.name = ?1"),
        STATEMENT(NODES_LIST, ALL,
                  "SELECT " NODE_COLUMNS NODE_FROM "WHERE n.id > ?1 ORDER BY n.id LIMIT ?2"),
        /* With the newest token that was not used yet, for who shows the older one ?2. */
        STATEMENT(NODE_GREET, ALL,
                  "SELECT name, public_key, state, pin_open, limit_jobs, limit_bandwidth, limit_cpu,"
                  " limit_io, EXISTS (SELECT 1 FROM commands WHERE node_id = ?1 AND state < 3"
                  " AND cancel = 1), CASE ?2 WHEN 0 THEN NULL ELSE (SELECT sealed FROM node_tokens"
                  " WHERE node_id = ?1 AND id <> ?2 AND valid_until = 0 AND first_used = 0"
                  " AND sealed IS NOT NULL ORDER BY id DESC LIMIT 1) END"
                  " FROM nodes WHERE id = ?1"),
        STATEMENT(NODE_UPDATE, API,
                  "UPDATE nodes SET name = ?2, description = ?3, enabled = ?4, labels = ?5,"
                  " limit_jobs = ?6, limit_bandwidth = ?7, limit_cpu = ?8, limit_io = ?9,"
                  " revision = revision + 1 WHERE id = ?1 AND (id <> 1 OR name = ?2)"),
        STATEMENT(NODE_DELETE, API,
                  "DELETE FROM nodes WHERE id = ?1 AND id <> 1 AND NOT EXISTS (SELECT 1 FROM commands c"
                  " WHERE c.node_id = ?1 AND c.state < 3)"),
        STATEMENT(NODE_OPEN_PIN, API, "UPDATE nodes SET pin_open = 1 WHERE id = ?1"),
        STATEMENT(NODE_CONTACT, API,
                  "UPDATE nodes SET agent_id = coalesce(?2, agent_id), boot_id = coalesce(?3, boot_id),"
                  " version = coalesce(?4, version), os = coalesce(?5, os), arch = coalesce(?6, arch),"
                  " hostname = coalesce(?7, hostname), addresses = coalesce(?8, addresses),"
                  " tools = coalesce(?9, tools), offered_key = coalesce(?10, offered_key),"
                  " capacity = ?11, free_bytes = ?12, clock_skew = ?13 WHERE id = ?1"),
        STATEMENT(NODE_SET_DUPLICATE, API, "UPDATE nodes SET duplicate = ?2 WHERE id = ?1"),
        STATEMENT(NODE_HEARD, API,
                  "INSERT INTO node_heard (node_id, boot, mono, last_seen) VALUES (?1, ?2, ?3, ?4)"
                  " ON CONFLICT (node_id) DO UPDATE SET boot = excluded.boot, mono = excluded.mono,"
                  " last_seen = excluded.last_seen"),
        STATEMENT(NODE_OFFER_KEY, API,
                  "UPDATE nodes SET offered_key = ?2 WHERE id = ?1 AND offered_key IS NOT ?2"),
        STATEMENT(NODE_SET_STATE, DISPATCHER,
                  "UPDATE nodes SET state = ?3, health = ?4, health_reason = ?5, health_reasons = ?6"
                  " WHERE id = ?1 AND state = ?2"),
        STATEMENT(NODE_SET_HEALTH, DISPATCHER,
                  "UPDATE nodes SET health = ?2, health_reason = ?3, health_reasons = ?4 WHERE id = ?1"),
        /* The newest token is not used, though an older one was; ?1 made before, ?2 now */
        STATEMENT(NODES_TOKEN_OLD, ALL,
                  "SELECT n.node_id FROM node_tokens n WHERE n.valid_until = 0 AND n.first_used = 0"
                  " AND n.created < ?1 AND EXISTS (SELECT 1 FROM node_tokens o WHERE o.node_id = n.node_id"
                  " AND o.valid_until > ?2 AND o.first_used > 0) ORDER BY n.node_id LIMIT ?3"),
        STATEMENT(NODES_ONLINE, ALL, "SELECT count(*) FROM nodes WHERE state = 1"),
        /* ?1 this boot: what was heard in another one counts as 0 */
        STATEMENT(NODES_QUIETEST, ALL,
                  "SELECT count(*), coalesce(min(CASE h.boot WHEN ?1 THEN h.mono ELSE 0 END), 0)"
                  " FROM nodes n LEFT JOIN node_heard h ON h.node_id = n.id WHERE n.state = 1"),
        STATEMENT(NODES_SILENT, ALL,
                  "SELECT n.id FROM nodes n LEFT JOIN node_heard h ON h.node_id = n.id WHERE n.state = 1"
                  " AND n.id > ?3 AND (h.boot IS NOT ?1 OR h.mono <= ?2) ORDER BY n.id LIMIT ?4"),
        STATEMENT(NODE_QUEUE, ALL,
                  "SELECT count(CASE state WHEN 0 THEN 1 END), count(CASE state WHEN 1 THEN 1 END),"
                  " count(CASE WHEN state = 2 AND run_id IS NOT NULL THEN 1 END),"
                  " coalesce(min(CASE WHEN state IN (1, 2) THEN dispatched END), 0), (SELECT timeouts"
                  " FROM nodes WHERE id = ?1) FROM commands WHERE state < 3 AND node_id = ?1"),
        STATEMENT(NODE_LAST_ERROR, ALL,
                  "SELECT error_code, error, finished, run_id FROM commands WHERE node_id = ?1"
                  " AND state IN (4, 5, 6) AND error_code IS NOT NULL ORDER BY finished DESC LIMIT 1"),
        STATEMENT(NODE_SET_DRAINING, DISPATCHER, "UPDATE nodes SET draining = ?2 WHERE id = ?1"),
        STATEMENT(NODE_PIN_KEY, DISPATCHER,
                  "UPDATE nodes SET public_key = ?2, pin_open = 0 WHERE id = ?1 AND (public_key IS NULL"
                  " OR public_key = ?2 OR pin_open = 1)"),
        STATEMENT(NODE_EXISTS, ALL, "SELECT 1 FROM nodes WHERE id = ?1"),
        STATEMENT(NODE_CHECK_SET, API,
                  "INSERT INTO node_checks (node_id, at, state, source, summary, report)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (node_id) DO UPDATE SET at = excluded.at,"
                  " state = excluded.state, source = excluded.source, summary = excluded.summary,"
                  " report = excluded.report"),
        STATEMENT(NODE_CHECK_GET, ALL,
                  "SELECT node_id, at, state, source, summary, report FROM node_checks WHERE node_id = ?1"),
        STATEMENT(NODE_CHECKS_FAILED, ALL,
                  "SELECT node_id FROM node_checks WHERE state = 2 AND node_id > ?1 ORDER BY node_id"
                  " LIMIT ?2"),
        STATEMENT(NODE_IDENTITY_SET, DISPATCHER,
                  "INSERT INTO node_identities (node_id, recipient, sealed) VALUES (?1, ?2, ?3)"),
        STATEMENT(NODE_IDENTITY_GET, DISPATCHER,
                  "SELECT recipient, sealed FROM node_identities WHERE node_id = ?1"),
        STATEMENT(NODE_TOKENS_REPLACE, API,
                  "UPDATE node_tokens SET valid_until = ?2, sealed = NULL WHERE node_id = ?1"
                  " AND valid_until = 0"),
        STATEMENT(NODE_TOKENS_END, API, "DELETE FROM node_tokens WHERE node_id = ?1"),
        STATEMENT(NODE_TOKEN_ADD, API,
                  "INSERT INTO node_tokens (node_id, hash, created, sealed) VALUES (?1, ?2, ?3, ?4)"),
        STATEMENT(NODE_TOKEN_FIND, ALL,
                  "SELECT " NODE_TOKEN_COLUMNS " FROM node_tokens INDEXED BY node_tokens_find"
                  " WHERE hash = ?1 AND (valid_until = 0 OR valid_until > ?2)"),
        STATEMENT(NODE_TOKEN_USED, API,
                  "UPDATE node_tokens SET first_used = CASE first_used WHEN 0 THEN ?2 ELSE first_used"
                  " END, last_used = ?2, sealed = NULL WHERE id = ?1"),
        STATEMENT(NODE_TOKENS_CLEAN, API,
                  "DELETE FROM node_tokens WHERE id IN (SELECT id FROM node_tokens WHERE valid_until <> 0"
                  " AND valid_until <= ?1 LIMIT ?2)"),
        STATEMENT(ENROLLMENT_ADD, API,
                  "INSERT INTO enrollments (hash, node_id, created, expires, created_by)"
                  " VALUES (?1, ?2, ?3, ?4, ?5)"),
        STATEMENT(ENROLLMENT_FIND, ALL,
                  "SELECT node_id, expires, used, used_key FROM enrollments WHERE hash = ?1"),
        /* Once; and once more for the same key, until a token that came of it was used. */
        STATEMENT(ENROLLMENT_USE, API,
                  "UPDATE enrollments SET used = CASE used WHEN 0 THEN ?3 ELSE used END, used_key = ?2"
                  " WHERE hash = ?1 AND expires > ?3 AND (used = 0 OR (used_key = ?2"
                  " AND NOT EXISTS (SELECT 1 FROM node_tokens k WHERE k.node_id = enrollments.node_id"
                  " AND k.created >= enrollments.used AND k.first_used <> 0)))"),
        STATEMENT(ENROLLMENTS_CLEAN, API,
                  "DELETE FROM enrollments WHERE hash IN (SELECT hash FROM enrollments"
                  " WHERE expires <= ?1 LIMIT ?2)"),
        STATEMENT(INSTALL_LINK_ADD, API,
                  "INSERT INTO install_links (hash, node_id, created, expires, created_by, sealed)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"),
        STATEMENT(INSTALL_LINK_FIND, API,
                  "SELECT node_id, expires, used, sealed FROM install_links WHERE hash = ?1"),
        STATEMENT(INSTALL_LINK_USE, API,
                  "UPDATE install_links SET used = ?2, sealed = NULL WHERE hash = ?1 AND used = 0"
                  " AND expires > ?2"),
        /* A week longer, in which a link is told to be expired and not to be unknown. */
        STATEMENT(INSTALL_LINKS_CLEAN, API,
                  "DELETE FROM install_links WHERE hash IN (SELECT hash FROM install_links"
                  " WHERE expires <= ?1 - 7 * 86400 * 1000000 LIMIT ?2)"),

        /* --- targets and tasks --- */

        STATEMENT(TARGET_ADD, API,
                  "INSERT INTO targets (name, type, config, secrets, created, updated, secret_names)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6)"),
        STATEMENT(TARGET_GET, ALL, "SELECT " TARGET_COLUMNS " FROM targets WHERE id = ?1"),
        STATEMENT(TARGET_FIND, ALL, "SELECT " TARGET_COLUMNS " FROM targets WHERE name = ?1"),
        STATEMENT(TARGETS_NEWEST, ALL, "SELECT coalesce(max(updated), 0) FROM targets"),
        STATEMENT(TARGETS_LIST, ALL,
                  "SELECT " TARGET_COLUMNS " FROM targets WHERE id > ?1 ORDER BY id LIMIT ?2"),
        STATEMENT(TARGET_UPDATE, API,
                  "UPDATE targets SET name = ?2, type = ?3, config = ?4, updated = ?5,"
                  " revision = revision + 1, secrets = nullif(coalesce(?6, secrets), ''), secret_names ="
                  " CASE WHEN ?6 IS NULL THEN secret_names ELSE ?7 END, tested = 0, test_ok = 0,"
                  " test_result = NULL WHERE id = ?1"),
        STATEMENT(TARGET_SET_TESTED, API,
                  "UPDATE targets SET tested = ?4, test_ok = ?2, test_result = ?3 WHERE id = ?1"),
        STATEMENT(TARGET_DELETE, API,
                  "DELETE FROM targets WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM run_targets x"
                  " JOIN runs r ON r.id = x.run_id WHERE x.target_id = ?1 AND x.state = 0"
                  " AND r.state < 3)"),
        STATEMENT(TARGET_EXISTS, ALL, "SELECT 1 FROM targets WHERE id = ?1"),
        STATEMENT(TARGET_SECRETS, DISPATCHER, "SELECT secrets FROM targets WHERE id = ?1"),
        STATEMENT(TASK_ADD, API,
                  "INSERT INTO tasks (name, type, node_id, node_label, source, format, compression,"
                  " encryption, options, retention, enabled, schedule_expression, schedule_timezone,"
                  " schedule_catch_up, verify_expression, verify_timezone, verify_catch_up, verify_shares,"
                  " created, updated)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,"
                  " ?18, ?19, ?19)"),
        STATEMENT(TASK_UPDATE, API,
                  "UPDATE tasks SET name = ?1, type = ?2, node_id = ?3, node_label = ?4, source = ?5,"
                  " format = ?6, compression = ?7, encryption = ?8, options = ?9, retention = ?10,"
                  " enabled = ?11, schedule_expression = ?12, schedule_timezone = ?13,"
                  " schedule_catch_up = ?14, verify_expression = ?15, verify_timezone = ?16,"
                  " verify_catch_up = ?17, verify_shares = ?18, updated = ?19, revision = revision + 1"
                  " WHERE id = ?20"),
        STATEMENT(TASK_SET_SECRETS, API, "UPDATE tasks SET secrets = ?2 WHERE id = ?1"),
        STATEMENT(TASK_SECRETS, DISPATCHER, "SELECT secrets FROM tasks WHERE id = ?1"),
        STATEMENT(TASK_SET_ENABLED, API,
                  "UPDATE tasks SET enabled = ?2, updated = ?3, revision = revision + 1 WHERE id = ?1"),
        STATEMENT(TASK_DELETE, API,
                  "DELETE FROM tasks WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM runs r"
                  " WHERE r.task_id = ?1 AND r.state < 3)"),
        STATEMENT(TASK_EXISTS, ALL, "SELECT 1 FROM tasks WHERE id = ?1"),
        STATEMENT(TASK_TARGETS_CLEAR, API, "DELETE FROM task_targets WHERE task_id = ?1"),
        STATEMENT(TASK_TARGET_ADD, API,
                  "INSERT INTO task_targets (task_id, position, target_id) VALUES (?1, ?2, ?3)"),
        STATEMENT(TASK_GET, ALL, "SELECT " TASK_COLUMNS TASK_FROM "WHERE t.id = ?1"),
        STATEMENT(TASK_FIND, ALL, "SELECT " TASK_COLUMNS TASK_FROM "WHERE t.name = ?1"),
        STATEMENT(TASKS_LIST, ALL,
                  "SELECT " TASK_COLUMNS TASK_FROM "WHERE t.id > ?1 ORDER BY t.id LIMIT ?2"),
        STATEMENT(TASKS_LIST_OF_NODE, ALL,
                  "SELECT " TASK_COLUMNS TASK_FROM "WHERE t.node_id = ?1 AND t.node_label IS NULL"
                  " AND t.id > ?2 ORDER BY t.id LIMIT ?3"),
        STATEMENT(TASK_SUMMARIES, ALL,
                  "SELECT t.id, t.name, CASE WHEN t.node_label IS NULL THEN n.name END, l.id,"
                  " l.state, e.finished, s.finished, e.bytes_written,"
                  " CASE WHEN e.started = 0 THEN 0 ELSE e.finished - e.started END FROM tasks t"
                  " JOIN nodes n ON n.id = t.node_id LEFT JOIN runs l ON l.id =  (SELECT max(r.id)"
                  " FROM runs r WHERE r.task_id = t.id AND r.kind = 0) LEFT JOIN runs e"
                  " ON e.id =  (SELECT r.id FROM runs r WHERE r.task_id = t.id AND r.kind = 0"
                  " AND r.state >= 3   ORDER BY r.id DESC LIMIT 1) LEFT JOIN runs s"
                  " ON s.id =  (SELECT r.id FROM runs r WHERE r.task_id = t.id AND r.kind = 0"
                  " AND r.state = 3   ORDER BY r.id DESC LIMIT 1) WHERE t.id > ?1 ORDER BY t.id LIMIT ?2"),
        STATEMENT(SCHEDULES_LIST, ALL,
                  "SELECT " SCHEDULE_COLUMNS SCHEDULE_FROM "WHERE t.id > ?1"
                  " AND t.schedule_expression IS NOT NULL ORDER BY t.id LIMIT ?2"),
        STATEMENT(SCHEDULE_GET, ALL,
                  "SELECT " SCHEDULE_COLUMNS SCHEDULE_FROM "WHERE t.id = ?1"
                  " AND t.schedule_expression IS NOT NULL"),
        STATEMENT(SCHEDULE_PUT, SCHEDULER,
                  "INSERT INTO schedules (task_id, revision, next, last, error)"
                  " SELECT t.id, ?2, ?3, ?4, ?5 FROM tasks t WHERE t.id = ?1 ON CONFLICT (task_id) DO"
                  " UPDATE SET revision = excluded.revision, next = excluded.next, last = excluded.last,"
                  " error = excluded.error"),

        STATEMENT(VERIFIES_LIST, ALL,
                  "SELECT " VERIFY_COLUMNS VERIFY_FROM "WHERE t.id > ?1"
                  " AND t.verify_expression IS NOT NULL ORDER BY t.id LIMIT ?2"),
        STATEMENT(VERIFY_GET, ALL,
                  "SELECT " VERIFY_COLUMNS VERIFY_FROM "WHERE t.id = ?1"
                  " AND t.verify_expression IS NOT NULL"),
        STATEMENT(VERIFY_PUT, SCHEDULER,
                  "INSERT INTO verify_schedules (task_id, revision, next, last, error)"
                  " SELECT t.id, ?2, ?3, ?4, ?5 FROM tasks t WHERE t.id = ?1 ON CONFLICT (task_id) DO"
                  " UPDATE SET revision = excluded.revision, next = excluded.next, last = excluded.last,"
                  " error = excluded.error"),

        /* --- runs --- */

        /* ?1 kind, ?2 state, ?3 task, ?4 node or 0, ?5 origin, ?6 user, ?7 username, ?8 scheduled for, ?9
         * deadline, ?10 request, ?11 error code, ?12 error, ?13 now */
        STATEMENT(RUN_ADD, SCHEDULER,
                  "INSERT INTO runs (kind, state, task_id, task_name, node_id, node_name, origin,"
                  " user_id, username, scheduled_for, deadline, request, error_code, error, queued,"
                  " finished, encrypted, node_label) SELECT ?1, ?2, t.id, t.name, coalesce(n.id, 0),"
                  " n.name, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
                  " CASE ?2 WHEN 0 THEN 0 ELSE ?13 END, t.encryption <> 'none' OR"
                  " t.format = 'repository',"
                  " CASE ?4 WHEN 0 THEN t.node_label END"
                  " FROM tasks t LEFT JOIN nodes n ON n.id = CASE WHEN ?4 <> 0 THEN ?4"
                  " WHEN t.node_label IS NULL THEN t.node_id END"
                  " WHERE t.id = ?3 AND (n.id IS NOT NULL OR (?4 = 0 AND t.node_label IS NOT NULL))"
                  " AND (?2 <> 0 OR NOT EXISTS (SELECT 1 FROM runs o WHERE o.task_id = ?3"
                  " AND o.kind = ?1 AND o.state < 3))"),
        /* ?1 kind, ?2 state, ?3 source run, ?4 node, the others as above */
        STATEMENT(RUN_ADD_FROM_RUN, SCHEDULER,
                  "INSERT INTO runs (kind, state, task_id, task_name, node_id, node_name, origin,"
                  " user_id, username, scheduled_for, deadline, request, error_code, error, queued,"
                  " finished, encrypted, source_run) SELECT ?1, ?2, x.task_id, x.task_name, n.id, n.name,"
                  " ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
                  " CASE ?2 WHEN 0 THEN 0 ELSE ?13 END, x.encrypted, x.id FROM runs x JOIN nodes n"
                  " ON n.id = CASE ?4 WHEN 0 THEN x.node_id ELSE ?4 END WHERE x.id = ?3"),
        STATEMENT(RUN_OF_ELAPSE, ALL,
                  "SELECT 1 FROM runs WHERE task_id = ?1 AND scheduled_for = ?2 AND kind = ?3"),
        STATEMENT(RUN_EXISTS, ALL, "SELECT 1 FROM runs WHERE id = ?1"),
        STATEMENT(RUN_OPEN_OF_TASK, ALL,
                  "SELECT 1 FROM runs WHERE task_id = ?1 AND kind = ?2 AND state < 3"),
        STATEMENT(RUN_TARGETS_COPY, SCHEDULER,
                  "INSERT INTO run_targets (run_id, position, target_id, target_name)"
                  " SELECT ?1, x.position, x.target_id, g.name FROM task_targets x JOIN targets g"
                  " ON g.id = x.target_id WHERE x.task_id = ?2"),
        STATEMENT(RUN_GET, ALL, "SELECT " RUN_COLUMNS RUN_FROM "WHERE r.id = ?1"),
        STATEMENT(RUN_TARGETS_GET, ALL,
                  "SELECT target_id, target_name, state, key, size, sha256, error_code, error,"
                  " snapshot FROM run_targets WHERE run_id = ?1 ORDER BY position"),
        /* ?1 before, ?2 states, ?3 kind or -1, ?4 node or 0, ?5 limit, ?6 task or 0 */
        STATEMENT(RUNS_LIST, ALL,
                  "SELECT " RUN_COLUMNS_SHORT RUN_FROM "WHERE " RUN_FILTER_WHERE
                  " AND ?4 = 0 AND ?6 = 0" RUN_FILTER_ORDER),
        STATEMENT(RUNS_LIST_OPEN, ALL,
                  "SELECT " RUN_COLUMNS_SHORT RUN_FROM "WHERE r.state < 3 AND " RUN_FILTER_WHERE
                  " AND (?4 = 0"
                  " OR r.node_id = ?4) AND (?6 = 0 OR r.task_id = ?6)" RUN_FILTER_ORDER),
        STATEMENT(RUNS_LIST_OF_NODE, ALL,
                  "SELECT " RUN_COLUMNS_SHORT RUN_FROM "WHERE r.node_id = ?4 AND " RUN_FILTER_WHERE
                  " AND ?6 = 0" RUN_FILTER_ORDER),
        STATEMENT(RUNS_LIST_OF_TASK, ALL,
                  "SELECT " RUN_COLUMNS_SHORT RUN_FROM "WHERE r.task_id = ?6 AND " RUN_FILTER_WHERE
                  " AND (?4 = 0 OR r.node_id = ?4)" RUN_FILTER_ORDER),
        STATEMENT(RUNS_LIST_WORK, ALL,
                  "SELECT " RUN_COLUMNS ", c.state" RUN_FROM "WHERE r.id IN (" RUNS_WITH_WORK
                  " ORDER BY o.id LIMIT ?2) ORDER BY r.id"),
        STATEMENT(RUN_SET_COMMAND, DISPATCHER,
                  "UPDATE runs SET command_id = ?2, spec = coalesce(?3, spec) WHERE id = ?1 AND state = 0"
                  " AND command_id IS NULL"),
        STATEMENT(RUN_SET_NODE, DISPATCHER,
                  "UPDATE runs SET node_id = ?2, node_name = ?3 WHERE id = ?1 AND state = 0"
                  " AND command_id IS NULL AND node_label IS NOT NULL"),
        STATEMENT(RUN_SET_WAITING, DISPATCHER,
                  "UPDATE runs SET waiting = ?2 WHERE id = ?1 AND state < 3 AND waiting IS NOT ?2"),
        /* Whose node was chosen by its label gets another one. */
        STATEMENT(RUN_REQUEUE, DISPATCHER,
                  "UPDATE runs SET state = 0, command_id = NULL, dispatched = 0, started = 0,"
                  " node_id = CASE WHEN node_label IS NULL THEN node_id ELSE 0 END,"
                  " node_name = CASE WHEN node_label IS NULL THEN node_name END WHERE id = ?1"
                  " AND state < 3 AND command_id IS NOT NULL"),
        STATEMENT(RUN_GO_ON, DISPATCHER,
                  "UPDATE runs SET state = 0, command_id = NULL WHERE id = ?1 AND state < 3"
                  " AND command_id IS NOT NULL"),
        STATEMENT(RUN_SET_QUEUED, DISPATCHER,
                  "UPDATE runs SET state = 0, dispatched = 0, started = 0 WHERE id = ?1"
                  " AND state IN (1, 2)"),
        STATEMENT(RUN_SET_DISPATCHED, DISPATCHER,
                  "UPDATE runs SET state = 1, waiting = NULL, dispatched ="
                  " CASE dispatched WHEN 0 THEN ?2 ELSE dispatched END WHERE id = ?1 AND state = 0"),
        STATEMENT(RUN_SET_RUNNING, DISPATCHER,
                  "UPDATE runs SET state = 2, waiting = NULL, started ="
                  " CASE started WHEN 0 THEN ?2 ELSE started END, dispatched ="
                  " CASE dispatched WHEN 0 THEN ?2 ELSE dispatched END WHERE id = ?1 AND state < 2"),
        STATEMENT(RUN_SET_CANCEL, DISPATCHER, "UPDATE runs SET cancel = 1 WHERE id = ?1 AND state < 3"),
        STATEMENT(RUN_FINISH, DISPATCHER,
                  "UPDATE runs SET state = ?2, waiting = NULL, error_code = ?3, error = ?4, bytes_read = ?5,"
                  " bytes_written = ?6, files = ?7, skipped = ?8, errors_total = ?9, errors = ?10,"
                  " objects = ?11, manifest_sha256 = ?12, first_read = ?13, finished = ?14, archives = ?15,"
                  " format = ?16, files_new = ?17, files_changed = ?18, files_unchanged = ?19,"
                  " bytes_new = ?20, bytes_total = ?21,"
                  " retain = ?2 = 3 AND ?16 IS 'repository' AND EXISTS (SELECT 1 FROM tasks t"
                  " WHERE t.id = runs.task_id AND t.retention IS NOT NULL)"
                  " WHERE id = ?1"
                  " AND state < 3"),
        STATEMENT(RUN_TARGET_FINISH, DISPATCHER,
                  "UPDATE run_targets SET state = ?3, key = ?4, size = ?5, sha256 = ?6, error_code = ?7,"
                  " error = ?8, snapshot = ?9, repository_id = CASE WHEN ?9 IS NULL THEN NULL ELSE"
                  " (SELECT p.id FROM repositories p JOIN runs r ON r.node_id = p.node_id"
                  " WHERE r.id = ?1 AND p.target_id = ?2) END"
                  " WHERE run_id = ?1 AND target_id = ?2"),
        STATEMENT(RUN_TARGETS_FAIL, DISPATCHER,
                  "UPDATE run_targets SET state = 2, error_code = coalesce(?2, 'NO_RESULT'), error = ?3"
                  " WHERE run_id = ?1 AND state = 0"),
        STATEMENT(RUNS_LIST_RETAIN, SCHEDULER,
                  "SELECT " RUN_COLUMNS_SHORT RUN_FROM "WHERE r.retain = 1 ORDER BY r.id LIMIT ?1"),
        STATEMENT(RUN_SET_RETAINED, SCHEDULER, "UPDATE runs SET retain = 0 WHERE id = ?1"),
        STATEMENT(RUN_PRUNE_WAITS, ALL,
                  "SELECT 1 FROM runs WHERE node_id = ?1 AND state < 3 AND kind = 3 AND task_id = ?2"
                  " AND command_id IS NULL AND NOT EXISTS (SELECT 1 FROM commands c"
                  " WHERE c.run_id = runs.id AND c.accepted > 0)"),
        STATEMENT(RUN_NEWEST_STORED, ALL,
                  "SELECT id FROM runs WHERE task_id = ?1 AND kind = 0 AND state IN (3, 4)"
                  " AND format = 'repository' AND archives > 0 ORDER BY id DESC LIMIT 1"),
        /* Not of those that were cancelled, missed or lost. */
        STATEMENT(RUN_LAST_CHECK, ALL,
                  "SELECT request FROM runs WHERE task_id = ?1 AND kind = 2 AND state IN (3, 4, 5)"
                  " AND scheduled_for IS NOT NULL AND request IS NOT NULL ORDER BY id DESC LIMIT 1"),
        /* ?1 run, ?2 the node it is for: nobody reads or writes where things are removed. Who reads does not
         * wait for one that its node has not come for: a restore is for nodes that are gone, too. */
        STATEMENT(RUN_IS_KEPT_OUT, DISPATCHER,
                  "SELECT 1 FROM runs r LEFT JOIN runs s ON s.id = r.source_run"
                  " LEFT JOIN tasks t ON t.id = r.task_id WHERE r.id = ?1"
                  " AND CASE r.kind WHEN 0 THEN t.format ELSE s.format END = 'repository'"
                  " AND EXISTS (SELECT 1 FROM runs p JOIN commands c ON c.id = p.command_id"
                  " WHERE p.node_id = coalesce(s.node_id, ?2) AND p.state < 3 AND p.kind = 3"
                  " AND p.id <> ?1 AND (r.kind = 0 OR c.state > 0))"),
        /* ?1 a prune, ?2 its node: nothing is removed where somebody reads or writes. */
        STATEMENT(RUN_PRUNE_IS_KEPT_OUT, DISPATCHER,
                  "SELECT EXISTS (SELECT 1 FROM runs o LEFT JOIN tasks t ON t.id = o.task_id"
                  " WHERE o.node_id = ?2 AND o.state < 3 AND o.command_id IS NOT NULL AND o.id <> ?1"
                  " AND (o.kind = 3 OR (o.kind = 0 AND t.format = 'repository')))"
                  " OR EXISTS (SELECT 1 FROM runs o JOIN runs s ON s.id = o.source_run"
                  " WHERE o.state < 3 AND o.kind IN (1, 2) AND o.command_id IS NOT NULL"
                  " AND s.node_id = ?2 AND s.format = 'repository')"),
        STATEMENT(RUNS_COUNT, ALL, "SELECT state, count(*) FROM runs GROUP BY state"),
        STATEMENT(RUN_TOTALS, ALL,
                  "SELECT kind, type, state, value FROM run_totals ORDER BY kind, type, state LIMIT ?1"),
        STATEMENT(RUN_QUEUED_OF_COMMAND, ALL,
                  "SELECT r.queued FROM commands c JOIN runs r ON r.id = c.run_id WHERE c.id = ?1"),
        /* The open commands are few, and read once a slice. */
        STATEMENT(NODE_METRICS, ALL,
                  "SELECT n.id, n.name, n.state, n.health, n.version, n.timeouts, coalesce(c.pending, 0),"
                  " coalesce(c.dispatched, 0), coalesce(c.running, 0) FROM nodes n LEFT JOIN (SELECT"
                  " node_id, count(CASE state WHEN 0 THEN 1 END) AS pending,"
                  " count(CASE state WHEN 1 THEN 1 END) AS dispatched,"
                  " count(CASE WHEN state = 2 AND run_id IS NOT NULL THEN 1 END) AS running"
                  " FROM commands WHERE state < 3 GROUP BY node_id) c ON c.node_id = n.id WHERE n.id > ?1"
                  " ORDER BY n.id LIMIT ?2"),
        STATEMENT(RUN_LOG_HEAD, ALL,
                  "SELECT seq, bytes, attempt, source_seq, cut_seq, cut_lines, cut_bytes"
                  " FROM run_log_heads WHERE run_id = ?1"),
        STATEMENT(RUN_LOG_HEAD_PUT, (API | DISPATCHER),
                  "INSERT INTO run_log_heads (run_id, seq, bytes, attempt, source_seq, cut_seq,"
                  " cut_lines, cut_bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (run_id) DO"
                  " UPDATE SET seq = excluded.seq, bytes = excluded.bytes, attempt = excluded.attempt,"
                  " source_seq = excluded.source_seq, cut_seq = excluded.cut_seq,"
                  " cut_lines = excluded.cut_lines, cut_bytes = excluded.cut_bytes"),
        STATEMENT(RUN_LOG_PUT, (API | DISPATCHER),
                  "INSERT INTO run_logs (run_id, seq, at, level, text) VALUES (?1, ?2, ?3, ?4, ?5)"
                  " ON CONFLICT (run_id, seq) DO UPDATE SET text = excluded.text"),
        STATEMENT(RUN_LOG_LIST, ALL,
                  "SELECT seq, at, level, text FROM run_logs WHERE run_id = ?1 AND seq > ?2 ORDER BY seq"
                  " LIMIT ?3"),
        /* The oldest runs that have a log, looked at a few at a time: what was cleaned has none any more. */
        STATEMENT(RUN_LOGS_CLEAN, DISPATCHER,
                  "DELETE FROM run_logs WHERE (run_id, seq) IN (SELECT l.run_id, l.seq FROM run_logs l"
                  " WHERE l.run_id = (SELECT h.run_id FROM " OLDEST_LOGS " h JOIN runs r ON r.id = h.run_id"
                  " WHERE r.state >= 3 AND r.finished < ?1"
                  " AND EXISTS (SELECT 1 FROM run_logs y WHERE y.run_id = h.run_id) LIMIT 1) LIMIT ?2)"),
        STATEMENT(RUN_LOG_HEADS_CLEAN, DISPATCHER,
                  "DELETE FROM run_log_heads WHERE run_id IN (SELECT h.run_id FROM " OLDEST_LOGS " h"
                  " JOIN runs r ON r.id = h.run_id WHERE r.state >= 3 AND r.finished < ?1"
                  " AND NOT EXISTS (SELECT 1 FROM run_logs y WHERE y.run_id = h.run_id) LIMIT ?2)"),
        /* Only runs whose log went before: its lines would cascade, and take longer than a slice may. */
        STATEMENT(RUNS_CLEAN, DISPATCHER,
                  "DELETE FROM runs WHERE id IN (SELECT r.id FROM runs r WHERE r.state >= 3"
                  " AND r.archives = 0 AND r.finished < ?1"
                  " AND NOT EXISTS (SELECT 1 FROM run_log_heads h WHERE h.run_id = r.id) LIMIT ?2)"),

        /* --- the queue --- */

        STATEMENT(QUEUE_ADD, DISPATCHER,
                  "INSERT INTO commands (run_id, node_id, kind, attempt, created, deadline, spec,"
                  " secrets) SELECT ?1, ?2, ?3, (SELECT coalesce(max(attempt), 0) FROM commands"
                  " WHERE run_id = ?1), ?4, ?5, ?6, ?7 WHERE (SELECT count(*) FROM commands"
                  " WHERE node_id = ?2 AND state < 3) < ?8"),
        STATEMENT(QUEUE_SET_SECRETS, DISPATCHER,
                  "UPDATE commands SET secrets = ?3 WHERE id = ?1 AND attempt = ?2 AND state = 0"),
        STATEMENT(QUEUE_CANCEL_PENDING, DISPATCHER,
                  "UPDATE commands SET state = 7, cancel = 1, finished = ?2, secrets = NULL,"
                  " error_code = 'CANCELLED' WHERE id = ?1 AND state = 0"),
        STATEMENT(QUEUE_CANCEL_OUT, DISPATCHER,
                  "UPDATE commands SET cancel = 1 WHERE id = ?1 AND state IN (1, 2)"),
        /* Delivered, not accepted, and no run: its agent is told with the answer to its accept. */
        STATEMENT(QUEUE_WITHDRAW, DISPATCHER,
                  "UPDATE commands SET state = 7, cancel = 1, finished = ?2, secrets = NULL,"
                  " error_code = 'CANCELLED' WHERE id = ?1 AND state = 1 AND run_id IS NULL"),
        STATEMENT(QUEUE_ABANDON, DISPATCHER,
                  "UPDATE commands SET state = ?2, error_code = ?3, error = ?4, finished = ?5,"
                  " secrets = NULL WHERE id = ?1 AND state < 3"),
        /* What is out, for expiry. */
        STATEMENT(QUEUE_OUT, DISPATCHER,
                  "SELECT id, run_id, node_id, state, attempt, heard_boot, heard_mono FROM commands"
                  " WHERE state < 3 AND state IN (1, 2) ORDER BY id"),
        STATEMENT(QUEUE_OVERDUE, DISPATCHER,
                  "SELECT id, run_id, node_id, state, attempt, heard_boot, heard_mono FROM commands"
                  " WHERE state < 3 AND state = 0 AND deadline <> 0 AND deadline <= ?1 ORDER BY id"),
        STATEMENT(QUEUE_DISABLED, ALL,
                  "SELECT " COMMAND_COLUMNS_SHORT " FROM commands WHERE state < 3 AND (state IN (1, 2)"
                  " OR run_id IS NULL) AND node_id IN (SELECT id FROM nodes WHERE enabled = 0)"
                  " ORDER BY id LIMIT 1000"),
        STATEMENT(QUEUE_STRANDED, ALL,
                  "SELECT " COMMAND_COLUMNS_SHORT " FROM commands WHERE state < 3 AND state = 0"
                  " AND (run_id IN (SELECT r.id FROM runs r WHERE r.state < 3 AND r.node_label IS NOT NULL)"
                  " OR (node_id = 1 AND kind = 'prune' AND run_id IN (SELECT r.id FROM runs r"
                  " WHERE r.state < 3 AND r.kind = 3 AND r.node_id <> 1)))"
                  " AND node_id IN (SELECT n.id FROM nodes n WHERE n.state <> 1 OR n.draining = 1"
                  " OR n.enabled = 0) ORDER BY id LIMIT 1000"),
        /* Delivered, not accepted: back, or ended when that was asked for. ?2 attempt */
        STATEMENT(QUEUE_RETURN, (API | DISPATCHER),
                  "UPDATE commands SET state = CASE cancel WHEN 1 THEN 7 ELSE 0 END, error_code ="
                  " CASE cancel WHEN 1 THEN 'CANCELLED' END, finished ="
                  " CASE cancel WHEN 1 THEN ?3 ELSE 0 END, secrets ="
                  " CASE cancel WHEN 1 THEN NULL ELSE secrets END WHERE id = ?1 AND attempt = ?2"
                  " AND state = 1"),
        /* As above, for one that was accepted and whose agent proves that it did not begin with it. */
        STATEMENT(QUEUE_UNSTART, API,
                  "UPDATE commands SET state = CASE cancel WHEN 1 THEN 7 ELSE 0 END, error_code ="
                  " CASE cancel WHEN 1 THEN 'CANCELLED' END, finished ="
                  " CASE cancel WHEN 1 THEN ?3 ELSE 0 END, secrets ="
                  " CASE cancel WHEN 1 THEN NULL ELSE secrets END, accepted = 0 WHERE id = ?1"
                  " AND attempt = ?2 AND node_id = ?4 AND state = 2"),
        /* ?3, ?4: the last sign of life that the decision was made from */
        STATEMENT(QUEUE_TIMEOUT, DISPATCHER,
                  "UPDATE commands SET state = 6, error_code = 'COMMAND_TIMEOUT', finished = ?5,"
                  " secrets = NULL WHERE id = ?1 AND attempt = ?2 AND state = 2 AND heard_boot IS ?3"
                  " AND heard_mono = ?4"),
        STATEMENT(QUEUE_DEADLINE, DISPATCHER,
                  "UPDATE commands SET state = 7, error_code = 'DEADLINE_PASSED', finished = ?2,"
                  " secrets = NULL WHERE id = ?1 AND state = 0"),
        STATEMENT(QUEUE_COUNT_TIMEOUT, DISPATCHER,
                  "UPDATE counters SET value = value + 1 WHERE name = 'timeouts'"),
        STATEMENT(NODE_COUNT_TIMEOUT, DISPATCHER,
                  "UPDATE nodes SET timeouts = timeouts + 1 WHERE id = ?1"),
        STATEMENT(QUEUE_STATE, ALL, "SELECT state FROM commands WHERE id = ?1"),
        STATEMENT(QUEUE_UNSETTLED, ALL,
                  "SELECT " COMMAND_COLUMNS " FROM commands WHERE state >= 3 AND settled = 0 AND id > ?1"
                  " ORDER BY id LIMIT ?2"),
        STATEMENT(QUEUE_SETTLE, DISPATCHER,
                  "UPDATE commands SET settled = 1 WHERE id = ?1 AND state >= 3 AND settled = 0"),
        STATEMENT(RELAY_CAPS_END, DISPATCHER, "DELETE FROM relay_caps WHERE command_id = ?1"),
        /* Whether a claim has anything to do, without a transaction. */
        STATEMENT(QUEUE_HAS_WORK, ALL,
                  "SELECT 1 FROM commands WHERE node_id = ?1 AND state < 3 AND state IN (0, 1) LIMIT 1"),
        STATEMENT(QUEUE_DELIVERED, ALL,
                  "SELECT id, run_id, node_id, state, attempt, heard_boot, heard_mono FROM commands"
                  " WHERE node_id = ?1 AND state < 3 AND state = 1"),
        STATEMENT(QUEUE_CLAIM, API,
                  "UPDATE commands SET state = 1, attempt = attempt + 1, dispatched = ?2, agent_id = ?3,"
                  " heard_boot = ?4, heard_mono = ?5, progress = NULL WHERE state = 0"
                  " AND (id IN (SELECT id FROM commands WHERE " CLAIMABLE " AND run_id IS NOT NULL"
                  " ORDER BY id LIMIT ?6) OR id IN (SELECT id FROM commands WHERE " CLAIMABLE
                  " AND run_id IS NULL ORDER BY id LIMIT ?7)) RETURNING " COMMAND_COLUMNS),
        STATEMENT(QUEUE_ACCEPT, API,
                  "UPDATE commands SET state = 2, accepted = ?4, heard_boot = ?5, heard_mono = ?6"
                  " WHERE id = ?1 AND attempt = ?2 AND node_id = ?3 AND state = 1"),
        STATEMENT(QUEUE_RENEW, API,
                  "UPDATE commands SET heard_boot = ?4, heard_mono = ?5 WHERE id = ?1 AND attempt = ?2"
                  " AND node_id = ?3 AND state = 2"),
        STATEMENT(QUEUE_PROGRESS, API,
                  "UPDATE commands SET progress = coalesce(?4, progress), heard_boot = ?5,"
                  " heard_mono = ?6 WHERE id = ?1 AND attempt = ?2 AND node_id = ?3 AND state = 2"),
        STATEMENT(QUEUE_FINISH, API,
                  "UPDATE commands SET state = ?4, error_code = ?5, error = ?6, result = ?7,"
                  " finished = ?8, secrets = NULL WHERE id = ?1 AND attempt = ?2 AND node_id = ?3"
                  " AND state IN (1, 2)"),
        STATEMENT(QUEUE_WHERE, ALL, "SELECT node_id, state, attempt, cancel FROM commands WHERE id = ?1"),
        STATEMENT(QUEUE_CANCELS, ALL,
                  "SELECT id FROM commands WHERE node_id = ?1 AND state < 3 AND cancel = 1 ORDER BY id"
                  " LIMIT ?2"),
        STATEMENT(QUEUE_NODES_WAITING, ALL,
                  "SELECT DISTINCT node_id FROM commands WHERE state < 3 AND state IN (0, 1)"
                  " AND node_id > ?1 ORDER BY node_id LIMIT ?2"),
        STATEMENT(COMMAND_GET, ALL, "SELECT " COMMAND_COLUMNS " FROM commands WHERE id = ?1"),
        STATEMENT(COMMAND_PROGRESS, ALL, "SELECT progress FROM commands WHERE id = ?1"),
        /* ?1 after, ?2 node or 0, ?3 run or 0, ?4 limit */
        STATEMENT(QUEUE_LIST, ALL,
                  "SELECT " COMMAND_COLUMNS_SHORT " FROM commands WHERE id > ?1 AND (?2 = 0"
                  " OR node_id = ?2) AND (?3 = 0 OR run_id = ?3) ORDER BY id LIMIT ?4"),
        STATEMENT(QUEUE_LIST_OPEN, ALL,
                  "SELECT " COMMAND_COLUMNS_SHORT " FROM commands WHERE state < 3 AND id > ?1 AND (?2 = 0"
                  " OR node_id = ?2) AND (?3 = 0 OR run_id = ?3) ORDER BY id LIMIT ?4"),
        STATEMENT(QUEUE_LIST_OF_RUN, ALL,
                  "SELECT " COMMAND_COLUMNS_SHORT " FROM commands WHERE run_id = ?3 AND id > ?1"
                  " AND (?2 = 0 OR node_id = ?2) ORDER BY id LIMIT ?4"),
        STATEMENT(QUEUE_COUNTS, ALL,
                  "SELECT count(CASE state WHEN 0 THEN 1 END), count(CASE state WHEN 1 THEN 1 END),"
                  " count(CASE state WHEN 2 THEN 1 END), (SELECT value FROM counters"
                  " WHERE name = 'timeouts') FROM commands WHERE state < 3 AND (?1 = 0 OR node_id = ?1)"),
        STATEMENT(PROBES_CLEAN, DISPATCHER,
                  "DELETE FROM commands WHERE id IN (SELECT id FROM commands WHERE run_id IS NULL"
                  " AND state >= 3 AND finished < ?1 AND settled = 1 LIMIT ?2)"),
        STATEMENT(RELAY_CAP_ADD, DISPATCHER,
                  "INSERT INTO relay_caps (hash, command_id, attempt, target_id, prefix, verbs, created)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"),
        STATEMENT(RELAY_CAP_FIND, ALL,
                  "SELECT p.command_id, p.attempt, p.target_id, p.prefix, p.verbs, c.node_id, c.run_id,"
                  " c.attempt, g.type, g.config FROM relay_caps p JOIN commands c ON c.id = p.command_id"
                  " JOIN targets g ON g.id = p.target_id JOIN nodes n ON n.id = c.node_id"
                  " WHERE p.hash = ?1 AND n.enabled = 1 AND c.state IN (1, 2) AND c.attempt = ?2"
                  " AND p.attempt IN (0, c.attempt)"),
        STATEMENT(RELAY_LOCK_ADD, API,
                  "INSERT INTO relay_locks (target_id, key, command_id) VALUES (?1, ?2, ?3)"
                  " ON CONFLICT (target_id, key) DO UPDATE SET command_id = excluded.command_id"),
        STATEMENT(RELAY_LOCK_FIND, API,
                  "SELECT command_id FROM relay_locks WHERE target_id = ?1 AND key = ?2"),
        STATEMENT(RELAY_LOCK_DELETE, API, "DELETE FROM relay_locks WHERE target_id = ?1 AND key = ?2"),
        STATEMENT(REPOSITORY_ADD, DISPATCHER,
                  "INSERT INTO repositories (node_id, target_id, prefix, chunker, sealed, created)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"),
        /* ?1 node, ?2 runs to look at, ?3 names. What its agent told of alone: of a silent node, or of a
         * command that was given up here, nobody knows. Of the checks that other nodes make of this one's
         * repositories, those that are among the newest of all that ended so. */
        STATEMENT(REPOSITORY_ENDED, DISPATCHER,
                  "SELECT 'command-' || e.id || '-' || e.attempt FROM (SELECT c.id AS id,"
                  " c.attempt AS attempt FROM commands c WHERE c.run_id IN"
                  " (SELECT id FROM runs WHERE node_id = ?1 ORDER BY id DESC LIMIT ?2)"
                  " AND c.state IN (4, 5, 7) AND c.accepted > 0 AND c.result IS NOT NULL"
                  " AND c.kind IN ('backup', 'prune', 'verify') UNION SELECT v.id, v.attempt FROM"
                  " (SELECT x.id AS id, x.attempt AS attempt, x.run_id AS run_id FROM commands x"
                  " INDEXED BY commands_bad_checks WHERE x.kind = 'verify' AND x.state IN (4, 5, 7)"
                  " AND x.accepted > 0 AND x.result IS NOT NULL ORDER BY x.id DESC LIMIT ?2) v"
                  " JOIN runs r ON r.id = v.run_id JOIN runs s ON s.id = r.source_run"
                  " WHERE s.node_id = ?1) e ORDER BY e.id DESC LIMIT ?3"),
        STATEMENT(REPOSITORY_FIND, DISPATCHER,
                  "SELECT " REPOSITORY_COLUMNS " FROM repositories p WHERE p.node_id = ?1"
                  " AND p.target_id = ?2"),
        STATEMENT(REPOSITORY_FIRST, DISPATCHER,
                  "SELECT " REPOSITORY_COLUMNS " FROM repositories p WHERE p.node_id = ?1"
                  " ORDER BY p.id LIMIT 1"),
        /* ?1 before; ?2 node, ?3 task, ?4 target or 0; ?5 limit. A row's key is its run and position. */
        STATEMENT(SNAPSHOTS_LIST, ALL,
                  "SELECT x.run_id * 16 + x.position, x.snapshot, r.id, r.task_id, r.task_name, r.node_id,"
                  " r.node_name, x.target_id, x.target_name, r.state, r.finished, r.files, r.bytes_new,"
                  " r.bytes_total FROM run_targets x JOIN runs r ON r.id = x.run_id"
                  " WHERE x.snapshot IS NOT NULL AND x.state = 1 AND x.run_id <= ?1 / 16"
                  " AND x.run_id * 16 + x.position < ?1 AND (?2 = 0 OR r.node_id = ?2)"
                  " AND (?3 = 0 OR r.task_id = ?3) AND (?4 = 0 OR x.target_id = ?4)"
                  " ORDER BY x.run_id DESC, x.position DESC LIMIT ?5"),
        STATEMENT(REPOSITORY_SET_PRUNED, DISPATCHER,
                  "UPDATE repositories SET pruned = ?3 WHERE node_id = ?1 AND target_id = ?2"),
        /* ?1 node, ?2 target, ?3 JSON: the snapshots that are there, ?4 of those committed until then. What
         * is there is so again, whatever was known. */
        STATEMENT(SNAPSHOTS_SET_LISTED, DISPATCHER,
                  "UPDATE run_targets SET state = 4 - state WHERE repository_id = (SELECT p.id"
                  " FROM repositories p WHERE p.node_id = ?1 AND p.target_id = ?2) AND state ="
                  " CASE WHEN snapshot IN (SELECT value FROM json_each(?3)) THEN 3 ELSE 1 END"
                  " AND run_id IN (SELECT r.id FROM runs r WHERE r.id = run_targets.run_id"
                  " AND r.state >= 3 AND r.finished <= ?4)"),
        STATEMENT(RUNS_COUNT_ARCHIVES, DISPATCHER,
                  "UPDATE runs SET archives = (SELECT count(*) FROM run_targets x WHERE x.run_id = runs.id"
                  " AND x.state = 1) WHERE state >= 3 AND id IN (SELECT x.run_id FROM run_targets x"
                  " JOIN repositories p ON p.id = x.repository_id WHERE p.node_id = ?1"
                  " AND p.target_id = ?2) AND archives <> (SELECT count(*) FROM run_targets x"
                  " WHERE x.run_id = runs.id AND x.state = 1)"),
        STATEMENT(RECOVERY_IDENTITIES, RECOVERY,
                  "SELECT i.node_id, coalesce(n.name, (SELECT r.node_name FROM runs r"
                  " WHERE r.node_id = i.node_id ORDER BY r.id DESC LIMIT 1)), n.hostname, i.recipient,"
                  " i.sealed FROM node_identities i LEFT JOIN nodes n ON n.id = i.node_id"
                  " WHERE i.node_id > ?1 ORDER BY i.node_id LIMIT ?2"),
        STATEMENT(RECOVERY_TARGETS, RECOVERY,
                  "SELECT id, name, type, config, secrets FROM targets WHERE id > ?1 ORDER BY id LIMIT ?2"),
        STATEMENT(RECOVERY_REPOSITORIES, RECOVERY,
                  "SELECT p.id, p.node_id, coalesce(n.name, (SELECT r.node_name FROM runs r"
                  " WHERE r.node_id = p.node_id ORDER BY r.id DESC LIMIT 1)), p.target_id, p.prefix,"
                  " p.sealed, p.created FROM repositories p LEFT JOIN nodes n ON n.id = p.node_id"
                  " WHERE p.id > ?1 ORDER BY p.id LIMIT ?2"),
        /* The newest of each task, node, target and format. ?1 after, the key of such a row; ?2 limit. */
        STATEMENT(RECOVERY_PLACES, RECOVERY,
                  "SELECT x.run_id * 16 + x.position, x.run_id, x.target_id, x.target_name, r.node_id,"
                  " r.node_name, r.task_name, r.finished, x.key, x.snapshot, x.sha256, r.encrypted"
                  " FROM run_targets x JOIN runs r ON r.id = x.run_id JOIN (SELECT max(y.run_id) AS run_id,"
                  " y.target_id AS target_id FROM run_targets y JOIN runs q ON q.id = y.run_id"
                  " WHERE y.state = 1 AND y.key IS NOT NULL AND q.kind = 0"
                  " GROUP BY y.target_id, q.node_id, q.task_name, y.snapshot IS NULL) z"
                  " ON z.run_id = x.run_id AND z.target_id = x.target_id"
                  " WHERE x.run_id * 16 + x.position > ?1 ORDER BY 1 LIMIT ?2"),
        /* Of the last kit: ?1 its newest repository, ?2 how many identities it has, ?3 its time. */
        STATEMENT(KIT_STATE, ALL,
                  "SELECT (SELECT count(*) FROM repositories WHERE id > ?1),"
                  " (SELECT max(count(*) - ?2, 0) FROM node_identities),"
                  " (SELECT count(*) FROM targets WHERE updated > ?3)"),
};
