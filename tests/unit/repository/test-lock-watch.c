/* SPDX-License-Identifier: Apache-2.0 */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "repository/lock-watch.h"
#include "repository/polynomial.h"
#include "tests/test.h"
#include "wire/json.h"

#define PATIENCE (60 * USEC_PER_SEC)
#define STEP (2 * USEC_PER_MSEC)

static const RepoLockTimes quick = {
        .refresh = STEP,
        .retry = STEP,
        .give_up = USEC_PER_HOUR,
};

/* A repository in a folder of its own, and a lock in it that is watched. */
typedef struct Ground {
        char folder[40], locks[60], away[80];
        Storage *storage;
        Repository *repository;
        RepoLockWatch *watch;
} Ground;

static void ground_init(Ground *g, const RepoLockTimes *times) {
        _cleanup_failure_ Failure f = FAILURE_NULL;
        _cleanup_json_ json_t *config = NULL;
        RepositoryNew n = { .chunker = CHUNKER_GEAR, .hostname = "web-1" };
        RepositoryArgs args = { .prefix = "", .password = "word" };
        RepoLockArgs lock = { .times = *times };
        StorageConfig c = { .id = 1, .type = "local" };

        *g = (Ground){ .folder = "/tmp/backupx-lock-watch-XXXXXX" };
        CHECK(mkdtemp(g->folder));
        (void) snprintf(g->locks, sizeof g->locks, "%s/locks", g->folder);
        (void) snprintf(g->away, sizeof g->away, "%s.away", g->locks);
        config = json_pack("{s:s}", "path", g->folder);
        c.config = config;
        CHECK_OK(storage_open(&c, &g->storage, &f));
        args.storage = g->storage;
        CHECK_OK(polynomial_random(&n.chunker_polynomial));
        CHECK_OK(repository_init(&args, &n, &f));
        CHECK_OK(repository_open(&args, &g->repository, &f));
        CHECK_OK(repo_lock_watch_new(g->repository, &lock, &g->watch, &f));
}

static void ground_done(Ground *g) {
        _cleanup_(freep) char *command = NULL;

        repo_lock_watch_free(g->watch);
        repository_free(g->repository);
        storage_free(g->storage);
        CHECK_OK(asprintf_safe(&command, "rm -r %s", g->folder));
        CHECK_INT(system(command), 0);
}

/* A file is where the locks were, or they are back. */
static void exchange(const Ground *g) {
        if (access(g->away, F_OK) < 0)
                CHECK_OK(write_file_atomic(AT_FDCWD, g->away, "x", 1, 0600));
        CHECK_OK(renameat2(AT_FDCWD, g->locks, AT_FDCWD, g->away, RENAME_EXCHANGE));
}

/* How many locks there are, and the name of one. */
static unsigned count(const Ground *g, char name[static 256]) {
        DIR *dir = opendir(g->locks);
        unsigned n = 0;

        if (!dir) /* the last one leaves nothing */
                return 0;
        for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
                if (e->d_name[0] == '.')
                        continue;
                (void) snprintf(name, 256, "%s", e->d_name);
                n++;
        }
        (void) closedir(dir);
        return n;
}

/* Until there is another lock than this one, which it becomes. */
static void wait_for_other(const Ground *g, char name[static 256]) {
        usec_t end = now_usec(CLOCK_MONOTONIC) + PATIENCE;
        char other[256] = "";

        do {
                CHECK(now_usec(CLOCK_MONOTONIC) < end);
                (void) usleep(STEP);
        } while (count(g, other) == 0 || streq(name, other));
        (void) snprintf(name, 256, "%s", other);
}

/* Until it is lost, with words that say how. */
static void wait_for_loss(Ground *g, const char *words) {
        usec_t end = now_usec(CLOCK_MONOTONIC) + PATIENCE;
        _cleanup_failure_ Failure f = FAILURE_NULL;

        while (repo_lock_watch_alive(g->watch, NULL) >= 0) {
                CHECK(now_usec(CLOCK_MONOTONIC) < end);
                (void) usleep(STEP);
        }
        CHECK_INT(repo_lock_watch_alive(g->watch, &f), -ESTALE);
        CHECK_STR(f.code, "LOCK_LOST");
        CHECK(strstr(f.message, words));
        CHECK_INT(repo_lock_watch_check(g->watch, NULL), -ESTALE);
}

static void test_refresh(void) {
        char name[256] = "";
        Ground g;

        ground_init(&g, &quick);
        for (unsigned i = 0; i < 5; i++) {
                wait_for_other(&g, name);
                CHECK(count(&g, name) <= 2);
                CHECK_OK(repo_lock_watch_check(g.watch, NULL));
        }
        g.watch = repo_lock_watch_free(g.watch);
        CHECK_INT(count(&g, name), 0);
        ground_done(&g);
}

/* The storage fails for a while, within the time that is given. */
static void test_fails(void) {
        char name[256] = "";
        Ground g;

        ground_init(&g, &quick);
        wait_for_other(&g, name);
        exchange(&g);
        (void) usleep(10 * STEP);
        CHECK_OK(repo_lock_watch_alive(g.watch, NULL));
        exchange(&g);
        wait_for_other(&g, name);
        CHECK_OK(repo_lock_watch_check(g.watch, NULL));
        ground_done(&g);
}

/* It fails for too long; that it works again then is no help. */
static void test_give_up(void) {
        RepoLockTimes times = quick;
        Ground g;

        times.give_up = USEC_PER_SEC / 2;
        ground_init(&g, &times);
        exchange(&g);
        wait_for_loss(&g, "could not be refreshed");
        exchange(&g);
        wait_for_loss(&g, "could not be refreshed");
        ground_done(&g);
}

static void test_removed(void) {
        char name[256] = "";
        Ground g;

        ground_init(&g, &quick);
        wait_for_other(&g, name);
        CHECK_OK(rename(g.locks, g.away));
        wait_for_loss(&g, "removed by somebody else");
        ground_done(&g);
}

int main(void) {
        RUN(test_refresh);
        RUN(test_fails);
        RUN(test_give_up);
        RUN(test_removed);
        return 0;
}
