/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/random.h"
#include "storage/http-server.h"

#define RETRY_AFTER_MOST USEC_PER_MINUTE
#define SLEEP_SLICE (100 * USEC_PER_MSEC)
/* What is still tidied up after a cancellation must not make that last. */
#define CANCELLED_STALL (600 * USEC_PER_MSEC)
/* Kept connections; threads beyond have one that closes behind them. */
#define IDLE_MAX 8

struct HttpServer {
        Storage *storage; /* weak */
        HttpServerArgs args;
        pthread_mutex_t lock; /* of what follows */
        HttpClient *idle[IDLE_MAX];
        size_t n_idle;
};

/* --- Clients ------------------------------------------------------------------------------------------ */

static void on_moved(void *userdata) {
        storage_moved(userdata);
}

int http_server_new(Storage *s, const HttpServerArgs *args, HttpServer **ret) {
        HttpServer *h;
        TransferArgs *t;

        assert(s);
        assert(args);
        assert(ret);

        h = new0(HttpServer, 1);
        if (!h)
                return -ENOMEM;
        h->storage = s;
        h->args = *args;
        t = &h->args.client.transfer;
        if (t->stall == 0)
                t->stall = s->stall;
        if (!t->pace)
                t->pace = s->pace;
        if (!t->cancel)
                t->cancel = s->cancel;
        if (!t->moved) {
                t->moved = on_moved;
                t->userdata = s;
        }
        (void) pthread_mutex_init(&h->lock, NULL);
        *ret = h;
        return 0;
}

HttpServer *http_server_free(HttpServer *h) {
        if (!h)
                return NULL;
        for (size_t i = 0; i < h->n_idle; i++)
                http_client_free(h->idle[i]);
        (void) pthread_mutex_destroy(&h->lock);
        return mfree(h);
}

int http_server_take(HttpServer *h, HttpClient **ret) {
        HttpClient *c = NULL;

        assert(h);
        assert(ret);

        (void) pthread_mutex_lock(&h->lock);
        if (h->n_idle > 0)
                c = h->idle[--h->n_idle];
        (void) pthread_mutex_unlock(&h->lock);
        if (!c)
                return http_client_new(&h->args.client, ret);
        *ret = c;
        return 0;
}

void http_server_give(HttpServer *h, HttpClient *c, bool good) {
        assert(h);

        if (!c)
                return;
        (void) pthread_mutex_lock(&h->lock);
        if (good && h->n_idle < IDLE_MAX)
                h->idle[h->n_idle++] = TAKE_PTR(c);
        (void) pthread_mutex_unlock(&h->lock);
        http_client_free(c);
}

/* --- What went wrong ---------------------------------------------------------------------------------- */

int http_server_no_answer(const HttpServer *h, int error, const char *text, const char *key, Failure *f) {
        const char *why = isempty(text) ? strerror(-error) : text;
        const char *peer, *name;

        assert(h);
        assert(error < 0);

        peer = h->args.peer;
        name = h->storage->name;
        switch (-error) {
        case ECANCELED:
                return failure_set(f, error, "CANCELLED", "Cancelled at '%s' (%s).", key, name);
        case ETIMEDOUT:
                return failure_set(f, error, "STORAGE_STALLED",
                                   "Gave up '%s' (%s): for %g seconds nothing moved to or from %s: %s.", key,
                                   name, (double) h->args.client.transfer.stall / USEC_PER_SEC, peer, why);
        case EKEYREJECTED:
                return failure_set(f, error, "STORAGE_CERTIFICATE",
                                   "The certificate of %s (%s) is not one that is trusted: %s.", peer, name,
                                   why);
        case EHOSTUNREACH:
                return failure_set(f, error, "STORAGE_UNREACHABLE", "Could not reach %s for '%s' (%s): %s.",
                                   peer, key, name, why);
        case ECONNRESET:
        case EPROTO:
                return failure_set(f, error, "STORAGE_INTERRUPTED",
                                   "The connection to %s ended in the middle of '%s' (%s): %s.", peer, key,
                                   name, why);
        }
        return failure_set(f, error, "STORAGE_FAILED", "'%s' (%s): %s.", key, name, why);
}

HttpVerdict http_judge_status(const Storage *s, long status, const char *message, const char *key,
                              Failure *f) {
        static const struct {
                long status;
                int error;
                const char *code, *text;
        } known[] = {
                { 401, EACCES, "STORAGE_DENIED", "refuses the credentials" },
                { 403, EACCES, "STORAGE_DENIED", "does not allow it" },
                { 404, ENOENT, "OBJECT_NOT_FOUND", "has no such object" },
                { 405, EOPNOTSUPP, "STORAGE_FAILED", "does not know this request" },
                { 408, ETIMEDOUT, "STORAGE_STALLED", "waited too long for the request" },
                { 410, ENOENT, "OBJECT_NOT_FOUND", "has no such object any longer" },
                { 412, EEXIST, "OBJECT_EXISTS", "has such an object already" },
                { 413, EFBIG, "STORAGE_FAILED", "takes no object of this size" },
                { 416, ERANGE, "STORAGE_FAILED", "has no such part of the object" },
                { 422, EBADMSG, "STORAGE_CHECKSUM", "received other bytes than were sent" },
                { 423, EPERM, "STORAGE_LOCKED", "has the object locked" },
                { 429, EBUSY, "STORAGE_THROTTLED", "asks for fewer requests" },
                { 501, EOPNOTSUPP, "STORAGE_FAILED", "does not know this request" },
                { 503, EBUSY, "STORAGE_THROTTLED", "is busy or asks for fewer requests" },
                { 507, ENOSPC, "STORAGE_FULL", "is full" },
        };
        HttpVerdict v = { .error = -EIO };
        const char *code = "STORAGE_FAILED", *text = "failed";

        assert(s);

        v.may_pass = status == 408 || status == 429 ||
                        (status >= 500 && status != 501 && status != 505 && status != 507);
        if (status >= 300 && status < 400) {
                code = "STORAGE_REDIRECTED";
                text = "redirects elsewhere, which is not followed: give the target the right address";
        }
        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (known[i].status == status) {
                        v.error = -known[i].error;
                        code = known[i].code;
                        text = known[i].text;
                }
        (void) failure_set(f, v.error, code, "'%s' (%s): the server %s (HTTP %ld%s%s).", key, s->name, text,
                           status, isempty(message) ? "" : ": ", strempty(message));
        return v;
}

