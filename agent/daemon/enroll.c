/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/daemon/credential.h"
#include "agent/daemon/enroll.h"
#include "agent/daemon/facts.h"
#include "agent/daemon/master.h"
#include "agent/daemon/state-dir.h"
#include "base/alloc.h"
#include "base/backoff.h"
#include "base/fd.h"
#include "base/text.h"
#include "crypto/random.h"
#include "sys/event.h"
#include "sys/log.h"

/* A link is used by somebody who watches: no long waits. */
#define TRIES_MAX 8U
#define POLL_INTERVAL USEC_PER_SEC

typedef struct Verb {
        sd_event *event;
        const AgentOptions *options;
        Master *master;
        sd_event_source *timer;
        Backoff backoff;
        json_t *body;
        int state_fd;
        usec_t until;
        char *given; /* the credential; NULL: none */
        char *last;  /* what was wrong the last time */
} Verb;

static void verb_done(Verb *v) {
        master_free(v->master);
        sd_event_source_disable_unref(v->timer);
        json_decref(v->body);
        safe_close(v->state_fd);
        erase_and_free(v->given);
        free(v->last);
}

/* --- Enrolling ---------------------------------------------------------------------------------------- */

int enroll_keep_token(int state_fd, const Reply *reply, const char *given) {
        _cleanup_(erase_and_freep) char *token = NULL;
        const char *text;
        int r;

        assert(state_fd >= 0);
        assert(reply);

        text = json_string_value(json_object_get(reply->data, "token"));
        token = text ? strdup(text) : NULL;
        if (!token || token_clean(token) < 0)
                return log_error_errno(-EBADMSG, "The master enrolled this node, but sent no token");
        r = state_token_save(state_fd, token, given);
        if (r < 0)
                return log_error_errno(r, "The token cannot be kept in the state folder: %m");
        return 0;
}

static int keep_token(Verb *v, const Reply *reply) {
        const json_t *node = json_object_get(reply->data, "node");
        int r;

        assert(v);

        r = enroll_keep_token(v->state_fd, reply, v->given);
        if (r < 0)
                return r;
        printf("Enrolled at %s as %s\n", v->options->master,
               strempty(json_string_value(json_object_get(node, "name"))));
        return 0;
}

static void on_enrolled(const Reply *reply, void *userdata) {
        Verb *v = ASSERT_PTR(userdata);

        assert(reply);

        switch (reply->verdict) {
        case REPLY_OK:
                (void) sd_event_exit(v->event, keep_token(v, reply) < 0 ? 1 : 0);
                return;
        case REPLY_RETRY:
        case REPLY_EMPTY:
                if (v->backoff.attempts < TRIES_MAX) {
                        log_warning("No answer yet: %s", strempty(reply->message));
                        if (event_rearm(v->timer, backoff_next(&v->backoff, random_u32())) >= 0)
                                return;
                }
                break;
        case REPLY_UNAUTHORIZED:
        case REPLY_DUPLICATE:
        case REPLY_STALE:
        case REPLY_REFUSED:
        case _REPLY_VERDICT_MAX:
        case _REPLY_VERDICT_INVALID:
                break;
        }
        log_error("The master does not enrol this host: %s", strempty(reply->message));
        (void) sd_event_exit(v->event, 1);
}

static int on_enroll_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Verb *v = ASSERT_PTR(userdata);
        MasterRequest request = {
                .path = "enroll",
                .body = v->body,
                .anonymous = true,
                .done = on_enrolled,
                .userdata = v,
        };
        int r;

        r = master_ask(v->master, &request, NULL);
        return r < 0 ? sd_event_exit(v->event, log_error_errno(r, "Cannot ask the master: %m")) : 0;
}

