/* SPDX-License-Identifier: Apache-2.0 */

/* Frames in and out without ever waiting. Reading takes a bounded piece a turn of the loop; writing queues
 * what the socket does not take. A channel that was taken over from another process may stand in the middle
 * of a frame: it sends a mark, and throws away everything until the mark comes back.
 *
 * A handler may free its channel: it does so through c->freed, which points at a flag on the stack of the
 * loop that called it. */

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/common/channel.h"
#include "base/alloc.h"
#include "base/encode.h"
#include "base/fd.h"
#include "crypto/random.h"
#include "sys/event.h"

/* One read of a turn of the loop: other sources get theirs between two of them. */
#define READ_SIZE (64U << 10)

#define MARK_BYTES 16

/* Descriptors of one read that are received, so that they can be closed. */
#define FDS_MAX 8

struct Channel {
        sd_event_source *source;
        int fd;
        int out_fd; /* goes with the next byte */
        int in_fd;
        ChannelHandlers handlers;
        void *userdata;
        JobDecoder decoder;
        Buffer out;
        Buffer mark; /* the frame to look for; empty: in step */
        Buffer skipped;
        bool ended;
        bool *freed; /* set by channel_free() for the handler that is running */
};

int channel_fd(const Channel *c) {
        assert(c);
        return c->fd;
}

int channel_take_fd(Channel *c) {
        assert(c);
        return TAKE_FD(c->in_fd);
}

size_t channel_queued(const Channel *c) {
        assert(c);
        return c->out.size;
}

bool channel_is_synced(const Channel *c) {
        assert(c);
        return c->mark.size == 0;
}

Channel *channel_free(Channel *c) {
        if (!c)
                return NULL;

        if (c->freed)
                *c->freed = true;
        sd_event_source_disable_unref(c->source);
        safe_close(c->fd);
        safe_close(c->out_fd);
        safe_close(c->in_fd);
        job_decoder_done(&c->decoder);
        if (c->out.data)
                explicit_bzero(c->out.data, c->out.size); /* a start message carries secrets */
        buffer_done(&c->out);
        buffer_done(&c->mark);
        buffer_done(&c->skipped);
        return mfree(c);
}

static void update_events(Channel *c) {
        uint32_t events = EPOLLIN | (c->out.size > 0 ? EPOLLOUT : 0);

        (void) sd_event_source_set_io_events(c->source, events);
}

/* send() with the descriptor that waits. */
static ssize_t send_some(Channel *c, const void *data, size_t n) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = {};
        struct iovec iov = { (void *) data, n };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        ssize_t sent;

        assert(c);

        if (c->out_fd >= 0) {
                message.msg_control = &control;
                message.msg_controllen = sizeof(control.space);
                control.header.cmsg_level = SOL_SOCKET;
                control.header.cmsg_type = SCM_RIGHTS;
                control.header.cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(&control.header), &c->out_fd, sizeof(int));
        }
        sent = sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0)
                c->out_fd = safe_close(c->out_fd);
        return sent;
}

static int flush(Channel *c) {
        size_t done = 0;

        assert(c);

        while (done < c->out.size) {
                ssize_t n = send_some(c, c->out.data + done, c->out.size - done);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0)
                        return -errno;
                done += (size_t) n;
        }
        if (done == c->out.size)
                explicit_bzero(c->out.data, c->out.size);
        buffer_consume(&c->out, done);
        return 0;
}

/* Gives true when the channel is gone: freed by a handler, or at its end. */
static bool end(Channel *c, int error) {
        c->ended = true;
        (void) sd_event_source_set_enabled(c->source, SD_EVENT_OFF);
        c->handlers.on_end(c, error, c->userdata);
        return true;
}

static bool deliver(Channel *c) {
        bool freed = false;

        assert(c);

        c->freed = &freed;
        for (;;) {
                _cleanup_json_ json_t *message = NULL;
                int r;

                r = job_decoder_next(&c->decoder, &message, /* reterr_failure= */ NULL);
                if (r < 0) {
                        c->freed = NULL;
                        return end(c, r);
                }
                if (r == 0)
                        break;
                c->handlers.on_message(c, message, c->userdata);
                if (freed)
                        return true;
        }
        c->freed = NULL;
        return false;
}

/* Looks for the mark; what stands behind it goes to the decoder. */
static int skip_to_mark(Channel *c, const void *data, size_t n) {
        const char *found;
        size_t rest;
        int r;

        assert(c);

        r = buffer_add(&c->skipped, data, n);
        if (r < 0)
                return r;
        found = memmem(c->skipped.data, c->skipped.size, c->mark.data, c->mark.size);
        if (!found) {
                if (c->skipped.size >= c->mark.size)
                        buffer_consume(&c->skipped, c->skipped.size - c->mark.size + 1);
                return 0;
        }
        found += c->mark.size;
        rest = c->skipped.size - (size_t) (found - c->skipped.data);
        r = job_decoder_feed(&c->decoder, found, rest);
        buffer_done(&c->mark);
        buffer_done(&c->skipped);
        return r;
}

