/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdio.h>

#include "agent/job/look.h"
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "base/times.h"
#include "wire/check.h"

#define NAMED_MAX 5U /* databases that an item names */

int look_failed(const Look *l, const char *name, const Failure *failure, int error) {
        assert(l);

        if (error == -ENOMEM || error == -ECANCELED)
                return error;
        return check_add_failure(l->items, name, failure, error);
}

int look_steps(const Look *l, const LookStep *steps, size_t n, void *userdata) {
        assert(l);
        assert(steps);

        for (size_t i = 0; i < n; i++) {
                int r;

                if (atomic_load(job_link_cancelled(l->run->link)))
                        return -ECANCELED;
                if (now_usec(CLOCK_MONOTONIC) >= l->until)
                        return check_add(l->items, "time", CHECK_STATE_WARNING,
                                         "Is the server busy, or far away?",
                                         "It took so long that not everything was looked at");
                r = steps[i](l, userdata);
                if (r < 0)
                        return r;
        }
        return 0;
}

int look_answers(const Look *l, const char *type, const char *title, const char *version,
                 unsigned usual_port) {
        const DatabaseServer *where;
        unsigned port;
        int r = 0;

        assert(l);
        assert(type);
        assert(title);
        assert(version);

        if (l->server)
                r = json_set(l->server, "type", json_string(type));
        if (r >= 0 && l->server)
                r = json_set(l->server, "version", json_from_string(version));
        if (r < 0)
                return r;
        where = &l->source->server;
        if (where->socket)
                return check_add(l->items, "server", CHECK_STATE_OK, NULL, "%s %s answers at %s", title,
                                 version, where->socket);
        port = where->port > 0 ? where->port : usual_port;
        return check_add(l->items, "server", CHECK_STATE_OK, NULL, "%s %s answers at %s:%u", title, version,
                         where->host, port);
}

/* --- Which databases ---------------------------------------------------------------------------------- */

static int name_missing(const Look *l, char *const *names, bool *ret_missing) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        const char *first = NULL;
        char others[64] = "";
        unsigned n = 0;

        STRV_FOREACH(name, l->source->databases) {
                if (database_name_is_pattern(*name) || strv_contains(names, *name))
                        continue;
                first = first ?: *name;
                n++;
        }
        *ret_missing = first != NULL;
        if (!first)
                return 0;
        if (n > 1)
                (void) snprintf(others, sizeof others, ", as %u other%s of the names", n - 1,
                                n > 2 ? "s" : "");
        (void) failure_set(&failure, -ENOENT, "DATABASE_MISSING",
                           "There is no database '%s' on the server, or the user may not see it%s", first,
                           others);
        return look_failed(l, "databases", &failure, -ENOENT);
}

/* "shop, crm, …" */
static int add_name(Buffer *list, const char *name, size_t n) {
        if (n > NAMED_MAX)
                return 0;
        if (n == NAMED_MAX)
                return buffer_add_string(list, ", …");
        return buffer_printf(list, "%s%s", n > 0 ? ", " : "", name);
}

int look_chosen(const Look *l, char *const *names) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_buffer_ Buffer list = BUFFER_NULL;
        size_t n = 0;
        bool missing = false;
        int r;

        assert(l);

        r = name_missing(l, names, &missing);
        STRV_FOREACH(name, names)
                if (r >= 0 && database_source_has(l->source, *name))
                        r = add_name(&list, *name, n++);
        if (r < 0 || missing)
                return r;
        if (n == 0 && !l->server) {
                (void) failure_set(&failure, -ENOENT, "SOURCE_EMPTY",
                                   "The server has no database that this task is to back up");
                return look_failed(l, "databases", &failure, -ENOENT);
        }
        return check_add(l->items, "databases", CHECK_STATE_OK, NULL, "%zu of %zu databases%s%s", n,
                         strv_length(names), n > 0 ? ": " : "", strempty(list.data));
}

/* --- The face ----------------------------------------------------------------------------------------- */

int look_at_server(const Look *l) {
        assert(l);

        switch (l->type) {
        case SOURCE_MYSQL:
                return look_at_mysql(l);
        case SOURCE_POSTGRESQL:
                return look_at_postgresql(l);
        case SOURCE_SAPHANA:
                return look_at_saphana(l);
        case SOURCE_FILE:
        case SOURCE_SQLITE:
        case _SOURCE_TYPE_MAX:
        case _SOURCE_TYPE_INVALID:
                break;
        }
        return -EINVAL;
}
