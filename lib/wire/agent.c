/* SPDX-License-Identifier: Apache-2.0 */

#include <syslog.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/agent.h"
#include "wire/check.h"

#define TOKEN_MAX 128
#define PUBLIC_KEY_MAX 128
#define ERROR_CODE_MAX 64
#define ERROR_MESSAGE_MAX 4096
#define PROBES_DEFAULT 2 /* of an agent that names none */

/* --- enroll ------------------------------------------------------------------------------------------ */

void enroll_body_done(EnrollBody *b) {
        assert(b);

        erase_and_free(b->token);
        free(b->public_key);
        free(b->hostname);
        free(b->os);
        free(b->arch);
        free(b->version);
        *b = (EnrollBody){};
}

int enroll_body_parse(const json_t *json, EnrollBody *ret, Failure *reterr_failure) {
        _cleanup_(enroll_body_done) EnrollBody b = {};
        JsonReader r;
        int k;

        assert(ret);

        (void) json_reader_init(&r, json, reterr_failure);
        (void) json_reader_strdup(&r, "enrollment_token", JSON_REQUIRED, TOKEN_MAX, &b.token);
        (void) json_reader_strdup(&r, "public_key", JSON_REQUIRED, PUBLIC_KEY_MAX, &b.public_key);
        (void) json_reader_strdup(&r, "hostname", JSON_OPTIONAL, AGENT_TEXT_MAX, &b.hostname);
        (void) json_reader_strdup(&r, "os", JSON_OPTIONAL, AGENT_TEXT_MAX, &b.os);
        (void) json_reader_strdup(&r, "arch", JSON_OPTIONAL, AGENT_TEXT_MAX, &b.arch);
        (void) json_reader_strdup(&r, "version", JSON_OPTIONAL, AGENT_TEXT_MAX, &b.version);
        k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        *ret = b;
        b = (EnrollBody){};
        return 0;
}

/* --- Lists of commands ------------------------------------------------------------------------------- */

static void read_held(JsonReader *row, void *item) {
        HeldCommand *held = item;

        (void) json_reader_u64(row, "command", JSON_REQUIRED, INT64_MAX, &held->command);
        (void) json_reader_u64(row, "attempt", JSON_REQUIRED, UINT32_MAX, &held->attempt);
}

static const JsonRows held_rows = { AGENT_HOLDING_MAX, sizeof(HeldCommand), read_held };

/* --- heartbeat --------------------------------------------------------------------------------------- */

void heartbeat_body_done(HeartbeatBody *b) {
        assert(b);

        free(b->boot_id);
        free(b->agent_id);
        free(b->version);
        free(b->os);
        free(b->arch);
        free(b->hostname);
        strv_free(b->addresses);
        free(b->public_key);
        free(b->running);
        json_decref(b->tools);
        json_decref(b->check);
        *b = (HeartbeatBody){};
}

static int read_tools(JsonReader *r, json_t **ret) {
        const json_t *tools = NULL;
        const char *name;
        json_t *value;
        int k;

        k = json_reader_value(r, "tools", JSON_OPTIONAL, &tools);
        if (k <= 0)
                return k;
        if (!json_is_object(tools) || json_object_size(tools) > AGENT_TOOLS_MAX)
                return json_reader_fail(r, "tools", "has to be an object of at most %d names",
                                        AGENT_TOOLS_MAX);
        json_object_foreach((json_t *) tools, name, value) {
                if (!json_is_string(value) || json_string_length(value) > AGENT_TEXT_MAX ||
                    strlen(name) > AGENT_TEXT_MAX)
                        return json_reader_fail(r, "tools", "has to hold versions of at most %d bytes",
                                                AGENT_TEXT_MAX);
        }
        *ret = json_incref((json_t *) tools);
        return 1;
}

/* A check that cannot be understood is no reason to refuse a sign of life. */
static int read_check(JsonReader *r, json_t **ret) {
        const json_t *check = NULL;
        int k;

        if (json_reader_value(r, "check", JSON_OPTIONAL, &check) <= 0)
                return 0;
        k = check_report_parse(check, ret, /* reterr_failure= */ NULL);
        return k == -ENOMEM ? k : 0;
}

