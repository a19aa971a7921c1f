/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"
#include "cli/api.h"
#include "cli/settings.h"
#include "cli/show.h"
#include "cli/table.h"
#include "crypto/pin.h"

#define PAGE_QUERY "limit=200"

void cli_done(Cli *c) {
        assert(c);

        free(c->server);
        erase_and_free(c->token);
        free(c->ca_cert);
        free(c->pin);
        http_free(c->http);
        json_decref(c->refusal);
        failure_done(&c->failure);
        *c = CLI_NULL;
}

static int token_from_environment(Cli *c, const Arguments *a) {
        const char *file = arguments_value(a, "token-file"), *token = getenv("BACKUPX_TOKEN");

        if (file)
                return settings_read_token(file, &c->token, &c->failure);
        if (!isempty(token))
                return free_and_strdup(&c->token, token);
        file = getenv("BACKUPX_TOKEN_FILE");
        return isempty(file) ? 0 : settings_read_token(file, &c->token, &c->failure);
}

/* A pin is of one server. What is said now counts more than what was said at the login. */
static int configure_trust(Cli *c, const Arguments *a, const Settings *s) {
        const char *ca_cert = arguments_value(a, "ca-cert"), *pin = arguments_value(a, "pin");

        if (!pin && !ca_cert)
                pin = isempty(getenv("BACKUPX_PIN")) ? NULL : getenv("BACKUPX_PIN");
        if (!pin && !ca_cert && streq_ptr(c->server, s->server))
                pin = s->pin;
        if (pin) {
                int r = pin_normalize(pin, &c->pin, &c->failure);

                if (r < 0)
                        return r;
        }
        return free_and_strdup(&c->ca_cert, ca_cert ? ca_cert : s->ca_cert);
}

int cli_configure(Cli *c, const Arguments *a) {
        _cleanup_(settings_done) Settings s = SETTINGS_NULL;
        const char *server = arguments_value(a, "server");
        int r;

        assert(c);
        assert(a);

        c->json = arguments_has(a, "json");
        c->quiet = arguments_has(a, "quiet");
        c->insecure = arguments_has(a, "insecure-tls");
        if (!server && !isempty(getenv("BACKUPX_SERVER")))
                server = getenv("BACKUPX_SERVER");

        r = token_from_environment(c, a);
        if (r < 0)
                return r;
        r = settings_load(&s, &c->failure);
        if (r < 0)
                return r;
        /* A session's token goes to its own server and to no other. */
        if (!c->token && (!server || streq_ptr(server, s.server)))
                c->token = TAKE_PTR(s.token);
        r = free_and_strdup(&c->server, server ? server : s.server ? s.server :
                                                                     SERVER_DEFAULT);
        if (r < 0)
                return r;
        return configure_trust(c, a, &s);
}

int cli_set_token(Cli *c, const char *token) {
        assert(c);

        c->http = http_free(c->http);
        c->token = erase_and_free(c->token);
        return free_and_strdup(&c->token, token);
}

/* The errno of an HTTP status, with the server's own sentence. */
static int answer_failed(Cli *c, long status, const json_t *answer) {
        const char *code = json_string_value(json_object_get(answer, "code"));
        const char *message = json_string_value(json_object_get(answer, "message"));
        const char *field = json_string_value(json_object_get(answer, "field"));
        int error = status == 401 || status == 403     ? -EACCES :
                        status == 404                  ? -ENOENT :
                        status == 409                  ? -EEXIST :
                        status == 400 || status == 422 ? -EINVAL :
                                                         -EREMOTEIO;

        assert(c);

        if (!code || strlen(code) >= FAILURE_CODE_MAX)
                code = "HTTP";
        if (!message)
                return failure_set(&c->failure, error, code, "%s answered with status %ld and no reason.",
                                   c->server, status);
        if (streq(code, "SECRET_NEEDED_AGAIN"))
                return failure_set(&c->failure, error, code, "%s (--secret KEY=FILE, or --no-secrets)",
                                   message);
        if (status == 401 && !c->token)
                return failure_set(&c->failure, error, code, "%s Log in first: backupx login", message);
        /* The sentence itself mostly names the field. */
        if (field && strstr(message, field))
                field = NULL;
        return failure_set(&c->failure, error, code, "%s%s%s%s", message, field ? " (field " : "",
                           strempty(field), field ? ")" : "");
}

