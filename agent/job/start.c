/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/job/start.h"
#include "base/alloc.h"
#include "base/text.h"
#include "wire/agent.h"
#include "wire/check.h"
#include "wire/path.h"

#define URL_MAX 2048

void job_start_done(JobStart *s) {
        if (!s)
                return;
        json_decref(s->spec);
        json_decref(s->checks);
        command_secrets_done(&s->secrets);
        free(s->context.master_url);
        free(s->context.ca_cert);
        free(s->context.pin);
        free(s->context.proxy_url);
        free(s->context.node_name);
        free(s->context.results_dir);
        *s = JOB_START_NULL;
}

static void read_context(JsonReader *top, JobContext *c) {
        JsonReader r, node;

        assert(c);

        (void) json_reader_object(top, "context", JSON_REQUIRED, &r);
        (void) json_reader_strdup(&r, "master_url", JSON_REQUIRED, URL_MAX, &c->master_url);
        (void) json_reader_strdup(&r, "ca_cert", JSON_OPTIONAL, WIRE_PATH_MAX, &c->ca_cert);
        (void) json_reader_strdup(&r, "pin", JSON_OPTIONAL, AGENT_TEXT_MAX, &c->pin);
        (void) json_reader_strdup(&r, "proxy_url", JSON_OPTIONAL, URL_MAX, &c->proxy_url);
        (void) json_reader_bool(&r, "insecure_tls", JSON_OPTIONAL, &c->insecure_tls);
        (void) json_reader_strdup(&r, "results_dir", JSON_REQUIRED, WIRE_PATH_MAX, &c->results_dir);
        (void) json_reader_u64(&r, "bandwidth", JSON_OPTIONAL, INT64_MAX, &c->bandwidth);
        (void) json_reader_u32(&r, "cpu_weight", JSON_OPTIONAL, AGENT_WEIGHT_MAX, &c->cpu_weight);
        (void) json_reader_u32(&r, "io_weight", JSON_OPTIONAL, AGENT_WEIGHT_MAX, &c->io_weight);
        if (json_reader_object(&r, "node", JSON_OPTIONAL, &node) > 0) {
                (void) json_reader_u64(&node, "id", JSON_OPTIONAL, INT64_MAX, &c->node_id);
                (void) json_reader_strdup(&node, "name", JSON_OPTIONAL, AGENT_TEXT_MAX, &c->node_name);
        }
}

static int lookup_kind(const char *s) {
        return (int) command_kind_from_string(s);
}

int job_start_parse(const json_t *message, JobStart *ret, Failure *reterr_failure) {
        _cleanup_(job_start_done) JobStart s = JOB_START_NULL;
        const json_t *spec = NULL, *secrets = NULL, *checks = NULL;
        JsonReader r;
        int kind = 0, e;

        assert(message);
        assert(ret);

        (void) json_reader_init(&r, message, reterr_failure);
        (void) json_reader_u64(&r, "command", JSON_REQUIRED, INT64_MAX, &s.name.command);
        (void) json_reader_u64(&r, "attempt", JSON_REQUIRED, INT64_MAX, &s.name.attempt);
        (void) json_reader_enum(&r, "kind", JSON_REQUIRED, lookup_kind, &kind);
        (void) json_reader_time(&r, "deadline", JSON_OPTIONAL, &s.deadline);
        (void) json_reader_value(&r, "spec", JSON_REQUIRED, &spec);
        (void) json_reader_value(&r, "secrets", JSON_OPTIONAL, &secrets);
        (void) json_reader_array(&r, "checks", JSON_OPTIONAL, CHECK_ITEMS_MAX, &checks);
        read_context(&r, &s.context);
        e = json_reader_finish_lenient(&r);
        if (e < 0)
                return e;
        s.kind = (CommandKind) kind;
        s.spec = json_incref((json_t *) spec);
        s.checks = json_incref((json_t *) checks);
        if (secrets) {
                e = command_secrets_parse(secrets, &s.secrets, reterr_failure);
                if (e < 0)
                        return e;
        }

        *ret = s;
        s = JOB_START_NULL;
        return 0;
}

uint64_t job_start_run(const JobStart *s) {
        json_int_t run;

        assert(s);

        run = json_integer_value(json_object_get(s->spec, "run"));
        return run > 0 ? (uint64_t) run : 0;
}
