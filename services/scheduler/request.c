/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "services/scheduler/request.h"
#include "wire/json.h"

#define ACTOR_TEXT_MAX 255

void run_request_done(RunRequest *r) {
        assert(r);

        free(r->details);
        free(r->by.username);
        free(r->by.address);
        *r = RUN_REQUEST_NULL;
}

static void read_actor(JsonReader *parent, Actor *by) {
        JsonReader r;

        assert(by);

        if (json_reader_object(parent, "by", JSON_OPTIONAL, &r) <= 0)
                return;
        json_reader_u64(&r, "user_id", JSON_OPTIONAL, INT64_MAX, &by->user_id);
        json_reader_strdup(&r, "username", JSON_OPTIONAL, ACTOR_TEXT_MAX, &by->username);
        json_reader_strdup(&r, "address", JSON_OPTIONAL, ACTOR_TEXT_MAX, &by->address);
        if (json_reader_finish(&r) < 0)
                return; /* it sticks to the parent */
}

static int lookup_kind(const char *s) {
        RunKind kind = run_kind_from_string(s);

        return kind >= 0 ? (int) kind : -EINVAL;
}

int run_request_parse(const char *text, RunRequest *ret, Failure *reterr_failure) {
        _cleanup_(run_request_done) RunRequest request = RUN_REQUEST_NULL;
        _cleanup_json_ json_t *json = NULL;
        const json_t *details = NULL;
        int kind = RUN_BACKUP, r;
        JsonReader reader;

        assert(text);
        assert(ret);

        if (strlen(text) > REQUEST_MAX)
                return failure_set(reterr_failure, -EBADMSG, "REQUEST_TOO_LARGE",
                                   "The request is too large");
        r = json_parse_text(text, &json, reterr_failure);
        if (r < 0)
                return r;
        json_reader_init(&reader, json, reterr_failure);
        json_reader_enum(&reader, "kind", JSON_REQUIRED, lookup_kind, &kind);
        request.kind = (RunKind) kind;
        if (request.kind == RUN_BACKUP)
                json_reader_u64(&reader, "task_id", JSON_REQUIRED, INT64_MAX, &request.task_id);
        else {
                json_reader_u64(&reader, "source_run", JSON_REQUIRED, INT64_MAX, &request.source_run);
                json_reader_u64(&reader, "node_id", JSON_OPTIONAL, INT64_MAX, &request.node_id);
                json_reader_value(&reader, run_kind_to_string(request.kind), JSON_REQUIRED, &details);
        }
        read_actor(&reader, &request.by);
        r = json_reader_finish(&reader);
        if (r < 0)
                return r;
        if (details) {
                r = json_format(details, &request.details, NULL);
                if (r < 0)
                        return r;
        }
        *ret = request;
        request = RUN_REQUEST_NULL;
        return 0;
}
