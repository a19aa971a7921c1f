#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One command of this node, from its delivery until its result is acknowledged; its life is the table of
 * work-state.h. */

#include "agent/common/channel.h"
#include "agent/common/log-ring.h"
#include "agent/daemon/agent.h"
#include "agent/daemon/delivery.h"
#include "base/backoff.h"

/* The hello of a job: systemd may be busy. */
#define WORK_HELLO_TIMEOUT (20 * USEC_PER_SEC)
/* Starts that ended before a hello are tried again, this often in all. */
#define WORK_LAUNCH_TRIES 6U
/* A probe that runs; the master gives it up at the same age. It is then cancelled. */
#define WORK_PROBE_LIMIT (15 * USEC_PER_SEC)
/* A job that was told to end and does not is killed. */
#define WORK_CANCEL_PATIENCE (60 * USEC_PER_SEC)
/* Between two looks at a job without a line. */
#define WORK_ORPHAN_INTERVAL (2 * USEC_PER_SEC)
/* The mark that a restarted agent asks a job for. */
#define WORK_SYNC_TIMEOUT (20 * USEC_PER_SEC)
/* Between two reports of progress. */
#define WORK_PROGRESS_INTERVAL (USEC_PER_SEC / 2)

struct Work {
        Agent *agent; /* weak */
        Work *next, *prev;
        WorkName name;
        CommandKind kind;
        uint64_t run; /* 0: none */
        usec_t deadline;
        WorkState state;
        json_t *spec;
        char *sealed; /* the secrets, as they came; gone once the job has them */
        bool cancelled;
        bool stopped;   /* cancelled by our own end, not by the master */
        bool accepted;  /* the master knows that we have it */
        bool unstarted; /* lost, and its job provably never got its orders */

        sd_event_source *timer; /* of the state */
        sd_event_source *reaper;

        /* The job. */
        Channel *channel;
        bool kept; /* the line is in the fd store */
        bool greeted;
        bool looked; /* for signs of life of an orphan */
        pid_t pid;   /* of our child; 0: systemd's */
        sd_event_source *child;
        uint64_t bandwidth; /* that it was told last */
        unsigned launches;
        Backoff launch_backoff;

        /* Towards the master: one request at a time. */
        MasterCall *call;
        Backoff backoff;
        sd_event_source *report_timer;
        bool report_waits; /* for the timer, after a failure */
        JobProgress progress;
        bool has_progress;
        char *phase_sent;
        usec_t progress_sent;
        LogRing ring;
        uint64_t lines_acked;
        uint64_t lines_flying; /* the last line of the request under way */
        bool progress_flying;
        json_t *result; /* {"status","error","result"} */
        bool reduced;   /* the master refused the whole result */
};

/* A command as it was delivered: is accepted, started, … by itself. */
int work_new(Agent *a, const Delivery *d) _warn_unused_;
/* What an agent before us left under this name; fd is the line to the job, or negative. Takes fd over. */
int work_adopt(Agent *a, WorkName name, int fd) _warn_unused_;
/* Lets go of everything; the job, if there is one, goes on. */
Work *work_free(Work *w);

void work_cancel(Work *w, bool stopping);
void work_claim_answered(Work *w);
/* Another attempt of the same command has ended. */
void work_look_again(Work *w);

/* --- Between the files of work ----------------------------------------------------------------------- */

void work_apply(Work *w, WorkEvent event);
/* Makes a result without a job. */
void work_set_failure(Work *w, const char *status, const char *code, const char *message);

/* work-job.c */
void work_launch(Work *w);
int work_open_line(Work *w, int fd) _warn_unused_;
/* Tells a running job its share of the bandwidth, when it changed. */
void work_tell_limits(Work *w);
void work_close_line(Work *w);
void work_cancel_job(Work *w);
void work_look_for_orphan(Work *w);
/* The job has its orders: it is not lost with the agent any more. */
void work_end_todo(Work *w);
bool work_job_lives(Work *w, pid_t *ret_pid);
/* Whether a result file is there; takes it. */
bool work_take_result_file(Work *w);

/* work-report.c */
void work_accept(Work *w);
/* Sends whatever is to be sent and may be sent now. */
void work_report(Work *w);
void work_save_result(Work *w);

/* LOG_FIELDS() of a work. */
#define WORK_FIELDS(w) \
        LOG_FIELDS(LOG_COMMAND((w)->name.command), LOG_ATTEMPT((w)->name.attempt), LOG_RUN((w)->run), \
                   LOG_NODE(agent_node_id((w)->agent)))
