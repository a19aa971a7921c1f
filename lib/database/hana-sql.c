/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"
#include "database/hana-sql.h"

#define MARK "BX1|"
#define CHANNELS_KEY "parallel_data_backup_backint_channels"
#define FULL "complete data backup"
#define ITEMS_FIRST 8 /* a power of two */

int hana_sql_add(Buffer *b, const char *format, ...) {
        char line[HANA_LINE_MAX];
        va_list ap;
        int n;

        assert(b);
        assert(format);

        va_start(ap, format);
        n = vsnprintf(line, sizeof(line), format, ap);
        va_end(ap);
        if (n < 0)
                return -EINVAL;
        if ((size_t) n + 1 >= sizeof(line))
                return -E2BIG;
        if (strpbrk(line, "\r\n"))
                return -EINVAL;
        return buffer_printf(b, "%s\n", line);
}

/* --- Login -------------------------------------------------------------------------------------------- */

/* By a number of its own: "30013" and "-i 00" are two ways to say where. */
static int add_where(Buffer *b, const HanaServer *s) {
        int r;

        r = buffer_printf(b, "\\c -n %s", s->host);
        if (r >= 0 && s->port > 0)
                r = buffer_printf(b, ":%" PRIu32, s->port);
        if (r >= 0 && s->has_instance)
                r = buffer_printf(b, " -i %02" PRIu32, s->instance);
        if (r >= 0 && (s->database || s->has_instance))
                r = buffer_printf(b, " -d %s", s->database ? s->database : "SYSTEMDB");
        return r;
}

int hana_sql_connect(Buffer *b, const HanaServer *server, const char *password, Failure *reterr_failure) {
        size_t before;
        int r;

        assert(b);
        assert(server && server->host && server->user);

        if (isempty(password))
                return failure_set(reterr_failure, -EINVAL, "PASSWORD_MISSING",
                                   "User '%s' of SAP HANA needs a password, and the task has none",
                                   server->user);
        if (!hana_is_word(password))
                return failure_set(reterr_failure, -EINVAL, "PASSWORD_UNUSABLE",
                                   "The password of '%s' begins with '-', or has a space, quote, semicolon "
                                   "or backslash in it, which hdbsql may take for something else: use a key "
                                   "of the user store, or another password",
                                   server->user);
        before = b->size;
        r = add_where(b, server);
        if (r >= 0)
                r = buffer_printf(b, " -u %s -p %s\n", server->user, password);
        if (r >= 0 && b->size - before > HANA_LINE_MAX)
                return failure_set(reterr_failure, -EINVAL, "PASSWORD_UNUSABLE",
                                   "Host, user and password together are too long for hdbsql");
        return r;
}

/* --- Statements --------------------------------------------------------------------------------------- */

