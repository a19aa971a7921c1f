/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/text.h"
#include "wire/agent.h"

#include "services/api/agent.h"
#include "services/api/handlers.h"
#include "services/api/login.h"
#include "services/api/relay.h"
#include "services/api/routes.h"

/* Bodies: a name and a password; a task with a thousand paths; paths to restore. */
#define SMALL (16U << 10)
#define MEDIUM (256U << 10)
#define LARGE (1U << 20)

#define PAGE "limit cursor"

/* clang-format off */
static const Route routes[] = {
        { METHOD_GET,    "/health",                        ACCESS_PUBLIC,   0,      NULL, health_get },
        { METHOD_GET,    "/ready",                         ACCESS_PUBLIC,   0,      NULL, ready_get },
        { METHOD_GET,    "/metrics",                       ACCESS_VIEWER,   0,      NULL, metrics_get },

        { METHOD_GET,    "/api/v1/setup",                  ACCESS_PUBLIC,   0,      NULL, setup_get },
        { METHOD_POST,   "/api/v1/setup",                  ACCESS_PUBLIC,   SMALL,  NULL, setup_post },

        { METHOD_POST,   "/api/v1/auth/login",             ACCESS_PUBLIC,   SMALL,  NULL, auth_login },
        { METHOD_POST,   "/api/v1/auth/logout",            ACCESS_VIEWER,   SMALL,  NULL, auth_logout },
        { METHOD_GET,    "/api/v1/auth/me",                ACCESS_VIEWER,   0,      NULL, auth_me },
        { METHOD_PUT,    "/api/v1/auth/password",          ACCESS_VIEWER,   SMALL,  NULL, auth_password },

        { METHOD_GET,    "/api/v1/users",                  ACCESS_ADMIN,    0,      PAGE, users_get },
        { METHOD_POST,   "/api/v1/users",                  ACCESS_ADMIN,    SMALL,  NULL, users_post },
        { METHOD_GET,    "/api/v1/users/{id}",             ACCESS_ADMIN,    0,      NULL, user_get_one },
        { METHOD_PUT,    "/api/v1/users/{id}",             ACCESS_ADMIN,    SMALL,  NULL, user_put },
        { METHOD_DELETE, "/api/v1/users/{id}",             ACCESS_ADMIN,    SMALL,  NULL, user_remove },

        { METHOD_GET,    "/api/v1/api-keys",               ACCESS_VIEWER,   0,      PAGE, api_keys_get },
        { METHOD_POST,   "/api/v1/api-keys",               ACCESS_VIEWER,   SMALL,  NULL, api_keys_post },
        { METHOD_DELETE, "/api/v1/api-keys/{id}",          ACCESS_VIEWER,   SMALL,  NULL, api_key_remove },

        { METHOD_GET,    "/api/v1/targets",                ACCESS_VIEWER,   0,      PAGE, targets_get },
        { METHOD_POST,   "/api/v1/targets",                ACCESS_ADMIN,    MEDIUM, NULL, targets_post },
        { METHOD_GET,    "/api/v1/targets/{id}",           ACCESS_VIEWER,   0,      NULL, target_get_one },
        { METHOD_PUT,    "/api/v1/targets/{id}",           ACCESS_ADMIN,    MEDIUM, NULL, target_put },
        { METHOD_DELETE, "/api/v1/targets/{id}",           ACCESS_ADMIN,    SMALL,  NULL, target_remove },
        { METHOD_POST,   "/api/v1/targets/{id}/test",      ACCESS_OPERATOR, SMALL,  NULL, target_test },

        { METHOD_GET,    "/api/v1/nodes",                  ACCESS_VIEWER,   0,      PAGE, nodes_get },
        { METHOD_POST,   "/api/v1/nodes",                  ACCESS_ADMIN,    SMALL,  NULL, nodes_post },
        { METHOD_GET,    "/api/v1/nodes/{id}",             ACCESS_VIEWER,   0,      NULL, node_get_one },
        { METHOD_PUT,    "/api/v1/nodes/{id}",             ACCESS_ADMIN,    SMALL,  NULL, node_put },
        { METHOD_DELETE, "/api/v1/nodes/{id}",             ACCESS_ADMIN,    SMALL,  NULL, node_remove },
        { METHOD_POST,   "/api/v1/nodes/{id}/enrollment",  ACCESS_ADMIN,    SMALL,  NULL, node_enrollment },
        { METHOD_POST,   "/api/v1/nodes/{id}/rotate-token", ACCESS_OPERATOR, SMALL, NULL, node_rotate },
        { METHOD_POST,   "/api/v1/nodes/{id}/drain",       ACCESS_OPERATOR, SMALL,  NULL, node_drain },
        { METHOD_POST,   "/api/v1/nodes/{id}/undrain",     ACCESS_OPERATOR, SMALL,  NULL, node_undrain },
        { METHOD_POST,   "/api/v1/nodes/{id}/reset-identity", ACCESS_ADMIN, SMALL,  NULL,
          node_reset_identity },

        { METHOD_GET,    "/api/v1/nodes/{id}/directories", ACCESS_OPERATOR, 0,
          PAGE " path", node_directories },
        { METHOD_GET,    "/api/v1/nodes/{id}/rclone-backends", ACCESS_OPERATOR, 0,
          "backend", node_rclone_backends },
        { METHOD_POST,   "/api/v1/nodes/{id}/discover-databases",
                                                           ACCESS_OPERATOR, SMALL,  NULL, node_databases },
        { METHOD_POST,   "/api/v1/nodes/{id}/check",       ACCESS_OPERATOR, SMALL,  NULL, node_check },
        { METHOD_POST,   "/api/v1/install-links",          ACCESS_OPERATOR, MEDIUM,
          NULL, install_links_post },
        { METHOD_GET,    "/api/install/{token}",           ACCESS_PUBLIC,   0,      NULL, install_get },
        { METHOD_GET,    "/api/install/{token}/compose.yml", ACCESS_PUBLIC, 0,
          NULL, install_compose_get },
        { METHOD_GET,    "/install/{token}",               ACCESS_PUBLIC,   0,      NULL, install_get },
        { METHOD_GET,    "/install/{token}/compose.yml",   ACCESS_PUBLIC,   0,
          NULL, install_compose_get },
        { METHOD_GET,    "/api/v1/agent-package",          ACCESS_PUBLIC,   0,
          NULL, agent_packages_get },
        { METHOD_GET,    "/api/v1/agent-package/{file}",   ACCESS_PUBLIC,   0,
          NULL, agent_package_get },

        { METHOD_GET,    "/api/v1/tasks",                  ACCESS_VIEWER,   0,
          PAGE " node_id", tasks_get },
        { METHOD_POST,   "/api/v1/tasks",                  ACCESS_OPERATOR, LARGE,  NULL, tasks_post },
        { METHOD_POST,   "/api/v1/tasks/test",             ACCESS_OPERATOR, LARGE,  NULL, task_test },
        { METHOD_GET,    "/api/v1/tasks/{id}",             ACCESS_VIEWER,   0,      NULL, task_get_one },
        { METHOD_PUT,    "/api/v1/tasks/{id}",             ACCESS_OPERATOR, LARGE,  NULL, task_put },
        { METHOD_DELETE, "/api/v1/tasks/{id}",             ACCESS_OPERATOR, SMALL,  NULL, task_remove },
        { METHOD_POST,   "/api/v1/tasks/{id}/run",         ACCESS_OPERATOR, SMALL,  NULL, task_run },

        { METHOD_GET,    "/api/v1/runs",                   ACCESS_VIEWER,   0,
          PAGE " state kind task_id node_id", runs_get },
        { METHOD_GET,    "/api/v1/runs/{id}",              ACCESS_VIEWER,   0,      NULL, run_get_one },
        { METHOD_POST,   "/api/v1/runs/{id}/cancel",       ACCESS_OPERATOR, SMALL,  NULL, run_cancel },
        { METHOD_GET,    "/api/v1/runs/{id}/logs",         ACCESS_VIEWER,   0,
          "after limit", run_logs },
        { METHOD_GET,    "/api/v1/runs/{id}/entries",      ACCESS_OPERATOR, 0,
          PAGE " path", run_entries },
        { METHOD_GET,    "/api/v1/runs/{id}/content",      ACCESS_OPERATOR, 0,
          "path offset limit", run_content },
        { METHOD_POST,   "/api/v1/runs/{id}/restore",      ACCESS_OPERATOR, LARGE,  NULL, run_restore },
        { METHOD_POST,   "/api/v1/runs/{id}/verify",       ACCESS_OPERATOR, SMALL,  NULL, run_verify },
        { METHOD_POST,   "/api/v1/runs/{id}/prune",        ACCESS_OPERATOR, SMALL,  NULL, run_prune },

        { METHOD_GET,    "/api/v1/snapshots",              ACCESS_VIEWER,   0,
          PAGE " task_id node_id target_id", snapshots_get },

        { METHOD_GET,    "/api/v1/recovery-kit",           ACCESS_VIEWER,   0,      NULL, recovery_kit_get },

        { METHOD_GET,    "/api/v1/queue",                  ACCESS_VIEWER,   0,
          PAGE " node_id", queue_get },

        { METHOD_GET,    "/api/v1/events",                 ACCESS_VIEWER,   0,      NULL, events_get },

        { METHOD_GET,    "/api/v1/audit",                  ACCESS_ADMIN,    0,
          PAGE " user_id object_type object_id action", audit_get },

        { METHOD_POST,   "/api/v1/agent/enroll",            ACCESS_PUBLIC,   AGENT_ENROLL_MAX,
                                                            NULL, agent_enroll },
        { METHOD_GET,    "/api/v1/agent/self",              ACCESS_NODE,     0,      NULL, agent_self },
        { METHOD_POST,   "/api/v1/agent/heartbeat",         ACCESS_NODE,     AGENT_HEARTBEAT_MAX,
                                                            NULL, agent_heartbeat },
        { METHOD_POST,   "/api/v1/agent/commands/claim",    ACCESS_NODE,     AGENT_CLAIM_MAX,
                                                            "wait", agent_claim },
        { METHOD_POST,   "/api/v1/agent/commands/{id}/accept",   ACCESS_NODE, AGENT_ACCEPT_MAX,
                                                            NULL, agent_accept },
        { METHOD_POST,   "/api/v1/agent/commands/{id}/progress", ACCESS_NODE, AGENT_PROGRESS_MAX,
                                                            NULL, agent_progress },
        { METHOD_POST,   "/api/v1/agent/commands/{id}/result",   ACCESS_NODE, AGENT_RESULT_MAX,
                                                            NULL, agent_result },

        { METHOD_GET,    "/api/v1/relay/{id}/{key*}",       ACCESS_RELAY,    0,
                                                            "prefix cursor limit usage", relay_get },
        { METHOD_POST,   "/api/v1/relay/{id}/{key*}",       ACCESS_RELAY,    RELAY_COMMIT_MAX,
                                                            "upload commit", relay_post },
        { METHOD_PUT,    "/api/v1/relay/{id}/{key*}",       ACCESS_RELAY,    RELAY_PART_SIZE,
                                                            "upload part", relay_put },
        { METHOD_DELETE, "/api/v1/relay/{id}/{key*}",       ACCESS_RELAY,    SMALL,
                                                            "upload", relay_delete },
};
/* clang-format on */

