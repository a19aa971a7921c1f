/* SPDX-License-Identifier: Apache-2.0 */

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/job/link.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "sys/log.h"
#include "wire/agent.h"

/* One frame of log lines. */
#define BATCH_BYTES (128U << 10)

struct JobLink {
        pthread_mutex_t lock;
        int fd;
        atomic_bool cancelled;
        /* Under the lock. */
        LogRing ring;
        JobProgress progress;
        bool has_progress;
        JobOutcome outcome;
        bool finished;
        int watched; /* negative: nobody else is told of a cancel */
        char *watched_text;
};

int job_link_new(JobLink **ret) {
        _cleanup_(job_link_freep) JobLink *l = NULL;

        assert(ret);

        l = new0(JobLink, 1);
        if (!l)
                return -ENOMEM;
        (void) pthread_mutex_init(&l->lock, NULL);
        l->outcome = JOB_OUTCOME_NULL;
        l->watched = -EBADF;
        l->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (l->fd < 0)
                return -errno;

        *ret = TAKE_PTR(l);
        return 0;
}

JobLink *job_link_free(JobLink *l) {
        if (!l)
                return NULL;
        safe_close(l->fd);
        log_ring_done(&l->ring);
        job_progress_done(&l->progress);
        job_outcome_done(&l->outcome);
        free(l->watched_text);
        (void) pthread_mutex_destroy(&l->lock);
        return mfree(l);
}

static void wake(JobLink *l) {
        uint64_t one = 1;

        /* A full counter is a woken loop, too. */
        (void) !write(l->fd, &one, sizeof(one));
}

const atomic_bool *job_link_cancelled(const JobLink *l) {
        assert(l);
        return &l->cancelled;
}

void job_link_log(JobLink *l, int level, const char *format, ...) {
        _cleanup_(freep) char *text = NULL;
        va_list ap;
        int r;

        assert(l);

        va_start(ap, format);
        r = vasprintf_safe(&text, format, ap);
        va_end(ap);
        if (r < 0)
                return;
        (void) pthread_mutex_lock(&l->lock);
        (void) !log_ring_add(&l->ring, level, now_usec(CLOCK_REALTIME), text);
        (void) pthread_mutex_unlock(&l->lock);
        wake(l);
}

static int copy_progress(const JobProgress *p, JobProgress *ret) {
        JobProgress copy = *p;

        copy.phase = copy.current = NULL;
        if (free_and_strdup(&copy.phase, p->phase) < 0 || free_and_strdup(&copy.current, p->current) < 0) {
                job_progress_done(&copy);
                return -ENOMEM;
        }
        *ret = copy;
        return 0;
}

void job_link_progress(JobLink *l, const JobProgress *p) {
        JobProgress copy;

        assert(l);
        assert(p);

        if (copy_progress(p, &copy) < 0)
                return; /* the next one tells more */
        (void) pthread_mutex_lock(&l->lock);
        job_progress_done(&l->progress);
        l->progress = copy;
        l->has_progress = true;
        (void) pthread_mutex_unlock(&l->lock);
        wake(l);
}

void job_link_finish(JobLink *l, JobOutcome *outcome) {
        assert(l);
        assert(outcome);

        (void) pthread_mutex_lock(&l->lock);
        l->outcome = *outcome;
        l->finished = true;
        (void) pthread_mutex_unlock(&l->lock);
        *outcome = JOB_OUTCOME_NULL;
        wake(l);
}

/* Under the lock. */
static void tell_watcher(const JobLink *l) {
        if (l->watched >= 0)
                (void) !send(l->watched, l->watched_text, strlen(l->watched_text),
                             MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void set_watcher(JobLink *l, int fd, char *text) {
        (void) pthread_mutex_lock(&l->lock);
        free(l->watched_text);
        l->watched_text = text;
        l->watched = fd;
        if (atomic_load(&l->cancelled))
                tell_watcher(l);
        (void) pthread_mutex_unlock(&l->lock);
}

int job_link_watch(JobLink *l, int fd, const char *text) {
        char *copy;

        assert(l);
        assert(fd >= 0);
        assert(text);

        copy = strdup(text);
        if (!copy)
                return -ENOMEM;
        set_watcher(l, fd, copy);
        return 0;
}

void job_link_unwatch(JobLink *l) {
        assert(l);
        set_watcher(l, -EBADF, /* text= */ NULL);
}

int job_link_fd(const JobLink *l) {
        assert(l);
        return l->fd;
}

void job_link_clear(JobLink *l) {
        uint64_t count;

        assert(l);
        (void) !read(l->fd, &count, sizeof(count));
}

void job_link_cancel(JobLink *l) {
        assert(l);

        atomic_store(&l->cancelled, true);
        (void) pthread_mutex_lock(&l->lock);
        tell_watcher(l);
        (void) pthread_mutex_unlock(&l->lock);
}

int job_link_lines(JobLink *l, uint64_t after, json_t **ret, uint64_t *ret_last) {
        int r;

        assert(l);

        (void) pthread_mutex_lock(&l->lock);
        r = log_ring_batch(&l->ring, after, AGENT_LOG_LINES_MAX, BATCH_BYTES, ret, ret_last);
        (void) pthread_mutex_unlock(&l->lock);
        return r;
}

int job_link_rest(JobLink *l, uint64_t after, json_t **ret) {
        uint64_t last;
        int r;

        assert(l);

        (void) pthread_mutex_lock(&l->lock);
        r = log_ring_rest(&l->ring, after, ret, &last);
        (void) pthread_mutex_unlock(&l->lock);
        return r;
}

bool job_link_take_progress(JobLink *l, JobProgress *ret) {
        bool has;

        assert(l);
        assert(ret);

        (void) pthread_mutex_lock(&l->lock);
        has = l->has_progress;
        if (has) {
                *ret = l->progress;
                l->progress = JOB_PROGRESS_NULL;
                l->has_progress = false;
        }
        (void) pthread_mutex_unlock(&l->lock);
        return has;
}

bool job_link_is_finished(JobLink *l) {
        bool finished;

        assert(l);

        (void) pthread_mutex_lock(&l->lock);
        finished = l->finished;
        (void) pthread_mutex_unlock(&l->lock);
        return finished;
}

void job_link_take_outcome(JobLink *l, JobOutcome *ret) {
        assert(l);
        assert(ret);

        (void) pthread_mutex_lock(&l->lock);
        *ret = l->outcome;
        l->outcome = JOB_OUTCOME_NULL;
        (void) pthread_mutex_unlock(&l->lock);
}
