/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "agent/daemon/enroll.h"
#include "agent/daemon/self-enroll.h"
#include "base/alloc.h"
#include "base/backoff.h"
#include "base/text.h"
#include "crypto/random.h"
#include "crypto/token.h"
#include "sys/log.h"

/* A link that was used or expired comes to life no more; another one may be given any time. */
#define REFUSED_PAUSE USEC_PER_MINUTE
#define RETRY_MIN USEC_PER_SEC
#define RETRY_MAX USEC_PER_MINUTE

struct SelfEnroll {
        Master *master;
        int state_fd;
        SelfEnrollDone done;
        void *userdata;
        MasterCall *call;
        Backoff backoff;
        char *token;   /* that was asked with last */
        char *trouble; /* what the answer was */
        usec_t not_before;
};

bool self_enroll_takes(const char *token) {
        return token && startswith(token, TOKEN_ENROLLMENT);
}

const char *self_enroll_trouble(const SelfEnroll *e) {
        assert(e);

        return e->trouble;
}

/* Asks again only after the pause, and tells why once. */
static void put_off(SelfEnroll *e, usec_t pause, const char *why) {
        e->not_before = usec_add(now_usec(CLOCK_MONOTONIC), pause);
        if (streq_ptr(e->trouble, why))
                return;
        log_error("The master does not enrol this host: %s", why);
        (void) !free_and_strdup(&e->trouble, why);
}

static void refused(SelfEnroll *e, const Reply *reply) {
        usec_t pause = backoff_next(&e->backoff, random_u32());
        bool later = reply->verdict == REPLY_RETRY;

        if (!later)
                pause = usec_add(pause, REFUSED_PAUSE);
        put_off(e, MAX(pause, reply->retry_after), strempty(reply->message));
        e->done(later ? SELF_ENROLL_LATER : SELF_ENROLL_REFUSED, e->userdata);
}

static void on_answer(const Reply *reply, void *userdata) {
        SelfEnroll *e = ASSERT_PTR(userdata);

        assert(reply);

        e->call = NULL;
        if (reply->verdict != REPLY_OK) {
                refused(e, reply);
                return;
        }
        if (enroll_keep_token(e->state_fd, reply, e->token) < 0) {
                /* Asked again, the master makes another token: not often. */
                put_off(e, REFUSED_PAUSE, "Its answer could not be kept; the journal says why");
                e->done(SELF_ENROLL_LATER, e->userdata);
                return;
        }
        log_notice("This host was enrolled at %s", master_url(e->master));
        e->trouble = mfree(e->trouble);
        e->done(SELF_ENROLL_DONE, e->userdata);
}

static int ask(SelfEnroll *e, Failure *reterr_failure) {
        _cleanup_json_ json_t *body = NULL;
        MasterRequest request = {
                .path = "enroll",
                .anonymous = true,
                .done = on_answer,
                .userdata = e,
        };
        int r;

        assert(e);

        r = enroll_build_body(e->state_fd, e->token, &body, reterr_failure);
        if (r < 0)
                return r;
        request.body = body;
        return master_ask(e->master, &request, &e->call);
}

void self_enroll_try(SelfEnroll *e, const char *token) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(e);
        assert(token);

        if (e->call)
                return;
        if (!streq_ptr(e->token, token)) {
                e->not_before = 0;
                backoff_reset(&e->backoff);
        }
        if (now_usec(CLOCK_MONOTONIC) < e->not_before)
                return;
        erase_and_free(e->token);
        e->token = strdup(token);
        r = e->token ? ask(e, &failure) : -ENOMEM;
        if (r >= 0)
                return;
        (void) log_failure(r, &failure, "Cannot enrol");
        put_off(e, REFUSED_PAUSE, failure_message(&failure, r));
}

int self_enroll_new(Master *master, int state_fd, SelfEnrollDone done, void *userdata, SelfEnroll **ret) {
        SelfEnroll *e;

        assert(master);
        assert(done);
        assert(ret);

        e = new0(SelfEnroll, 1);
        if (!e)
                return -ENOMEM;
        e->master = master;
        e->state_fd = state_fd;
        e->done = done;
        e->userdata = userdata;
        e->backoff = BACKOFF_INIT(RETRY_MIN, RETRY_MAX);
        *ret = e;
        return 0;
}

SelfEnroll *self_enroll_free(SelfEnroll *e) {
        if (!e)
                return NULL;

        master_call_free(e->call);
        erase_and_free(e->token);
        free(e->trouble);
        return mfree(e);
}
