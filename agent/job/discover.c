/* SPDX-License-Identifier: Apache-2.0 */

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/job/discover.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/parse.h"
#include "base/text.h"
#include "wire/path.h"

#define TABLE_MAX (4U << 20) /* of the kernel's sockets */
#define CONF_MAX (1U << 20)
#define SHORT_MAX 256   /* a file that holds a version */
#define ENTRIES_MAX 256 /* of one directory of clusters */

#define PORT_POSTGRESQL 5432
#define PORT_MYSQL 3306
/* SQL of the system database of instance 00, and of a single database of the older kind; the others are 100
 * apart each. */
#define PORT_HANA 30013U
#define PORT_HANA_SINGLE 30015U
#define PORT_HANA_STEP 100U

/* --- Pure ------------------------------------------------------------------------------------------- */

uint16_t discover_tcp_line(const char *line) {
        unsigned port = 0, state = 0;

        assert(line);

        /* "   0: 0100007F:1538 00000000:0000 0A …"; the address of tcp6 has 32 digits. */
        if (sscanf(line, " %*u: %*32[0-9A-Fa-f]:%4x %*32[0-9A-Fa-f]:%*4x %2x", &port, &state) != 2)
                return 0;
        return state == 0x0a ? (uint16_t) port : 0;
}

const char *discover_unix_line(const char *line) {
        unsigned flags = 0, type = 0;
        int at = 0;

        assert(line);

        /* "0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/x" */
        if (sscanf(line, "%*[0-9A-Fa-f]: %*8x %*8x %8x %4x %*2x %*u %n", &flags, &type, &at) != 2 || at == 0)
                return NULL;
        return (flags & 0x10000) && type == 1 && line[at] == '/' ? line + at : NULL;
}

/* What stands behind the name: "= 'value' # comment". */
static int take_value(const char *p, char **ret) {
        char *value;
        size_t n;

        p += strspn(p, " \t");
        if (*p == '=')
                p += 1 + strspn(p + 1, " \t");
        if (*p == '\'') {
                p++;
                n = strcspn(p, "'\n");
        } else
                n = strcspn(p, " \t#\n");
        value = strndup(p, n);
        if (!value)
                return -ENOMEM;
        free(*ret);
        *ret = value;
        return 0;
}

