/* SPDX-License-Identifier: Apache-2.0 */

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "database/dump-name.h"
#include "database/mysql-accounts.h"
#include "database/mysql-snapshot.h"
#include "database/mysql-source.h"

struct MysqlSource {
        const MysqlSourceArgs *args;
        MysqlDatabases databases; /* that are to be backed up, in the order of their paths */
        MysqlFacts facts;
        MysqlTool tool;
        char *options;
        size_t next;
        Buffer accounts;
        bool wants_accounts; /* they are still to be given */
        bool no_accounts;    /* this user may not read them */
        bool in_accounts;    /* they are being given */
        BackupStreams streams;

        MysqlDumpArgs dump_args;
        MysqlSnapshot *snapshot; /* of all databases */

        /* Of the stream that is being given. */
        MysqlDump *dump;
        bool in_snapshot;
        Buffer head; /* what comes before it */
        size_t given;
};

static void dump_done(MysqlSource *s) {
        s->dump = mysql_dump_free(s->dump);
        buffer_clear(&s->head);
        s->given = 0;
        s->in_accounts = s->in_snapshot = false;
}

MysqlSource *mysql_source_free(MysqlSource *s) {
        if (!s)
                return NULL;
        dump_done(s);
        mysql_snapshot_free(s->snapshot);
        buffer_done(&s->head);
        if (s->accounts.data)
                explicit_bzero(s->accounts.data, s->accounts.size);
        buffer_done(&s->accounts);
        mysql_databases_done(&s->databases);
        mysql_tool_done(&s->tool);
        erase_and_free(s->options);
        return mfree(s);
}

/* --- Names -------------------------------------------------------------------------------------------- */

char *mysql_path_of(const char *database) {
        return dump_path_of(MYSQL_FOLDER, database, MYSQL_SUFFIX);
}

char *mysql_database_of(const char *path) {
        return dump_database_of(MYSQL_FOLDER, path, MYSQL_SUFFIX);
}

/* --- Choosing ----------------------------------------------------------------------------------------- */

/* A name that is asked for and not there is not just left out. */
static int check_named(const MysqlSource *s, const MysqlDatabases *all, Failure *reterr_failure) {
        STRV_FOREACH(name, s->args->source->databases) {
                bool found = database_name_is_pattern(*name);

                for (size_t i = 0; i < all->n && !found; i++)
                        found = streq(all->items[i].name, *name);
                if (!found)
                        return failure_set(reterr_failure, -ENOENT, "DATABASE_MISSING",
                                           "There is no database '%s' on the server, or the user may not "
                                           "see it",
                                           *name);
        }
        return 0;
}

static int by_path(const void *a, const void *b) {
        _cleanup_(freep) char *x = mysql_path_of(((const MysqlDatabase *) a)->name);
        _cleanup_(freep) char *y = mysql_path_of(((const MysqlDatabase *) b)->name);

        return x && y ? strcmp(x, y) : 0; /* out of memory is found by the next who asks for some */
}

static int choose(MysqlSource *s, MysqlServer *server, Failure *reterr_failure) {
        MysqlDatabases *d = &s->databases;
        size_t n = 0;
        int r;

        r = mysql_server_databases(server, d, reterr_failure);
        if (r >= 0)
                r = check_named(s, d, reterr_failure);
        if (r < 0)
                return r;
        for (size_t i = 0; i < d->n; i++) {
                MysqlDatabase swap = d->items[i];

                if (!database_source_has(s->args->source, swap.name))
                        continue;
                d->items[i] = d->items[n];
                d->items[n++] = swap;
        }
        while (d->n > n) {
                MysqlDatabase *last = d->items + --d->n;

                free(last->name);
                free(last->charset);
                free(last->collation);
        }
        if (n == 0)
                return failure_set(reterr_failure, -ENOENT, "SOURCE_EMPTY",
                                   "The server has no database that this task is to back up");
        qsort(d->items, d->n, sizeof(MysqlDatabase), by_path);
        return 0;
}

