/* SPDX-License-Identifier: Apache-2.0 */

/* Runs lib/database alone, for tests:
 *
 *   database-tool copy STAGING DATABASE OUT [BUSY_MSEC]   a checked copy of a database of SQLite
 *   database-tool backup FORMAT DIR SOURCE                databases of MySQL; DIR is an empty target
 *   database-tool restore FORMAT DIR PATH SERVER NAME [drop]   one of them
 *   database-tool pg-backup FORMAT DIR SOURCE             the same for PostgreSQL
 *   database-tool pg-restore FORMAT DIR PATH SERVER NAME [drop] [owners] [schema NAME] [table NAME]
 *   database-tool hana-backup FORMAT DIR SOURCE           the same for SAP HANA, pauses are short
 *
 * FORMAT is archive or repository, SOURCE and SERVER are JSON. The password is in $DATABASE_PASSWORD, the
 * directories of tools in $TOOLS, and patterns of those of PostgreSQL in $VERSIONS; an archive is sealed for
 * $RECIPIENT, or not at all. A backup is told to end by SIGTERM. Prints JSON, with peak_kib and programs_kib
 * of what was done with a server. Exit status: 0 done, 4 failed. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/common/tools.h"
#include "archive/dump.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "database/hana-source.h"
#include "database/mysql-restore.h"
#include "database/mysql-source.h"
#include "database/pg-restore.h"
#include "database/pg-source.h"
#include "database/sqlite-copy.h"
#include "repository/backup.h"
#include "repository/dump.h"
#include "repository/polynomial.h"
#include "tests/storage/tool.h"
#include "wire/json.h"

static int print(json_t *json, int status) {
        tool_print(json);
        return status;
}

static int print_failure(const Failure *failure, int r) {
        return print(json_pack("{s:s,s:s}", "code", failure->code, "message", failure_message(failure, r)),
                     4);
}

static int keep(const SqliteCopy *copy, const char *path) {
        char buf[65536];
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        ssize_t n;

        if (fd < 0)
                return -errno;
        while ((n = read(copy->fd, buf, sizeof(buf))) > 0)
                if (write_full(fd, buf, (size_t) n) < 0)
                        return -EIO;
        return n < 0 ? -errno : 0;
}

static int copy(char *argv[]) {
        _cleanup_(staging_done) Staging staging = STAGING_NULL;
        _cleanup_(sqlite_copy_done) SqliteCopy copied = SQLITE_COPY_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        SqliteCopyArgs args = { .path = argv[3], .staging = &staging };
        int r;

        args.busy = argv[5] ? (usec_t) atoi(argv[5]) * USEC_PER_MSEC : 0;
        r = staging_open(argv[2], 0, &staging, &failure);
        if (r >= 0)
                r = sqlite_copy(&args, &copied, &failure);
        if (r >= 0)
                r = keep(&copied, argv[4]);
        if (r < 0)
                return print_failure(&failure, r);
        return print(json_pack("{s:I,s:b,s:i,s:b,s:b}", "size", (json_int_t) copied.size, "at_rest",
                               (int) copied.at_rest, "restarts", (int) copied.restarts, "held",
                               (int) copied.held, "unchecked", (int) copied.unchecked),
                     0);
}

/* --- Servers ------------------------------------------------------------------------------------------ */

static atomic_bool cancelled;

static void on_signal(int number) {
        atomic_store(&cancelled, true);
}

/* The most that was resident since this program began; what it was forked from does not count. 0: nobody
 * knows. */
static unsigned long peak_kib(void) {
        FILE *file = fopen("/proc/self/status", "re");
        unsigned long kib = 0;
        char line[256];

        while (file && kib == 0 && fgets(line, sizeof line, file))
                if (strncmp(line, "VmHWM:", STRLEN("VmHWM:")) == 0)
                        kib = strtoul(line + STRLEN("VmHWM:"), NULL, 10);
        if (file)
                (void) fclose(file);
        return kib;
}

