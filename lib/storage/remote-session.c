/* SPDX-License-Identifier: Apache-2.0 */

/* Sessions: kept while idle, replaced where they were lost. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/text.h"
#include "crypto/random.h"
#include "storage/remote.h"

#define RETRY_FIRST (USEC_PER_SEC / 2)
#define RETRY_MOST (20 * USEC_PER_SEC)
#define RETRY_AFTER_MOST USEC_PER_MINUTE
#define SLEEP_SLICE (100 * USEC_PER_MSEC)

int remote_new(Storage *s, const RemoteOps *ops, const char *path, Remote **ret) {
        size_t n = strlen(path);
        Remote *m;
        int r;

        assert(s);
        assert(ops);
        assert(ret);

        m = new0(Remote, 1);
        if (!m)
                return -ENOMEM;
        m->ops = ops;
        (void) pthread_mutex_init(&m->lock, NULL);
        s->backend = m;
        while (n > 1 && path[n - 1] == '/')
                n--;
        r = asprintf_safe(&m->base, "%.*s%s", (int) n, path, n == 0 || path[n - 1] == '/' ? "" : "/");
        if (r < 0)
                return r;
        *ret = m;
        return 0;
}

void *remote_close(Storage *s) {
        Remote *m = s->backend;
        void *config;

        if (!m)
                return NULL;
        for (size_t i = 0; i < m->n_idle; i++)
                m->ops->disconnect(m->idle[i]);
        (void) pthread_mutex_destroy(&m->lock);
        free(m->place);
        free(m->base);
        config = m->config;
        s->backend = mfree(m);
        return config;
}

static char **text_in(const RemoteText *t, void *config) {
        return (char **) (void *) ((char *) config + t->offset);
}

int remote_read_texts(const StorageConfig *from, const RemoteText *texts, void *config) {
        assert(from);
        assert(config);

        for (const RemoteText *t = texts; t->key; t++) {
                const json_t *json = t->is_secret ? from->secrets : from->config;
                int r;

                r = free_and_strdup(text_in(t, config), json_string_value(json_object_get(json, t->key)));
                if (r < 0)
                        return r;
        }
        return 0;
}

void remote_free_texts(const RemoteText *texts, void *config) {
        assert(config);

        for (const RemoteText *t = texts; t->key; t++) {
                char **text = text_in(t, config);

                if (t->is_secret)
                        erase_and_free(*text);
                else
                        free(*text);
                *text = NULL;
        }
}

int remote_path(const Remote *m, const char *key, char **ret) {
        assert(m);

        return asprintf_safe(ret, "%s%s", m->base, key);
}

int remote_session_error(RemoteSession *x, int error, const char *format, ...) {
        va_list ap;

        assert(x);

        va_start(ap, format);
        (void) vsnprintf(x->error, sizeof x->error, format, ap);
        va_end(ap);
        /* Words of a server may hold anything. */
        for (char *p = x->error; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 127)
                        *p = ' ';
        return error;
}

int remote_failure(const Storage *s, int error, const char *what, const char *words, Failure *f) {
        const Remote *m = s->backend;
        const char *why = isempty(words) ? strerror(-error) : words;

        switch (-error) {
        case ECANCELED:
                return failure_set(f, error, "CANCELLED", "The work on '%s' (%s) was cancelled.", what,
                                   s->name);
        case ENOENT:
                return failure_set(f, error, "OBJECT_NOT_FOUND", "There is no '%s' at %s (%s).", what,
                                   m->place, s->name);
        case EEXIST:
                return failure_set(f, error, "OBJECT_EXISTS", "'%s' already exists at %s (%s).", what,
                                   m->place, s->name);
        case ENOSPC:
        case EDQUOT:
                return failure_set(f, error, error == -ENOSPC ? "STORAGE_FULL" : "STORAGE_QUOTA",
                                   "There is no space left at %s (%s) for '%s': %s. Free some there, or "
                                   "raise the quota.",
                                   m->place, s->name, what, why);
        case EACCES:
        case EPERM:
        case EROFS:
                return failure_set(f, error, "STORAGE_DENIED",
                                   "The server does not allow '%s' at %s (%s): %s. Look at what its user "
                                   "may do there.",
                                   what, m->place, s->name, why);
        case ETIMEDOUT:
                return failure_set(f, error, "STORAGE_STALLED",
                                   "No byte moved for %llu s at '%s', %s (%s).",
                                   (unsigned long long) (s->stall / USEC_PER_SEC), what, m->place, s->name);
        case EBUSY:
                return failure_set(f, error, "STORAGE_THROTTLED",
                                   "The server of %s (%s) has too much to do for '%s': %s.", m->place,
                                   s->name, what, why);
        case ECONNRESET:
                return failure_set(f, error, "STORAGE_INTERRUPTED",
                                   "The connection to %s (%s) ended in the middle of '%s': %s.", m->place,
                                   s->name, what, why);
        case EKEYREJECTED:
                return failure_set(f, error, "STORAGE_CERTIFICATE",
                                   "The server of %s (%s) is not the one that it should be: %s. Nothing was "
                                   "sent to it.",
                                   m->place, s->name, why);
        case EINVAL:
                return failure_set(f, error, "STORAGE_KEY_INVALID", "'%s' cannot be kept at %s (%s): %s.",
                                   what, m->place, s->name, why);
        case EFBIG:
                return failure_set(f, error, "STORAGE_TOO_LARGE", "'%s' is too large for %s (%s): %s.", what,
                                   m->place, s->name, why);
        case EHOSTUNREACH:
                return failure_set(f, error, "STORAGE_UNREACHABLE",
                                   "%s (%s) cannot be reached for '%s': %s.",
                                   m->place, s->name, what, why);
        }
        return failure_set(f, error, "STORAGE_FAILED", "'%s' at %s (%s): %s.", what, m->place, s->name, why);
}

