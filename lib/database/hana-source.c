/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "database/dump-name.h"
#include "database/hana-pieces.h"
#include "database/hana-recovery.h"
#include "database/hana-source.h"

/* One database. */
typedef struct Work {
        char *database;
        char *folder; /* "saphana/HXE" */
} Work;

struct HanaSource {
        const HanaSourceArgs *args;
        const HanaSettings *settings;
        HanaTool tool;
        HanaPlace place; /* where data goes via files */
        HanaAnswer is;   /* what it is that is logged in to */
        Work *works;
        size_t n, next;
        /* Of the database before next. */
        HanaFiles files;
        size_t next_file;
        char *note; /* for the first of them */
        /* The file that is being given, the one before next_file. */
        int fd; /* -EBADF: a text */
        uint64_t size, given;
        char **stored; /* names of files in the place that are given */
        BackupStreams streams;
};

HanaSource *hana_source_free(HanaSource *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n; i++) {
                free(s->works[i].database);
                free(s->works[i].folder);
        }
        free(s->works);
        hana_tool_done(&s->tool);
        hana_answer_done(&s->is);
        hana_files_done(&s->files);
        free(s->note);
        safe_close(s->fd);
        strv_free(s->stored);
        hana_place_done(&s->place);
        return mfree(s);
}

static bool via_place(const HanaSource *s) {
        return s->settings->backup == HANA_DATA && s->settings->via == HANA_VIA_FILE;
}

/* --- Choosing ----------------------------------------------------------------------------------------- */

/* A name that is asked for and not there is not just left out. */
static int check_named(const HanaSource *s, Failure *reterr_failure) {
        STRV_FOREACH(name, s->args->source->databases)
                if (!database_name_is_pattern(*name) && !strv_contains(s->is.databases, *name))
                        return failure_set(reterr_failure, -ENOENT, "DATABASE_MISSING",
                                           "There is no database '%s' in this system, or it does not run, "
                                           "or it is not seen from '%s': log in to the system database",
                                           *name, s->is.database);
        return 0;
}

static int by_folder(const void *a, const void *b) {
        return strcmp(((const Work *) a)->folder, ((const Work *) b)->folder);
}

static int add_work(HanaSource *s, const char *database, Failure *reterr_failure) {
        Work *w = s->works + s->n;

        if (!hana_is_database(database))
                return failure_set(reterr_failure, -EINVAL, "SOURCE_INVALID",
                                   "Database '%s' has a name that cannot be backed up: leave it out by "
                                   "exclude",
                                   database);
        s->n++;
        w->database = strdup(database);
        w->folder = dump_path_of(HANA_FOLDER, database, "");
        return w->database && w->folder ? 0 : -ENOMEM;
}

static int choose(HanaSource *s, Failure *reterr_failure) {
        int r;

        r = check_named(s, reterr_failure);
        if (r < 0)
                return r;
        s->works = new0(Work, strv_length(s->is.databases) + 1);
        if (!s->works)
                return -ENOMEM;
        STRV_FOREACH(name, s->is.databases)
                if (r >= 0 && database_source_has(s->args->source, *name))
                        r = add_work(s, *name, reterr_failure);
        if (r >= 0 && s->n == 0)
                return failure_set(reterr_failure, -ENOENT, "SOURCE_EMPTY",
                                   "The system has no database that this task is to back up");
        if (r >= 0)
                qsort(s->works, s->n, sizeof(Work), by_folder);
        return r;
}

static HanaCatalog catalog_of(const HanaSource *s, const Work *w) {
        return (HanaCatalog){ .connected = s->is.database, .database = w->database };
}

