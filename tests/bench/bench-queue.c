/* SPDX-License-Identifier: Apache-2.0 */

/* How fast the store is, with every commit on the disk (synchronous=FULL): what one row costs on its own,
 * and in a group commit of 100, as a busy turn of the API's loop makes them. In the folder of $TMPDIR, else
 * /var/tmp: a tmpfs would flatter. Prints a table; fails only when something fails. */

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "store/node.h"
#include "store/queue.h"
#include "store/run-log.h"
#include "store/run.h"
#include "store/task.h"
#include "tests/test.h"

#define ROUNDS 300
#define GROUP 100
#define WALL UINT64_C(1700000000000000)

typedef struct Bench {
        char directory[256];
        char path[300];
        Store *api;
        Store *scheduler;
        Store *dispatcher;
        uint64_t task;
        uint64_t run;
        Stamp now;
        uint64_t log_seq;
} Bench;

typedef void (*Step)(Bench *b);

static int compare_usec(const void *a, const void *b) {
        const usec_t *x = a, *y = b;

        return *x < *y ? -1 : *x > *y;
}

static void report(const char *what, usec_t *each, size_t n, size_t rows) {
        usec_t sum = 0;

        for (size_t i = 0; i < n; i++)
                sum += each[i];
        qsort(each, n, sizeof(usec_t), compare_usec);
        printf("%-44s %8.0f /s   median %6.3f ms   p99 %6.3f ms\n", what, (double) rows * 1e6 / (double) sum,
               (double) each[n / 2] / 1000, (double) each[n * 99 / 100] / 1000);
}

/* prepare is not measured; may be NULL. group: the store whose group commit ends each round of GROUP steps.
 */
static void measure(Bench *b, const char *what, Step prepare, Step step, Store *group) {
        usec_t each[ROUNDS], begun;
        size_t rounds = group ? ROUNDS / 10 : ROUNDS, per_round = group ? GROUP : 1;

        for (size_t i = 0; i < rounds; i++) {
                for (size_t k = 0; prepare && k < per_round; k++)
                        prepare(b);
                begun = now_usec(CLOCK_MONOTONIC);
                if (group)
                        CHECK_OK(store_group_open(group));
                for (size_t k = 0; k < per_round; k++)
                        step(b);
                if (group)
                        CHECK_OK(store_group_commit(group));
                each[i] = now_usec(CLOCK_MONOTONIC) - begun;
        }
        report(what, each, rounds, rounds * per_round);
}

static void step_run(Bench *b) {
        /* Missed ones do not overlap. */
        RunNew n = { .kind = RUN_BACKUP, .state = RUN_MISSED, .task_id = b->task, .origin = "schedule" };

        CHECK_INT(run_add(b->scheduler, &n, WALL, &b->run), 0);
}

static void step_add(Bench *b) {
        CommandNew c = {
                .node_id = NODE_LOCAL,
                .kind = "backup",
                .spec = "{\"run\":12,\"task\":{\"id\":3},\"source\":{\"paths\":[\"/etc\"]}}",
                .secrets = "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSA=",
        };
        uint64_t id;

        CHECK_INT(queue_add(b->dispatcher, &c, WALL, &id), 0);
}

static CommandRef claim(Bench *b) {
        _cleanup_(command_list_done) CommandList l = COMMAND_LIST_NULL;
        QueueClaim c = {
                .node_id = NODE_LOCAL,
                .agent_id = "agent",
                .capacity = 1,
                .probes = 1,
                .now = b->now,
                .wall = WALL,
        };
        CommandRef ref;

        CHECK_INT(queue_claim(b->api, &c, &l), 0);
        CHECK_INT(l.n, 1);
        ref = (CommandRef){ .id = l.items[0].id, .attempt = l.items[0].attempt };
        return ref;
}

static void step_claim_accept_finish(Bench *b) {
        CommandEnd end = { .state = COMMAND_SUCCEEDED, .result = "{\"bytes_read\":1}" };
        CommandRef ref = claim(b);

        CHECK_INT(queue_accept(b->api, &ref, NODE_LOCAL, &b->now, WALL), 0);
        CHECK_INT(queue_finish(b->api, &ref, NODE_LOCAL, &end, WALL), 0);
}

static void step_claim(Bench *b) {
        (void) claim(b);
}

