/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "crypto/random.h"
#include "recovery/outfile.h"

#define OTHERS (S_IRWXG | S_IRWXO)
#define RANDOM_BYTES 8

void outfile_done(OutFile *f) {
        assert(f);

        if (f->path)
                (void) safe_close(f->fd);
        if (f->temporary)
                (void) unlink(f->temporary);
        free(f->temporary);
        free(f->path);
        *f = OUTFILE_NULL;
}

static int refuse_others(const char *what, Failure *failure) {
        return failure_set(failure, -EPERM, "READABLE_BY_OTHERS",
                           "Others could read %s: its file system keeps no permissions, or it was made with "
                           "too many. Name a file on another file system, or seal it with --recipient or "
                           "--passphrase.",
                           what);
}

/* A shell makes the file of a redirection by its umask, for all to read as a rule. */
static int check_output(bool is_sealed, Failure *failure) {
        struct stat st;

        if (fstat(STDOUT_FILENO, &st) < 0)
                return failure_set(failure, -errno, "FILE", "The standard output cannot be used: %m");
        if (!is_sealed && S_ISREG(st.st_mode) && (st.st_mode & OTHERS))
                return refuse_others("the file that standard output goes to", failure);
        return 0;
}

static int open_temporary(OutFile *f) {
        uint8_t random[RANDOM_BYTES];
        char digits[2 * RANDOM_BYTES + 1];
        int r;

        assert(f);

        r = random_bytes(random, sizeof(random));
        if (r >= 0)
                r = asprintf_safe(&f->temporary, "%s.%s~", f->path,
                                  hex_encode(random, sizeof(random), digits));
        if (r < 0)
                return r;
        f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (f->fd < 0) {
                r = -errno;
                f->temporary = mfree(f->temporary);
                return r;
        }
        return 0;
}

int outfile_open(const char *path, bool replace, bool is_sealed, OutFile *ret, Failure *reterr_failure) {
        _cleanup_(outfile_done) OutFile f = OUTFILE_NULL;
        struct stat st;
        int r;

        assert(path);
        assert(ret);

        if (streq(path, "-")) {
                r = check_output(is_sealed, reterr_failure);
                if (r >= 0)
                        *ret = (OutFile){ .fd = STDOUT_FILENO };
                return r;
        }
        if (!replace && lstat(path, &st) == 0)
                return failure_set(reterr_failure, -EEXIST, "FILE_EXISTS",
                                   "'%s' is there already. Name another file, or replace it with --force.",
                                   path);
        f.replace = replace;
        r = free_and_strdup(&f.path, path);
        if (r >= 0)
                r = open_temporary(&f);
        if (r >= 0 && fstat(f.fd, &st) < 0)
                r = -errno;
        if (r < 0)
                return failure_set(reterr_failure, r, "FILE", "'%s' cannot be written: %m", path);
        if (!is_sealed && (st.st_mode & OTHERS))
                return refuse_others(path, reterr_failure);
        *ret = f;
        f = OUTFILE_NULL;
        return 0;
}

int outfile_commit(OutFile *f, Failure *reterr_failure) {
        int r = 0;

        assert(f);

        if (!f->path)
                return 0;
        if (fsync(f->fd) < 0)
                r = -errno;
        if (r >= 0)
                r = f->replace ? rename(f->temporary, f->path) :
                                 renameat2(AT_FDCWD, f->temporary, AT_FDCWD, f->path, RENAME_NOREPLACE);
        if (r == -1)
                r = -errno;
        if (r >= 0) {
                f->temporary = mfree(f->temporary);
                r = fsync_parent(AT_FDCWD, f->path);
        }
        return r < 0 ? failure_set(reterr_failure, r, "FILE", "'%s' cannot be written: %m", f->path) : 0;
}

int sealing_writer(const Sealing *s, AgeSink sink, void *userdata, AgeWriter **ret) {
        assert(s);

        return s->passphrase ? age_writer_new_passphrase(s->passphrase, sink, userdata, ret) :
                               age_writer_new(s->recipients, s->n_recipients, sink, userdata, ret);
}

int outfile_sink(void *userdata, const void *p, size_t n) {
        OutFile *f = ASSERT_PTR(userdata);

        return write_full(f->fd, p, n);
}