/* --- One dump ----------------------------------------------------------------------------------------- */

static bool is_word(const char *s) {
        const char *p = s;

        while (isalnum((unsigned char) *p) || *p == '_')
                p++;
        return p > s && *p == 0;
}

/* What the database is by default, which the dump of one database does not say. It has no name in it, so
 * that it can be restored under any. */
static int begin_head(MysqlSource *s, const MysqlDatabase *d) {
        if (!is_word(d->charset) || !is_word(d->collation))
                return 0;
        return buffer_printf(&s->head, "ALTER DATABASE CHARACTER SET = %s COLLATE = %s;\n", d->charset,
                             d->collation);
}

static int start_dump(MysqlSource *s, MysqlDumpKind kind, const MysqlDatabase *d, Failure *reterr_failure) {
        return mysql_dump_new(&s->dump_args, kind, (char *const *) &d->name, 1, &s->dump, reterr_failure);
}

static int add_note(const MysqlSource *s, const MysqlDatabase *d, bool first, BackupStream *ret) {
        static const char hidden[] =
                        "; this user may not read the accounts of the server, so they are not backed up";
        const char *more = s->no_accounts && first ? hidden : "";

        if (d->not_transactional > 0)
                return asprintf_safe(&ret->note,
                                     "%u of its tables have an engine without transactions, and may be of "
                                     "another moment than the others%s",
                                     d->not_transactional, more);
        return isempty(more) ? 0 : asprintf_safe(&ret->note, "%s", more + 2);
}

static int next_accounts(MysqlSource *s, BackupStream *ret) {
        s->wants_accounts = false;
        s->in_accounts = true;
        ret->path = strdup(MYSQL_ACCOUNTS);
        ret->mode = 0600;
        ret->sized = true;
        ret->size = s->accounts.size;
        return ret->path ? 1 : -ENOMEM;
}

static int source_next(void *userdata, BackupStream *ret, Failure *reterr_failure) {
        MysqlSource *s = ASSERT_PTR(userdata);
        const MysqlDatabase *d;
        int r;

        dump_done(s);
        d = s->next < s->databases.n ? s->databases.items + s->next : NULL;
        if (d) {
                ret->path = mysql_path_of(d->name);
                if (!ret->path)
                        return -ENOMEM;
        }
        if (s->wants_accounts && (!d || strcmp(MYSQL_ACCOUNTS, ret->path) < 0)) {
                ret->path = mfree(ret->path);
                return next_accounts(s, ret);
        }
        if (!d)
                return 0;
        s->next++;
        ret->mode = 0600;
        r = add_note(s, d, s->next == 1, ret);
        if (r >= 0)
                r = begin_head(s, d);
        if (r >= 0)
                r = start_dump(s, MYSQL_DUMP_ALL, d, reterr_failure);
        return r < 0 ? r : 1;
}

/* --- All databases of one moment ---------------------------------------------------------------------- */

/* Definitions are in no snapshot of the server, so they need not come with it. */
static int next_routines(MysqlSource *s, BackupStream *ret, Failure *reterr_failure) {
        const MysqlDatabase *d = s->databases.items + s->next++;
        int r;

        ret->mode = 0600;
        ret->path = dump_path_of(MYSQL_ROUTINES, d->name, MYSQL_SUFFIX);
        r = ret->path ? start_dump(s, MYSQL_DUMP_ROUTINES, d, reterr_failure) : -ENOMEM;
        return r < 0 ? r : 1;
}

