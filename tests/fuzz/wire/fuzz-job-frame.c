/* SPDX-License-Identifier: Apache-2.0 */

/* The stream between agent and job, in pieces whose size the first byte chooses. */

#include "tests/test.h"
#include "wire/job.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 0: more is needed; negative: the connection would be dropped. */
static int drain(JobDecoder *d) {
        for (;;) {
                _cleanup_(job_progress_done) JobProgress progress = JOB_PROGRESS_NULL;
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                _cleanup_json_ json_t *message = NULL;
                JsonReader reader;
                int r;

                r = job_decoder_next(d, &message, &failure);
                if (r <= 0)
                        return r;
                (void) job_message_type(message);
                if (json_reader_init(&reader, message, &failure) >= 0)
                        (void) job_progress_read(&reader, &progress);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(job_decoder_done) JobDecoder d = JOB_DECODER_NULL;
        size_t step;

        if (size == 0)
                return 0;
        step = (size_t) data[0] + 1;
        for (size_t i = 1; i < size; i += step) {
                if (job_decoder_feed(&d, data + i, step < size - i ? step : size - i) < 0)
                        return 0;
                if (drain(&d) < 0)
                        return 0;
        }
        return 0;
}