static int open_http(Cli *c) {
        HttpArgs args = {
                .server = c->server,
                .token = c->token,
                .ca_cert = c->ca_cert,
                .pin = c->pin,
                .insecure = c->insecure,
        };

        return c->http ? 0 : http_new(&args, &c->http);
}

/* Parses an answer; one that is no JSON is that of something else than our server. */
static int parse_answer(Cli *c, long status, const Buffer *body, json_t **ret) {
        assert(c);
        assert(body);

        if (body->size == 0)
                return 0;
        if (json_parse_strict(body->data, body->size, JSON_DEPTH_DEFAULT, ret, NULL) >= 0)
                return 0;
        if (status >= 300)
                return 0;
        return failure_set(&c->failure, -EREMOTEIO, "NOT_OURS",
                           "%s answered with something else than JSON: is it the address of BackupX?",
                           c->server);
}

int cli_call(Cli *c, const char *method, const char *path, const json_t *body, json_t **ret_data) {
        _cleanup_(http_answer_done) HttpAnswer received = HTTP_ANSWER_NULL;
        _cleanup_(freep) char *full = NULL;
        _cleanup_(erase_and_freep) char *text = NULL;
        _cleanup_json_ json_t *answer = NULL;
        int r;

        assert(c);
        assert(method);
        assert(path);

        r = open_http(c);
        if (r < 0)
                return failure_set(&c->failure, r, "HTTP", "The address '%s' cannot be used: %m", c->server);
        if (body) {
                r = json_format(body, &text, NULL);
                if (r < 0)
                        return r;
        }
        r = path[0] == '/' ? free_and_strdup(&full, path) : asprintf_safe(&full, "/api/v1/%s", path);
        if (r < 0)
                return r;
        r = http_request(c->http, method, full, text, &received, &c->failure);
        if (r < 0)
                return r;
        r = parse_answer(c, received.status, &received.body, &answer);
        if (r < 0)
                return r;
        if (received.status < 200 || received.status > 299) {
                json_decref(c->refusal);
                c->refusal = json_incref(answer);
                return answer_failed(c, received.status, answer);
        }
        if (ret_data)
                *ret_data = json_incref(json_object_get(answer, "data"));
        return 0;
}

int cli_get(Cli *c, json_t **ret_data, const char *format, ...) {
        _cleanup_(freep) char *path = NULL;
        va_list ap;
        int r;

        assert(format);

        va_start(ap, format);
        r = vasprintf_safe(&path, format, ap);
        va_end(ap);
        return r < 0 ? r : cli_call(c, "GET", path, NULL, ret_data);
}

int cli_post(Cli *c, const json_t *body, json_t **ret_data, const char *format, ...) {
        _cleanup_json_ json_t *empty = json_object();
        _cleanup_(freep) char *path = NULL;
        va_list ap;
        int r;

        assert(format);

        va_start(ap, format);
        r = vasprintf_safe(&path, format, ap);
        va_end(ap);
        return r < 0 ? r : cli_call(c, "POST", path, body ? body : empty, ret_data);
}

static int list_page(Cli *c, const char *path, const char *cursor, json_t **ret) {
        _cleanup_(freep) char *escaped = NULL;
        int r;

        if (!cursor)
                return cli_get(c, ret, "%s%c" PAGE_QUERY, path, strchr(path, '?') ? '&' : '?');
        r = http_escape(cursor, &escaped);
        if (r < 0)
                return r;
        return cli_get(c, ret, "%s%c" PAGE_QUERY "&cursor=%s", path, strchr(path, '?') ? '&' : '?', escaped);
}

