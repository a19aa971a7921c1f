/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/text.h"
#include "database/child.h"
#include "database/dump-name.h"
#include "database/pg-source.h"

/* The end of what is of the whole server, and where it is looked for. */
#define TRAILER "-- PostgreSQL database cluster dump complete"
#define TAIL_MAX 512

/* One dump: of a database, or of what is of the whole server. */
typedef struct Dump {
        char *path;
        char *database; /* NULL: of the server */
        Child *child;   /* from its start to its end */
        char head[STRLEN(PG_MAGIC)];
        size_t n_head;
        char tail[TAIL_MAX];
        size_t n_tail;
} Dump;

struct PgSource {
        const PgSourceArgs *args;
        PgFacts facts;
        PgTool dump, dumpall;
        char *passfile; /* its content */
        Dump *dumps;
        size_t n, next;
        BackupStreams streams;
};

static void dump_done(Dump *d) {
        child_free(d->child);
        free(d->path);
        free(d->database);
        *d = (Dump){};
}

PgSource *pg_source_free(PgSource *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n; i++)
                dump_done(s->dumps + i);
        free(s->dumps);
        pg_tool_done(&s->dump);
        pg_tool_done(&s->dumpall);
        erase_and_free(s->passfile);
        return mfree(s);
}

/* --- Choosing ----------------------------------------------------------------------------------------- */

/* A name that is asked for and not there is not just left out. */
static int check_named(const PgSource *s, const PgDatabases *all, Failure *reterr_failure) {
        STRV_FOREACH(name, s->args->source->databases) {
                bool found = database_name_is_pattern(*name);

                for (size_t i = 0; i < all->n && !found; i++)
                        found = streq(all->items[i].name, *name);
                if (!found)
                        return failure_set(reterr_failure, -ENOENT, "DATABASE_MISSING",
                                           "There is no database '%s' on the server, or it allows no "
                                           "connections",
                                           *name);
        }
        return 0;
}

static int by_path(const void *a, const void *b) {
        return strcmp(((const Dump *) a)->path, ((const Dump *) b)->path);
}

static int add_dump(PgSource *s, const char *database) {
        Dump *d = s->dumps + s->n++;

        d->path = database ? dump_path_of(PG_FOLDER, database, PG_SUFFIX) : strdup(PG_GLOBALS);
        d->database = database ? strdup(database) : NULL;
        return d->path && (d->database || !database) ? 0 : -ENOMEM;
}

static int choose(PgSource *s, PgServer *server, Failure *reterr_failure) {
        _cleanup_(pg_databases_done) PgDatabases all = PG_DATABASES_NULL;
        int r;

        r = pg_server_databases(server, &all, reterr_failure);
        if (r >= 0)
                r = check_named(s, &all, reterr_failure);
        if (r < 0)
                return r;
        s->dumps = new0(Dump, all.n + 1);
        if (!s->dumps)
                return -ENOMEM;
        for (size_t i = 0; i < all.n && r >= 0; i++)
                if (database_source_has(s->args->source, all.items[i].name))
                        r = add_dump(s, all.items[i].name);
        if (r >= 0 && s->n == 0)
                return failure_set(reterr_failure, -ENOENT, "SOURCE_EMPTY",
                                   "The server has no database that this task is to back up");
        if (r >= 0)
                r = add_dump(s, NULL);
        if (r >= 0)
                qsort(s->dumps, s->n, sizeof(Dump), by_path);
        return r;
}

/* --- Dumps -------------------------------------------------------------------------------------------- */

static const char *subject(const Dump *d, char buf[static 128]) {
        if (!d->database)
                return "the server's roles and tablespaces";
        (void) snprintf(buf, 128, "database '%.100s'", d->database);
        return buf;
}

static int start(PgSource *s, Dump *d, Failure *reterr_failure) {
        _cleanup_(freep) char *info = NULL;
        const char *arguments[16];
        const PgTool *tool = d->database ? &s->dump : &s->dumpall;
        ChildArgs args = {
                .path = tool->path,
                .arguments = (char *const *) arguments,
                .secret = s->passfile,
                .cancel = s->args->cancel,
        };
        size_t n = 0;
        int r;

        r = pg_conninfo(&s->args->source->server, d->database ?: PG_USUAL_DATABASE,
                        s->passfile ? CHILD_PRIVATE_PATH : NULL, &info);
        if (r < 0)
                return r;
        arguments[n++] = tool->path; /* where it looks for its siblings */
        arguments[n++] = "--no-password";
        if (d->database) {
                arguments[n++] = "--format=custom";
                arguments[n++] = "--compress=0";
        } else {
                arguments[n++] = "--globals-only";
                if (!s->facts.role_passwords)
                        arguments[n++] = "--no-role-passwords";
        }
        arguments[n++] = "--dbname";
        arguments[n++] = info;
        arguments[n] = NULL;
        assert(n < ELEMENTSOF(arguments));
        return child_new(&args, &d->child, reterr_failure);
}

