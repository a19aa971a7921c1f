/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/common/channel.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "sys/event.h"
#include "tests/test.h"

typedef struct End {
        Channel *channel;
        unsigned messages, ends, drains;
        int error;
        JobMessage last;
        bool free_on_message;
        bool echo; /* answers a sync, as a job does */
} End;

static void on_message(Channel *c, const json_t *message, void *userdata) {
        End *e = userdata;

        e->messages++;
        e->last = job_message_type(message);
        if (e->echo && e->last == JOB_SYNC)
                CHECK_OK(channel_send(c, message));
        if (e->free_on_message)
                e->channel = channel_free(c);
}

static void on_end(Channel *c, int error, void *userdata) {
        End *e = userdata;

        e->ends++;
        e->error = error;
        e->channel = channel_free(c);
}

static void on_drained(Channel *c, void *userdata) {
        End *e = userdata;

        e->drains++;
}

static const ChannelHandlers handlers = { on_message, on_end, on_drained };

typedef struct Pair {
        sd_event *event;
        End a, b;
} Pair;

static void pair_init(Pair *p) {
        int fds[2];

        *p = (Pair){};
        CHECK_OK(sd_event_new(&p->event));
        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
        CHECK_OK(channel_new(p->event, fds[0], &handlers, &p->a, &p->a.channel));
        CHECK_OK(channel_new(p->event, fds[1], &handlers, &p->b, &p->b.channel));
}

static void pair_done(Pair *p) {
        channel_free(p->a.channel);
        channel_free(p->b.channel);
        sd_event_unref(p->event);
}

static void turn(Pair *p) {
        while (sd_event_run(p->event, 20 * USEC_PER_MSEC) > 0)
                ;
}

static json_t *big_message(size_t n) {
        char *text = malloc(n + 1);
        json_t *message = job_message_new(JOB_LOG);

        memset(text, 'x', n);
        text[n] = 0;
        CHECK_OK(json_set(message, "text", json_string(text)));
        free(text);
        return message;
}

/* The lock of a job: it comes with its message, is held while it is on the way, and by the receiver. */
static void test_descriptor(void) {
        _cleanup_json_ json_t *message = job_message_new(JOB_START), *big = big_message(1 << 20);
        int ends[2], got;
        char byte;
        Pair p;

        pair_init(&p);
        CHECK_OK(pipe2(ends, O_CLOEXEC | O_NONBLOCK));
        CHECK_OK(channel_send_with_fd(p.a.channel, message, ends[1]));
        close(ends[1]);
        CHECK_INT(read(ends[0], &byte, 1), -1); /* on the way: no end of the pipe */
        CHECK_INT(errno, EAGAIN);
        CHECK_INT(channel_take_fd(p.b.channel), -EBADF);
        turn(&p);
        CHECK_INT(p.b.last, JOB_START);
        got = channel_take_fd(p.b.channel);
        CHECK(got >= 0);
        CHECK_INT(fcntl(got, F_GETFD), FD_CLOEXEC);
        CHECK_INT(channel_take_fd(p.b.channel), -EBADF);
        CHECK_INT(write(got, "x", 1), 1);
        CHECK_INT(read(ends[0], &byte, 1), 1);
        close(got);
        CHECK_INT(read(ends[0], &byte, 1), 0);

        /* One that nobody takes goes with the channel; behind what waits there is no place for one. */
        CHECK_OK(channel_send(p.a.channel, big));
        CHECK(channel_queued(p.a.channel) > 0);
        CHECK_INT(channel_send_with_fd(p.a.channel, message, ends[0]), -EBUSY);
        turn(&p);
        CHECK_OK(channel_send_with_fd(p.a.channel, message, ends[0]));
        turn(&p);
        close(ends[0]);
        pair_done(&p);
}

