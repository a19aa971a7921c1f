/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/prompt.h"

#define LINE_LIMIT 1024

/* The terminal without echo until the variable goes out of scope. */
typedef struct Echo {
        int fd;
        struct termios before;
} Echo;

static void echo_restore(Echo *e) {
        if (e->fd >= 0)
                (void) tcsetattr(e->fd, TCSAFLUSH, &e->before);
}

static void echo_off(int fd, Echo *e) {
        struct termios quiet;

        assert(e);

        if (tcgetattr(fd, &e->before) < 0)
                return;
        quiet = e->before;
        quiet.c_lflag &= ~(tcflag_t) (ECHO | ECHOE | ECHOK);
        quiet.c_lflag |= ECHONL;
        if (tcsetattr(fd, TCSAFLUSH, &quiet) == 0)
                e->fd = fd;
}

/* One line without its end, read byte by byte so that nothing behind it is taken. -EPIPE: nothing there. */
static int read_line(int fd, char **ret) {
        char line[LINE_LIMIT];
        CLEANUP_ERASE(line);
        size_t n = 0;

        for (;;) {
                ssize_t got = read(fd, line + n, 1);

                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return -errno;
                if (got == 0 && n == 0)
                        return -EPIPE;
                if (got == 0 || line[n] == '\n')
                        break;
                if (++n == sizeof(line))
                        return -EFBIG;
        }
        if (n > 0 && line[n - 1] == '\r')
                n--;
        *ret = memdup0(line, n);
        return *ret ? 0 : -ENOMEM;
}

static int ask_on(int fd, const char *question, bool echo, char **ret) {
        _cleanup_(echo_restore) Echo quiet = { .fd = -EBADF };

        if (!echo)
                echo_off(fd, &quiet);
        if (dprintf(fd, "%s: ", question) < 0)
                return -errno;
        return read_line(fd, ret);
}

static int ask(Cli *c, const char *question, bool echo, char **ret) {
        _cleanup_(closep) int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

        if (fd < 0)
                return failure_set(&c->failure, -ENOTTY, "USAGE", "There is no terminal to ask for: %s",
                                   question);
        return ask_on(fd, question, echo, ret);
}

static int password_from_file(Cli *c, const char *path, char **ret) {
        _cleanup_(erase_and_freep) char *password = NULL;
        int r;

        assert(c);

        r = streq(path, "-") ? read_line(STDIN_FILENO, &password) :
                               read_file(AT_FDCWD, path, LINE_LIMIT, &password, NULL);
        if (r < 0)
                return failure_set(&c->failure, r, "PASSWORD_FILE",
                                   "The password in '%s' cannot be read: %m", path);
        password[strcspn(password, "\r\n")] = 0;
        *ret = TAKE_PTR(password);
        return 0;
}

int prompt_password(Cli *c, const Arguments *a, const char *question, bool is_new, char **ret) {
        _cleanup_(erase_and_freep) char *first = NULL, *second = NULL;
        const char *file = arguments_value(a, "password-file");
        int r;

        assert(c);
        assert(ret);

        if (file)
                return password_from_file(c, file, ret);
        r = ask(c, question, /* echo= */ false, &first);
        if (r < 0)
                return r;
        if (is_new) {
                r = ask(c, "The same again", /* echo= */ false, &second);
                if (r < 0)
                        return r;
                if (!streq(first, second))
                        return failure_set(&c->failure, -EINVAL, "PASSWORD", "The two are not the same.");
        }
        *ret = TAKE_PTR(first);
        return 0;
}

int prompt_line(Cli *c, const char *question, const char *fallback, char **ret) {
        _cleanup_(freep) char *full = NULL, *line = NULL;
        int r;

        assert(c);
        assert(fallback);
        assert(ret);

        r = asprintf_safe(&full, "%s [%s]", question, fallback);
        if (r >= 0)
                r = ask(c, full, /* echo= */ true, &line);
        if (r < 0)
                return r;
        if (isempty(line))
                return free_and_strdup(ret, fallback);
        *ret = TAKE_PTR(line);
        return 0;
}

int prompt_sure(Cli *c, const Arguments *a, const char *question) {
        _cleanup_(freep) char *answer = NULL;
        int r;

        assert(c);
        assert(a);

        if (arguments_has(a, "yes"))
                return 0;
        r = prompt_line(c, question, "no", &answer);
        if (r < 0)
                return failure_set(&c->failure, r, "USAGE", "Say --yes to go on.");
        if (streq(answer, "y") || streq(answer, "yes"))
                return 0;
        return failure_set(&c->failure, -ECANCELED, "CANCELLED", "Nothing was done.");
}