int discover_setting(const char *text, const char *name, char **ret) {
        _cleanup_(freep) char *value = NULL;
        size_t n;

        assert(text);
        assert(name);
        assert(ret);

        n = strlen(name);
        for (const char *line = text; line; line = strchr(line, '\n')) {
                int r;

                line += *line == '\n';
                line += strspn(line, " \t");
                if (strncmp(line, name, n) != 0 || !strchr(" \t=", line[n]) || line[n] == 0)
                        continue;
                r = take_value(line + n, &value);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(value);
        return 0;
}

/* "fullversion: 2.00.059.00 Build …" */
int discover_manifest_version(const char *text, char **ret) {
        static const char key[] = "fullversion:";

        assert(text);
        assert(ret);

        for (const char *line = text; line; line = strchr(line, '\n')) {
                line += *line == '\n';
                if (startswith(line, key)) {
                        const char *p = line + sizeof(key) - 1;

                        p += strspn(p, " \t");
                        *ret = strndup(p, strcspn(p, " \t\r\n"));
                        return *ret ? 0 : -ENOMEM;
                }
        }
        return 0;
}

/* The number of an instance of SAP HANA, of the name of its directory: "HDB00"; negative: it is none. */
int discover_hana_instance(const char *name) {
        const char *digits;

        assert(name);

        digits = startswith(name, "HDB");
        if (!digits || strlen(digits) != 2 || strspn(digits, "0123456789") != 2)
                return -EINVAL;
        return (digits[0] - '0') * 10 + (digits[1] - '0');
}

/* --- Servers ---------------------------------------------------------------------------------------- */

typedef struct Server {
        const char *type;
        char *name, *version, *socket, *data;
        uint16_t port; /* 0: not known */
        bool running;
} Server;

typedef struct Discovery {
        const char *root;
        const Policy *policy;
        Server servers[DISCOVER_SERVERS_MAX];
        size_t n;
        uint8_t listening[(UINT16_MAX + 1) / 8]; /* TCP ports, a bit each */
        bool incomplete;
} Discovery;

static bool is_listening(const Discovery *d, uint16_t port) {
        return d->listening[port / 8] & (1U << port % 8);
}

static void discovery_done(Discovery *d) {
        for (size_t i = 0; i < d->n; i++) {
                free(d->servers[i].name);
                free(d->servers[i].version);
                free(d->servers[i].socket);
                free(d->servers[i].data);
        }
        d->n = 0;
}

/* The server of this type and port (0: any port); a new one where there is none. NULL: too many. */
static Server *server_of(Discovery *d, const char *type, uint16_t port) {
        for (size_t i = 0; i < d->n; i++)
                if (streq(d->servers[i].type, type) &&
                    (port == 0 || d->servers[i].port == 0 || d->servers[i].port == port))
                        return d->servers + i;
        if (d->n == DISCOVER_SERVERS_MAX) {
                d->incomplete = true;
                return NULL;
        }
        d->servers[d->n] = (Server){ .type = type, .port = port };
        return d->servers + d->n++;
}

/* A file below the root; *ret stays NULL where it is not there, cannot be read or may not be looked at. */
static int read_below(Discovery *d, const char *path, size_t max, char **ret) {
        _cleanup_(freep) char *full = NULL;
        int r;

        if (policy_check_listing(d->policy, path, NULL) < 0)
                return 0;
        r = asprintf_safe(&full, "%s%s", d->root, path);
        if (r < 0)
                return r;
        r = read_file(AT_FDCWD, full, max, ret, NULL);
        if (r == -ENOMEM)
                return r;
        if (r < 0 && r != -ENOENT && r != -ENOTDIR)
                d->incomplete = true;
        return 0;
}

/* --- What listens ----------------------------------------------------------------------------------- */

static int note_socket(Discovery *d, const char *path) {
        static const char *const mysql[] = { "mysqld.sock", "mysql.sock", "mariadb.sock" };
        const char *name = strrchr(path, '/') + 1, *digits = startswith(name, ".s.PGSQL.");
        Server *s = NULL;
        uint32_t port;

        if (digits && parse_u32(digits, 1, UINT16_MAX, &port) >= 0)
                s = server_of(d, "postgresql", (uint16_t) port);
        for (size_t i = 0; i < ELEMENTSOF(mysql) && !s; i++)
                if (streq(name, mysql[i]))
                        s = server_of(d, "mysql", 0);
        if (!s)
                return 0;
        s->running = true;
        return s->socket ? 0 : free_and_strdup(&s->socket, path);
}

static int look_at_sockets(Discovery *d) {
        _cleanup_(freep) char *table = NULL;
        char *next;
        int r;

        r = read_below(d, "/proc/self/net/unix", TABLE_MAX, &table);
        if (r < 0)
                return r;
        for (char *line = table; line && *line; line = next) {
                const char *path;

                next = strchr(line, '\n');
                if (next)
                        *next++ = 0;
                path = discover_unix_line(line);
                r = path ? note_socket(d, path) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static void note_port(Discovery *d, uint16_t port) {
        Server *s = NULL;

        d->listening[port / 8] |= (uint8_t) (1U << port % 8);
        if (port == PORT_POSTGRESQL)
                s = server_of(d, "postgresql", port);
        else if (port == PORT_MYSQL)
                s = server_of(d, "mysql", port);
        if (!s)
                return;
        s->port = port;
        s->running = true;
}

static int look_at_ports(Discovery *d, const char *path) {
        _cleanup_(freep) char *table = NULL;
        char *next;
        int r;

        r = read_below(d, path, TABLE_MAX, &table);
        if (r < 0)
                return r;
        for (char *line = table; line && *line; line = next) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = 0;
                note_port(d, discover_tcp_line(line));
        }
        return 0;
}

/* --- What is installed ------------------------------------------------------------------------------ */

static void closedirp(DIR **d) {
        if (*d)
                (void) closedir(*d);
}

typedef int (*EntryFunc)(Discovery *d, const char *folder, const char *name);

/* Each entry of a folder below the root whose name does not begin with a dot. */
static int each_entry(Discovery *d, const char *folder, EntryFunc func) {
        _cleanup_(freep) char *full = NULL;
        _cleanup_(closedirp) DIR *dir = NULL;
        const struct dirent *entry;
        unsigned n = 0;
        int r;

        if (policy_check_listing(d->policy, folder, NULL) < 0)
                return 0;
        r = asprintf_safe(&full, "%s%s", d->root, folder);
        if (r < 0)
                return r;
        dir = opendir(full);
        if (!dir) {
                d->incomplete = d->incomplete || (errno != ENOENT && errno != ENOTDIR);
                return 0;
        }
        while ((entry = readdir(dir))) {
                if (entry->d_name[0] == '.')
                        continue;
                if (n++ >= ENTRIES_MAX) {
                        d->incomplete = true;
                        break;
                }
                r = func(d, folder, entry->d_name);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* /etc/postgresql/15/main: folder is …/15. */
static int note_cluster(Discovery *d, const char *folder, const char *name) {
        _cleanup_(freep) char *path = NULL, *text = NULL, *port_text = NULL, *data = NULL;
        uint32_t port = PORT_POSTGRESQL;
        Server *s;
        int r;

        r = asprintf_safe(&path, "%s/%s/postgresql.conf", folder, name);
        if (r >= 0)
                r = read_below(d, path, CONF_MAX, &text);
        if (r < 0 || !text)
                return r;
        r = discover_setting(text, "port", &port_text);
        if (r >= 0)
                r = discover_setting(text, "data_directory", &data);
        if (r < 0)
                return r;
        if (port_text && parse_u32(port_text, 1, UINT16_MAX, &port) < 0)
                return 0; /* no server starts with that */
        s = server_of(d, "postgresql", (uint16_t) port);
        if (!s)
                return 0;
        free(s->data);
        s->data = TAKE_PTR(data);
        r = free_and_strdup(&s->name, name);
        return r < 0 ? r : free_and_strdup(&s->version, strrchr(folder, '/') + 1);
}

static int note_version(Discovery *d, const char *folder, const char *name) {
        _cleanup_(freep) char *path = NULL;
        int r;

        if (!isdigit((unsigned char) name[0]))
                return 0;
        r = asprintf_safe(&path, "%s/%s", folder, name);
        return r < 0 ? r : each_entry(d, path, note_cluster);
}

/* A version in a file of its own: its first line. */
static int read_version(Discovery *d, const char *path, char **ret) {
        int r;

        r = read_below(d, path, SHORT_MAX, ret);
        if (r >= 0 && *ret)
                (*ret)[strcspn(*ret, "\r\n")] = 0;
        return r;
}

static int look_at_mysql(Discovery *d) {
        static const char *const files[] = { "/var/lib/mysql/mariadb_upgrade_info",
                                             "/var/lib/mysql/mysql_upgrade_info" };
        _cleanup_(freep) char *version = NULL, *full = NULL;
        Server *s;
        int r = 0;

        if (policy_check_listing(d->policy, "/var/lib/mysql", NULL) < 0)
                return 0;
        r = asprintf_safe(&full, "%s/var/lib/mysql/ibdata1", d->root);
        if (r < 0 || access(full, F_OK) < 0)
                return MIN(r, 0);
        for (size_t i = 0; i < ELEMENTSOF(files) && !version && r >= 0; i++)
                r = read_version(d, files[i], &version);
        if (r < 0)
                return r;
        s = server_of(d, "mysql", 0);
        if (!s)
                return 0;
        if (version && strstr(version, "MariaDB"))
                s->type = "mariadb";
        free(s->version);
        s->version = TAKE_PTR(version);
        return free_and_strdup(&s->data, "/var/lib/mysql");
}

/* /usr/sap/HXE/HDB90: folder is …/HXE. */
static int note_hana(Discovery *d, const char *folder, const char *name) {
        _cleanup_(freep) char *manifest = NULL, *ini = NULL, *text = NULL, *settings = NULL;
        int instance = discover_hana_instance(name), r;
        uint16_t port, single;
        Server *s;

        if (instance < 0)
                return 0;
        r = asprintf_safe(&manifest, "%s/SYS/exe/hdb/manifest", folder);
        if (r >= 0)
                r = asprintf_safe(&ini, "%s/SYS/global/hdb/custom/config/global.ini", folder);
        if (r >= 0)
                r = read_below(d, manifest, CONF_MAX, &text);
        if (r >= 0)
                r = read_below(d, ini, CONF_MAX, &settings);
        if (r < 0)
                return r;
        port = (uint16_t) (PORT_HANA + PORT_HANA_STEP * (unsigned) instance);
        single = (uint16_t) (port + PORT_HANA_SINGLE - PORT_HANA);
        s = server_of(d, "saphana", !is_listening(d, port) && is_listening(d, single) ? single : port);
        if (!s)
                return 0;
        s->running = is_listening(d, s->port);
        r = text ? discover_manifest_version(text, &s->version) : 0;
        if (r >= 0 && settings)
                r = discover_setting(settings, "basepath_datavolumes", &s->data);
        return r < 0 ? r : free_and_strdup(&s->name, strrchr(folder, '/') + 1);
}

/* A system has a name of three letters and digits. */
static int note_sap_system(Discovery *d, const char *folder, const char *name) {
        _cleanup_(freep) char *path = NULL;
        int r;

        if (strlen(name) != 3 || strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != 3)
                return 0;
        r = asprintf_safe(&path, "%s/%s", folder, name);
        return r < 0 ? r : each_entry(d, path, note_hana);
}

/* --- The answer ------------------------------------------------------------------------------------- */

static json_t *path_or_null(const char *path) {
        return path ? json_from_path(path) : json_null();
}

static int append_server(json_t *list, const Server *s) {
        _cleanup_json_ json_t *json = json_object();
        int r;

        r = json_set(json, "type", json_string(s->type));
        if (r >= 0)
                r = json_set(json, "name", path_or_null(s->name));
        if (r >= 0)
                r = json_set(json, "version", path_or_null(s->version));
        if (r >= 0)
                r = json_set(json, "port", s->port > 0 ? json_integer(s->port) : json_null());
        if (r >= 0)
                r = json_set(json, "socket", path_or_null(s->socket));
        if (r >= 0)
                r = json_set(json, "data_directory", path_or_null(s->data));
        if (r >= 0)
                r = json_set(json, "running", json_boolean(s->running));
        return r < 0 ? r : json_append(list, TAKE_PTR(json));
}

int discover_servers(const char *root, const Policy *policy, json_t **ret, bool *ret_incomplete) {
        _cleanup_(discovery_done) Discovery d = { .root = root, .policy = policy };
        _cleanup_json_ json_t *list = json_array();
        int r;

        assert(root);
        assert(policy);
        assert(ret);
        assert(ret_incomplete);

        if (!list)
                return -ENOMEM;
        r = look_at_sockets(&d);
        if (r >= 0)
                r = look_at_ports(&d, "/proc/self/net/tcp");
        if (r >= 0)
                r = look_at_ports(&d, "/proc/self/net/tcp6");
        if (r >= 0)
                r = each_entry(&d, "/etc/postgresql", note_version);
        if (r >= 0)
                r = look_at_mysql(&d);
        if (r >= 0)
                r = each_entry(&d, "/usr/sap", note_sap_system);
        for (size_t i = 0; i < d.n && r >= 0; i++)
                r = append_server(list, d.servers + i);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(list);
        *ret_incomplete = d.incomplete;
        return 0;
}
