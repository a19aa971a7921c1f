/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/rows.h"
#include "store/run-log.h"

#define CUT_MARK "…"

/* The row beside the log: how far it is, and what was cut. cut_seq is the marker's line, 0 while there is
 * none. */
typedef struct Head {
        uint64_t seq;
        uint64_t bytes;
        uint32_t attempt;
        uint64_t source_seq;
        uint64_t cut_seq;
        uint64_t cut_lines;
        uint64_t cut_bytes;
} Head;

static void run_log_line_read(Query *q, void *item) {
        RunLogLine *l = item;

        l->seq = column_u64(q);
        l->at = column_u64(q);
        l->level = column_text(q);
        l->text = column_text(q);
}

static void run_log_line_done(void *item) {
        RunLogLine *l = item;

        free(l->level);
        free(l->text);
}

static const RowType run_log_type = { sizeof(RunLogLine), run_log_line_read, run_log_line_done };

void run_log_list_done(RunLogList *l) {
        assert(l);

        rows_free(&run_log_type, l->items, l->n);
        *l = RUN_LOG_LIST_NULL;
}

static int head_get(Store *s, uint64_t run_id, Head *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        query_start(&q, s, SQL_RUN_LOG_HEAD);
        bind_u64(&q, run_id);
        r = query_step(&q);
        if (r < 0)
                return r;
        *ret = (Head){};
        if (r == 0)
                return 0;
        ret->seq = column_u64(&q);
        ret->bytes = column_u64(&q);
        ret->attempt = column_u32(&q);
        ret->source_seq = column_u64(&q);
        ret->cut_seq = column_u64(&q);
        ret->cut_lines = column_u64(&q);
        ret->cut_bytes = column_u64(&q);
        return q.error;
}

static int head_put(Store *s, uint64_t run_id, const Head *h) {
        _cleanup_(query_done) Query q = QUERY_NULL;
        int r;

        assert(h);

        query_start(&q, s, SQL_RUN_LOG_HEAD_PUT);
        bind_u64(&q, run_id);
        bind_u64(&q, h->seq);
        bind_u64(&q, h->bytes);
        bind_u64(&q, h->attempt);
        bind_u64(&q, h->source_seq);
        bind_u64(&q, h->cut_seq);
        bind_u64(&q, h->cut_lines);
        bind_u64(&q, h->cut_bytes);
        r = query_exec(&q);
        return r == STORE_E_IN_USE ? STORE_E_NOT_FOUND : r;
}

static int line_put(Store *s, uint64_t run_id, uint64_t seq, const RunLogLine *line, const char *text) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(line);

        query_start(&q, s, SQL_RUN_LOG_PUT);
        bind_u64(&q, run_id);
        bind_u64(&q, seq);
        bind_u64(&q, line->at);
        bind_text(&q, line->level ? line->level : "info");
        bind_text(&q, text);
        return query_exec(&q);
}

/* A copy that is not longer than a line may be, cut between two characters. */
static char *line_text(const char *text) {
        char *copy;
        size_t n;

        text = strempty(text);
        n = strnlen(text, RUN_LOG_LINE_MAX + 1);
        if (n <= RUN_LOG_LINE_MAX)
                return memdup0(text, n);

        n = RUN_LOG_LINE_MAX - STRLEN(CUT_MARK);
        while (n > 0 && ((unsigned char) text[n] & 0xc0) == 0x80)
                n--;
        copy = malloc(n + STRLEN(CUT_MARK) + 1);
        if (!copy)
                return NULL;
        memcpy(copy, text, n);
        memcpy(copy + n, CUT_MARK, STRLEN(CUT_MARK) + 1);
        return copy;
}

static int head_mark_cut(Store *s, uint64_t run_id, Head *h, usec_t at) {
        _cleanup_(freep) char *text = NULL;
        RunLogLine line = { .at = at, .level = (char *) "warning" };
        int r;

        assert(h);

        if (h->cut_seq == 0)
                h->cut_seq = ++h->seq;
        r = asprintf_safe(&text,
                          "The log of a run has at most %u lines and %u MiB: %" PRIu64 " lines (%" PRIu64
                          " bytes) were cut here. The journal of the node has them all.",
                          RUN_LOG_LINES_MAX, RUN_LOG_BYTES_MAX / (1024 * 1024), h->cut_lines, h->cut_bytes);
        if (r < 0)
                return r;
        return line_put(s, run_id, h->cut_seq, &line, text);
}

