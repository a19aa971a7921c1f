/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "repository/lock-held.h"

#define WAIT_STEP (50 * USEC_PER_MSEC)

struct RepoLockHeld {
        Repository *repository; /* weak */
        RepoLock lock;
        Id id;
        bool held;
        usec_t delay; /* after which a new file is listed, as far as is known */
};

RepoLockHeld *repo_lock_free(RepoLockHeld *l) {
        if (!l)
                return NULL;
        if (l->held)
                (void) !repo_lock_release(l, NULL);
        repo_lock_done(&l->lock);
        return mfree(l);
}

/* Writes the lock with the time of now; gives its name. */
static int write_lock(RepoLockHeld *l, Id *ret, Failure *f) {
        _cleanup_(freep) char *json = NULL;
        size_t n;
        int r;

        assert(l);

        l->lock.time = moment_now();
        r = repo_lock_format(&l->lock, &json, &n);
        if (r >= 0)
                r = repository_put(l->repository, REPO_FILE_LOCK, json, n, ret, f);
        return r;
}

typedef struct LockList {
        Id *items;
        size_t n;
} LockList;

static void lock_list_done(LockList *l) {
        free(l->items);
}

static int add_lock(void *userdata, const Id *id, uint64_t size) {
        LockList *l = ASSERT_PTR(userdata);
        Id *grown = reallocarray(l->items, l->n + 1, sizeof(Id));

        if (!grown)
                return -ENOMEM;
        l->items = grown;
        grown[l->n++] = *id;
        return 0;
}

static bool has_ended(const RepoLock *other, const RepoLockOwner *owner) {
        return other->command && strv_contains(owner->ended, other->command);
}

static int refuse(const RepoLockHeld *l, const RepoLock *other, Failure *f) {
        const char *how = other->exclusive ? " for itself alone" : "";
        char since[MOMENT_TEXT_MAX];

        assert(l);

        return failure_set(f, -EBUSY, "REPOSITORY_LOCKED",
                           "The repository on %s is locked%s by process %" PRIu64
                           " on %s since %s: try again when it is done",
                           storage_name(repository_storage(l->repository)), how, other->pid,
                           strempty(other->hostname), moment_format(&other->time, since));
}

/* Looks at one lock of somebody else. It may be gone by now; one that is damaged keeps nobody but those who
 * want to be alone: what holds it may be at work. */
static int look_at(RepoLockHeld *l, const Id *id, const RepoLockOwner *owner, Failure *f) {
        _cleanup_(repo_file_done) RepoFile file = REPO_FILE_NULL;
        _cleanup_(repo_lock_done) RepoLock other = REPO_LOCK_NULL;
        _cleanup_(freep) char *json = NULL;
        Moment now = moment_now();
        size_t n;
        int r;

        assert(l);

        r = repository_get(l->repository, REPO_FILE_LOCK, id, UINT64_MAX, &file, NULL);
        if (r == -ENOENT)
                return 0;
        if (r >= 0)
                r = repo_file_read_all(&file, REPO_LOCK_SIZE_MAX, &json, &n);
        if (r >= 0)
                r = repo_lock_parse(json, n, &other, NULL);
        if (r == -EBADMSG && !l->lock.exclusive)
                return 0;
        if (r < 0)
                return failure_set(f, r, "LOCK_DAMAGED", "A lock of the repository on %s cannot be read: %s",
                                   storage_name(repository_storage(l->repository)), strerror(-r));
        if (has_ended(&other, owner)) {
                /* Through the relay it stays: there it is enough that it does not count. */
                (void) !repository_remove(l->repository, REPO_FILE_LOCK, id, NULL);
                return 0;
        }
        return repo_lock_conflicts(&other, l->lock.exclusive, &now) ? refuse(l, &other, f) : 0;
}

static int look_at_others(RepoLockHeld *l, const RepoLockOwner *owner, Failure *f) {
        _cleanup_(lock_list_done) LockList list = {};
        int r;

        assert(l);

        r = repository_list(l->repository, REPO_FILE_LOCK, add_lock, &list, f);
        for (size_t i = 0; i < list.n && r >= 0; i++)
                if (!l->held || !id_equal(list.items + i, &l->id))
                        r = look_at(l, list.items + i, owner, f);
        return r;
}

static int is_ours(void *userdata, const Id *id, uint64_t size) {
        const RepoLockHeld *l = ASSERT_PTR(userdata);

        return id_equal(id, &l->id);
}