/* Adds how much memory this program had, and the largest that it started: of that one what it was forked
 * from counts as well, so that they make no sum. NULL: no memory. */
static json_t *with_peaks(json_t *json) {
        _cleanup_json_ json_t *owned = json;
        struct rusage programs = {};

        if (getrusage(RUSAGE_CHILDREN, &programs) < 0 ||
            json_set(owned, "peak_kib", json_from_u64(peak_kib())) < 0 ||
            json_set(owned, "programs_kib", json_integer(programs.ru_maxrss)) < 0)
                return NULL;
        return TAKE_PTR(owned);
}

static int find_tool(void *userdata, const char *name, char **ret) {
        const char *tools = getenv("TOOLS");

        return tool_find(tools ? tools : TOOLS_PATH_DEFAULT, name, ret);
}

static const ToolFinder finder = { find_tool, NULL, NULL };

/* A place to store at, in one of the formats. */
typedef struct Place {
        Storage *storage;
        Repository *repository; /* NULL: an archive */
} Place;

static void place_done(Place *p) {
        repository_free(p->repository);
        storage_free(p->storage);
}

static int open_place(const char *format, const char *folder, bool make, Place *ret, Failure *f) {
        _cleanup_json_ json_t *config = json_pack("{s:s}", "path", folder);
        StorageConfig c = { .id = 1, .name = folder, .type = "local", .config = config };
        RepositoryArgs args = { .prefix = "", .password = "test" };
        RepositoryNew new = { .chunker = CHUNKER_GEAR };
        int r;

        r = storage_open(&c, &ret->storage, f);
        if (r < 0 || streq(format, "archive"))
                return r;
        args.storage = ret->storage;
        r = polynomial_random(&new.chunker_polynomial);
        if (r >= 0 && make)
                r = repository_init(&args, &new, f);
        return r < 0 ? r : repository_open(&args, &ret->repository, f);
}

static int store(const Place *place, const BackupArgs *args, BackupResult *ret, Failure *f) {
        RepoBackupResult result = REPO_BACKUP_RESULT_NULL;
        RepoBackupArgs of = {
                .args = args, .repositories = &place->repository, .hostname = "test", .username = "root"
        };
        int r;

        if (!place->repository)
                return archive_backup(args, ret, f);
        r = repository_backup(&of, &result, f);
        if (r < 0)
                return r;
        *ret = result.base;
        result.base = BACKUP_RESULT_NULL;
        repo_backup_result_done(&result);
        return 0;
}

/* Stores what the streams give, and says how that ended. */
static int keep_streams(char *argv[], char *const *paths, const BackupStreams *streams) {
        _cleanup_(backup_result_done) BackupResult result = BACKUP_RESULT_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        BackupTarget target = { .key = "run/" };
        const char *sealed_for = getenv("RECIPIENT");
        AgeRecipient recipient;
        BackupArgs args = { .level = 3, .targets = &target, .n_targets = 1, .cancel = &cancelled };
        _cleanup_(place_done) Place place = {};
        int r;

        r = open_place(argv[2], argv[3], true, &place, &failure);
        if (r < 0)
                return print_failure(&failure, r);
        if (sealed_for) {
                r = age_recipient_parse(sealed_for, &recipient);
                if (r < 0)
                        return print_failure(&failure, r);
                args.recipients = &recipient;
                args.n_recipients = 1;
        }
        target.storage = place.storage;
        args.node = args.task = "test";
        args.on_log = tool_log;
        args.paths = paths;
        args.streams = streams;
        r = store(&place, &args, &result, &failure);
        if (r < 0)
                return print_failure(&failure, r);
        return print(with_peaks(json_pack("{s:s,s:s,s:s,s:I,s:I}", "state",
                                          archive_state_to_string(result.state), "code", result.failure.code,
                                          "message", strempty(result.failure.message), "files",
                                          (json_int_t) result.files, "bytes_read",
                                          (json_int_t) result.bytes_read)),
                     result.state == ARCHIVE_SUCCEEDED ? 0 : 4);
}

