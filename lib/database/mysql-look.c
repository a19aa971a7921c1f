/* SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"
#include "database/mysql-look.h"
#include "wire/path.h"

/* Of views and sequences nothing can be of another moment. */
static const char engines_sql[] =
                "SELECT table_schema, coalesce(engine, '?'), count(*) FROM information_schema.tables"
                " WHERE table_type IN (" MYSQL_TABLE_TYPES ")"
                " AND table_schema NOT IN (" MYSQL_OWN_DATABASES ") GROUP BY 1, 2";

/* More than are named, as some databases have many of them. */
static const char names_sql[] =
                "SELECT t.table_schema, t.table_name FROM information_schema.tables t"
                " JOIN information_schema.engines e ON e.engine = t.engine"
                " WHERE t.table_type IN (" MYSQL_TABLE_TYPES ") AND e.transactions <> 'YES'"
                " AND t.table_schema NOT IN (" MYSQL_OWN_DATABASES ") ORDER BY 1, 2 LIMIT 20000";

typedef struct Look {
        const MysqlDatabases *databases;
        json_t *list; /* of the first of them, in their order */
        unsigned named;
} Look;

static int compare(const void *name, const void *database) {
        return strcmp(name, ((const MysqlDatabase *) database)->name);
}

/* NULL: it came later than the list, or is not in it. */
static json_t *find(const Look *l, const char *name) {
        const MysqlDatabase *found = NULL;

        if (l->databases->n > 0)
                found = bsearch(name, l->databases->items, l->databases->n, sizeof *found, compare);
        return found ? json_array_get(l->list, (size_t) (found - l->databases->items)) : NULL;
}

static int add_database(json_t *list, const MysqlDatabase *d) {
        json_t *json = json_object();
        int r;

        r = json_set(json, "name", json_from_path(d->name));
        if (r >= 0)
                r = json_set(json, "size_bytes", json_from_u64(d->size));
        if (r >= 0)
                r = json_set(json, "charset", json_from_path(d->charset));
        if (r >= 0)
                r = json_set(json, "collation", json_from_path(d->collation));
        if (r >= 0)
                r = json_set(json, "tables", json_integer(0));
        if (r >= 0)
                r = json_set(json, "engines", json_object());
        if (r >= 0)
                r = json_set(json, "not_transactional", json_integer(d->not_transactional));
        if (r >= 0)
                r = json_set(json, "not_transactional_names", json_array());
        if (r < 0) {
                json_decref(json);
                return r;
        }
        return json_append(list, json);
}

static int on_engine(void *userdata, char *const *values) {
        const Look *l = ASSERT_PTR(userdata);
        json_t *database = find(l, strempty(values[0])), *tables;
        uint64_t n = 0;

        if (!database || parse_u64(strempty(values[2]), 0, UINT32_MAX, &n) < 0)
                return 0;
        tables = json_object_get(database, "tables");
        (void) json_integer_set(tables, json_integer_value(tables) + (json_int_t) n);
        return json_set(json_object_get(database, "engines"), strempty(values[1]), json_from_u64(n));
}

static int on_name(void *userdata, char *const *values) {
        Look *l = ASSERT_PTR(userdata);
        json_t *names = json_object_get(find(l, strempty(values[0])), "not_transactional_names");

        if (!names || json_array_size(names) >= MYSQL_LOOK_NAMES_MAX || l->named >= MYSQL_LOOK_NAMES_TOTAL)
                return 0;
        l->named++;
        return json_append(names, json_from_path(strempty(values[1])));
}

int mysql_look(MysqlServer *s, const MysqlDatabases *databases, json_t **ret, Failure *reterr_failure) {
        _cleanup_json_ json_t *list = json_array();
        Look l = { .databases = databases, .list = list };
        bool any = false;
        int r = list ? 0 : -ENOMEM;

        assert(s);
        assert(databases);
        assert(ret);

        for (size_t i = 0; i < MIN(databases->n, MYSQL_LOOK_DATABASES_MAX) && r >= 0; i++) {
                any = any || databases->items[i].not_transactional > 0;
                r = add_database(list, databases->items + i);
        }
        if (r >= 0)
                r = mysql_server_rows(s, engines_sql, on_engine, &l, reterr_failure);
        if (r >= 0 && any)
                r = mysql_server_rows(s, names_sql, on_name, &l, reterr_failure);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(list);
        return 0;
}
