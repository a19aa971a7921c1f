/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "sys/creds.h"

#define SYSTEMD_CREDS "systemd-creds"

int creds_path(const Creds *c, const char *name, char **ret) {
        assert(c);
        assert(name);
        assert(ret);

        return asprintf_safe(ret, "%s/%s%s", c->folder, c->prefix, name);
}

int creds_exist(const Creds *c, const char *name, Failure *reterr_failure) {
        _cleanup_(freep) char *path = NULL;
        struct stat st;
        int r;

        assert(c);
        assert(name);

        r = creds_path(c, name, &path);
        if (r < 0)
                return r;
        if (stat(path, &st) < 0) {
                if (errno == ENOENT)
                        return 0;
                return failure_set(reterr_failure, -errno, "CREDENTIAL_UNREADABLE", "Cannot look at %s: %m",
                                   path);
        }
        /* What a crash of a file system left is no secret. */
        if (!S_ISREG(st.st_mode) || st.st_size == 0)
                return failure_set(
                                reterr_failure, -EUCLEAN, "CREDENTIAL_INVALID",
                                "%s is empty or not a file. Restore it from a copy, or remove it to have a "
                                "new one made: what was sealed to the old one cannot be opened then",
                                path);
        return 1;
}

/* Runs systemd-creds with one end of a pipe as its standard input or output. */
static int spawn_creds(char *const argv[], int fd, int as, pid_t *ret) {
        posix_spawn_file_actions_t actions;
        int r;

        r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return -r;
        r = posix_spawn_file_actions_adddup2(&actions, fd, as);
        if (r == 0)
                r = posix_spawnp(ret, SYSTEMD_CREDS, &actions, NULL, argv, environ);
        posix_spawn_file_actions_destroy(&actions);
        return -r;
}

static int wait_for(pid_t pid) {
        int status;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPROTO;
}

/* systemd-creds encrypt --name=… - FILE, the secret on its standard input. */
static int encrypt_to(const char *name, const char *secret, const char *file) {
        _cleanup_close_ int reader = -EBADF, writer = -EBADF;
        _cleanup_(freep) char *option = NULL;
        int fds[2], r, k;
        pid_t pid;

        r = asprintf_safe(&option, "--name=%s", name);
        if (r < 0)
                return r;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        reader = fds[0];
        writer = fds[1];
        r = spawn_creds((char *const[]){ (char *) SYSTEMD_CREDS, (char *) "encrypt", option, (char *) "-",
                                         (char *) file, NULL },
                        reader, STDIN_FILENO, &pid);
        if (r < 0)
                return r;
        reader = safe_close(reader);
        r = write_full(writer, secret, strlen(secret));
        writer = safe_close(writer);
        k = wait_for(pid);
        return r < 0 ? r : k;
}

/* systemd-creds decrypt --name=… FILE -, the secret on its standard output. */
static int decrypt_from(const char *name, const char *file, char **ret) {
        _cleanup_close_ int reader = -EBADF, writer = -EBADF;
        char buffer[CREDENTIAL_MAX + 1];
        CLEANUP_ERASE(buffer);
        _cleanup_(freep) char *option = NULL;
        int fds[2], r;
        ssize_t n;
        pid_t pid;

        r = asprintf_safe(&option, "--name=%s", name);
        if (r < 0)
                return r;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        reader = fds[0];
        writer = fds[1];
        r = spawn_creds((char *const[]){ (char *) SYSTEMD_CREDS, (char *) "decrypt", option, (char *) file,
                                         (char *) "-", NULL },
                        writer, STDOUT_FILENO, &pid);
        if (r < 0)
                return r;
        writer = safe_close(writer);
        n = read_full(reader, buffer, CREDENTIAL_MAX);
        reader = safe_close(reader);
        r = wait_for(pid);
        if (r < 0 || n < 0)
                return r < 0 ? r : (int) n;
        *ret = memdup0(buffer, (size_t) n);
        return *ret ? 0 : -ENOMEM;
}

static int sync_file(const char *path) {
        _cleanup_close_ int fd = -EBADF;

        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return fchmod(fd, 0600) < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int write_encrypted(const char *name, const char *secret, const char *path) {
        _cleanup_(freep) char *temporary = NULL;
        int r;

        r = asprintf_safe(&temporary, "%s.new", path);
        if (r < 0)
                return r;
        if (unlink(temporary) < 0 && errno != ENOENT)
                return -errno;
        r = encrypt_to(name, secret, temporary);
        if (r >= 0)
                r = sync_file(temporary);
        if (r >= 0 && rename(temporary, path) < 0)
                r = -errno;
        if (r < 0) {
                (void) unlink(temporary);
                return r;
        }
        return fsync_parent(AT_FDCWD, path);
}

int creds_stage(const Creds *c, const char *name, const char *secret, const char *path,
                Failure *reterr_failure) {
        int r;

        assert(c);
        assert(name);
        assert(secret);
        assert(path);

        if (!c->encrypted) {
                r = write_file_atomic(AT_FDCWD, path, secret, strlen(secret), 0600);
                return r < 0 ? failure_set(reterr_failure, r, "CREDENTIAL_UNWRITABLE", "Cannot write %s: %m",
                                           path) :
                               0;
        }
        r = write_encrypted(name, secret, path);
        if (r < 0)
                return failure_set(reterr_failure, r, "CREDENTIAL_UNWRITABLE",
                                   "Cannot write %s with systemd-creds encrypt: %m", path);
        return 0;
}

int creds_write(const Creds *c, const char *name, const char *secret, Failure *reterr_failure) {
        _cleanup_(freep) char *path = NULL;
        int r;

        assert(c);
        assert(name);
        assert(secret);

        r = mkdir_p(c->folder, 0700);
        if (r < 0)
                return failure_set(reterr_failure, r, "CREDENTIAL_UNWRITABLE", "Cannot make folder %s: %m",
                                   c->folder);
        r = creds_path(c, name, &path);
        return r < 0 ? r : creds_stage(c, name, secret, path, reterr_failure);
}

int creds_read(const Creds *c, const char *name, char **ret, Failure *reterr_failure) {
        _cleanup_(erase_and_freep) char *secret = NULL;
        _cleanup_(freep) char *path = NULL;
        int r;

        assert(c);
        assert(name);
        assert(ret);

        r = creds_path(c, name, &path);
        if (r < 0)
                return r;
        if (c->encrypted)
                r = decrypt_from(name, path, &secret);
        else
                r = read_file(AT_FDCWD, path, CREDENTIAL_MAX, &secret, NULL);
        if (r < 0)
                return failure_set(reterr_failure, r, "CREDENTIAL_UNREADABLE",
                                   "Cannot read credential %s: %m", path);
        secret[strcspn(secret, "\r\n")] = 0;
        *ret = TAKE_PTR(secret);
        return 0;
}
