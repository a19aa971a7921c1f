/* SPDX-License-Identifier: Apache-2.0 */

/* How the agent comes by its token: one that is given to it, one of an enrolment, one that the master hands
 * over in place of an older one. */

#include <errno.h>
#include <stdlib.h>

#include "agent/daemon/agent-private.h"
#include "agent/daemon/claim.h"
#include "agent/daemon/credential.h"
#include "agent/daemon/self-enroll.h"
#include "base/alloc.h"
#include "base/text.h"
#include "crypto/seal.h"
#include "sys/event.h"
#include "sys/log.h"

int agent_token_try(Agent *a) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(erase_and_freep) char *token = NULL, *given = NULL;
        int r;

        assert(a);

        r = credential_given(a->options, &given, &failure);
        if (r >= 0)
                r = state_token_load(a->state_fd, given, &token, &failure);
        if (r == -ENOKEY && !failure_is_set(&failure))
                return 0;
        if (r < 0)
                return log_failure(r, &failure, "No token");
        if (self_enroll_takes(token)) {
                self_enroll_try(a->self_enroll, token);
                return 0;
        }
        r = master_set_token(a->master, token);
        if (r < 0)
                return log_error_errno(r, "%m");
        erase_and_free(a->given);
        a->given = TAKE_PTR(given);
        return 1;
}

int agent_on_token_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Agent *a = ASSERT_PTR(userdata);

        if (agent_token_try(a) > 0)
                agent_begin(a);
        else
                (void) !event_rearm(a->token_timer, AGENT_TOKEN_INTERVAL);
        return 0;
}

/* A link that opens nothing does not undo an enrolment: somebody enrolled this host in another way since. */
static void go_on_as_enrolled(Agent *a) {
        _cleanup_(erase_and_freep) char *token = NULL;

        if (master_token(a->master) || state_token_load(a->state_fd, /* given= */ NULL, &token, NULL) < 0 ||
            master_set_token(a->master, token) < 0)
                return;
        log_notice("The link was refused, but this host is enrolled: going on with the token that it has");
        (void) !event_rearm(a->token_timer, USEC_INFINITY);
        agent_begin(a);
}

void agent_on_self_enrolled(SelfEnrollResult result, void *userdata) {
        Agent *a = ASSERT_PTR(userdata);

        if (result == SELF_ENROLL_DONE && !a->stopping)
                (void) !event_rearm(a->token_timer, 0);
        if (result == SELF_ENROLL_REFUSED && !a->stopping)
                go_on_as_enrolled(a);
        agent_tell_status(a);
}

void agent_token_refused(Agent *a) {
        _cleanup_(erase_and_freep) char *before = NULL;

        assert(a);

        before = strdup(strempty(master_token(a->master)));
        if (before && agent_token_try(a) > 0 && !streq(before, master_token(a->master))) {
                log_notice("The token was replaced on this host, trying the new one");
                agent_begin(a);
                claim_now(a->claim);
        }
}

void agent_take_token(Agent *a, const char *sealed) {
        _cleanup_(unseal_buffer_done) Buffer plain = BUFFER_NULL;
        int r;

        assert(a);
        assert(sealed);

        r = unseal(&a->identity, sealed, &plain);
        if (r >= 0)
                r = token_clean(plain.data);
        if (r >= 0 && streq_ptr(plain.data, master_token(a->master)))
                return; /* the answer to a request that was made with the old one */
        /* Kept before it is used: the master forgets the old one a day later. */
        if (r >= 0)
                r = state_token_save(a->state_fd, plain.data, a->given);
        if (r >= 0)
                r = master_set_token(a->master, plain.data);
        if (r < 0)
                log_error_errno(r,
                                "The new token of this node cannot be taken over, the old one goes on: %m");
        else
                log_notice("The master handed over a new token for this node");
}
