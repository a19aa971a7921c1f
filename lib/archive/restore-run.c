/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "archive/restore-run.h"
#include "base/alloc.h"
#include "base/text.h"
#include "wire/path.h"

#define PROGRESS_INTERVAL (500 * USEC_PER_MSEC)

static const char *const restore_phase_table[] = {
        [RESTORE_CHECKING] = "checking",
        [RESTORE_WRITING] = "writing",
        [RESTORE_SYNCING] = "syncing",
};
DEFINE_STRING_TABLE(restore_phase, RestorePhase);

void restore_result_done(RestoreResult *r) {
        assert(r);

        archive_problems_free(r->errors, r->n_errors);
        failure_done(&r->failure);
        strv_free(r->roots);
        *r = RESTORE_RESULT_NULL;
}

void restore_log(RestoreRun *r, ArchiveLogLevel level, const char *format, ...) {
        _cleanup_(freep) char *text = NULL;
        va_list ap;
        int k;

        assert(r);

        if (!r->args->on_log)
                return;
        va_start(ap, format);
        k = vasprintf_safe(&text, format, ap);
        va_end(ap);
        if (k >= 0)
                r->args->on_log(r->args->userdata, level, text);
}

/* Takes message. */
static int add_error(RestoreRun *r, const char *path, const char *code, char *message) {
        RestoreResult *result = r->result;
        ArchiveProblem e = { .message = message }, *grown;

        result->errors_total++;
        if (result->n_errors == ARCHIVE_PROBLEMS_MAX) {
                archive_problem_done(&e);
                return RESTORE_E_NAMED;
        }
        restore_log(r, ARCHIVE_LOG_WARNING, "%s", message);
        grown = reallocarray(result->errors, result->n_errors + 1, sizeof(ArchiveProblem));
        if (grown)
                result->errors = grown;
        e.code = strdup(code);
        if (!grown || !e.code || asprintf_safe(&e.path, "/%s", path) < 0) {
                archive_problem_done(&e);
                return -ENOMEM;
        }
        result->errors[result->n_errors++] = e;
        return RESTORE_E_NAMED;
}

int restore_name(RestoreRun *r, const char *path, const char *code, const char *format, ...) {
        _cleanup_(freep) char *display = NULL, *text = NULL;
        char *message;
        va_list ap;
        int k;

        assert(r);
        assert(path);
        assert(code);

        va_start(ap, format);
        k = vasprintf_safe(&text, format, ap);
        va_end(ap);
        if (k < 0)
                return k;
        if (path_display(path, &display) < 0 || asprintf_safe(&message, "/%s %s", display, text) < 0)
                return -ENOMEM;
        return add_error(r, path, code, message);
}

static const char *code_of(int error) {
        switch (-error) {
        case EEXIST:
        case ENOTEMPTY:
        case EISDIR:
        case ENOTDIR:
                return "EXISTS";
        case EBUSY:
        case ETXTBSY:
                return "BUSY";
        case EPERM:
        case EACCES:
                return "PERMISSION";
        case ELOOP:
        case EXDEV:
                return "SYMLINK";
        case ENAMETOOLONG:
        case EINVAL:
        case EILSEQ:
                return "NAME";
        default:
                return "IO";
        }
}

static bool ends_the_run(int error) {
        return error == -ENOSPC || error == -EDQUOT || error == -EROFS || error == -ENOMEM ||
                        error == -ECANCELED || error == -EMFILE || error == -ENFILE;
}

int restore_name_errno(RestoreRun *r, const char *path, int error, const char *what) {
        _cleanup_(freep) char *display = NULL;

        assert(r);
        assert(path);
        assert(error < 0);
        assert(what);

        if (!ends_the_run(error)) {
                errno = -error;
                return restore_name(r, path, code_of(error), "%s: %m", what);
        }
        if (path_display(path, &display) < 0)
                return -ENOMEM;
        return failure_set(&r->result->failure, error,
                           error == -ENOSPC || error == -EDQUOT ? "NO_SPACE" : "DESTINATION_UNUSABLE",
                           "/%s %s: %m; the restore ended there", display, what);
}

static void tell(RestoreRun *r, usec_t now) {
        r->progress_told = now;
        r->progress.current = r->current.size > 0 ? r->current.data : NULL;
        if (r->args->on_progress)
                r->args->on_progress(r->args->userdata, &r->progress);
}

int restore_tick(RestoreRun *r) {
        usec_t now;

        assert(r);

        if (r->args->cancel && atomic_load_explicit(r->args->cancel, memory_order_relaxed))
                return -ECANCELED;
        now = now_usec(CLOCK_MONOTONIC);
        if (now >= r->progress_told + PROGRESS_INTERVAL)
                tell(r, now);
        return 0;
}

void restore_tell_phase(RestoreRun *r, RestorePhase phase) {
        assert(r);

        r->progress.phase = phase;
        tell(r, now_usec(CLOCK_MONOTONIC));
}
