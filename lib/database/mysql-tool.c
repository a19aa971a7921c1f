/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fd.h"
#include "base/text.h"
#include "database/child.h"
#include "database/mysql-tool.h"

#define VERSION_MAX 256

void mysql_tool_done(MysqlTool *t) {
        assert(t);

        free(t->path);
        *t = MYSQL_TOOL_NULL;
}

/* "mariadb-dump  Ver 10.19 Distrib 10.11.6-MariaDB, …", "mysqldump  Ver 8.0.36 for Linux …", and from 11.0:
 * "mariadb-dump from 11.4.2-MariaDB, client 10.19 …" */
int mysql_tool_parse_version(const char *text, MysqlTool *ret) {
        static const char *const marks[] = { "Distrib ", " from ", "Ver " };

        assert(text);
        assert(ret);

        for (size_t i = 0; i < ELEMENTSOF(marks); i++) {
                const char *at = strstr(text, marks[i]);

                if (at && sscanf(at + strlen(marks[i]), "%u.%u", &ret->major, &ret->minor) == 2) {
                        ret->mariadb = strstr(text, "MariaDB") != NULL;
                        return 0;
                }
        }
        return -EPROTO;
}

/* What it is; -EPROTO: it does not say. */
static int ask_version(MysqlTool *t, const atomic_bool *cancel, Failure *reterr_failure) {
        char *const arguments[] = { (char *) t->name, (char *) "--version", NULL };
        const ChildArgs args = { .path = t->path, .arguments = arguments, .cancel = cancel };
        char text[VERSION_MAX];
        int r;

        r = child_capture(&args, text, sizeof text, reterr_failure);
        if (r < 0)
                return r;
        return r > 0 ? -EPROTO : mysql_tool_parse_version(text, t);
}

static int compare_versions(const MysqlTool *t, const MysqlFacts *server) {
        if (t->major != server->major)
                return t->major < server->major ? -1 : 1;
        return t->minor < server->minor ? -1 : t->minor > server->minor;
}

static const char *family(bool mariadb) {
        return mariadb ? "MariaDB" : "MySQL";
}

static int check_tool(const MysqlTool *t, const MysqlFacts *server, Failure *reterr_failure) {
        if (t->mariadb != server->mariadb)
                return failure_set(reterr_failure, -ENOEXEC, "TOOL_MISMATCH",
                                   "%s is of %s, and the server is of %s %s: install the client programs "
                                   "of %s",
                                   t->path, family(t->mariadb), family(server->mariadb), server->version,
                                   family(server->mariadb));
        if (compare_versions(t, server) < 0)
                return failure_set(reterr_failure, -ENOEXEC, "TOOL_MISMATCH",
                                   "%s is of version %u.%u, which is older than the server, %s: install "
                                   "client programs of that version or a later one",
                                   t->path, t->major, t->minor, server->version);
        return 0;
}

int mysql_tool_find(MysqlToolKind kind, const MysqlFacts *server, const ToolFinder *finder,
                    const atomic_bool *cancel, MysqlTool *ret, Failure *reterr_failure) {
        static const char *const names[][2] = {
                [MYSQL_TOOL_DUMP] = { "mariadb-dump", "mysqldump" },
                [MYSQL_TOOL_CLIENT] = { "mariadb", "mysql" },
        };
        _cleanup_failure_ Failure why = FAILURE_NULL;

        assert(server);
        assert(finder && finder->find);
        assert(ret);

        for (size_t i = 0; i < ELEMENTSOF(names[kind]); i++) {
                _cleanup_(mysql_tool_done) MysqlTool t = { .name = names[kind][i] };
                int r;

                r = finder->find(finder->userdata, t.name, &t.path);
                if (r == -ENOENT)
                        continue;
                if (r >= 0)
                        r = ask_version(&t, cancel, &why);
                if (r >= 0)
                        r = check_tool(&t, server, &why);
                if (r == -ENOMEM || r == -ECANCELED)
                        return r;
                if (r < 0)
                        continue;
                *ret = t;
                t = MYSQL_TOOL_NULL;
                return 0;
        }
        if (failure_is_set(&why))
                return failure_set(reterr_failure, -ENOEXEC, why.code, "%s",
                                   failure_message(&why, -ENOEXEC));
        return failure_set(reterr_failure, -ENOENT, "TOOL_MISSING",
                           "There is no %s on this node: install the client programs of %s",
                           names[kind][server->mariadb ? 0 : 1], family(server->mariadb));
}

/* --- The file of options ------------------------------------------------------------------------------ */

/* In quotes, so that nothing in it begins a comment; control characters are not in it. */
static int put(Buffer *b, const char *key, const char *value) {
        int r;

        if (!value)
                return 0;
        r = buffer_printf(b, "%s=\"", key);
        for (const char *p = value; r >= 0 && *p; p++) {
                if (*p == '"' || *p == '\\')
                        r = buffer_add(b, "\\", 1);
                if (r >= 0)
                        r = buffer_add(b, p, 1);
        }
        return r < 0 ? r : buffer_add_string(b, "\"\n");
}

static const char *tls_lines(bool mariadb, DatabaseTls tls) {
        switch (tls) {
        case DATABASE_TLS_REQUIRE:
                return mariadb ? "ssl\nskip-ssl-verify-server-cert\n" : "ssl-mode=REQUIRED\n";
        case DATABASE_TLS_VERIFY:
                return mariadb ? "ssl\nssl-verify-server-cert\n" : "ssl-mode=VERIFY_IDENTITY\n";
        case DATABASE_TLS_OFF: /* not asked for: clients of 11.4 and later would verify all the same */
                return mariadb ? "skip-ssl-verify-server-cert\n" : "";
        case _DATABASE_TLS_MAX:
        case _DATABASE_TLS_INVALID:
                break;
        }
        return "";
}

/* For all of it and its quotes. */
static size_t options_size(const DatabaseServer *where, const char *password) {
        const char *const values[] = { password, where->user, where->host, where->socket, where->tls_ca };
        size_t n = 1024;

        for (size_t i = 0; i < ELEMENTSOF(values); i++)
                n += 2 * strlen(strempty(values[i]));
        return n;
}

int mysql_tool_options(const MysqlTool *t, const DatabaseServer *where, const char *password, char **ret) {
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        int r;

        assert(t);
        assert(where);
        assert(ret);

        /* All at once: growing would leave copies of the password behind. */
        r = buffer_reserve(&b, options_size(where, password));
        if (r >= 0)
                r = buffer_add_string(&b, "[client]\n");
        if (r >= 0)
                r = put(&b, "user", where->user);
        if (r >= 0)
                r = put(&b, "password", password);
        if (r >= 0)
                r = put(&b, "host", where->host);
        if (r >= 0)
                r = put(&b, "socket", where->socket);
        if (r >= 0 && where->host)
                r = buffer_printf(&b, "port=%u\n", where->port > 0 ? where->port : MYSQL_USUAL_PORT);
        if (r >= 0)
                r = buffer_printf(&b, "protocol=%s\n", where->socket ? "socket" : "tcp");
        if (r >= 0)
                r = buffer_add_string(&b, "loose-local-infile=0\n");
        if (r >= 0)
                r = buffer_add_string(&b, tls_lines(t->mariadb, where->tls));
        if (r >= 0 && where->tls != DATABASE_TLS_OFF)
                r = put(&b, "ssl-ca", where->tls_ca);
        if (r < 0) {
                if (b.data)
                        explicit_bzero(b.data, b.size);
                return r;
        }
        *ret = buffer_take(&b);
        return *ret ? 0 : -ENOMEM;
}
