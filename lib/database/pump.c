/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "database/pump.h"

#define BUFFER_SIZE (256U << 10)
#define PIPE_SIZE (1U << 20)

struct Pump {
        PumpArgs args;
        int in, out; /* of the pipe: out is given away, in is the thread's */
        bool running;
        pthread_t thread;
        Child *child; /* the thread's until it was joined; it would not outlive that thread */
        int error, status;
        bool cut; /* it ended before the dump did */
        Failure failure;
};

static ssize_t read_some(int fd, char *p, size_t n) {
        ssize_t k;

        do
                k = read(fd, p, n);
        while (k < 0 && errno == EINTR);
        return k < 0 ? -errno : k;
}

static int pass_on(Pump *p) {
        size_t size = MAX(p->args.head_max, (size_t) BUFFER_SIZE), n = 0;
        _cleanup_(freep) char *buf = malloc(size);
        ssize_t k = 1;
        int r;

        if (!buf)
                return -ENOMEM;
        while (k > 0 && n < p->args.head_max) {
                k = read_some(p->in, buf + n, p->args.head_max - n);
                n += (size_t) MAX(k, 0);
        }
        if (k < 0 || n == 0)
                return k < 0 ? (int) k : -ENODATA;
        r = p->args.begin(p->args.userdata, buf, n, &p->child, &p->failure);
        while (r >= 0 && n > 0) {
                r = write_full(child_input(p->child), buf, n);
                if (r < 0)
                        break;
                k = read_some(p->in, buf, size);
                n = (size_t) MAX(k, 0);
                r = k < 0 ? (int) k : 0;
        }
        /* Its own end says more than that it takes nothing any more. */
        p->cut = r == -EPIPE;
        return p->cut ? 0 : r;
}

static void *run(void *userdata) {
        Pump *p = ASSERT_PTR(userdata);

        p->error = pass_on(p);
        p->in = safe_close(p->in);
        if (p->child) {
                child_end_input(p->child);
                p->status = child_wait(p->child);
        }
        return NULL;
}

int pump_new(const PumpArgs *args, Pump **ret, Failure *reterr_failure) {
        _cleanup_(pump_freep) Pump *p = NULL;
        int pair[2], r;

        assert(args && args->begin && args->head_max > 0);
        assert(ret);

        p = new0(Pump, 1);
        if (!p)
                return -ENOMEM;
        p->args = *args;
        p->in = p->out = -EBADF;
        if (pipe2(pair, O_CLOEXEC) < 0)
                return failure_set(reterr_failure, -errno, "TOOL_FAILED", "No pipe can be made: %m");
        (void) fcntl(pair[0], F_SETPIPE_SZ, PIPE_SIZE);
        p->in = pair[0];
        p->out = pair[1];
        r = -pthread_create(&p->thread, NULL, run, p);
        if (r < 0)
                return r;
        p->running = true;
        *ret = TAKE_PTR(p);
        return 0;
}

static void join(Pump *p) {
        p->out = safe_close(p->out);
        if (p->running)
                (void) pthread_join(p->thread, NULL);
        p->running = false;
}

Pump *pump_free(Pump *p) {
        if (!p)
                return NULL;
        join(p);
        p->child = child_free(p->child);
        safe_close(p->in);
        failure_done(&p->failure);
        return mfree(p);
}

int pump_fd(const Pump *p) {
        assert(p);

        return p->out;
}

int pump_end(Pump *p, Failure *reterr_failure) {
        assert(p);

        join(p);
        if (p->error >= 0 && p->cut && p->status == 0 && !p->args.may_stop)
                return failure_set(reterr_failure, -EPIPE, "RESTORE_FAILED",
                                   "The program that takes the dump ended before its end");
        if (p->error >= 0)
                return p->status;
        if (failure_is_set(&p->failure))
                return failure_set(reterr_failure, p->error, p->failure.code, "%s",
                                   failure_message(&p->failure, p->error));
        return p->error;
}

const char *pump_complaint(const Pump *p, const char *silence) {
        return p->child ? child_complaint(p->child, silence) : silence;
}
