/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "sys/credentials.h"
#include "sys/daemon.h"
#include "sys/log.h"
#include "tests/test.h"

static void test_bind_unix(void) {
        char folder[] = "/tmp/backupx-test-daemon-XXXXXX";
        _cleanup_(freep) char *path = NULL;
        _cleanup_close_ int fd = -EBADF, again = -EBADF;
        struct stat st;

        CHECK(mkdtemp(folder));
        CHECK_OK(asprintf_safe(&path, "%s/s", folder));
        fd = daemon_bind_unix(path, 0640);
        CHECK_OK(fd);
        CHECK(stat(path, &st) == 0);
        CHECK_INT(st.st_mode & 0777, 0640);
        /* A living server keeps its place, a dead one's is taken. */
        CHECK_INT(daemon_bind_unix(path, 0600), -EADDRINUSE);
        fd = safe_close(fd);
        again = daemon_bind_unix(path, 0600);
        CHECK_OK(again);
        CHECK(unlink(path) == 0 && rmdir(folder) == 0);
}

/* Without a service manager the private socket is made, once; a second server is told where it is. */
static void test_listen_private(void) {
        char folder[] = "/tmp/backupx-test-daemon-XXXXXX";
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(freep) char *path = NULL;
        _cleanup_close_ int fd = -EBADF;

        CHECK(mkdtemp(folder));
        CHECK_OK(asprintf_safe(&path, "%s/door.sock", folder));
        CHECK(setenv("BACKUPX_RUNTIME_DIR", folder, 1) == 0);
        fd = daemon_listen_private("door", &failure);
        CHECK_OK(fd);
        CHECK(access(path, F_OK) == 0);
        CHECK_INT(daemon_listen_private("door", &failure), -EADDRINUSE);
        CHECK(strstr(failure_message(&failure, -EADDRINUSE), path));
        CHECK(unsetenv("BACKUPX_RUNTIME_DIR") == 0);
        CHECK(unlink(path) == 0 && rmdir(folder) == 0);
}

static void test_arguments(void) {
        char name[] = "x", config[] = "--config=/etc/x", extra[] = "more";
        char *good[] = { name, config, NULL }, *bad[] = { name, extra, NULL };
        const char *path = NULL;

        optind = 1;
        CHECK_INT(daemon_parse_argv("x", "Does nothing.", 2, good, &path), 1);
        CHECK_STR(path, "/etc/x");
        optind = 1;
        CHECK_INT(daemon_parse_argv("x", "Does nothing.", 2, bad, &path), -EINVAL);
}

static void test_bind_tcp(void) {
        static const char *const bad[] = { "", "127.0.0.1", "127.0.0.1:",
                                           ":80", "127.0.0.1:65536", "localhost:80",
                                           "[::1:80", "::1:80", "[1.2.3.4]:80" };
        static const char *const good[] = { "127.0.0.1:0", "[::1]:0", "*:0" };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_close_ int fd = daemon_bind_tcp(bad[i]);

                if (fd != -EINVAL)
                        TEST_FAIL("'%s' gave %d", bad[i], fd);
        }
        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                _cleanup_close_ int fd = daemon_bind_tcp(good[i]);

                /* A machine without IPv6 is fine. */
                if (fd < 0 && fd != -EADDRNOTAVAIL && fd != -EAFNOSUPPORT)
                        TEST_FAIL("'%s' gave %d", good[i], fd);
        }
}

static void test_credentials(void) {
        char folder[] = "/tmp/backupx-test-credentials-XXXXXX";
        _cleanup_(erase_and_freep) char *secret = NULL;
        _cleanup_(freep) char *path = NULL;
        size_t n = 0;

        CHECK(unsetenv("CREDENTIALS_DIRECTORY") == 0);
        CHECK_INT(credential_read("key", 64, &secret, &n), -ENXIO);
        CHECK(mkdtemp(folder));
        CHECK(setenv("CREDENTIALS_DIRECTORY", folder, 1) == 0);
        CHECK_INT(credential_read("key", 64, &secret, &n), -ENOENT);
        CHECK_OK(asprintf_safe(&path, "%s/key", folder));
        CHECK_OK(write_file_atomic(AT_FDCWD, path, "secret\r\n", 8, 0600));
        CHECK_INT(credential_read("key", 3, &secret, &n), -EFBIG);
        CHECK_OK(credential_read("key", 64, &secret, &n));
        CHECK_STR(secret, "secret");
        CHECK_INT(n, 6);
        CHECK(unlink(path) == 0 && rmdir(folder) == 0);
}

