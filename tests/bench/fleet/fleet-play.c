/* SPDX-License-Identifier: Apache-2.0 */

/* Plays the fleet until standard input ends. Tells on standard output, line by line:
 *
 *         arrived COMMAND WALL-MICROSECONDS
 *         state WAITING AGENTS BEATS ERRORS MEAN-BEAT-MICROSECONDS WORST-BEAT-MICROSECONDS CONNECTIONS
 *                 (once a second)
 *         error node NODE: WHY */

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"

#include "tests/bench/fleet/fleet.h"

#define EVENTS 256
#define TLS_MODE \
        (SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER)
#define LOOK_USEC (20 * USEC_PER_MSEC)
#define TELL_USEC USEC_PER_SEC

static int load_tokens(Fleet *f) {
        FILE *file = fopen(f->options.tokens, "re");
        char token[128];
        uint64_t node;

        if (!file)
                return -errno;
        f->agents = new0(Agent, f->options.agents);
        while (f->agents && f->n_agents < f->options.agents &&
               fscanf(file, "%" SCNu64 " %127s", &node, token) == 2) {
                Agent *a = &f->agents[f->n_agents++];

                *a = (Agent){ .fleet = f, .node = node, .token = strdup(token) };
                for (unsigned i = 0; i < FLEET_CONNECTIONS_MAX; i++)
                        a->links[i] = (Link){ .agent = a, .fd = -1 };
        }
        (void) fclose(file);
        return f->agents && f->n_agents == f->options.agents ? 0 : -ENODATA;
}

static int prepare(Fleet *f) {
        struct rlimit limit;
        int r;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                limit.rlim_cur = limit.rlim_max;
                (void) setrlimit(RLIMIT_NOFILE, &limit);
        }
        r = load_tokens(f);
        if (r < 0)
                return r;
        f->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (f->epoll < 0)
                return -errno;
        if (!f->options.tls)
                return 0;
        f->tls = SSL_CTX_new(TLS_client_method());
        if (!f->tls)
                return -ENOMEM;
        SSL_CTX_set_mode(f->tls, TLS_MODE);
        return 0;
}

static void tell(Fleet *f) {
        printf("state %u %u %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %u\n", f->waiting, f->n_agents,
               f->beats, f->errors, f->beats_told > 0 ? f->beat_sum / f->beats_told : 0, f->beat_worst,
               f->open);
        f->beat_sum = f->beats_told = f->beat_worst = 0;
        (void) fflush(stdout);
}

static void look(Fleet *f, usec_t now) {
        while (f->opened < f->n_agents && f->connecting < FLEET_CONNECTING_MAX)
                agent_start(&f->agents[f->opened++]);
        for (unsigned i = 0; i < f->opened; i++)
                agent_look(&f->agents[i], now);
}

static bool input_ended(void) {
        struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
        char byte;

        return poll(&in, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

static void play(Fleet *f) {
        struct epoll_event events[EVENTS];
        usec_t now, look_at = 0, tell_at = 0;

        for (;;) {
                int n = epoll_wait(f->epoll, events, EVENTS, (int) (LOOK_USEC / USEC_PER_MSEC));

                for (int i = 0; i < n; i++)
                        link_ready(events[i].data.ptr, events[i].events);
                (void) fflush(stdout);
                now = now_usec(CLOCK_MONOTONIC);
                if (now >= look_at) {
                        look(f, now);
                        look_at = now + LOOK_USEC;
                }
                if (now < tell_at)
                        continue;
                tell(f);
                tell_at = now + TELL_USEC;
                if (input_ended())
                        return;
        }
}

static void clean(Fleet *f) {
        for (unsigned i = 0; i < f->n_agents; i++) {
                Agent *a = &f->agents[i];

                for (unsigned k = 0; k < FLEET_CONNECTIONS_MAX; k++)
                        link_close(&a->links[k]);
                free(a->token);
                free(a->work);
        }
        free(f->agents);
        SSL_CTX_free(f->tls);
        if (f->epoll >= 0)
                (void) close(f->epoll);
}

int fleet_play(const FleetOptions *options) {
        Fleet f = { .options = *options, .epoll = -1 };
        int r;

        r = prepare(&f);
        if (r >= 0)
                play(&f);
        clean(&f);
        return r;
}
