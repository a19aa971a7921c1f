/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "repository/lock-watch.h"

#define REFRESH_INTERVAL (REPO_LOCK_REFRESH_SEC * USEC_PER_SEC)
#define REFRESH_RETRY (30 * USEC_PER_SEC)
#define WAIT_STEP (50 * USEC_PER_MSEC)

struct RepoLockWatch {
        RepoLockHeld *lock;
        Storage *storage; /* weak; for its name */
        usec_t delay;
        const atomic_bool *cancel; /* or NULL */
        pthread_mutex_t mutex;     /* of all below, and of the lock */
        pthread_cond_t changed;
        usec_t refreshed; /* CLOCK_MONOTONIC */
        bool lost, ended;
        pthread_t thread;
        bool has_thread;
};

/* Waits until then or the end. Gives whether it is the end. */
static bool wait_until(RepoLockWatch *w, usec_t then) {
        struct timespec at = { (time_t) (then / USEC_PER_SEC), (long) (then % USEC_PER_SEC) * 1000 };
        int r = 0;

        while (!w->ended && r != ETIMEDOUT)
                r = pthread_cond_timedwait(&w->changed, &w->mutex, &at);
        return w->ended;
}

static void *watch_main(void *userdata) {
        RepoLockWatch *w = ASSERT_PTR(userdata);
        usec_t interval = REFRESH_INTERVAL;

        (void) pthread_mutex_lock(&w->mutex);
        while (!wait_until(w, usec_add(now_usec(CLOCK_MONOTONIC), interval)) && !w->lost) {
                int r = repo_lock_refresh(w->lock, /* reterr_failure= */ NULL);

                if (r >= 0)
                        w->refreshed = now_usec(CLOCK_MONOTONIC);
                w->lost = r == -ESTALE;
                interval = r < 0 ? REFRESH_RETRY : REFRESH_INTERVAL;
        }
        (void) pthread_mutex_unlock(&w->mutex);
        return NULL;
}

RepoLockWatch *repo_lock_watch_free(RepoLockWatch *w) {
        if (!w)
                return NULL;
        (void) pthread_mutex_lock(&w->mutex);
        w->ended = true;
        (void) pthread_cond_broadcast(&w->changed);
        (void) pthread_mutex_unlock(&w->mutex);
        if (w->has_thread)
                (void) pthread_join(w->thread, NULL);
        repo_lock_free(w->lock);
        (void) pthread_cond_destroy(&w->changed);
        (void) pthread_mutex_destroy(&w->mutex);
        return mfree(w);
}

static int init_clock(pthread_cond_t *c) {
        pthread_condattr_t attr;
        int r;

        r = pthread_condattr_init(&attr);
        if (r != 0)
                return -r;
        (void) pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        r = pthread_cond_init(c, &attr);
        (void) pthread_condattr_destroy(&attr);
        return -r;
}

int repo_lock_watch_new(Repository *r, const RepoLockArgs *args, RepoLockWatch **ret,
                        Failure *reterr_failure) {
        _cleanup_(repo_lock_watch_freep) RepoLockWatch *w = NULL;
        int k;

        assert(r);
        assert(args);
        assert(ret);

        w = new0(RepoLockWatch, 1);
        if (!w)
                return -ENOMEM;
        (void) pthread_mutex_init(&w->mutex, NULL);
        k = init_clock(&w->changed);
        if (k < 0)
                return k;
        w->storage = repository_storage(r);
        w->delay = args->delay;
        w->cancel = args->cancel;
        k = repo_lock_take(r, args, &w->lock, reterr_failure);
        if (k < 0)
                return k;
        w->refreshed = now_usec(CLOCK_MONOTONIC);
        k = -pthread_create(&w->thread, NULL, watch_main, w);
        if (k < 0)
                return k;
        w->has_thread = true;
        *ret = TAKE_PTR(w);
        return 0;
}

static int alive_locked(RepoLockWatch *w, Failure *f) {
        if (w->lost)
                return failure_set(f, -ESTALE, "LOCK_LOST",
                                   "The lock in the repository on %s was removed by somebody else",
                                   storage_name(w->storage));
        if (repo_lock_age(w->lock) >= REPO_LOCK_GIVE_UP_SEC)
                return failure_set(f, -ESTALE, "LOCK_LOST",
                                   "The lock in the repository on %s could not be refreshed for %d min: "
                                   "others may think that nobody works there",
                                   storage_name(w->storage), REPO_LOCK_GIVE_UP_SEC / 60);
        return 0;
}

int repo_lock_watch_alive(RepoLockWatch *w, Failure *reterr_failure) {
        int r;

        assert(w);

        (void) pthread_mutex_lock(&w->mutex);
        r = alive_locked(w, reterr_failure);
        (void) pthread_mutex_unlock(&w->mutex);
        return r;
}

static bool is_cancelled(const RepoLockWatch *w) {
        return w->cancel && atomic_load_explicit(w->cancel, memory_order_relaxed);
}

int repo_lock_watch_check(RepoLockWatch *w, Failure *reterr_failure) {
        assert(w);

        for (;;) {
                _cleanup_failure_ Failure f = FAILURE_NULL;
                bool fresh;
                int r;

                (void) pthread_mutex_lock(&w->mutex);
                r = alive_locked(w, &f);
                if (r >= 0)
                        r = repo_lock_check(w->lock, &f);
                fresh = !w->lost && now_usec(CLOCK_MONOTONIC) < usec_add(w->refreshed, w->delay);
                (void) pthread_mutex_unlock(&w->mutex);
                if (r >= 0)
                        return r;
                if (r != -ESTALE || !fresh || is_cancelled(w))
                        return failure_set(reterr_failure, r, f.code, "%s", failure_message(&f, r));
                (void) usleep((useconds_t) WAIT_STEP);
        }
}
