/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/job/feed.h"
#include "agent/job/job.h"
#include "base/alloc.h"
#include "base/text.h"
#include "sys/log.h"
#include "wire/names.h"

void feed_send_lines(Feed *f, JobLink *link, Channel *channel) {
        assert(f);
        assert(link);
        assert(channel);

        while (channel_queued(channel) < JOB_QUEUE_HIGH) {
                _cleanup_json_ json_t *message = job_message_new(JOB_LOG);
                json_t *lines = NULL;
                uint64_t last;

                if (!message || job_link_lines(link, f->lines_sent, &lines, &last) <= 0)
                        return;
                if (json_set(message, "lines", lines) < 0 || channel_send(channel, message) < 0)
                        return;
                f->lines_sent = last;
        }
}

static void send_progress(Feed *f, Channel *channel) {
        _cleanup_json_ json_t *message = job_message_new(JOB_PROGRESS);

        assert(f);

        if (!message || job_progress_put(&f->progress, message) < 0)
                return;
        if (channel_queued(channel) < JOB_QUEUE_HIGH)
                (void) !channel_send(channel, message);
        (void) !free_and_strdup(&f->phase_sent, f->progress.phase);
        f->progress_sent = now_usec(CLOCK_MONOTONIC);
        f->has_progress = false;
}

usec_t feed_offer_progress(Feed *f, JobLink *link, Channel *channel) {
        JobProgress newest = JOB_PROGRESS_NULL;
        usec_t due, now;

        assert(f);
        assert(link);

        if (job_link_take_progress(link, &newest)) {
                job_progress_done(&f->progress);
                f->progress = newest;
                f->has_progress = true;
        }
        if (!f->has_progress || !channel)
                return 0;
        now = now_usec(CLOCK_MONOTONIC);
        due = usec_add(f->progress_sent, JOB_PROGRESS_INTERVAL);
        /* A change of phase does not wait. */
        if (now < due && streq_ptr(f->phase_sent, f->progress.phase))
                return due - now;
        send_progress(f, channel);
        return 0;
}

void feed_journal(Feed *f, JobLink *link, const JobStart *start) {
        json_t *lines = NULL;
        uint64_t run, last;

        assert(f);
        assert(link);
        assert(start);

        run = job_start_run(start);
        while (job_link_lines(link, f->lines_logged, &lines, &last) > 0) {
                const json_t *line;
                size_t i;

                json_array_foreach(lines, i, line) {
                        int level = log_line_level_from_string(
                                        json_string_value(json_object_get(line, "level")));
                        const char *text = json_string_value(json_object_get(line, "text"));

                        log_struct(level < 0 ? LOG_INFO : level, NULL,
                                   LOG_FIELDS(LOG_COMMAND(start->name.command),
                                              LOG_ATTEMPT(start->name.attempt), LOG_RUN(run),
                                              LOG_NODE(start->context.node_id)),
                                   "%s", strempty(text));
                }
                json_decref(lines);
                lines = NULL;
                f->lines_logged = last;
        }
}

void feed_rewind(Feed *f) {
        assert(f);

        f->lines_sent = 0;
        f->has_progress = true;
}

void feed_done(Feed *f) {
        if (!f)
                return;
        job_progress_done(&f->progress);
        free(f->phase_sent);
        *f = FEED_NULL;
}
