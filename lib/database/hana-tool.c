/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/random.h"
#include "database/child.h"
#include "database/hana-tool.h"

#define TOOL "hdbsql"
/* Some 300 bytes for each of HANA_PIECES_MAX. */
#define OUTPUT_MAX (16U << 20)
#define CHUNK (64U << 10)
/* How soon a cancel is seen. */
#define PAUSE_STEP (100 * USEC_PER_MSEC)

char *const hana_places_default[] = {
        (char *) "/usr/sap/hdbclient",
        (char *) "/hana/shared/*/hdbclient",
        (char *) "/usr/sap/*/HDB[0-9][0-9]/exe",
        NULL,
};

void hana_tool_done(HanaTool *t) {
        assert(t);

        free(t->path);
        *t = HANA_TOOL_NULL;
}

/* --- Finding ------------------------------------------------------------------------------------------ */

static int find_in(const char *pattern, char **ret) {
        _cleanup_(freep) char *paths = NULL;
        glob_t found = {};
        int r;

        r = asprintf_safe(&paths, "%s/" TOOL, pattern);
        if (r < 0)
                return r;
        if (glob(paths, 0, NULL, &found) == GLOB_NOSPACE)
                r = -ENOMEM;
        for (size_t i = 0; i < found.gl_pathc && r >= 0 && !*ret; i++)
                if (access(found.gl_pathv[i], X_OK) == 0)
                        r = free_and_strdup(ret, found.gl_pathv[i]);
        globfree(&found);
        return MIN(r, 0);
}

int hana_tool_find(const ToolFinder *finder, const HanaSettings *settings, const char *password,
                   const atomic_bool *cancel, HanaTool *ret, Failure *reterr_failure) {
        _cleanup_(freep) char *path = NULL;
        int r;

        assert(finder && finder->find);
        assert(settings);
        assert(ret);

        r = finder->find(finder->userdata, TOOL, &path);
        if (r == -ENOENT)
                r = 0;
        STRV_FOREACH(place, finder->versions)
                if (r >= 0 && !path)
                        r = find_in(*place, &path);
        if (r < 0)
                return r;
        if (!path)
                return failure_set(reterr_failure, -ENOENT, "TOOL_MISSING",
                                   "There is no " TOOL " on this node: install the client of SAP HANA, in "
                                   "/usr/sap/hdbclient as its installer proposes");
        *ret = (HanaTool){
                .path = TAKE_PTR(path),
                .settings = settings,
                .password = password,
                .cancel = cancel,
        };
        return 0;
}

/* --- Running ------------------------------------------------------------------------------------------ */

#define ARGUMENTS_MAX 16

/* Bare rows, no banner, no pages, no escapes. What is secret is not among them. */
static void arguments(const HanaTool *t, const char *ret[static ARGUMENTS_MAX]) {
        const HanaServer *s = &t->settings->server;
        size_t n = 0;

        ret[n++] = t->path;
        ret[n++] = "-a";
        ret[n++] = "-x";
        ret[n++] = "-j";
        ret[n++] = "-C";
        ret[n++] = "-quiet";
        if (s->tls != DATABASE_TLS_OFF)
                ret[n++] = "-e";
        if (s->tls == DATABASE_TLS_REQUIRE)
                ret[n++] = "-ssltrustcert";
        if (s->tls_ca) {
                ret[n++] = "-ssltruststore";
                ret[n++] = s->tls_ca;
        }
        if (s->key) {
                ret[n++] = "-U";
                ret[n++] = s->key;
                if (s->database) {
                        ret[n++] = "-d";
                        ret[n++] = s->database;
                }
        }
        assert(n < ARGUMENTS_MAX);
        ret[n] = NULL;
}

static int build_input(const HanaTool *t, const char *statements, Buffer *b, Failure *reterr_failure) {
        int r = 0;

        if (!t->settings->server.key)
                r = hana_sql_connect(b, &t->settings->server, t->password, reterr_failure);
        if (r >= 0)
                r = buffer_add_string(b, statements);
        if (r >= 0)
                r = hana_sql_end(b);
        return r;
}

static int collect(Child *child, Buffer *b) {
        ssize_t k = 1;
        int r;

        while (k > 0) {
                r = buffer_reserve(b, CHUNK);
                if (r < 0)
                        return r;
                k = child_read(child, b->data + b->size, CHUNK);
                if (k > 0) {
                        b->size += (size_t) k;
                        b->data[b->size] = 0;
                }
        }
        return (int) k;
}

/* What it prints should not have the password in it; but it is not ours. */
static const char *printable(const HanaTool *t, const char *text) {
        return !text || (!isempty(t->password) && strstr(text, t->password)) ? "" : text;
}

