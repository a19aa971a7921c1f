/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/daemon/reply.h"
#include "base/alloc.h"
#include "base/text.h"

static const char *const reply_verdict_table[] = {
        [REPLY_OK] = "ok",
        [REPLY_EMPTY] = "empty",
        [REPLY_RETRY] = "retry",
        [REPLY_UNAUTHORIZED] = "unauthorized",
        [REPLY_DUPLICATE] = "duplicate",
        [REPLY_STALE] = "stale",
        [REPLY_REFUSED] = "refused",
};

DEFINE_STRING_TABLE(reply_verdict, ReplyVerdict);

/* Of an error's text; what is longer is cut. */
#define MESSAGE_MAX 500

void reply_done(Reply *r) {
        if (!r)
                return;
        json_decref(r->data);
        free(r->code);
        free(r->message);
        *r = REPLY_NULL;
}

static char *limited_copy(const char *s) {
        return s ? strndup(s, MESSAGE_MAX) : NULL;
}

/* Statuses with a meaning of their own, whatever stands in the body. */
static ReplyVerdict verdict_of_status(unsigned status, const char *code) {
        switch (status) {
        case 401:
        case 403:
                return REPLY_UNAUTHORIZED;
        case 408:
        case 425:
        case 429:
                return REPLY_RETRY;
        case 409:
                if (streq_ptr(code, "NODE_DUPLICATE"))
                        return REPLY_DUPLICATE;
                return code && startswith(code, "COMMAND_") ? REPLY_STALE : REPLY_REFUSED;
        case 410:
                return REPLY_STALE;
        case 404:
                /* Without a code of ours it is another server, or a proxy without its master. */
                if (!code)
                        return REPLY_RETRY;
                return startswith(code, "COMMAND_") ? REPLY_STALE : REPLY_REFUSED;
        case 400:
                /* Not an answer to what was asked: the URL is one of http://, and nothing got through. */
                if (streq_ptr(code, "TLS_REQUIRED"))
                        return REPLY_RETRY;
                return code ? REPLY_REFUSED : REPLY_RETRY;
        default: /* a number */
                return status >= 400 && status < 500 && code ? REPLY_REFUSED : REPLY_RETRY;
        }
}

static void read_success(const HttpReply *http, Reply *ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;
        json_t *data;
        int r;

        assert(http);
        assert(ret);

        r = json_parse_strict(http->body, http->size, JSON_DEPTH_DEFAULT, &json, &failure);
        data = r < 0 ? NULL : json_object_get(json, "data");
        if (!json_is_object(data)) {
                ret->verdict = REPLY_RETRY;
                (void) !asprintf_safe(&ret->message, "The answer is not one of a BackupX master: %s",
                                      r < 0 ? failure_message(&failure, r) : "it holds no data");
                return;
        }
        ret->verdict = REPLY_OK;
        ret->data = json_incref(data);
}

static void read_error(const HttpReply *http, Reply *ret) {
        _cleanup_json_ json_t *json = NULL;
        const char *code = NULL, *message = NULL;

        assert(http);
        assert(ret);

        if (json_parse_strict(http->body, http->size, JSON_DEPTH_DEFAULT, &json,
                              /* reterr_failure= */ NULL) >= 0) {
                code = json_string_value(json_object_get(json, "code"));
                message = json_string_value(json_object_get(json, "message"));
        }
        ret->verdict = verdict_of_status(http->status, code);
        ret->code = limited_copy(code);
        if (message)
                ret->message = limited_copy(message);
        else if (http->status >= 300 && http->status < 400)
                (void) !asprintf_safe(&ret->message,
                                      "The master answers with a redirect (HTTP %u), which is never "
                                      "followed: is its URL right?",
                                      http->status);
        else
                (void) !asprintf_safe(&ret->message, "The master answers with HTTP status %u", http->status);
}

void reply_read(const HttpReply *http, Reply *ret) {
        assert(http);
        assert(ret);

        *ret = REPLY_NULL;
        ret->status = http->status;
        ret->retry_after = MIN(http->retry_after, REPLY_RETRY_AFTER_MAX);
        if (http->error != 0) {
                ret->status = 0;
                (void) !asprintf_safe(&ret->message, "%s", strempty(http->reason));
        } else if (http->status == 204)
                ret->verdict = REPLY_EMPTY;
        else if (http->status >= 200 && http->status < 300)
                read_success(http, ret);
        else
                read_error(http, ret);
}