/* The cursor of the next page, a text or a number; NULL after the last one. */
static int next_cursor(const json_t *page, char **cursor) {
        const json_t *next = json_object_get(page, "next_cursor");

        *cursor = mfree(*cursor);
        if (json_is_integer(next))
                return asprintf_safe(cursor, "%" JSON_INTEGER_FORMAT, json_integer_value(next));
        return free_and_strdup(cursor, json_string_value(next));
}

int cli_list(Cli *c, const char *path, size_t max, json_t **ret_items) {
        _cleanup_json_ json_t *items = json_array();
        _cleanup_(freep) char *cursor = NULL;
        int r;

        assert(c);
        assert(path);
        assert(ret_items);

        if (!items)
                return -ENOMEM;
        do {
                _cleanup_json_ json_t *page = NULL;
                const json_t *more;
                json_t *item;
                size_t i;

                r = list_page(c, path, cursor, &page);
                if (r < 0)
                        return r;
                more = json_is_array(page) ? page : json_object_get(page, "items");
                json_array_foreach(more, i, item) {
                        if (json_array_size(items) < max && json_array_append(items, item) < 0)
                                return -ENOMEM;
                }
                r = next_cursor(page, &cursor);
                if (r < 0)
                        return r;
        } while (cursor && json_array_size(items) < max);
        *ret_items = TAKE_PTR(items);
        return 0;
}

int cli_find(Cli *c, const char *noun, const char *name, uint64_t *ret_id) {
        _cleanup_json_ json_t *items = NULL;
        json_t *item;
        size_t i;
        int r;

        assert(c);
        assert(noun);
        assert(name);
        assert(ret_id);

        if (name[0] != 0 && name[strspn(name, "0123456789")] == 0) {
                r = parse_u64(name, 0, INT64_MAX, ret_id);
                return r < 0 ? failure_set(&c->failure, -ENOENT, "NOT_FOUND", "There is no number %s.",
                                           name) :
                               0;
        }
        r = cli_list(c, noun, SIZE_MAX, &items);
        if (r < 0)
                return r;
        json_array_foreach(items, i, item) {
                const char *its = json_string_value(
                                json_object_get(item, streq(noun, "users") ? "username" : "name"));

                if (its && streq(its, name)) {
                        *ret_id = (uint64_t) json_integer_value(json_object_get(item, "id"));
                        return 0;
                }
        }
        return failure_set(&c->failure, -ENOENT, "NOT_FOUND",
                           "None of the %s is called '%s': see backupx %s list", noun, name, noun);
}

/* The objects that stand in the way, one a line. */
static void print_tasks(const json_t *refusal) {
        const json_t *tasks = json_object_get(refusal, "tasks");
        json_t *task;
        size_t i;

        json_array_foreach(tasks, i, task) {
                const char *name = json_string_value(json_object_get(task, "name"));
                _cleanup_(freep) char *printable = NULL;

                if (name && text_safe(name, &printable) >= 0)
                        fprintf(stderr, "  task %" JSON_INTEGER_FORMAT "  %s\n",
                                json_integer_value(json_object_get(task, "id")), printable);
        }
        if (json_is_true(json_object_get(refusal, "more")))
                fprintf(stderr, "  and more: backupx tasks list\n");
}

int cli_fail(Cli *c, int error) {
        assert(c);

        fprintf(stderr, "backupx: %s\n", failure_message(&c->failure, error));
        print_tasks(c->refusal);
        if (c->json && c->refusal && show_json(c->refusal) < 0)
                return EXIT_ERROR;
        if (streq(c->failure.code, "USAGE"))
                return EXIT_USAGE;
        switch (-error) {
        case EHOSTUNREACH:
                return EXIT_UNREACHABLE;
        case EACCES:
                return EXIT_DENIED;
        case ENOENT:
                return EXIT_NOT_FOUND;
        case EEXIST:
                return EXIT_CONFLICT;
        default:
                return EXIT_ERROR;
        }
}
