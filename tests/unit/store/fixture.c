/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/stat.h>
#include <unistd.h>

#include "store/target.h"
#include "tests/unit/store/fixture.h"

void fixture_init(Fixture *f) {
        *f = (Fixture){ .directory = "/tmp/test-store-XXXXXX" };

        CHECK(mkdtemp(f->directory));
        (void) snprintf(f->path, sizeof(f->path), "%s/backupx.db", f->directory);
        CHECK_OK(store_open(f->path, STORE_API, &f->api, NULL));
        CHECK_OK(store_open(f->path, STORE_SCHEDULER, &f->scheduler, NULL));
        CHECK_OK(store_open(f->path, STORE_DISPATCHER, &f->dispatcher, NULL));
}

void fixture_done(Fixture *f) {
        static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };
        char path[sizeof(f->path) + 16];

        if (f->api)
                CHECK_OK(store_check(f->api, NULL));
        f->api = store_close(f->api);
        f->scheduler = store_close(f->scheduler);
        f->dispatcher = store_close(f->dispatcher);
        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                (void) snprintf(path, sizeof(path), "%s%s", f->path, suffixes[i]);
                (void) unlink(path);
        }
        CHECK_INT(rmdir(f->directory), 0);
}

uint64_t fixture_node(Fixture *f, const char *name) {
        uint64_t id = 0;

        CHECK_INT(node_add(f->api, name, NULL, T0, &id), 0);
        return id;
}

uint64_t fixture_target(Fixture *f, const char *name) {
        Target t = {
                .name = (char *) name, .type = (char *) "local", .config = (char *) "{}", .created = T0
        };
        uint64_t id = 0;

        CHECK_INT(target_add(f->api, &t, NULL, &id), 0);
        return id;
}

uint64_t fixture_task(Fixture *f, const char *name, uint64_t node_id, uint64_t target_1, uint64_t target_2) {
        Task t = {
                .name = (char *) name,
                .type = (char *) "file",
                .node_id = node_id,
                .source = (char *) "{\"paths\":[\"/etc\"]}",
                .format = (char *) "archive",
                .compression = (char *) "{}",
                .encryption = (char *) "sealed",
                .enabled = true,
                .schedule_expression = (char *) "0 2 * * *",
                .schedule_timezone = (char *) "UTC",
                .schedule_catch_up = true,
                .target_ids = { target_1, target_2 },
                .n_targets = (target_1 != 0) + (target_2 != 0),
                .created = T0,
        };
        uint64_t id = 0;

        CHECK_INT(task_add(f->api, &t, &id), 0);
        return id;
}

uint64_t fixture_run(Fixture *f, uint64_t task_id) {
        RunNew n = { .kind = RUN_BACKUP, .state = RUN_QUEUED, .task_id = task_id, .origin = "manual" };
        uint64_t id = 0;

        CHECK_INT(run_add(f->scheduler, &n, T0, &id), 0);
        return id;
}

uint64_t fixture_command(Fixture *f, uint64_t node_id, uint64_t run_id) {
        CommandNew c = {
                .run_id = run_id,
                .node_id = node_id,
                .kind = run_id != 0 ? "backup" : "list_dir",
                .spec = "{}",
                .secrets = "sealed",
        };
        uint64_t id = 0;

        CHECK_INT(queue_add(f->dispatcher, &c, T0, &id), 0);
        return id;
}

Stamp fixture_stamp(usec_t seconds) {
        return (Stamp){ .boot_id = "11111111-2222-3333-4444-555555555555", .mono = seconds * USEC_PER_SEC };
}

void fixture_api_alive(Fixture *f, usec_t since, usec_t at) {
        ApiStamp stamp = { .at = fixture_stamp(at), .listening_since = since * USEC_PER_SEC };

        CHECK_INT(api_stamp_write(f->api, &stamp), 0);
}

CommandState fixture_command_state(Fixture *f, uint64_t id) {
        _cleanup_(command_done) Command c = COMMAND_NULL;

        CHECK_INT(command_get(f->api, id, &c), 0);
        return c.state;
}

RunState fixture_run_state(Fixture *f, uint64_t id) {
        _cleanup_(run_done) Run r = RUN_NULL;

        CHECK_INT(run_get(f->api, id, &r), 0);
        return r.state;
}
