/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/common/results.h"
#include "base/alloc.h"
#include "base/fd.h"
#include "base/file.h"
#include "tests/folder.h"
#include "tests/test.h"

static int open_folder(void) {
        _cleanup_(freep) char *below = test_folder_below();
        int fd;

        fd = open(below, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CHECK(fd >= 0);
        return fd;
}

static void test_names(void) {
        static const char *const bad[] = {
                "",
                "command-",
                "command-1",
                "command-1-",
                "command--1",
                "command-01-1",
                "command-1-01",
                "command-0-1",
                "command-1-2.jsonx",
                "command-1-2-3.json",
                "command-18446744073709551616-1",
                "Command-1-2",
                "command-1-2 ",
        };
        char text[WORK_NAME_MAX];
        WorkName name = {};

        CHECK_STR(work_name_format(text, (WorkName){ 7, 3 }, ".json"), "command-7-3.json");
        CHECK_OK(work_name_parse("command-7-3.json", ".json", &name));
        CHECK_INT(name.command, 7);
        CHECK_INT(name.attempt, 3);
        CHECK_OK(work_name_parse("command-18446744073709551615-18446744073709551615", "", &name));
        CHECK_STR(work_name_format(text, name, ""), "command-18446744073709551615-18446744073709551615");
        CHECK_INT(work_name_parse("command-7-3.json", ".lock", &name), -EINVAL);
        CHECK_INT(work_name_parse("command-7-3.json", "", &name), -EINVAL);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                CHECK_INT(work_name_parse(bad[i], "", &name), -EINVAL);
                CHECK_INT(work_name_parse(bad[i], ".json", &name), -EINVAL);
        }
}

static void test_result(void) {
        _cleanup_close_ int fd = open_folder();
        _cleanup_json_ json_t *result = json_pack("{s:s}", "status", "succeeded"), *again = NULL,
                              *bad = NULL;
        const WorkName name = { 5, 1 }, broken = { 6, 1 };
        struct stat st;

        CHECK_INT(result_load(fd, name, &again, NULL), -ENOENT);
        CHECK_OK(result_save(fd, name, result));
        CHECK_OK(result_load(fd, name, &again, NULL));
        CHECK(json_equal(result, again));
        CHECK_OK(fstatat(fd, "command-5-1.json", &st, 0));
        CHECK_INT(st.st_mode & 07777, 0600);
        result_forget(fd, name);
        CHECK(faccessat(fd, "command-5-1.json", F_OK, 0) < 0);

        CHECK_OK(write_file_atomic(fd, "command-6-1.json", "{\"a\":", 5, 0600));
        CHECK_INT(result_load(fd, broken, &bad, NULL), -EBADMSG);
        CHECK_OK(write_file_atomic(fd, "command-6-1.json", "[]", 2, 0600));
        CHECK_INT(result_load(fd, broken, &bad, NULL), -EBADMSG);
}

static void test_note(void) {
        _cleanup_close_ int fd = open_folder();
        const WorkNote note = { .kind = COMMAND_RESTORE, .run = 42 };
        const WorkName name = { 5, 2 };
        WorkNote again = {};

        CHECK_INT(work_note_load(fd, name, &again), -ENOENT);
        CHECK_OK(work_note_save(fd, name, &note));
        CHECK_OK(work_note_load(fd, name, &again));
        CHECK_INT(again.kind, COMMAND_RESTORE);
        CHECK_INT(again.run, 42);
        /* A damaged note still says that there was a command. */
        CHECK_OK(write_file_atomic(fd, "command-5-2.job", "\0\0", 2, 0600));
        CHECK_OK(work_note_load(fd, name, &again));
        CHECK(again.kind < 0);
        CHECK_INT(again.run, 0);
}

static void test_todo(void) {
        _cleanup_close_ int fd = open_folder();
        const WorkName name = { 5, 2 }, other = { 5, 3 };

        CHECK(!work_todo_holds(fd, name, "boot"));
        CHECK_OK(work_todo_save(fd, name, "boot"));
        CHECK(work_todo_holds(fd, name, "boot"));
        CHECK(!work_todo_holds(fd, name, "another"));
        CHECK(!work_todo_holds(fd, other, "boot"));
        CHECK_OK(work_todo_end(fd, name));
        CHECK(!work_todo_holds(fd, name, "boot"));
        CHECK_OK(work_todo_end(fd, name));
        /* Where the boot is not known nothing is proved. */
        CHECK_OK(work_todo_save(fd, name, ""));
        CHECK(!work_todo_holds(fd, name, ""));
        result_forget(fd, name);
        CHECK_INT(faccessat(fd, "command-5-2.todo", F_OK, 0), -1);
}

static void test_lock(void) {
        _cleanup_close_ int fd = open_folder();
        const WorkName name = { 9, 1 };
        int ready[2], status;
        pid_t child, found = 0;
        char byte;

        CHECK_INT(job_lock_probe(fd, name, &found), 0);
        CHECK_OK(pipe(ready));
        child = fork();
        CHECK(child >= 0);
        if (child == 0) {
                int lock = job_lock_take(fd, name, getpid());

                if (lock < 0 || write(ready[1], "x", 1) != 1)
                        _exit(1);
                pause();
                _exit(0);
        }
        CHECK_INT(read(ready[0], &byte, 1), 1);
        CHECK_INT(job_lock_probe(fd, name, &found), 1);
        CHECK_INT(found, child);
        CHECK_INT(job_lock_take(fd, name, 1), -EBUSY);
        CHECK_OK(kill(child, SIGKILL));
        CHECK_INT(waitpid(child, &status, 0), child);
        /* The file is still there; nobody holds it. */
        CHECK_INT(job_lock_probe(fd, name, &found), 0);
        close(ready[0]);
        close(ready[1]);
}

int main(void) {
        _cleanup_test_folder_ char *folder = test_folder_enter();

        RUN(test_names);
        RUN(test_result);
        RUN(test_note);
        RUN(test_todo);
        RUN(test_lock);
        return 0;
}