static void end_all(Bench *b) {
        _cleanup_(command_list_done) CommandList l = COMMAND_LIST_NULL;
        CommandFilter open = { .open = true };

        CHECK_INT(queue_list(b->dispatcher, &open, 0, STORE_LIST_MAX, &l), 0);
        CHECK_OK(store_group_open(b->dispatcher));
        for (size_t i = 0; i < l.n; i++)
                CHECK_INT(queue_abandon(b->dispatcher, l.items[i].id, COMMAND_FAILED, NULL, NULL, WALL), 0);
        CHECK_OK(store_group_commit(b->dispatcher));
}

static void step_add_fresh(Bench *b) {
        end_all(b);
        step_add(b);
}

static void step_claim_empty(Bench *b) {
        _cleanup_(command_list_done) CommandList l = COMMAND_LIST_NULL;
        QueueClaim c = {
                .node_id = NODE_LOCAL, .agent_id = "agent", .probes = 1, .now = b->now, .wall = WALL
        };

        CHECK_INT(queue_claim(b->api, &c, &l), QUEUE_E_EMPTY);
}

static void step_log(Bench *b) {
        static const RunLogLine line = {
                .at = WALL,
                .level = (char *) "info",
                .text = (char *) "/etc/ssl/certs/ca-certificates.crt: read 219 KiB",
        };
        RunLogBatch batch = {
                .run_id = b->run, .attempt = 1, .first_source_seq = ++b->log_seq, .lines = &line, .n = 1
        };

        CHECK_INT(run_log_append(b->api, &batch, NULL), 0);
}

static void step_heartbeat(Bench *b) {
        NodeContact c = {
                .node_id = NODE_LOCAL, .agent_id = "agent", .capacity = 4
        };

        CHECK_INT(node_heard(b->api, NODE_LOCAL, &b->now, WALL), 0);
        CHECK_INT(node_contact(b->api, &c), 0);
}

static void bench_open(Bench *b) {
        const char *parent = getenv("TMPDIR");
        Task t = {
                .name = (char *) "etc",
                .type = (char *) "file",
                .node_id = NODE_LOCAL,
                .source = (char *) "{}",
                .format = (char *) "archive",
                .encryption = (char *) "sealed",
                .created = WALL,
        };

        *b = (Bench){};
        (void) snprintf(b->directory, sizeof(b->directory), "%s/bench-queue-XXXXXX",
                        isempty(parent) ? "/var/tmp" : parent);
        CHECK(mkdtemp(b->directory));
        (void) snprintf(b->path, sizeof(b->path), "%s/backupx.db", b->directory);
        CHECK_OK(store_open(b->path, STORE_API, &b->api, NULL));
        CHECK_OK(store_open(b->path, STORE_SCHEDULER, &b->scheduler, NULL));
        CHECK_OK(store_open(b->path, STORE_DISPATCHER, &b->dispatcher, NULL));
        CHECK_OK(stamp_now(&b->now));
        CHECK_INT(task_add(b->api, &t, &b->task), 0);
}

static void bench_close(Bench *b) {
        static const char *const suffixes[] = { "", "-wal", "-shm" };
        char path[320];

        store_close(b->api);
        store_close(b->scheduler);
        store_close(b->dispatcher);
        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                (void) snprintf(path, sizeof(path), "%s%s", b->path, suffixes[i]);
                (void) unlink(path);
        }
        CHECK_INT(rmdir(b->directory), 0);
}

int main(void) {
        Bench b;

        bench_open(&b);
        measure(&b, "run added", NULL, step_run, NULL);
        measure(&b, "command added", end_all, step_add, NULL);
        measure(&b, "command claimed", step_add_fresh, step_claim, NULL);
        end_all(&b);
        measure(&b, "claim, accept, finish: three commits", step_add, step_claim_accept_finish, NULL);
        measure(&b, "claim, accept, finish: 100 in one commit", step_add, step_claim_accept_finish, b.api);
        measure(&b, "claim that finds nothing", NULL, step_claim_empty, NULL);
        measure(&b, "log line, one a commit", NULL, step_log, NULL);
        measure(&b, "log line, 100 a commit", NULL, step_log, b.api);
        measure(&b, "heartbeat, 100 a commit", NULL, step_heartbeat, b.api);
        bench_close(&b);
        return EXIT_SUCCESS;
}
