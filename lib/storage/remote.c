/* SPDX-License-Identifier: Apache-2.0 */

/* Objects as files of a remote tree. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/encode.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "storage/remote.h"

#define PROBE_SIZE 4096
#define PROBE_RETRY (2 * USEC_PER_SEC)
/* So much is collected and sent at once; an object that is no larger is sent whole, and anew where that
 * failed. */
#define PART_SIZE (4U << 20)
#define READ_BACK_PART (256U << 10)
/* Somebody may remove a directory that became empty while an object moves into it. */
#define RENAME_TRIES 3U
/* For removing what a put that was given up left; a cancelled run has to end within a second. */
#define TIDY_LIMIT (2 * USEC_PER_SEC)
#define TIDY_CANCELLED_LIMIT (300 * USEC_PER_MSEC)

typedef struct RemotePut {
        RemoteSession *session; /* with the file open in it; NULL: none is */
        char *path, *temp;
        Buffer part;    /* collected; it stays until the server has all of it */
        uint64_t sent;  /* how much of the object is before it */
        uint64_t taken; /* bytes that the server has */
        bool direct;    /* temp is path */
        bool is_made;   /* the temporary file may be there */
        bool failed;
} RemotePut;

/* --- Directories --------------------------------------------------------------------------------------- */

/* Makes the directory that holds path and what is missing above it. From the bottom: usually it is there. */
static int make_parents(RemoteSession *x, const RemoteOps *ops, const char *path) {
        _cleanup_(freep) char *parent = memdup0(path, strlen(path));
        char *slash;
        int r;

        assert(x);

        if (!parent)
                return -ENOMEM;
        slash = strrchr(parent, '/');
        if (!slash || slash == parent)
                return 0;
        *slash = 0;
        r = ops->make_directory(x, parent);
        if (r == -ENOENT && strchr(parent, '/')) {
                r = make_parents(x, ops, parent);
                if (r >= 0)
                        r = ops->make_directory(x, parent);
        }
        return r == -EEXIST ? 0 : r;
}

int remote_temp_prepare(RemoteSession *x, const char *path) {
        Remote *m = x->storage->backend;
        int r;

        assert(path);

        if (atomic_load(&m->has_temp))
                return 0;
        r = make_parents(x, m->ops, path);
        if (r >= 0)
                atomic_store(&m->has_temp, true);
        return r;
}

/* --- Writing ------------------------------------------------------------------------------------------- */

static int temp_create(RemoteSession *x, const RemoteOps *ops, RemotePut *p, uint64_t size) {
        int r;

        assert(p);

        /* An earlier try may have begun it. */
        if (p->is_made)
                (void) ops->remove(x, p->temp);
        p->is_made = !p->direct;
        p->taken = 0;
        r = ops->create(x, p->temp, size);
        if (r != -ENOENT)
                return r;
        r = make_parents(x, ops, p->temp);
        return r < 0 ? r : ops->create(x, p->temp, size);
}

static int check_absent(const Remote *m, RemoteSession *x, const RemotePut *p) {
        int r;

        r = m->ops->stat(x, p->path, &(RemoteEntry){});
        return r >= 0 ? -EEXIST : r == -ENOENT ? 0 :
                                                 r;
}

int remote_put_new(StoragePut *put, Failure *reterr_failure) {
        RemoteTry t = remote_try(put->storage, put->key, reterr_failure);
        const Remote *m = put->storage->backend;
        RemotePut *p;
        int r;

        p = new0(RemotePut, 1);
        if (!p)
                return -ENOMEM;
        put->backend = p;
        r = remote_path(m, put->key, &p->path);
        if (r < 0)
                return r;
        while (remote_try_next(&t))
                t.result = m->ops->is_slow ? 0 : check_absent(m, t.session, p);
        if (t.result < 0)
                return t.result;
        p->direct = m->direct;
        if (p->direct)
                return free_and_strdup(&p->temp, p->path);
        return asprintf_safe(&p->temp, "%s" REMOTE_TEMP "/%08" PRIx32 "%08" PRIx32 ".part", m->base,
                             random_u32(), random_u32());
}

