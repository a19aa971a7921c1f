/* SPDX-License-Identifier: Apache-2.0 */

/* The queue under SIGKILL. Many processes at once, each API and dispatcher in one, add, claim, accept,
 * renew, report, finish, cancel, return and expire commands on one database, as fast as they can; each is
 * killed at a random moment and replaced. Then everything is brought to an end without kills, and the books
 * are compared:
 *
 * - A trigger writes each change of a command's state or attempt into a history, in the same transaction:
 * nothing can happen and not be there. Every command's history must be a legal path with exactly one end.
 * - Each worker writes what it was told succeeded into a file of its own (append, before its next step):
 * each of these claims must be in the history, once, and nobody else's in its place.
 *
 * Time runs faster than the clock here, so that leases expire all the time. Not covered: loss of power.
 *
 * Environment: BACKUPX_TEST_SEED (printed at start), BACKUPX_TEST_LONG (hundreds of rounds), and
 * BACKUPX_TEST_ROUNDS. */

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "store/db.h"
#include "store/node.h"
#include "store/queue.h"
#include "tests/test.h"

#define WORKERS 6
#define NODES 3
#define HOLD_MAX 8
#define KILLS_PER_ROUND 12
/* The lease of ten minutes lasts 150 ms, acceptance 7.5 ms. */
#define SPEED 4000
/* The wall clock plays no part. */
#define WALL UINT64_C(1700000000000000)

typedef enum Event {
        EVENT_ADD_INTENT, /* key: about to be added */
        EVENT_ADDED,
        EVENT_ACCEPTED,
        EVENT_FINISHED,
        _EVENT_MAX,
} Event;

/* What a worker was told. Fixed size and smaller than a page: one write() is there or not. */
typedef struct Record {
        uint32_t event;
        uint32_t attempt;
        uint64_t id;  /* of the command, or the key of an intent */
        uint64_t key; /* EVENT_ADDED: of its intent */
        uint64_t nonce;
        uint64_t state; /* EVENT_FINISHED */
} Record;

typedef struct World {
        char directory[32];
        char path[48];
        char ledger[48];
        uint64_t seed;
        unsigned rounds;
        unsigned kills;
} World;

typedef struct Worker {
        const World *world;
        Store *api;
        Store *dispatcher;
        int ledger;
        uint64_t nonce; /* who this is: unlike any other process of the test */
        char agent[24];
        uint64_t random;
        CommandRef held[NODES][HOLD_MAX];
        bool accepted[NODES][HOLD_MAX];
        unsigned keys;
} Worker;

