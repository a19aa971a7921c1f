/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "services/api/metrics.h"

/* Upper bounds: from the delivery to an agent that waits to a night in the queue. */
static const usec_t bounds[METRICS_BUCKETS] = {
        1 * USEC_PER_MSEC,
        5 * USEC_PER_MSEC,
        10 * USEC_PER_MSEC,
        25 * USEC_PER_MSEC,
        100 * USEC_PER_MSEC,
        500 * USEC_PER_MSEC,
        1 * USEC_PER_SEC,
        5 * USEC_PER_SEC,
        30 * USEC_PER_SEC,
        2 * USEC_PER_MINUTE,
        10 * USEC_PER_MINUTE,
        USEC_PER_HOUR,
        4 * USEC_PER_HOUR,
        12 * USEC_PER_HOUR,
};

void histogram_add(Histogram *h, usec_t took) {
        unsigned i = 0;

        assert(h);

        while (i < METRICS_BUCKETS && took > bounds[i])
                i++;
        h->counts[i]++;
        h->sum_usec += took;
}

void metrics_count_request(Metrics *m, HttpClass class, unsigned status) {
        assert(m);
        assert(class >= 0 && class < _HTTP_CLASS_MAX);

        if (status < METRICS_STATUS_MAX)
                m->requests[class][status]++;
}

static int add_histogram(Buffer *b, const char *name, const char *help, const Histogram *h) {
        uint64_t count = 0;
        int r;

        assert(h);

        r = metrics_put_header(b, name, "histogram", help);
        for (unsigned i = 0; i < METRICS_BUCKETS && r >= 0; i++) {
                count += h->counts[i];
                r = buffer_printf(b, "backupx_%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
                                  (double) bounds[i] / (double) USEC_PER_SEC, count);
        }
        count += h->counts[METRICS_BUCKETS];
        if (r >= 0)
                r = buffer_printf(b,
                                  "backupx_%s_bucket{le=\"+Inf\"} %" PRIu64 "\nbackupx_%s_sum %.6f\n"
                                  "backupx_%s_count %" PRIu64 "\n",
                                  name, count, name, (double) h->sum_usec / (double) USEC_PER_SEC, name,
                                  count);
        return r;
}

int metrics_put_counted(const Metrics *m, Buffer *b) {
        static const char *const classes[_HTTP_CLASS_MAX] = {
                [HTTP_SERVICE] = "service",
                [HTTP_PEOPLE] = "people",
                [HTTP_AGENT] = "agent",
                [HTTP_RELAY] = "relay",
                [HTTP_UNKNOWN] = "unknown",
        };
        int r;

        assert(m);
        assert(b);

        r = metrics_put_header(b, "http_requests_total", "counter", "Requests that were answered.");
        for (unsigned class = 0; class < _HTTP_CLASS_MAX; class ++)
                for (unsigned status = 0; status < METRICS_STATUS_MAX && r >= 0; status++)
                        if (m->requests[class][status] > 0)
                                r = buffer_printf(b,
                                                  "backupx_http_requests_total{class=\"%s\",status=\"%u\"} "
                                                  "%" PRIu64 "\n",
                                                  classes[class], status,
                                                  m->requests[class][status]);
        if (r >= 0)
                r = add_histogram(b, "command_dispatch_seconds",
                                  "From a new command to its delivery to the agent.",
                                  &m->dispatch);
        if (r >= 0)
                r = add_histogram(b, "run_queue_wait_seconds",
                                  "From a queued run to the agent's acceptance of it.", &m->wait);
        return r;
}