const Route *routes_all(size_t *ret_n) {
        assert(ret_n);

        *ret_n = ELEMENTSOF(routes);
        return routes;
}

static int refuse_method(Request *r, Method allow) {
        char text[ROUTE_ALLOW_MAX];
        int error;

        error = request_fail(r, ERROR_METHOD_NOT_ALLOWED, "This address takes %s.",
                             method_format(allow, text));
        return error < 0 ? error : request_add_header(r, MHD_HTTP_HEADER_ALLOW, text);
}

static int find_route(Request *r, const char *method) {
        int error;

        r->method = method_from_string(method);
        error = route_match(routes, ELEMENTSOF(routes), r->method < 0 ? 0 : r->method, r->uri.path,
                            &r->match);
        r->id = r->match.id;
        if (error == -EINVAL)
                return request_fail(r, ERROR_REQUEST_INVALID,
                                    "The path of this request is not well-formed.");
        if (error == ROUTE_E_NOT_FOUND)
                return request_fail(r, ERROR_ROUTE_NOT_FOUND, "There is nothing at this address.");
        if (error == ROUTE_E_METHOD)
                return refuse_method(r, r->match.allow);
        return error;
}

static int check_query(Request *r) {
        for (size_t i = 0; i < r->uri.n_params; i++)
                if (!route_takes_query(r->match.route, r->uri.params[i].name))
                        return request_fail_field(r, ERROR_QUERY_INVALID, r->uri.params[i].name,
                                                  "The query has no parameter '%s' here.",
                                                  r->uri.params[i].name);
        return 0;
}

static int check_size(Request *r, uint64_t announced) {
        size_t max = r->match.route->body_max;

        if (announced == UINT64_MAX || announced <= max)
                return 0;
        if (max == 0)
                return request_fail(r, ERROR_BODY_TOO_LARGE, "This request has no body.");
        return request_fail(r, ERROR_BODY_TOO_LARGE, "The body is larger than %zu bytes.", max);
}

int routes_begin(Request *r, const char *method, uint64_t announced) {
        int error;

        assert(r);
        assert(method);

        error = find_route(r, method);
        if (error >= 0 && !r->response)
                error = principal_authorize(r);
        r->is_at_once = error >= 0 && !r->response;
        if (error >= 0 && !r->response)
                error = check_query(r);
        if (error >= 0 && !r->response)
                error = check_size(r, announced);
        return error;
}

int routes_run(Request *r) {
        int error;

        assert(r);
        assert(r->match.route);

        /* A body may have taken its time: the session has to be there still. */
        if (r->body.size > 0 && !r->is_at_once) {
                error = principal_authorize(r);
                if (error < 0 || r->response)
                        return error;
        }
        return r->match.route->handler(r);
}
