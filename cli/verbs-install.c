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
        const char *text = json_string_value(json_object_get(data, "bundle"));
        int r;

        if (!text)
                return failure_set(&c->failure, -EINVAL, "USAGE",
                                   "One node needs no script for many: paste its command.");
        r = write_file_atomic(AT_FDCWD, path, text, strlen(text), 0600);
        if (r < 0)
                return failure_set(&c->failure, r, "FILE", "%s cannot be written: %m", path);
        if (!c->quiet)
                printf("Wrote %s. On the host of each node, as root: sh %s NODE\n", path, path);
        return 0;
}

static int show_commands(Cli *c, const Arguments *a, const json_t *data) {
        const json_t *items = json_object_get(data, "items"), *item;
        const char *field = arguments_has(a, "url") ? "url_command" : "command";
        size_t i;

        json_array_foreach(items, i, item) {
                const char *name = json_string_value(show_lookup(item, "node.name"));
                const char *expires = json_string_value(json_object_get(item, "expires_at"));

                if (!c->quiet)
                        fprintf(stderr, "%sOn the host of %s, until %s:\n\n", i > 0 ? "\n" : "",
                                strempty(name), strempty(expires));
                puts(strempty(json_string_value(json_object_get(item, field))));
        }
        return 0;
}

int verb_nodes_install(Cli *c, const Arguments *a) {
        _cleanup_json_ json_t *body = json_object(), *data = NULL;
        const char *script = arguments_value(a, "script");
        const json_t *warning;
        size_t i;
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
        json_array_foreach(json_object_get(data, "warnings"), i, warning) if (!c->quiet)
                        fprintf(stderr, "Note: %s\n", strempty(json_string_value(warning)));
        return script ? write_bundle(c, script, data) : show_commands(c, a, data);
}
