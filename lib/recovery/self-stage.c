/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/fd.h"
#include "base/text.h"
#include "recovery/self-stage.h"
#include "wire/json.h"
#include "wire/names.h"

#define BLOCK (256U << 10)
#define NAME_MAX_BYTES 1024
#define HOST_MAX 255

void staged_done(Staged *s) {
        assert(s);

        master_files_done(&s->files);
        free(s->database);
        free(s->hostname);
        *s = STAGED_NULL;
}

static int bad(Failure *failure, const char *why) {
        return failure_set(failure, -EBADMSG, "COPY_INVALID", "This is not a whole copy of a master: %s",
                           why);
}

/* --- The manifest ----------------------------------------------------------------------------------- */

static int parse_file(JsonReader *reader, MasterFiles *l) {
        MasterFile file = {};
        uint8_t digest[SHA256_SIZE] = {};
        const char *name = NULL;
        int r;

        (void) json_reader_string(reader, "name", JSON_REQUIRED, NAME_MAX_BYTES, &name);
        (void) json_reader_u64(reader, "size", JSON_REQUIRED, INT64_MAX, &file.size);
        (void) json_reader_u32(reader, "mode", JSON_REQUIRED, 0777, &file.mode);
        (void) json_reader_hex(reader, "sha256", JSON_REQUIRED, digest, sizeof(digest));
        r = json_reader_finish_lenient(reader);
        if (r < 0)
                return r;
        if (master_files_find(l, name))
                return json_reader_fail(reader, "name", "comes twice");
        if (!streq(name, MASTER_DATABASE) && file.size > MASTER_FILE_MAX)
                return json_reader_fail(reader, "size", "is too large");
        file.name = (char *) name;
        hex_encode(digest, sizeof(digest), file.sha256);
        return master_files_add(l, &file);
}

