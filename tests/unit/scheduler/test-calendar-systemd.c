/* SPDX-License-Identifier: Apache-2.0 */

/* Our reading of calendar events against the one of systemd-analyze, over expressions made at random. The
 * seed is fixed, so that a failure comes again. */

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "tests/test.h"
#include "wire/calendar.h"

#define EXPRESSIONS 150
#define ITERATIONS 5
#define BASE "2026-11-22 22:15:01 UTC"
#define BASE_RFC3339 "2026-11-22T22:15:01Z"

static uint32_t draw(uint32_t *state, uint32_t n) {
        *state = *state * 1664525 + 1013904223;
        return (*state >> 8) % n;
}

static const char *pick(uint32_t *state, const char *const *items, size_t n) {
        return items[draw(state, (uint32_t) n)];
}

#define PICK(...) \
        pick(state, (const char *const[]){ __VA_ARGS__ }, ELEMENTSOF(((const char *const[]){ __VA_ARGS__ })))

static char *make_expression(uint32_t *state) {
        const char *weekday = PICK("", "", "Mon..Fri ", "Sat,Sun ", "Wed ", "Mon,Wed..Fri ", "Tuesday ");
        const char *date = PICK("", "*-*-* ", "*-*-1 ", "*-02-29 ", "*-*~1 ", "*-*~07/1 ", "*-*~1..4 ",
                                "2027-*-* ", "2026..2030-1,7-2..9/2 ", "*-1/3-5 ", "12-24 ", "*-02~3 ",
                                "27-3-1/10 ", "*-*-31 ");
        const char *hour = PICK("*", "0", "02", "0/6", "8..17", "1..20/3", "22,23", "0..4,20");
        const char *minute = PICK("*", "0", "30", "0/15", "5..50/5", "7,11", "59");
        const char *second = PICK("", "", ":00", ":30", ":0/20", ":1..3");
        char *text;

        CHECK_OK(asprintf_safe(&text, "%s%s%s:%s%s", weekday, date, hour, minute, second));
        return text;
}

static char *ask_systemd(char **expressions) {
        _cleanup_buffer_ Buffer output = BUFFER_NULL;
        _cleanup_(freep) char **argv = new0(char *, EXPRESSIONS + 8);
        char chunk[4096];
        int pipes[2], status;
        size_t n = 0;
        ssize_t got;
        pid_t pid;

        CHECK(argv);
        argv[n++] = (char *) "systemd-analyze";
        argv[n++] = (char *) "calendar";
        argv[n++] = (char *) "--iterations=5";
        argv[n++] = (char *) "--base-time=" BASE;
        for (size_t i = 0; i < EXPRESSIONS; i++)
                argv[n++] = expressions[i];

        CHECK_OK(pipe(pipes));
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                (void) dup2(pipes[1], STDOUT_FILENO);
                (void) close(pipes[0]);
                (void) setenv("TZ", "UTC", 1);
                (void) setenv("LC_ALL", "C.UTF-8", 1);
                execvp(argv[0], argv);
                _exit(TEST_SKIP);
        }
        (void) close(pipes[1]);
        while ((got = read(pipes[0], chunk, sizeof chunk)) > 0)
                CHECK_OK(buffer_add(&output, chunk, (size_t) got));
        (void) close(pipes[0]);
        CHECK(waitpid(pid, &status, 0) == pid);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                return NULL;
        return buffer_take(&output);
}

/* "    Next elapse: Mon 2026-11-23 02:30:00 UTC" and "       Iter. #2: …"; gives false at other lines. */
static bool read_time(const char *line, usec_t *ret) {
        char date[16], time[16];
        _cleanup_(freep) char *text = NULL;
        const char *at;

        at = strstr(line, "Next elapse: ");
        if (!at)
                at = strstr(line, "Iter. #");
        if (!at)
                return false;
        at = strchr(at, ':') + 2;
        if (startswith(at, "never")) {
                *ret = USEC_INFINITY;
                return true;
        }
        CHECK_INT(sscanf(at, "%*3s %15s %15s UTC", date, time), 2);
        CHECK_OK(asprintf_safe(&text, "%sT%sZ", date, time));
        CHECK_OK(parse_rfc3339(text, ret));
        return true;
}

/* The answers of one expression: everything up to the next "Original form" or "Normalized form" pair. */
static char *compare(const char *expression, char *output) {
        _cleanup_(timetable_freep) Timetable *s = NULL;
        char *line, *rest = output;
        unsigned n = 0;
        usec_t t;

        if (timetable_new(expression, "UTC", &s, NULL) < 0)
                s = NULL;
        CHECK_OK(parse_rfc3339(BASE_RFC3339, &t));

        while ((line = strsep(&rest, "\n"))) {
                usec_t theirs, ours = USEC_INFINITY;

                if (line[0] == 0)
                        break;
                if (!read_time(line, &theirs))
                        continue;
                n++;
                if (s && timetable_next(s, t, &ours) == 0)
                        t = ours;
                if (ours != theirs)
                        TEST_FAIL("'%s', number %u: ours is %" PRIu64 ", theirs %" PRIu64, expression, n,
                                  ours, theirs);
        }
        CHECK(n > 0);
        return rest;
}

int main(void) {
        _cleanup_(strv_freep) char **expressions = new0(char *, EXPRESSIONS + 1);
        _cleanup_(freep) char *output = NULL;
        uint32_t state = 20261122;
        char *rest;

        CHECK(expressions);
        for (size_t i = 0; i < EXPRESSIONS; i++)
                expressions[i] = make_expression(&state);
        fprintf(stderr, "# %d expressions read by systemd-analyze\n", EXPRESSIONS);
        output = ask_systemd(expressions);
        if (!output) {
                fprintf(stderr, "There is no systemd-analyze that knows --iterations and --base-time\n");
                return TEST_SKIP;
        }
        rest = output;
        for (size_t i = 0; i < EXPRESSIONS; i++) {
                CHECK(rest);
                rest = compare(expressions[i], rest);
        }
        return 0;
}