int heartbeat_body_parse(const json_t *json, HeartbeatBody *ret, Failure *reterr_failure) {
        _cleanup_(heartbeat_body_done) HeartbeatBody b = { .probes = PROBES_DEFAULT };
        JsonReader r;
        int k;

        assert(ret);

        (void) json_reader_init(&r, json, reterr_failure);
        (void) json_reader_strdup(&r, "boot_id", JSON_REQUIRED, AGENT_ID_MAX, &b.boot_id);
        (void) json_reader_strdup(&r, "agent_id", JSON_REQUIRED, AGENT_ID_MAX, &b.agent_id);
        (void) json_reader_strdup(&r, "version", JSON_REQUIRED, AGENT_TEXT_MAX, &b.version);
        (void) json_reader_strdup(&r, "os", JSON_OPTIONAL, AGENT_TEXT_MAX, &b.os);
        (void) json_reader_strdup(&r, "arch", JSON_OPTIONAL, AGENT_TEXT_MAX, &b.arch);
        (void) json_reader_strdup(&r, "hostname", JSON_OPTIONAL, AGENT_TEXT_MAX, &b.hostname);
        (void) json_reader_strv(&r, "addresses", JSON_OPTIONAL, AGENT_ADDRESSES_MAX, AGENT_TEXT_MAX,
                                &b.addresses);
        (void) json_reader_strdup(&r, "public_key", JSON_OPTIONAL, PUBLIC_KEY_MAX, &b.public_key);
        (void) json_reader_u32(&r, "capacity", JSON_REQUIRED, AGENT_CAPACITY_MAX, &b.capacity);
        (void) json_reader_u32(&r, "probes", JSON_OPTIONAL, AGENT_CAPACITY_MAX, &b.probes);
        (void) json_reader_u64(&r, "free_bytes", JSON_OPTIONAL, INT64_MAX, &b.free_bytes);
        (void) json_reader_time(&r, "clock", JSON_OPTIONAL, &b.clock);
        (void) read_tools(&r, &b.tools);
        (void) json_reader_rows(&r, "running", JSON_OPTIONAL, &held_rows, &b.running, &b.n_running);
        k = read_check(&r, &b.check);
        if (k >= 0)
                k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        *ret = b;
        b = (HeartbeatBody){};
        return 0;
}

/* --- claim and accept -------------------------------------------------------------------------------- */

void claim_body_done(ClaimBody *b) {
        assert(b);

        free(b->agent_id);
        free(b->holding);
        free(b->unstarted);
        strv_free(b->features);
        *b = (ClaimBody){};
}

int claim_body_parse(const json_t *json, ClaimBody *ret, Failure *reterr_failure) {
        _cleanup_(claim_body_done) ClaimBody b = { .probes = PROBES_DEFAULT };
        JsonReader r;
        int k;

        assert(ret);

        (void) json_reader_init(&r, json, reterr_failure);
        (void) json_reader_strdup(&r, "agent_id", JSON_REQUIRED, AGENT_ID_MAX, &b.agent_id);
        (void) json_reader_u32(&r, "capacity", JSON_REQUIRED, AGENT_CAPACITY_MAX, &b.capacity);
        (void) json_reader_u32(&r, "probes", JSON_OPTIONAL, AGENT_CAPACITY_MAX, &b.probes);
        (void) json_reader_rows(&r, "holding", JSON_OPTIONAL, &held_rows, &b.holding, &b.n_holding);
        (void) json_reader_rows(&r, "unstarted", JSON_OPTIONAL, &held_rows, &b.unstarted, &b.n_unstarted);
        (void) json_reader_strv(&r, "features", JSON_OPTIONAL, FEATURES_MAX, FEATURE_NAME_MAX, &b.features);
        k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        *ret = b;
        b = (ClaimBody){};
        return 0;
}

int accept_body_parse(const json_t *json, uint64_t *ret_attempt, Failure *reterr_failure) {
        uint64_t attempt = 0;
        JsonReader r;
        int k;

        assert(ret_attempt);

        (void) json_reader_init(&r, json, reterr_failure);
        (void) json_reader_u64(&r, "attempt", JSON_REQUIRED, UINT32_MAX, &attempt);
        k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        *ret_attempt = attempt;
        return 0;
}

/* --- progress and result ----------------------------------------------------------------------------- */

/* The names that a run's log knows, as levels of syslog. */
static int level_from_name(const char *s) {
        if (streq(s, "error"))
                return LOG_ERR;
        if (streq(s, "warning"))
                return LOG_WARNING;
        if (streq(s, "notice"))
                return LOG_NOTICE;
        if (streq(s, "info"))
                return LOG_INFO;
        if (streq(s, "debug"))
                return LOG_DEBUG;
        return -EINVAL;
}

