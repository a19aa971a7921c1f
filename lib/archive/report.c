/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "archive/report.h"
#include "base/alloc.h"
#include "base/text.h"
#include "wire/path.h"

int report_init(Report *r) {
        int k;

        assert(r);

        *r = (Report){};
        k = pthread_mutex_init(&r->lock, NULL);
        return -k;
}

void report_done(Report *r) {
        assert(r);

        archive_problems_free(r->errors, r->n_errors);
        for (size_t i = 0; i < r->n_lines; i++)
                free(r->lines[i].text);
        free(r->current);
        failure_done(&r->failure);
        (void) pthread_mutex_destroy(&r->lock);
}

/* Takes over text, which may be NULL where memory ended. */
static void line_add(Report *r, ArchiveLogLevel level, char *text) {
        if (!text || r->n_lines == REPORT_LINES_MAX) {
                free(text);
                r->lines_dropped++;
                return;
        }
        r->lines[r->n_lines++] = (ReportLine){ level, text };
}

void report_log(Report *r, ArchiveLogLevel level, const char *format, ...) {
        char *text = NULL;
        va_list ap;

        assert(r);
        assert(format);

        va_start(ap, format);
        (void) !vasprintf_safe(&text, format, ap);
        va_end(ap);
        (void) pthread_mutex_lock(&r->lock);
        line_add(r, level, text);
        (void) pthread_mutex_unlock(&r->lock);
}

static void error_done(ArchiveProblem *e) {
        free(e->path);
        free(e->code);
        free(e->message);
        *e = (ArchiveProblem){};
}

/* Makes room for one that is lost: at the cost of the last that is not. */
static bool error_make_room(Report *r, bool lost) {
        size_t i = r->n_errors;

        if (r->n_errors < ARCHIVE_PROBLEMS_MAX)
                return true;
        while (lost && i > 0 && r->errors[i - 1].lost)
                i--;
        if (!lost || i == 0)
                return false;
        error_done(&r->errors[i - 1]);
        r->n_errors--;
        memmove(r->errors + i - 1, r->errors + i, (r->n_errors - (i - 1)) * sizeof(ArchiveProblem));
        return true;
}

/* Keeps the problem while there is room. Takes nothing over. */
static void error_keep(Report *r, const char *path, const char *code, const char *message, bool lost) {
        ArchiveProblem e = { .lost = lost };

        assert(r);

        if (!error_make_room(r, lost))
                return;
        if (!r->errors)
                r->errors = new0(ArchiveProblem, ARCHIVE_PROBLEMS_MAX);
        if (asprintf_safe(&e.path, "/%s", path) >= 0 && r->errors) {
                e.code = memdup0(code, strlen(code));
                e.message = memdup0(message, strlen(message));
        }
        if (!e.code || !e.message) {
                error_done(&e);
                return;
        }
        r->errors[r->n_errors++] = e;
}

void report_problem(Report *r, const char *path, const char *code, bool lost, const char *format, ...) {
        _cleanup_(freep) char *message = NULL, *display = NULL, *line = NULL;
        uint64_t nth;
        va_list ap;

        assert(r);
        assert(path);
        assert(code);
        assert(format);

        va_start(ap, format);
        (void) !vasprintf_safe(&message, format, ap);
        va_end(ap);
        if (path_display(path, &display) < 0 ||
            asprintf_safe(&line, "/%s: %s", display, strempty(message)) < 0)
                line = NULL;

        (void) pthread_mutex_lock(&r->lock);
        r->errors_total++;
        r->lost_total += lost;
        error_keep(r, path, code, strempty(message), lost);
        /* Of each sort as many: what is lost is named, however much else there was. */
        nth = lost ? r->lost_total : r->errors_total - r->lost_total;
        if (nth <= ARCHIVE_PROBLEMS_MAX)
                line_add(r, lost ? ARCHIVE_LOG_ERROR : ARCHIVE_LOG_WARNING, TAKE_PTR(line));
        else if (nth == ARCHIVE_PROBLEMS_MAX + 1)
                line_add(r, ARCHIVE_LOG_WARNING,
                         strdup(lost ? "Further files that could not be read are only counted." :
                                       "Further files that changed are only counted."));
        (void) pthread_mutex_unlock(&r->lock);
}

void report_current(Report *r, const char *path) {
        assert(r);
        assert(path);

        if (!atomic_load_explicit(&r->wants_current, memory_order_relaxed))
                return;
        (void) pthread_mutex_lock(&r->lock);
        r->current = mfree(r->current);
        if (asprintf_safe(&r->current, "/%s", path) < 0)
                r->current = NULL;
        atomic_store(&r->wants_current, false);
        (void) pthread_mutex_unlock(&r->lock);
}

void report_first_read(Report *r) {
        assert(r);

        if (atomic_load_explicit(&r->first_read, memory_order_relaxed) == 0)
                atomic_store(&r->first_read, now_usec(CLOCK_REALTIME));
}

static void lines_flush(Report *r, const BackupArgs *args) {
        ReportLine lines[REPORT_LINES_MAX];
        uint64_t dropped;
        size_t n;

        assert(r);
        assert(args);

        (void) pthread_mutex_lock(&r->lock);
        n = r->n_lines;
        memcpy(lines, r->lines, n * sizeof *lines);
        r->n_lines = 0;
        dropped = r->lines_dropped;
        r->lines_dropped = 0;
        (void) pthread_mutex_unlock(&r->lock);

        for (size_t i = 0; i < n; i++) {
                if (args->on_log)
                        args->on_log(args->userdata, lines[i].level, lines[i].text);
                free(lines[i].text);
        }
        if (dropped > 0 && args->on_log) {
                char text[64];

                (void) snprintf(text, sizeof text, "%" PRIu64 " lines of this log were dropped.", dropped);
                args->on_log(args->userdata, ARCHIVE_LOG_WARNING, text);
        }
}

void report_flush(Report *r, const BackupArgs *args, const BackupProgress *progress) {
        _cleanup_(freep) char *current = NULL;
        BackupProgress p;

        assert(r);
        assert(args);

        lines_flush(r, args);
        if (!progress || !args->on_progress)
                return;
        p = *progress;
        p.bytes_read = atomic_load(&r->bytes_read);
        p.files_done = atomic_load(&r->files);
        (void) pthread_mutex_lock(&r->lock);
        current = r->current ? strdup(r->current) : NULL;
        (void) pthread_mutex_unlock(&r->lock);
        p.current = current;
        args->on_progress(args->userdata, &p);
        atomic_store(&r->wants_current, true);
}
