#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* From the tar stream to the data object: the reader fills slots of one frame each; two threads compress
 * them, one hashes the plain stream, one writes the compressed frames in order. Slots are few and made once,
 * so the reader waits for whatever is slowest, and memory does not grow. */

#include "archive/entries.h"
#include "archive/object.h"

typedef struct Pipeline Pipeline;

typedef struct PipelineResult {
        uint64_t plain_size;
        uint8_t plain_sha256[SHA256_SIZE];
        uint64_t n_frames;
        uint64_t stream_size; /* compressed, before encryption */
} PipelineResult;

int pipeline_new(int level, ObjectWriter *data, EntriesWriter *entries, Pipeline **ret) _warn_unused_;
Pipeline *pipeline_free(Pipeline *p);

/* A member of so many bytes, headers and padding included, follows: begins a new frame where it would be
 * cut. */
int pipeline_member(Pipeline *p, uint64_t size) _warn_unused_;
/* Room in the current frame, never none. The caller fills some of it and says how much. */
int pipeline_space(Pipeline *p, void **ret, size_t *ret_n) _warn_unused_;
void pipeline_advance(Pipeline *p, size_t n);
int pipeline_write(Pipeline *p, const void *data, size_t n) _warn_unused_;
int pipeline_zeros(Pipeline *p, uint64_t n) _warn_unused_;
/* Bytes of the tar stream so far. */
uint64_t pipeline_offset(const Pipeline *p);
/* Sends the last frame and waits until all are written. */
int pipeline_finish(Pipeline *p, PipelineResult *ret) _warn_unused_;
/* Ends all threads; calls of the reader give error from now on. From any thread. */
void pipeline_stop(Pipeline *p, int error);

DEFINE_CLEANUP(Pipeline *, pipeline_free);
