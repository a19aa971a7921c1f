/* SPDX-License-Identifier: Apache-2.0 */

/* Both ways with the stock programs age and age-keygen. */

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "crypto/age.h"
#include "crypto/seal.h"
#include "tests/folder.h"
#include "tests/test.h"

#define FILE_MAX (16U << 20)

static int to_buffer(void *userdata, const void *p, size_t n) {
        return buffer_add(userdata, p, n);
}

/* Runs a program in the current directory; gives its exit status. */
static int run(const char *const argv[]) {
        pid_t pid = fork();
        int status;

        CHECK(pid >= 0);
        if (pid == 0) {
                (void) execvp(argv[0], (char *const *) argv);
                _exit(127);
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

#define RUN_PROGRAM(...) run((const char *const[]){ __VA_ARGS__, NULL })

/* The line of a key file that is not a comment. */
static void read_key_file(const char *path, char **ret) {
        _cleanup_(freep) char *text = NULL;
        char *line, *rest;

        CHECK_OK(read_file(AT_FDCWD, path, 4096, &text, NULL));
        rest = text;
        while ((line = strsep(&rest, "\n")))
                if (line[0] && line[0] != '#') {
                        CHECK_OK(free_and_strdup(ret, line));
                        return;
                }
        TEST_FAIL("no key in %s", path);
}

static void make_file(const char *path, size_t n, char **ret) {
        char *p = malloc(n + 1);

        CHECK(p);
        for (size_t i = 0; i < n; i++)
                p[i] = (char) (i * 31 + i / 65536);
        CHECK_OK(write_file_atomic(AT_FDCWD, path, p, n, 0600));
        *ret = p;
}

static void test_keys(void) {
        _cleanup_(freep) char *identity_text = NULL, *recipient_text = NULL, *public_text = NULL,
                              *line = NULL;
        char buf[AGE_IDENTITY_TEXT_SIZE], recipient_buf[AGE_RECIPIENT_TEXT_SIZE];
        AgeIdentity identity;
        AgeRecipient recipient;

        /* Theirs, read by us. */
        CHECK_INT(RUN_PROGRAM("age-keygen", "-o", "theirs.key"), 0);
        read_key_file("theirs.key", &identity_text);
        CHECK_OK(age_identity_parse(identity_text, &identity));
        CHECK_STR(age_identity_format(&identity, buf), identity_text);
        CHECK_OK(age_identity_recipient(&identity, &recipient));
        CHECK_INT(RUN_PROGRAM("age-keygen", "-y", "-o", "theirs.pub", "theirs.key"), 0);
        read_key_file("theirs.pub", &public_text);
        CHECK_STR(age_recipient_format(&recipient, recipient_buf), public_text);

        /* Ours, read by them. */
        CHECK_OK(age_identity_generate(&identity));
        CHECK_OK(asprintf_safe(&line, "%s\n", age_identity_format(&identity, buf)));
        CHECK_OK(write_file_atomic(AT_FDCWD, "ours.key", line, strlen(line), 0600));
        CHECK_INT(RUN_PROGRAM("age-keygen", "-y", "-o", "ours.pub", "ours.key"), 0);
        read_key_file("ours.pub", &recipient_text);
        CHECK_OK(age_identity_recipient(&identity, &recipient));
        CHECK_STR(age_recipient_format(&recipient, recipient_buf), recipient_text);
}

static void check_ours_to_theirs(const AgeRecipient recipients[2], size_t n) {
        _cleanup_(freep) char *plain = NULL, *back = NULL;
        _cleanup_(age_writer_freep) AgeWriter *w = NULL;
        _cleanup_buffer_ Buffer file = BUFFER_NULL;
        size_t size;

        make_file("plain", n, &plain);
        CHECK_OK(age_writer_new(recipients, 2, to_buffer, &file, &w));
        CHECK_OK(age_writer_write(w, plain, n));
        CHECK_OK(age_writer_finish(w));
        CHECK_OK(write_file_atomic(AT_FDCWD, "ours.age", file.data, file.size, 0600));
        (void) unlink("back");
        CHECK_INT(RUN_PROGRAM("age", "-d", "-i", "theirs.key", "-o", "back", "ours.age"), 0);
        if (n == 0) /* it makes no file then */
                return;
        CHECK_OK(read_file(AT_FDCWD, "back", FILE_MAX, &back, &size));
        CHECK_INT(size, n);
        CHECK_MEM(back, plain, n);
}

static void check_theirs_to_ours(const AgeIdentity *identity, const char *recipient, size_t n) {
        _cleanup_(freep) char *plain = NULL, *file = NULL;
        _cleanup_(age_decrypter_freep) AgeDecrypter *d = NULL;
        _cleanup_buffer_ Buffer back = BUFFER_NULL;
        AgeKeys keys = { .identities = identity, .n_identities = 1 };
        size_t size;

        make_file("plain", n, &plain);
        (void) unlink("theirs.age");
        CHECK_INT(RUN_PROGRAM("age", "-e", "-r", recipient, "-o", "theirs.age", "plain"), 0);
        CHECK_OK(read_file(AT_FDCWD, "theirs.age", FILE_MAX, &file, &size));
        CHECK_OK(age_decrypter_new(&keys, to_buffer, &back, &d));
        CHECK_OK(age_decrypter_write(d, file, size));
        CHECK_OK(age_decrypter_finish(d));
        CHECK_INT(back.size, n);
        if (n > 0)
                CHECK_MEM(back.data, plain, n);
}

static void test_files(void) {
        static const size_t sizes[] = { 0, 1, AGE_CHUNK_SIZE - 1, AGE_CHUNK_SIZE, AGE_CHUNK_SIZE + 1,
                                        2 * AGE_CHUNK_SIZE, 10 * AGE_CHUNK_SIZE + 77 };
        _cleanup_(freep) char *identity_text = NULL, *recipient_text = NULL;
        AgeRecipient recipients[2];
        AgeIdentity theirs, ours;

        read_key_file("theirs.key", &identity_text);
        CHECK_OK(age_identity_parse(identity_text, &theirs));
        CHECK_OK(age_identity_generate(&ours));
        CHECK_OK(age_identity_recipient(&ours, recipients));
        CHECK_OK(age_identity_recipient(&theirs, recipients + 1));
        read_key_file("theirs.pub", &recipient_text);
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                check_ours_to_theirs(recipients, sizes[i]);
                check_theirs_to_ours(&theirs, recipient_text, sizes[i]);
        }
}

/* A sealed secret is an age file in base64: base64 -d and age open it. */
static void test_seal(void) {
        _cleanup_(freep) char *text = NULL, *recipient_text = NULL, *back = NULL;
        AgeRecipient recipient;

        read_key_file("theirs.pub", &recipient_text);
        CHECK_OK(age_recipient_parse(recipient_text, &recipient));
        CHECK_OK(seal(&recipient, "secret", 6, &text));
        CHECK_OK(write_file_atomic(AT_FDCWD, "sealed", text, strlen(text), 0600));
        CHECK_INT(RUN_PROGRAM("sh", "-c", "base64 -d sealed | age -d -i theirs.key > unsealed"), 0);
        CHECK_OK(read_file(AT_FDCWD, "unsealed", 100, &back, NULL));
        CHECK_STR(back, "secret");
}

int main(void) {
        _cleanup_test_folder_ char *folder = test_folder_enter();

        if (RUN_PROGRAM("sh", "-c", "command -v age age-keygen >/dev/null") != 0) {
                printf("age and age-keygen are not installed\n");
                return TEST_SKIP;
        }
        RUN(test_keys);
        RUN(test_files);
        RUN(test_seal);
        return EXIT_SUCCESS;
}