/* Whether the catalogs may be read, before anything is written. */
static int check_rights(const HanaSource *s, Failure *reterr_failure) {
        for (size_t i = 0; i < s->n; i++) {
                _cleanup_(hana_answer_done) HanaAnswer a = HANA_ANSWER_NULL;
                HanaCatalog of = catalog_of(s, s->works + i);
                _cleanup_buffer_ Buffer b = BUFFER_NULL;
                int r;

                r = hana_sql_find(&b, &of, "backupx..");
                if (r >= 0)
                        r = hana_tool_ask(&s->tool, b.data, &a, reterr_failure);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- One database ------------------------------------------------------------------------------------- */

static int add_recovery(HanaSource *s, const Work *w, const HanaBackupResult *result,
                        const HanaAnswer *answer) {
        const HanaRecovery of = {
                .system = s->is.system,
                .version = s->is.version,
                .database = w->database,
                .how = s->settings,
                .name = result ? result->name : NULL,
                .id = result ? result->id : 0,
                .answer = answer,
        };
        char *text = NULL;
        int r;

        r = hana_recovery_text(&of, &text);
        return r < 0 ? r : hana_files_add_text(&s->files, HANA_RECOVERY, text);
}

static int add_logs(HanaSource *s, const Work *w, Failure *reterr_failure) {
        _cleanup_(hana_answer_done) HanaAnswer a = HANA_ANSWER_NULL;
        HanaCatalog of = catalog_of(s, w);
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        int r;

        r = hana_sql_logs(&b, &of);
        if (r >= 0)
                r = hana_tool_ask(&s->tool, b.data, &a, reterr_failure);
        if (r < 0)
                return r;
        if (a.n_entries == 0)
                return failure_set(reterr_failure, -ENOENT, "FULL_BACKUP_MISSING",
                                   "Database '%s' was never backed up in full, and without that its logs "
                                   "recover nothing: make a full backup of its data first",
                                   w->database);
        r = hana_files_add_answer(&s->files, NULL, NULL, &a, reterr_failure);
        return r < 0 ? r : add_recovery(s, w, NULL, &a);
}

/* What is left of earlier runs is of no use beside a new full backup; a later one may build on it. */
static int add_place(HanaSource *s, const Work *w, const HanaBackupResult *result, char *const *left,
                     Failure *reterr_failure) {
        char all[HANA_NAME_MAX + 1];
        int r = 0;

        if (s->settings->level == HANA_FULL)
                STRV_FOREACH(name, left)
                        if (r >= 0)
                                r = hana_place_remove(&s->place, *name);
        if (r >= 0)
                r = hana_files_add_place(&s->files, &s->place, hana_name_of(w->database, all));
        if (r < 0)
                return failure_set(reterr_failure, r, "DIRECTORY_UNUSABLE",
                                   "%s cannot be read and cleaned: %s", s->place.path, strerror(-r));
        return hana_files_add_answer(&s->files, &s->place, result->name, &result->answer, reterr_failure);
}

static int add_data(HanaSource *s, const Work *w, Failure *reterr_failure) {
        _cleanup_(hana_backup_result_done) HanaBackupResult result = HANA_BACKUP_RESULT_NULL;
        _cleanup_(strv_freep) char **left = NULL;
        char all[HANA_NAME_MAX + 1];
        const HanaBackupArgs args = {
                .tool = &s->tool,
                .place = via_place(s) ? &s->place : NULL,
                .of = catalog_of(s, w),
        };
        int r = 0;

        if (args.place)
                r = hana_place_list(args.place, hana_name_of(w->database, all), &left);
        if (r >= 0)
                r = hana_backup(&args, &result, reterr_failure);
        if (r >= 0 && args.place)
                r = add_place(s, w, &result, left, reterr_failure);
        if (r >= 0)
                r = add_recovery(s, w, &result, &result.answer);
        if (r >= 0 && result.tries > 0)
                r = asprintf_safe(&s->note, "database %s was backed up only after %u tries that failed: %s",
                                  w->database, result.tries, failure_message(&result.first, -EREMOTEIO));
        return r;
}

static int begin_work(HanaSource *s, Failure *reterr_failure) {
        const Work *w = s->works + s->next++;
        int r;

        hana_files_done(&s->files);
        s->next_file = 0;
        r = s->settings->backup == HANA_LOG ? add_logs(s, w, reterr_failure) :
                                              add_data(s, w, reterr_failure);
        if (r >= 0)
                hana_files_sort(&s->files);
        return r;
}

/* --- Giving ------------------------------------------------------------------------------------------- */

/* The database's own files are where its administrator has them: nothing but a regular file is one. */
static int open_file(HanaSource *s, const HanaFile *f, Failure *reterr_failure) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        int r;

        if (s->args->allowed) {
                r = s->args->allowed(s->args->userdata, f->path, reterr_failure);
                if (r < 0)
                        return r;
        }
        fd = open(f->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return failure_set(reterr_failure, -errno, "PIECE_MISSING", "%s cannot be read: %m",
                                   f->path);
        if (!S_ISREG(st.st_mode))
                return failure_set(reterr_failure, -EINVAL, "PIECE_MISSING", "%s is no file", f->path);
        s->size = (uint64_t) st.st_size;
        s->fd = TAKE_FD(fd);
        return 0;
}

static int open_next(HanaSource *s, BackupStream *ret, Failure *reterr_failure) {
        const HanaFile *f = s->files.items + s->next_file++;
        _cleanup_failure_ Failure why = FAILURE_NULL;
        int r;

        if (!f->path) {
                s->size = strlen(f->text);
                return 0;
        }
        r = open_file(s, f, &why);
        if (r >= 0)
                return f->needed ? strv_extend(&s->stored, f->name) : 0;
        if (f->needed || r == -ENOMEM)
                return failure_set(reterr_failure, r, failure_is_set(&why) ? why.code : "PIECE_MISSING",
                                   "%s", failure_message(&why, r));
        ret->lost = strdup(failure_message(&why, r));
        return ret->lost ? 0 : -ENOMEM;
}

static int source_next(void *userdata, BackupStream *ret, Failure *reterr_failure) {
        HanaSource *s = ASSERT_PTR(userdata);
        const Work *w;
        int r = 0;

        s->fd = safe_close(s->fd);
        s->size = s->given = 0;
        while (s->next_file == s->files.n) {
                if (s->next == s->n)
                        return 0;
                r = begin_work(s, reterr_failure);
                if (r < 0)
                        return r;
        }
        w = s->works + s->next - 1;
        r = asprintf_safe(&ret->path, "%s/%s", w->folder, s->files.items[s->next_file].name);
        if (r >= 0)
                r = open_next(s, ret, reterr_failure);
        if (r < 0)
                return r;
        ret->mode = 0600;
        ret->sized = !ret->lost;
        ret->size = s->size;
        ret->note = TAKE_PTR(s->note);
        return 1;
}

static ssize_t source_read(void *userdata, void *p, size_t n, Failure *reterr_failure) {
        HanaSource *s = ASSERT_PTR(userdata);
        const HanaFile *f = s->files.items + s->next_file - 1;
        size_t left = (size_t) MIN(s->size - s->given, (uint64_t) n);
        ssize_t k;

        if (f->text) {
                memcpy(p, f->text + s->given, left);
                s->given += left;
                return (ssize_t) left;
        }
        if (left == 0)
                return 0;
        k = pread_full(s->fd, p, left, (off_t) s->given);
        if (k < 0 || (size_t) k < left)
                return failure_set(reterr_failure, k < 0 ? (int) k : -EIO, "PIECE_MISSING",
                                   k < 0 ? "%s cannot be read: %m" : "%s became shorter while it was read",
                                   f->path);
        s->given += left;
        return k;
}

/* --- The face ----------------------------------------------------------------------------------------- */

static int look_around(HanaSource *s, Failure *reterr_failure) {
        _cleanup_buffer_ Buffer b = BUFFER_NULL;
        int r;

        r = hana_sql_look(&b);
        if (r >= 0)
                r = hana_tool_ask(&s->tool, b.data, &s->is, reterr_failure);
        if (r < 0)
                return r;
        if (!s->is.database || !s->is.databases)
                return failure_set(reterr_failure, -EREMOTEIO, "HANA_FAILED",
                                   "SAP HANA does not tell which databases it has");
        return 0;
}

int hana_source_new(const HanaSourceArgs *args, HanaSource **ret, Failure *reterr_failure) {
        _cleanup_(hana_source_freep) HanaSource *s = NULL;
        int r;

        assert(args && args->source && args->source->hana);
        assert(ret);

        s = new0(HanaSource, 1);
        if (!s)
                return -ENOMEM;
        s->args = args;
        s->settings = args->source->hana;
        s->place = HANA_PLACE_NULL;
        s->fd = -EBADF;
        s->streams = (BackupStreams){ s, source_next, source_read };
        r = hana_tool_find(&args->finder, s->settings, args->password, args->cancel, &s->tool,
                           reterr_failure);
        s->tool.retry_base = args->retry_base;
        s->tool.retry_cap = args->retry_cap;
        if (r >= 0 && via_place(s))
                r = hana_place_open(s->settings->directory, &s->place, reterr_failure);
        if (r >= 0)
                r = look_around(s, reterr_failure);
        if (r >= 0)
                r = choose(s, reterr_failure);
        if (r >= 0)
                r = check_rights(s, reterr_failure);
        if (r >= 0)
                r = begin_work(s, reterr_failure);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

char *const *hana_source_paths(const HanaSource *s) {
        static char *const paths[] = { (char *) "/" HANA_FOLDER, NULL };

        return paths;
}

const BackupStreams *hana_source_streams(const HanaSource *s) {
        assert(s);

        return &s->streams;
}

int hana_source_stored(HanaSource *s, Failure *reterr_failure) {
        int r = 0;

        assert(s);

        STRV_FOREACH(name, s->stored) {
                int k = hana_place_remove(&s->place, *name);

                r = r < 0 ? r : k;
        }
        s->stored = strv_free(s->stored);
        if (r < 0)
                return failure_set(reterr_failure, r, "DIRECTORY_UNUSABLE",
                                   "What SAP HANA wrote into %s is stored, but cannot be removed there: %s",
                                   s->settings->directory, strerror(-r));
        return 0;
}
