/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "database/mysql-restore.h"
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

int mysql_restore_fd(const MysqlRestore *r) {
        assert(r);

        return pump_fd(r->pump);
}

int mysql_restore_end(MysqlRestore *r, Failure *reterr_failure) {
        const char *complaint;
        int k;

        assert(r);

        k = pump_end(r->pump, reterr_failure);
        if (k <= 0)
                return k;
        complaint = pump_complaint(r->pump);
        if (isempty(complaint))
                complaint = "the client program was killed";
        return failure_set(reterr_failure, -EIO, "RESTORE_FAILED", "Database '%s' is not whole: %s",
                           r->args->database, complaint);
}
