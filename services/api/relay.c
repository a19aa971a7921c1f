/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "store/relay-cap.h"
#include "sys/daemon.h"
#include "sys/log.h"
#include "wire/names.h"
#include "wire/path.h"

#include "services/api/relay-private.h"

/* --- Directories ---------------------------------------------------------------------------------- */

static bool is_allowed(const Relay *relay, const char *dir) {
        char *const fallback[] = { relay->default_directory, NULL };
        char *const *allowed = relay->api->config.relay_directories;

        return relay_directory_is_allowed(dir, allowed ? allowed : fallback);
}

int relay_directory(Relay *relay, uint64_t target_id, const char *config, char **ret) {
        _cleanup_json_ json_t *json = NULL;
        _cleanup_(freep) char *dir = NULL;
        const json_t *named;
        int r;

        assert(relay);
        assert(ret);

        if (config && json_parse_text(config, &json, NULL) < 0)
                return -EINVAL;
        named = json_object_get(json, "directory");
        if (json_is_string(named) && json_string_length(named) > 0) {
                if (!path_is_normalized_absolute(json_string_value(named)))
                        return free_and_strdup(ret, "");
                r = free_and_strdup(&dir, json_string_value(named));
        } else
                r = asprintf_safe(&dir, "%s/%" PRIu64,
                                  relay->api->config.relay_directories ?
                                                  relay->api->config.relay_directories[0] :
                                                  relay->default_directory,
                                  target_id);
        if (r < 0)
                return r;
        if (!is_allowed(relay, dir))
                return free_and_strdup(ret, "");
        *ret = TAKE_PTR(dir);
        return 0;
}

/* --- Jobs ----------------------------------------------------------------------------------------- */

RelayJob *relay_job_free(RelayJob *job) {
        if (!job)
                return NULL;
        free(job->base);
        free(job->key);
        buffer_done(&job->body);
        free(job->range);
        free(job->prefix);
        free(job->cursor);
        safe_close(job->fd);
        free(job->data);
        relay_list_done(&job->list);
        return mfree(job);
}

/* Positive: the request was answered. */
static int refuse(int error) {
        return error < 0 ? error : 1;
}

/* The tail of the path is a key (or, without one, nothing); all of it within the capability. */
static int take_key(Request *r, RelayJob *job) {
        const char *key = strempty(request_param(r, 1));

        assert(job);

        if (key[0] == 0)
                return 0;
        if (!relay_key_is_valid(key))
                return refuse(request_fail(r, ERROR_REQUEST_INVALID, "This is not a key of an object."));
        if (!startswith(key, job->prefix))
                return refuse(request_fail(r, ERROR_RELAY_DENIED, "The capability opens %s only.",
                                           job->prefix));
        return free_and_strdup(&job->key, key);
}

static int take_base(Request *r, RelayJob *job) {
        const RelayCap *cap = &r->principal.relay;
        int error;

        assert(job);

        error = relay_directory(job->relay, cap->target_id, cap->target_config, &job->base);
        if (error < 0)
                return error;
        if (job->base[0] == 0)
                return refuse(request_fail(r, ERROR_RELAY_DENIED,
                                           "The directory of this target is not one of the master's relay "
                                           "directories. Run 'backupx relay allow DIR' on the master."));
        return 0;
}

int relay_job_new(Request *r, uint32_t verb, RelayJob **ret) {
        _cleanup_(relay_job_freep) RelayJob *job = NULL;
        const RelayCap *cap = &r->principal.relay;
        int error;

        assert(r);
        assert(r->principal.kind == PRINCIPAL_RELAY);
        assert(ret);

        if (r->id != cap->target_id)
                return refuse(request_fail(r, ERROR_RELAY_DENIED, "The capability is for another target."));
        if (!(cap->verbs & verb))
                return refuse(request_fail(r, ERROR_RELAY_DENIED, "The capability does not allow this."));
        job = new0(RelayJob, 1);
        if (!job)
                return -ENOMEM;
        job->relay = r->api->relay;
        job->request = r;
        job->fd = -EBADF;
        job->upload.command = cap->command_id;
        job->upload.attempt = cap->current_attempt;
        error = relay_prefix_of(cap->prefix, cap->current_attempt, &job->prefix);
        if (error >= 0 && !relay_prefix_is_valid(job->prefix))
                error = -EINVAL;
        if (error == 0)
                error = take_base(r, job);
        if (error == 0)
                error = take_key(r, job);
        if (error != 0)
                return error;
        *ret = TAKE_PTR(job);
        return 0;
}

