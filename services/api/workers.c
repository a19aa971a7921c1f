/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "sys/event.h"

#include "services/api/workers.h"

typedef struct Ring {
        WorkerJob jobs[WORKERS_JOBS_MAX];
        size_t first, n;
} Ring;

struct Workers {
        sd_event_source *source;
        int event_fd;
        pthread_t threads[WORKERS_THREADS];
        size_t n_threads;
        size_t n_open; /* submitted and not given back; of the loop */

        pthread_mutex_t lock; /* the rest */
        pthread_cond_t wake;
        bool stop;
        Ring todo, done;
};

static void ring_put(Ring *ring, const WorkerJob *job) {
        assert(ring->n < WORKERS_JOBS_MAX);

        ring->jobs[(ring->first + ring->n++) % WORKERS_JOBS_MAX] = *job;
}

static bool ring_take(Ring *ring, WorkerJob *ret) {
        if (ring->n == 0)
                return false;
        *ret = ring->jobs[ring->first];
        ring->first = (ring->first + 1) % WORKERS_JOBS_MAX;
        ring->n--;
        return true;
}

static bool wait_job(Workers *w, WorkerJob *ret) {
        bool taken = false;

        assert(w);

        (void) pthread_mutex_lock(&w->lock);
        while (!w->stop && w->todo.n == 0)
                (void) pthread_cond_wait(&w->wake, &w->lock);
        if (!w->stop)
                taken = ring_take(&w->todo, ret);
        (void) pthread_mutex_unlock(&w->lock);
        return taken;
}

static void *thread_main(void *userdata) {
        Workers *w = ASSERT_PTR(userdata);
        WorkerJob job;

        while (wait_job(w, &job)) {
                uint64_t one = 1;

                job.run(job.userdata);
                (void) pthread_mutex_lock(&w->lock);
                ring_put(&w->done, &job);
                (void) pthread_mutex_unlock(&w->lock);
                (void) !write(w->event_fd, &one, sizeof(one));
        }
        return NULL;
}

static bool take_done(Workers *w, WorkerJob *ret) {
        bool taken;

        (void) pthread_mutex_lock(&w->lock);
        taken = ring_take(&w->done, ret);
        (void) pthread_mutex_unlock(&w->lock);
        return taken;
}

static int on_done(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Workers *w = ASSERT_PTR(userdata);
        uint64_t count;
        WorkerJob job;

        (void) !read(fd, &count, sizeof(count));
        while (take_done(w, &job)) {
                w->n_open--;
                job.done(job.userdata);
        }
        return 0;
}

int workers_submit(Workers *w, const WorkerJob *job) {
        assert(w);
        assert(job);

        if (w->n_open >= WORKERS_JOBS_MAX)
                return -EBUSY;
        w->n_open++;
        (void) pthread_mutex_lock(&w->lock);
        ring_put(&w->todo, job);
        (void) pthread_cond_signal(&w->wake);
        (void) pthread_mutex_unlock(&w->lock);
        return 0;
}

/* Signals belong to the loop's thread. */
static int start_threads(Workers *w) {
        sigset_t all, before;
        int r = 0;

        assert(w);

        (void) sigfillset(&all);
        r = pthread_sigmask(SIG_SETMASK, &all, &before);
        if (r != 0)
                return -r;
        while (r == 0 && w->n_threads < WORKERS_THREADS) {
                r = pthread_create(&w->threads[w->n_threads], NULL, thread_main, w);
                w->n_threads += r == 0;
        }
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        return -r;
}

int workers_new(sd_event *event, Workers **ret) {
        _cleanup_(workers_freep) Workers *w = NULL;
        int r;

        assert(event);
        assert(ret);

        w = new0(Workers, 1);
        if (!w)
                return -ENOMEM;
        w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        (void) pthread_mutex_init(&w->lock, NULL);
        (void) pthread_cond_init(&w->wake, NULL);
        if (w->event_fd < 0)
                return -errno;
        r = sd_event_add_io(event, &w->source, w->event_fd, EPOLLIN, on_done, w);
        if (r < 0)
                return r;
        r = start_threads(w);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}

Workers *workers_free(Workers *w) {
        WorkerJob job;

        if (!w)
                return NULL;

        (void) pthread_mutex_lock(&w->lock);
        w->stop = true;
        (void) pthread_cond_broadcast(&w->wake);
        (void) pthread_mutex_unlock(&w->lock);
        for (size_t i = 0; i < w->n_threads; i++)
                (void) pthread_join(w->threads[i], NULL);
        while (ring_take(&w->done, &job))
                job.drop(job.userdata);
        while (ring_take(&w->todo, &job))
                job.drop(job.userdata);
        sd_event_source_disable_unref(w->source);
        safe_close(w->event_fd);
        (void) pthread_cond_destroy(&w->wake);
        (void) pthread_mutex_destroy(&w->lock);
        free(w);
        return NULL;
}
