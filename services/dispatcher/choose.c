/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/text.h"
#include "services/dispatcher/choose.h"

#define TYPE_LOCAL "local"

static NodeVerdict judge_online(const NodeView *v) {
        NodeVerdict verdict = { NODE_ONLINE, HEALTH_DEGRADED, NULL };

        if (v->duplicate)
                verdict.reason = "A second agent uses the token of this node";
        else if (v->key_differs)
                verdict.reason =
                                "The agent has another key than the one that is pinned; reset the node's"
                                " identity or make a new install link";
        else if (!v->has_key)
                verdict.reason = "The agent has not offered its key yet, so no job can be sent to it";
        else if (v->clock_skew_usec > NODE_SKEW_MAX_USEC || v->clock_skew_usec < -NODE_SKEW_MAX_USEC)
                verdict.reason = "The clock of this node is more than five minutes off";
        else
                verdict.health = HEALTH_HEALTHY;
        return verdict;
}

NodeVerdict choose_node_state(const NodeView *v) {
        NodeState state;

        assert(v);

        state = v->state;
        if (v->heard)
                state = NODE_ONLINE;
        else if (state == NODE_ONLINE && v->listening && v->silence >= NODE_OFFLINE_USEC)
                state = NODE_OFFLINE;

        switch (state) {
        case NODE_ONLINE:
                return judge_online(v);
        case NODE_PENDING:
                return (NodeVerdict){ NODE_PENDING, HEALTH_OFFLINE, "No agent has been seen yet" };
        case NODE_OFFLINE:
        case _NODE_STATE_MAX:
        case _NODE_STATE_INVALID:
                break;
        }
        return (NodeVerdict){ NODE_OFFLINE, HEALTH_OFFLINE, "The agent has not been heard for 45 seconds" };
}

static bool reaches(const CopyView *copy, uint64_t writer, uint64_t reader) {
        if (copy->state != RUN_TARGET_SUCCEEDED || !copy->type)
                return false;
        return !streq(copy->type, TYPE_LOCAL) || writer == reader;
}

size_t choose_copies(const CopyView *copies, size_t n, uint64_t writer, uint64_t reader, size_t *order) {
        size_t found = 0;

        assert(copies || n == 0);
        assert(order || n == 0);

        for (unsigned pass = 0; pass < 2; pass++)
                for (size_t i = 0; i < n; i++)
                        if (reaches(copies + i, writer, reader) &&
                            streq(copies[i].type, TYPE_LOCAL) == (pass == 0))
                                order[found++] = i;
        return found;
}

static bool reaches_any(const CopyView *copies, size_t n, uint64_t writer, uint64_t reader) {
        for (size_t i = 0; i < n; i++)
                if (reaches(copies + i, writer, reader))
                        return true;
        return false;
}

uint64_t choose_reader(const CopyView *copies, size_t n, uint64_t writer, bool writer_online,
                       bool local_online) {
        assert(copies || n == 0);

        if (writer_online && reaches_any(copies, n, writer, writer))
                return writer;
        if (local_online && reaches_any(copies, n, writer, NODE_LOCAL))
                return NODE_LOCAL;
        return 0;
}

char *choose_key_part(const char *name, char ret[static CHOOSE_PART_MAX + 1]) {
        size_t n = 0;

        assert(name);

        for (; name[n] && n < CHOOSE_PART_MAX; n++) {
                unsigned char c = (unsigned char) name[n];

                ret[n] = (char) c;
                if (c < 0x20 || c == 0x7f || strchr("/\\:*?\"<>| ", c) || (n == 0 && c == '.'))
                        ret[n] = '_';
        }
        /* Not in the middle of a character. */
        while (n > 0 && name[n] && ((unsigned char) name[n] & 0xc0) == 0x80)
                n--;
        if (n == 0)
                ret[n++] = '_';
        ret[n] = 0;
        return ret;
}

char *choose_key_time(usec_t t, char ret[static CHOOSE_TIME_MAX]) {
        time_t seconds = (time_t) (t / USEC_PER_SEC);
        char date[20];
        struct tm tm;

        if (!gmtime_r(&seconds, &tm) || strftime(date, sizeof date, "%Y%m%dT%H%M%S", &tm) == 0)
                strcpy(date, "00000000T000000");
        (void) snprintf(ret, CHOOSE_TIME_MAX, "%s.%03uZ", date, (unsigned) (t / USEC_PER_MSEC % 1000));
        return ret;
}