HttpVerdict http_judge(Storage *s, const HttpAnswer *a, const char *key, Failure *f) {
        assert(a);

        return http_judge_status(s, a->status, /* message= */ NULL, key, f);
}

/* Whether no answer at all may be one the next time. */
static bool may_pass(int error) {
        return error == -ECONNRESET || error == -EHOSTUNREACH || error == -ETIMEDOUT || error == -EPROTO;
}

static HttpVerdict judge(HttpServer *h, int error, const HttpAnswer *a, const char *key, Failure *f) {
        assert(h);

        if (error < 0)
                return (HttpVerdict){
                        .may_pass = may_pass(error),
                        .error = http_server_no_answer(h, error, a->error, key, f),
                };
        return h->args.judge ? h->args.judge(h->storage, a, key, f) : http_judge(h->storage, a, key, f);
}

/* --- Requests ----------------------------------------------------------------------------------------- */

usec_t http_server_pause(Backoff *backoff, uint32_t random, usec_t asked) {
        usec_t own;

        assert(backoff);

        own = backoff_next(backoff, random);
        return MAX(own, MIN(asked, RETRY_AFTER_MOST));
}

/* Sleeps; false when the run was cancelled. */
static bool pause_for(const Storage *s, usec_t span) {
        usec_t end = usec_add(now_usec(CLOCK_MONOTONIC), span);

        while (now_usec(CLOCK_MONOTONIC) < end) {
                struct timespec slice = { .tv_nsec = (long) SLEEP_SLICE * 1000 };

                if (storage_is_cancelled(s))
                        return false;
                (void) nanosleep(&slice, NULL);
        }
        return !storage_is_cancelled(s);
}

static int try_with(HttpServer *h, HttpClient *c, const HttpRequest *q, HttpAnswer *a) {
        _cleanup_(http_lines_done) HttpLines lines = {};
        HttpRequest one = *q;
        int r = 0;

        assert(h);

        for (size_t i = 0; r >= 0 && q->lines && i < q->lines->n; i++)
                r = http_line_add(&lines, "%s", q->lines->lines[i]);
        if (r >= 0 && h->args.sign)
                r = h->args.sign(h->storage, q, &lines);
        if (r < 0)
                return r;
        one.lines = &lines;
        return http_client_request(c, &one, a);
}

static int try_once(HttpServer *h, const HttpRequest *q, HttpAnswer *a) {
        HttpClient *c = NULL;
        int r;

        r = http_server_take(h, &c);
        if (r < 0)
                return r;
        r = try_with(h, c, q, a);
        http_server_give(h, c, r >= 0);
        return r;
}

int http_server_try(HttpServer *h, const HttpRequest *q, usec_t stall, HttpAnswer *a) {
        const TransferArgs *args;
        HttpClient *c = NULL;
        int r;

        assert(h);
        assert(q);
        assert(a);

        r = http_server_take(h, &c);
        if (r < 0)
                return r;
        args = &h->args.client.transfer;
        if (storage_is_cancelled(h->storage))
                http_client_limit(c, /* cancel= */ NULL, MIN(stall, (usec_t) CANCELLED_STALL));
        else
                http_client_limit(c, args->cancel, stall);
        r = try_with(h, c, q, a);
        http_client_limit(c, args->cancel, args->stall);
        http_server_give(h, c, r >= 0);
        return r;
}

/* A lock is taken back at the end of a cancelled run, too: one short try. */
static int remove_cancelled(HttpServer *h, const HttpRequest *q, const char *key, HttpAnswer *a,
                            Failure *reterr_failure) {
        int r;

        assert(h);

        r = http_server_try(h, q, h->args.client.transfer.stall, a);
        if (r >= 0 && a->status >= 200 && a->status < 300)
                return 0;
        return judge(h, r, a, key, reterr_failure).error;
}

int http_server_request(HttpServer *h, const HttpRequest *q, const char *key, HttpAnswer *a,
                        Failure *reterr_failure) {
        Backoff backoff = HTTP_BACKOFF;
        usec_t end;

        assert(h);
        assert(q);
        assert(key);
        assert(a);

        if (storage_is_cancelled(h->storage) && streq_ptr(q->method, "DELETE"))
                return remove_cancelled(h, q, key, a, reterr_failure);
        end = usec_add(now_usec(CLOCK_MONOTONIC), h->storage->retry);
        for (;;) {
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                HttpVerdict v;
                usec_t wait;
                int r;

                r = try_once(h, q, a);
                if (r >= 0 && a->status >= 200 && a->status < 300)
                        return 0;
                v = judge(h, r, a, key, &failure);
                wait = http_server_pause(&backoff, random_u32(), a->retry_after);
                if (!v.may_pass || usec_add(now_usec(CLOCK_MONOTONIC), wait) > end)
                        return failure_set(reterr_failure, v.error, failure.code, "%s",
                                           failure_message(&failure, v.error));
                if (!pause_for(h->storage, wait))
                        return http_server_no_answer(h, -ECANCELED, NULL, key, reterr_failure);
        }
}
