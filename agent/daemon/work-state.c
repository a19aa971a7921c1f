/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/daemon/work-state.h"

static const char *const work_state_table[] = {
        [WORK_ACCEPTING] = "accepting",
        [WORK_WAITING] = "waiting",
        [WORK_STARTING] = "starting",
        [WORK_RUNNING] = "running",
        [WORK_ORPHANED] = "orphaned",
        [WORK_LOST] = "lost",
        [WORK_REPORTING] = "reporting",
        [WORK_DISCARDING] = "discarding",
        [WORK_ENDED] = "ended",
};

DEFINE_STRING_TABLE(work_state, WorkState);

static const char *const work_event_table[] = {
        [WORK_EVENT_ACCEPTED] = "accepted",
        [WORK_EVENT_STALE] = "stale",
        [WORK_EVENT_CLEAR] = "clear",
        [WORK_EVENT_HELLO] = "hello",
        [WORK_EVENT_NOT_STARTED] = "not-started",
        [WORK_EVENT_RESULT] = "result",
        [WORK_EVENT_LINE_LOST] = "line-lost",
        [WORK_EVENT_GONE] = "gone",
        [WORK_EVENT_ALIVE] = "alive",
        [WORK_EVENT_CLAIMED] = "claimed",
        [WORK_EVENT_CANCEL] = "cancel",
        [WORK_EVENT_REPORTED] = "reported",
};

DEFINE_STRING_TABLE(work_event, WorkEvent);

typedef struct Transition {
        WorkState from;
        WorkEvent event;
        WorkState to;
} Transition;

static const Transition transitions[] = {
        { WORK_ACCEPTING, WORK_EVENT_ACCEPTED, WORK_WAITING },
        { WORK_ACCEPTING, WORK_EVENT_STALE, WORK_ENDED },
        { WORK_ACCEPTING, WORK_EVENT_NOT_STARTED, WORK_REPORTING },
        { WORK_ACCEPTING, WORK_EVENT_CANCEL, WORK_REPORTING },
        { WORK_WAITING, WORK_EVENT_CLEAR, WORK_STARTING },
        { WORK_WAITING, WORK_EVENT_STALE, WORK_ENDED },
        { WORK_WAITING, WORK_EVENT_NOT_STARTED, WORK_REPORTING },
        { WORK_WAITING, WORK_EVENT_CANCEL, WORK_REPORTING },
        { WORK_STARTING, WORK_EVENT_HELLO, WORK_RUNNING },
        { WORK_STARTING, WORK_EVENT_NOT_STARTED, WORK_REPORTING },
        { WORK_STARTING, WORK_EVENT_STALE, WORK_ENDED },
        { WORK_STARTING, WORK_EVENT_CANCEL, WORK_REPORTING },
        /* A cancelled job goes on until it says how it ended: hence no other state. */
        { WORK_RUNNING, WORK_EVENT_RESULT, WORK_REPORTING },
        { WORK_RUNNING, WORK_EVENT_LINE_LOST, WORK_ORPHANED },
        { WORK_RUNNING, WORK_EVENT_STALE, WORK_DISCARDING },
        { WORK_ORPHANED, WORK_EVENT_RESULT, WORK_REPORTING },
        { WORK_ORPHANED, WORK_EVENT_GONE, WORK_REPORTING },
        { WORK_ORPHANED, WORK_EVENT_STALE, WORK_DISCARDING },
        { WORK_LOST, WORK_EVENT_RESULT, WORK_REPORTING },
        { WORK_LOST, WORK_EVENT_ALIVE, WORK_ORPHANED },
        { WORK_LOST, WORK_EVENT_CLAIMED, WORK_REPORTING },
        { WORK_LOST, WORK_EVENT_STALE, WORK_ENDED },
        { WORK_REPORTING, WORK_EVENT_REPORTED, WORK_ENDED },
        { WORK_REPORTING, WORK_EVENT_STALE, WORK_ENDED },
        { WORK_DISCARDING, WORK_EVENT_RESULT, WORK_ENDED },
        { WORK_DISCARDING, WORK_EVENT_GONE, WORK_ENDED },
};

WorkState work_state_after(WorkState state, WorkEvent event) {
        for (size_t i = 0; i < ELEMENTSOF(transitions); i++)
                if (transitions[i].from == state && transitions[i].event == event)
                        return transitions[i].to;
        return state;
}

bool work_state_is_held(WorkState state) {
        switch (state) {
        case WORK_ACCEPTING:
        case WORK_WAITING:
        case WORK_STARTING:
        case WORK_RUNNING:
        case WORK_ORPHANED:
        case WORK_REPORTING:
                return true;
        case WORK_LOST: /* so that the master delivers it again if it was never accepted */
        case WORK_DISCARDING:
        case WORK_ENDED:
        case _WORK_STATE_MAX:
        case _WORK_STATE_INVALID:
                return false;
        }
        return false;
}

bool work_state_is_running(WorkState state) {
        switch (state) {
        case WORK_WAITING:
        case WORK_STARTING:
        case WORK_RUNNING:
        case WORK_ORPHANED:
        case WORK_REPORTING:
                return true;
        case WORK_ACCEPTING:
        case WORK_LOST:
        case WORK_DISCARDING:
        case WORK_ENDED:
        case _WORK_STATE_MAX:
        case _WORK_STATE_INVALID:
                return false;
        }
        return false;
}

bool work_state_takes_place(WorkState state) {
        switch (state) {
        case WORK_ACCEPTING:
        case WORK_WAITING:
        case WORK_STARTING:
        case WORK_RUNNING:
        case WORK_ORPHANED:
        case WORK_DISCARDING:
                return true;
        case WORK_LOST:
        case WORK_REPORTING: /* costs nothing but a request */
        case WORK_ENDED:
        case _WORK_STATE_MAX:
        case _WORK_STATE_INVALID:
                return false;
        }
        return false;
}
