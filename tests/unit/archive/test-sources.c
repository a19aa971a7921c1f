/* SPDX-License-Identifier: Apache-2.0 */

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/links.h"
#include "archive/mounts.h"
#include "archive/names.h"
#include "archive/sources.h"
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fd.h"
#include "base/text.h"
#include "tests/test.h"

static void test_tree(void) {
        char *paths[] = { (char *) "/srv//data/", (char *) "/srv/data/./x", (char *) "/srv/data",
                          (char *) "/etc", NULL };
        _cleanup_(sources_done) Sources s = SOURCES_NULL;
        const SourceNode *srv, *data;

        CHECK_OK(sources_init(&s, paths, NULL));
        CHECK_INT(s.n_paths, 3);
        CHECK_STR(s.paths[0], "/srv/data");
        CHECK_STR(s.paths[1], "/srv/data/x");
        CHECK_STR(s.paths[2], "/etc");
        CHECK_INT(s.root->n_children, 2);
        CHECK_STR(s.root->children[0]->name, "etc");
        srv = source_node_child(s.root, "srv");
        CHECK(srv && !srv->is_source);
        data = source_node_child(srv, "data");
        CHECK(data && data->is_source);
        CHECK_INT(data->index, 0);
        CHECK_INT(source_node_child(data, "x")->index, 1);
        CHECK(!source_node_child(data, "y"));
}

static void test_refused(void) {
        static const char *const bad[] = { "etc", "", "/a/../b", "/..", "./x" };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_failure_ Failure failure = FAILURE_NULL;
                _cleanup_(sources_done) Sources s = SOURCES_NULL;
                char *paths[] = { (char *) bad[i], NULL };

                CHECK_INT(sources_init(&s, paths, &failure), -EINVAL);
                CHECK(strstr(failure.message, bad[i]));
        }
}

static void test_root(void) {
        char *paths[] = { (char *) "/", NULL };
        _cleanup_(sources_done) Sources s = SOURCES_NULL;

        CHECK_OK(sources_init(&s, paths, NULL));
        CHECK(s.root->is_source);
        CHECK_STR(s.paths[0], "/");
}

/* As deep as a path can be: no recursion anywhere. */
static void test_deep(void) {
        _cleanup_buffer_ Buffer path = BUFFER_NULL;
        _cleanup_(sources_done) Sources s = SOURCES_NULL;
        char *paths[2] = {};

        for (size_t i = 0; i < 2000; i++)
                CHECK_OK(buffer_add_string(&path, "/a"));
        paths[0] = path.data;
        CHECK_OK(sources_init(&s, paths, NULL));
        CHECK_INT(strlen(s.paths[0]), 4000);
}

static void test_mounts(void) {
        static const char text[] =
                        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
                        "30 22 0:40 / /mnt/na\\040s rw - nfs4 server:/x rw\n"
                        "31 22 0:41 / /home/u/.gvfs rw - fuse.gvfsd-fuse gvfsd rw\n"
                        "32 22 0:42 / /tmp rw - tmpfs tmpfs rw\n"
                        "broken line\n";
        _cleanup_(mounts_freep) Mounts *m = NULL;

        CHECK_OK(mounts_parse(text, &m));
        CHECK(mounts_is_remote(m, "mnt/na s"));
        CHECK(mounts_is_remote(m, "home/u/.gvfs"));
        CHECK(!mounts_is_remote(m, ""));
        CHECK(!mounts_is_remote(m, "tmp"));
        CHECK(!mounts_is_remote(m, "mnt"));
        CHECK(mounts_is_below_remote(m, "/mnt/na s/x/y"));
        CHECK(!mounts_is_below_remote(m, "/mnt/na short"));
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* A list that never fits its budget gives the same names in the same order. */
static void test_names(void) {
        char dir[] = "/tmp/test-names-XXXXXX", *expected[3000];
        _cleanup_(fs_freep) Fs *fs = NULL;
        _cleanup_close_ int fd = -EBADF;

        CHECK(mkdtemp(dir));
        fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CHECK(fd >= 0);
        for (unsigned i = 0; i < ELEMENTSOF(expected); i++) {
                _cleanup_close_ int file = -EBADF;

                CHECK_OK(asprintf_safe(&expected[i], "%x-name%u", i * 2654435761U, i));
                file = openat(fd, expected[i], O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
                CHECK(file >= 0);
        }
        qsort(expected, ELEMENTSOF(expected), sizeof *expected, compare_names);
        CHECK_OK(fs_new(USEC_PER_SEC, NULL, &fs));
        for (size_t budget = 8000; budget < 1 << 20; budget *= 3) {
                _cleanup_(name_list_done) NameList l = NAME_LIST_NULL;
                size_t n = 0;

                fs_guard(fs, budget > 100000);
                CHECK_OK(name_list_read(&l, fs, fd, budget));
                for (;;) {
                        const char *name;
                        unsigned char type;
                        int r = name_list_peek(&l, fs, fd, &name, &type);

                        CHECK_OK(r);
                        if (r == 0)
                                break;
                        CHECK(n < ELEMENTSOF(expected));
                        CHECK_STR(name, expected[n]);
                        CHECK_INT(type, DT_REG);
                        name_list_skip(&l);
                        n++;
                }
                CHECK_INT(n, ELEMENTSOF(expected));
                CHECK(name_list_memory(&l) <= 2 * budget + 8192);
        }
        for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
                CHECK(unlinkat(fd, expected[i], 0) >= 0);
                free(expected[i]);
        }
        CHECK(rmdir(dir) >= 0);
}

static void test_links(void) {
        _cleanup_(links_freep) Links *l = NULL;
        uint64_t i;

        CHECK_OK(links_new(4096, &l));
        CHECK(!links_find(l, 1, 2));
        CHECK_INT(links_add(l, 1, 2, 3, "first"), 1);
        CHECK_STR(links_find(l, 1, 2), "first");
        CHECK(!links_find(l, 2, 1));
        CHECK_STR(links_find(l, 1, 2), "first");
        /* All three names were seen. */
        CHECK(!links_find(l, 1, 2));
        for (i = 0; links_add(l, 1, i, 2, "a path of some length") == 1; i++)
                CHECK(i < 1000);
        CHECK(i > 10);
        /* What is through makes room. */
        CHECK_STR(links_find(l, 1, 0), "a path of some length");
        CHECK_INT(links_add(l, 9, 9, 2, "a path of some length"), 1);
}

int main(void) {
        RUN(test_tree);
        RUN(test_refused);
        RUN(test_root);
        RUN(test_deep);
        RUN(test_mounts);
        RUN(test_names);
        RUN(test_links);
        return 0;
}
