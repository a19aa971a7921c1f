/* SPDX-License-Identifier: Apache-2.0 */

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "database/child.h"
#include "database/dump-name.h"
#include "database/mysql-accounts.h"
#include "database/mysql-source.h"

/* The first line of newer dumps, which other clients refuse. Ours are told to obey no commands anyway. */
#define SANDBOX "/*M!999999\\- "
#define TRAILER "-- Dump completed"
#define TAIL_MAX 256

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

        /* Of the dump that is being given. */
        Child *child;
        Buffer head; /* what comes before more of it is read */
        size_t given;
        char tail[TAIL_MAX];
        size_t n_tail;
};

static void dump_done(MysqlSource *s) {
        s->child = child_free(s->child);
        buffer_clear(&s->head);
        s->given = s->n_tail = 0;
        s->in_accounts = false;
}

MysqlSource *mysql_source_free(MysqlSource *s) {
        if (!s)
                return NULL;
        dump_done(s);
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

static int start_dump(MysqlSource *s, const MysqlDatabase *d, Failure *reterr_failure) {
        const char *arguments[24] = {
                s->tool.name,
                "--defaults-file=" CHILD_PRIVATE_PATH,
                "--comments",
                "--single-transaction",
                "--quick",
                "--routines",
                "--triggers",
                "--events",
                "--hex-blob",
                "--no-tablespaces",
                "--default-character-set=utf8mb4",
                "--max-allowed-packet=1G",
        };
        size_t n = 12;
        const ChildArgs args = {
                .path = s->tool.path,
                .arguments = (char *const *) arguments,
                .secret = s->options,
                .cancel = s->args->cancel,
        };
        int r;

        if (s->facts.position)
                arguments[n++] = s->tool.mariadb ? "--master-data=2" : "--source-data=2";
        if (s->facts.position && s->tool.mariadb)
                arguments[n++] = "--gtid";
        if (!s->tool.mariadb)
                arguments[n++] = "--set-gtid-purged=COMMENTED";
        arguments[n++] = "--";
        arguments[n++] = d->name;
        assert(n < ELEMENTSOF(arguments));
        r = begin_head(s, d);
        return r < 0 ? r : child_new(&args, &s->child, reterr_failure);
}

static int add_note(const MysqlSource *s, const MysqlDatabase *d, BackupStream *ret) {
        static const char hidden[] =
                        "; this user may not read the accounts of the server, so they are not backed up";
        const char *more = s->no_accounts && s->next == 1 ? hidden : "";

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
        r = add_note(s, d, ret);
        if (r >= 0)
                r = start_dump(s, d, reterr_failure);
        return r < 0 ? r : 1;
}

static ssize_t read_accounts(MysqlSource *s, void *p, size_t n) {
        n = MIN(n, s->accounts.size - s->given);
        memcpy(p, s->accounts.data + s->given, n);
        s->given += n;
        return (ssize_t) n;
}

/* Takes the first line out where it is the one that others refuse. */
static void strip_sandbox(char *p, size_t *n) {
        char *end;

        if (*n < STRLEN(SANDBOX) || strncmp(p, SANDBOX, STRLEN(SANDBOX)) != 0)
                return;
        end = memchr(p, '\n', *n);
        if (!end)
                return;
        *n -= (size_t) (end + 1 - p);
        memmove(p, end + 1, *n);
}

static void keep_tail(MysqlSource *s, const char *p, size_t n) {
        size_t keep;

        if (n >= TAIL_MAX) {
                memcpy(s->tail, p + n - TAIL_MAX, TAIL_MAX);
                s->n_tail = TAIL_MAX;
                return;
        }
        keep = MIN(s->n_tail, TAIL_MAX - n);
        memmove(s->tail, s->tail + s->n_tail - keep, keep);
        memcpy(s->tail + keep, p, n);
        s->n_tail = keep + n;
}

/* Whether the last line is that of a dump that came to its end. */
static bool is_complete(const MysqlSource *s) {
        size_t n = s->n_tail;
        const char *line;

        while (n > 0 && strchr("\r\n", s->tail[n - 1]))
                n--;
        line = memrchr(s->tail, '\n', n);
        line = line ? line + 1 : s->tail;
        return n - (size_t) (line - s->tail) >= STRLEN(TRAILER) &&
                        strncmp(line, TRAILER, STRLEN(TRAILER)) == 0;
}

/* Both have to say that it is whole. */
static int check_end(MysqlSource *s, Failure *reterr_failure) {
        const char *name = s->databases.items[s->next - 1].name;
        int r;

        r = child_wait(s->child);
        if (r < 0)
                return r;
        if (r > 0)
                return failure_set(reterr_failure, -EIO, "DUMP_FAILED",
                                   "The dump of database '%s' failed: %s", name,
                                   isempty(child_complaint(s->child)) ? "its program was killed" :
                                                                        child_complaint(s->child));
        if (!is_complete(s))
                return failure_set(reterr_failure, -EIO, "DUMP_INCOMPLETE",
                                   "The dump of database '%s' has no end, although its program says that "
                                   "all went well",
                                   name);
        return 0;
}

/* The first bytes, until their first line is whole. */
static int read_head(MysqlSource *s) {
        _cleanup_(freep) char *buf = malloc(4096);
        size_t n = 0;
        ssize_t k = 1;

        if (!buf)
                return -ENOMEM;
        while (k > 0 && n < 4096 && !memchr(buf, '\n', n)) {
                k = child_read(s->child, buf + n, 4096 - n);
                n += (size_t) MAX(k, 0);
        }
        if (k < 0)
                return (int) k;
        strip_sandbox(buf, &n);
        keep_tail(s, buf, n);
        return n > 0 ? buffer_add(&s->head, buf, n) : 0;
}

static ssize_t source_read(void *userdata, void *p, size_t n, Failure *reterr_failure) {
        MysqlSource *s = ASSERT_PTR(userdata);
        ssize_t k;
        int r;

        if (s->in_accounts)
                return read_accounts(s, p, n);
        if (s->given == 0 && s->n_tail == 0) {
                r = read_head(s);
                if (r < 0)
                        return r;
        }
        if (s->given < s->head.size) {
                n = MIN(n, s->head.size - s->given);
                memcpy(p, s->head.data + s->given, n);
                s->given += n;
                return (ssize_t) n;
        }
        k = child_read(s->child, p, n);
        if (k > 0)
                keep_tail(s, p, (size_t) k);
        return k != 0 ? k : check_end(s, reterr_failure);
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
        s->streams = (BackupStreams){ s, source_next, source_read };
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