/* Where there is no need for quotes there are none: they would change nothing, and few write them. */
static void quote_name(const char *name, char ret[static HANA_WORD_MAX + 3]) {
        bool plain = true;

        for (const char *p = name; *p; p++)
                plain = plain && ((*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_');
        (void) snprintf(ret, HANA_WORD_MAX + 3, plain ? "%s" : "\"%s\"", name);
}

/* Text as a literal. */
static int quote_text(const char *text, char **ret) {
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        int r;

        r = buffer_add_string(&b, "'");
        for (const char *p = text; *p && r >= 0; p++)
                r = *p == '\'' ? buffer_add_string(&b, "''") : buffer_add(&b, p, 1);
        if (r >= 0)
                r = buffer_add_string(&b, "'");
        if (r < 0)
                return r;
        *ret = buffer_take(&b);
        return *ret ? 0 : -ENOMEM;
}

static bool is_own(const HanaCatalog *of) {
        return streq(of->connected, of->database);
}

/* The schema that has the catalog, and the condition for the rows of alias that are of this database. */
static const char *schema(const HanaCatalog *of) {
        return is_own(of) ? "SYS" : "SYS_DATABASES";
}

typedef char Condition[HANA_WORD_MAX + 32];

static const char *only(const HanaCatalog *of, const char *alias, Condition ret) {
        assert(hana_is_database(of->database));

        if (is_own(of))
                return "";
        (void) snprintf(ret, sizeof(Condition), " AND %s.DATABASE_NAME='%s'", alias, of->database);
        return ret;
}

int hana_sql_look(Buffer *b) {
        int r;

        r = hana_sql_add(b, "SELECT '" MARK "is|' || SYSTEM_ID || '|' || VERSION || '|' || DATABASE_NAME"
                            " FROM SYS.M_DATABASE");
        if (r >= 0)
                r = hana_sql_add(b, "SELECT '" MARK "database|' || DATABASE_NAME FROM SYS.M_DATABASES"
                                    " WHERE ACTIVE_STATUS='YES' ORDER BY DATABASE_NAME");
        return r;
}

int hana_sql_channels(Buffer *b, const HanaCatalog *of, unsigned channels) {
        char layer[HANA_WORD_MAX + 32] = "'SYSTEM'";

        assert(of);
        assert(channels > 0);

        if (!is_own(of))
                (void) snprintf(layer, sizeof(layer), "'DATABASE', '%s'", of->database);
        return hana_sql_add(b,
                            "ALTER SYSTEM ALTER CONFIGURATION ('global.ini', %s) SET ('backup', "
                            "'" CHANNELS_KEY "') = '%u' WITH RECONFIGURE",
                            layer, channels);
}

int hana_sql_backup(Buffer *b, const HanaCatalog *of, const HanaSettings *how, const char *target) {
        static const char *const levels[_HANA_LEVEL_MAX] = {
                [HANA_FULL] = "",
                [HANA_INCREMENTAL] = " INCREMENTAL",
                [HANA_DIFFERENTIAL] = " DIFFERENTIAL",
        };
        _cleanup_(freep) char *where = NULL;
        char name[HANA_WORD_MAX + 3];
        int r;

        assert(of);
        assert(how);
        assert(target);

        r = quote_text(target, &where);
        if (r < 0)
                return r;
        quote_name(of->database, name);
        return hana_sql_add(b, "BACKUP DATA%s%s%s USING %s (%s)", levels[how->level],
                            is_own(of) ? "" : " FOR ", is_own(of) ? "" : name,
                            how->via == HANA_VIA_BACKINT ? "BACKINT" : "FILE", where);
}

/* What there is to know of the pieces of F. */
#define PIECE_ROW \
        "SELECT '" MARK "piece|' || TO_VARCHAR(F.BACKUP_ID) || '|' || TO_VARCHAR(IFNULL(F.BACKUP_SIZE,0))" \
        " || '|' || F.SOURCE_TYPE_NAME || '|' || F.DESTINATION_TYPE_NAME" \
        " || '|' || IFNULL(F.EXTERNAL_BACKUP_ID,'') || '|' || F.DESTINATION_PATH"
#define ENTRY_ROW \
        "SELECT '" MARK "backup|' || TO_VARCHAR(C.BACKUP_ID) || '|' || C.STATE_NAME" \
        " || '|' || C.ENTRY_TYPE_NAME"

/* One that runs may have no pieces in the catalog yet. */
#define RUNS "(C.STATE_NAME='running' AND C.ENTRY_TYPE_NAME LIKE '%%data backup')"

int hana_sql_find(Buffer *b, const HanaCatalog *of, const char *name) {
        const char *in;
        Condition c, f, g;
        int r;

        assert(of);
        assert(name && !strchr(name, '\''));

        in = schema(of);
        r = hana_sql_add(b,
                         ENTRY_ROW " FROM %s.M_BACKUP_CATALOG C WHERE (" RUNS " OR C.BACKUP_ID IN (SELECT"
                                   " F.BACKUP_ID FROM %s.M_BACKUP_CATALOG_FILES F WHERE"
                                   " LOCATE(F.DESTINATION_PATH,'%s')>0%s))%s",
                         in, in, name, only(of, "F", f), only(of, "C", c));
        if (r >= 0)
                r = hana_sql_add(b,
                                 PIECE_ROW " FROM %s.M_BACKUP_CATALOG_FILES F WHERE F.BACKUP_ID IN (SELECT"
                                           " G.BACKUP_ID FROM %s.M_BACKUP_CATALOG_FILES G WHERE"
                                           " LOCATE(G.DESTINATION_PATH,'%s')>0%s)%s",
                                 in, in, name, only(of, "G", g), only(of, "F", f));
        return r;
}

int hana_sql_logs(Buffer *b, const HanaCatalog *of) {
        const char *in;
        Condition c, d, f;
        int r;

        assert(of);

        in = schema(of);
        r = hana_sql_add(b,
                         ENTRY_ROW " FROM %s.M_BACKUP_CATALOG C WHERE C.BACKUP_ID = (SELECT MAX(D.BACKUP_ID)"
                                   " FROM %s.M_BACKUP_CATALOG D WHERE D.ENTRY_TYPE_NAME='" FULL "' AND"
                                   " D.STATE_NAME='successful'%s)%s",
                         in, in, only(of, "D", d), only(of, "C", c));
        if (r >= 0)
                r = hana_sql_add(b,
                                 PIECE_ROW
                                 " FROM %s.M_BACKUP_CATALOG_FILES F WHERE F.DESTINATION_TYPE_NAME='file'%s"
                                 " AND F.BACKUP_ID IN (SELECT C.BACKUP_ID FROM %s.M_BACKUP_CATALOG C WHERE"
                                 " C.ENTRY_TYPE_NAME='log backup' AND C.STATE_NAME='successful'%s AND"
                                 " C.BACKUP_ID>(SELECT IFNULL(MAX(D.BACKUP_ID),0) FROM %s.M_BACKUP_CATALOG D"
                                 " WHERE D.ENTRY_TYPE_NAME='" FULL "' AND D.STATE_NAME='successful'%s))",
                                 in, only(of, "F", f), in, only(of, "C", c), in, only(of, "D", d));
        return r;
}

int hana_sql_end(Buffer *b) {
        return hana_sql_add(b, "SELECT '" MARK "end' FROM SYS.DUMMY");
}

/* --- Answers ------------------------------------------------------------------------------------------ */

static void entry_done(HanaEntry *e) {
        free(e->state);
        free(e->type);
}

static void piece_done(HanaPiece *p) {
        free(p->type);
        free(p->destination);
        free(p->ebid);
        free(p->path);
}

void hana_answer_done(HanaAnswer *a) {
        assert(a);

        free(a->system);
        free(a->version);
        free(a->database);
        strv_free(a->databases);
        for (size_t i = 0; i < a->n_entries; i++)
                entry_done(a->entries + i);
        free(a->entries);
        for (size_t i = 0; i < a->n_pieces; i++)
                piece_done(a->pieces + i);
        free(a->pieces);
        free(a->message);
        free(a->last);
        *a = HANA_ANSWER_NULL;
}

/* The next field of a row, up to its '|'. NULL: there is none. */
static char *next_field(char **row) {
        char *field = *row, *end;

        end = field ? strchr(field, '|') : NULL;
        if (!end)
                return NULL;
        *end = 0;
        *row = end + 1;
        return field;
}

static bool number(const char *text, uint64_t *ret) {
        return text && parse_u64(text, 0, UINT64_MAX, ret) >= 0;
}

/* Items with room for one more, in steps that double. NULL: out of memory, and they are as they were. */
static void *grown(void *items, size_t n, size_t size) {
        if (n > 0 && (n < ITEMS_FIRST || (n & (n - 1)) != 0))
                return items;
        return reallocarray(items, n == 0 ? ITEMS_FIRST : 2 * n, size);
}

static int take_entry(char *row, HanaAnswer *a) {
        const char *id = next_field(&row), *state = next_field(&row);
        HanaEntry e = {}, *more;

        if (!state || !number(id, &e.id))
                return 0;
        if (a->n_entries == HANA_PIECES_MAX)
                return -E2BIG;
        more = grown(a->entries, a->n_entries, sizeof(HanaEntry));
        if (!more)
                return -ENOMEM;
        a->entries = more;
        e.state = strdup(state);
        e.type = strdup(row);
        a->entries[a->n_entries++] = e;
        return e.state && e.type ? 0 : -ENOMEM;
}

static int take_piece(char *row, HanaAnswer *a) {
        const char *id = next_field(&row), *size = next_field(&row), *type = next_field(&row),
                   *destination = next_field(&row), *ebid = next_field(&row);
        HanaPiece p = {}, *more;

        if (!ebid || !number(id, &p.id) || !number(size, &p.size))
                return 0;
        if (a->n_pieces == HANA_PIECES_MAX)
                return -E2BIG;
        more = grown(a->pieces, a->n_pieces, sizeof(HanaPiece));
        if (!more)
                return -ENOMEM;
        a->pieces = more;
        p.type = strdup(type);
        p.destination = strdup(destination);
        p.ebid = strdup(ebid);
        p.path = strdup(row);
        a->pieces[a->n_pieces++] = p;
        return p.type && p.destination && p.ebid && p.path ? 0 : -ENOMEM;
}

static int take_identity(char *row, HanaAnswer *a) {
        const char *system = next_field(&row), *version = next_field(&row);
        int r;

        if (!version)
                return 0;
        r = free_and_strdup(&a->system, system);
        if (r >= 0)
                r = free_and_strdup(&a->version, version);
        return r < 0 ? r : free_and_strdup(&a->database, row);
}

static int take_row(char *row, HanaAnswer *a) {
        const char *kind;

        if (streq(row, "end")) {
                a->whole = true;
                return 0;
        }
        kind = next_field(&row);
        if (!kind)
                return 0;
        if (streq(kind, "is"))
                return take_identity(row, a);
        if (streq(kind, "database"))
                return strv_length(a->databases) < HANA_DATABASES_MAX ? strv_extend(&a->databases, row) :
                                                                        -E2BIG;
        if (streq(kind, "backup"))
                return take_entry(row, a);
        return streq(kind, "piece") ? take_piece(row, a) : 0;
}

/* "* 10: authentication failed SQLSTATE: 28000". */
static int take_error(char *line, HanaAnswer *a) {
        bool negative = *line == '-';
        char *text, *end;
        uint64_t code;

        text = strchr(line, ':');
        if (!text || a->error != 0)
                return 0;
        *text++ = 0;
        if (parse_u64(line + negative, 1, INT64_MAX, &code) < 0)
                return 0;
        text += strspn(text, " ");
        end = strstr(text, " SQLSTATE:");
        if (end)
                *end = 0;
        a->message = strdup(text);
        a->error = negative ? -(int64_t) code : (int64_t) code;
        return a->message ? 0 : -ENOMEM;
}

static int take_line(char *line, HanaAnswer *a) {
        size_t n = strlen(line);

        while (n > 0 && strchr(" \r\t", line[n - 1]))
                line[--n] = 0;
        if (startswith(line, "* "))
                return take_error(line + STRLEN("* "), a);
        if (n >= 2 && line[0] == '"' && line[n - 1] == '"') {
                line[n - 1] = 0;
                line++;
        }
        if (startswith(line, MARK))
                return take_row(line + STRLEN(MARK), a);
        return *line ? free_and_strdup(&a->last, line) : 0;
}

int hana_answer_parse(const char *text, size_t n, HanaAnswer *ret) {
        _cleanup_(hana_answer_done) HanaAnswer a = HANA_ANSWER_NULL;
        _cleanup_(freep) char *copy = NULL;
        char *next;
        int r = 0;

        assert(text || n == 0);
        assert(ret);

        copy = memdup0(text, n);
        if (!copy)
                return -ENOMEM;
        for (char *line = copy; line && r >= 0; line = next) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = 0;
                r = take_line(line, &a);
        }
        if (r < 0)
                return r;
        *ret = a;
        a = HANA_ANSWER_NULL;
        return 0;
}

bool hana_error_is_final(int64_t error) {
        /* Login, syntax, privilege, password to be changed, user locked, key of the user store. */
        static const int64_t final[] = { 10, 257, 258, 414, 416, -10104 };

        for (size_t i = 0; i < ELEMENTSOF(final); i++)
                if (final[i] == error)
                        return true;
        return false;
}
