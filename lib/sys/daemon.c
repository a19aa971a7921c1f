/* SPDX-License-Identifier: Apache-2.0 */

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/parse.h"
#include "base/text.h"
#include "sys/config.h"
#include "sys/daemon.h"

#define STATUS_MAX 512
#define LISTEN_BACKLOG 4096 /* a fleet that reconnects at once; the kernel caps it at somaxconn */

static int help(const char *name, const char *purpose) {
        printf("%s [OPTIONS...]\n\n"
               "%s\n\n"
               "     --config=FILE  Configuration (default " CONFIG_MASTER_PATH ")\n"
               "  -h --help         Show this help\n"
               "     --version      Show the version\n",
               name, purpose);
        return 0;
}

int daemon_parse_argv(const char *name, const char *purpose, int argc, char *argv[],
                      const char **ret_config) {
        const struct option options[] = {
                { "config", required_argument, NULL, 'c' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                {},
        };
        int c;

        assert(name);
        assert(purpose);
        assert(ret_config);

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'c':
                        *ret_config = optarg;
                        break;
                case 'h':
                        return help(name, purpose);
                case 'V':
                        printf("%s " BACKUPX_VERSION "\n", name);
                        return 0;
                default:
                        return -EINVAL;
                }
        if (optind < argc) {
                fprintf(stderr, "%s: unexpected argument '%s'\n", name, argv[optind]);
                return -EINVAL;
        }
        return 1;
}

bool notify_ready(void) {
        (void) sd_notify(/* unset_environment= */ false, "READY=1");
        return true;
}

/* sd_notify() waits for a manager that does not read, and neither a word about the status nor the one at the
 * end is worth that. */
static void notify_without_waiting(const char *text) {
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -EBADF;
        size_t n;

        if (!path || (path[0] != '/' && path[0] != '@'))
                return;
        n = strlen(path);
        if (n < 2 || n > sizeof(address.sun_path) - 1)
                return;
        memcpy(address.sun_path, path, n);
        if (path[0] == '@')
                address.sun_path[0] = 0;
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return;
        (void) sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *) &address,
                      (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n + (path[0] == '/')));
}

void notify_stopping(bool *ready) {
        assert(ready);

        if (*ready)
                notify_without_waiting("STOPPING=1");
}

void notify_status(const char *format, ...) {
        char text[STRLEN("STATUS=") + STATUS_MAX] = "STATUS=";
        va_list ap;

        assert(format);

        va_start(ap, format);
        (void) vsnprintf(text + STRLEN("STATUS="), STATUS_MAX, format, ap);
        va_end(ap);
        notify_without_waiting(text);
}

int daemon_listen_fd(const char *name, unsigned index) {
        _cleanup_(strv_freep) char **names = NULL;
        int n;

        assert(name);

        n = sd_listen_fds_with_names(/* unset_environment= */ false, &names);
        if (n < 0)
                return n;
        for (int i = 0; i < n; i++) {
                if (!names[i] || !streq(names[i], name))
                        continue;
                if (index == 0)
                        return SD_LISTEN_FDS_START + i;
                index--;
        }
        return -ENOENT;
}

/* Removes the socket file of a server that is gone. */
static int remove_dead_socket(const struct sockaddr_un *address) {
        _cleanup_close_ int fd = -EBADF;

        assert(address);

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (const struct sockaddr *) address, sizeof(*address)) >= 0 || errno == EAGAIN)
                return -EADDRINUSE;
        if (errno == ENOENT)
                return 0;
        if (errno != ECONNREFUSED)
                return -errno;
        return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

int daemon_bind_unix(const char *path, mode_t mode) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -EBADF;
        mode_t old;
        int r;

        assert(path);

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path) + 1);
        r = remove_dead_socket(&address);
        if (r < 0)
                return r;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        /* Never open to more than mode, not even for a moment. */
        old = umask(~mode & 0777);
        r = bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0 ? -errno : 0;
        umask(old);
        if (r < 0)
                return r;
        if (listen(fd, LISTEN_BACKLOG) < 0)
                return -errno;
        return TAKE_FD(fd);
}

