#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What a job tells while it works: the lines of its log, each at least once, and its newest progress. Both
 * wait where the agent does not read. */

#include "agent/common/channel.h"
#include "agent/job/link.h"
#include "agent/job/start.h"

typedef struct Feed {
        uint64_t lines_sent;   /* number of the last line that went to the agent */
        uint64_t lines_logged; /* and of the last one in the journal */
        JobProgress progress;  /* the newest, if it was not sent */
        bool has_progress;
        char *phase_sent;
        usec_t progress_sent; /* monotonic */
} Feed;

#define FEED_NULL ((Feed){})

void feed_send_lines(Feed *f, JobLink *link, Channel *channel);
/* Sends the newest progress where it is due; channel may be NULL. Gives how long to wait until there is
 * something to send; 0: there is nothing. */
usec_t feed_offer_progress(Feed *f, JobLink *link, Channel *channel);
/* So that "journalctl BACKUPX_RUN=42" has the lines of the job, too. */
void feed_journal(Feed *f, JobLink *link, const JobStart *start);
/* For an agent that may have lost what was sent: lines are numbered, so repeats are recognised. */
void feed_rewind(Feed *f);
void feed_done(Feed *f);
