/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "database/mysql-accounts.h"

#define CREATE_USER "CREATE USER "

/* Roles come first: accounts are given them. */
#define MARIADB_SQL \
        "SELECT user, host, is_role FROM mysql.user WHERE user NOT IN ('', 'mariadb.sys', 'PUBLIC')" \
        " ORDER BY is_role DESC, user, host"
#define MYSQL_SQL \
        "SELECT user, host, 'N' FROM mysql.user WHERE user <> '' AND user NOT LIKE 'mysql.%'" \
        " ORDER BY user, host"

typedef struct Accounts {
        char **names; /* 'user'@'host', or 'role' */
        char **roles; /* those of them that are roles */
        Buffer *text;
} Accounts;

static void accounts_done(Accounts *a) {
        strv_free(a->names);
        strv_free(a->roles);
}

static int add_quoted(Buffer *b, const char *text) {
        int r = buffer_add_string(b, "'");

        for (const char *p = text; r >= 0 && *p; p++) {
                if (*p == '\'' || *p == '\\')
                        r = buffer_add(b, p, 1);
                if (r >= 0)
                        r = buffer_add(b, p, 1);
        }
        return r < 0 ? r : buffer_add_string(b, "'");
}

static int on_account(void *userdata, char *const *values) {
        Accounts *a = ASSERT_PTR(userdata);
        _cleanup_buffer_ Buffer name = BUFFER_NULL;
        bool is_role = values[2] && streq(values[2], "Y");
        int r;

        r = add_quoted(&name, strempty(values[0]));
        if (r >= 0 && !is_role)
                r = buffer_add_string(&name, "@");
        if (r >= 0 && !is_role)
                r = add_quoted(&name, strempty(values[1]));
        if (r >= 0)
                r = strv_extend(&a->names, name.data);
        return r >= 0 && is_role ? strv_extend(&a->roles, name.data) : r;
}

/* It may be there already. */
static int on_create(void *userdata, char *const *values) {
        const Accounts *a = ASSERT_PTR(userdata);
        const char *rest = startswith(strempty(values[0]), CREATE_USER);

        return rest ? buffer_printf(a->text, CREATE_USER "IF NOT EXISTS %s;\n", rest) : -EPROTO;
}

static int on_grant(void *userdata, char *const *values) {
        const Accounts *a = ASSERT_PTR(userdata);

        return buffer_printf(a->text, "%s;\n", strempty(values[0]));
}

static int show(MysqlServer *s, const char *what, const char *name, MysqlRow row, Accounts *a,
                Failure *reterr_failure) {
        _cleanup_(freep) char *sql = NULL;
        int r;

        r = asprintf_safe(&sql, "SHOW %s %s", what, name);
        return r < 0 ? r : mysql_server_rows(s, sql, row, a, reterr_failure);
}

static int write_all(MysqlServer *s, Accounts *a, Failure *reterr_failure) {
        int r = 0;

        STRV_FOREACH(name, a->names) {
                if (r < 0)
                        break;
                r = strv_contains(a->roles, *name) ?
                                buffer_printf(a->text, "CREATE ROLE IF NOT EXISTS %s;\n", *name) :
                                show(s, "CREATE USER", *name, on_create, a, reterr_failure);
        }
        STRV_FOREACH(name, a->names)
                if (r >= 0)
                        r = show(s, "GRANTS FOR", *name, on_grant, a, reterr_failure);
        if (r >= 0)
                r = buffer_add_string(a->text, "FLUSH PRIVILEGES;\n");
        if (r == -EFBIG)
                return failure_set(reterr_failure, r, "SOURCE_INVALID",
                                   "The accounts of the server take more than %u bytes", MYSQL_ACCOUNTS_MAX);
        return r;
}

int mysql_accounts_read(MysqlServer *s, Buffer *ret, Failure *reterr_failure) {
        _cleanup_(accounts_done) Accounts a = { .text = ret };
        bool mariadb;
        int r;

        assert(s);
        assert(ret);

        mariadb = mysql_server_facts(s)->mariadb;
        buffer_clear(ret);
        ret->limit = MYSQL_ACCOUNTS_MAX;
        /* Its answers are quoted as everybody reads them. */
        r = mysql_server_rows(s, "SET SESSION sql_mode = ''", on_account, &a, reterr_failure);
        if (r < 0)
                return r;
        /* Hashes of some kinds are no text otherwise; older servers do not know it, nor such hashes. */
        if (!mariadb)
                r = mysql_server_rows(s, "SET SESSION print_identified_with_as_hex = ON", on_account, &a,
                                      NULL);
        if (r == -ENOMEM)
                return r;
        r = mysql_server_rows(s, mariadb ? MARIADB_SQL : MYSQL_SQL, on_account, &a, NULL);
        if (r == -EIO)
                return MYSQL_E_HIDDEN;
        return r < 0 ? r : write_all(s, &a, reterr_failure);
}