/* In a worker. */
static void job_run(void *userdata) {
        RelayJob *job = ASSERT_PTR(userdata);

        job->error = job->work(job);
}

static void on_request_cancelled(Request *r, void *userdata) {
        RelayJob *job = ASSERT_PTR(userdata);

        job->request = NULL;
}

static void job_done(void *userdata) {
        _cleanup_(relay_job_freep) RelayJob *job = ASSERT_PTR(userdata);
        Request *r = job->request;
        int error;

        if (job->cached) {
                job->cached->is_busy = false;
                job->cached->used = now_usec(CLOCK_MONOTONIC);
        }
        if (!r)
                return;
        r->cancel = NULL;
        error = job->error < 0 ? relay_job_refuse(job, r) : job->answer(job, r);
        request_end(r, error);
}

static void job_drop(void *userdata) {
        RelayJob *job = ASSERT_PTR(userdata);

        if (job->request) /* it is answered by the server's end */
                job->request->cancel = NULL;
        relay_job_free(job);
}

int relay_job_submit(RelayJob *job) {
        const WorkerJob worker = { .run = job_run, .done = job_done, .drop = job_drop, .userdata = job };
        Request *r = job->request;
        int error;

        error = workers_submit(r->api->workers, &worker);
        if (error < 0) {
                if (job->cached)
                        job->cached->is_busy = false;
                relay_job_free(job);
                return error;
        }
        request_suspend(r, on_request_cancelled, job);
        return 0;
}

/* The answers for what a worker could not do. */
int relay_job_refuse(RelayJob *job, Request *r) {
        assert(job);

        switch (-job->error) {
        case ENOENT:
                return request_fail(r, job->message ? ERROR_RELAY_UPLOAD_UNKNOWN : ERROR_RELAY_NOT_FOUND,
                                    "%s", job->message ? job->message : "There is no such object.");
        case EEXIST:
                return request_fail(r, ERROR_RELAY_EXISTS,
                                    "An object is there already, and nothing replaces it.");
        case EBADMSG:
                return request_fail(r, ERROR_RELAY_CHECKSUM, "%s",
                                    job->message ? job->message : "The content is not what was announced.");
        case ERANGE:
                return request_fail(r, ERROR_RELAY_RANGE, "The object ends before this range.");
        case ESPIPE:
                return request_fail(r, ERROR_CONFLICT, "%s", strempty(job->message));
        case ENOSPC:
        case EDQUOT:
                return request_fail(r, ERROR_STORAGE_FULL, "The disk of the relay directory %s is full.",
                                    job->base);
        case EACCES:
        case EPERM:
        case EROFS:
                return request_fail(r, ERROR_RELAY_DENIED,
                                    "The master may not write in %s: run 'backupx relay allow %s' there.",
                                    job->base, job->base);
        default:
                return request_fail_errno(r, job->error);
        }
}

/* --- Handlers ------------------------------------------------------------------------------------- */

int relay_get(Request *r) {
        assert(r);

        if (!isempty(request_param(r, 1)))
                return relay_read_object(r);
        if (request_query(r, "usage"))
                return relay_read_usage(r);
        return relay_read_list(r);
}

int relay_post(Request *r) {
        assert(r);

        if (request_query(r, "commit"))
                return relay_upload_commit(r);
        if (request_query(r, "upload"))
                return relay_upload_begin(r);
        return request_fail(r, ERROR_QUERY_INVALID, "'upload' or 'commit' is expected in the query.");
}

int relay_put(Request *r) {
        assert(r);

        return relay_upload_part(r);
}

int relay_delete(Request *r) {
        assert(r);

        return request_query(r, "upload") ? relay_upload_abort(r) : relay_remove(r);
}

/* --- Life ----------------------------------------------------------------------------------------- */

int relay_new(Api *api, Relay **ret) {
        _cleanup_(relay_freep) Relay *relay = NULL;
        int r;

        assert(api);
        assert(ret);

        relay = new0(Relay, 1);
        if (!relay)
                return -ENOMEM;
        relay->api = api;
        r = asprintf_safe(&relay->default_directory, "%s/%s", daemon_state_directory(), FILE_RELAY);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(relay);
        return 0;
}

int relay_start(Relay *relay) {
        assert(relay);

        return relay_sweep_start(relay);
}

Relay *relay_free(Relay *relay) {
        if (!relay)
                return NULL;
        relay_uploads_free(relay);
        sd_event_source_disable_unref(relay->sweep);
        free(relay->default_directory);
        return mfree(relay);
}