static uint64_t random_next(uint64_t *state) {
        uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

static unsigned pick(Worker *w, unsigned n) {
        return (unsigned) (random_next(&w->random) % n);
}

static Stamp virtual_now(void) {
        return (Stamp){
                .boot_id = "11111111-2222-3333-4444-555555555555",
                .mono = now_usec(CLOCK_MONOTONIC) * SPEED,
        };
}

/* --- a worker --- */

static void worker_record(Worker *w, Record record) {
        record.nonce = w->nonce;
        CHECK_OK(write_full(w->ledger, &record, sizeof(record)));
}

static void worker_add(Worker *w) {
        uint64_t key = w->nonce * 100000 + ++w->keys, id = 0;
        char spec[32];
        CommandNew c = {
                .node_id = 1 + pick(w, NODES), .kind = "list_dir", .spec = spec, .secrets = "sealed"
        };
        int r;

        (void) snprintf(spec, sizeof(spec), "%" PRIu64, key);
        worker_record(w, (Record){ .event = EVENT_ADD_INTENT, .id = key });
        r = queue_add(w->dispatcher, &c, WALL, &id);
        if (r == QUEUE_E_FULL)
                return;
        CHECK_INT(r, 0);
        worker_record(w, (Record){ .event = EVENT_ADDED, .id = id, .key = key });
}

/* A free place among what this worker's agent of that node holds; HOLD_MAX: none. */
static unsigned held_find(const Worker *w, unsigned node, bool used) {
        for (unsigned i = 0; i < HOLD_MAX; i++)
                if ((w->held[node][i].id != 0) == used)
                        return i;
        return HOLD_MAX;
}

static void held_drop(Worker *w, unsigned node, unsigned i) {
        w->held[node][i] = (CommandRef){};
        w->accepted[node][i] = false;
}

static void worker_claim(Worker *w, unsigned node) {
        _cleanup_(command_list_done) CommandList l = COMMAND_LIST_NULL;
        unsigned at = held_find(w, node, false);
        QueueClaim claim = {
                .node_id = node + 1,
                .agent_id = w->agent,
                .holding = w->held[node],
                .n_holding = HOLD_MAX,
                .probes = 2,
                .now = virtual_now(),
                .wall = WALL,
        };
        int r;

        if (at >= HOLD_MAX)
                return;
        r = queue_claim(w->api, &claim, &l);
        if (r == QUEUE_E_EMPTY)
                return;
        CHECK_INT(r, 0);
        for (size_t i = 0; i < l.n; i++) {
                CHECK_INT(l.items[i].state, COMMAND_DISPATCHED);
                CHECK_STR(l.items[i].agent_id, w->agent);
                at = held_find(w, node, false);
                if (at >= HOLD_MAX) /* it is lost on the way, then */
                        break;
                w->held[node][at] = (CommandRef){ .id = l.items[i].id, .attempt = l.items[i].attempt };
        }
}

static void worker_accept(Worker *w, unsigned node, unsigned i) {
        const CommandRef ref = w->held[node][i];
        Stamp now = virtual_now();
        int r;

        r = queue_accept(w->api, &ref, node + 1, &now, WALL);
        if (r != 0) {
                CHECK(r == QUEUE_E_STALE || r == QUEUE_E_GONE);
                held_drop(w, node, i);
                return;
        }
        w->accepted[node][i] = true;
        worker_record(w, (Record){ .event = EVENT_ACCEPTED, .id = ref.id, .attempt = ref.attempt });
}

static void worker_finish(Worker *w, unsigned node, unsigned i) {
        static const CommandState states[] = { COMMAND_SUCCEEDED, COMMAND_PARTIAL, COMMAND_FAILED,
                                               COMMAND_CANCELLED };
        const CommandRef ref = w->held[node][i];
        CommandEnd end = { .state = states[pick(w, ELEMENTSOF(states))], .result = w->agent };
        int r;

        r = queue_finish(w->api, &ref, node + 1, &end, WALL);
        held_drop(w, node, i);
        if (r != 0) {
                CHECK(r == QUEUE_E_STALE || r == QUEUE_E_GONE);
                return;
        }
        worker_record(w, (Record){
                                         .event = EVENT_FINISHED,
                                         .id = ref.id,
                                         .attempt = ref.attempt,
                                         .state = end.state,
                         });
}

static void worker_renew(Worker *w, unsigned node) {
        Stamp now = virtual_now();

        CHECK_INT(queue_renew(w->api, node + 1, w->held[node], HOLD_MAX, &now, NULL), 0);
}

static void worker_progress(Worker *w, unsigned node, unsigned i) {
        Stamp now = virtual_now();
        bool cancel;
        int r;

        r = queue_progress(w->api, &w->held[node][i], node + 1, "{}", &now, &cancel);
        CHECK(r == 0 || r == QUEUE_E_STALE || r == QUEUE_E_GONE);
        if (r != 0 && w->accepted[node][i])
                held_drop(w, node, i);
}

static void worker_expire(Worker *w) {
        _cleanup_(queue_expired_list_done) QueueExpiredList l = QUEUE_EXPIRED_LIST_NULL;
        ApiStamp alive = { .at = virtual_now() };
        Stamp now;
        int r;

        CHECK_INT(api_stamp_write(w->api, &alive), 0);
        now = virtual_now();
        r = queue_expire(w->dispatcher, &now, WALL, &l);
        CHECK(r == 0 || r == QUEUE_E_BLIND);
}

static void worker_cancel(Worker *w) {
        _cleanup_(command_list_done) CommandList l = COMMAND_LIST_NULL;
        CommandFilter open = { .open = true };
        bool ended;
        int r;

        CHECK_INT(queue_list(w->dispatcher, &open, 0, 50, &l), 0);
        if (l.n == 0)
                return;
        r = queue_cancel(w->dispatcher, l.items[pick(w, (unsigned) l.n)].id, WALL, &ended);
        CHECK(r == 0 || r == QUEUE_E_GONE);
}

static void worker_settle(Worker *w) {
        _cleanup_(command_list_done) CommandList l = COMMAND_LIST_NULL;
        int r;

        CHECK_INT(queue_list_unsettled(w->dispatcher, 0, 5, &l), 0);
        for (size_t i = 0; i < l.n; i++) {
                r = queue_settle(w->dispatcher, l.items[i].id);
                CHECK(r == 0 || r == STORE_E_STATE);
        }
}

static void worker_step(Worker *w) {
        unsigned node = pick(w, NODES), i = pick(w, HOLD_MAX), action = pick(w, 100);

        if (action < 20)
                worker_add(w);
        else if (action < 45)
                worker_claim(w, node);
        else if (action < 75) {
                if (w->held[node][i].id == 0 || (w->nonce % 3 == 0 && pick(w, 5) != 0))
                        return;
                if (!w->accepted[node][i] && pick(w, 8) != 0)
                        worker_accept(w, node, i);
                else if (pick(w, 4) == 0)
                        worker_progress(w, node, i);
                else
                        worker_finish(w, node, i);
        } else if (action < 82)
                worker_renew(w, node);
        else if (action < 92)
                worker_expire(w);
        else if (action < 95)
                worker_cancel(w);
        else if (action < 99)
                worker_settle(w);
        else /* an agent that sleeps through its leases, and reports afterwards all the same */
                (void) usleep((useconds_t) pick(w, 200) * 1000);
}

static void worker_open(Worker *w, const World *world, uint64_t nonce) {
        *w = (Worker){ .world = world, .nonce = nonce, .random = world->seed ^ (nonce << 20) };
        (void) snprintf(w->agent, sizeof(w->agent), "%" PRIu64, nonce);
        CHECK_OK(store_open(world->path, STORE_API, &w->api, NULL));
        CHECK_OK(store_open(world->path, STORE_DISPATCHER, &w->dispatcher, NULL));
        w->ledger = open(world->ledger, O_WRONLY | O_APPEND | O_CLOEXEC);
        CHECK_OK(w->ledger);
}

static pid_t worker_spawn(const World *world, uint64_t nonce) {
        Worker w;
        pid_t pid;

        pid = fork();
        CHECK_OK(pid);
        if (pid > 0)
                return pid;
        worker_open(&w, world, nonce);
        for (;;)
                worker_step(&w);
}

/* --- the rounds --- */

static void worker_reap(pid_t pid) {
        int status;

        CHECK_INT(waitpid(pid, &status, 0), pid);
        /* One that ended by itself before was told something impossible. */
        CHECK(WIFSIGNALED(status));
        CHECK_INT(WTERMSIG(status), SIGKILL);
}

static void round_run(World *world, uint64_t *random, uint64_t *nonce) {
        pid_t workers[WORKERS];

        for (unsigned i = 0; i < WORKERS; i++)
                workers[i] = worker_spawn(world, ++*nonce);
        for (unsigned k = 0; k < KILLS_PER_ROUND; k++) {
                unsigned victim = (unsigned) (random_next(random) % WORKERS);

                (void) usleep((useconds_t) (random_next(random) % 80000));
                CHECK_INT(kill(workers[victim], SIGKILL), 0);
                worker_reap(workers[victim]);
                world->kills++;
                workers[victim] = worker_spawn(world, ++*nonce);
        }
        /* All at once: nobody is left to clean up behind anybody. */
        for (unsigned i = 0; i < WORKERS; i++)
                CHECK_INT(kill(workers[i], SIGKILL), 0);
        for (unsigned i = 0; i < WORKERS; i++)
                worker_reap(workers[i]);
        world->kills += WORKERS;
}

/* Brings all that is open to its end, without kills. */
static void world_drain(const World *world, uint64_t nonce) {
        QueueCounts counts;
        Worker w;

        worker_open(&w, world, nonce);
        for (unsigned turn = 0;; turn++) {
                CHECK_INT(queue_counts(w.api, 0, &counts), 0);
                if (counts.pending + counts.dispatched + counts.accepted == 0)
                        break;
                CHECK(turn < 1000000);
                worker_expire(&w);
                for (unsigned node = 0; node < NODES; node++) {
                        worker_claim(&w, node);
                        for (unsigned i = 0; i < HOLD_MAX; i++) {
                                if (w.held[node][i].id != 0 && !w.accepted[node][i])
                                        worker_accept(&w, node, i);
                                if (w.held[node][i].id != 0)
                                        worker_finish(&w, node, i);
                        }
                }
        }
        (void) close(w.ledger);
        store_close(w.api);
        store_close(w.dispatcher);
}

/* --- the books --- */

static int64_t number(Store *s, const char *sql) {
        int64_t v = -1;

        CHECK_OK(store_raw_number(s, sql, &v));
        return v;
}

/* Each line counts violations: all must be 0. */
static const struct {
        const char *what;
        const char *sql;
} laws[] = {
        { "commands that are still open", "SELECT count(*) FROM commands WHERE state < 3" },
        { "commands that did not end exactly once",
          "SELECT count(*) FROM commands c WHERE (SELECT count(*) FROM history h WHERE h.command = c.id"
          " AND h.old_state < 3 AND h.new_state >= 3) <> 1" },
        { "changes of the state or attempt of an ended command",
          "SELECT count(*) FROM history WHERE old_state >= 3" },
        { "changes of state that do not exist",
          "SELECT count(*) FROM history WHERE old_state <> new_state AND (old_state, new_state) NOT IN"
          " (VALUES (0, 1), (0, 7), (1, 0), (1, 2), (1, 3), (1, 4), (1, 5), (1, 7),"
          " (2, 3), (2, 4), (2, 5), (2, 6), (2, 7))" },
        { "cancellations of what was out, that its agent did not report",
          "SELECT count(*) FROM history WHERE new_state = 7 AND result IS NULL"
          " AND (old_state = 2 OR (old_state = 1 AND asked = 0))" },
        { "claims that did not raise the attempt by one",
          "SELECT count(*) FROM history WHERE old_state = 0 AND new_state = 1"
          " AND new_attempt <> old_attempt + 1" },
        { "attempts that changed without a claim",
          "SELECT count(*) FROM history WHERE NOT (old_state = 0 AND new_state = 1)"
          " AND new_attempt <> old_attempt" },
        { "attempts that were claimed twice",
          "SELECT count(*) FROM (SELECT 1 FROM history WHERE old_state = 0 AND new_state = 1"
          " GROUP BY command, new_attempt HAVING count(*) > 1)" },
        { "results of another agent than the one of the last claim",
          "SELECT count(*) FROM commands WHERE result IS NOT NULL AND result <> agent_id" },
        { "secrets that outlived their command", "SELECT count(*) FROM commands WHERE secrets IS NOT NULL" },
        { "commands added twice", "SELECT count(*) - count(DISTINCT spec) FROM commands" },
        { "timeouts that were not counted once",
          "SELECT (SELECT count(*) FROM commands WHERE state = 6)"
          " <> (SELECT value FROM counters WHERE name = 'timeouts')" },
        /* A renewal between the look and the verdict. Not the whole ten minutes: stamps of several APIs
           cross. */
        { "leases that ended early",
          "SELECT count(*) FROM history WHERE new_state = 6 AND silent_since IS NULL" },
        { "commands that nobody meant to add",
          "SELECT count(*) FROM commands c WHERE NOT EXISTS (SELECT 1 FROM ledger l WHERE l.event = 0"
          " AND l.id = CAST(c.spec AS INTEGER))" },
        { "additions that were told and lost",
          "SELECT count(*) FROM ledger l WHERE l.event = 1 AND NOT EXISTS (SELECT 1 FROM commands c"
          " WHERE c.id = l.id AND CAST(c.spec AS INTEGER) = l.key)" },
        { "acceptances that were told and are not there, or are another's",
          "SELECT count(*) FROM ledger l WHERE l.event = 2 AND NOT EXISTS (SELECT 1 FROM history h"
          " WHERE h.command = l.id AND h.old_state = 1 AND h.new_state = 2 AND h.new_attempt = l.attempt"
          " AND CAST(h.agent AS INTEGER) = l.nonce)" },
        { "results that were told and are not there, or are another's",
          "SELECT count(*) FROM ledger l WHERE l.event = 3 AND NOT EXISTS (SELECT 1 FROM commands c"
          " WHERE c.id = l.id AND c.state = l.state AND c.attempt = l.attempt"
          " AND CAST(c.result AS INTEGER) = l.nonce)" },
        { "commands that two were told to have ended",
          "SELECT count(*) FROM (SELECT 1 FROM ledger WHERE event = 3 GROUP BY id HAVING count(*) > 1)" },
};

static void ledger_load(const World *world, Store *s) {
        _cleanup_close_ int fd = -EBADF;
        char sql[200];
        Record x;

        fd = open(world->ledger, O_RDONLY | O_CLOEXEC);
        CHECK_OK(fd);
        CHECK_OK(store_raw(
                        s,
                        "CREATE TEMP TABLE ledger (event INTEGER, attempt INTEGER, id INTEGER, key INTEGER,"
                        " nonce INTEGER, state INTEGER); BEGIN"));
        while (read_full(fd, &x, sizeof(x)) == sizeof(x)) {
                CHECK(x.event < _EVENT_MAX);
                (void) snprintf(sql, sizeof(sql),
                                "INSERT INTO ledger VALUES (%" PRIu32 ", %" PRIu32 ", %" PRIu64 ", %" PRIu64
                                ", %" PRIu64 ", %" PRIu64 ")",
                                x.event, x.attempt, x.id, x.key, x.nonce, x.state);
                CHECK_OK(store_raw(s, sql));
        }
        CHECK_OK(store_raw(s, "COMMIT; CREATE INDEX temp.ledger_id ON ledger (id, event)"));
}

static void world_compare(const World *world) {
        _cleanup_(store_closep) Store *s = NULL;
        unsigned broken = 0;

        CHECK_OK(store_open(world->path, STORE_DISPATCHER, &s, NULL));
        CHECK_OK(store_check(s, NULL));
        ledger_load(world, s);
        for (size_t i = 0; i < ELEMENTSOF(laws); i++) {
                int64_t n = number(s, laws[i].sql);

                if (n == 0)
                        continue;
                fprintf(stderr, "%" PRIi64 " %s\n", n, laws[i].what);
                broken++;
        }
        fprintf(stderr,
                "#   %u kills, %" PRIi64 " commands, %" PRIi64 " claims, %" PRIi64 " acceptances, %" PRIi64
                " returned, %" PRIi64 " results, %" PRIi64 " timeouts, %" PRIi64
                " cancelled while waiting\n",
                world->kills, number(s, "SELECT count(*) FROM commands"),
                number(s, "SELECT count(*) FROM history WHERE old_state = 0 AND new_state = 1"),
                number(s, "SELECT count(*) FROM history WHERE old_state = 1 AND new_state = 2"),
                number(s, "SELECT count(*) FROM history WHERE old_state = 1 AND new_state = 0"),
                number(s, "SELECT count(*) FROM commands WHERE result IS NOT NULL"),
                number(s, "SELECT count(*) FROM commands WHERE state = 6"),
                number(s, "SELECT count(*) FROM history WHERE old_state = 0 AND new_state = 7"));
        /* A test that did not meet what it is about proves nothing. */
        CHECK(number(s, "SELECT count(*) FROM commands WHERE state = 6") > 0);
        CHECK(number(s, "SELECT count(*) FROM history WHERE old_state = 1 AND new_state = 0") > 0);
        CHECK(number(s, "SELECT count(*) FROM history WHERE old_state = 0 AND new_state = 7") > 0);
        CHECK(number(s, "SELECT count(*) FROM history WHERE new_attempt > 2") > 0);
        if (broken > 0)
                TEST_FAIL("%u laws broken; seed %" PRIu64, broken, world->seed);
}

/* --- the world --- */

static const char history_sql[] =
                "CREATE TABLE history (command INTEGER, old_state INTEGER, new_state INTEGER,"
                " old_attempt INTEGER, new_attempt INTEGER, agent TEXT, asked INTEGER, result TEXT,"
                " silent_since INTEGER);"
                "CREATE INDEX history_command ON history (command);"
                "CREATE TABLE newest (mono INTEGER);"
                "INSERT INTO newest VALUES (0);"
                "CREATE TRIGGER stamp_made AFTER INSERT ON api_stamp BEGIN"
                "  UPDATE newest SET mono = max(mono, new.mono); END;"
                /* Several APIs write the stamp here, and one that had to wait writes an old one. */
                "CREATE TRIGGER stamp_changed AFTER UPDATE ON api_stamp BEGIN"
                "  UPDATE newest SET mono = max(mono, new.mono); END;"
                "CREATE TRIGGER history AFTER UPDATE OF state, attempt ON commands BEGIN"
                "  INSERT INTO history VALUES (old.id, old.state, new.state, old.attempt, new.attempt,"
                "  new.agent_id, old.cancel, new.result,"
                /* The verdict's clock is ahead of the newest stamp by less than a fresh one may be old. */
                "  CASE WHEN (SELECT mono FROM newest) - old.heard_mono >= 595000000"
                "  THEN old.heard_mono END); END";

static void world_init(World *world) {
        const char *seed = getenv("BACKUPX_TEST_SEED"), *rounds = getenv("BACKUPX_TEST_ROUNDS");
        _cleanup_(store_closep) Store *s = NULL;
        _cleanup_close_ int fd = -EBADF;
        uint64_t id;

        *world = (World){ .directory = "/tmp/test-kill-XXXXXX", .seed = now_usec(CLOCK_REALTIME) };
        if (!isempty(seed))
                world->seed = strtoull(seed, NULL, 10);
        world->rounds = isempty(getenv("BACKUPX_TEST_LONG")) ? 50 : 500;
        if (!isempty(rounds))
                world->rounds = (unsigned) strtoul(rounds, NULL, 10);
        fprintf(stderr, "#   seed %" PRIu64 ", %u rounds\n", world->seed, world->rounds);

        CHECK(mkdtemp(world->directory));
        (void) snprintf(world->path, sizeof(world->path), "%s/backupx.db", world->directory);
        (void) snprintf(world->ledger, sizeof(world->ledger), "%s/ledger", world->directory);
        fd = open(world->ledger, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        CHECK_OK(fd);

        CHECK_OK(store_open(world->path, STORE_API, &s, NULL));
        for (unsigned i = 1; i < NODES; i++) {
                char name[16];

                (void) snprintf(name, sizeof(name), "node-%u", i);
                CHECK_INT(node_add(s, name, NULL, WALL, &id), 0);
                CHECK_INT(id, i + 1);
        }
        CHECK_OK(store_raw(s, history_sql));
}

static void world_done(const World *world) {
        static const char *const suffixes[] = { "", "-wal", "-shm" };
        char path[64];

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                (void) snprintf(path, sizeof(path), "%s%s", world->path, suffixes[i]);
                (void) unlink(path);
        }
        (void) unlink(world->ledger);
        CHECK_INT(rmdir(world->directory), 0);
}

static void test_kill(void) {
        uint64_t random, nonce = 0;
        World world;

        world_init(&world);
        random = world.seed;
        for (unsigned i = 0; i < world.rounds; i++) {
                _cleanup_(store_closep) Store *s = NULL;

                round_run(&world, &random, &nonce);
                CHECK_OK(store_open(world.path, STORE_READONLY, &s, NULL));
                CHECK_OK(store_check(s, NULL));
        }
        world_drain(&world, ++nonce);
        world_compare(&world);
        world_done(&world);
}

int main(void) {
        RUN(test_kill);
        return EXIT_SUCCESS;
}
