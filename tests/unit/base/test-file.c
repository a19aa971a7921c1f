/* SPDX-License-Identifier: Apache-2.0 */

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "tests/folder.h"
#include "tests/test.h"

static size_t count_files(const char *path) {
        DIR *folder = opendir(path);
        size_t n = 0;

        CHECK(folder);
        while (readdir(folder))
                n++;
        closedir(folder);
        return n - 2; /* . and .. */
}

static void test_read(void) {
        _cleanup_(freep) char *data = NULL, *large = malloc(100000), *back = NULL;
        size_t n = 0;

        CHECK_OK(write_file_atomic(AT_FDCWD, "f", "a\0b", 3, 0600));
        CHECK_OK(read_file(AT_FDCWD, "f", 3, &data, &n));
        CHECK_INT(n, 3);
        CHECK_MEM(data, "a\0b\0", 4);
        CHECK_INT(read_file(AT_FDCWD, "f", 2, &back, &n), -EFBIG);
        CHECK_INT(read_file(AT_FDCWD, "missing", 10, &back, &n), -ENOENT);
        CHECK_INT(read_file(AT_FDCWD, ".", 10, &back, &n), -EISDIR);
        CHECK(!back);
        CHECK(large);
        memset(large, 'x', 100000);
        CHECK_OK(write_file_atomic(AT_FDCWD, "g", large, 100000, 0600));
        CHECK_OK(read_file(AT_FDCWD, "g", 100000, &back, &n));
        CHECK_INT(n, 100000);
        CHECK_MEM(back, large, n);
}

static void test_empty(void) {
        _cleanup_(freep) char *data = NULL;

        CHECK_OK(write_file_atomic(AT_FDCWD, "empty", NULL, 0, 0600));
        CHECK_OK(read_file(AT_FDCWD, "empty", 0, &data, NULL));
        CHECK_STR(data, "");
}

static void test_write_atomic(void) {
        struct stat before, after;
        _cleanup_(freep) char *data = NULL;
        size_t files = count_files(".");

        CHECK_OK(write_file_atomic(AT_FDCWD, "w", "one", 3, 0640));
        CHECK(stat("w", &before) == 0);
        CHECK_INT(before.st_mode & 07777, 0640);
        CHECK_OK(write_file_atomic(AT_FDCWD, "w", "two", 3, 0600));
        CHECK(stat("w", &after) == 0);
        CHECK(before.st_ino != after.st_ino);
        CHECK_INT(after.st_mode & 07777, 0600);
        CHECK_INT(count_files("."), files + 1);

        /* Failing leaves the old file, and nothing beside it. */
        CHECK_INT(write_file_atomic(AT_FDCWD, "missing/w", "x", 1, 0600), -ENOENT);
        CHECK(mkdir("folder", 0700) == 0);
        CHECK_INT(write_file_atomic(AT_FDCWD, "folder", "x", 1, 0600), -EISDIR);
        CHECK_INT(count_files("."), files + 2);
        CHECK_OK(read_file(AT_FDCWD, "w", 10, &data, NULL));
        CHECK_STR(data, "two");
}

static void test_write_replaces_link(void) {
        _cleanup_(freep) char *data = NULL;

        CHECK_OK(write_file_atomic(AT_FDCWD, "elsewhere", "mine", 4, 0600));
        CHECK(symlink("elsewhere", "link") == 0);
        CHECK_OK(write_file_atomic(AT_FDCWD, "link", "new", 3, 0600));
        CHECK_OK(read_file(AT_FDCWD, "elsewhere", 10, &data, NULL));
        CHECK_STR(data, "mine");
}

static void test_relative_to_folder(void) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_(freep) char *data = NULL;

        CHECK_OK(mkdir_p("a/b", 0700));
        fd = open("a", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CHECK(fd >= 0);
        CHECK_OK(write_file_atomic(fd, "b/c", "deep", 4, 0600));
        CHECK_OK(read_file(AT_FDCWD, "a/b/c", 10, &data, NULL));
        CHECK_STR(data, "deep");
        CHECK_OK(fsync_parent(fd, "b/c"));
        CHECK_OK(fsync_parent(AT_FDCWD, "a"));
        CHECK_OK(fsync_parent(AT_FDCWD, "/tmp"));
        CHECK_INT(fsync_parent(fd, "missing/c"), -ENOENT);
}

static void test_mkdir_p(void) {
        struct stat st;

        CHECK_OK(mkdir_p("p/q/r", 0750));
        CHECK(stat("p/q", &st) == 0);
        CHECK_INT(st.st_mode & 07777, 0750);
        CHECK_OK(mkdir_p("p/q/r", 0700));
        CHECK_OK(mkdir_p("p//q/s/", 0700));
        CHECK_OK(mkdir_p("/tmp", 0700));
        CHECK_OK(write_file_atomic(AT_FDCWD, "p/file", "", 0, 0600));
        CHECK_INT(mkdir_p("p/file/below", 0700), -ENOTDIR);
}

static void test_full(void) {
        int pair[2];
        char buf[10];
        _cleanup_close_ int fd = -EBADF;

        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
        CHECK_OK(write_full(pair[0], "01234", 5));
        CHECK_OK(write_full(pair[0], "56789", 5));
        CHECK_INT(read_full(pair[1], buf, 10), 10);
        CHECK_MEM(buf, "0123456789", 10);
        CHECK_OK(write_full(pair[0], "x", 1));
        CHECK_OK(fd_set_nonblock(pair[1], true));
        CHECK_INT(read_full(pair[1], buf, 1), 1);
        CHECK_INT(read_full(pair[1], buf, 1), -EAGAIN);
        CHECK_OK(fd_set_nonblock(pair[1], false));
        CHECK(!(fcntl(pair[1], F_GETFL) & O_NONBLOCK));
        CHECK_OK(fd_set_cloexec(pair[1], false));
        CHECK_INT(fcntl(pair[1], F_GETFD), 0);
        CHECK_OK(fd_set_cloexec(pair[1], true));
        CHECK_INT(fcntl(pair[1], F_GETFD), FD_CLOEXEC);
        pair[0] = safe_close(pair[0]);
        CHECK_INT(pair[0], -EBADF);
        CHECK_INT(read_full(pair[1], buf, 10), 0);
        errno = EXDEV;
        pair[1] = safe_close(pair[1]);
        CHECK_INT(errno, EXDEV);
        CHECK_INT(safe_close(-EBADF), -EBADF);

        fd = open("f", O_RDONLY | O_CLOEXEC);
        CHECK(fd >= 0);
        CHECK_INT(pread_full(fd, buf, 10, 1), 2);
        CHECK_INT(pread_full(fd, buf, 10, 3), 0);
        CHECK_INT(lseek(fd, 0, SEEK_CUR), 0);
        CHECK_INT(write_full(fd, "x", 1), -EBADF);
}

int main(void) {
        _cleanup_test_folder_ char *folder = test_folder_enter();

        (void) umask(0);
        RUN(test_read);
        RUN(test_empty);
        RUN(test_write_atomic);
        RUN(test_write_replaces_link);
        RUN(test_relative_to_folder);
        RUN(test_mkdir_p);
        RUN(test_full);
        return EXIT_SUCCESS;
}