void remote_failure_move(Failure *from, Failure *to) {
        assert(from);

        if (!to || failure_is_set(to))
                return;
        *to = *from;
        *from = FAILURE_NULL;
}

/* --- The pool ------------------------------------------------------------------------------------------ */

int remote_session_get(Storage *s, usec_t end, RemoteSession **ret, Failure *f) {
        Remote *m = s->backend;
        RemoteSession *x = NULL;
        int r;

        assert(ret);

        (void) pthread_mutex_lock(&m->lock);
        if (m->n_idle > 0)
                x = m->idle[--m->n_idle];
        (void) pthread_mutex_unlock(&m->lock);
        if (x)
                x->is_reused = true;
        else {
                r = m->ops->connect(s, end, &x, f);
                if (r < 0)
                        return r;
        }
        x->end = end;
        x->error[0] = 0;
        x->retry_after = 0;
        *ret = x;
        return 0;
}

void remote_session_put(RemoteSession *x) {
        Remote *m;
        bool kept;

        if (!x)
                return;
        m = x->storage->backend;
        if (x->broken) {
                m->ops->disconnect(x);
                return;
        }
        (void) pthread_mutex_lock(&m->lock);
        kept = m->n_idle < ELEMENTSOF(m->idle);
        if (kept)
                m->idle[m->n_idle++] = x;
        (void) pthread_mutex_unlock(&m->lock);
        if (!kept)
                m->ops->disconnect(x);
}

/* --- Repeating ----------------------------------------------------------------------------------------- */

static bool may_pass(int error) {
        return error == -ECONNRESET || error == -EHOSTUNREACH || error == -EBUSY;
}

/* False when the run was cancelled. */
static bool pause_for(const Storage *s, usec_t span) {
        usec_t end = usec_add(now_usec(CLOCK_MONOTONIC), span);

        while (now_usec(CLOCK_MONOTONIC) < end && !storage_is_cancelled(s)) {
                const struct timespec slice = { .tv_nsec = SLEEP_SLICE * 1000 };

                (void) nanosleep(&slice, NULL);
        }
        return !storage_is_cancelled(s);
}

RemoteTry remote_try(Storage *s, const char *what, Failure *f) {
        return (RemoteTry){
                .storage = s,
                .what = what,
                .failure = f,
                .end = usec_add(now_usec(CLOCK_MONOTONIC), s->retry),
                .backoff = BACKOFF_INIT(RETRY_FIRST, RETRY_MOST),
        };
}

/* Forwards the failure, gives back the session. Always false: there is no next try. */
static bool try_end(RemoteTry *t) {
        RemoteSession *x = t->session;

        if (t->result < 0 && failure_is_set(&t->refused))
                remote_failure_move(&t->refused, t->failure);
        else if (t->result < 0)
                remote_failure(t->storage, t->result, t->what, x ? x->error : "", t->failure);
        failure_done(&t->refused);
        t->refused = FAILURE_NULL;
        if (x && !(t->keep && t->result >= 0)) {
                remote_session_put(x);
                t->session = NULL;
        }
        return false;
}

/* Whether to try once more; waits before that. */
static bool try_again(RemoteTry *t) {
        RemoteSession *x = t->session;
        usec_t wait = 0;

        if (!may_pass(t->result))
                return false;
        /* What died while it was idle says nothing about the server. */
        if (!x || !x->broken || !x->is_reused) {
                wait = backoff_next(&t->backoff, random_u32());
                if (x)
                        wait = MAX(wait, MIN(x->retry_after, RETRY_AFTER_MOST));
                if (usec_add(now_usec(CLOCK_MONOTONIC), wait) > t->end)
                        return false;
        }
        remote_session_put(x);
        t->session = NULL;
        failure_done(&t->refused);
        t->refused = FAILURE_NULL;
        if (pause_for(t->storage, wait))
                return true;
        t->result = -ECANCELED;
        return false;
}

bool remote_try_next(RemoteTry *t) {
        assert(t);

        if (t->started && (t->result >= 0 || !try_again(t)))
                return try_end(t);
        t->started = true;
        for (;;) {
                t->result = remote_session_get(t->storage, /* end= */ 0, &t->session, &t->refused);
                if (t->result >= 0)
                        return true;
                if (!try_again(t))
                        return try_end(t);
        }
}