/* Keeps the last one. */
static void keep_fds(Channel *c, struct msghdr *message) {
        for (struct cmsghdr *m = CMSG_FIRSTHDR(message); m; m = CMSG_NXTHDR(message, m)) {
                size_t count = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);

                if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
                        continue;
                for (size_t i = 0; i < count; i++) {
                        safe_close(c->in_fd);
                        memcpy(&c->in_fd, CMSG_DATA(m) + i * sizeof(int), sizeof(int));
                }
        }
}

/* recv() that takes descriptors, too. */
static ssize_t receive_some(Channel *c, void *data, size_t n) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
        } control;
        struct iovec iov = { data, n };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control.space),
        };
        ssize_t got;

        assert(c);

        got = recvmsg(c->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (got >= 0)
                keep_fds(c, &message);
        return got;
}

static bool receive(Channel *c) {
        char data[READ_SIZE];
        ssize_t n;
        int r;

        assert(c);

        n = receive_some(c, data, sizeof(data));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        if (n < 0)
                return end(c, -errno);
        if (n == 0)
                return end(c, 0);
        if (channel_is_synced(c))
                r = job_decoder_feed(&c->decoder, data, (size_t) n);
        else
                r = skip_to_mark(c, data, (size_t) n);
        explicit_bzero(data, (size_t) n);
        return r < 0 ? end(c, r) : deliver(c);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Channel *c = ASSERT_PTR(userdata);
        size_t before = c->out.size;

        /* Reading first: what the other side said before it closed is not lost. */
        if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && receive(c))
                return 0;
        if (events & EPOLLOUT)
                (void) flush(c); /* a broken line shows when it is read */
        update_events(c);
        if (before > 0 && c->out.size == 0 && c->handlers.on_drained)
                c->handlers.on_drained(c, c->userdata);
        return 0;
}

int channel_new(sd_event *event, int fd, const ChannelHandlers *handlers, void *userdata, Channel **ret) {
        _cleanup_close_ int owned = fd;
        Channel *c;
        int r;

        assert(event);
        assert(handlers && handlers->on_message && handlers->on_end);
        assert(ret);

        c = new0(Channel, 1);
        if (!c)
                return -ENOMEM;
        c->fd = c->out_fd = c->in_fd = -EBADF;
        c->handlers = *handlers;
        c->userdata = userdata;
        c->decoder = JOB_DECODER_NULL;
        c->out = BUFFER_LIMITED(CHANNEL_QUEUE_MAX);
        r = sd_event_add_io(event, &c->source, owned, EPOLLIN, on_io, c);
        if (r < 0) {
                channel_free(c);
                return r;
        }
        c->fd = TAKE_FD(owned);
        *ret = c;
        return 0;
}

int channel_send(Channel *c, const json_t *message) {
        int r;

        assert(c);
        assert(message);

        if (c->ended)
                return -EPIPE;
        r = job_frame_encode(message, &c->out);
        if (r == -EFBIG && c->out.size > 0)
                return -ENOBUFS;
        if (r < 0)
                return r;
        r = flush(c);
        update_events(c);
        return r == -ECONNRESET ? -EPIPE : r;
}

int channel_send_with_fd(Channel *c, const json_t *message, int fd) {
        int r;

        assert(c);
        assert(fd >= 0);

        if (c->out.size > 0)
                return -EBUSY;
        c->out_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (c->out_fd < 0)
                return -errno;
        r = channel_send(c, message);
        if (r < 0)
                c->out_fd = safe_close(c->out_fd);
        return r;
}

int channel_send_type(Channel *c, JobMessage type) {
        _cleanup_json_ json_t *message = job_message_new(type);

        if (!message)
                return -ENOMEM;
        return channel_send(c, message);
}

int channel_sync(Channel *c) {
        _cleanup_json_ json_t *message = NULL;
        uint8_t random[MARK_BYTES];
        char token[2 * MARK_BYTES + 1];
        int r;

        assert(c);

        r = random_bytes(random, sizeof(random));
        if (r < 0)
                return r;
        message = job_message_new(JOB_SYNC);
        if (!message)
                return -ENOMEM;
        r = json_set(message, "token", json_string(hex_encode(random, sizeof(random), token)));
        if (r < 0)
                return r;
        buffer_clear(&c->mark);
        r = job_frame_encode(message, &c->mark);
        if (r < 0)
                return r;
        return channel_send(c, message);
}