/* What is collected, from where the server is. */
static int part_write(StoragePut *put, RemoteSession *x) {
        const Remote *m = put->storage->backend;
        RemotePut *p = put->backend;

        assert(p);

        while (p->taken < p->sent + p->part.size) {
                size_t from = (size_t) (p->taken - p->sent), n = p->part.size - from;

                if (!m->ops->keeps_pace)
                        n = pace_wait(put->storage->pace, n, put->storage->cancel);
                if (n == 0)
                        return -ECANCELED;
                /* A share is paid for once, however it is taken. */
                while (n > 0) {
                        ssize_t k = m->ops->write(x, p->part.data + from, n);

                        if (k < 0)
                                return (int) k;
                        p->taken += (uint64_t) k;
                        from += (size_t) k;
                        n -= (size_t) k;
                }
        }
        return 0;
}

/* Only what a backend can go on with is gone on with. */
static bool can_resume(const Remote *m, const RemoteSession *x, int error) {
        return m->ops->resume && x->broken && (error == -ECONNRESET || error == -EHOSTUNREACH);
}

/* Ends the put in its session, which may be good for others. */
static int put_fail(StoragePut *put, int error, Failure *f) {
        const Remote *m = put->storage->backend;
        RemotePut *p = put->backend;

        assert(p);

        remote_failure(put->storage, error, put->key, p->session->error, f);
        m->ops->give_up(p->session);
        remote_session_put(TAKE_PTR(p->session));
        return error;
}

/* A new session that goes on where the server was. */
static int put_reopen(StoragePut *put, Failure *f) {
        RemoteTry t = remote_try(put->storage, put->key, f);
        const Remote *m = put->storage->backend;
        RemotePut *p = put->backend;

        assert(p);

        m->ops->give_up(p->session);
        remote_session_put(TAKE_PTR(p->session));
        t.keep = true;
        while (remote_try_next(&t))
                t.result = m->ops->resume(t.session, p->temp, p->taken);
        p->session = t.session;
        return t.result;
}

/* What is there is what was written: its size, and its bytes where that was asked for. -ECONNRESET: of
 * an object that can be sent again the end was lost, which not every server notices (over FTP with TLS 1.3 a
 * slow one may say something on the connection for data when it is closed here already; that resets it, and
 * what the server has by then it calls the whole). */
static int check_written(StoragePut *put, RemoteSession *x, const uint8_t *sha256_of) {
        const Remote *m = put->storage->backend;
        const RemotePut *p = put->backend;
        _cleanup_(sha256_freep) Sha256 *h = NULL;
        _cleanup_(freep) char *buf = NULL;
        uint8_t digest[SHA256_SIZE];
        RemoteEntry there = {};
        bool is_lost;
        int r;

        r = m->ops->stat(x, p->temp, &there);
        if (r < 0)
                return r;
        is_lost = there.size < put->size && p->sent == 0 && !p->direct;
        x->broken = x->broken || is_lost;
        if (there.size != put->size)
                return remote_session_error(x, is_lost ? -ECONNRESET : -EIO,
                                            "the server has %" PRIu64 " bytes of it instead of %" PRIu64,
                                            there.size, put->size);
        if (!m->read_back)
                return 0;
        buf = malloc(READ_BACK_PART);
        r = buf ? sha256_new(&h) : -ENOMEM;
        for (uint64_t at = 0; r >= 0 && at < put->size;) {
                ssize_t k = m->ops->read(x, p->temp, at, buf, READ_BACK_PART);

                if (k <= 0)
                        return k < 0 ? (int) k : -EIO;
                r = sha256_add(h, buf, (size_t) k);
                at += (uint64_t) k;
        }
        if (r >= 0)
                r = sha256_finish(h, digest);
        if (r >= 0 && memcmp(digest, sha256_of, sizeof digest) != 0)
                r = remote_session_error(x, -EIO, "what it gives back is not what was written");
        return r;
}

/* The first part, with the file that it is in: repeated from the start. sha256_of: of all, where this is
 * all; then it is checked, too. */
static int put_start(StoragePut *put, const uint8_t *sha256_of, Failure *f) {
        RemoteTry t = remote_try(put->storage, put->key, f);
        Remote *m = put->storage->backend;
        RemotePut *p = put->backend;

        assert(p);

        t.keep = true;
        while (remote_try_next(&t)) {
                t.result = temp_create(t.session, m->ops, p, sha256_of ? p->part.size : UINT64_MAX);
                if (t.result < 0)
                        continue;
                t.result = part_write(put, t.session);
                if (t.result >= 0 && sha256_of)
                        t.result = m->ops->finish(t.session);
                if (t.result < 0)
                        m->ops->give_up(t.session);
                else if (sha256_of)
                        t.result = check_written(put, t.session, sha256_of);
        }
        if (t.result < 0)
                return t.result;
        if (!sha256_of)
                p->session = t.session;
        else
                remote_session_put(t.session);
        if (!p->direct && !atomic_exchange(&m->swept, true))
                remote_sweep(put->storage, p->temp);
        return 0;
}

