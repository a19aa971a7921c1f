/* SPDX-License-Identifier: Apache-2.0 */

/* What is done with nodes: enrolled, given new tokens, switched off and on. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"
#include "cli/body.h"
#include "cli/show.h"
#include "cli/verbs.h"

static int print_secret(const Cli *c, const json_t *data, const char *field, const char *what) {
        const char *secret = json_string_value(json_object_get(data, field));

        if (c->json)
                return show_json(data);
        if (!c->quiet)
                fprintf(stderr, "%s It is shown this once:\n", what);
        puts(strempty(secret));
        return 0;
}

int verb_nodes_enroll(Cli *c, const Arguments *a) {
        _cleanup_json_ json_t *body = json_object(), *data = NULL;
        const char *ttl = arguments_value(a, "ttl");
        usec_t span = 15 * USEC_PER_MINUTE;
        uint64_t id = 0;
        int r;

        assert(c);

        if (ttl && parse_span(ttl, &span) < 0)
                return failure_set(&c->failure, -EINVAL, "USAGE",
                                   "--ttl is a time such as 15min or 24h, not '%s'.", ttl);
        r = cli_find(c, "nodes", arguments_operand(a, 0), &id);
        if (r >= 0)
                r = body_set(body, "ttl_s", json_from_u64(span / USEC_PER_SEC));
        if (r >= 0)
                r = cli_post(c, body, &data, "nodes/%" PRIu64 "/enrollment", id);
        return r < 0 ? r : print_secret(c, data, "token", "Use it on the node: backupx agent enroll.");
}

/* The node that the operand names. */
static int find_node(Cli *c, const Arguments *a, uint64_t *ret) {
        return cli_find(c, "nodes", arguments_operand(a, 0), ret);
}

static void say_done(const Cli *c, const Arguments *a, const char *what) {
        if (!c->quiet && !c->json)
                printf("%s: %s\n", arguments_operand(a, 0), what);
}

int verb_nodes_rotate(Cli *c, const Arguments *a) {
        _cleanup_json_ json_t *body = json_object(), *data = NULL;
        uint64_t id = 0;
        int r;

        r = body_from_options(c, a, body);
        if (r >= 0)
                r = find_node(c, a, &id);
        if (r >= 0)
                r = cli_post(c, body, &data, "nodes/%" PRIu64 "/rotate-token", id);
        if (r < 0)
                return r;
        return print_secret(c, data, "token", strempty(json_string_value(json_object_get(data, "notice"))));
}

int verb_nodes_reset(Cli *c, const Arguments *a) {
        static const char revoked[] = "its tokens are void; make a new install link for it";
        static const char reset[] = "its agent may bring another key now, once";
        _cleanup_json_ json_t *body = json_object();
        uint64_t id = 0;
        int r;

        r = body_from_options(c, a, body);
        if (r >= 0)
                r = find_node(c, a, &id);
        if (r >= 0)
                r = cli_post(c, body, NULL, "nodes/%" PRIu64 "/reset-identity", id);
        if (r >= 0)
                say_done(c, a, arguments_has(a, "revoke") ? revoked : reset);
        return r;
}

int verb_nodes_enable(Cli *c, const Arguments *a) {
        static const char enabled[] = "enabled; its agent comes back within two minutes";
        static const char disabled[] = "disabled; what it ran is interrupted";
        bool enable = streq(a->command->verb, "enable");
        _cleanup_json_ json_t *body = json_object();
        _cleanup_(freep) char *path = NULL;
        uint64_t id = 0;
        int r;

        r = body_set(body, "enabled", json_boolean(enable));
        if (r >= 0)
                r = find_node(c, a, &id);
        if (r >= 0)
                r = asprintf_safe(&path, "nodes/%" PRIu64, id);
        if (r >= 0)
                r = cli_call(c, "PUT", path, body, NULL);
        if (r >= 0)
                say_done(c, a, enable ? enabled : disabled);
        return r;
}

int verb_nodes_drain(Cli *c, const Arguments *a) {
        static const char drained[] = "gets nothing new; what it runs goes on";
        static const char undrained[] = "gets work again";
        uint64_t id = 0;
        int r;

        assert(a);

        r = find_node(c, a, &id);
        if (r >= 0)
                r = cli_post(c, NULL, NULL, "nodes/%" PRIu64 "/%s", id, a->command->verb);
        if (r >= 0)
                say_done(c, a, streq(a->command->verb, "drain") ? drained : undrained);
        return r;
}
