/* SPDX-License-Identifier: Apache-2.0 */

/* nodes install: the commands that bring new hosts online. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/parse.h"
#include "base/text.h"
#include "cli/body.h"
#include "cli/show.h"
#include "cli/verbs.h"
#include "wire/path.h"

/* Fifty names, a chain of certificates. */
#define FILE_MAX (64U << 10)

static int read_text(Cli *c, const char *path, char **ret) {
        int r = read_file(AT_FDCWD, streq(path, "-") ? "/dev/stdin" : path, FILE_MAX, ret, NULL);

        return r < 0 ? failure_set(&c->failure, r, "FILE", "%s cannot be read: %m", path) : 0;
}

/* One name a line; empty lines are none. */
static int add_names_from(Cli *c, const char *path, json_t *names) {
        _cleanup_(freep) char *text = NULL;
        char *state = NULL;
        int r;

        r = read_text(c, path, &text);
        for (char *line = r < 0 ? NULL : strtok_r(text, "\r\n", &state); line && r >= 0;
             line = strtok_r(NULL, "\r\n", &state))
                r = json_append(names, json_string(line));
        return r;
}

static int add_nodes(Cli *c, const Arguments *a, json_t *body) {
        const char *file = arguments_value(a, "file");
        _cleanup_json_ json_t *names = json_array();
        uint64_t id = 0;
        int r = 0;

        if (arguments_has(a, "again")) {
                if (a->n_operands != 1 || file)
                        return failure_set(&c->failure, -EINVAL, "USAGE", "--again takes one node.");
                r = cli_find(c, "nodes", arguments_operand(a, 0), &id);
                return r < 0 ? r : body_set(body, "node_id", json_from_u64(id));
        }
        for (size_t i = 0; i < a->n_operands && r >= 0; i++)
                r = json_append(names, json_string(a->operands[i]));
        if (r >= 0 && file)
                r = add_names_from(c, file, names);
        if (r >= 0 && json_array_size(names) == 0)
                return failure_set(&c->failure, -EINVAL, "USAGE",
                                   "Name the new nodes, or give --file FILE.");
        return r < 0 ? r : body_set(body, "names", TAKE_PTR(names));
}

static int add_options(Cli *c, const Arguments *a, json_t *body) {
        const char *ttl = arguments_value(a, "ttl"), *ca = arguments_value(a, "node-ca-cert");
        _cleanup_(freep) char *text = NULL;
        usec_t span;
        int r;

        r = body_from_options(c, a, body);
        if (r >= 0 && ttl) {
                if (parse_span(ttl, &span) < 0)
                        return failure_set(&c->failure, -EINVAL, "USAGE",
                                           "--ttl is a time such as 15min or 24h, not '%s'.", ttl);
                r = body_set(body, "ttl_s", json_from_u64(span / USEC_PER_SEC));
        }
        if (r >= 0 && ca)
                r = read_text(c, ca, &text);
        return r < 0 || !text ? r : body_set(body, "ca_cert", json_string(text));
}

/* It holds tokens: for its owner alone. */
static int write_bundle(Cli *c, const char *path, const json_t *data) {
        const char *text = strempty(json_string_value(json_object_get(data, "bundle")));
        int r;

        r = write_file_atomic(AT_FDCWD, path, text, strlen(text), 0600);
        if (r < 0)
                return failure_set(&c->failure, r, "FILE", "%s cannot be written: %m", path);
        if (!c->quiet)
                printf("Wrote %s. On the host of each node, as root: sh %s NODE\n", path, path);
        return 0;
}

/* A line of text that a server sent, on standard error: control characters are shown. */
static int say(const char *before, const char *text, const char *after) {
        _cleanup_(freep) char *shown = NULL;
        int r;

        r = path_display(strempty(text), &shown);
        if (r >= 0)
                fprintf(stderr, "%s%s%s", before, shown, after);
        return r;
}

/* What is pasted into a shell as root is one line, and nothing in it moves a cursor. */
static bool is_one_line(const char *command) {
        for (const char *p = command; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f)
                        return false;
        return command[0] != 0;
}

static int show_command(Cli *c, const json_t *item, const char *field) {
        const char *command = strempty(json_string_value(json_object_get(item, field)));
        int r = 0;

        if (!is_one_line(command))
                return failure_set(&c->failure, -EBADMSG, "ANSWER",
                                   "The server sent no command of one line.");
        if (!c->quiet)
                r = say("\nOn the host of ", json_string_value(show_lookup(item, "node.name")), "");
        if (r >= 0 && !c->quiet)
                r = say(", until ", json_string_value(json_object_get(item, "expires_at")), ":\n\n");
        if (r >= 0)
                puts(command);
        return r;
}

static int show_commands(Cli *c, const Arguments *a, const json_t *data) {
        const char *field = arguments_has(a, "url") ? "url_command" : "command";
        const json_t *items = json_object_get(data, "items"), *item;
        size_t i;
        int r = 0;

        json_array_foreach(items, i, item) if (r >= 0)
                        r = show_command(c, item, field);
        return r;
}

static int show_warnings(Cli *c, const json_t *data) {
        const json_t *warning;
        size_t i;
        int r = 0;

        json_array_foreach(json_object_get(data, "warnings"), i, warning) if (r >= 0 && !c->quiet)
                        r = say("Note: ", json_string_value(warning), "\n");
        return r;
}

int verb_nodes_install(Cli *c, const Arguments *a) {
        _cleanup_json_ json_t *body = json_object(), *data = NULL;
        const char *script = arguments_value(a, "script");
        int r;

        r = add_nodes(c, a, body);
        if (r >= 0)
                r = add_options(c, a, body);
        if (r >= 0)
                r = cli_post(c, body, &data, "install-links");
        if (r < 0)
                return r;
        if (c->json)
                return show_json(data);
        r = show_warnings(c, data);
        if (r < 0)
                return r;
        return script ? write_bundle(c, script, data) : show_commands(c, a, data);
}
