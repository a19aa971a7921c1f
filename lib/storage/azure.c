/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/azure.h"
#include "storage/object-probe.h"

/* One read of more is several requests, each of which is repeated alone. */
#define READ_MAX (16U << 20)

static int azure_open(Storage *s, const StorageConfig *config, Failure *reterr_failure) {
        return azure_configure(s, config, reterr_failure);
}

static void azure_close(Storage *s) {
        assert(s);

        s->backend = azure_free(s->backend);
}

static ssize_t read_once(Storage *s, const char *key, uint64_t offset, void *buf, size_t n, Failure *f) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(azure_request_done) AzureRequest q = AZURE_REQUEST_NULL;
        _cleanup_failure_ Failure why = FAILURE_NULL;
        int r;

        r = azure_request_init(s, &q, "GET", key);
        if (r < 0)
                return r;
        q.http.ranged = true;
        q.http.range_first = offset;
        q.http.range_last = offset + n - 1;
        q.http.into = buf;
        q.http.into_size = n;
        r = azure_request_send(s, &q, key, &a, &why);
        if (r < 0 && a.status == 416)
                return 0;
        if (r < 0)
                return failure_set(f, r, why.code, "%s", failure_message(&why, r));
        if (a.status != 206 && offset > 0)
                return failure_set(f, -EPROTO, "STORAGE_FAILED",
                                   "The Azure storage did not answer with the part of '%s' (%s) that was "
                                   "asked for.",
                                   key, s->name);
        return (ssize_t) a.into_used;
}

static ssize_t azure_read_at(Storage *s, const char *key, uint64_t offset, void *buf, size_t n,
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

static int azure_stat(Storage *s, const char *key, uint64_t *ret_size, Failure *reterr_failure) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        int r;

        assert(ret_size);

        r = azure_head(s, key, &a, reterr_failure);
        if (r < 0)
                return r;
        *ret_size = (uint64_t) a.content_length;
        return 0;
}

static int remove_key(Storage *s, const char *key, Failure *f) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_(azure_request_done) AzureRequest q = AZURE_REQUEST_NULL;
        int r;

        r = azure_request_init(s, &q, "DELETE", key);
        if (r >= 0)
                r = http_line_add(&q.lines, "x-ms-delete-snapshots: include");
        return r < 0 ? r : azure_request_send(s, &q, key, &a, f);
}

/* A request that is repeated finds nothing any more; so what was there is asked first. */
static int azure_remove(Storage *s, const char *key, Failure *reterr_failure) {
        _cleanup_(http_answer_done) HttpAnswer a = HTTP_ANSWER_NULL;
        _cleanup_failure_ Failure why = FAILURE_NULL;
        int r;

        assert(s);

        r = azure_head(s, key, &a, reterr_failure);
        if (r < 0)
                return r;
        r = remove_key(s, key, &why);
        if (r == -ENOENT)
                return 0;
        return r < 0 ? failure_set(reterr_failure, r, why.code, "%s", failure_message(&why, r)) : 0;
}

static int azure_probe(Storage *s, StorageUsage *ret, Failure *reterr_failure) {
        int r;

        assert(ret);

        r = object_probe(s, AZURE_PROBE_PREFIX, remove_key, reterr_failure);
        if (r < 0)
                return r;
        *ret = (StorageUsage){};
        return 0;
}

const StorageType storage_type_azure = {
        .name = "azure",
        .open = azure_open,
        .close = azure_close,
        .put_new = azure_put_new,
        .put_write = azure_put_write,
        .put_commit = azure_put_commit,
        .put_free = azure_put_free,
        .read_at = azure_read_at,
        .stat = azure_stat,
        .list = azure_list,
        .remove = azure_remove,
        .probe = azure_probe,
};