/* Sends what was collected. */
static int put_flush(StoragePut *put, Failure *f) {
        const Remote *m = put->storage->backend;
        RemotePut *p = put->backend;
        int r;

        assert(p->session);

        while ((r = part_write(put, p->session)) < 0) {
                if (!can_resume(m, p->session, r))
                        return put_fail(put, r, f);
                r = put_reopen(put, f);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int part_send(StoragePut *put, Failure *f) {
        RemotePut *p = put->backend;
        int r;

        assert(p);

        r = p->sent == 0 ? put_start(put, /* sha256_of= */ NULL, f) : put_flush(put, f);
        if (r < 0) {
                p->failed = true;
                return r;
        }
        p->sent += p->part.size;
        buffer_clear(&p->part);
        return 0;
}

int remote_put_write(StoragePut *put, const void *data, size_t n, Failure *reterr_failure) {
        RemotePut *p = put->backend;
        const char *from = data;

        if (p->failed)
                return -EIO;
        if (storage_is_cancelled(put->storage))
                return remote_failure(put->storage, -ECANCELED, put->key, NULL, reterr_failure);
        while (n > 0) {
                int r = buffer_fill(&p->part, PART_SIZE, /* spare= */ 0, &from, &n);

                if (r > 0)
                        r = part_send(put, reterr_failure);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Gives the file its name, which must not be taken. was_lost: an answer to this was lost before, perhaps
 * after the server had done it. */
static int name_give(StoragePut *put, RemoteSession *x, bool was_lost) {
        const Remote *m = put->storage->backend;
        const RemotePut *p = put->backend;
        RemoteEntry there = {};
        int r;

        if (p->direct)
                return 0;
        /* Some servers replace what is there, whatever they are asked. */
        r = m->ops->stat(x, p->path, &there);
        if (r >= 0 && was_lost && there.size == put->size &&
            m->ops->stat(x, p->temp, &(RemoteEntry){}) == -ENOENT)
                return 0;
        if (r >= 0)
                return -EEXIST;
        for (unsigned i = 0; r == -ENOENT && i < RENAME_TRIES; i++) {
                r = m->ops->rename(x, p->temp, p->path);
                if (r != -ENOENT)
                        return r;
                r = make_parents(x, m->ops, p->path);
                if (r >= 0)
                        r = -ENOENT;
        }
        return r;
}

/* The end of an object of more than one part. */
static int put_finish(StoragePut *put, Failure *f) {
        const Remote *m = put->storage->backend;
        RemotePut *p = put->backend;
        int r = 0;

        assert(p);

        if (p->part.size > 0)
                r = part_send(put, f);
        if (r < 0)
                return r;
        while ((r = m->ops->finish(p->session)) < 0) {
                if (!can_resume(m, p->session, r))
                        return put_fail(put, r, f);
                r = put_reopen(put, f);
                if (r < 0)
                        return r;
        }
        remote_session_put(TAKE_PTR(p->session));
        return 0;
}

/* An object that appears at its end: whether its name is still free. */
static int put_check_name(StoragePut *put, Failure *f) {
        RemoteTry t = remote_try(put->storage, put->key, f);
        const RemotePut *p = put->backend;

        while (remote_try_next(&t))
                t.result = check_absent(put->storage->backend, t.session, p);
        return t.result;
}

int remote_put_commit(StoragePut *put, const uint8_t sha256[static 32], Failure *reterr_failure) {
        RemoteTry t = remote_try(put->storage, put->key, reterr_failure);
        RemotePut *p = put->backend;
        bool is_checked = p->sent == 0, was_lost = false;
        int r;

        if (p->failed)
                return -EIO;
        p->failed = true; /* a commit is made once */
        r = p->direct ? put_check_name(put, reterr_failure) : 0;
        if (r < 0)
                return r;
        r = p->sent == 0 ? put_start(put, sha256, reterr_failure) : put_finish(put, reterr_failure);
        if (r < 0)
                return r;
        while (remote_try_next(&t)) {
                r = is_checked ? 0 : check_written(put, t.session, sha256);
                if (r >= 0) {
                        is_checked = true;
                        r = name_give(put, t.session, was_lost);
                        was_lost = t.session->broken;
                }
                t.result = r;
        }
        if (t.result >= 0)
                p->is_made = false;
        return t.result;
}

/* A courtesy: what stays is swept by a later put. */
static void temp_remove(Storage *s, const char *temp) {
        usec_t limit = storage_is_cancelled(s) ? TIDY_CANCELLED_LIMIT : TIDY_LIMIT;
        const Remote *m = s->backend;
        RemoteSession *x = NULL;

        assert(temp);

        if (remote_session_get(s, usec_add(now_usec(CLOCK_MONOTONIC), limit), &x, /* f= */ NULL) < 0)
                return;
        (void) m->ops->remove(x, temp);
        remote_session_put(x);
}

void remote_put_free(StoragePut *put) {
        const Remote *m = put->storage->backend;
        RemotePut *p = put->backend;

        assert(m);

        if (p->session) {
                m->ops->give_up(p->session);
                remote_session_put(p->session);
        }
        buffer_done(&p->part);
        if (p->is_made)
                temp_remove(put->storage, p->temp);
        free(p->path);
        free(p->temp);
        free(p);
}

/* --- The rest ------------------------------------------------------------------------------------------ */

ssize_t remote_read_at(Storage *s, const char *key, uint64_t offset, void *buf, size_t n,
                       Failure *reterr_failure) {
        RemoteTry t = remote_try(s, key, reterr_failure);
        _cleanup_(freep) char *path = NULL;
        const Remote *m = s->backend;
        ssize_t k = 0;
        int r;

        r = remote_path(m, key, &path);
        if (r < 0)
                return r;
        while (remote_try_next(&t)) {
                k = m->ops->read(t.session, path, offset, buf, n);
                t.result = k < 0 ? (int) k : 0;
        }
        return t.result < 0 ? t.result : k;
}

int remote_stat(Storage *s, const char *key, uint64_t *ret_size, Failure *reterr_failure) {
        RemoteTry t = remote_try(s, key, reterr_failure);
        _cleanup_(freep) char *path = NULL;
        const Remote *m = s->backend;
        RemoteEntry entry = {};
        int r;

        r = remote_path(m, key, &path);
        if (r < 0)
                return r;
        while (remote_try_next(&t)) {
                t.result = m->ops->stat(t.session, path, &entry);
                if (t.result >= 0 && entry.is_directory)
                        t.result = -ENOENT;
        }
        if (t.result < 0)
                return t.result;
        *ret_size = entry.size;
        return 0;
}

/* Directories that became empty go too, where the protocol refuses for the others. */
static void prune(const Remote *m, RemoteSession *x, const char *key) {
        _cleanup_(freep) char *path = NULL;
        char *slash;

        if (!m->ops->remove_directory || remote_path(m, key, &path) < 0)
                return;
        while ((slash = strrchr(path, '/')) && slash >= path + strlen(m->base)) {
                *slash = 0;
                if (m->ops->remove_directory(x, path) < 0)
                        return;
        }
}

int remote_remove(Storage *s, const char *key, Failure *reterr_failure) {
        RemoteTry t = remote_try(s, key, reterr_failure);
        _cleanup_(freep) char *path = NULL;
        const Remote *m = s->backend;
        int r;

        r = remote_path(m, key, &path);
        if (r < 0)
                return r;
        while (remote_try_next(&t)) {
                t.result = m->ops->remove(t.session, path);
                if (t.result >= 0)
                        prune(m, t.session, key);
        }
        return t.result;
}

int remote_probe(Storage *s, StorageUsage *ret, Failure *reterr_failure) {
        _cleanup_(freep) char *path = NULL;
        StorageUsage usage = {};
        const Remote *m = s->backend;
        char data[PROBE_SIZE];
        int r;

        assert(ret);

        /* A person waits for the answer. */
        s->retry = MIN(s->retry, PROBE_RETRY);
        memset(data, 'x', sizeof data);
        r = storage_probe_object(s, data, sizeof data, reterr_failure);
        if (r >= 0)
                r = remote_path(m, "", &path);
        if (r < 0)
                return r;
        if (m->ops->usage) {
                RemoteTry t = remote_try(s, "usage", reterr_failure);

                while (remote_try_next(&t))
                        t.result = m->ops->usage(t.session, isempty(path) ? "." : path, &usage);
                /* Not every server knows. */
                if (t.result < 0 && t.result != -EOPNOTSUPP)
                        return t.result;
        }
        *ret = usage;
        return 0;
}