/* Numbers rise from line to line: what came is counted by the last one. */
static void read_line(JsonReader *row, void *item) {
        AgentLogLine *line = item;
        uint64_t before = row->index > 0 ? line[-1].sequence : 0;

        (void) json_reader_u64(row, "seq", JSON_REQUIRED, INT64_MAX, &line->sequence);
        (void) json_reader_time(row, "t", JSON_REQUIRED, &line->time);
        (void) json_reader_enum(row, "level", JSON_REQUIRED, level_from_name, &line->level);
        line->text = "";
        (void) json_reader_string(row, "text", JSON_OPTIONAL, AGENT_LOG_LINE_MAX, &line->text);
        line->text_size = strlen(line->text);
        if (row->error >= 0 && line->sequence <= before)
                (void) json_reader_fail(row, "seq", "has to rise from 1");
}

static const JsonRows line_rows = { AGENT_LOG_LINES_MAX, sizeof(AgentLogLine), read_line };

static void read_lines(JsonReader *r, AgentLogLine **ret, size_t *ret_n) {
        (void) json_reader_rows(r, "log", JSON_OPTIONAL, &line_rows, ret, ret_n);
}

void progress_body_done(ProgressBody *b) {
        assert(b);

        job_progress_done(&b->progress);
        free(b->lines);
        json_decref(b->json);
        *b = (ProgressBody){};
}

int progress_body_parse(json_t *json, ProgressBody *ret, Failure *reterr_failure) {
        _cleanup_(progress_body_done) ProgressBody b = { .json = json_incref(json) };
        JsonReader r;
        int k;

        assert(ret);

        (void) json_reader_init(&r, json, reterr_failure);
        (void) json_reader_u64(&r, "attempt", JSON_REQUIRED, UINT32_MAX, &b.attempt);
        b.has_progress = !json_is_null(json_object_get(json, "phase")) && json_object_get(json, "phase");
        if (b.has_progress)
                (void) job_progress_read(&r, &b.progress);
        read_lines(&r, &b.lines, &b.n_lines);
        k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        *ret = b;
        b = (ProgressBody){};
        return 0;
}

void result_body_done(ResultBody *b) {
        assert(b);

        free(b->error_code);
        free(b->error_message);
        json_decref(b->result);
        free(b->lines);
        json_decref(b->json);
        *b = (ResultBody){};
}

static int lookup_status(const char *s) {
        return result_status_from_string(s);
}

int result_body_parse(json_t *json, ResultBody *ret, Failure *reterr_failure) {
        _cleanup_(result_body_done) ResultBody b = { .json = json_incref(json) };
        int k, status = RESULT_FAILED;
        const json_t *result = NULL;
        JsonReader r, error;

        assert(ret);

        (void) json_reader_init(&r, json, reterr_failure);
        (void) json_reader_u64(&r, "attempt", JSON_REQUIRED, UINT32_MAX, &b.attempt);
        (void) json_reader_enum(&r, "status", JSON_REQUIRED, lookup_status, &status);
        b.status = (ResultStatus) status;
        if (json_reader_object(&r, "error", JSON_OPTIONAL, &error) > 0) {
                (void) json_reader_strdup(&error, "code", JSON_REQUIRED, ERROR_CODE_MAX, &b.error_code);
                (void) json_reader_strdup(&error, "message", JSON_OPTIONAL, ERROR_MESSAGE_MAX,
                                          &b.error_message);
        }
        k = json_reader_value(&r, "result", JSON_OPTIONAL, &result);
        if (k > 0 && !json_is_object(result))
                (void) json_reader_fail(&r, "result", "has to be an object");
        else if (k > 0)
                b.result = json_incref((json_t *) result);
        read_lines(&r, &b.lines, &b.n_lines);
        k = json_reader_finish_lenient(&r);
        if (k < 0)
                return k;
        *ret = b;
        b = (ResultBody){};
        return 0;
}

int command_body_build(const HeldCommand *id, CommandKind kind, usec_t deadline, const char *spec,
                       const char *secrets, json_t **ret) {
        _cleanup_json_ json_t *json = json_object(), *parsed = NULL;
        int r;

        assert(id);
        assert(spec);
        assert(ret);

        r = json_parse_text(spec, &parsed, NULL);
        if (r < 0)
                return r;
        r = json_set(json, "id", json_from_u64(id->command));
        if (r >= 0)
                r = json_set(json, "attempt", json_from_u64(id->attempt));
        if (r >= 0)
                r = json_set(json, "kind", json_from_string(command_kind_to_string(kind)));
        if (r >= 0)
                r = json_set(json, "deadline", json_from_time(deadline));
        if (r >= 0)
                r = json_set(json, "spec", TAKE_PTR(parsed));
        if (r >= 0)
                r = json_set(json, "secrets", json_from_string(secrets));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(json);
        return 0;
}