static void test_messages(void) {
        Pair p;

        pair_init(&p);
        CHECK_OK(channel_send_type(p.a.channel, JOB_HELLO));
        CHECK_OK(channel_send_type(p.a.channel, JOB_CANCEL));
        CHECK_OK(channel_send_type(p.b.channel, JOB_ACK));
        turn(&p);
        CHECK_INT(p.b.messages, 2);
        CHECK_INT(p.b.last, JOB_CANCEL);
        CHECK_INT(p.a.messages, 1);
        CHECK_INT(p.a.last, JOB_ACK);
        pair_done(&p);
}

static void test_large_and_bounded(void) {
        _cleanup_json_ json_t *message = big_message(3U << 20), *too_big = big_message(JOB_FRAME_MAX + 1);
        Pair p;
        int r = 0;
        unsigned sent = 0;

        pair_init(&p);
        CHECK_INT(channel_send(p.a.channel, too_big), -EFBIG);
        /* Nobody reads: the queue ends somewhere. */
        while ((r = channel_send(p.a.channel, message)) >= 0 && sent < 100)
                sent++;
        CHECK_INT(r, -ENOBUFS);
        CHECK(sent >= 2 && sent < 10);
        CHECK(channel_queued(p.a.channel) <= CHANNEL_QUEUE_MAX);
        turn(&p);
        CHECK_INT(p.b.messages, sent);
        CHECK_INT(p.a.drains, 1);
        CHECK_INT(channel_queued(p.a.channel), 0);
        pair_done(&p);
}

static void test_end(void) {
        Pair p;

        pair_init(&p);
        CHECK_OK(channel_send_type(p.a.channel, JOB_RESULT));
        p.a.channel = channel_free(p.a.channel);
        turn(&p);
        /* What was said before the end is not lost. */
        CHECK_INT(p.b.messages, 1);
        CHECK_INT(p.b.ends, 1);
        CHECK_INT(p.b.error, 0);
        pair_done(&p);
}

static void test_broken(void) {
        Pair p;

        pair_init(&p);
        CHECK_INT(write(channel_fd(p.a.channel), "\xff\xff\xff\xff", 4), 4);
        turn(&p);
        CHECK_INT(p.b.ends, 1);
        CHECK(p.b.error < 0);
        pair_done(&p);
}

static void test_freed_by_handler(void) {
        Pair p;

        pair_init(&p);
        p.b.free_on_message = true;
        CHECK_OK(channel_send_type(p.a.channel, JOB_HELLO));
        CHECK_OK(channel_send_type(p.a.channel, JOB_HELLO));
        turn(&p);
        CHECK_INT(p.b.messages, 1);
        CHECK_INT(p.a.ends, 1);
        pair_done(&p);
}

/* A new reader that stands in the middle of a frame finds its place. */
static void test_sync(void) {
        _cleanup_json_ json_t *message = big_message(100000);
        char eaten[5000];
        int fds[2], copy;
        Pair p = {};

        CHECK_OK(sd_event_new(&p.event));
        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
        CHECK_OK(channel_new(p.event, fds[1], &handlers, &p.b, &p.b.channel));
        p.b.echo = true;
        CHECK_OK(channel_send(p.b.channel, message));
        CHECK_INT(read(fds[0], eaten, sizeof(eaten)), sizeof(eaten));
        copy = dup(fds[0]); /* what the service manager keeps */
        close(fds[0]);
        CHECK_OK(channel_new(p.event, copy, &handlers, &p.a, &p.a.channel));
        CHECK_OK(channel_sync(p.a.channel));
        CHECK(!channel_is_synced(p.a.channel));
        turn(&p);
        CHECK(channel_is_synced(p.a.channel));
        CHECK_INT(p.a.messages, 0);
        CHECK_OK(channel_send_type(p.b.channel, JOB_PROGRESS));
        turn(&p);
        CHECK_INT(p.a.messages, 1);
        CHECK_INT(p.a.last, JOB_PROGRESS);
        pair_done(&p);
}

int main(void) {
        RUN(test_messages);
        RUN(test_descriptor);
        RUN(test_large_and_bounded);
        RUN(test_end);
        RUN(test_broken);
        RUN(test_freed_by_handler);
        RUN(test_sync);
        return 0;
}
