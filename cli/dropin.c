/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/dropin.h"
#include "sys/config.h"

#define UNIT_FOLDER "/etc/systemd/system"

int dropin_need_root(const char *what, Failure *reterr_failure) {
        assert(what);

        if (geteuid() == 0)
                return 0;
        return failure_set(reterr_failure, -EPERM, "NOT_ROOT",
                           "Only root of this machine can %s: sudo backupx …", what);
}

/* Directories that are never a backup's storage: with them open nothing is left of the sandbox. */
static bool is_forbidden(const char *path) {
        static const char *const whole[] = { "/", "/home", "/mnt", "/media", "/opt",
                                             "/srv", "/tmp", "/var", "/var/lib" };
        static const char *const below[] = { "/bin", "/boot", "/dev", "/etc", "/lib",
                                             "/lib32", "/lib64", "/libx32", "/proc", "/root",
                                             "/run", "/sbin", "/sys", "/usr" };

        for (size_t i = 0; i < ELEMENTSOF(whole); i++)
                if (streq(path, whole[i]))
                        return true;
        for (size_t i = 0; i < ELEMENTSOF(below); i++) {
                const char *rest = startswith(path, below[i]);

                if (rest && (*rest == 0 || *rest == '/'))
                        return true;
        }
        return false;
}

static bool has_unsafe_characters(const char *path) {
        for (const char *p = path; *p; p++)
                if ((unsigned char) *p < 0x20 || *p == 0x7F || strchr("\"\\%$'", *p))
                        return true;
        return !utf8_is_valid(path, strlen(path));
}

int dropin_check_directory(const char *directory, char **ret, Failure *reterr_failure) {
        _cleanup_(freep) char *resolved = NULL;
        struct stat st;

        assert(directory);
        assert(ret);

        if (directory[0] != '/')
                return failure_set(reterr_failure, -EINVAL, "USAGE",
                                   "Name the directory with its full path, not '%s'.", directory);
        resolved = realpath(directory, NULL);
        if (!resolved || stat(resolved, &st) < 0)
                return failure_set(reterr_failure, -errno, "DIRECTORY", "'%s' cannot be used: %m",
                                   directory);
        if (!S_ISDIR(st.st_mode))
                return failure_set(reterr_failure, -ENOTDIR, "DIRECTORY", "'%s' is not a directory.",
                                   resolved);
        if (is_forbidden(resolved))
                return failure_set(
                                reterr_failure, -EINVAL, "DIRECTORY",
                                "'%s' is not a place for backups alone: name a directory of "
                                "their own below it.",
                                resolved);
        if (has_unsafe_characters(resolved))
                return failure_set(reterr_failure, -EINVAL, "DIRECTORY",
                                   "The name '%s' has characters that a unit file cannot hold.", resolved);
        *ret = TAKE_PTR(resolved);
        return 0;
}

int dropin_escape(const char *path, char **ret) {
        _cleanup_(buffer_done) Buffer b = BUFFER_NULL;
        int r;

        assert(path);
        assert(ret);

        path += strspn(path, "/");
        for (const char *p = path; *p; p++) {
                bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                                (*p >= '0' && *p <= '9') || strchr(":_", *p) || (*p == '.' && p > path);

                if (*p == '/')
                        r = p[strspn(p, "/")] == 0 || p[1] == '/' ? 0 : buffer_add(&b, "-", 1);
                else if (plain)
                        r = buffer_add(&b, p, 1);
                else
                        r = buffer_printf(&b, "\\x%02x", (unsigned char) *p);
                if (r < 0)
                        return r;
        }
        if (b.size == 0) {
                r = buffer_add(&b, "-", 1);
                if (r < 0)
                        return r;
        }
        *ret = buffer_take(&b);
        return *ret ? 0 : -ENOMEM;
}

int dropin_allow(const char *unit, const char *directory, Failure *reterr_failure) {
        _cleanup_(freep) char *escaped = NULL, *folder = NULL, *path = NULL, *text = NULL;
        int r;

        assert(unit);
        assert(directory);

        r = dropin_escape(directory, &escaped);
        if (r >= 0)
                r = asprintf_safe(&folder, UNIT_FOLDER "/%s.d", unit);
        if (r >= 0)
                r = asprintf_safe(&path, "%s/allow-%s.conf", folder, escaped);
        if (r >= 0)
                r = asprintf_safe(
                                &text,
                                "# Written by backupx; to undo: delete it, systemctl daemon-reload.\n"
                                "[Service]\nReadWritePaths=\"%s\"\n",
                                directory);
        if (r >= 0)
                r = mkdir_p(folder, 0755);
        if (r >= 0)
                r = write_file_atomic(AT_FDCWD, path, text, strlen(text), 0644);
        if (r < 0)
                return failure_set(reterr_failure, r, "DROPIN", "'%s' cannot be written: %m",
                                   path ? path : unit);
        return 0;
}

static int read_list(const char *path, const char *section, const char *key, char ***ret,
                     Failure *reterr_failure) {
        _cleanup_(freep) char *data = NULL;
        const ConfigItem item = { section, key, config_parse_paths, 0 };
        ConfigArgs args = { .items = &item, .n_items = 1, .target = ret };
        size_t n;
        int r;

        r = read_file(AT_FDCWD, path, 1U << 20, &data, &n);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return failure_set(reterr_failure, r, "CONFIG", "'%s' cannot be read: %m", path);
        return config_parse(&args, path, data, n, reterr_failure);
}

static int write_list(const char *path, const char *section, const char *key, char *const *list) {
        _cleanup_(buffer_done) Buffer b = BUFFER_NULL;
        _cleanup_(freep) char *folder = strdup(path);
        char *slash = folder ? strrchr(folder, '/') : NULL;
        int r;

        if (!slash)
                return -ENOMEM;
        *slash = 0;
        r = mkdir_p(folder, 0755);
        if (r >= 0)
                r = buffer_printf(&b, "# Written by backupx.\n%s:\n  %s:\n", section, key);
        STRV_FOREACH(directory, list) {
                if (r >= 0)
                        r = buffer_printf(&b, "    - \"%s\"\n", *directory);
        }
        return r < 0 ? r : write_file_atomic(AT_FDCWD, path, b.data, b.size, 0644);
}

int dropin_list_add(const char *path, const char *section, const char *key, const char *directory,
                    Failure *reterr_failure) {
        _cleanup_(strv_freep) char **list = NULL;
        int r;

        assert(path);
        assert(section);
        assert(key);
        assert(directory);

        r = read_list(path, section, key, &list, reterr_failure);
        if (r < 0)
                return r;
        if (strv_contains(list, directory))
                return 0;
        r = strv_extend(&list, directory);
        if (r >= 0)
                r = write_list(path, section, key, list);
        if (r < 0)
                return failure_set(reterr_failure, r, "CONFIG", "'%s' cannot be written: %m", path);
        return 1;
}

bool dropin_have_systemd(void) {
        return access("/run/systemd/system", F_OK) == 0;
}

int dropin_run(const char *const *argv) {
        int status;
        pid_t pid;

        assert(argv);

        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                int null = open("/dev/null", O_RDONLY);

                if (null >= 0)
                        (void) dup2(null, STDIN_FILENO);
                (void) execvp(argv[0], (char *const *) argv);
                _exit(127);
        }
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
