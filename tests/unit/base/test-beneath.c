/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/beneath.h"
#include "base/fd.h"
#include "tests/test.h"

typedef int (*Open)(int dirfd, const char *path, int flags, mode_t mode);

/* A folder with a/b/file, links to a, to a/b/file, to / and to nowhere. */
static int make_folder(char *name) {
        int fd;

        CHECK(mkdtemp(name));
        fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CHECK(fd >= 0);
        CHECK(mkdirat(fd, "a", 0755) == 0 && mkdirat(fd, "a/b", 0755) == 0);
        safe_close(openat(fd, "a/b/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
        CHECK(symlinkat("a", fd, "to-a") == 0 && symlinkat("b/file", fd, "a/to-file") == 0);
        CHECK(symlinkat("/", fd, "to-root") == 0 && symlinkat("nowhere", fd, "dangling") == 0);
        return fd;
}

static void remove_folder(int fd, const char *name) {
        static const char *const files[] = { "a/b/file", "a/b/new", "a/to-file",
                                             "to-a", "to-root", "dangling" };

        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                (void) unlinkat(fd, files[i], 0);
        CHECK(unlinkat(fd, "a/b", AT_REMOVEDIR) == 0 && unlinkat(fd, "a", AT_REMOVEDIR) == 0);
        safe_close(fd);
        CHECK(rmdir(name) == 0);
}

static const struct {
        const char *path;
        int flags;
        int expected; /* 0: opens */
} cases[] = {
        { "a/b/file", O_RDONLY, 0 },
        { "a//b///file", O_RDONLY, 0 },
        { "a/b", O_RDONLY | O_DIRECTORY, 0 },
        { "a/b/", O_RDONLY | O_DIRECTORY, 0 },
        { ".", O_RDONLY | O_DIRECTORY, 0 },
        { "a/b/file", O_PATH, 0 },
        { "to-a", O_PATH | O_NOFOLLOW, 0 },
        { "dangling", O_PATH | O_NOFOLLOW, 0 },
        { "to-a/b/file", O_RDONLY, -ELOOP },
        { "to-root/etc/passwd", O_RDONLY, -ELOOP },
        { "a/to-file", O_RDONLY, -ELOOP },
        { "a/to-file", O_PATH, -ELOOP },
        { "to-a", O_RDONLY | O_DIRECTORY, -ELOOP },
        { "dangling", O_RDONLY, -ELOOP },
        { "dangling", O_WRONLY | O_CREAT, -ELOOP },
        { "../etc/passwd", O_RDONLY, -EXDEV },
        { "/etc/passwd", O_RDONLY, -EXDEV },
        { "a/none", O_RDONLY, -ENOENT },
        { "a/b/file/x", O_RDONLY, -ENOTDIR },
        { "a/b/file", O_RDONLY | O_DIRECTORY, -ENOTDIR },
        { "", O_RDONLY, -ENOENT },
};

static void check_cases(Open open_it) {
        char name[] = "/tmp/test-beneath-XXXXXX";
        int folder = make_folder(name);

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                int fd = open_it(folder, cases[i].path, cases[i].flags, 0600);

                if ((fd < 0 ? fd : 0) != cases[i].expected)
                        TEST_FAIL("'%s' with flags %#x gives %d, expected %d", cases[i].path,
                                  (unsigned) cases[i].flags, fd, cases[i].expected);
                if (fd >= 0)
                        CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
                safe_close(fd);
        }
        remove_folder(folder, name);
}

static void test_kernel(void) {
        check_cases(open_beneath);
}

static void test_by_steps(void) {
        check_cases(open_beneath_by_steps);
}

static void test_create(void) {
        static const Open ways[] = { open_beneath, open_beneath_by_steps };

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                char name[] = "/tmp/test-beneath-XXXXXX";
                int folder = make_folder(name), fd;
                struct stat st;

                fd = ways[i](folder, "a/b/new", O_WRONLY | O_CREAT | O_EXCL, 0640);
                CHECK_OK(fd);
                CHECK(fstat(fd, &st) == 0);
                CHECK_INT(st.st_mode & 0777, 0640);
                safe_close(fd);
                CHECK_INT(ways[i](folder, "a/b/new", O_WRONLY | O_CREAT | O_EXCL, 0640), -EEXIST);
                remove_folder(folder, name);
        }
}

static void test_long_name(void) {
        char name[] = "/tmp/test-beneath-XXXXXX", longer[NAME_MAX + 2];
        int folder = make_folder(name);

        memset(longer, 'x', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = 0;
        CHECK_INT(open_beneath(folder, longer, O_RDONLY, 0), -ENAMETOOLONG);
        CHECK_INT(open_beneath_by_steps(folder, longer, O_RDONLY, 0), -ENAMETOOLONG);
        remove_folder(folder, name);
}

int main(void) {
        (void) umask(022);
        RUN(test_kernel);
        RUN(test_by_steps);
        RUN(test_create);
        RUN(test_long_name);
        return 0;
}