typedef union SocketAddress {
        struct sockaddr generic;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
} SocketAddress;

/* Splits "host:port" at the last colon; gives the length of the address. */
static int parse_tcp(const char *text, SocketAddress *ret, socklen_t *ret_size) {
        _cleanup_(freep) char *host = NULL;
        const char *colon = strrchr(text, ':');
        SocketAddress a = {};
        uint32_t port;

        if (!colon || parse_u32(colon + 1, 0, UINT16_MAX, &port) < 0)
                return -EINVAL;
        host = memdup0(text, (size_t) (colon - text));
        if (!host)
                return -ENOMEM;
        if (inet_pton(AF_INET, host, &a.v4.sin_addr) == 1) {
                a.v4.sin_family = AF_INET;
                a.v4.sin_port = htons((uint16_t) port);
                *ret_size = sizeof(a.v4);
                *ret = a;
                return 0;
        }
        a = (SocketAddress){};
        if (host[0] == '[' && endswith(host, "]")) {
                host[strlen(host) - 1] = 0;
                if (inet_pton(AF_INET6, host + 1, &a.v6.sin6_addr) != 1)
                        return -EINVAL;
        } else if (!streq(host, "*"))
                return -EINVAL;
        a.v6.sin6_family = AF_INET6;
        a.v6.sin6_port = htons((uint16_t) port);
        *ret_size = sizeof(a.v6);
        *ret = a;
        return 0;
}

int daemon_bind_tcp(const char *address) {
        _cleanup_close_ int fd = -EBADF;
        SocketAddress a;
        socklen_t size;
        int r, on = 1, off = 0;

        assert(address);

        r = parse_tcp(address, &a, &size);
        if (r < 0)
                return r;
        fd = socket(a.generic.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
                return -errno;
        if (a.generic.sa_family == AF_INET6 &&
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0)
                return -errno;
        if (bind(fd, &a.generic, size) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static const char *first_set(const char *a, const char *b, const char *fallback) {
        const char *v = getenv(a);

        if (isempty(v) && b)
                v = getenv(b);
        return isempty(v) ? fallback : v;
}

const char *daemon_state_directory(void) {
        return first_set("BACKUPX_STATE_DIR", "STATE_DIRECTORY", "/var/lib/backupx");
}

const char *daemon_runtime_directory(void) {
        return first_set("BACKUPX_RUNTIME_DIR", NULL, "/run/backupx");
}

int daemon_listen_private(const char *name, Failure *reterr_failure) {
        _cleanup_(freep) char *path = NULL;
        int fd;

        assert(name);

        fd = daemon_listen_fd(name, 0);
        if (fd != -ENOENT)
                return fd < 0 ? failure_set(reterr_failure, fd, "SOCKET_FAILED",
                                            "The socket '%s' of the service manager cannot be taken: %m",
                                            name) :
                                fd;
        if (asprintf_safe(&path, "%s/%s.sock", daemon_runtime_directory(), name) < 0)
                return -ENOMEM;
        fd = daemon_bind_unix(path, 0660);
        return fd < 0 ? failure_set(reterr_failure, fd, "SOCKET_FAILED", "Cannot listen at %s: %m", path) :
                        fd;
}

int daemon_boot_id(char ret[static BOOT_ID_TEXT_MAX]) {
        _cleanup_(freep) char *text = NULL;
        size_t n;
        int r;

        r = read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &text, &n);
        if (r < 0)
                return r;
        if (n < BOOT_ID_TEXT_MAX - 1)
                return -EIO;
        memcpy(ret, text, BOOT_ID_TEXT_MAX - 1);
        ret[BOOT_ID_TEXT_MAX - 1] = 0;
        return 0;
}