static int judge(const HanaTool *t, int status, const HanaAnswer *a, Failure *reterr_failure) {
        const char *message = printable(t, a->message), *last = printable(t, a->last);

        if (hana_error_is_final(a->error))
                return failure_set(reterr_failure, -EACCES,
                                   a->error == 10 ? "LOGIN_REFUSED" : "HANA_REFUSED",
                                   "SAP HANA refuses it: %.400s (%" PRId64 ")", message, a->error);
        if (a->error != 0)
                return failure_set(reterr_failure, -EREMOTEIO, "HANA_FAILED",
                                   "SAP HANA says: %.400s (%" PRId64 ")", message, a->error);
        if (status != 0)
                return failure_set(reterr_failure, -EREMOTEIO, "HANA_FAILED",
                                   "%s ended with status %d%s%.400s", t->path, status,
                                   isempty(last) ? "" : ": ", last);
        if (!a->whole)
                return failure_set(reterr_failure, -EREMOTEIO, "HANA_FAILED",
                                   "The answer of %s ends before its end, although it says that all went "
                                   "well",
                                   t->path);
        return 0;
}

static int answer(const HanaTool *t, Child *child, HanaAnswer *ret, Failure *reterr_failure) {
        _cleanup_(hana_answer_done) HanaAnswer a = HANA_ANSWER_NULL;
        _cleanup_buffer_ Buffer output = BUFFER_LIMITED(OUTPUT_MAX);
        int r, status;

        r = collect(child, &output);
        if (r == -EFBIG)
                return failure_set(reterr_failure, -E2BIG, "HANA_FAILED", "%s says too much", t->path);
        if (r < 0)
                return r;
        status = child_wait(child);
        if (status < 0)
                return status;
        r = hana_answer_parse(strempty(output.data), output.size, &a);
        if (r == -E2BIG)
                return failure_set(reterr_failure, r, "HANA_FAILED",
                                   "The catalog names more than %u pieces since the last full backup: make "
                                   "full backups more often",
                                   HANA_PIECES_MAX);
        if (r >= 0)
                r = judge(t, status, &a, reterr_failure);
        if (r < 0)
                return r;
        *ret = a;
        a = HANA_ANSWER_NULL;
        return 0;
}

static void erase_buffer_done(Buffer *b) {
        if (b->data)
                explicit_bzero(b->data, b->allocated);
        buffer_done(b);
}

int hana_tool_run(const HanaTool *t, const char *statements, HanaAnswer *ret, Failure *reterr_failure) {
        _cleanup_(erase_buffer_done) Buffer input = BUFFER_NULL;
        _cleanup_(child_freep) Child *child = NULL;
        const char *words[ARGUMENTS_MAX];
        ChildArgs args;
        int r;

        assert(t && t->path);
        assert(statements);
        assert(ret);

        /* All at once: what is moved while it grows would leave the password behind. */
        r = buffer_reserve(&input, strlen(statements) + 2 * (size_t) HANA_LINE_MAX);
        if (r >= 0)
                r = build_input(t, statements, &input, reterr_failure);
        if (r < 0)
                return r;
        arguments(t, words);
        args = (ChildArgs){
                .path = t->path,
                .arguments = (char *const *) words,
                .input = input.data,
                .one_output = true,
                .home = t->settings->server.home,
                .cancel = t->cancel,
        };
        r = child_new(&args, &child, reterr_failure);
        return r < 0 ? r : answer(t, child, ret, reterr_failure);
}

Backoff hana_tool_backoff(const HanaTool *t) {
        assert(t);

        return BACKOFF_INIT(t->retry_base > 0 ? t->retry_base : HANA_RETRY_BASE,
                            t->retry_cap > 0 ? t->retry_cap : HANA_RETRY_CAP);
}

int hana_tool_pause(const HanaTool *t, Backoff *backoff) {
        usec_t until, now;

        assert(t);
        assert(backoff);

        until = usec_add(now_usec(CLOCK_MONOTONIC), backoff_next(backoff, random_u32()));
        while ((now = now_usec(CLOCK_MONOTONIC)) < until) {
                usec_t step = MIN(until - now, PAUSE_STEP);

                if (t->cancel && atomic_load(t->cancel))
                        return -ECANCELED;
                (void) nanosleep(&(struct timespec){ .tv_sec = (time_t) (step / USEC_PER_SEC),
                                                     .tv_nsec = (long) (step % USEC_PER_SEC) * 1000 },
                                 NULL);
        }
        return t->cancel && atomic_load(t->cancel) ? -ECANCELED : 0;
}

int hana_tool_ask(const HanaTool *t, const char *statements, HanaAnswer *ret, Failure *reterr_failure) {
        Backoff backoff = hana_tool_backoff(t);

        for (unsigned tries = 0;; tries++) {
                _cleanup_failure_ Failure why = FAILURE_NULL;
                int r;

                r = hana_tool_run(t, statements, ret, &why);
                if (r == -EREMOTEIO && tries < t->settings->retries)
                        r = hana_tool_pause(t, &backoff);
                else if (r < 0 && failure_is_set(&why))
                        return failure_set(reterr_failure, r, why.code, "%s", failure_message(&why, r));
                else
                        return r;
                if (r < 0)
                        return r;
        }
}