int stage_parse_manifest(const void *text, size_t n, Staged *ret, Failure *reterr_failure) {
        _cleanup_json_ json_t *json = NULL;
        const json_t *files = NULL, *item;
        const char *format = NULL;
        uint64_t version = 0;
        JsonReader reader;
        size_t i;
        int r;

        assert(ret);

        r = json_parse_strict(text, n, JSON_DEPTH_DEFAULT, &json, reterr_failure);
        if (r < 0)
                return r;
        (void) json_reader_init(&reader, json, reterr_failure);
        (void) json_reader_string(&reader, "format", JSON_REQUIRED, 64, &format);
        (void) json_reader_u64(&reader, "version", JSON_REQUIRED, UINT32_MAX, &version);
        (void) json_reader_time(&reader, "created", JSON_REQUIRED, &ret->created);
        (void) json_reader_strdup(&reader, "hostname", JSON_OPTIONAL, HOST_MAX, &ret->hostname);
        (void) json_reader_array(&reader, "files", JSON_REQUIRED, MASTER_FILES_MAX, &files);
        r = json_reader_finish_lenient(&reader);
        if (r < 0)
                return r;
        if (!streq(format, "backupx-master") || version != 1)
                return bad(reterr_failure,
                           "its manifest is of another format, or of a newer version of BackupX");
        json_array_foreach((json_t *) files, i, item) {
                JsonReader row;

                (void) json_reader_element(&reader, "files", i, item, &row);
                r = parse_file(&row, &ret->files);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- Files ------------------------------------------------------------------------------------------ */

/* All content of the member to memory; for erasing and free(). */
static int read_small(PaxReader *pax, const Member *m, char **ret) {
        char *data;
        uint64_t offset = 0;
        int r = 0;

        if (m->type != MEMBER_FILE || m->sparse || m->size > MASTER_FILE_MAX)
                return -EBADMSG;
        data = new0(char, m->size + 1);
        if (!data)
                return -ENOMEM;
        for (uint64_t at = 0; at < m->size;) {
                ssize_t n = pax_reader_data(pax, data + at, m->size - at, &offset);

                if (n <= 0) {
                        r = n < 0 ? (int) n : -EBADMSG;
                        break;
                }
                at += (uint64_t) n;
        }
        if (r < 0) {
                explicit_bzero(data, m->size);
                free(data);
                return r;
        }
        *ret = data;
        return 0;
}

static int read_database(PaxReader *pax, const Member *m, const char *path,
                         char ret[static SHA256_HEX_SIZE]) {
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0660);
        _cleanup_(sha256_freep) Sha256 *hash = NULL;
        _cleanup_(freep) char *block = malloc(BLOCK);
        uint8_t digest[SHA256_SIZE];
        uint64_t offset;
        ssize_t n;
        int r;

        if (fd < 0)
                return -errno;
        if (!block)
                return -ENOMEM;
        if (m->sparse)
                return -EBADMSG;
        if (fchmod(fd, 0660) < 0)
                return -errno;
        r = sha256_new(&hash);
        while (r >= 0 && (n = pax_reader_data(pax, block, BLOCK, &offset)) != 0) {
                r = n < 0 ? (int) n : write_full(fd, block, (size_t) n);
                if (r >= 0)
                        r = sha256_add(hash, block, (size_t) n);
        }
        if (r >= 0)
                r = sha256_finish(hash, digest);
        if (r >= 0)
                hex_encode(digest, sizeof(digest), ret);
        return r < 0 || fsync(fd) == 0 ? r : -errno;
}

static int read_member(PaxReader *pax, const Member *m, const char *path, Staged *s, Failure *failure) {
        char digest[SHA256_HEX_SIZE];
        MasterFile *file;
        int r;

        if (endswith(m->path, "/README"))
                return 0;
        file = (MasterFile *) master_files_find(&s->files, m->path);
        if (!file || m->type != MEMBER_FILE || m->size != file->size || file->data)
                return bad(failure, "it has a file that its manifest does not know");
        if (streq(file->name, MASTER_DATABASE)) {
                if (s->database)
                        return bad(failure, "it has two databases");
                r = read_database(pax, m, path, digest);
                if (r >= 0)
                        r = free_and_strdup(&s->database, path);
        } else {
                r = read_small(pax, m, &file->data);
                if (r >= 0)
                        r = sha256_hex(file->data, file->size, digest);
        }
        if (r < 0)
                return r;
        return streq(digest, file->sha256) ? 0 : bad(failure, "a file has not the content that was stored");
}

static int read_manifest(PaxReader *pax, Staged *s, Failure *failure) {
        _cleanup_(member_done) Member m = MEMBER_NULL;
        _cleanup_(freep) char *text = NULL;
        int r;

        r = pax_reader_next(pax, &m, NULL);
        if (r == 0 || (r > 0 && !streq(strempty(m.path), MASTER_MANIFEST)))
                return bad(failure, "it does not begin with a manifest");
        if (r > 0)
                r = read_small(pax, &m, &text);
        return r < 0 ? r : stage_parse_manifest(text, m.size, s, failure);
}

static int check_complete(const Staged *s, Failure *failure) {
        if (!s->database || !master_files_find(&s->files, MASTER_KEYS CREDENTIAL_DISPATCHER))
                return bad(failure, "its database or its key is missing");
        for (size_t i = 0; i < s->files.n; i++)
                if (!s->files.items[i].data && !streq(s->files.items[i].name, MASTER_DATABASE))
                        return bad(failure, "it ends before its last file");
        return 0;
}

int stage_read(BundleReader *reader, const char *path, Staged *ret, Failure *reterr_failure) {
        _cleanup_(pax_reader_freep) PaxReader *pax = NULL;
        _cleanup_(staged_done) Staged s = STAGED_NULL;
        char rest[1];
        int r;

        assert(reader);
        assert(path);
        assert(ret);

        r = pax_reader_new(bundle_reader_read, reader, &pax);
        if (r >= 0)
                r = read_manifest(pax, &s, reterr_failure);
        while (r >= 0) {
                _cleanup_(member_done) Member m = MEMBER_NULL;

                r = pax_reader_next(pax, &m, NULL);
                if (r <= 0)
                        break;
                r = read_member(pax, &m, path, &s, reterr_failure);
        }
        /* To the very end: only that shows that nothing was cut or changed. */
        while (r >= 0) {
                r = (int) bundle_reader_read(reader, rest, sizeof(rest));
                if (r == 0)
                        break;
        }
        if (r >= 0)
                r = check_complete(&s, reterr_failure);
        if (r < 0)
                return failure_set(reterr_failure, r, "COPY_INVALID", "The copy cannot be read: %m");
        *ret = s;
        s = STAGED_NULL;
        return 0;
}
