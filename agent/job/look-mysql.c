/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>

#include "agent/job/databases.h"
#include "agent/job/look.h"
#include "base/text.h"
#include "database/mysql-cutter.h"
#include "database/mysql-look.h"
#include "database/mysql-tool.h"
#include "wire/check.h"

typedef struct LookMysql {
        MysqlServer *server;
        MysqlDatabases databases;
} LookMysql;

static void look_mysql_done(LookMysql *m) {
        mysql_databases_done(&m->databases);
        mysql_server_free(m->server);
}

static const char *family(const LookMysql *m) {
        return mysql_server_facts(m->server)->mariadb ? "MariaDB" : "MySQL";
}

static int step_rights(const Look *l, void *userdata) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        LookMysql *m = ASSERT_PTR(userdata);
        int r;

        r = mysql_server_check_rights(m->server, database_source_is_open(l->source), &failure);
        if (r < 0)
                return look_failed(l, "privileges", &failure, r);
        return check_add(l->items, "privileges", CHECK_STATE_OK, NULL,
                         "The user sees databases, routines and triggers");
}

/* Of those that the source has. */
static int warn_of_engines(const Look *l, const LookMysql *m) {
        const MysqlDatabase *first = NULL;
        uint64_t tables = 0;

        for (size_t i = 0; i < m->databases.n; i++) {
                const MysqlDatabase *d = m->databases.items + i;

                if (d->not_transactional == 0 || !database_source_has(l->source, d->name))
                        continue;
                first = first ?: d;
                tables += d->not_transactional;
        }
        if (!first)
                return 0;
        return check_add(l->items, "engines", CHECK_STATE_WARNING,
                         "Change their engine to InnoDB, or stop writing to them with a hook",
                         "%" PRIu64 " tables have an engine without transactions, in '%s'%s: a dump may "
                         "have them as of another moment than the others",
                         tables, first->name, tables > first->not_transactional ? " and others" : "");
}

/* What a run would find out when it has begun. */
static int check_names(const Look *l, const LookMysql *m) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        const char *first = NULL;
        unsigned n = 0;

        for (size_t i = 0; i < m->databases.n && l->source->one_snapshot; i++) {
                const char *name = m->databases.items[i].name;

                if (!database_source_has(l->source, name) || mysql_cutter_knows(name))
                        continue;
                first = first ?: name;
                n++;
        }
        if (!first)
                return 0;
        (void) failure_set(&failure, -EINVAL, "NAME_UNSUPPORTED",
                           "The name of database '%s'%s has control characters in it: leave it out, or back "
                           "up these databases without one snapshot of all",
                           first, n > 1 ? ", as that of others," : "");
        return look_failed(l, "names", &failure, -EINVAL);
}

static int step_databases(const Look *l, void *userdata) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(strv_freep) char **names = NULL;
        LookMysql *m = ASSERT_PTR(userdata);
        int r;

        r = mysql_server_databases(m->server, &m->databases, &failure);
        if (r < 0)
                return look_failed(l, "databases", &failure, r);
        for (size_t i = 0; i < m->databases.n && r >= 0; i++)
                r = strv_extend(&names, m->databases.items[i].name);
        if (r >= 0)
                r = look_chosen(l, names);
        if (r >= 0)
                r = check_names(l, m);
        return r < 0 ? r : warn_of_engines(l, m);
}

static int step_list(const Look *l, void *userdata) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        LookMysql *m = ASSERT_PTR(userdata);
        json_t *list = NULL;
        int r;

        if (!l->server)
                return 0;
        r = mysql_look(m->server, &m->databases, &list, &failure);
        if (r < 0)
                return look_failed(l, "databases", &failure, r);
        r = json_set(l->server, "databases", list);
        return r < 0 ? r :
                       json_set(l->server, "more",
                                json_boolean(m->databases.n > MYSQL_LOOK_DATABASES_MAX));
}

static int on_account(void *userdata, char *const *values) {
        return 0;
}

static int step_accounts(const Look *l, void *userdata) {
        LookMysql *m = ASSERT_PTR(userdata);
        int r;

        r = mysql_server_rows(m->server, "SELECT user FROM mysql.user LIMIT 1", on_account, NULL, NULL);
        if (r != -EIO)
                return r == -ENOMEM ? r : 0;
        return check_add(l->items, "accounts", CHECK_STATE_WARNING,
                         "GRANT SELECT ON mysql.* TO it, or make the accounts again by hand after a restore",
                         "The user may not read the accounts of the server, so they are not backed up");
}

/* A backup needs the one, a restore into a server the other. */
static int step_tools(const Look *l, void *userdata) {
        _cleanup_(mysql_tool_done) MysqlTool dump = MYSQL_TOOL_NULL, client = MYSQL_TOOL_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL, of_client = FAILURE_NULL;
        const atomic_bool *cancel = job_link_cancelled(l->run->link);
        const ToolFinder finder = job_tool_finder(l->run);
        LookMysql *m = ASSERT_PTR(userdata);
        const MysqlFacts *facts;
        int r;

        facts = mysql_server_facts(m->server);
        r = mysql_tool_find(MYSQL_TOOL_DUMP, facts, &finder, cancel, &dump, &failure);
        if (r < 0)
                return look_failed(l, "tools", &failure, r);
        r = check_add(l->items, "tools", CHECK_STATE_OK, NULL, "%s is of %s %u.%u", dump.path, family(m),
                      dump.major, dump.minor);
        if (r < 0)
                return r;
        r = mysql_tool_find(MYSQL_TOOL_CLIENT, facts, &finder, cancel, &client, &of_client);
        if (r == -ENOMEM || r == -ECANCELED)
                return r;
        return r >= 0 ? 0 :
                        check_add(l->items, "tools", CHECK_STATE_WARNING, "A restore into a server needs it",
                                  "%s", failure_message(&of_client, r));
}

int look_at_mysql(const Look *l) {
        static const LookStep steps[] = { step_rights, step_databases, step_list, step_accounts,
                                          step_tools };
        _cleanup_(look_mysql_done) LookMysql m = {};
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        const MysqlFacts *facts;
        int r;

        assert(l);

        r = mysql_server_open_briefly(&l->source->server, l->run->start->secrets.database, &m.server,
                                      &failure);
        if (r < 0)
                return look_failed(l, "server", &failure, r);
        facts = mysql_server_facts(m.server);
        r = look_answers(l, facts->mariadb ? "mariadb" : "mysql", family(&m), facts->version,
                         MYSQL_USUAL_PORT);
        return r < 0 ? r : look_steps(l, steps, ELEMENTSOF(steps), &m);
}
