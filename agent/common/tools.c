/* SPDX-License-Identifier: Apache-2.0 */

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/common/tools.h"
#include "base/alloc.h"
#include "base/text.h"

static const Tool tools[] = {
        { "age", "--version" },
        { "hdbsql", "-v" },
        { "mariadb-dump", "--version" },
        { "mysqldump", "--version" },
        { "pg_dump", "--version" },
        { "pg_restore", "--version" },
        { "rclone", "version" },
        { "restic", "version" },
        { "sqlite3", "--version" },
        { "tar", "--version" },
        { "zstd", "--version" },
};

const Tool *tools_table(size_t *ret_n) {
        assert(ret_n);

        *ret_n = ELEMENTSOF(tools);
        return tools;
}

/* One directory of the list; gives what is behind it, NULL at the end. */
static const char *next_directory(const char *list, size_t *ret_n) {
        *ret_n = strcspn(list, ":");
        return list[*ret_n] ? list + *ret_n + 1 : NULL;
}

static int find(const char *directories, const char *name, char **ret, struct stat *ret_st) {
        const char *next;

        assert(ret_st);

        for (const char *d = directories; d; d = next) {
                _cleanup_(freep) char *path = NULL;
                size_t n;
                int r;

                next = next_directory(d, &n);
                if (n == 0)
                        continue;
                r = asprintf_safe(&path, "%.*s/%s", (int) MIN(n, (size_t) INT_MAX), d, name);
                if (r < 0)
                        return r;
                if (stat(path, ret_st) < 0 || !S_ISREG(ret_st->st_mode) || access(path, X_OK) < 0)
                        continue;
                *ret = TAKE_PTR(path);
                return 0;
        }
        return -ENOENT;
}

int tool_find(const char *directories, const char *name, char **ret) {
        struct stat st;

        assert(directories);
        assert(name);
        assert(ret);

        return find(directories, name, ret, &st);
}

/* FNV-1a. */
static uint64_t mix(uint64_t h, const void *data, size_t n) {
        const unsigned char *p = data;

        for (size_t i = 0; i < n; i++)
                h = (h ^ p[i]) * UINT64_C(0x100000001b3);
        return h;
}

uint64_t tools_signature(const char *directories) {
        uint64_t h = UINT64_C(0xcbf29ce484222325);

        assert(directories);

        for (size_t i = 0; i < ELEMENTSOF(tools); i++) {
                _cleanup_(freep) char *path = NULL;
                struct stat st;

                if (find(directories, tools[i].name, &path, &st) < 0)
                        continue;
                h = mix(h, path, strlen(path) + 1);
                h = mix(h, &st.st_size, sizeof(st.st_size));
                h = mix(h, &st.st_mtim, sizeof(st.st_mtim));
                h = mix(h, &st.st_ino, sizeof(st.st_ino));
        }
        return h;
}

/* --- Versions --------------------------------------------------------------------------------------- */

static bool is_version_char(char c) {
        return isalnum((unsigned char) c) || strchr(".+~-_", c);
}

/* The length of a version at p: digits first, and a dot in it unless that is not asked for. */
static size_t version_length(const char *p, const char *end, bool dotted) {
        bool has_dot = false;
        size_t n = 0;

        if (p >= end || !isdigit((unsigned char) *p))
                return 0;
        while (p + n < end && p[n] && is_version_char(p[n])) {
                has_dot = has_dot || (p[n] == '.' && p + n + 1 < end && isdigit((unsigned char) p[n + 1]));
                n++;
        }
        while (n > 0 && !isalnum((unsigned char) p[n - 1]))
                n--;
        return has_dot || !dotted ? n : 0;
}

static bool begins_word(const char *text, const char *p) {
        if (p > text && p[-1] == 'v')
                p--;
        return p == text || !is_version_char(p[-1]);
}

/* The first version that begins a word ("v1.5" does, too). */
static const char *first_version(const char *text, const char *end, bool dotted, size_t *ret_n) {
        for (const char *p = text; p < end; p++) {
                size_t n;

                if (!begins_word(text, p))
                        continue;
                n = version_length(p, end, dotted);
                if (n > 0) {
                        *ret_n = n;
                        return p;
                }
        }
        return NULL;
}

int tool_version_parse(const char *text, size_t n, char ret[static TOOL_VERSION_MAX]) {
        static const char *const marks[] = { "Distrib ", " from " }; /* the server's, not the client's own */
        const char *end, *found = NULL;
        size_t length = 0;

        assert(text || n == 0);

        end = text + n;
        for (size_t i = 0; i < ELEMENTSOF(marks) && !found; i++) {
                const char *mark = memmem(text, n, marks[i], strlen(marks[i]));

                if (mark)
                        found = first_version(mark + strlen(marks[i]), end, true, &length);
        }
        if (!found)
                found = first_version(text, end, true, &length);
        if (!found)
                found = first_version(text, end, false, &length);
        if (!found)
                return -ENODATA;
        length = MIN(length, (size_t) TOOL_VERSION_MAX - 1);
        memcpy(ret, found, length);
        ret[length] = 0;
        return 0;
}
