/* SPDX-License-Identifier: Apache-2.0 */

#include <arpa/inet.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/job.h"
#include "wire/path.h"

#define PHASE_MAX 32
#define LENGTH_SIZE sizeof(uint32_t)

static const char *const job_message_table[_JOB_MESSAGE_MAX] = {
        [JOB_HELLO] = "hello",
        [JOB_START] = "start",
        [JOB_CANCEL] = "cancel",
        [JOB_ACK] = "ack",
        [JOB_PROGRESS] = "progress",
        [JOB_LOG] = "log",
        [JOB_RESULT] = "result",
        [JOB_SYNC] = "sync",
        [JOB_LIMITS] = "limits",
};

DEFINE_STRING_TABLE(job_message, JobMessage);

int job_frame_encode(const json_t *message, Buffer *out) {
        _cleanup_(erase_and_freep) char *text = NULL;
        uint32_t length;
        size_t n;
        int r;

        assert(message);
        assert(out);

        r = json_format(message, &text, &n);
        if (r < 0)
                return r;
        if (n > JOB_FRAME_MAX)
                return -EFBIG;
        r = buffer_reserve(out, LENGTH_SIZE + n);
        if (r < 0)
                return r;
        length = htonl((uint32_t) n);
        r = buffer_add(out, &length, LENGTH_SIZE);
        if (r < 0)
                return r;
        return buffer_add(out, text, n);
}

json_t *job_message_new(JobMessage type) {
        return json_pack("{s:s}", "type", job_message_to_string(type));
}

JobMessage job_message_type(const json_t *message) {
        return job_message_from_string(json_string_value(json_object_get(message, "type")));
}

void job_decoder_done(JobDecoder *d) {
        assert(d);

        buffer_done(&d->buffer);
}

int job_decoder_feed(JobDecoder *d, const void *data, size_t n) {
        assert(d);

        return buffer_add(&d->buffer, data, n);
}

int job_decoder_next(JobDecoder *d, json_t **ret, Failure *reterr_failure) {
        uint32_t length;
        json_t *json;
        int r;

        assert(d);
        assert(ret);

        if (d->buffer.size < LENGTH_SIZE)
                return 0;
        memcpy(&length, d->buffer.data, LENGTH_SIZE);
        length = ntohl(length);
        if (length > JOB_FRAME_MAX)
                return failure_set(reterr_failure, -EFBIG, "FRAME_TOO_LONG",
                                   "A frame of %u bytes is over the limit", length);
        if (d->buffer.size < LENGTH_SIZE + length)
                return 0;
        r = json_parse_strict(d->buffer.data + LENGTH_SIZE, length, JSON_DEPTH_DEFAULT, &json,
                              reterr_failure);
        if (r < 0)
                return r;
        buffer_consume(&d->buffer, LENGTH_SIZE + length);
        if (!json_is_object(json)) {
                json_decref(json);
                return failure_set(reterr_failure, -EBADMSG, "FRAME_INVALID",
                                   "A frame has to hold an object");
        }
        *ret = json;
        return 1;
}

void job_progress_done(JobProgress *p) {
        assert(p);

        free(p->phase);
        free(p->current);
        *p = JOB_PROGRESS_NULL;
}

int job_progress_put(const JobProgress *p, json_t *object) {
        int r;

        assert(p);
        assert(object);

        r = json_set(object, "phase", json_from_string(p->phase));
        if (r >= 0)
                r = json_set(object, "bytes_read", json_from_u64(p->bytes_read));
        if (r >= 0)
                r = json_set(object, "bytes_written", json_from_u64(p->bytes_written));
        if (r >= 0)
                r = json_set(object, "bytes_total", json_from_u64(p->bytes_total));
        if (r >= 0)
                r = json_set(object, "files_done", json_from_u64(p->files_done));
        if (r >= 0)
                r = json_set(object, "files_total", json_from_u64(p->files_total));
        if (r >= 0)
                r = json_set(object, "current", json_from_path(p->current));
        return r;
}

int job_progress_read(JsonReader *r, JobProgress *ret) {
        assert(r);
        assert(ret);

        (void) json_reader_strdup(r, "phase", JSON_REQUIRED, PHASE_MAX, &ret->phase);
        (void) json_reader_u64(r, "bytes_read", JSON_OPTIONAL, INT64_MAX, &ret->bytes_read);
        (void) json_reader_u64(r, "bytes_written", JSON_OPTIONAL, INT64_MAX, &ret->bytes_written);
        (void) json_reader_u64(r, "bytes_total", JSON_OPTIONAL, INT64_MAX, &ret->bytes_total);
        (void) json_reader_u64(r, "files_done", JSON_OPTIONAL, INT64_MAX, &ret->files_done);
        (void) json_reader_u64(r, "files_total", JSON_OPTIONAL, INT64_MAX, &ret->files_total);
        (void) json_reader_path(r, "current", JSON_OPTIONAL, &ret->current);
        return json_reader_finish_lenient(r);
}
