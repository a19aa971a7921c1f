#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* One run of the command: who it talks to, how it answers. Calls of the API with their errors in words. */

#include "cli/command.h"
#include "cli/http.h"
#include "wire/json.h"

#define SERVER_DEFAULT "http://127.0.0.1:8340"

typedef struct Cli {
        char *server;
        char *token; /* NULL: not logged in */
        char *ca_cert;
        char *pin; /* of the server's key; NULL: its certificate is checked */
        bool insecure;
        bool json;       /* print what the server sent */
        bool quiet;      /* nothing but errors and what was asked for */
        Http *http;      /* made at the first call */
        json_t *refusal; /* what the server said when it refused last; NULL: nothing */
        Failure failure;
} Cli;

#define CLI_NULL ((Cli){ .failure = FAILURE_NULL })
void cli_done(Cli *c);

/* Server and token: from the options, else BACKUPX_SERVER, BACKUPX_TOKEN and BACKUPX_TOKEN_FILE, else from
 * the session of "backupx login". */
int cli_configure(Cli *c, const Arguments *a) _warn_unused_;
/* Another credential, or none, from now on. */
int cli_set_token(Cli *c, const char *token) _warn_unused_;

/* Calls METHOD /api/v1/PATH. *ret_data is what the answer holds under "data" (NULL: not wanted). A negative
 * errno with c->failure set: -EHOSTUNREACH no answer, -EACCES 401 and 403, -ENOENT 404, -EEXIST 409, -EINVAL
 * 400 and 422, -EREMOTEIO anything else. */
int cli_call(Cli *c, const char *method, const char *path, const json_t *body,
             json_t **ret_data) _warn_unused_;
int cli_get(Cli *c, json_t **ret_data, const char *format, ...) _printf_(3, 4) _warn_unused_;
int cli_post(Cli *c, const json_t *body, json_t **ret_data, const char *format, ...)
                _printf_(4, 5) _warn_unused_;

/* All items of a list, page by page, at most max; path may hold a query already. */
int cli_list(Cli *c, const char *path, size_t max, json_t **ret_items) _warn_unused_;

/* The number of an object that the user named: digits are a number, else the one whose name (or username) it
 * is in the list at noun. -ENOENT with a sentence. */
int cli_find(Cli *c, const char *noun, const char *name, uint64_t *ret_id) _warn_unused_;

/* Prints why, and with --json what the server said, and gives the exit status for error. */
int cli_fail(Cli *c, int error) _warn_unused_;
