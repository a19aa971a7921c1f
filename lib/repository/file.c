/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "repository/file.h"

/* The first byte of a plain file, where it is not that of JSON. */
#define ENCODING_ZSTD 2

void repo_file_done(RepoFile *f) {
        assert(f);

        free(f->plain);
        decompressor_free(f->decompressor);
        *f = REPO_FILE_NULL;
}

int repo_file_open(Cipher *cipher, const Id *name, uint8_t *stored, size_t n, RepoFile *ret) {
        _cleanup_(repo_file_done) RepoFile f = { .plain = stored };
        Id id;
        int r;

        assert(cipher);
        assert(stored);
        assert(ret);

        if (n < CIPHER_OVERHEAD || n > REPO_FILE_SIZE_MAX)
                return -EBADMSG;
        if (name) {
                r = id_of(stored, n, &id);
                if (r < 0)
                        return r;
                if (!id_equal(&id, name))
                        return -EBADMSG;
        }
        r = cipher_open(cipher, stored, n, stored + CIPHER_IV_SIZE);
        if (r < 0)
                return r;
        f.at = CIPHER_IV_SIZE;
        f.size = n - CIPHER_MAC_SIZE;
        if (f.at == f.size)
                return -EBADMSG;
        if (stored[f.at] == ENCODING_ZSTD) {
                r = decompressor_new(&f.decompressor);
                if (r >= 0)
                        r = decompressor_begin(f.decompressor, stored + f.at + 1, f.size - f.at - 1);
                if (r < 0)
                        return r;
        } else if (stored[f.at] != '{' && stored[f.at] != '[')
                return -EBADMSG;
        *ret = f;
        f = REPO_FILE_NULL;
        return 0;
}

ssize_t repo_file_read(void *userdata, void *buf, size_t n) {
        RepoFile *f = ASSERT_PTR(userdata);

        if (f->decompressor)
                return decompressor_read(f->decompressor, buf, n);
        n = MIN(n, f->size - f->at);
        memcpy(buf, f->plain + f->at, n);
        f->at += n;
        return (ssize_t) n;
}

int repo_file_read_all(RepoFile *f, size_t max, char **ret, size_t *ret_n) {
        _cleanup_buffer_ Buffer all = BUFFER_LIMITED(max);
        char part[4096];
        ssize_t n;

        assert(f);
        assert(ret);
        assert(ret_n);

        while ((n = repo_file_read(f, part, sizeof(part))) > 0) {
                int r = buffer_add(&all, part, (size_t) n);

                if (r < 0)
                        return r;
        }
        if (n < 0)
                return (int) n;
        *ret_n = all.size;
        *ret = buffer_take(&all);
        return *ret ? 0 : -ENOMEM;
}

int repo_file_seal(Cipher *cipher, Compressor *compressor, const void *json, size_t n, uint8_t **ret,
                   size_t *ret_n) {
        _cleanup_(freep) uint8_t *out = NULL;
        uint8_t *plain;
        ssize_t size;
        int r;

        assert(cipher);
        assert(json);
        assert(ret);
        assert(ret_n);

        if (n > REPO_FILE_SIZE_MAX)
                return -EFBIG;
        out = malloc(1 + compressor_bound(n) + CIPHER_OVERHEAD);
        if (!out)
                return -ENOMEM;
        plain = out + CIPHER_IV_SIZE;
        if (compressor) {
                plain[0] = ENCODING_ZSTD;
                size = compressor_run(compressor, json, n, plain + 1, compressor_bound(n));
                if (size < 0)
                        return (int) size;
                size++;
        } else {
                memcpy(plain, json, n);
                size = (ssize_t) n;
        }
        r = cipher_seal(cipher, plain, (size_t) size, out);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(out);
        *ret_n = (size_t) size + CIPHER_OVERHEAD;
        return 0;
}
