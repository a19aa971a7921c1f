/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "cli/follow.h"
#include "cli/human.h"
#include "cli/show.h"
#include "cli/table.h"

/* Twice a second is what an agent reports at most. */
#define POLL_USEC (500 * USEC_PER_MSEC)
#define LOG_PAGE 500
#define BAR_MAX 40U
/* So many failed questions in a row before a wait gives up: a restart of the master is ridden out. */
#define FAILURES_MAX 60U

static bool is_final(const char *state) {
        static const char *const states[] = { "succeeded", "partial", "failed",
                                              "cancelled", "missed", "interrupted" };

        for (size_t i = 0; i < ELEMENTSOF(states); i++)
                if (streq(states[i], state))
                        return true;
        return false;
}

static int exit_status(const char *state) {
        return streq(state, "succeeded")        ? EXIT_DONE :
                        streq(state, "partial") ? EXIT_RUN_PARTIAL :
                                                  EXIT_RUN_FAILED;
}

static uint64_t number(const json_t *run, const char *field) {
        return (uint64_t) json_integer_value(show_lookup(run, field));
}

static void pause_poll(void) {
        struct timespec t = { .tv_nsec = POLL_USEC * 1000 };

        (void) nanosleep(&t, NULL);
}

static size_t terminal_columns(void) {
        struct winsize size;

        return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

int follow_bar(const json_t *run, size_t columns, char **ret) {
        const char *state = strempty(json_string_value(json_object_get(run, "state")));
        uint64_t done = number(run, "progress.bytes_read|bytes_read");
        uint64_t total = number(run, "progress.bytes_total|bytes_total");
        uint64_t files = number(run, "progress.files_done|files");
        _cleanup_(buffer_done) Buffer b = BUFFER_NULL;
        char read[HUMAN_MAX];
        size_t width = MIN(BAR_MAX, columns / 3), full;
        int r;

        assert(ret);

        r = buffer_printf(&b, "%-10s ", state);
        if (r >= 0 && total > 0) {
                full = (size_t) ((double) MIN(done, total) / (double) total * (double) width);
                r = buffer_add_string(&b, "[");
                for (size_t i = 0; i < width && r >= 0; i++)
                        r = buffer_add_string(&b, i < full ? "#" : "-");
                if (r >= 0)
                        r = buffer_printf(&b, "] %3" PRIu64 " %%  ", MIN(done, total) * 100 / total);
        }
        if (r >= 0)
                r = buffer_printf(&b, "%s, %" PRIu64 " files", human_size(read, done), files);
        if (r < 0)
                return r;
        /* All of it is ASCII, so that bytes are columns. */
        if (b.size >= columns && columns > 0)
                b.data[b.size = columns - 1] = 0;
        *ret = buffer_take(&b);
        return *ret ? 0 : -ENOMEM;
}

static void draw(const json_t *run) {
        _cleanup_(freep) char *bar = NULL;

        if (follow_bar(run, terminal_columns(), &bar) >= 0)
                fprintf(stderr, "\r\033[K%s", bar);
}

static int print_end(const Cli *c, const json_t *run, uint64_t id) {
        const char *state = strempty(json_string_value(json_object_get(run, "state")));
        const json_t *error = show_lookup(run, "error.message|error");
        _cleanup_(freep) char *safe = NULL;
        char read[HUMAN_MAX], written[HUMAN_MAX];

        assert(c);

        if (c->json)
                return show_json(run);
        if (c->quiet)
                return 0;
        printf("Run %" PRIu64 " %s: %" PRIu64 " files, %s read, %s written\n", id, state,
               number(run, "files"), human_size(read, number(run, "bytes_read")),
               human_size(written, number(run, "bytes_written")));
        if (json_is_string(error) && text_safe(json_string_value(error), &safe) >= 0)
                printf("%s\n", safe);
        return 0;
}

/* Asks for the run; a server that is away for a moment is asked again. */
static int ask(Cli *c, uint64_t run, unsigned *failures, json_t **ret) {
        int r;

        assert(c);

        r = cli_get(c, ret, "runs/%" PRIu64, run);
        if (r != -EHOSTUNREACH || ++*failures > FAILURES_MAX) {
                *failures = r < 0 ? *failures : 0;
                return r;
        }
        failure_done(&c->failure);
        return 0;
}

int follow_run(Cli *c, uint64_t run) {
        bool terminal = isatty(STDERR_FILENO) && !c->quiet;
        unsigned failures = 0;
        int r;

        assert(c);

        for (;;) {
                _cleanup_json_ json_t *now = NULL;
                const char *state;

                r = ask(c, run, &failures, &now);
                if (r < 0)
                        return r;
                state = json_string_value(json_object_get(now, "state"));
                if (now && terminal)
                        draw(now);
                if (state && is_final(state)) {
                        if (terminal)
                                fprintf(stderr, "\r\033[K");
                        r = print_end(c, now, run);
                        return r < 0 ? r : exit_status(state);
                }
                pause_poll();
        }
}

static int print_lines(const Cli *c, const json_t *lines, uint64_t *after) {
        json_t *line;
        size_t i;
        int r;

        assert(c);

        json_array_foreach(lines, i, line) {
                const char *text = strempty(json_string_value(show_lookup(line, "text|message")));
                const char *time = strempty(json_string_value(show_lookup(line, "time|t")));
                _cleanup_(freep) char *safe = NULL;
                char local[HUMAN_MAX];

                *after = MAX(*after, number(line, "sequence|seq|id"));
                if (c->json) {
                        _cleanup_(freep) char *json = json_dumps(line, JSON_COMPACT);

                        puts(strempty(json));
                        continue;
                }
                r = text_safe(text, &safe);
                if (r < 0)
                        return r;
                printf("%s %-7s %s\n", human_time(local, time),
                       strempty(json_string_value(json_object_get(line, "level"))), safe);
        }
        return fflush(stdout) == 0 ? 0 : -errno;
}

/* All lines behind *after that are there. */
static int drain_logs(Cli *c, uint64_t run, uint64_t *after) {
        int r;

        for (;;) {
                _cleanup_json_ json_t *page = NULL;
                uint64_t before = *after;
                const json_t *lines;

                r = cli_get(c, &page, "runs/%" PRIu64 "/logs?after=%" PRIu64 "&limit=%d", run, *after,
                            LOG_PAGE);
                if (r < 0)
                        return r;
                lines = json_is_array(page) ? page : json_object_get(page, "items");
                r = print_lines(c, lines, after);
                if (r < 0)
                        return r;
                if (json_array_size(lines) < LOG_PAGE || *after == before)
                        return 0;
        }
}

int follow_logs(Cli *c, uint64_t run, bool follow) {
        uint64_t after = 0;
        unsigned failures = 0;
        int r;

        assert(c);

        for (;;) {
                _cleanup_json_ json_t *now = NULL;
                const char *state;

                /* The state is asked for first: what is logged before the end is then surely seen. */
                r = follow ? ask(c, run, &failures, &now) : 0;
                if (r >= 0 && (now || !follow))
                        r = drain_logs(c, run, &after);
                if (r < 0 && (r != -EHOSTUNREACH || !follow || ++failures > FAILURES_MAX))
                        return r;
                state = json_string_value(json_object_get(now, "state"));
                if (!follow)
                        return EXIT_DONE;
                if (state && is_final(state))
                        return exit_status(state);
                pause_poll();
        }
}
