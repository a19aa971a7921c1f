/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "repository/lock-watch.h"

#define WAIT_STEP (50 * USEC_PER_MSEC)

typedef enum LockState {
        LOCK_OURS,
        LOCK_REMOVED, /* by somebody else */
        LOCK_LATE,    /* it was not refreshed for too long, whether or not that was done later */
} LockState;

struct RepoLockWatch {
        Storage *storage; /* weak; for its name */
        RepoLockTimes times;
        usec_t delay;
        const atomic_bool *cancel; /* or NULL */
        pthread_mutex_t busy;      /* of lock: held while the storage works, and taken first */
        RepoLockHeld *lock;
        pthread_mutex_t mutex; /* of all below */
        pthread_cond_t changed;
        usec_t since;   /* CLOCK_BOOTTIME: when the lock that stands was begun to be written */
        usec_t written; /* CLOCK_MONOTONIC: when it had been */
        LockState state;
        bool ended;
        pthread_t thread;
        bool has_thread;
};

/* Below mutex: what is known by now. */
static LockState look(RepoLockWatch *w) {
        if (w->state == LOCK_OURS && now_usec(CLOCK_BOOTTIME) >= usec_add(w->since, w->times.give_up))
                w->state = LOCK_LATE;
        return w->state;
}

/* Waits until then or the end. Gives whether it is the end. */
static bool wait_until(RepoLockWatch *w, usec_t then) {
        struct timespec at = { (time_t) (then / USEC_PER_SEC), (long) (then % USEC_PER_SEC) * 1000 };
        int r = 0;

        while (!w->ended && r != ETIMEDOUT)
                r = pthread_cond_timedwait(&w->changed, &w->mutex, &at);
        return w->ended;
}

/* Gives whether it was done. */
static bool refresh(RepoLockWatch *w) {
        usec_t since = now_usec(CLOCK_BOOTTIME);
        int r;

        (void) pthread_mutex_lock(&w->busy);
        r = repo_lock_refresh(w->lock, /* reterr_failure= */ NULL);
        (void) pthread_mutex_lock(&w->mutex);
        /* First whether the one before had stood for too long: a new one does not mend that. */
        if (look(w) == LOCK_OURS && r == -ESTALE)
                w->state = LOCK_REMOVED;
        if (r >= 0) {
                w->since = since;
                w->written = now_usec(CLOCK_MONOTONIC);
        }
        (void) pthread_mutex_unlock(&w->mutex);
        (void) pthread_mutex_unlock(&w->busy);
        return r >= 0;
}

static void *watch_main(void *userdata) {
        RepoLockWatch *w = ASSERT_PTR(userdata);
        usec_t interval = w->times.refresh;

        (void) pthread_mutex_lock(&w->mutex);
        while (!wait_until(w, usec_add(now_usec(CLOCK_MONOTONIC), interval)) && look(w) == LOCK_OURS) {
                (void) pthread_mutex_unlock(&w->mutex);
                interval = refresh(w) ? w->times.refresh : w->times.retry;
                (void) pthread_mutex_lock(&w->mutex);
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
        (void) pthread_mutex_destroy(&w->busy);
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

static void set_times(RepoLockTimes *t, const RepoLockTimes *wanted) {
        *t = (RepoLockTimes){
                .refresh = wanted->refresh ?: REPO_LOCK_REFRESH_SEC * USEC_PER_SEC,
                .retry = wanted->retry ?: REPO_LOCK_RETRY_SEC * USEC_PER_SEC,
                .give_up = wanted->give_up ?: REPO_LOCK_GIVE_UP_SEC * USEC_PER_SEC,
        };
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
        (void) pthread_mutex_init(&w->busy, NULL);
        k = init_clock(&w->changed);
        if (k < 0)
                return k;
        w->storage = repository_storage(r);
        set_times(&w->times, &args->times);
        w->cancel = args->cancel;
        w->since = now_usec(CLOCK_BOOTTIME);
        k = repo_lock_take(r, args, &w->lock, reterr_failure);
        if (k < 0)
                return k;
        w->written = now_usec(CLOCK_MONOTONIC);
        w->delay = repo_lock_delay(w->lock);
        k = -pthread_create(&w->thread, NULL, watch_main, w);
        if (k < 0)
                return k;
        w->has_thread = true;
        *ret = TAKE_PTR(w);
        return 0;
}

int repo_lock_watch_alive(RepoLockWatch *w, Failure *reterr_failure) {
        LockState state;

        assert(w);

        (void) pthread_mutex_lock(&w->mutex);
        state = look(w);
        (void) pthread_mutex_unlock(&w->mutex);
        switch (state) {
        case LOCK_OURS:
                return 0;
        case LOCK_REMOVED:
                return failure_set(reterr_failure, -ESTALE, "LOCK_LOST",
                                   "The lock in the repository on %s was removed by somebody else",
                                   storage_name(w->storage));
        case LOCK_LATE:
                break;
        }
        return failure_set(reterr_failure, -ESTALE, "LOCK_LOST",
                           "The lock in the repository on %s could not be refreshed for %" PRIu64 " s: "
                           "others may think that nobody works there",
                           storage_name(w->storage), w->times.give_up / USEC_PER_SEC);
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

                r = repo_lock_watch_alive(w, &f);
                (void) pthread_mutex_lock(&w->busy);
                if (r >= 0)
                        r = repo_lock_check(w->lock, &f);
                (void) pthread_mutex_lock(&w->mutex);
                fresh = w->state == LOCK_OURS &&
                                now_usec(CLOCK_MONOTONIC) < usec_add(w->written, w->delay);
                (void) pthread_mutex_unlock(&w->mutex);
                (void) pthread_mutex_unlock(&w->busy);
                if (r >= 0)
                        return r;
                if (r != -ESTALE || !fresh || is_cancelled(w))
                        return failure_set(reterr_failure, r, f.code, "%s", failure_message(&f, r));
                (void) usleep((useconds_t) WAIT_STEP);
        }
}
