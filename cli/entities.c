/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "cli/entities.h"

static const Column node_columns[] = {
        { "ID", "id", COLUMN_NUMBER },
        { "NAME", "name", COLUMN_TEXT },
        { "STATUS", "status|state", COLUMN_TEXT },
        { "HEALTH", "health", COLUMN_TEXT },
        { "LAST SEEN", "last_seen", COLUMN_TIME },
        { "HOST", "host.hostname", COLUMN_TEXT },
        { "AGENT", "host.agent_version", COLUMN_TEXT },
        { "LABELS", "labels", COLUMN_LIST },
        { "PENDING", "queue.pending", COLUMN_NUMBER },
        { "SENT", "queue.dispatched", COLUMN_NUMBER },
        { "RUNNING", "queue.running", COLUMN_NUMBER },
        { "TIMEOUTS", "queue.timeouts", COLUMN_NUMBER },
        { "OLDEST S", "queue.oldest_active_age_s", COLUMN_NUMBER },
        { "DRAINING", "draining", COLUMN_FLAG },
        { "REASON", "health_reason", COLUMN_TEXT },
        { "LAST ERROR", "queue.last_error.code", COLUMN_TEXT },
};

static const Column task_columns[] = {
        { "ID", "id", COLUMN_NUMBER },
        { "NAME", "name", COLUMN_TEXT },
        { "NODE", "node_name|node_label|node_id", COLUMN_TEXT },
        { "PATHS", "source.paths", COLUMN_LIST },
        { "SCHEDULE", "schedule.expression", COLUMN_TEXT },
        { "NEXT", "next_run_at", COLUMN_TIME },
        { "LAST", "last_run.state", COLUMN_TEXT },
        { "LAST SUCCESS", "last_success_at", COLUMN_TIME },
        { "ENABLED", "enabled", COLUMN_FLAG },
};

static const Column target_columns[] = {
        { "ID", "id", COLUMN_NUMBER },
        { "NAME", "name", COLUMN_TEXT },
        { "TYPE", "type", COLUMN_TEXT },
        { "WHERE", "config.path|config.directory|config.bucket", COLUMN_TEXT },
        { "LAST TEST", "last_test.at", COLUMN_TIME },
        { "OK", "last_test.ok", COLUMN_FLAG },
};

static const Column run_columns[] = {
        { "ID", "id", COLUMN_NUMBER },
        { "TASK", "task_name|task_id", COLUMN_TEXT },
        { "NODE", "node_name|node_id", COLUMN_TEXT },
        { "STATE", "state", COLUMN_TEXT },
        { "STARTED", "started_at|queued_at", COLUMN_TIME },
        { "TOOK", "started_at finished_at", COLUMN_SPAN },
        { "FILES", "files", COLUMN_NUMBER },
        { "READ", "bytes_read", COLUMN_SIZE },
        { "WRITTEN", "bytes_written", COLUMN_SIZE },
        { "ERROR", "error.code", COLUMN_TEXT },
};

static const Column restore_columns[] = {
        { "ID", "id", COLUMN_NUMBER },
        { "OF RUN", "source_run_id", COLUMN_NUMBER },
        { "TASK", "task_name", COLUMN_TEXT },
        { "NODE", "node_name|node_id", COLUMN_TEXT },
        { "STATE", "state", COLUMN_TEXT },
        { "STARTED", "started_at|queued_at", COLUMN_TIME },
        { "TOOK", "started_at finished_at", COLUMN_SPAN },
        { "FILES", "files", COLUMN_NUMBER },
        { "ERROR", "error.code", COLUMN_TEXT },
};

static const Column snapshot_columns[] = {
        { "SNAPSHOT", "id", COLUMN_TEXT },
        { "RUN", "run_id", COLUMN_NUMBER },
        { "TASK", "task_name|task_id", COLUMN_TEXT },
        { "NODE", "node_name|node_id", COLUMN_TEXT },
        { "TARGET", "target_name|target_id", COLUMN_TEXT },
        { "FINISHED", "finished_at", COLUMN_TIME },
        { "STATE", "run_state", COLUMN_TEXT },
        { "FILES", "files", COLUMN_NUMBER },
        { "NEW", "bytes_new", COLUMN_SIZE },
        { "TOTAL", "bytes_total", COLUMN_SIZE },
};

static const Column key_columns[] = {
        { "ID", "id", COLUMN_NUMBER },
        { "NAME", "name", COLUMN_TEXT },
        { "ROLE", "role", COLUMN_TEXT },
        { "USER", "username", COLUMN_TEXT },
        { "CREATED", "created_at", COLUMN_TIME },
        { "EXPIRES", "expires_at", COLUMN_TIME },
        { "LAST USED", "last_used_at", COLUMN_TIME },
};

static const Column user_columns[] = {
        { "ID", "id", COLUMN_NUMBER },
        { "NAME", "username", COLUMN_TEXT },
        { "ROLE", "role", COLUMN_TEXT },
        { "ENABLED", "enabled", COLUMN_FLAG },
        { "LAST LOGIN", "last_login_at", COLUMN_TIME },
};

static const Column audit_columns[] = {
        { "ID", "id", COLUMN_NUMBER },
        { "AT", "at", COLUMN_TIME },
        { "USER", "username", COLUMN_TEXT },
        { "FROM", "address", COLUMN_TEXT },
        { "ACTION", "action", COLUMN_TEXT },
        { "WHAT", "object_type", COLUMN_TEXT },
        { "NAME", "object_name|object_id", COLUMN_TEXT },
};

static const Entity entities[] = {
        { "nodes", "nodes", "node", node_columns, ELEMENTSOF(node_columns) },
        { "tasks", "tasks", "task", task_columns, ELEMENTSOF(task_columns) },
        { "targets", "targets", "target", target_columns, ELEMENTSOF(target_columns) },
        { "runs", "runs", "run", run_columns, ELEMENTSOF(run_columns) },
        { "restores", "runs?kind=restore", "restore", restore_columns, ELEMENTSOF(restore_columns) },
        { "snapshots", "snapshots", "snapshot", snapshot_columns, ELEMENTSOF(snapshot_columns) },
        { "keys", "api-keys", "API key", key_columns, ELEMENTSOF(key_columns) },
        { "users", "users", "user", user_columns, ELEMENTSOF(user_columns) },
        { "logs", "audit", "entry", audit_columns, ELEMENTSOF(audit_columns) },
};

const Entity *entity_find(const char *noun) {
        assert(noun);

        for (size_t i = 0; i < ELEMENTSOF(entities); i++)
                if (streq(entities[i].noun, noun))
                        return entities + i;
        return NULL;
}

int entity_path(const Entity *e, char **ret) {
        assert(e);
        assert(ret);

        *ret = memdup0(e->path, strcspn(e->path, "?"));
        return *ret ? 0 : -ENOMEM;
}
