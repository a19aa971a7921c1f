/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "agent/job/outcome.h"
#include "base/alloc.h"
#include "base/buffer.h"
#include "wire/job.h"

void job_outcome_done(JobOutcome *o) {
        if (!o)
                return;
        failure_done(&o->failure);
        json_decref(o->result);
        *o = JOB_OUTCOME_NULL;
}

static json_t *error_object(const JobOutcome *o) {
        json_t *error = json_object();

        assert(o);

        if (!failure_is_set(&o->failure) || !error) {
                json_decref(error);
                return json_null();
        }
        if (json_set(error, "code", json_string(o->failure.code)) < 0 ||
            json_set(error, "message", json_from_string(o->failure.message)) < 0) {
                json_decref(error);
                return NULL;
        }
        return error;
}

static int build(const JobOutcome *o, json_t **ret) {
        _cleanup_json_ json_t *message = job_message_new(JOB_RESULT);
        int r;

        assert(o);

        if (!message)
                return -ENOMEM;
        r = json_set(message, "status", json_string(result_status_to_string(o->status)));
        if (r >= 0)
                r = json_set(message, "error", error_object(o));
        if (r >= 0)
                r = json_set(message, "result", o->result ? json_incref(o->result) : json_object());
        if (r < 0)
                return r;
        *ret = TAKE_PTR(message);
        return 0;
}

static void too_large(JobOutcome *o) {
        json_decref(o->result);
        o->result = NULL;
        o->status = RESULT_FAILED;
        failure_done(&o->failure);
        (void) failure_set(&o->failure, -EFBIG, "RESULT_TOO_LARGE",
                           "The result is larger than a message may be");
}

int job_outcome_message(JobOutcome *o, json_t **ret) {
        _cleanup_json_ json_t *message = NULL;
        _cleanup_buffer_ Buffer frame = BUFFER_NULL;
        int r;

        assert(o);
        assert(ret);

        r = build(o, &message);
        if (r < 0)
                return r;
        if (job_frame_encode(message, &frame) == -EFBIG) {
                too_large(o);
                return build(o, ret);
        }
        *ret = TAKE_PTR(message);
        return 0;
}
