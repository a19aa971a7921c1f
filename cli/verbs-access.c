/* SPDX-License-Identifier: Apache-2.0 */

/* Who is there: set-up, login, passwords, users. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/text.h"
#include "cli/body.h"
#include "cli/prompt.h"
#include "cli/settings.h"
#include "cli/show.h"
#include "cli/verbs.h"

/* The account to use: --username, else asked for. */
static int username(Cli *c, const Arguments *a, const char *fallback, char **ret) {
        const char *given = arguments_value(a, "username");

        if (given)
                return free_and_strdup(ret, given);
        if (arguments_has(a, "password-file"))
                return free_and_strdup(ret, fallback);
        return prompt_line(c, "User name", fallback, ret);
}

static int credentials(const char *name, const char *password, json_t **ret) {
        _cleanup_json_ json_t *body = json_object();
        int r;

        r = body_set(body, "username", json_string(name));
        if (r >= 0)
                r = body_set(body, "password", json_string(password));
        if (r < 0)
                return -EINVAL;
        *ret = TAKE_PTR(body);
        return 0;
}

/* Logs in and keeps the session. */
static int log_in(Cli *c, const json_t *body) {
        _cleanup_json_ json_t *data = NULL;
        Settings s = SETTINGS_NULL;
        const char *token;
        int r;

        r = cli_set_token(c, NULL);
        if (r >= 0)
                r = cli_post(c, body, &data, "auth/login");
        if (r < 0)
                return r;
        token = json_string_value(json_object_get(data, "token"));
        if (!token)
                return failure_set(&c->failure, -EREMOTEIO, "NOT_OURS", "%s sent no token.", c->server);
        r = cli_set_token(c, token);
        if (r < 0)
                return r;
        /* Borrowed for the moment: c goes on owning them. */
        s = (Settings){ .server = c->server, .token = c->token, .ca_cert = c->ca_cert, .pin = c->pin };
        return settings_save(&s, &c->failure);
}

int verb_setup(Cli *c, const Arguments *a) {
        _cleanup_(freep) char *name = NULL;
        _cleanup_(erase_and_freep) char *password = NULL;
        _cleanup_json_ json_t *body = NULL, *state = NULL;
        int r;

        assert(c);

        r = cli_get(c, &state, "setup");
        if (r < 0)
                return r;
        if (!json_is_true(json_object_get(state, "needed")))
                return failure_set(&c->failure, -EEXIST, "SETUP_DONE",
                                   "The first administrator exists already. Log in: backupx login");
        r = username(c, a, "admin", &name);
        if (r >= 0)
                r = prompt_password(c, a, "Password of the first administrator", /* is_new= */ true,
                                    &password);
        if (r >= 0)
                r = credentials(name, password, &body);
        if (r >= 0)
                r = cli_post(c, body, NULL, "setup");
        if (r >= 0)
                r = log_in(c, body);
        if (r >= 0 && !c->quiet)
                printf("Set up; logged in to %s as %s\n", c->server, name);
        return r;
}

int verb_login(Cli *c, const Arguments *a) {
        _cleanup_(freep) char *name = NULL;
        _cleanup_(erase_and_freep) char *password = NULL;
        _cleanup_json_ json_t *body = NULL;
        int r;

        assert(c);

        r = username(c, a, "admin", &name);
        if (r >= 0)
                r = prompt_password(c, a, "Password", /* is_new= */ false, &password);
        if (r >= 0)
                r = credentials(name, password, &body);
        if (r >= 0)
                r = log_in(c, body);
        if (r >= 0 && !c->quiet)
                printf("Logged in to %s as %s\n", c->server, name);
        return r;
}

int verb_logout(Cli *c, const Arguments *a) {
        int r;

        assert(c);

        if (!c->token)
                return 0;
        r = cli_post(c, NULL, NULL, "auth/logout");
        /* A session that ended by itself is as good as logged out. */
        if (r < 0 && r != -EACCES)
                return r;
        failure_done(&c->failure);
        r = settings_forget(&c->failure);
        if (r >= 0 && !c->quiet)
                printf("Logged out of %s\n", c->server);
        return r;
}

int verb_password(Cli *c, const Arguments *a) {
        _cleanup_(erase_and_freep) char *old = NULL, *new = NULL;
        _cleanup_json_ json_t *body = json_object();
        int r;

        assert(c);

        r = arguments_has(a, "password-file") ?
                        failure_set(&c->failure, -EINVAL, "USAGE",
                                    "Both passwords are asked for on a terminal.") :
                        prompt_password(c, a, "Password until now", /* is_new= */ false, &old);
        if (r >= 0)
                r = prompt_password(c, a, "New password", /* is_new= */ true, &new);
        if (r >= 0)
                r = body_set(body, "current_password", json_string(old));
        if (r >= 0)
                r = body_set(body, "password", json_string(new));
        if (r >= 0)
                r = cli_call(c, "PUT", "auth/password", body, NULL);
        if (r >= 0 && !c->quiet)
                printf("The password is changed; all sessions are over. Log in again: backupx login\n");
        return r;
}

int verb_users_create(Cli *c, const Arguments *a) {
        _cleanup_(erase_and_freep) char *password = NULL;
        _cleanup_json_ json_t *body = NULL, *data = NULL;
        int r;

        assert(c);

        r = prompt_password(c, a, "Password of the new user", /* is_new= */ true, &password);
        if (r >= 0)
                r = credentials(arguments_operand(a, 0), password, &body);
        if (r >= 0)
                r = body_from_options(c, a, body);
        if (r >= 0)
                r = cli_post(c, body, &data, "users");
        if (r < 0)
                return r;
        if (c->json)
                return show_json(data);
        if (!c->quiet)
                printf("Created user %" JSON_INTEGER_FORMAT "\n",
                       json_integer_value(json_object_get(data, "id")));
        return 0;
}

int verb_users_edit(Cli *c, const Arguments *a) {
        bool new_password = arguments_has(a, "new-password") || arguments_has(a, "password-file");
        _cleanup_(erase_and_freep) char *password = NULL;
        _cleanup_json_ json_t *body = json_object();
        _cleanup_(freep) char *path = NULL;
        uint64_t id = 0;
        int r;

        assert(c);

        r = body_from_options(c, a, body);
        if (r >= 0 && new_password) {
                r = prompt_password(c, a, "New password", /* is_new= */ true, &password);
                if (r >= 0)
                        r = body_set(body, "password", json_string(password));
        }
        if (r >= 0 && json_object_size(body) == 0)
                return failure_set(&c->failure, -EINVAL, "USAGE",
                                   "Say what to change: backupx help users edit");
        if (r >= 0)
                r = cli_find(c, "users", arguments_operand(a, 0), &id);
        if (r >= 0)
                r = asprintf_safe(&path, "users/%" PRIu64, id);
        if (r >= 0)
                r = cli_call(c, "PUT", path, body, NULL);
        if (r >= 0 && !c->quiet && !c->json)
                printf("Changed user %" PRIu64 "\n", id);
        return r;
}
