#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The life of one command on this node, as a table. Pure.
 *
 *     ACCEPTING ─► WAITING ─► STARTING ─► RUNNING ─► REPORTING ─► ENDED
 *                                            │          ▲
 *                                            ▼          │
 *                                        ORPHANED ──────┤    the job lives, the line to it is gone
 *                                                       │
 *     LOST ─────────────────────────────────────────────┘    noted before a restart, and no job is there
 *
 * Whenever the master says that an attempt is not ours any more nothing is reported: a job that runs is
 * cancelled (DISCARDING). */

#include "base/macros.h"

typedef enum WorkState {
        WORK_ACCEPTING,  /* the master was told, its answer is awaited */
        WORK_WAITING,    /* accepted; an older attempt of the same command still runs */
        WORK_STARTING,   /* the job was asked to start, its hello is awaited */
        WORK_RUNNING,    /* the job has its orders */
        WORK_ORPHANED,   /* it lives without a line to us: its result file is awaited */
        WORK_LOST,       /* to be reported as failed once the master had the chance to deliver it again */
        WORK_REPORTING,  /* the result is known; the master does not have it yet */
        WORK_DISCARDING, /* the job is to end, its result is nobody's business */
        WORK_ENDED,
        _WORK_STATE_MAX,
        _WORK_STATE_INVALID = -22, /* -EINVAL */
} WorkState;

DECLARE_STRING_TABLE(work_state, WorkState);

typedef enum WorkEvent {
        WORK_EVENT_ACCEPTED,
        WORK_EVENT_STALE,       /* 409, 410, or the command is unknown */
        WORK_EVENT_CLEAR,       /* nothing stands in the way of the start */
        WORK_EVENT_HELLO,       /* and the start message went out */
        WORK_EVENT_NOT_STARTED, /* given up */
        WORK_EVENT_RESULT,      /* from the job, or its result file */
        WORK_EVENT_LINE_LOST,
        WORK_EVENT_GONE,     /* no line, no lock, no result file */
        WORK_EVENT_ALIVE,    /* its lock is held after all */
        WORK_EVENT_CLAIMED,  /* a claim that did not name it was answered */
        WORK_EVENT_CANCEL,   /* asked for by the master */
        WORK_EVENT_REPORTED, /* acknowledged, or refused for good */
        _WORK_EVENT_MAX,
        _WORK_EVENT_INVALID = -22, /* -EINVAL */
} WorkEvent;

DECLARE_STRING_TABLE(work_event, WorkEvent);

/* The state after the event; the same one where the event means nothing in it. */
WorkState work_state_after(WorkState state, WorkEvent event) _pure_;

/* Picks states. */
typedef bool (*WorkStateFilter)(WorkState state);

/* Whether a claim names it as held, and a heartbeat as running. */
bool work_state_is_held(WorkState state) _pure_;
bool work_state_is_running(WorkState state) _pure_;
/* Whether it fills a place of the capacity. */
bool work_state_takes_place(WorkState state) _pure_;
