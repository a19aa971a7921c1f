/* SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"
#include "database/pg-look.h"
#include "wire/path.h"

/* One more than is told. */
static const char databases_sql[] =
                "SELECT datname, CASE WHEN has_database_privilege(oid, 'CONNECT')"
                " THEN pg_database_size(oid) END, pg_encoding_to_char(encoding), pg_get_userbyid(datdba),"
                " has_database_privilege(oid, 'CONNECT') FROM pg_catalog.pg_database"
                " WHERE datallowconn AND NOT datistemplate ORDER BY datname COLLATE \"C\" LIMIT 1001";

/* What pg_dump locks and reads: not what belongs to an extension, whose rows it leaves to that. Rows behind
 * a policy are an error of it, too. */
static const char unreadable_sql[] =
                "SELECT count(*), min(format('%I.%I', n.nspname, c.relname)) FROM pg_catalog.pg_class c"
                " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
                " WHERE c.relkind IN ('r', 'p', 'S') AND n.nspname !~ '^pg_'"
                " AND n.nspname <> 'information_schema'"
                " AND (NOT has_schema_privilege(n.oid, 'USAGE') OR NOT has_table_privilege(c.oid, 'SELECT')"
                " OR row_security_active(c.oid))"
                " AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d"
                " WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid"
                " AND d.deptype = 'e')";

typedef struct Look {
        json_t *list;
        bool more;
} Look;

static json_t *size_or_null(const char *text) {
        uint64_t n;

        return text && parse_u64(text, 0, INT64_MAX, &n) >= 0 ? json_from_u64(n) : json_null();
}

static int on_database(void *userdata, char *const *values) {
        Look *l = ASSERT_PTR(userdata);
        json_t *json;
        int r;

        if (json_array_size(l->list) >= PG_LOOK_DATABASES_MAX) {
                l->more = true;
                return 0;
        }
        json = json_object();
        r = json_set(json, "name", json_from_path(strempty(values[0])));
        if (r >= 0)
                r = json_set(json, "size_bytes", size_or_null(values[1]));
        if (r >= 0)
                r = json_set(json, "encoding", json_from_string(values[2]));
        if (r >= 0)
                r = json_set(json, "owner", json_from_path(strempty(values[3])));
        if (r >= 0)
                r = json_set(json, "may_connect", json_boolean(streq(strempty(values[4]), "t")));
        if (r < 0) {
                json_decref(json);
                return r;
        }
        return json_append(l->list, json);
}

int pg_look(PgServer *s, json_t **ret, bool *ret_more, Failure *reterr_failure) {
        _cleanup_json_ json_t *list = json_array();
        Look l = { .list = list };
        int r;

        assert(s);
        assert(ret);
        assert(ret_more);

        r = list ? pg_server_rows(s, databases_sql, on_database, &l, reterr_failure) : -ENOMEM;
        if (r < 0)
                return r;
        *ret = TAKE_PTR(list);
        *ret_more = l.more;
        return 0;
}

typedef struct Unreadable {
        uint64_t n;
        char *name;
} Unreadable;

static int on_unreadable(void *userdata, char *const *values) {
        Unreadable *u = ASSERT_PTR(userdata);

        if (parse_u64(strempty(values[0]), 0, UINT64_MAX, &u->n) < 0)
                u->n = 0;
        return free_and_strdup(&u->name, values[1]);
}

int pg_look_unreadable(PgServer *s, uint64_t *ret_n, char **ret_name, Failure *reterr_failure) {
        Unreadable u = {};
        int r;

        assert(s);
        assert(ret_n);
        assert(ret_name);

        r = pg_server_rows(s, unreadable_sql, on_unreadable, &u, reterr_failure);
        if (r < 0) {
                free(u.name);
                return r;
        }
        *ret_n = u.n;
        *ret_name = u.name;
        return 0;
}
