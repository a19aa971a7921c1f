/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/text.h"

#include "services/api/errors.h"

static const struct {
        unsigned status;
        const char *code;
} table[_API_ERROR_MAX] = {
        [ERROR_REQUEST_INVALID] = { 400, "REQUEST_INVALID" },
        [ERROR_BODY_INVALID] = { 400, "BODY_INVALID" },
        [ERROR_BODY_TOO_LARGE] = { 413, "BODY_TOO_LARGE" },
        [ERROR_FIELD_INVALID] = { 400, "FIELD_INVALID" },
        [ERROR_FIELD_MISSING] = { 400, "FIELD_MISSING" },
        [ERROR_FIELD_UNKNOWN] = { 400, "FIELD_UNKNOWN" },
        [ERROR_SECRET_NEEDED_AGAIN] = { 400, "SECRET_NEEDED_AGAIN" },
        [ERROR_QUERY_INVALID] = { 400, "QUERY_INVALID" },
        [ERROR_ROUTE_NOT_FOUND] = { 404, "ROUTE_NOT_FOUND" },
        [ERROR_METHOD_NOT_ALLOWED] = { 405, "METHOD_NOT_ALLOWED" },
        [ERROR_TLS_REQUIRED] = { 400, "TLS_REQUIRED" },

        [ERROR_AUTH_REQUIRED] = { 401, "AUTH_REQUIRED" },
        [ERROR_AUTH_INVALID] = { 401, "AUTH_INVALID" },
        [ERROR_LOGIN_FAILED] = { 401, "LOGIN_FAILED" },
        [ERROR_FORBIDDEN] = { 403, "FORBIDDEN" },
        [ERROR_CSRF_REFUSED] = { 403, "CSRF_REFUSED" },
        [ERROR_TOO_MANY_REQUESTS] = { 429, "TOO_MANY_REQUESTS" },
        [ERROR_SETUP_DONE] = { 409, "SETUP_DONE" },
        [ERROR_SETUP_NEEDED] = { 409, "SETUP_NEEDED" },

        [ERROR_USER_NOT_FOUND] = { 404, "USER_NOT_FOUND" },
        [ERROR_USER_EXISTS] = { 409, "USER_EXISTS" },
        [ERROR_LAST_ADMIN] = { 409, "LAST_ADMIN" },
        [ERROR_API_KEY_NOT_FOUND] = { 404, "API_KEY_NOT_FOUND" },
        [ERROR_API_KEY_EXISTS] = { 409, "API_KEY_EXISTS" },
        [ERROR_TARGET_NOT_FOUND] = { 404, "TARGET_NOT_FOUND" },
        [ERROR_TARGET_EXISTS] = { 409, "TARGET_EXISTS" },
        [ERROR_TARGET_IN_USE] = { 409, "TARGET_IN_USE" },
        [ERROR_NODE_NOT_FOUND] = { 404, "NODE_NOT_FOUND" },
        [ERROR_NODE_EXISTS] = { 409, "NODE_EXISTS" },
        [ERROR_NODE_IN_USE] = { 409, "NODE_IN_USE" },
        [ERROR_NODE_IS_LOCAL] = { 409, "NODE_IS_LOCAL" },
        [ERROR_TASK_NOT_FOUND] = { 404, "TASK_NOT_FOUND" },
        [ERROR_TASK_EXISTS] = { 409, "TASK_EXISTS" },
        [ERROR_TASK_RUNNING] = { 409, "TASK_RUNNING" },
        [ERROR_TASK_DISABLED] = { 409, "TASK_DISABLED" },
        [ERROR_RUN_NOT_FOUND] = { 404, "RUN_NOT_FOUND" },
        [ERROR_RUN_ENDED] = { 409, "RUN_ENDED" },
        [ERROR_RUN_OVERLAP] = { 409, "RUN_OVERLAP" },
        [ERROR_RUN_NO_ARCHIVE] = { 409, "RUN_NO_ARCHIVE" },
        [ERROR_NOT_FOUND] = { 404, "NOT_FOUND" },
        [ERROR_CONFLICT] = { 409, "CONFLICT" },
        [ERROR_LIMIT_EXCEEDED] = { 429, "LIMIT_EXCEEDED" },
        [ERROR_PROBE_FAILED] = { 502, "PROBE_FAILED" },
        [ERROR_PROBE_TIMEOUT] = { 504, "PROBE_TIMEOUT" },
        [ERROR_NODE_OFFLINE] = { 409, "NODE_OFFLINE" },
        [ERROR_PATH_NOT_FOUND] = { 404, "PATH_NOT_FOUND" },
        [ERROR_POLICY_DENIED] = { 403, "POLICY_DENIED" },

        [ERROR_NODE_TOKEN_INVALID] = { 401, "NODE_TOKEN_INVALID" },
        [ERROR_NODE_DISABLED] = { 403, "NODE_DISABLED" },
        [ERROR_NODE_KEY_MISMATCH] = { 409, "NODE_KEY_MISMATCH" },
        [ERROR_NODE_DUPLICATE] = { 409, "NODE_DUPLICATE" },
        [ERROR_ENROLLMENT_INVALID] = { 401, "ENROLLMENT_INVALID" },
        [ERROR_ENROLLMENT_USED] = { 409, "ENROLLMENT_USED" },
        [ERROR_COMMAND_NOT_FOUND] = { 404, "COMMAND_NOT_FOUND" },
        [ERROR_COMMAND_ATTEMPT_STALE] = { 409, "COMMAND_ATTEMPT_STALE" },
        [ERROR_COMMAND_GONE] = { 410, "COMMAND_GONE" },
        [ERROR_RELAY_TOKEN_INVALID] = { 401, "RELAY_TOKEN_INVALID" },
        [ERROR_RELAY_DENIED] = { 403, "RELAY_DENIED" },
        [ERROR_RELAY_NOT_FOUND] = { 404, "RELAY_NOT_FOUND" },
        [ERROR_RELAY_EXISTS] = { 409, "RELAY_EXISTS" },
        [ERROR_RELAY_CHECKSUM] = { 422, "RELAY_CHECKSUM" },
        [ERROR_RELAY_RANGE] = { 416, "RELAY_RANGE" },
        [ERROR_RELAY_UPLOAD_UNKNOWN] = { 404, "RELAY_UPLOAD_UNKNOWN" },

        [ERROR_INTERNAL] = { 500, "INTERNAL" },
        [ERROR_UNAVAILABLE] = { 503, "UNAVAILABLE" },
        [ERROR_BUSY] = { 503, "BUSY" },
        [ERROR_STORAGE_FULL] = { 507, "STORAGE_FULL" },
};

const char *api_error_code(ApiError e) {
        assert(e >= 0 && e < _API_ERROR_MAX);
        return table[e].code;
}

unsigned api_error_status(ApiError e) {
        assert(e >= 0 && e < _API_ERROR_MAX);
        return table[e].status;
}

ApiError api_error_from_code(const char *code) {
        assert(code);

        for (int e = 0; e < _API_ERROR_MAX; e++)
                if (streq(table[e].code, code))
                        return e;
        return _API_ERROR_INVALID;
}

ApiError api_error_from_errno(int error) {
        switch (abs(error)) {
        case ENOMEM:
        case EBUSY:
        case EAGAIN:
                return ERROR_BUSY;
        case ENOTCONN:
        case ETIMEDOUT:
        case ECONNRESET:
                return ERROR_UNAVAILABLE;
        case ENOSPC:
        case EDQUOT:
                return ERROR_STORAGE_FULL;
        default:
                return ERROR_INTERNAL;
        }
}
