#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What this process counts for Prometheus. All else in the metrics is read from the store at each scrape,
 * so that series of deleted objects go away by themselves. These begin at 0 with the process, as counters
 * may. */

#include "base/buffer.h"
#include "base/times.h"

typedef enum HttpClass {
        HTTP_SERVICE, /* health, metrics, what nobody has to log in for */
        HTTP_PEOPLE,  /* and programs: sessions and API keys */
        HTTP_AGENT,
        HTTP_RELAY,
        HTTP_UNKNOWN, /* no such route */
        _HTTP_CLASS_MAX,
} HttpClass;

#define METRICS_STATUS_MAX 600U
#define METRICS_BUCKETS 14U

typedef struct Histogram {
        uint64_t counts[METRICS_BUCKETS + 1]; /* the last one: longer than all bounds */
        uint64_t sum_usec;
} Histogram;

typedef struct Metrics {
        uint64_t requests[_HTTP_CLASS_MAX][METRICS_STATUS_MAX];
        Histogram dispatch; /* from a command's row to its delivery */
        Histogram wait;     /* from a queued run to the acceptance of its command */
        unsigned scrapes;   /* that are on their way */
} Metrics;

void histogram_add(Histogram *h, usec_t took);
void metrics_count_request(Metrics *m, HttpClass class, unsigned status);

/* For metrics.c and metrics-count.c: HELP and TYPE of backupx_<name>; all that is in m. */
int metrics_put_header(Buffer *b, const char *name, const char *type, const char *help) _warn_unused_;
int metrics_put_counted(const Metrics *m, Buffer *b) _warn_unused_;