static int source_next(void *userdata, BackupStream *ret, Failure *reterr_failure) {
        PgSource *s = ASSERT_PTR(userdata);
        size_t ahead = s->args->parallel > 0 ? s->args->parallel : PG_SOURCE_PARALLEL;
        const Dump *d;
        int r = 0;

        if (s->next > 0)
                dump_done(s->dumps + s->next - 1);
        if (s->next == s->n)
                return 0;
        for (size_t i = s->next; i < MIN(s->next + ahead, s->n) && r >= 0; i++)
                if (!s->dumps[i].child)
                        r = start(s, s->dumps + i, reterr_failure);
        if (r < 0)
                return r;
        d = s->dumps + s->next++;
        ret->path = strdup(d->path);
        ret->mode = 0600;
        if (!d->database && !s->facts.role_passwords)
                ret->note = strdup("this user may not read the passwords of roles, so they are not in it");
        return ret->path ? 1 : -ENOMEM;
}

static void keep(Dump *d, const char *p, size_t n) {
        size_t room = sizeof d->head - d->n_head, kept;

        memcpy(d->head + d->n_head, p, MIN(room, n));
        d->n_head += MIN(room, n);
        if (n >= TAIL_MAX) {
                memcpy(d->tail, p + n - TAIL_MAX, TAIL_MAX);
                d->n_tail = TAIL_MAX;
                return;
        }
        kept = MIN(d->n_tail, TAIL_MAX - n);
        memmove(d->tail, d->tail + d->n_tail - kept, kept);
        memcpy(d->tail + kept, p, n);
        d->n_tail = kept + n;
}

static bool is_whole(const Dump *d) {
        if (d->database)
                return d->n_head == sizeof d->head && memcmp(d->head, PG_MAGIC, sizeof d->head) == 0;
        return memmem(d->tail, d->n_tail, TRAILER, STRLEN(TRAILER)) != NULL;
}

static int check_end(Dump *d, Failure *reterr_failure) {
        char buf[128];
        int r;

        r = child_wait(d->child);
        if (r < 0)
                return r;
        if (r > 0)
                return failure_set(reterr_failure, -EIO, "DUMP_FAILED", "The dump of %s failed: %s",
                                   subject(d, buf), child_complaint(d->child, "its program was killed"));
        if (!is_whole(d))
                return failure_set(reterr_failure, -EIO, "DUMP_INCOMPLETE",
                                   "The dump of %s is not whole, although its program says that all went "
                                   "well",
                                   subject(d, buf));
        return 0;
}

static ssize_t source_read(void *userdata, void *p, size_t n, Failure *reterr_failure) {
        PgSource *s = ASSERT_PTR(userdata);
        Dump *d = s->dumps + s->next - 1;
        ssize_t k;

        k = child_read(d->child, p, n);
        if (k > 0)
                keep(d, p, (size_t) k);
        return k != 0 ? k : check_end(d, reterr_failure);
}

/* --- The face ----------------------------------------------------------------------------------------- */

static int find_tools(PgSource *s, Failure *reterr_failure) {
        const PgSourceArgs *args = s->args;
        int r;

        r = pg_tool_find("pg_dump", &s->facts, &args->finder, args->cancel, &s->dump, reterr_failure);
        if (r >= 0)
                r = pg_tool_find("pg_dumpall", &s->facts, &args->finder, args->cancel, &s->dumpall,
                                 reterr_failure);
        return r;
}

int pg_source_new(const PgSourceArgs *args, PgSource **ret, Failure *reterr_failure) {
        _cleanup_(pg_source_freep) PgSource *s = NULL;
        _cleanup_(pg_server_freep) PgServer *server = NULL;
        int r;

        assert(args && args->source);
        assert(ret);

        s = new0(PgSource, 1);
        if (!s)
                return -ENOMEM;
        s->args = args;
        s->streams = (BackupStreams){ s, source_next, source_read };
        r = pg_server_open(&args->source->server, args->password, &server, reterr_failure);
        if (r < 0)
                return r;
        s->facts = *pg_server_facts(server);
        r = find_tools(s, reterr_failure);
        if (r >= 0)
                r = choose(s, server, reterr_failure);
        if (r >= 0 && args->password)
                r = pg_passfile(args->password, &s->passfile);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

char *const *pg_source_paths(const PgSource *s) {
        static char *const paths[] = { (char *) "/" PG_FOLDER, NULL };

        return paths;
}

const BackupStreams *pg_source_streams(const PgSource *s) {
        assert(s);

        return &s->streams;
}
