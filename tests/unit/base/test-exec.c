/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/exec.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "tests/folder.h"
#include "tests/test.h"

#define CHECK_SYS(call) CHECK((call) >= 0)

static char *const environment[] = { (char *) "PATH=/usr/bin:/bin", (char *) "WORD=ok", NULL };

static int ended(pid_t pid) {
        int status = 0;

        CHECK_INT(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* What a script says; the places that are not in fds are left empty. */
static char *told(const char *script, ExecFlags flags, int third, int *ret_status) {
        char *const argv[] = { (char *) "sh", (char *) "-c", (char *) script, NULL };
        char said[4096] = "";
        int pair[2];
        ssize_t n;
        pid_t pid;

        CHECK_SYS(pipe2(pair, O_CLOEXEC));
        CHECK_OK(exec_start(
                        &(ExecArgs){
                                        .path = "/bin/sh",
                                        .argv = argv,
                                        .environment = environment,
                                        .fds = { -1, pair[1], pair[1], third },
                                        .flags = flags,
                        },
                        &pid));
        (void) close(pair[1]);
        n = read_full(pair[0], said, sizeof(said) - 1);
        CHECK(n >= 0);
        (void) close(pair[0]);
        *ret_status = ended(pid);
        return memdup0(said, (size_t) n);
}

static void check_told(const char *script, ExecFlags flags, int third, const char *expected) {
        _cleanup_(freep) char *said = NULL;
        int status;

        said = told(script, flags, third, &status);
        CHECK_STR(said, expected);
        CHECK_INT(status, 0);
}

static void test_what_it_gets(void) {
        _cleanup_close_ int high = fcntl(STDOUT_FILENO, F_DUPFD, 100); /* not closed on exec */
        _cleanup_(freep) char *said = NULL;
        int status;

        CHECK(high >= 100);
        check_told("echo $WORD $HOME; echo more >&2; readlink /proc/$$/fd/0", 0, -1,
                   "ok\nmore\n/dev/null\n");
        /* Nothing but what it was given; the shell's own are above 9, and ls has one for the folder. */
        check_told("ls /proc/self/fd | head -c 6 | tr '\\n' ' '", 0, -1, "0 1 2 ");
        check_told("ls /proc/$$/fd | grep -c 1.. || true", 0, -1, "0\n");
        said = told("exit 7", 0, -1, &status);
        CHECK_INT(status, 7);
}

/* Ours may stand anywhere, also where others of them belong. */
static void test_places(void) {
        static const char script[] = "read a; read b <&3; echo $b$a; echo x >&2";
        _cleanup_close_ int in = -EBADF, out = -EBADF;
        int pair[2], saved_in, saved_out, status;
        char *const argv[] = { (char *) "sh", (char *) "-c", (char *) script, NULL };
        char said[16] = "";
        pid_t pid;
        int r;

        CHECK_OK(write_file_atomic(AT_FDCWD, "a", "1\n", 2, 0600));
        CHECK_OK(write_file_atomic(AT_FDCWD, "b", "2\n", 2, 0600));
        CHECK_SYS(pipe2(pair, O_CLOEXEC));
        in = open("b", O_RDONLY | O_CLOEXEC);
        out = open("a", O_RDONLY | O_CLOEXEC);
        saved_in = dup(STDIN_FILENO);
        saved_out = dup(STDOUT_FILENO);
        /* 0 is what belongs to 3, 1 what belongs to 0. */
        CHECK_SYS(dup2(in, STDIN_FILENO));
        CHECK_SYS(dup2(out, STDOUT_FILENO));
        r = exec_start(&(ExecArgs){ .path = "/bin/sh",
                                    .argv = argv,
                                    .environment = environment,
                                    .fds = { STDOUT_FILENO, pair[1], -1, STDIN_FILENO } },
                       &pid);
        CHECK_SYS(dup2(saved_in, STDIN_FILENO));
        CHECK_SYS(dup2(saved_out, STDOUT_FILENO));
        (void) close(saved_in);
        (void) close(saved_out);
        CHECK_OK(r);
        (void) close(pair[1]);
        CHECK_INT(read_full(pair[0], said, sizeof(said) - 1), 3);
        CHECK_STR(said, "21\n");
        (void) close(pair[0]);
        status = ended(pid);
        CHECK_INT(status, 0);
}

static void test_flags(void) {
        sigset_t some, before;
        mode_t mask;

        (void) sigemptyset(&some);
        (void) sigaddset(&some, SIGTERM);
        CHECK_SYS(sigprocmask(SIG_BLOCK, &some, &before));
        (void) signal(SIGPIPE, SIG_IGN);
        mask = umask(0077);
        check_told("grep -E 'Sig(Blk|Ign)' /proc/self/status | tr -d '\\t'", 0, -1,
                   "SigBlk:0000000000000000\nSigIgn:0000000000000000\n");
        check_told("umask; pwd", EXEC_AT_ROOT, -1, "0022\n/\n");
        check_told("umask", 0, -1, "0077\n");
        (void) umask(mask);
        (void) signal(SIGPIPE, SIG_DFL);
        CHECK_SYS(sigprocmask(SIG_SETMASK, &before, NULL));
        check_told("grep NoNewPrivs /proc/self/status | tr -d '\\t'", EXEC_NO_PRIVILEGES, -1,
                   "NoNewPrivs:1\n");
        check_told("ulimit -c; ulimit -f", EXEC_NO_CORE | EXEC_WRITES_NO_FILES, -1, "0\n0\n");
        /* A session of its own. */
        check_told("set -- $(cat /proc/$$/stat); test $1 = $6 && echo own", 0, -1, "own\n");
}

static int attempt(const char *path) {
        char *const argv[] = { (char *) "x", NULL };
        const ExecArgs args = {
                .path = path, .argv = argv, .environment = environment, .fds = { -1, -1, -1, -1 }
        };
        pid_t pid = -7;
        int r;

        r = exec_start(&args, &pid);
        CHECK_INT(pid, -7);
        CHECK_INT(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left of it */
        CHECK_INT(errno, ECHILD);
        return r;
}

static void test_not_executed(void) {
        CHECK_INT(attempt("/nowhere/x"), -ENOENT);
        CHECK_INT(attempt("/"), -EACCES);
        CHECK_OK(write_file_atomic(AT_FDCWD, "no-program", "\1\2\3", 3, 0700));
        CHECK_INT(attempt("no-program"), -ENOEXEC);
        CHECK_OK(write_file_atomic(AT_FDCWD, "no-interpreter", "#!/nowhere/sh\n", 14, 0700));
        CHECK_INT(attempt("no-interpreter"), -ENOENT);
}

/* It lives, and is nobody's child; its failure is told all the same. */
static void test_detached(void) {
        char *const argv[] = { (char *) "sh", (char *) "-c", (char *) "echo here; read end", NULL };
        ExecArgs args = { .path = "/bin/sh",
                          .argv = argv,
                          .environment = environment,
                          .fds = { -1, -1, -1, -1 },
                          .flags = EXEC_DETACHED };
        char said[32] = "";
        int pair[2];

        CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
        args.fds[0] = args.fds[1] = pair[1];
        CHECK_OK(exec_start(&args, NULL));
        (void) close(pair[1]);
        CHECK_INT(read_full(pair[0], said, 5), 5);
        CHECK_STR(said, "here\n");
        CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
        CHECK_OK(write_full(pair[0], "\n", 1));
        CHECK_INT(read_full(pair[0], said, 1), 0);
        (void) close(pair[0]);
        args.path = "/nowhere/sh";
        args.fds[0] = args.fds[1] = -1;
        CHECK_INT(exec_start(&args, NULL), -ENOENT);
        CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_connect(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "socket" };
        _cleanup_close_ int server = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), fd = -EBADF;
        char longer[200];

        memset(longer, 'x', sizeof(longer));
        longer[sizeof(longer) - 1] = 0;
        CHECK_INT(fd_connect_unix("socket", SOCK_SEQPACKET, &fd), -ENOENT);
        CHECK_INT(fd_connect_unix(longer, SOCK_SEQPACKET, &fd), -ENAMETOOLONG);
        CHECK_SYS(bind(server, (struct sockaddr *) &address, sizeof(address)));
        CHECK_INT(fd_connect_unix("socket", SOCK_SEQPACKET, &fd), -ECONNREFUSED);
        CHECK_SYS(listen(server, 1));
        CHECK_INT(fd_connect_unix("socket", SOCK_STREAM, &fd), -EPROTOTYPE);
        CHECK_OK(fd_connect_unix("socket", SOCK_SEQPACKET | SOCK_NONBLOCK, &fd));
        CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

/* What nohup, git or a shell's "&" has ignored for us is passed on, and is not ours to test. */
static void unignore(void) {
        for (int number = 1; number < SIGRTMIN; number++)
                (void) signal(number, SIG_DFL);
}

int main(void) {
        _cleanup_test_folder_ char *folder = test_folder_enter();

        unignore();
        RUN(test_what_it_gets);
        RUN(test_places);
        RUN(test_flags);
        RUN(test_not_executed);
        RUN(test_detached);
        RUN(test_connect);
        return EXIT_SUCCESS;
}
