/* SPDX-License-Identifier: Apache-2.0 */

/* Runs a fuzzer over files and folders of seeds, so that each corpus is an ordinary test. */

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/alloc.h"
#include "base/text.h"
#include "tests/test.h"

/* What libFuzzer calls. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEED_MAX (16U << 20)

static void run_seed(const char *path) {
        _cleanup_(freep) char *data = NULL;
        size_t size;
        uint8_t *exact;

        CHECK_OK(read_file(AT_FDCWD, path, SEED_MAX, &data, &size));
        /* A copy without the closing NUL, so that a sanitizer sees a read past the end. */
        exact = malloc(size > 0 ? size : 1);
        CHECK(exact);
        memcpy(exact, data, size);
        (void) LLVMFuzzerTestOneInput(exact, size);
        free(exact);
}

static size_t run_folder(const char *path) {
        DIR *folder = opendir(path);
        struct dirent *entry;
        size_t n = 0;

        CHECK(folder);
        while ((entry = readdir(folder))) {
                _cleanup_(freep) char *seed = NULL;

                if (entry->d_name[0] == '.')
                        continue;
                CHECK_OK(asprintf_safe(&seed, "%s/%s", path, entry->d_name));
                run_seed(seed);
                n++;
        }
        closedir(folder);
        return n;
}

int main(int argc, char *argv[]) {
        size_t n = 0;

        for (int i = 1; i < argc; i++) {
                struct stat st;

                CHECK(stat(argv[i], &st) == 0);
                if (S_ISDIR(st.st_mode))
                        n += run_folder(argv[i]);
                else {
                        run_seed(argv[i]);
                        n++;
                }
        }
        printf("%zu seeds\n", n);
        return n > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
