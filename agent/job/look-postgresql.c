/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>

#include "agent/job/databases.h"
#include "agent/job/look.h"
#include "base/alloc.h"
#include "base/text.h"
#include "base/times.h"
#include "database/pg-look.h"
#include "database/pg-tool.h"
#include "wire/check.h"

/* Each database takes a connection of its own. */
#define ENTER_MAX 16U
#define REFUSED_MAX 4U /* told of */

typedef struct LookPg {
        PgServer *server;
        char **names; /* of all databases */
} LookPg;

static void look_pg_done(LookPg *p) {
        strv_free(p->names);
        pg_server_free(p->server);
}

static int step_databases(const Look *l, void *userdata) {
        _cleanup_(pg_databases_done) PgDatabases databases = PG_DATABASES_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        LookPg *p = ASSERT_PTR(userdata);
        int r;

        r = pg_server_databases(p->server, &databases, &failure);
        if (r < 0)
                return look_failed(l, "databases", &failure, r);
        for (size_t i = 0; i < databases.n && r >= 0; i++)
                r = strv_extend(&p->names, databases.items[i].name);
        return r < 0 ? r : look_chosen(l, p->names);
}

static int step_list(const Look *l, void *userdata) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        LookPg *p = ASSERT_PTR(userdata);
        json_t *list = NULL;
        bool more = false;
        int r;

        if (!l->server)
                return 0;
        r = pg_look(p->server, &list, &more, &failure);
        if (r < 0)
                return look_failed(l, "databases", &failure, r);
        r = json_set(l->server, "databases", list);
        return r < 0 ? r : json_set(l->server, "more", json_boolean(more));
}

static int step_roles(const Look *l, void *userdata) {
        LookPg *p = ASSERT_PTR(userdata);

        if (pg_server_facts(p->server)->role_passwords)
                return 0;
        return check_add(l->items, "roles", CHECK_STATE_WARNING,
                         "Only a superuser may: have the passwords at hand after a restore",
                         "The user may not read the passwords of roles, so they are not backed up");
}

static int step_tools(const Look *l, void *userdata) {
        static const char *const names[] = { "pg_dump", "pg_dumpall", "pg_restore" };
        const ToolFinder finder = job_tool_finder(l->run);
        LookPg *p = ASSERT_PTR(userdata);

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                _cleanup_(pg_tool_done) PgTool tool = PG_TOOL_NULL;
                int r;

                r = pg_tool_find(names[i], pg_server_facts(p->server), &finder,
                                 job_link_cancelled(l->run->link), &tool, &failure);
                if (r >= 0 && i == 0)
                        r = check_add(l->items, "tools", CHECK_STATE_OK, NULL, "%s is of PostgreSQL %u",
                                      tool.path, tool.major);
                else if (r < 0 && r != -ENOMEM && r != -ECANCELED && streq(names[i], "pg_restore"))
                        r = check_add(l->items, "tools", CHECK_STATE_WARNING,
                                      "A restore into a server needs it", "%s",
                                      failure_message(&failure, r));
                else if (r < 0)
                        return look_failed(l, "tools", &failure, r);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- What the user may read --------------------------------------------------------------------------- */

/* 1: something in it may not be dumped, and an item says so. */
static int look_into(const Look *l, LookPg *p, const char *database) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(freep) char *name = NULL;
        uint64_t n = 0;
        int r;

        r = pg_server_enter(p->server, &l->source->server, l->run->start->secrets.database, database,
                            &failure);
        if (r >= 0)
                r = pg_look_unreadable(p->server, &n, &name, &failure);
        if (r >= 0 && n == 0)
                return 0;
        if (r >= 0)
                r = failure_set(&failure, -EACCES, "PRIVILEGE_MISSING",
                                "In database '%s' the user may not dump %" PRIu64
                                " tables or sequences, %s among them: GRANT pg_read_all_data TO it; where "
                                "rows have policies, BYPASSRLS",
                                database, n, strempty(name));
        r = look_failed(l, "privileges", &failure, r);
        return r < 0 ? r : 1;
}

/* The last step: it leaves the database that the others are asked in. */
static int step_rights(const Look *l, void *userdata) {
        LookPg *p = ASSERT_PTR(userdata);
        unsigned chosen = 0, looked = 0, refused = 0;

        if (l->server)
                return 0;
        if (pg_server_facts(p->server)->superuser)
                return check_add(l->items, "privileges", CHECK_STATE_OK, NULL,
                                 "The user may read everything");
        STRV_FOREACH(name, p->names) {
                int r;

                if (!database_source_has(l->source, *name))
                        continue;
                chosen++;
                if (atomic_load(job_link_cancelled(l->run->link)))
                        return -ECANCELED;
                if (looked == ENTER_MAX || refused == REFUSED_MAX ||
                    now_usec(CLOCK_MONOTONIC) >= l->until)
                        continue;
                r = look_into(l, p, *name);
                if (r < 0)
                        return r;
                looked++;
                refused += r > 0;
        }
        if (refused > 0 || chosen == 0)
                return 0;
        return check_add(l->items, "privileges", looked == chosen ? CHECK_STATE_OK : CHECK_STATE_WARNING,
                         NULL, "The user may dump all tables of %u of %u databases%s", looked, chosen,
                         looked == chosen ? "" : "; the others were not looked into");
}

int look_at_postgresql(const Look *l) {
        static const LookStep steps[] = { step_databases, step_list, step_roles, step_tools, step_rights };
        _cleanup_(look_pg_done) LookPg p = {};
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(l);

        r = pg_server_open_briefly(&l->source->server, l->run->start->secrets.database, &p.server,
                                   &failure);
        if (r < 0)
                return look_failed(l, "server", &failure, r);
        r = look_answers(l, "postgresql", "PostgreSQL", pg_server_facts(p.server)->version, PG_USUAL_PORT);
        return r < 0 ? r : look_steps(l, steps, ELEMENTSOF(steps), &p);
}