int repo_lock_check(RepoLockHeld *l, Failure *reterr_failure) {
        int r;

        assert(l && l->held);

        r = repository_list(l->repository, REPO_FILE_LOCK, is_ours, l, reterr_failure);
        if (r < 0)
                return r;
        if (r > 0)
                return 0;
        return failure_set(reterr_failure, -ESTALE, "LOCK_LOST",
                           "The lock in the repository on %s was removed by somebody else",
                           storage_name(repository_storage(l->repository)));
}

static int wait_for(usec_t delay, const RepoLockArgs *args) {
        usec_t end = usec_add(now_usec(CLOCK_MONOTONIC), delay);

        for (;;) {
                usec_t now = now_usec(CLOCK_MONOTONIC);

                if (args->cancel && atomic_load_explicit(args->cancel, memory_order_relaxed))
                        return -ECANCELED;
                if (now >= end)
                        return 0;
                (void) usleep((useconds_t) MIN(end - now, WAIT_STEP));
        }
}

/* Whoever wrote something before our lock was written, a snapshot, an index or a lock, has it listed when
 * our lock is: so that is waited for. Where that took time it is waited for as long again, for what is
 * listed later than ours. */
static int wait_until_listed(RepoLockHeld *l, const RepoLockArgs *args, Failure *f) {
        usec_t start = now_usec(CLOCK_MONOTONIC);
        usec_t end = usec_add(usec_add(start, args->delay), REPO_LISTED_MAX);
        bool late = false;
        int r;

        assert(l);

        l->delay = args->delay;
        r = wait_for(args->delay, args);
        while (r >= 0) {
                _cleanup_failure_ Failure why = FAILURE_NULL;

                r = repo_lock_check(l, &why);
                if (r >= 0)
                        break;
                if (r != -ESTALE || now_usec(CLOCK_MONOTONIC) >= end)
                        return failure_set(f, r, why.code, "%s", failure_message(&why, r));
                late = true;
                r = wait_for(2 * WAIT_STEP, args);
        }
        if (r < 0 || !late)
                return r;
        l->delay = 2 * usec_sub(now_usec(CLOCK_MONOTONIC), start);
        return wait_for(l->delay / 2, args);
}

static int fill(RepoLock *l, const RepoLockArgs *args) {
        char host[HOST_NAME_MAX + 1] = "localhost";
        int r;

        assert(l);

        (void) gethostname(host, sizeof(host) - 1);
        l->exclusive = args->exclusive;
        l->pid = (uint64_t) getpid();
        l->uid = getuid();
        l->gid = getgid();
        r = free_and_strdup(&l->hostname, args->owner.hostname ? args->owner.hostname : host);
        if (r >= 0)
                r = free_and_strdup(&l->command, args->owner.command);
        return r < 0 ? r : free_and_strdup(&l->username, args->username);
}

int repo_lock_take(Repository *r, const RepoLockArgs *args, RepoLockHeld **ret, Failure *reterr_failure) {
        _cleanup_(repo_lock_freep) RepoLockHeld *l = NULL;
        int k;

        assert(r);
        assert(args);
        assert(ret);

        l = new0(RepoLockHeld, 1);
        if (!l)
                return -ENOMEM;
        l->repository = r;
        k = fill(&l->lock, args);
        if (k >= 0) /* first, so that a repository that is locked is not written to */
                k = look_at_others(l, &args->owner, reterr_failure);
        if (k >= 0)
                k = write_lock(l, &l->id, reterr_failure);
        if (k < 0)
                return k;
        l->held = true;
        k = wait_until_listed(l, args, reterr_failure);
        if (k >= 0)
                k = look_at_others(l, &args->owner, reterr_failure);
        if (k >= 0)
                k = repo_lock_check(l, reterr_failure);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(l);
        return 0;
}

int repo_lock_refresh(RepoLockHeld *l, Failure *reterr_failure) {
        Id old, id;
        int r;

        assert(l && l->held);

        old = l->id;
        r = write_lock(l, &id, reterr_failure);
        if (r < 0)
                return r;
        l->id = id;
        r = repository_remove(l->repository, REPO_FILE_LOCK, &old, NULL);
        if (r == -ENOENT) /* somebody took it for dead: what we did since may have met with a prune */
                return failure_set(reterr_failure, -ESTALE, "LOCK_LOST",
                                   "The lock in the repository on %s was removed by somebody else",
                                   storage_name(repository_storage(l->repository)));
        return 0;
}

usec_t repo_lock_delay(const RepoLockHeld *l) {
        assert(l);

        return l->delay;
}

int repo_lock_release(RepoLockHeld *l, Failure *reterr_failure) {
        int r;

        assert(l && l->held);

        l->held = false;
        r = repository_remove(l->repository, REPO_FILE_LOCK, &l->id, reterr_failure);
        return r == -ENOENT ? 0 : MIN(r, 0);
}