static int read_source(const char *text, SourceType type, DatabaseSource *ret, Failure *f) {
        _cleanup_json_ json_t *json = NULL;
        JsonReader reader;
        int r;

        r = json_parse_text(text, &json, NULL);
        if (r < 0)
                return r;
        json_reader_init(&reader, json, f);
        return database_source_read(&reader, type, ret);
}

static int backup(char *argv[]) {
        _cleanup_(database_source_done) DatabaseSource source = DATABASE_SOURCE_NULL;
        _cleanup_(mysql_source_freep) MysqlSource *mysql = NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        MysqlSourceArgs of = { &source, getenv("DATABASE_PASSWORD"), finder, &cancelled };
        int r;

        r = read_source(argv[4], SOURCE_MYSQL, &source, &failure);
        if (r >= 0)
                r = mysql_source_new(&of, &mysql, &failure);
        if (r < 0)
                return print_failure(&failure, r);
        return keep_streams(argv, mysql_source_paths(mysql), mysql_source_streams(mysql));
}

static ToolFinder pg_finder(char *versions[static 2]) {
        ToolFinder f = finder;

        versions[0] = getenv("VERSIONS");
        versions[1] = NULL;
        f.versions = versions[0] ? versions : pg_versions_default;
        return f;
}

static int pg_backup(char *argv[]) {
        _cleanup_(database_source_done) DatabaseSource source = DATABASE_SOURCE_NULL;
        _cleanup_(pg_source_freep) PgSource *pg = NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        char *versions[2];
        PgSourceArgs of = { &source, getenv("DATABASE_PASSWORD"), pg_finder(versions), &cancelled, 0 };
        int r;

        r = read_source(argv[4], SOURCE_POSTGRESQL, &source, &failure);
        if (r >= 0)
                r = pg_source_new(&of, &pg, &failure);
        if (r < 0)
                return print_failure(&failure, r);
        return keep_streams(argv, pg_source_paths(pg), pg_source_streams(pg));
}

static int hana_backup_all(char *argv[]) {
        _cleanup_(database_source_done) DatabaseSource source = DATABASE_SOURCE_NULL;
        _cleanup_(hana_source_freep) HanaSource *hana = NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        HanaSourceArgs of = {
                .source = &source,
                .password = getenv("DATABASE_PASSWORD"),
                .finder = finder,
                .cancel = &cancelled,
                .retry_base = 20 * USEC_PER_MSEC,
                .retry_cap = 50 * USEC_PER_MSEC,
        };
        int r, status;

        r = read_source(argv[4], SOURCE_SAPHANA, &source, &failure);
        if (r >= 0)
                r = hana_source_new(&of, &hana, &failure);
        if (r < 0)
                return print_failure(&failure, r);
        status = keep_streams(argv, hana_source_paths(hana), hana_source_streams(hana));
        if (status != 0)
                return status;
        r = hana_source_stored(hana, &failure);
        return r < 0 ? print_failure(&failure, r) : 0;
}

static int give(void *userdata, const char *path, int fd, Failure *f) {
        const Place *place = userdata;
        const ArchivePlace copy = { place->storage, "run/" };
        const ArchiveDumpArgs archive = {
                .source = { .copies = &copy, .n_copies = 1 }, .path = path, .fd = fd, .cancel = &cancelled
        };
        const RepositoryDumpArgs repository = {
                .repository = place->repository,
                .snapshot = "latest",
                .path = path,
                .fd = fd,
                .cancel = &cancelled,
        };

        return place->repository ? repository_dump(&repository, f) : archive_dump(&archive, NULL, f);
}

