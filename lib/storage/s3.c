/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/object-probe.h"
#include "storage/s3.h"

/* One read of more is several requests, each of which is repeated alone. */
#define READ_MAX (16U << 20)

static int s3_open(Storage *s, const StorageConfig *config, Failure *reterr_failure) {
        return s3_configure(s, config, reterr_failure);
}

static void s3_close(Storage *s) {
        assert(s);

        s->backend = s3_free(s->backend);
}

/* --- Reading ------------------------------------------------------------------------------------------ */

static ssize_t read_once(Storage *s, const char *key, uint64_t offset, void *buf, size_t n, Failure *f) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(s3_request_done) S3Request q = S3_REQUEST_NULL;
        _cleanup_failure_ Failure why = FAILURE_NULL;
        int r;

        r = s3_request_init(s, &q, "GET", key);
        if (r >= 0)
                r = s3_request_customer_key(s->backend, &q);
        if (r < 0)
                return r;
        q.http.ranged = true;
        q.http.range_first = offset;
        q.http.range_last = offset + n - 1;
        q.http.into = buf;
        q.http.into_size = n;
        r = s3_request_send(s, &q, key, &a, &why);
        if (r < 0 && a.status == 416)
                return 0;
        if (r < 0)
                return failure_set(f, r, why.code, "%s", failure_message(&why, r));
        if (a.status != 206 && offset > 0)
                return failure_set(f, -EPROTO, "STORAGE_FAILED",
                                   "The S3 server did not answer with the part of '%s' (%s) that was "
                                   "asked for.",
                                   key, s->name);
        return (ssize_t) a.into_used;
}

static ssize_t s3_read_at(Storage *s, const char *key, uint64_t offset, void *buf, size_t n,
                          Failure *reterr_failure) {
        size_t done = 0;

        assert(s);
        assert(buf);

        while (done < n) {
                size_t part = MIN(n - done, (size_t) READ_MAX);
                ssize_t k;

                k = read_once(s, key, offset + done, (char *) buf + done, part, reterr_failure);
                if (k < 0)
                        return k;
                done += (size_t) k;
                if ((size_t) k < part)
                        break;
        }
        return (ssize_t) done;
}

static int s3_stat(Storage *s, const char *key, uint64_t *ret_size, Failure *reterr_failure) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        int r;

        assert(ret_size);

        r = s3_head(s, key, &a, reterr_failure);
        if (r < 0)
                return r;
        *ret_size = (uint64_t) a.content_length;
        return 0;
}

/* --- Removing ----------------------------------------------------------------------------------------- */

/* A bucket with versions only adds a marker, also where object lock retains what is below. Gives 1 then. */
static int remove_key(Storage *s, const char *key, Failure *f) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(s3_request_done) S3Request q = S3_REQUEST_NULL;
        _cleanup_(freep) char *marker = NULL;
        int r;

        r = s3_request_init(s, &q, "DELETE", key);
        if (r >= 0)
                r = s3_request_send(s, &q, key, &a, f);
        if (r >= 0)
                r = http_answer_header(&a, "x-amz-delete-marker", &marker);
        return r < 0 ? r : streq_ptr(marker, "true");
}

/* S3 removes what is not there, too; so it is asked first. */
static int s3_remove(Storage *s, const char *key, Failure *reterr_failure) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        int r;

        assert(s);

        r = s3_head(s, key, &a, reterr_failure);
        return r < 0 ? r : remove_key(s, key, reterr_failure);
}

/* --- Probing ------------------------------------------------------------------------------------------ */

static int s3_probe(Storage *s, StorageUsage *ret, Failure *reterr_failure) {
        int r;

        assert(s);
        assert(ret);

        r = object_probe(s, S3_PROBE_PREFIX, remove_key, reterr_failure);
        if (r < 0)
                return r;
        s3_sweep(s);
        *ret = (StorageUsage){};
        return 0;
}

const StorageType storage_type_s3 = {
        .name = "s3",
        .open = s3_open,
        .close = s3_close,
        .put_new = s3_put_new,
        .put_write = s3_put_write,
        .put_commit = s3_put_commit,
        .put_free = s3_put_free,
        .read_at = s3_read_at,
        .stat = s3_stat,
        .list = s3_list,
        .remove = s3_remove,
        .probe = s3_probe,
};
