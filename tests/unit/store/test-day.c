/* SPDX-License-Identifier: Apache-2.0 */

/* A day of a schedule, or several, in seconds: every task runs each hour from its row to its end, with log
 * lines, heartbeats and probes, and the clean-up of each hour. What is kept is a few hours' worth, so after
 * the first hours neither the file nor the process may grow. */

#include <dirent.h>
#include <malloc.h>
#include <sys/stat.h>

#include "store/run-log.h"
#include "tests/unit/store/fixture.h"

#define TASKS 8U
#define HOURS 24U
#define HOURS_LONG 240U
#define PROBES 8U
#define LINES 20U
/* By now all that is kept was there once. */
#define SETTLED 8U

typedef struct Day {
        Fixture f;
        uint64_t node;
        uint64_t tasks[TASKS];
        usec_t now;
} Day;

static const StoreRetention keep = {
        .probe_results = USEC_PER_HOUR,
        .run_logs = 2 * USEC_PER_HOUR,
        .runs = 4 * USEC_PER_HOUR,
        .audit = USEC_PER_HOUR,
};

static Stamp stamp(const Day *d) {
        return fixture_stamp(d->now / USEC_PER_SEC);
}

static void say_lines(Day *d, uint64_t run) {
        RunLogLine lines[LINES];
        RunLogBatch batch = {
                .run_id = run, .attempt = 1, .first_source_seq = 1, .lines = lines, .n = LINES
        };

        for (unsigned i = 0; i < LINES; i++)
                lines[i] = (RunLogLine){
                        .at = d->now,
                        .level = (char *) "info",
                        .text = (char *) "/srv/www/index.html: read 219 KiB",
                };
        CHECK_INT(run_log_append(d->f.api, &batch, NULL), 0);
}

/* The agent's part, and the dispatcher's end of it. */
static void work_off(Day *d, uint64_t run) {
        _cleanup_(command_list_done) CommandList l = COMMAND_LIST_NULL;
        const CommandEnd end = { .state = COMMAND_FAILED, .error_code = "TEST", .result = "{\"files\":1}" };
        const RunEnd run_end = { .state = RUN_FAILED, .error_code = "TEST", .error = "no work" };
        const QueueClaim claim = {
                .node_id = d->node,
                .agent_id = "agent",
                .capacity = 1,
                .probes = 1,
                .now = stamp(d),
                .wall = d->now,
        };
        CommandRef ref;

        CHECK_INT(queue_claim(d->f.api, &claim, &l), 0);
        CHECK_INT(l.n, 1);
        ref = (CommandRef){ .id = l.items[0].id, .attempt = l.items[0].attempt };
        CHECK_INT(queue_accept(d->f.api, &ref, d->node, &claim.now, d->now), 0);
        if (run != 0)
                say_lines(d, run);
        CHECK_INT(queue_finish(d->f.api, &ref, d->node, &end, d->now), 0);
        CHECK_INT(queue_settle(d->f.dispatcher, ref.id), 0);
        if (run != 0)
                CHECK_INT(run_finish(d->f.dispatcher, run, &run_end, d->now), 0);
}

static void run_task(Day *d, uint64_t task) {
        const RunNew run = {
                .kind = RUN_BACKUP, .task_id = task, .origin = "schedule", .scheduled_for = d->now
        };
        CommandNew command = { .node_id = d->node, .kind = "backup", .spec = "{\"run\":1}", .secrets = "x" };
        uint64_t id;

        CHECK_INT(run_add(d->f.scheduler, &run, d->now, &command.run_id), 0);
        CHECK_INT(queue_add(d->f.dispatcher, &command, d->now, &id), 0);
        CHECK_INT(run_set_command(d->f.dispatcher, command.run_id, id, "{\"run\":1}"), 0);
        work_off(d, command.run_id);
}

static void clean(Day *d) {
        Store *const stores[] = { d->f.api, d->f.dispatcher };

        for (size_t i = 0; i < ELEMENTSOF(stores); i++)
                for (bool more = true; more;)
                        CHECK_INT(store_clean(stores[i], &keep, d->now, &more), 0);
}

static void pass_hour(Day *d) {
        Stamp heard;

        for (size_t i = 0; i < TASKS; i++)
                run_task(d, d->tasks[i]);
        for (unsigned i = 0; i < PROBES; i++) {
                const CommandNew probe = {
                        .node_id = d->node, .kind = "list_dir", .spec = "{\"path\":\"/\"}"
                };
                uint64_t id;

                CHECK_INT(queue_add(d->f.dispatcher, &probe, d->now, &id), 0);
                work_off(d, 0);
        }
        heard = stamp(d);
        CHECK_INT(node_heard(d->f.api, d->node, &heard, d->now), 0);
        d->now += USEC_PER_HOUR;
        clean(d);
}

static uint64_t file_size(const Day *d) {
        struct stat st;

        CHECK_INT(stat(d->f.path, &st), 0);
        return (uint64_t) st.st_size;
}

static unsigned count_files(void) {
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        CHECK(dir);
        while (readdir(dir))
                n++;
        (void) closedir(dir);
        return n;
}

static void test_day(void) {
        unsigned hours = getenv("BACKUPX_TEST_LONG") ? HOURS_LONG : HOURS, files = 0;
        uint64_t size = 0;
        size_t memory = 0;
        Day d = { .now = T0 };
        char name[16];

        fixture_init(&d.f);
        d.node = fixture_node(&d.f, "web-1");
        for (size_t i = 0; i < TASKS; i++) {
                (void) snprintf(name, sizeof(name), "task-%zu", i);
                d.tasks[i] = fixture_task(&d.f, name, d.node, fixture_target(&d.f, name), 0);
        }
        for (unsigned hour = 0; hour < hours; hour++) {
                if (hour == SETTLED) {
                        size = file_size(&d);
                        memory = mallinfo2().uordblks;
                        files = count_files();
                }
                pass_hour(&d);
        }
        /* The WAL folds in when it is due, so the file may be a few pages behind at either look. */
        CHECK(file_size(&d) <= size + size / 4);
        CHECK(mallinfo2().uordblks <= memory + memory / 10);
        CHECK_INT(count_files(), files);
        CHECK_INT(store_check(d.f.api, NULL), 0);
        fixture_done(&d.f);
}

int main(void) {
        RUN(test_day);
        return EXIT_SUCCESS;
}
