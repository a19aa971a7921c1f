/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "services/api/workers.h"
#include "sys/event.h"
#include "tests/test.h"

typedef struct Count {
        sd_event *event;
        unsigned expected;
        unsigned done, dropped;
} Count;

typedef struct Job {
        Count *count;
        unsigned in, out;
} Job;

static void run(void *userdata) {
        Job *j = userdata;

        j->out = j->in * 2;
}

static void run_slowly(void *userdata) {
        (void) usleep(20 * 1000);
        run(userdata);
}

static void done(void *userdata) {
        Job *j = userdata;

        CHECK_INT(j->out, j->in * 2);
        if (++j->count->done == j->count->expected)
                CHECK_OK(sd_event_exit(j->count->event, 0));
        free(j);
}

static void drop(void *userdata) {
        Job *j = userdata;

        j->count->dropped++;
        free(j);
}

static int submit(Workers *w, Count *count, unsigned in, WorkerRun how) {
        Job *j = calloc(1, sizeof(*j));
        int r;

        CHECK(j);
        *j = (Job){ .count = count, .in = in };
        r = workers_submit(w, &(WorkerJob){ .run = how, .done = done, .drop = drop, .userdata = j });
        if (r < 0)
                free(j);
        return r;
}

static void test_all_come_back(void) {
        _cleanup_event_ sd_event *event = NULL;
        _cleanup_(workers_freep) Workers *w = NULL;
        Count count = {};

        CHECK_OK(event_new(&event));
        CHECK_OK(workers_new(event, &w));
        count = (Count){ .event = event, .expected = WORKERS_JOBS_MAX };
        for (unsigned i = 0; i < WORKERS_JOBS_MAX; i++)
                CHECK_OK(submit(w, &count, i, run));
        CHECK_OK(sd_event_loop(event));
        CHECK_INT(count.done, WORKERS_JOBS_MAX);
        CHECK_INT(count.dropped, 0);
}

static void test_limit_and_stop(void) {
        _cleanup_event_ sd_event *event = NULL;
        Workers *w = NULL;
        Count count = {};

        CHECK_OK(event_new(&event));
        CHECK_OK(workers_new(event, &w));
        count.event = event;
        for (unsigned i = 0; i < WORKERS_JOBS_MAX; i++)
                CHECK_OK(submit(w, &count, i, run_slowly));
        /* Until the loop took them back they count, done or not. */
        CHECK_INT(submit(w, &count, 0, run), -EBUSY);
        CHECK(!workers_free(w));
        CHECK_INT(count.done, 0);
        CHECK_INT(count.dropped, WORKERS_JOBS_MAX);
}

int main(void) {
        RUN(test_all_come_back);
        RUN(test_limit_and_stop);
        return 0;
}
