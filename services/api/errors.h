#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The one place where what went wrong becomes an HTTP status and a code that programs match. */

#include "base/macros.h"

typedef enum ApiError {
        /* the request */
        ERROR_REQUEST_INVALID,
        ERROR_BODY_INVALID,
        ERROR_BODY_TOO_LARGE,
        ERROR_FIELD_INVALID,
        ERROR_FIELD_MISSING,
        ERROR_FIELD_UNKNOWN,
        ERROR_SECRET_NEEDED_AGAIN,
        ERROR_QUERY_INVALID,
        ERROR_ROUTE_NOT_FOUND,
        ERROR_METHOD_NOT_ALLOWED,
        ERROR_TLS_REQUIRED,

        /* the caller */
        ERROR_AUTH_REQUIRED,
        ERROR_AUTH_INVALID,
        ERROR_LOGIN_FAILED,
        ERROR_FORBIDDEN,
        ERROR_CSRF_REFUSED,
        ERROR_TOO_MANY_REQUESTS,
        ERROR_SETUP_DONE,
        ERROR_SETUP_NEEDED,

        /* things */
        ERROR_USER_NOT_FOUND,
        ERROR_USER_EXISTS,
        ERROR_LAST_ADMIN,
        ERROR_API_KEY_NOT_FOUND,
        ERROR_API_KEY_EXISTS,
        ERROR_TARGET_NOT_FOUND,
        ERROR_TARGET_EXISTS,
        ERROR_TARGET_IN_USE,
        ERROR_NODE_NOT_FOUND,
        ERROR_NODE_EXISTS,
        ERROR_NODE_IN_USE,
        ERROR_NODE_IS_LOCAL,
        ERROR_TASK_NOT_FOUND,
        ERROR_TASK_EXISTS,
        ERROR_TASK_RUNNING,
        ERROR_TASK_DISABLED,
        ERROR_RUN_NOT_FOUND,
        ERROR_RUN_ENDED,
        ERROR_RUN_OVERLAP,
        ERROR_RUN_NO_ARCHIVE,
        ERROR_NOT_FOUND,
        ERROR_CONFLICT,
        ERROR_LIMIT_EXCEEDED,
        ERROR_PROBE_FAILED,
        ERROR_PROBE_TIMEOUT,
        ERROR_NODE_OFFLINE,
        ERROR_PATH_NOT_FOUND,
        ERROR_POLICY_DENIED,

        /* agents and jobs */
        ERROR_NODE_TOKEN_INVALID,
        ERROR_NODE_DISABLED,
        ERROR_NODE_KEY_MISMATCH,
        ERROR_NODE_DUPLICATE,
        ERROR_ENROLLMENT_INVALID,
        ERROR_ENROLLMENT_USED,
        ERROR_COMMAND_NOT_FOUND,
        ERROR_COMMAND_ATTEMPT_STALE,
        ERROR_COMMAND_GONE,
        ERROR_RELAY_TOKEN_INVALID,
        ERROR_RELAY_DENIED,
        ERROR_RELAY_NOT_FOUND,
        ERROR_RELAY_EXISTS,
        ERROR_RELAY_CHECKSUM,
        ERROR_RELAY_RANGE,
        ERROR_RELAY_UPLOAD_UNKNOWN,

        /* us */
        ERROR_INTERNAL,
        ERROR_UNAVAILABLE,
        ERROR_BUSY,
        ERROR_STORAGE_FULL,

        _API_ERROR_MAX,
        _API_ERROR_INVALID = -22,
} ApiError;

const char *api_error_code(ApiError e);
unsigned api_error_status(ApiError e);
/* _API_ERROR_INVALID: not in the table. */
ApiError api_error_from_code(const char *code);
/* What a negative errno of our own making means to a caller. */
ApiError api_error_from_errno(int error);
