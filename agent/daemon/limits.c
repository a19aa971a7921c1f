/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>

#include "agent/daemon/limits.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "wire/agent.h"

#define LIMITS_FILE "limits"
#define LIMITS_SIZE_MAX 1024U

int agent_limits_parse(const json_t *json, AgentLimits *ret) {
        AgentLimits limits = AGENT_LIMITS_NULL;
        JsonReader reader;
        int r;

        assert(ret);

        json_reader_init(&reader, json, /* reterr_failure= */ NULL);
        json_reader_u32(&reader, "jobs", JSON_OPTIONAL, UINT32_MAX, &limits.jobs);
        json_reader_u64(&reader, "bandwidth", JSON_OPTIONAL, INT64_MAX, &limits.bandwidth);
        json_reader_u32(&reader, "cpu_weight", JSON_OPTIONAL, AGENT_WEIGHT_MAX, &limits.cpu_weight);
        json_reader_u32(&reader, "io_weight", JSON_OPTIONAL, AGENT_WEIGHT_MAX, &limits.io_weight);
        r = json_reader_finish_lenient(&reader);
        if (r < 0)
                return r;
        *ret = limits;
        return 0;
}

void agent_limits_load(int state_fd, AgentLimits *ret) {
        _cleanup_json_ json_t *json = NULL;
        _cleanup_(freep) char *text = NULL;

        assert(ret);

        *ret = AGENT_LIMITS_NULL;
        if (read_file(state_fd, LIMITS_FILE, LIMITS_SIZE_MAX, &text, NULL) < 0)
                return;
        if (json_parse_text(text, &json, NULL) >= 0)
                (void) !agent_limits_parse(json, ret);
}

int agent_limits_save(int state_fd, const AgentLimits *limits) {
        _cleanup_(freep) char *text = NULL;
        _cleanup_json_ json_t *json = NULL;
        size_t n;
        int r;

        assert(limits);

        json = json_pack("{s:I, s:I, s:I, s:I}", "jobs", (json_int_t) limits->jobs, "bandwidth",
                         (json_int_t) limits->bandwidth, "cpu_weight", (json_int_t) limits->cpu_weight,
                         "io_weight", (json_int_t) limits->io_weight);
        if (!json)
                return -ENOMEM;
        r = json_format(json, &text, &n);
        return r < 0 ? r : write_file_atomic(state_fd, LIMITS_FILE, text, n, 0600);
}

bool agent_limits_equal(const AgentLimits *a, const AgentLimits *b) {
        assert(a);
        assert(b);

        return a->jobs == b->jobs && a->bandwidth == b->bandwidth && a->cpu_weight == b->cpu_weight &&
                        a->io_weight == b->io_weight;
}

uint64_t agent_limits_share(const AgentLimits *limits, unsigned jobs) {
        assert(limits);

        return limits->bandwidth == 0 ? 0 : MAX(limits->bandwidth / MAX(jobs, 1U), UINT64_C(1));
}
