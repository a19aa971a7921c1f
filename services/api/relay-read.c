/* SPDX-License-Identifier: Apache-2.0 */

/* What is there: objects, lists, the room that is left; and removal. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/parse.h"
#include "base/text.h"
#include "store/relay-cap.h"

#include "services/api/relay-file.h"
#include "services/api/relay-private.h"

/* --- One object ----------------------------------------------------------------------------------- */

static int read_small(RelayJob *job) {
        ssize_t n;

        assert(job);

        job->data = malloc(job->length > 0 ? job->length : 1);
        if (!job->data)
                return -ENOMEM;
        n = pread_full(job->fd, job->data, job->length, (off_t) job->offset);
        if (n < 0)
                return (int) n;
        return (uint64_t) n == job->length ? 0 : -EIO;
}

static int work_object(RelayJob *job) {
        _cleanup_close_ int base = -EBADF;
        int r;

        assert(job);

        r = relay_open_base(job->base, /* make= */ false, &base);
        if (r >= 0)
                r = relay_open_object(base, job->key, &job->fd, &job->total);
        if (r < 0)
                return r;
        job->length = job->total;
        if (job->range) {
                r = relay_parse_range(job->range, job->total, &job->offset, &job->length);
                if (r == -EINVAL)
                        job->range = mfree(job->range);
                else if (r < 0)
                        return r;
        }
        return !job->head && job->length <= RELAY_READ_MAX ? read_small(job) : 0;
}

static int answer_object(RelayJob *job, Request *r) {
        unsigned status = job->range ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK;
        char text[96];
        int error;

        if (job->data)
                error = request_reply_bytes(r, status, "application/octet-stream", TAKE_PTR(job->data),
                                            job->length);
        else
                error = request_reply_fd(r, status, "application/octet-stream", TAKE_FD(job->fd),
                                         job->offset, job->length);
        if (error >= 0)
                error = request_add_header(r, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
        if (error < 0 || !job->range)
                return error;
        (void) snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, job->offset,
                        job->offset + job->length - 1, job->total);
        return request_add_header(r, MHD_HTTP_HEADER_CONTENT_RANGE, text);
}

int relay_read_object(Request *r) {
        const char *range = request_header(r, MHD_HTTP_HEADER_RANGE);
        RelayJob *job = NULL;
        int error;

        assert(r);

        error = relay_job_new(r, RELAY_VERB_GET, &job);
        if (error != 0)
                return MIN(error, 0);
        job->head = r->method == METHOD_HEAD;
        job->range = range && !job->head ? strdup(range) : NULL;
        job->work = work_object;
        job->answer = answer_object;
        return relay_job_submit(job);
}

/* --- Lists ---------------------------------------------------------------------------------------- */

static int work_list(RelayJob *job) {
        _cleanup_close_ int base = -EBADF;
        int r;

        assert(job);

        r = relay_open_base(job->base, /* make= */ false, &base);
        if (r == -ENOENT) /* nothing was ever written */
                return 0;
        if (r < 0)
                return r;
        return relay_walk(base, job->prefix, job->cursor, job->limit, &job->list);
}

static int answer_list(RelayJob *job, Request *r) {
        _cleanup_json_ json_t *data = json_object(), *items = json_array();
        int error = 0;

        assert(job);

        for (size_t i = 0; i < job->list.n && error >= 0; i++)
                error = json_append(items,
                                    json_pack("{s:s,s:I}", "key", job->list.items[i].key, "size",
                                              (json_int_t) job->list.items[i].size));
        if (error >= 0)
                error = json_set(data, "items", TAKE_PTR(items));
        if (error >= 0)
                error = json_set(data, "next_cursor",
                                 json_from_string(job->list.more ? job->list.items[job->list.n - 1].key :
                                                                   NULL));
        if (error < 0)
                return error;
        return request_reply(r, MHD_HTTP_OK, TAKE_PTR(data));
}