static int next_section(MysqlSource *s, BackupStream *ret, Failure *reterr_failure) {
        const MysqlDatabase *d;
        size_t index = 0;
        bool views = false;
        int r = 0;

        if (!s->snapshot)
                r = mysql_snapshot_new(&s->dump_args, &s->databases, &s->snapshot, reterr_failure);
        if (r >= 0)
                r = mysql_snapshot_next(s->snapshot, &index, &views, reterr_failure);
        if (r <= 0)
                return r;
        d = s->databases.items + index;
        s->in_snapshot = true;
        ret->mode = 0600;
        ret->path = dump_path_of(views ? MYSQL_VIEWS : MYSQL_TABLES, d->name, MYSQL_SUFFIX);
        if (!ret->path)
                return -ENOMEM;
        if (views)
                return 1;
        r = add_note(s, d, index == 0, ret);
        if (r >= 0)
                r = begin_head(s, d);
        return r < 0 ? r : 1;
}

/* In the order of the names of the folders: accounts, routines, tables, views. */
static int source_next_of_snapshot(void *userdata, BackupStream *ret, Failure *reterr_failure) {
        MysqlSource *s = ASSERT_PTR(userdata);

        dump_done(s);
        if (s->wants_accounts)
                return next_accounts(s, ret);
        if (s->next < s->databases.n)
                return next_routines(s, ret, reterr_failure);
        return next_section(s, ret, reterr_failure);
}

/* --- Reading ------------------------------------------------------------------------------------------ */

static ssize_t read_accounts(MysqlSource *s, void *p, size_t n) {
        n = MIN(n, s->accounts.size - s->given);
        memcpy(p, s->accounts.data + s->given, n);
        s->given += n;
        return (ssize_t) n;
}

static ssize_t source_read(void *userdata, void *p, size_t n, Failure *reterr_failure) {
        MysqlSource *s = ASSERT_PTR(userdata);

        if (s->in_accounts)
                return read_accounts(s, p, n);
        if (s->given < s->head.size) {
                n = MIN(n, s->head.size - s->given);
                memcpy(p, s->head.data + s->given, n);
                s->given += n;
                return (ssize_t) n;
        }
        return s->in_snapshot ? mysql_snapshot_read(s->snapshot, p, n, reterr_failure) :
                                mysql_dump_read(s->dump, p, n, reterr_failure);
}

/* --- The face ----------------------------------------------------------------------------------------- */

int mysql_source_new(const MysqlSourceArgs *args, MysqlSource **ret, Failure *reterr_failure) {
        _cleanup_(mysql_source_freep) MysqlSource *s = NULL;
        _cleanup_(mysql_server_freep) MysqlServer *server = NULL;
        int r;

        assert(args && args->source);
        assert(ret);

        s = new0(MysqlSource, 1);
        if (!s)
                return -ENOMEM;
        s->args = args;
        s->streams = (BackupStreams){ s, args->source->one_snapshot ? source_next_of_snapshot : source_next,
                                      source_read };
        r = mysql_server_open(&args->source->server, args->password, &server, reterr_failure);
        if (r < 0)
                return r;
        s->facts = *mysql_server_facts(server);
        r = mysql_server_check_rights(server, database_source_is_open(args->source), reterr_failure);
        if (r >= 0)
                r = choose(s, server, reterr_failure);
        if (r >= 0)
                r = mysql_accounts_read(server, &s->accounts, reterr_failure);
        s->no_accounts = r == MYSQL_E_HIDDEN;
        s->wants_accounts = r == 0;
        if (r >= 0)
                r = mysql_tool_find(MYSQL_TOOL_DUMP, &s->facts, &args->finder, args->cancel, &s->tool,
                                    reterr_failure);
        if (r >= 0)
                r = mysql_tool_options(&s->tool, &args->source->server, args->password, &s->options);
        if (r < 0)
                return r;
        s->dump_args = (MysqlDumpArgs){ &s->tool, &s->facts, s->options, args->cancel };
        *ret = TAKE_PTR(s);
        return 0;
}

char *const *mysql_source_paths(const MysqlSource *s) {
        static char *const paths[] = { (char *) "/" MYSQL_FOLDER, NULL };

        return paths;
}

const BackupStreams *mysql_source_streams(const MysqlSource *s) {
        assert(s);

        return &s->streams;
}

size_t mysql_source_count(const MysqlSource *s) {
        assert(s);

        return s->databases.n;
}
