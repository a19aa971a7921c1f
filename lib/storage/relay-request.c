/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <time.h>

#include "base/alloc.h"
#include "base/backoff.h"
#include "base/text.h"
#include "crypto/random.h"
#include "storage/relay-request.h"

/* Failures that may pass are tried again until this long after the last success. Less than what makes a
 * backup drop a target without asking it, so that the cause is told. */
#define RETRY_LIMIT (4 * USEC_PER_MINUTE)
#define RETRY_FIRST (USEC_PER_SEC / 2)
#define RETRY_MOST (20 * USEC_PER_SEC)
#define RETRY_AFTER_MOST USEC_PER_MINUTE
#define SLEEP_SLICE (100 * USEC_PER_MSEC)

/* --- Requests that are repeated ----------------------------------------------------------------------- */

static void on_moved(void *userdata) {
        storage_moved(userdata);
}

int relay_client_new(Storage *s, const atomic_bool *cancel, usec_t stall, HttpClient **ret) {
        const Relay *l = s->backend;
        HttpClientArgs args = {
                .bearer = l->token,
                .ca_cert = l->ca_cert,
                .pin = l->pin,
                .proxy_url = l->proxy_url,
                .insecure_tls = l->insecure_tls,
                .stall = stall,
                .pace = s->pace,
                .cancel = cancel,
                .moved = on_moved,
                .userdata = s,
        };

        return http_client_new(&args, ret);
}

/* Sleeps; false when the run was cancelled. */
static bool pause_for(const Storage *s, usec_t span) {
        usec_t end = usec_add(now_usec(CLOCK_MONOTONIC), span);

        while (now_usec(CLOCK_MONOTONIC) < end) {
                struct timespec slice = { .tv_nsec = SLEEP_SLICE * 1000 };

                if (storage_is_cancelled(s))
                        return false;
                (void) nanosleep(&slice, NULL);
        }
        return !storage_is_cancelled(s);
}

/* Whether it may go better the next time. */
static bool may_pass(int error, long status) {
        if (error == -ECANCELED || error == -ENOMEM || error == -EKEYREJECTED || error == -EINVAL ||
            error == -EFBIG)
                return false;
        if (error < 0)
                return true;
        return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
                        status == 504;
}

/* What the master answered, as an errno and a sentence. */
static int answer_failure(const Storage *s, const HttpAnswer *a, const char *key, Failure *f) {
        assert(s);
        assert(a);

        static const struct {
                long status;
                int error;
        } errors[] = {
                { 401, EACCES },
                { 403, EACCES },
                { 404, ENOENT },
                { 409, EEXIST },
                { 416, ERANGE },
                { 422, EBADMSG },
                { 507, ENOSPC },
        };
        _cleanup_json_ json_t *body = NULL;
        const char *code, *message;
        int error = EIO;

        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                if (errors[i].status == a->status)
                        error = errors[i].error;
        if (json_parse_strict(a->body.data, a->body.size, JSON_DEPTH_DEFAULT, &body,
                              /* reterr_failure= */ NULL) < 0)
                body = NULL;
        code = json_string_value(json_object_get(body, "code"));
        message = json_string_value(json_object_get(body, "message"));
        if (a->status >= 300 && a->status < 400)
                return failure_set(
                                f, -EIO, "RELAY_REDIRECTED",
                                "The master redirects '%s' (%s) elsewhere (HTTP %ld); that is not followed. "
                                "Give the "
                                "agent the master's own address.",
                                key, s->name, a->status);
        return failure_set(f, -error, code && strlen(code) < FAILURE_CODE_MAX ? code : "RELAY_FAILED",
                           "The master answered for '%s' (%s): %s (HTTP %ld).", key, s->name,
                           message ? message : "no reason given", a->status);
}

int relay_request_repeat(Storage *s, HttpClient *c, const HttpRequest *q, const char *key, HttpAnswer *a,
                         Failure *f) {
        usec_t end = usec_add(now_usec(CLOCK_MONOTONIC), RETRY_LIMIT);
        Backoff backoff = BACKOFF_INIT(RETRY_FIRST, RETRY_MOST);

        assert(s);
        assert(a);

        for (;;) {
                usec_t wait;
                int r;

                r = http_client_request(c, q, a);
                if (r >= 0 && a->status >= 200 && a->status < 300)
                        return 0;
                wait = MAX(backoff_next(&backoff, random_u32()), MIN(a->retry_after, RETRY_AFTER_MOST));
                if (!may_pass(r, a->status) || usec_add(now_usec(CLOCK_MONOTONIC), wait) > end)
                        return r < 0 ? failure_set(f, r, r == -ECANCELED ? "CANCELLED" : "RELAY_UNREACHABLE",
                                                   "Could not reach the master for '%s' (%s): %s.", key,
                                                   s->name, a->error[0] ? a->error : strerror(-r)) :
                                       answer_failure(s, a, key, f);
                if (!pause_for(s, wait))
                        return -ECANCELED;
        }
}

/* --- URLs and answers --------------------------------------------------------------------------------- */

int relay_object_url(const Relay *l, const char *key, char **ret) {
        _cleanup_buffer_ Buffer url = BUFFER_NULL;
        char *taken;
        int r;

        assert(l);

        r = buffer_add_string(&url, l->base);
        for (const char *p = key; r >= 0 && *p;) {
                size_t n = strcspn(p, "/");
                _cleanup_(freep) char *part = memdup0(p, n), *escaped = NULL;

                if (!part)
                        return -ENOMEM;
                r = http_escape_text(part, &escaped);
                if (r >= 0)
                        r = buffer_printf(&url, "%s%s", escaped, p[n] ? "/" : "");
                p += n;
                p += *p == '/';
        }
        if (r < 0)
                return r;
        taken = buffer_take(&url);
        if (!taken)
                return -ENOMEM;
        *ret = taken;
        return 0;
}

int relay_answer_data(const Storage *s, const HttpAnswer *a, json_t **ret, Failure *f) {
        _cleanup_json_ json_t *body = NULL;
        json_t *data;
        int r;

        assert(s);
        assert(a);

        r = json_parse_strict(a->body.data, a->body.size, JSON_DEPTH_DEFAULT, &body,
                              /* reterr_failure= */ NULL);
        data = r < 0 ? NULL : json_object_get(body, "data");
        if (!json_is_object(data))
                return failure_set(f, -EPROTO, "RELAY_FAILED",
                                   "What answers for %s is not a BackupX master of this version.", s->name);
        *ret = json_incref(data);
        return 0;
}

/* --- Without an upload -------------------------------------------------------------------------------- */

int relay_request(Storage *s, const HttpRequest *q, const char *key, HttpAnswer *a, Failure *f) {
        Relay *l = s->backend;
        int r;

        (void) pthread_mutex_lock(&l->lock);
        r = relay_request_repeat(s, l->client, q, key, a, f);
        (void) pthread_mutex_unlock(&l->lock);
        return r;
}