/* Adds one line or counts it as cut. The reserve is the master's. */
static int head_add(Store *s, uint64_t run_id, Head *h, const RunLogLine *line, unsigned reserve) {
        _cleanup_(freep) char *text = NULL;
        size_t n;

        assert(h);
        assert(line);

        text = line_text(line->text);
        if (!text)
                return -ENOMEM;
        n = strlen(text);

        /* Once cut, an agent's log stays cut: a short line behind a gap would look as if nothing were
         * missing. */
        if ((h->cut_lines > 0 && reserve == 0) || h->seq >= RUN_LOG_LINES_MAX + reserve ||
            h->bytes + n > RUN_LOG_BYTES_MAX + (size_t) reserve * RUN_LOG_LINE_MAX) {
                h->cut_lines++;
                h->cut_bytes += n;
                return 0;
        }
        h->seq++;
        h->bytes += n;
        return line_put(s, run_id, h->seq, line, text);
}

/* Lines of the batch that were stored before. A new attempt counts from 1 again; an older one is late. */
static int head_skip(Head *h, const RunLogBatch *b, size_t *ret_first) {
        assert(h);
        assert(b);

        if (b->attempt < h->attempt)
                return 1;
        if (b->attempt > h->attempt) {
                h->attempt = b->attempt;
                h->source_seq = 0;
        }
        *ret_first = b->first_source_seq > h->source_seq ?
                        0 :
                        (size_t) (h->source_seq - b->first_source_seq + 1);
        return 0;
}

int run_log_append(Store *s, const RunLogBatch *b, uint64_t *ret_last_source_seq) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        uint64_t cut_before;
        size_t first = 0;
        Head h;
        int r;

        assert(s);
        assert(b);
        assert(b->lines || b->n == 0);

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        r = head_get(s, b->run_id, &h);
        if (r < 0)
                return r;
        cut_before = h.cut_lines;
        if (head_skip(&h, b, &first) != 0)
                first = b->n;

        /* The head goes first: lines refer to a run that must be there. */
        r = head_put(s, b->run_id, &h);
        for (size_t i = first; r == 0 && i < b->n; i++) {
                r = head_add(s, b->run_id, &h, &b->lines[i], 0);
                h.source_seq = b->first_source_seq + i;
        }
        if (r == 0 && h.cut_lines != cut_before)
                r = head_mark_cut(s, b->run_id, &h, b->lines[b->n - 1].at);
        if (r == 0)
                r = head_put(s, b->run_id, &h);
        if (r != 0)
                return r;
        r = store_commit(&tx);
        if (r < 0)
                return r;
        if (ret_last_source_seq)
                *ret_last_source_seq = h.source_seq;
        return 0;
}

int run_log_add(Store *s, uint64_t run_id, usec_t at, const char *level, const char *text) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        RunLogLine line = { .at = at, .level = (char *) level, .text = (char *) text };
        Head h;
        int r;

        assert(s);
        assert(level);
        assert(text);

        r = store_begin(s, &tx);
        if (r < 0)
                return r;
        r = head_get(s, run_id, &h);
        if (r < 0)
                return r;
        r = head_put(s, run_id, &h);
        if (r == 0)
                r = head_add(s, run_id, &h, &line, RUN_LOG_RESERVE);
        if (r == 0)
                r = head_put(s, run_id, &h);
        if (r != 0)
                return r;
        return store_commit(&tx);
}

int run_log_list(Store *s, uint64_t run_id, uint64_t after_seq, size_t limit, RunLogList *ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(ret);

        query_start(&q, s, SQL_RUN_LOG_LIST);
        bind_u64(&q, run_id);
        bind_u64(&q, after_seq);
        bind_i64(&q, list_limit(limit));
        return query_rows(&q, &run_log_type, &ret->items, &ret->n);
}
