/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "database/mysql-restore.h"
#include "database/mysql-source.h"
#include "database/pump.h"

struct MysqlRestore {
        const MysqlRestoreArgs *args;
        MysqlServer *server; /* until the dump begins */
        MysqlTool tool;
        Pump *pump;
};

MysqlRestore *mysql_restore_free(MysqlRestore *r) {
        if (!r)
                return NULL;
        pump_free(r->pump);
        mysql_server_free(r->server);
        mysql_tool_done(&r->tool);
        return mfree(r);
}

static int start(const MysqlRestore *r, Child **ret, Failure *reterr_failure) {
        _cleanup_(erase_and_freep) char *options = NULL;
        /* Of commands of the client itself, binary mode leaves the delimiter alone. */
        char *const arguments[] = {
                (char *) r->tool.name,
                (char *) "--defaults-file=" CHILD_PRIVATE_PATH,
                (char *) "--binary-mode",
                (char *) "--batch",
                (char *) "--default-character-set=utf8mb4",
                (char *) "--max-allowed-packet=1G",
                (char *) "--",
                (char *) r->args->database,
                NULL,
        };
        ChildArgs args = {
                .path = r->tool.path,
                .arguments = arguments,
                .takes_input = true,
                .cancel = r->args->cancel,
        };
        int k;

        k = mysql_tool_options(&r->tool, r->args->server, r->args->password, &options);
        if (k < 0)
                return k;
        args.secret = options;
        return child_new(&args, ret, reterr_failure);
}

static int begin(void *userdata, const char *head, size_t n, Child **ret, Failure *reterr_failure) {
        MysqlRestore *r = ASSERT_PTR(userdata);
        int k;

        k = mysql_server_prepare(r->server, r->args->database, r->args->drop, reterr_failure);
        r->server = mysql_server_free(r->server);
        return k < 0 ? k : start(r, ret, reterr_failure);
}

int mysql_restore_new(const MysqlRestoreArgs *args, MysqlRestore **ret, Failure *reterr_failure) {
        _cleanup_(mysql_restore_freep) MysqlRestore *r = NULL;
        PumpArgs pump = { .begin = begin, .head_max = 1 };
        int k;

        assert(args && args->server && args->database);
        assert(ret);

        r = new0(MysqlRestore, 1);
        if (!r)
                return -ENOMEM;
        r->args = args;
        k = mysql_server_open(args->server, args->password, &r->server, reterr_failure);
        if (k >= 0)
                k = mysql_tool_find(MYSQL_TOOL_CLIENT, mysql_server_facts(r->server), &args->finder,
                                    args->cancel, &r->tool, reterr_failure);
        pump.userdata = r;
        if (k >= 0)
                k = pump_new(&pump, &r->pump, reterr_failure);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}

/* "/mysql/tables/shop.sql" → "/mysql/FOLDER/shop.sql". */
static int give_part(const MysqlRestore *r, const char *folder, const char *name, MysqlGive give,
                     void *userdata, Failure *reterr_failure) {
        _cleanup_(freep) char *path = NULL;
        int k;

        k = asprintf_safe(&path, "/%s/%s", folder, name);
        return k < 0 ? k : give(userdata, path, pump_fd(r->pump), reterr_failure);
}

/* Views may need tables, and routines, too; where no database has one there is nothing of them. */
int mysql_restore_give(const MysqlRestore *r, const char *path, MysqlGive give, void *userdata,
                       Failure *reterr_failure) {
        _cleanup_failure_ Failure views = FAILURE_NULL;
        const char *name;
        int k;

        assert(r);
        assert(path);
        assert(give);

        k = give(userdata, path, pump_fd(r->pump), reterr_failure);
        name = startswith(path, MYSQL_TABLES_PATH);
        if (k < 0 || !name)
                return k;
        k = give_part(r, MYSQL_ROUTINES, name, give, userdata, reterr_failure);
        if (k < 0)
                return k;
        k = give_part(r, MYSQL_VIEWS, name, give, userdata, &views);
        if (k == -ENOENT && (streq(views.code, "PATH_NOT_FOUND") || streq(views.code, "PATH_MISSING")))
                return 0;
        if (k < 0 && failure_is_set(&views))
                return failure_set(reterr_failure, k, views.code, "%s", failure_message(&views, k));
        return k;
}

int mysql_restore_end(MysqlRestore *r, Failure *reterr_failure) {
        int k;

        assert(r);

        k = pump_end(r->pump, reterr_failure);
        if (k <= 0)
                return k;
        return failure_set(reterr_failure, -EIO, "RESTORE_FAILED", "Database '%s' is not whole: %s",
                           r->args->database, pump_complaint(r->pump, "the client program was killed"));
}