int relay_read_list(Request *r) {
        const char *prefix = request_query(r, "prefix"), *cursor = request_query(r, "cursor"),
                   *limit = request_query(r, "limit");
        RelayJob *job = NULL;
        int error;

        assert(r);

        error = relay_job_new(r, RELAY_VERB_GET, &job);
        if (error != 0)
                return MIN(error, 0);
        job->limit = RELAY_LIST_DEFAULT;
        if (limit && parse_u32(limit, 1, RELAY_LIST_MAX, &job->limit) < 0)
                error = request_fail_field(r, ERROR_QUERY_INVALID, "limit", "'limit' is 1 to %u.",
                                           RELAY_LIST_MAX);
        else if (prefix && !relay_prefix_is_valid(prefix))
                error = request_fail_field(r, ERROR_QUERY_INVALID, "prefix", "A prefix ends in '/'.");
        else if (prefix && !startswith(prefix, job->prefix))
                error = request_fail(r, ERROR_RELAY_DENIED, "The capability opens %s only.", job->prefix);
        if (r->response || error < 0) {
                relay_job_free(job);
                return error;
        }
        if (prefix)
                error = free_and_strdup(&job->prefix, prefix);
        if (error >= 0 && !isempty(cursor))
                error = free_and_strdup(&job->cursor, cursor);
        if (error < 0) {
                relay_job_free(job);
                return error;
        }
        job->work = work_list;
        job->answer = answer_list;
        return relay_job_submit(job);
}

/* --- Room ----------------------------------------------------------------------------------------- */

static int work_usage(RelayJob *job) {
        _cleanup_close_ int base = -EBADF;
        struct statvfs fs;
        int r;

        assert(job);

        r = relay_open_base(job->base, /* make= */ true, &base);
        if (r < 0)
                return r;
        if (fstatvfs(base, &fs) < 0)
                return -errno;
        job->size = (uint64_t) fs.f_bavail * fs.f_frsize;
        job->total = (uint64_t) fs.f_blocks * fs.f_frsize;
        job->writable = faccessat(base, ".", W_OK, AT_EACCESS) == 0;
        return 0;
}

static int answer_usage(RelayJob *job, Request *r) {
        return request_reply(r, MHD_HTTP_OK,
                             json_pack("{s:b,s:I,s:I}", "writable", (int) job->writable, "free_bytes",
                                       (json_int_t) job->size, "total_bytes", (json_int_t) job->total));
}

int relay_read_usage(Request *r) {
        RelayJob *job = NULL;
        int error;

        assert(r);

        error = relay_job_new(r, RELAY_VERB_GET | RELAY_VERB_PUT, &job);
        if (error != 0)
                return MIN(error, 0);
        job->work = work_usage;
        job->answer = answer_usage;
        return relay_job_submit(job);
}

/* --- Removal -------------------------------------------------------------------------------------- */

static int work_remove(RelayJob *job) {
        _cleanup_close_ int base = -EBADF;
        int r;

        r = relay_open_base(job->base, /* make= */ false, &base);
        if (r < 0)
                return r;
        return relay_remove_object(base, job->key);
}

static int answer_remove(RelayJob *job, Request *r) {
        int error;

        assert(job);

        error = job->is_lock ? relay_lock_forget(r->api->store, r->id, job->key) : 0;
        return error < 0 ? error : request_reply_empty(r, MHD_HTTP_NO_CONTENT);
}

/* A job that prunes removes what is stored, and nothing that opens it. Each may take back the locks that it
 * wrote itself: to know of one is no leave to remove it. Positive: the
 * request was answered. */
static int check_lock(Request *r, RelayJob *job) {
        const RelayCap *cap = &r->principal.relay;
        uint64_t writer = 0;
        int error;

        assert(job);

        job->is_lock = relay_key_is_lock(job->prefix, job->key);
        if (cap->verbs & RELAY_VERB_DELETE && !relay_key_opens(job->prefix, job->key))
                return 0;
        error = job->is_lock ? relay_lock_find(r->api->store, r->id, job->key, &writer) : 0;
        if (error < 0)
                return error;
        if (error == 0 && writer == cap->command_id)
                return 0;
        error = request_fail(r, ERROR_RELAY_DENIED,
                             cap->verbs & RELAY_VERB_DELETE ?
                                             "A repository needs its config and keys: they stay." :
                                             "The capability removes the locks that its own job wrote, and "
                                             "nothing else.");
        return error < 0 ? error : 1;
}

int relay_remove(Request *r) {
        RelayJob *job = NULL;
        int error;

        assert(r);

        error = relay_job_new(r, RELAY_VERB_DELETE | RELAY_VERB_LOCK, &job);
        if (error != 0)
                return MIN(error, 0);
        if (!job->key) {
                relay_job_free(job);
                return request_fail(r, ERROR_REQUEST_INVALID, "A key is expected in the path.");
        }
        error = check_lock(r, job);
        if (error != 0) {
                relay_job_free(job);
                return MIN(error, 0);
        }
        job->work = work_remove;
        job->answer = answer_remove;
        return relay_job_submit(job);
}
