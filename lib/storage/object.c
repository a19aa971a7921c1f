/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "storage/object.h"

/* One read of more is several requests, each of which is repeated alone. */
#define READ_MAX (16U << 20)

/* --- Reading ------------------------------------------------------------------------------------------ */

int object_head(const ObjectType *t, Storage *s, const char *key, HttpAnswer *a, Failure *f) {
        int r;

        assert(t);
        assert(a);

        r = t->head(s, key, a, f);
        if (r >= 0 && a->content_length < 0)
                return failure_set(f, -EPROTO, "STORAGE_FAILED",
                                   "The %s did not say how large '%s' (%s) is.", t->peer, key, s->name);
        return r;
}

void object_range_set(const ObjectRange *range, HttpRequest *q) {
        assert(range);
        assert(range->n > 0);
        assert(q);

        q->ranged = true;
        q->range_first = range->offset;
        q->range_last = range->offset + range->n - 1;
        q->into = range->into;
        q->into_size = range->n;
}

static ssize_t read_once(const ObjectType *t, Storage *s, const char *key, const ObjectRange *range,
                         Failure *f) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_failure_ Failure why = FAILURE_NULL;
        int r;

        r = t->get(s, key, range, &a, &why);
        if (r < 0 && a.status == 416)
                return 0;
        if (r < 0)
                return failure_set(f, r, why.code, "%s", failure_message(&why, r));
        if (a.status != 206 && range->offset > 0)
                return failure_set(f, -EPROTO, "STORAGE_FAILED",
                                   "The %s did not answer with the part of '%s' (%s) that was asked for.",
                                   t->peer, key, s->name);
        return (ssize_t) a.into_used;
}

ssize_t object_read_at(const ObjectType *t, Storage *s, const char *key, uint64_t offset, void *buf,
                       size_t n, Failure *reterr_failure) {
        size_t done = 0;

        assert(t);
        assert(buf);

        while (done < n) {
                const ObjectRange range = { offset + done, (char *) buf + done,
                                            MIN(n - done, (size_t) READ_MAX) };
                ssize_t k;

                k = read_once(t, s, key, &range, reterr_failure);
                if (k < 0)
                        return k;
                done += (size_t) k;
                if ((size_t) k < range.n)
                        break;
        }
        return (ssize_t) done;
}

int object_stat(const ObjectType *t, Storage *s, const char *key, uint64_t *ret_size,
                Failure *reterr_failure) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        int r;

        assert(ret_size);

        r = object_head(t, s, key, &a, reterr_failure);
        if (r < 0)
                return r;
        *ret_size = (uint64_t) a.content_length;
        return 0;
}

/* --- Probing ------------------------------------------------------------------------------------------ */

static int probe_key(const ObjectType *t, Storage *s, const char *key, Failure *f) {
        static const char text[] = "BackupX writes and removes this to see whether it can.\n";
        _cleanup_(storage_put_freep) StoragePut *put = NULL;
        _cleanup_failure_ Failure refused = FAILURE_NULL;
        uint8_t digest[SHA256_SIZE];
        char back[sizeof text];
        ssize_t n;
        int r;

        r = sha256(text, sizeof text, digest);
        if (r >= 0)
                r = storage_put_new(s, key, &put, f);
        if (r >= 0)
                storage_put_set_transient(put);
        if (r >= 0)
                r = storage_put_write(put, text, sizeof text, f);
        if (r >= 0)
                r = storage_put_commit(put, digest, f);
        if (r < 0)
                return r;
        n = storage_read_at(s, key, 0, back, sizeof back, f);
        r = t->remove(s, key, &refused);
        if (n < 0)
                return (int) n;
        if (n != sizeof text || memcmp(text, back, sizeof text) != 0)
                return failure_set(f, -EIO, "STORAGE_FAILED", "What %s gives back is not what was written.",
                                   s->name);
        if (r < 0 && r != -EACCES && r != -EPERM)
                return failure_set(f, r, refused.code, "%s", failure_message(&refused, r));
        return 0;
}

int object_probe(const ObjectType *t, Storage *s, Failure *reterr_failure) {
        _cleanup_(freep) char *key = NULL;
        int r;

        assert(t);
        assert(s);

        r = storage_probe_key(&key);
        return r < 0 ? r : probe_key(t, s, key, reterr_failure);
}

/* --- Puts --------------------------------------------------------------------------------------------- */

int object_id_new(char ret[static OBJECT_ID_SIZE]) {
        uint8_t id[(OBJECT_ID_SIZE - 1) / 2];
        int r;

        r = random_bytes(id, sizeof id);
        if (r < 0)
                return r;
        (void) hex_encode(id, sizeof id, ret);
        return 0;
}

int object_check_free(const ObjectType *t, StoragePut *put, Failure *f) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_failure_ Failure why = FAILURE_NULL;
        int r;

        assert(put);

        r = object_head(t, put->storage, put->key, &a, &why);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return failure_set(f, r, why.code, "%s", failure_message(&why, r));
        return failure_set(f, -EEXIST, "OBJECT_EXISTS", "'%s' already exists in %s.", put->key,
                           put->storage->name);
}

bool object_is_ours(const ObjectType *t, StoragePut *put, const char *id) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(freep) char *found = NULL;

        assert(put);
        assert(id);

        return object_head(t, put->storage, put->key, &a, NULL) >= 0 &&
                        http_answer_header(&a, t->id_header, &found) > 0 && streq(found, id) &&
                        (uint64_t) a.content_length == put->size;
}

int object_check_put(const ObjectType *t, StoragePut *put, HttpAnswer *a, Failure *f) {
        int r;

        assert(put);
        assert(a);

        r = object_head(t, put->storage, put->key, a, f);
        if (r >= 0 && (uint64_t) a->content_length != put->size)
                return failure_set(f, -EBADMSG, "STORAGE_CHECKSUM",
                                   "'%s' (%s) has another size than was written.", put->key,
                                   put->storage->name);
        return r;
}

/* --- Answers ------------------------------------------------------------------------------------------ */

bool object_judge(const ObjectType *t, const Storage *s, const char *name, const char *words,
                  const char *key, HttpVerdict *ret, Failure *f) {
        assert(t);
        assert(name);
        assert(ret);

        for (size_t i = 0; i < t->n_errors; i++) {
                const ObjectError *e = &t->errors[i];

                if (!streq(e->name, name))
                        continue;
                *ret = (HttpVerdict){
                        .may_pass = e->may_pass,
                        .error = failure_set(f, -e->error, e->code, "'%s' (%s): the %s %s (%s%s%s).", key,
                                             s->name, t->peer, e->text, name, isempty(words) ? "" : ": ",
                                             strempty(words)),
                };
                return true;
        }
        return false;
}