static void test_log_levels(void) {
        CHECK_INT(log_level_from_string("err"), LOG_ERR);
        CHECK_INT(log_level_from_string("debug"), LOG_DEBUG);
        CHECK_INT(log_level_from_string("7"), LOG_DEBUG);
        CHECK_INT(log_level_from_string("8"), -EINVAL);
        CHECK_INT(log_level_from_string(""), -EINVAL);
        CHECK_INT(log_level_from_string(NULL), -EINVAL);
        for (int i = LOG_EMERG; i <= LOG_DEBUG; i++)
                CHECK_INT(log_level_from_string(log_level_to_string(i)), i);
        CHECK(!log_level_to_string(8));
        CHECK_INT(log_set_target("syslog"), -EINVAL);
        CHECK_INT(log_set_target("console"), 0);
}

/* What log functions give back, whether the message is written or not. */
static void test_log_results(void) {
        int before = log_max_level();

        errno = EPERM;
        CHECK_INT(log_debug_errno(EIO, "not written"), -EIO);
        CHECK_INT(log_debug_errno(-EIO, "not written"), -EIO);
        log_set_max_level(LOG_DEBUG);
        CHECK_INT(log_debug_errno(EIO, "a written line with %s: %m", "control \x1b characters"), -EIO);
        log_struct(LOG_INFO, NULL, LOG_FIELDS(LOG_RUN(3), LOG_ACCOUNT("x")), "Fields go to the journal");
        CHECK_INT(errno, EPERM);
        log_set_max_level(before);
}

static void test_boot_id(void) {
        char a[BOOT_ID_TEXT_MAX], b[BOOT_ID_TEXT_MAX];

        CHECK_OK(daemon_boot_id(a));
        CHECK_OK(daemon_boot_id(b));
        CHECK_STR(a, b);
        CHECK_INT(strlen(a), BOOT_ID_TEXT_MAX - 1);
}

/* A manager that does not read its socket does not stop a daemon. */
static void test_status_never_blocks(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char folder[] = "/tmp/backupx-test-notify-XXXXXX", buffer[64];
        _cleanup_(freep) char *path = NULL;
        _cleanup_close_ int fd = -EBADF;
        ssize_t n;

        CHECK(mkdtemp(folder));
        CHECK_OK(asprintf_safe(&path, "%s/notify", folder));
        memcpy(address.sun_path, path, strlen(path) + 1);
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        CHECK(fd >= 0 && bind(fd, (struct sockaddr *) &address, sizeof(address)) == 0);
        CHECK(setenv("NOTIFY_SOCKET", path, 1) == 0);
        for (unsigned i = 0; i < 5000; i++)
                notify_status("line %u", i);
        n = recv(fd, buffer, sizeof(buffer) - 1, 0);
        CHECK(n > 0);
        buffer[n] = 0;
        CHECK_STR(buffer, "STATUS=line 0");
        CHECK(unsetenv("NOTIFY_SOCKET") == 0);
        notify_status("nobody is there");
        CHECK(unlink(path) == 0 && rmdir(folder) == 0);
}

int main(void) {
        RUN(test_bind_unix);
        RUN(test_listen_private);
        RUN(test_arguments);
        RUN(test_bind_tcp);
        RUN(test_credentials);
        RUN(test_log_levels);
        RUN(test_log_results);
        RUN(test_boot_id);
        RUN(test_status_never_blocks);
        return EXIT_SUCCESS;
}
