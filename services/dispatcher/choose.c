/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/text.h"
#include "services/dispatcher/choose.h"

#define TYPE_LOCAL "local"

static const char *const node_reason_table[_NODE_REASON_MAX] = {
        [REASON_DISABLED] = "DISABLED",
        [REASON_NEVER_SEEN] = "NEVER_SEEN",
        [REASON_SILENT] = "SILENT",
        [REASON_DUPLICATE] = "DUPLICATE",
        [REASON_KEY_MISMATCH] = "KEY_MISMATCH",
        [REASON_KEY_MISSING] = "KEY_MISSING",
        [REASON_CLOCK_SKEW] = "CLOCK_SKEW",
        [REASON_DISK_LOW] = "DISK_LOW",
        [REASON_TOKEN_OLD] = "TOKEN_OLD",
        [REASON_CHECK_FAILED] = "CHECK_FAILED",
};

DEFINE_STRING_TABLE(node_reason, NodeReason);

static const char *const node_reason_texts[_NODE_REASON_MAX] = {
        [REASON_DISABLED] = "The node was disabled: its agent is refused until it is enabled again",
        [REASON_NEVER_SEEN] = "No agent has been seen yet",
        [REASON_SILENT] = "The agent has not been heard for 45 seconds",
        [REASON_DUPLICATE] = "A second agent uses the token of this node",
        [REASON_KEY_MISMATCH] = ("The agent has another key than the one that is pinned; reset the node's"
                                 " identity or make a new install link"),
        [REASON_KEY_MISSING] = "The agent has not offered its key yet, so no job can be sent to it",
        [REASON_CLOCK_SKEW] = "The clock of this node is more than five minutes off",
        [REASON_DISK_LOW] = "Less than 256 MiB are free where the agent keeps its state",
        [REASON_CHECK_FAILED] = "The last check of this node found an error: backupx nodes check shows it",
        [REASON_TOKEN_OLD] = "The agent still shows a token that was replaced; see its journal",
};

const char *node_reason_text(NodeReason reason) {
        assert(reason >= 0 && reason < _NODE_REASON_MAX);
        return node_reason_texts[reason];
}

NodeReason choose_first_reason(unsigned reasons) {
        for (int i = 0; i < _NODE_REASON_MAX; i++)
                if (reasons & 1U << i)
                        return (NodeReason) i;
        return _NODE_REASON_INVALID;
}

static NodeVerdict judge_online(const NodeView *v) {
        const bool found[_NODE_REASON_MAX] = {
                [REASON_DUPLICATE] = v->duplicate,
                [REASON_KEY_MISMATCH] = v->key_differs,
                [REASON_KEY_MISSING] = !v->has_key,
                [REASON_CLOCK_SKEW] = v->clock_skew_usec > NODE_SKEW_MAX_USEC ||
                                v->clock_skew_usec < -NODE_SKEW_MAX_USEC,
                [REASON_DISK_LOW] = v->has_facts && v->free_bytes < NODE_FREE_MIN,
                [REASON_TOKEN_OLD] = v->token_old,
                [REASON_CHECK_FAILED] = v->check_failed,
        };
        NodeVerdict verdict = { NODE_ONLINE, HEALTH_HEALTHY, 0 };

        for (int i = 0; i < _NODE_REASON_MAX; i++)
                if (found[i])
                        verdict.reasons |= 1U << i;
        if (verdict.reasons != 0)
                verdict.health = HEALTH_DEGRADED;
        return verdict;
}

static NodeVerdict judge_absent(const NodeView *v, NodeState state) {
        NodeReason reason = v->disabled       ? REASON_DISABLED :
                        state == NODE_PENDING ? REASON_NEVER_SEEN :
                                                REASON_SILENT;

        return (NodeVerdict){
                .state = state,
                .health = HEALTH_OFFLINE,
                .reasons = 1U << reason | (v->key_differs ? 1U << REASON_KEY_MISMATCH : 0),
        };
}

NodeVerdict choose_node_state(const NodeView *v) {
        NodeState state;

        assert(v);

        state = v->state;
        if (v->disabled)
                return judge_absent(v, state == NODE_PENDING ? NODE_PENDING : NODE_OFFLINE);
        if (v->heard)
                state = NODE_ONLINE;
        else if (state == NODE_ONLINE && v->listening && v->silence >= NODE_OFFLINE_USEC)
                state = NODE_OFFLINE;

        switch (state) {
        case NODE_ONLINE:
                return judge_online(v);
        case NODE_PENDING:
                return judge_absent(v, NODE_PENDING);
        case NODE_OFFLINE:
        case _NODE_STATE_MAX:
        case _NODE_STATE_INVALID:
                break;
        }
        return judge_absent(v, NODE_OFFLINE);
}

static uint64_t room(const PoolNode *node) {
        return MAX(node->capacity, 1U);
}

static bool is_freer(const PoolNode *a, const PoolNode *b) {
        uint64_t left = a->load * room(b), right = b->load * room(a);

        if (left != right)
                return left < right;
        if (a->load != b->load)
                return a->load < b->load;
        return a->id < b->id;
}

const PoolNode *choose_pool_node(const PoolNode *nodes, size_t n) {
        const PoolNode *best = NULL;

        assert(nodes || n == 0);

        for (size_t i = 0; i < n; i++)
                if (nodes[i].usable && (!best || is_freer(nodes + i, best)))
                        best = nodes + i;
        return best;
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
