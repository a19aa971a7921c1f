/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "database/pg-restore.h"
#include "database/pump.h"

struct PgRestore {
        const PgRestoreArgs *args;
        PgServer *server; /* until the dump begins */
        PgTool tool;
        Pump *pump;
};

PgRestore *pg_restore_free(PgRestore *r) {
        if (!r)
                return NULL;
        pump_free(r->pump);
        pg_server_free(r->server);
        pg_tool_done(&r->tool);
        return mfree(r);
}

static bool is_part(const PgRestoreArgs *args) {
        return strv_length(args->schemas) + strv_length(args->tables) > 0;
}

/* A part of a dump may go into a database that is there. */
static PgExisting existing(const PgRestoreArgs *args) {
        if (args->drop)
                return PG_EXISTING_DROP;
        return is_part(args) ? PG_EXISTING_KEEP : PG_EXISTING_REFUSE;
}

static int add(char ***words, const char *word) {
        return strv_extend(words, word);
}

static int add_all(char ***words, const char *flag, char *const *values) {
        int r = 0;

        STRV_FOREACH(value, values) {
                if (r >= 0)
                        r = add(words, flag);
                if (r >= 0)
                        r = add(words, *value);
        }
        return r;
}

static int build_arguments(const PgRestore *r, char ***ret) {
        const char *const always[] = { r->tool.path, "--no-password", "--exit-on-error",
                                       "--single-transaction" };
        const PgRestoreArgs *args = r->args;
        _cleanup_(freep) char *info = NULL;
        int k;

        k = pg_conninfo(args->server, args->database, args->password ? CHILD_PRIVATE_PATH : NULL, &info);
        for (size_t i = 0; i < ELEMENTSOF(always) && k >= 0; i++)
                k = add(ret, always[i]);
        if (k >= 0 && args->no_owners)
                k = add(ret, "--no-owner");
        if (k >= 0 && args->no_owners)
                k = add(ret, "--no-privileges");
        if (k >= 0)
                k = add_all(ret, "--schema", args->schemas);
        if (k >= 0)
                k = add_all(ret, "--table", args->tables);
        if (k >= 0)
                k = add(ret, "--dbname");
        return k < 0 ? k : add(ret, info);
}

static int start(const PgRestore *r, Child **ret, Failure *reterr_failure) {
        _cleanup_(erase_and_freep) char *passfile = NULL;
        _cleanup_(strv_freep) char **arguments = NULL;
        ChildArgs args = { .path = r->tool.path, .takes_input = true, .cancel = r->args->cancel };
        int k;

        k = build_arguments(r, &arguments);
        if (k >= 0 && r->args->password)
                k = pg_passfile(r->args->password, &passfile);
        if (k < 0)
                return k;
        args.arguments = arguments;
        args.secret = passfile;
        return child_new(&args, ret, reterr_failure);
}

static int begin(void *userdata, const char *head, size_t n, Child **ret, Failure *reterr_failure) {
        PgRestore *r = ASSERT_PTR(userdata);
        _cleanup_(freep) char *options = NULL;
        int k;

        if (n < STRLEN(PG_MAGIC) || memcmp(head, PG_MAGIC, STRLEN(PG_MAGIC)) != 0)
                return failure_set(reterr_failure, -EBADMSG, "DUMP_FOREIGN",
                                   "This is no dump in the format of PostgreSQL: roles and other SQL are "
                                   "for psql");
        k = pg_head_create_options(head, n, &options);
        if (k >= 0)
                k = pg_server_prepare(r->server, r->args->database, options, existing(r->args),
                                      reterr_failure);
        r->server = pg_server_free(r->server);
        return k < 0 ? k : start(r, ret, reterr_failure);
}

int pg_restore_new(const PgRestoreArgs *args, PgRestore **ret, Failure *reterr_failure) {
        _cleanup_(pg_restore_freep) PgRestore *r = NULL;
        PumpArgs pump = { .begin = begin, .head_max = PG_HEAD_SIZE };
        int k;

        assert(args && args->server && args->database);
        assert(ret);

        r = new0(PgRestore, 1);
        if (!r)
                return -ENOMEM;
        r->args = args;
        k = pg_server_open(args->server, args->password, &r->server, reterr_failure);
        if (k >= 0)
                k = pg_tool_find("pg_restore", pg_server_facts(r->server), &args->finder, args->cancel,
                                 &r->tool, reterr_failure);
        pump.userdata = r;
        /* It reads no further than to the last part that it was asked for. */
        pump.may_stop = is_part(args);
        if (k >= 0)
                k = pump_new(&pump, &r->pump, reterr_failure);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}

int pg_restore_fd(const PgRestore *r) {
        assert(r);

        return pump_fd(r->pump);
}

int pg_restore_end(PgRestore *r, Failure *reterr_failure) {
        int k;

        assert(r);

        k = pump_end(r->pump, reterr_failure);
        if (k <= 0)
                return k;
        return failure_set(reterr_failure, -EIO, "RESTORE_FAILED",
                           "Nothing was restored into database '%s': %s", r->args->database,
                           pump_complaint(r->pump, "pg_restore was killed"));
}
