/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "agent/common/log-ring.h"
#include "base/alloc.h"
#include "base/text.h"
#include "sys/log.h"
#include "wire/agent.h"
#include "wire/path.h"

/* As the wire names them. */
static const char *const log_line_level_table[] = {
        [LOG_ERR] = "error",
        [LOG_WARNING] = "warning",
        [LOG_NOTICE] = "notice",
        [LOG_INFO] = "info",
        [LOG_DEBUG] = "debug",
};

DEFINE_STRING_TABLE(log_line_level, int);

static LogLine *line_at(const LogRing *r, size_t i) {
        return r->lines + (r->first + i) % LOG_RING_LINES;
}

static void drop_first(LogRing *r) {
        LogLine *line = line_at(r, 0);

        r->bytes -= strlen(line->text);
        free(line->text);
        *line = (LogLine){};
        r->first = (r->first + 1) % LOG_RING_LINES;
        r->n--;
}

void log_ring_done(LogRing *r) {
        if (!r)
                return;
        while (r->n > 0)
                drop_first(r);
        free(r->lines);
        *r = LOG_RING_NULL;
}

/* UTF-8 of at most AGENT_LOG_LINE_MAX bytes. */
static int clean_text(const char *text, char **ret) {
        _cleanup_(freep) char *clean = NULL;
        size_t n;
        int r;

        if (utf8_is_valid(text, strlen(text))) {
                clean = strdup(text);
                if (!clean)
                        return -ENOMEM;
        } else {
                r = path_display(text, &clean);
                if (r < 0)
                        return r;
        }
        n = strlen(clean);
        if (n > AGENT_LOG_LINE_MAX) {
                n = AGENT_LOG_LINE_MAX;
                while (n > 0 && ((unsigned char) clean[n] & 0xc0) == 0x80)
                        n--;
                clean[n] = 0;
        }
        *ret = TAKE_PTR(clean);
        return 0;
}

int log_ring_put(LogRing *r, uint64_t sequence, int level, usec_t time, const char *text) {
        _cleanup_(freep) char *clean = NULL;
        int e;

        assert(r);
        assert(text);

        if (sequence <= r->last)
                return 0;
        e = clean_text(text, &clean);
        if (e < 0)
                return e;
        if (!r->lines) {
                r->lines = new0(LogLine, LOG_RING_LINES);
                if (!r->lines)
                        return -ENOMEM;
        }
        while (r->n > 0 && (r->n == LOG_RING_LINES || r->bytes + strlen(clean) > LOG_RING_BYTES))
                drop_first(r);
        r->bytes += strlen(clean);
        r->n++;
        *line_at(r, r->n - 1) = (LogLine){
                .sequence = sequence,
                .time = time,
                .level = CLAMP(level, LOG_ERR, LOG_DEBUG),
                .text = TAKE_PTR(clean),
        };
        r->last = sequence;
        return 0;
}

int log_ring_add(LogRing *r, int level, usec_t time, const char *text) {
        assert(r);
        return log_ring_put(r, r->last + 1, level, time, text);
}

static int read_line(LogRing *r, const json_t *element) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        const char *text = NULL, *level_text = NULL;
        uint64_t sequence = 0;
        usec_t time = 0;
        JsonReader reader;
        int level;

        (void) json_reader_init(&reader, element, &failure);
        (void) json_reader_u64(&reader, "seq", JSON_REQUIRED, INT64_MAX, &sequence);
        (void) json_reader_time(&reader, "t", JSON_REQUIRED, &time);
        (void) json_reader_string(&reader, "level", JSON_REQUIRED, AGENT_TEXT_MAX, &level_text);
        (void) json_reader_string(&reader, "text", JSON_REQUIRED, JOB_FRAME_MAX, &text);
        if (json_reader_finish_lenient(&reader) < 0)
                return 0;
        level = log_line_level_from_string(level_text);
        return log_ring_put(r, sequence, level < 0 ? LOG_INFO : level, time, text);
}

int log_ring_read(LogRing *r, const json_t *lines) {
        const json_t *element;
        size_t i;

        assert(r);

        json_array_foreach((json_t *) lines, i, element) {
                int e = read_line(r, element);

                if (e < 0)
                        return e;
        }
        return 0;
}

bool log_ring_has_after(const LogRing *r, uint64_t after) {
        assert(r);
        return r->n > 0 && line_at(r, r->n - 1)->sequence > after;
}

static int append_line(json_t *array, const LogLine *line) {
        _cleanup_json_ json_t *object = json_object();
        int r;

        assert(line);

        if (!object)
                return -ENOMEM;
        r = json_set(object, "seq", json_from_u64(line->sequence));
        if (r >= 0)
                r = json_set(object, "t", json_from_time(line->time));
        if (r >= 0)
                r = json_set(object, "level", json_string(log_line_level_to_string(line->level)));
        if (r >= 0)
                r = json_set(object, "text", json_string(line->text));
        if (r < 0)
                return r;
        return json_append(array, TAKE_PTR(object));
}

int log_ring_batch(const LogRing *r, uint64_t after, size_t max_lines, size_t max_bytes, json_t **ret,
                   uint64_t *ret_last) {
        _cleanup_json_ json_t *array = NULL;
        uint64_t last = after;
        size_t bytes = 0, n = 0;

        assert(r);
        assert(ret);
        assert(ret_last);

        if (!log_ring_has_after(r, after))
                return 0;
        array = json_array();
        if (!array)
                return -ENOMEM;
        for (size_t i = 0; i < r->n && n < max_lines && (n == 0 || bytes < max_bytes); i++) {
                const LogLine *line = line_at(r, i);
                int e;

                if (line->sequence <= after)
                        continue;
                e = append_line(array, line);
                if (e < 0)
                        return e;
                bytes += strlen(line->text);
                last = line->sequence;
                n++;
        }

        *ret = TAKE_PTR(array);
        *ret_last = last;
        return (int) n;
}

int log_ring_rest(const LogRing *r, uint64_t after, json_t **ret, uint64_t *ret_last) {
        return log_ring_batch(r, after, SIZE_MAX, SIZE_MAX, ret, ret_last);
}

bool log_ring_fits(const LogRing *r, uint64_t after, size_t max_lines, size_t max_bytes) {
        size_t bytes = 0, n = 0;

        assert(r);

        for (size_t i = 0; i < r->n; i++) {
                const LogLine *line = line_at(r, i);

                if (line->sequence <= after)
                        continue;
                if (n >= max_lines || (n > 0 && bytes >= max_bytes))
                        return false;
                bytes += strlen(line->text);
                n++;
        }
        return true;
}

void log_ring_drop(LogRing *r, uint64_t through) {
        assert(r);

        while (r->n > 0 && line_at(r, 0)->sequence <= through)
                drop_first(r);
}
