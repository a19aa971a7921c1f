/* SPDX-License-Identifier: Apache-2.0 */

#include <arpa/inet.h>

#include "base/alloc.h"
#include "tests/test.h"
#include "wire/job.h"

static void test_every_split(void) {
        _cleanup_buffer_ Buffer stream = BUFFER_NULL;
        _cleanup_json_ json_t *a = job_message_new(JOB_HELLO), *b = job_message_new(JOB_ACK);

        CHECK_OK(json_set(a, "version", json_string("1")));
        CHECK_OK(job_frame_encode(a, &stream));
        CHECK_OK(job_frame_encode(b, &stream));
        for (size_t cut = 0; cut <= stream.size; cut++) {
                _cleanup_(job_decoder_done) JobDecoder d = JOB_DECODER_NULL;
                JobMessage expected[] = { JOB_HELLO, JOB_ACK };
                size_t got = 0;

                for (unsigned part = 0; part < 2; part++) {
                        json_t *message = NULL;
                        int r;

                        CHECK_OK(job_decoder_feed(&d, stream.data + (part ? cut : 0),
                                                  part ? stream.size - cut : cut));
                        while ((r = job_decoder_next(&d, &message, NULL)) > 0) {
                                CHECK(got < 2);
                                CHECK_INT(job_message_type(message), expected[got++]);
                                json_decref(message);
                        }
                        CHECK_INT(r, 0);
                }
                CHECK_INT(got, 2);
        }
}

static int decode(uint32_t length, const char *text) {
        _cleanup_(job_decoder_done) JobDecoder d = JOB_DECODER_NULL;
        _cleanup_json_ json_t *message = NULL;
        uint32_t header = htonl(length);

        CHECK_OK(job_decoder_feed(&d, &header, sizeof(header)));
        CHECK_OK(job_decoder_feed(&d, text, strlen(text)));
        return job_decoder_next(&d, &message, NULL);
}

static void test_bad_frames(void) {
        CHECK_INT(decode(2, "{}"), 1);
        CHECK_INT(decode(2, "[]"), -EBADMSG);
        CHECK_INT(decode(2, "{x"), -EBADMSG);
        CHECK_INT(decode(0, ""), -EBADMSG);
        CHECK_INT(decode(3, "{}"), 0);
        CHECK_INT(decode(JOB_FRAME_MAX + 1, ""), -EFBIG);
        CHECK_INT(decode(UINT32_MAX, ""), -EFBIG);
}

static void test_limits(void) {
        _cleanup_buffer_ Buffer stream = BUFFER_NULL;
        _cleanup_json_ json_t *message = job_message_new(JOB_LOG);
        _cleanup_(freep) char *text = malloc(JOB_FRAME_MAX + 1);

        CHECK(text);
        memset(text, 'x', JOB_FRAME_MAX);
        text[JOB_FRAME_MAX] = 0;
        CHECK_OK(json_set(message, "text", json_string(text)));
        CHECK_INT(job_frame_encode(message, &stream), -EFBIG);
        CHECK_INT(stream.size, 0);
}

static void test_types(void) {
        _cleanup_json_ json_t *unknown = json_pack("{s:s}", "type", "future"), *none = json_object(),
                              *number = json_pack("{s:i}", "type", 3);

        CHECK(job_message_type(unknown) < 0);
        CHECK(job_message_type(none) < 0);
        CHECK(job_message_type(number) < 0);
        for (int i = 0; i < _JOB_MESSAGE_MAX; i++) {
                _cleanup_json_ json_t *message = job_message_new((JobMessage) i);

                CHECK_INT(job_message_type(message), i);
        }
}

static void test_progress(void) {
        _cleanup_(job_progress_done) JobProgress back = JOB_PROGRESS_NULL;
        _cleanup_json_ json_t *json = json_object();
        JobProgress p = {
                .phase = (char *) "reading",
                .bytes_read = 1,
                .bytes_written = 2,
                .bytes_total = 3,
                .files_done = 4,
                .files_total = 5,
                .current = (char *) "/a\xff",
        };
        JsonReader r;

        CHECK_OK(job_progress_put(&p, json));
        CHECK_OK(json_reader_init(&r, json, NULL));
        CHECK_OK(job_progress_read(&r, &back));
        CHECK_STR(back.phase, "reading");
        CHECK_STR(back.current, "/a\xff");
        CHECK_INT(back.bytes_read + back.bytes_written * 10 + back.bytes_total * 100 +
                                  back.files_done * 1000 + back.files_total * 10000,
                  54321);
}

int main(void) {
        RUN(test_every_split);
        RUN(test_bad_frames);
        RUN(test_limits);
        RUN(test_types);
        RUN(test_progress);
        return EXIT_SUCCESS;
}
