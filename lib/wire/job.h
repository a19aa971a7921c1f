#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The line between agent and job, a unix stream: frames of a 32 bit big-endian length and one JSON object.
 *
 * job → agent   hello {protocol, version, pid}, then progress, log, and one result {status, error, result}
 * agent → job   start {command, attempt, kind, deadline, spec, secrets, context}, cancel, ack, sync {token},
 *               limits {bandwidth}
 *
 * Hello comes first: a connection that ends before it means that the job was not started. The job waits for
 * the ack of its result for a while and ends. A restarted agent, which cannot know where in a frame it
 * stands, sends a sync with a random token, skips all bytes up to the same frame coming back, and is in step
 * again. */

#include <errno.h>

#include "base/buffer.h"
#include "wire/json.h"

#define JOB_FRAME_MAX (4U << 20) /* a page of a listing with the longest names */
#define JOB_PROTOCOL 1

typedef enum JobMessage {
        JOB_HELLO,
        JOB_START,
        JOB_CANCEL,
        JOB_ACK,
        JOB_PROGRESS,
        JOB_LOG,
        JOB_RESULT,
        JOB_SYNC,
        JOB_LIMITS, /* bandwidth: bytes a second of uploads, 0: no limit */
        _JOB_MESSAGE_MAX,
        _JOB_MESSAGE_INVALID = -EINVAL,
} JobMessage;

DECLARE_STRING_TABLE(job_message, JobMessage);

/* Appends one frame. -EFBIG: over JOB_FRAME_MAX. */
int job_frame_encode(const json_t *message, Buffer *out) _warn_unused_;

/* A new message object with its type set; NULL when out of memory. */
json_t *job_message_new(JobMessage type);
/* The type of a decoded message, or negative for an unknown one, which is to be ignored. */
JobMessage job_message_type(const json_t *message);

/* Bytes in, messages out. */
typedef struct JobDecoder {
        Buffer buffer;
} JobDecoder;

#define JOB_DECODER_NULL ((JobDecoder){ .buffer = BUFFER_LIMITED(2 * (JOB_FRAME_MAX + 4)) })
void job_decoder_done(JobDecoder *d);
int job_decoder_feed(JobDecoder *d, const void *data, size_t n) _warn_unused_;
/* 1: *ret is the next message; 0: more bytes are needed; -EBADMSG: not of the protocol, -EFBIG: too long;
 * the connection is then to be dropped. */
int job_decoder_next(JobDecoder *d, json_t **ret, Failure *reterr_failure) _warn_unused_;

typedef struct JobProgress {
        char *phase;
        uint64_t bytes_read;
        uint64_t bytes_written;
        uint64_t bytes_total; /* 0: unknown */
        uint64_t files_done;
        uint64_t files_total; /* 0: unknown */
        char *current;        /* a path; NULL: none */
} JobProgress;

#define JOB_PROGRESS_NULL ((JobProgress){})
void job_progress_done(JobProgress *p);
/* Sets the fields in an object (a job's frame or an agent's body). */
int job_progress_put(const JobProgress *p, json_t *object) _warn_unused_;
/* The error sticks in r. */
int job_progress_read(JsonReader *r, JobProgress *ret);
