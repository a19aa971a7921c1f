#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One end of the line between agent and job (wire/job.h) in an event loop: messages in, messages out,
 * nothing blocks. */

#include <systemd/sd-event.h>

#include "wire/job.h"

/* Bytes that wait to be sent. Whoever has more to say waits until the other side reads. */
#define CHANNEL_QUEUE_MAX (2 * (JOB_FRAME_MAX + 4))

typedef struct Channel Channel;

/* Each may free the channel. */
typedef struct ChannelHandlers {
        void (*on_message)(Channel *c, const json_t *message, void *userdata);
        /* The other side has closed, or broke the protocol: error is 0 or says why. Called once, then
         * nothing more comes. */
        void (*on_end)(Channel *c, int error, void *userdata);
        /* Everything queued was sent; may be NULL. */
        void (*on_drained)(Channel *c, void *userdata);
} ChannelHandlers;

/* Takes fd over. */
int channel_new(sd_event *event, int fd, const ChannelHandlers *handlers, void *userdata, Channel **ret)
                _warn_unused_;
Channel *channel_free(Channel *c);

/* Queues one message and sends what the other side takes. -ENOBUFS: too much waits already; -EPIPE: the
 * other side has closed (on_end comes by itself). */
int channel_send(Channel *c, const json_t *message) _warn_unused_;
/* The same, and the other side is given a copy of the descriptor with it. Needs a line on which nothing
 * waits: -EBUSY. */
int channel_send_with_fd(Channel *c, const json_t *message, int fd) _warn_unused_;
/* A message with nothing but its type. */
int channel_send_type(Channel *c, JobMessage type) _warn_unused_;

size_t channel_queued(const Channel *c);
int channel_fd(const Channel *c);
/* The descriptor that came last, for the caller to close; -EBADF: none. */
int channel_take_fd(Channel *c);

/* For an end that was in another process before: a restarted agent may stand in the middle of a frame. Asks
 * the other side for a mark and throws away what comes before it; messages arrive as usual after it. */
int channel_sync(Channel *c) _warn_unused_;
bool channel_is_synced(const Channel *c);

DEFINE_CLEANUP(Channel *, channel_free);
