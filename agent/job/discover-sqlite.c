/* SPDX-License-Identifier: Apache-2.0 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/job/discover-sqlite.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/text.h"
#include "base/times.h"
#include "wire/path.h"

#define MAGIC "SQLite format 3" /* and its final zero */
/* Of the file format, as www.sqlite.org/fileformat.html has it. */
#define AT_READ_VERSION 19U
#define AT_LIBRARY 96U
#define VERSION_WAL 2U

typedef struct Search {
        const Policy *policy;
        const atomic_bool *cancelled;
        json_t *found;
        unsigned names; /* looked at */
        bool incomplete;
} Search;

bool discover_sqlite_head(const uint8_t *data, size_t n, SqliteHead *ret) {
        uint32_t library = 0;

        assert(data || n == 0);
        assert(ret);

        if (n < SQLITE_HEAD_SIZE || memcmp(data, MAGIC, sizeof(MAGIC)) != 0)
                return false;
        for (size_t i = 0; i < sizeof(library); i++)
                library = library << 8 | data[AT_LIBRARY + i];
        *ret = (SqliteHead){
                .major = library / 1000000,
                .minor = library / 1000 % 1000,
                .patch = library % 1000,
                .wal = data[AT_READ_VERSION] == VERSION_WAL,
        };
        return true;
}

/* --- One file ------------------------------------------------------------------------------------------ */

/* Globs may overlap. */
static bool is_known(const Search *s, const json_t *path) {
        const json_t *file;
        size_t i;

        json_array_foreach(s->found, i, file) {
                if (json_equal(json_object_get(file, "path"), path))
                        return true;
        }
        return false;
}

static int append(Search *s, const char *path, const struct stat *st, const SqliteHead *head) {
        char version[sizeof("4294.999.999") + 8];
        _cleanup_json_ json_t *json = json_object(), *name = json_from_path(path);
        int r;

        assert(s);
        assert(head);

        if (!name)
                return -ENOMEM;
        if (is_known(s, name))
                return 0;
        if (json_array_size(s->found) >= DISCOVER_FILES_MAX) {
                s->incomplete = true;
                return 0;
        }
        (void) snprintf(version, sizeof(version), "%u.%u.%u", head->major, head->minor, head->patch);
        r = json_set(json, "path", TAKE_PTR(name));
        if (r >= 0)
                r = json_set(json, "size_bytes", json_from_u64((uint64_t) st->st_size));
        if (r >= 0)
                r = json_set(json, "modified_at",
                             json_from_time((usec_t) MAX(st->st_mtim.tv_sec, 0) * USEC_PER_SEC));
        if (r >= 0)
                r = json_set(json, "version", head->major > 0 ? json_string(version) : json_null());
        if (r >= 0)
                r = json_set(json, "wal", json_boolean(head->wal));
        return r < 0 ? r : json_append(s->found, TAKE_PTR(json));
}

static int look_at_file(Search *s, int folder, const char *name, const char *path) {
        uint8_t data[SQLITE_HEAD_SIZE];
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        SqliteHead head;
        ssize_t n;

        assert(s);

        if (policy_check_listing(s->policy, path, NULL) < 0)
                return 0;
        /* What is no file may block, or do something, when it is opened. */
        if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
            st.st_size < (off_t) SQLITE_HEAD_SIZE)
                return 0;
        fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0) {
                s->incomplete = s->incomplete || errno != ENOENT;
                return 0;
        }
        n = pread(fd, data, sizeof(data), 0);
        if (n < 0 || !discover_sqlite_head(data, (size_t) n, &head))
                return 0;
        return append(s, path, &st, &head);
}

/* --- Directories --------------------------------------------------------------------------------------- */

static void closedirp(DIR **d) {
        if (*d)
                (void) closedir(*d);
}

/* The entries of a directory that one part of a glob matches. */
static int list_names(Search *s, int folder, const char *pattern, char ***ret) {
        _cleanup_close_ int copy = -EBADF;
        _cleanup_(closedirp) DIR *dir = NULL;
        const struct dirent *entry;

        assert(s);

        if (!strpbrk(pattern, "*?[\\"))
                return strv_extend(ret, pattern);
        copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        dir = copy < 0 ? NULL : fdopendir(copy);
        if (!dir) {
                s->incomplete = true;
                return 0;
        }
        TAKE_FD(copy);
        while ((entry = readdir(dir))) {
                int r = 0;

                if (atomic_load(s->cancelled))
                        return -ECANCELED;
                if (s->names++ >= DISCOVER_NAMES_MAX) {
                        s->incomplete = true;
                        return 0;
                }
                if (!streq(entry->d_name, ".") && !streq(entry->d_name, "..") &&
                    fnmatch(pattern, entry->d_name, FNM_PERIOD) == 0)
                        r = strv_extend(ret, entry->d_name);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A directory that may be looked into; a negative descriptor: it may not, or is none. */
static int open_folder(Search *s, int parent, const char *name, const char *path) {
        int fd;

        if (policy_check_listing(s->policy, path, NULL) < 0)
                return -EPERM;
        fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                s->incomplete = s->incomplete || (errno != ENOENT && errno != ENOTDIR && errno != ELOOP);
        return fd;
}

/* glob is what is left of it behind path, which folder is open at; its parts bound the depth. */
static int walk(Search *s, int folder, const char *path, const char *glob) {
        _cleanup_(strv_freep) char **names = NULL;
        _cleanup_(freep) char *part = NULL;
        size_t n = strcspn(glob, "/");
        bool last = glob[n] == 0;
        int r;

        part = memdup0(glob, n);
        if (!part)
                return -ENOMEM;
        r = list_names(s, folder, part, &names);
        STRV_FOREACH(name, names) {
                _cleanup_close_ int fd = -EBADF;
                _cleanup_(freep) char *full = NULL;

                if (r < 0)
                        return r;
                r = asprintf_safe(&full, "%s/%s", path, *name);
                if (r < 0)
                        return r;
                if (last) {
                        r = look_at_file(s, folder, *name, full);
                        continue;
                }
                fd = open_folder(s, folder, *name, full);
                if (fd >= 0)
                        r = walk(s, fd, full, glob + n + 1);
        }
        return r;
}

int discover_sqlite(const char *root, const Policy *policy, char *const *globs, const atomic_bool *cancelled,
                    json_t **ret, bool *ret_incomplete) {
        _cleanup_json_ json_t *found = json_array();
        _cleanup_close_ int top = -EBADF;
        Search s = { .policy = policy, .cancelled = cancelled, .found = found };
        int r = 0;

        assert(root);
        assert(policy);
        assert(ret);
        assert(ret_incomplete);

        if (!found)
                return -ENOMEM;
        top = open(isempty(root) ? "/" : root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (top < 0)
                return -errno;
        if (policy_check_listing(policy, "/", NULL) >= 0)
                STRV_FOREACH(glob, globs) {
                        r = walk(&s, top, "", *glob + 1);
                        if (r < 0)
                                return r;
                }
        *ret = TAKE_PTR(found);
        *ret_incomplete = s.incomplete;
        return 0;
}