/* What it is restored from, and the server. */
static int open_both(char *argv[], Place *place, DatabaseServer *server, Failure *f) {
        _cleanup_json_ json_t *json = NULL;
        JsonReader reader;
        int r;

        r = json_parse_text(argv[5], &json, NULL);
        if (r < 0)
                return r;
        json_reader_init(&reader, json, f);
        r = database_server_read(&reader, server);
        return r < 0 ? r : open_place(argv[2], argv[3], false, place, f);
}

static int restore(int argc, char *argv[]) {
        _cleanup_(database_server_done) DatabaseServer server = DATABASE_SERVER_NULL;
        _cleanup_(mysql_restore_freep) MysqlRestore *to = NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL, given = FAILURE_NULL;
        const char *password = getenv("DATABASE_PASSWORD");
        MysqlRestoreArgs args = { &server, password, argv[6], argc > 7, finder, &cancelled };
        _cleanup_(place_done) Place place = {};
        int r, k;

        r = open_both(argv, &place, &server, &failure);
        if (r >= 0)
                r = mysql_restore_new(&args, &to, &failure);
        if (r < 0)
                return print_failure(&failure, r);
        k = mysql_restore_give(to, argv[4], give, &place, &given);
        r = mysql_restore_end(to, &failure);
        if (k < 0 && k != -EPIPE)
                return print_failure(&given, k);
        if (r < 0)
                return print_failure(&failure, r);
        return print(with_peaks(json_object()), 0);
}

static int pg_read_words(char *argv[], PgRestoreArgs *args, char ***schemas, char ***tables) {
        int r = 0;

        for (char **word = argv; *word && r >= 0; word++)
                if (streq(*word, "drop"))
                        args->drop = true;
                else if (streq(*word, "owners"))
                        args->no_owners = true;
                else {
                        char ***list = streq(*word, "schema") ? schemas : tables;

                        r = strv_extend(list, *++word);
                }
        args->schemas = *schemas;
        args->tables = *tables;
        return r;
}

static int pg_restore(char *argv[]) {
        _cleanup_(database_server_done) DatabaseServer server = DATABASE_SERVER_NULL;
        _cleanup_(pg_restore_freep) PgRestore *to = NULL;
        _cleanup_(strv_freep) char **schemas = NULL, **tables = NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL, given = FAILURE_NULL;
        char *versions[2];
        PgRestoreArgs args = {
                .server = &server,
                .password = getenv("DATABASE_PASSWORD"),
                .database = argv[6],
                .finder = pg_finder(versions),
                .cancel = &cancelled,
        };
        _cleanup_(place_done) Place place = {};
        int r, k;

        r = pg_read_words(argv + 7, &args, &schemas, &tables);
        if (r >= 0)
                r = open_both(argv, &place, &server, &failure);
        if (r >= 0)
                r = pg_restore_new(&args, &to, &failure);
        if (r < 0)
                return print_failure(&failure, r);
        k = give(&place, argv[4], pg_restore_fd(to), &given);
        r = pg_restore_end(to, &failure);
        if (k < 0 && k != -EPIPE)
                return print_failure(&given, k);
        return r < 0 ? print_failure(&failure, r) : print(with_peaks(json_object()), 0);
}

int main(int argc, char *argv[]) {
        (void) signal(SIGPIPE, SIG_IGN);
        (void) signal(SIGTERM, on_signal);
        if (argc >= 5 && streq(argv[1], "copy"))
                return copy(argv);
        if (argc >= 5 && streq(argv[1], "backup"))
                return backup(argv);
        if (argc >= 7 && streq(argv[1], "restore"))
                return restore(argc, argv);
        if (argc >= 5 && streq(argv[1], "pg-backup"))
                return pg_backup(argv);
        if (argc >= 5 && streq(argv[1], "hana-backup"))
                return hana_backup_all(argv);
        if (argc >= 7 && streq(argv[1], "pg-restore"))
                return pg_restore(argv);
        fputs("database-tool: see its source\n", stderr);
        return 2;
}