int enroll_build_body(int state_fd, const char *token, json_t **ret, Failure *reterr_failure) {
        _cleanup_(age_identity_erase) AgeIdentity identity = {};
        _cleanup_json_ json_t *body = json_object();
        char text[AGE_RECIPIENT_TEXT_SIZE];
        AgeRecipient recipient;
        int r;

        assert(state_fd >= 0);
        assert(token);
        assert(ret);

        r = state_identity(state_fd, &identity, reterr_failure);
        if (r >= 0)
                r = age_identity_recipient(&identity, &recipient);
        if (r >= 0)
                r = json_set(body, "enrollment_token", json_string(token));
        if (r >= 0)
                r = json_set(body, "public_key", json_string(age_recipient_format(&recipient, text)));
        if (r >= 0)
                r = facts_put_host(body);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(body);
        return 0;
}

static int prepare(Verb *v, sd_event_time_handler_t handler, Failure *reterr_failure) {
        int r;

        assert(v);

        v->backoff = BACKOFF_INIT(USEC_PER_SEC, 10 * USEC_PER_SEC);
        v->state_fd = state_dir_open(v->options->state_dir, reterr_failure);
        if (v->state_fd < 0)
                return v->state_fd;
        (void) fchmod(v->state_fd, 0700);
        r = credential_given(v->options, &v->given, reterr_failure);
        if (r >= 0)
                r = master_new(v->event, v->options, &v->master);
        if (r >= 0)
                r = event_add_timer(v->event, &v->timer, 0, handler, v);
        return r;
}

int enroll(sd_event *event, const AgentOptions *options) {
        _cleanup_(verb_done) Verb v = { .event = event, .options = options, .state_fd = -EBADF };
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(event);
        assert(options);

        r = prepare(&v, on_enroll_timer, &failure);
        if (r >= 0 && !v.given)
                r = failure_set(&failure, -ENOKEY, "TOKEN_INVALID",
                                "enroll needs the token of an install link: give --token-file FILE");
        if (r >= 0)
                r = enroll_build_body(v.state_fd, v.given, &v.body, &failure);
        if (r < 0)
                return log_failure(r, &failure, "Cannot enrol");
        return sd_event_loop(event);
}

/* --- Waiting ------------------------------------------------------------------------------------------- */

static void on_waited(const Reply *reply, void *userdata) {
        Verb *v = ASSERT_PTR(userdata);
        const char *status = json_string_value(json_object_get(reply->data, "status"));

        if (reply->verdict == REPLY_OK && streq_ptr(status, "online")) {
                printf("%s is online\n", strempty(json_string_value(json_object_get(reply->data, "name"))));
                (void) sd_event_exit(v->event, 0);
                return;
        }
        (void) !free_and_strdup(&v->last, reply->verdict == REPLY_OK ? strempty(status) : reply->message);
        if (now_usec(CLOCK_MONOTONIC) < v->until && event_rearm(v->timer, POLL_INTERVAL) >= 0)
                return;
        log_error("The node did not come online at %s in time; the last that was seen: %s",
                  v->options->master, strempty(v->last));
        (void) sd_event_exit(v->event, 1);
}

/* Anew each time: an agent that enrols itself may get its token while we wait. */
static int ask_self(Verb *v, Failure *reterr_failure) {
        MasterRequest request = { .path = "self", .done = on_waited, .userdata = v };
        _cleanup_(erase_and_freep) char *token = NULL;
        int r;

        r = state_token_load(v->state_fd, v->given, &token, reterr_failure);
        if (r >= 0)
                r = master_set_token(v->master, token);
        return r < 0 ? r : master_ask(v->master, &request, NULL);
}

static int on_wait_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        Verb *v = ASSERT_PTR(userdata);
        int r;

        r = ask_self(v, &failure);
        if (r >= 0)
                return 0;
        if (r == -ENOKEY)
                (void) failure_set(&failure, r, "TOKEN_INVALID", "this host is not enrolled");
        return sd_event_exit(v->event, log_failure(r, &failure, "Cannot wait"));
}

int wait_online(sd_event *event, const AgentOptions *options) {
        _cleanup_(verb_done) Verb v = { .event = event, .options = options, .state_fd = -EBADF };
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(event);
        assert(options);

        v.until = usec_add(now_usec(CLOCK_MONOTONIC), options->timeout);
        r = prepare(&v, on_wait_timer, &failure);
        if (r < 0)
                return log_failure(r, &failure, "Cannot wait");
        return sd_event_loop(event);
}
