/* SPDX-License-Identifier: Apache-2.0 */

/* What of a backup's problems a result names, and in which order. */

#include <stdlib.h>

#include "agent/job/verdict.h"
#include "base/alloc.h"
#include "tests/test.h"

static ArchiveProblem problem(const char *path, bool lost) {
        return (ArchiveProblem){
                .path = strdup(path), .code = strdup("CODE"), .message = strdup("why"), .lost = lost
        };
}

/* The first that is named stands for the loss. */
static void test_lost_first(void) {
        _cleanup_(backup_outcome_done) BackupOutcome o = BACKUP_OUTCOME_NULL;
        ArchiveProblem problems[] = {
                problem("/changed", false),
                problem("/lost", true),
                problem("/grew", false),
                problem("/gone", true),
        };
        static const char *const order[] = { "/lost", "/gone", "/changed", "/grew" };

        CHECK_OK(job_take_problems(problems, ELEMENTSOF(problems), &o.figures));
        CHECK_INT(o.figures.n_errors, ELEMENTSOF(order));
        for (size_t i = 0; i < ELEMENTSOF(order); i++)
                CHECK_STR(o.figures.errors[i].path, order[i]);
        CHECK(!problems[0].path && !problems[1].path);
}

/* Those beyond the limit stay with their owner, and none that is lost is among them. */
static void test_too_many(void) {
        _cleanup_(backup_outcome_done) BackupOutcome o = BACKUP_OUTCOME_NULL;
        ArchiveProblem problems[RESULT_ERRORS_MAX + 1];
        size_t n = ELEMENTSOF(problems);

        for (size_t i = 0; i < n; i++)
                problems[i] = problem("/p", i == n - 1);
        CHECK_OK(job_take_problems(problems, n, &o.figures));
        CHECK_INT(o.figures.n_errors, RESULT_ERRORS_MAX);
        CHECK(!problems[n - 1].path && problems[n - 2].path);
        for (size_t i = 0; i < n; i++)
                archive_problem_done(problems + i);
}

static void test_none(void) {
        _cleanup_(backup_outcome_done) BackupOutcome o = BACKUP_OUTCOME_NULL;

        CHECK_OK(job_take_problems(NULL, 0, &o.figures));
        CHECK_INT(o.figures.n_errors, 0);
        CHECK(!o.figures.errors);
}

int main(void) {
        RUN(test_lost_first);
        RUN(test_too_many);
        RUN(test_none);
        return EXIT_SUCCESS;
}
