/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/relay-request.h"

/* --- Answers ------------------------------------------------------------------------------------------- */

/* What a status of the master means; a code of its own tells more. */
static int error_of(long status) {
        static const struct {
                long status;
                int error;
        } errors[] = {
                { 401, EACCES },
                { 403, EACCES },
                { 404, ENOENT },
                { 409, EEXIST },
                { 416, ERANGE },
                { 422, EBADMSG },
                { 429, EBUSY },
                { 507, ENOSPC },
        };

        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                if (errors[i].status == status)
                        return -errors[i].error;
        return -EIO;
}

HttpVerdict relay_judge(Storage *s, const HttpAnswer *a, const char *key, Failure *f) {
        _cleanup_json_ json_t *body = NULL;
        const char *code, *message;
        HttpVerdict v;

        assert(s);
        assert(a);

        if (a->status >= 300 && a->status < 400)
                return (HttpVerdict){
                        .error = failure_set(f, -EIO, "RELAY_REDIRECTED",
                                             "The master redirects '%s' (%s) elsewhere (HTTP %ld); that is "
                                             "not followed. Give the agent the master's own address.",
                                             key, s->name, a->status)
                };
        if (json_parse_strict(a->body.data, a->body.size, JSON_DEPTH_DEFAULT, &body,
                              /* reterr_failure= */ NULL) < 0)
                body = NULL;
        code = json_string_value(json_object_get(body, "code"));
        message = json_string_value(json_object_get(body, "message"));
        if (!code || strlen(code) >= FAILURE_CODE_MAX) /* a HEAD, or what stands before the master */
                return http_judge_status(s, a->status, message, key, f);
        v.may_pass = a->status == 408 || a->status == 429 || a->status == 500 || a->status == 502 ||
                        a->status == 503 || a->status == 504;
        v.error = failure_set(f, error_of(a->status), code,
                              "The master answered for '%s' (%s): %s (HTTP %ld).",
                              key, s->name, message ? message : "no reason given", a->status);
        return v;
}

int relay_request(Storage *s, const HttpRequest *q, const char *key, HttpAnswer *a, Failure *f) {
        const Relay *l = s->backend;

        return http_server_request(l->master, q, key, a, f);
}

/* --- URLs and answers --------------------------------------------------------------------------------- */

int relay_object_url(const Relay *l, const char *key, char **ret) {
        _cleanup_(freep) char *escaped = NULL;
        int r;

        assert(l);

        r = http_escape_path(key, &escaped);
        return r < 0 ? r : asprintf_safe(ret, "%s%s", l->base, escaped);
}

int relay_answer_data(const Storage *s, const HttpAnswer *a, json_t **ret, Failure *f) {
        _cleanup_json_ json_t *body = NULL;
        json_t *data;
        int r;

        assert(s);
        assert(a);

        r = json_parse_strict(a->body.data, a->body.size, JSON_DEPTH_DEFAULT, &body,
                              /* reterr_failure= */ NULL);
        data = r < 0 ? NULL : json_object_get(body, "data");
        if (!json_is_object(data))
                return failure_set(f, -EPROTO, "RELAY_FAILED",
                                   "What answers for %s is not a BackupX master of this version.", s->name);
        *ret = json_incref(data);
        return 0;
}
