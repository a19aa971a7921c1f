/* SPDX-License-Identifier: Apache-2.0 */

/* SFTP: what libssh2 does with files, and the configuration. Protocol version 3
 * (draft-ietf-secsh-filexfer-02) has one status, "failure", for a full disk, a name that is taken and much
 * else: what it means is found out by looking. Its rename refuses to replace. */

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/sftp.h"

#define FILE_MODE 0600
#define DIRECTORY_MODE 0700
/* Libssh2 copies what is given at once, and a server answers each 30 KB of it. */
#define WRITE_MAX (1U << 20)
#define READ_AHEAD 4
#define READ_LEAST 8192

/* --- Files --------------------------------------------------------------------------------------------- */

static int file_open(SftpSession *x, const char *path, unsigned long flags, LIBSSH2_SFTP_HANDLE **ret) {
        return SFTP_CALL_POINTER(x, *ret,
                                 libssh2_sftp_open(x->sftp, path, flags, FILE_MODE));
}

static int file_close(SftpSession *x, LIBSSH2_SFTP_HANDLE *file) {
        if (x->head.broken) {
                /* Or it would wait for the server, and keep its memory. */
                (void) shutdown(x->fd, SHUT_RDWR);
                (void) libssh2_sftp_close_handle(file);
                return -ECONNRESET;
        }
        return SFTP_CALL(x, libssh2_sftp_close_handle(file));
}

static int sftp_stat(RemoteSession *head, const char *path, RemoteEntry *ret) {
        SftpSession *x = sftp_session(head);
        LIBSSH2_SFTP_ATTRIBUTES a = {};
        int r;

        r = SFTP_CALL(x, libssh2_sftp_stat(x->sftp, path, &a));
        if (r < 0)
                return r;
        *ret = (RemoteEntry){
                .size = a.flags & LIBSSH2_SFTP_ATTR_SIZE ? a.filesize : 0,
                .modified = a.flags & LIBSSH2_SFTP_ATTR_ACMODTIME ? a.mtime * USEC_PER_SEC : 0,
                .is_directory = (a.flags & LIBSSH2_SFTP_ATTR_PERMISSIONS) && S_ISDIR(a.permissions),
        };
        return 0;
}

/* After a mere "failure": whether the name is taken. */
static int error_or_exists(RemoteSession *head, const char *path, int error) {
        char words[REMOTE_ERROR_MAX];

        if (error != -EIO)
                return error;
        memcpy(words, head->error, sizeof words);
        if (sftp_stat(head, path, &(RemoteEntry){}) >= 0)
                return -EEXIST;
        memcpy(head->error, words, sizeof words);
        return error;
}

static int sftp_usage(RemoteSession *head, const char *path, StorageUsage *ret) {
        SftpSession *x = sftp_session(head);
        LIBSSH2_SFTP_STATVFS v = {};
        int r;

        r = SFTP_CALL(x, libssh2_sftp_statvfs(x->sftp, path, strlen(path), &v));
        if (r < 0)
                return r;
        *ret = (StorageUsage){ v.f_bavail * v.f_frsize, v.f_blocks * v.f_frsize };
        return 0;
}

/* After a mere "failure" of a write: whether the disk is full. A quota does not show. */
static int error_or_full(SftpSession *x, int error) {
        char words[REMOTE_ERROR_MAX];
        LIBSSH2_SFTP_STATVFS v = {};

        if (error != -EIO || !x->file)
                return error;
        memcpy(words, x->head.error, sizeof words);
        if (SFTP_CALL(x, libssh2_sftp_fstatvfs(x->file, &v)) >= 0 && v.f_bavail * v.f_frsize < WRITE_MAX)
                return remote_session_error(&x->head, -ENOSPC, "its file system is full");
        memcpy(x->head.error, words, sizeof words);
        return error;
}

static int sftp_create(RemoteSession *head, const char *path, uint64_t size) {
        SftpSession *x = sftp_session(head);
        int r;

        r = file_open(x, path, LIBSSH2_FXF_WRITE | LIBSSH2_FXF_CREAT | LIBSSH2_FXF_EXCL, &x->file);
        return r < 0 ? error_or_exists(head, path, r) : 0;
}

static int sftp_resume(RemoteSession *head, const char *path, uint64_t offset) {
        SftpSession *x = sftp_session(head);
        RemoteEntry there = {};
        int r;

        r = sftp_stat(head, path, &there);
        if (r >= 0 && there.size < offset)
                return remote_session_error(head, -EIO, "the server lost what it had taken");
        if (r >= 0)
                r = file_open(x, path, LIBSSH2_FXF_WRITE, &x->file);
        if (r >= 0)
                libssh2_sftp_seek64(x->file, offset);
        return r;
}

static ssize_t sftp_write(RemoteSession *head, const void *data, size_t n) {
        SftpSession *x = sftp_session(head);
        int k;

        assert(x->file);

        k = SFTP_CALL(x, libssh2_sftp_write(x->file, data, MIN(n, (size_t) WRITE_MAX)));
        return k < 0 ? error_or_full(x, k) : k;
}

static int sftp_finish(RemoteSession *head) {
        SftpSession *x = sftp_session(head);
        int r, closed;

        /* An extension of OpenSSH; another server may not know it. */
        r = SFTP_CALL(x, libssh2_sftp_fsync(x->file));
        if (r < 0 && !head->broken)
                r = r == -EOPNOTSUPP ? 0 : error_or_full(x, r);
        closed = file_close(x, TAKE_PTR(x->file));
        return r < 0 ? r : closed;
}

static void sftp_give_up(RemoteSession *head) {
        SftpSession *x = sftp_session(head);

        if (x->file)
                (void) !file_close(x, TAKE_PTR(x->file));
}

static ssize_t sftp_read(RemoteSession *head, const char *path, uint64_t offset, void *buf, size_t n) {
        SftpSession *x = sftp_session(head);
        LIBSSH2_SFTP_HANDLE *file = NULL;
        size_t done = 0;
        int r, closed;

        r = file_open(x, path, LIBSSH2_FXF_READ, &file);
        if (r < 0)
                return r;
        libssh2_sftp_seek64(file, offset);
        while (done < n) {
                /* Libssh2 asks for four times what it is given room for; no more than we want is to come. */
                size_t part = MIN(n - done, MAX((n - done) / READ_AHEAD, (size_t) READ_LEAST));

                r = SFTP_CALL(x, libssh2_sftp_read(file, (char *) buf + done, part));
                if (r <= 0)
                        break;
                done += (size_t) r;
        }
        closed = file_close(x, file);
        return r < 0 ? r : closed < 0 ? closed :
                                        (ssize_t) done;
}

/* --- Directories --------------------------------------------------------------------------------------- */

static int sftp_list(RemoteSession *head, const char *path, RemoteList *list) {
        SftpSession *x = sftp_session(head);
        LIBSSH2_SFTP_HANDLE *directory = NULL;
        int r, closed;

        r = SFTP_CALL_POINTER(x, directory,
                              libssh2_sftp_opendir(x->sftp, path));
        if (r < 0)
                return r;
        for (;;) {
                LIBSSH2_SFTP_ATTRIBUTES a = {};
                char name[1024];
                bool is_directory;

                r = SFTP_CALL(x, libssh2_sftp_readdir_ex(directory, name, sizeof name - 1, NULL, 0, &a));
                if (r <= 0)
                        break;
                name[r] = 0;
                is_directory = S_ISDIR(a.permissions);
                if (!(a.flags & LIBSSH2_SFTP_ATTR_PERMISSIONS) ||
                    (!is_directory && !S_ISREG(a.permissions)))
                        continue;
                r = remote_list_add(list, name, is_directory, a.filesize, a.mtime * USEC_PER_SEC);
                if (r < 0)
                        break;
        }
        closed = file_close(x, directory);
        return r < 0 ? r : closed;
}

static int sftp_make_directory(RemoteSession *head, const char *path) {
        SftpSession *x = sftp_session(head);
        int r;

        r = SFTP_CALL(x, libssh2_sftp_mkdir(x->sftp, path, DIRECTORY_MODE));
        return r < 0 ? error_or_exists(head, path, r) : 0;
}

static int sftp_remove_directory(RemoteSession *head, const char *path) {
        SftpSession *x = sftp_session(head);

        return SFTP_CALL(x, libssh2_sftp_rmdir(x->sftp, path));
}

static int sftp_remove_file(RemoteSession *head, const char *path) {
        SftpSession *x = sftp_session(head);

        return SFTP_CALL(x, libssh2_sftp_unlink(x->sftp, path));
}

/* Without the flag to overwrite; servers of version 3 never do. */
static int sftp_move(RemoteSession *head, const char *from, const char *to) {
        const long flags = LIBSSH2_SFTP_RENAME_ATOMIC | LIBSSH2_SFTP_RENAME_NATIVE;
        unsigned n_from = (unsigned) strlen(from), n_to = (unsigned) strlen(to);
        SftpSession *x = sftp_session(head);
        int r;

        r = SFTP_CALL(x, libssh2_sftp_rename_ex(x->sftp, from, n_from, to, n_to, flags));
        return r < 0 ? error_or_exists(head, to, r) : 0;
}

static const RemoteOps sftp_ops = {
        .connect = sftp_connect,
        .disconnect = sftp_disconnect,
        .create = sftp_create,
        .resume = sftp_resume,
        .write = sftp_write,
        .finish = sftp_finish,
        .give_up = sftp_give_up,
        .read = sftp_read,
        .stat = sftp_stat,
        .list = sftp_list,
        .make_directory = sftp_make_directory,
        .remove = sftp_remove_file,
        .remove_directory = sftp_remove_directory,
        .rename = sftp_move,
        .usage = sftp_usage,
};

/* --- The configuration --------------------------------------------------------------------------------- */

static const RemoteText sftp_texts[] = {
        { "host", offsetof(Sftp, host), false },
        { "user", offsetof(Sftp, user), false },
        { "host_key", offsetof(Sftp, host_key), false },
        { "agent", offsetof(Sftp, agent), false },
        { "password", offsetof(Sftp, password), true },
        { "private_key", offsetof(Sftp, private_key), true },
        { "passphrase", offsetof(Sftp, passphrase), true },
        {},
};

static void sftp_close(Storage *s) {
        Sftp *c = remote_close(s);

        if (!c)
                return;
        remote_free_texts(sftp_texts, c);
        free(c);
}

static int sftp_configure(Sftp *c, const StorageConfig *config) {
        json_int_t port = json_integer_value(json_object_get(config->config, "port"));

        assert(c);

        c->port = port > 0 && port <= UINT16_MAX ? (uint16_t) port : SFTP_PORT;
        return remote_read_texts(config, sftp_texts, c);
}

static int sftp_open(Storage *s, const StorageConfig *config, Failure *reterr_failure) {
        const char *path = json_string_value(json_object_get(config->config, "path"));
        static const char *const needed[] = { "host", "user", "path" };
        Remote *m = NULL;
        Sftp *c;
        int r;

        assert(s);

        r = remote_new(s, &sftp_ops, strempty(path), &m);
        if (r < 0)
                return r;
        m->config = c = new0(Sftp, 1);
        if (!c)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(needed); i++)
                if (isempty(json_string_value(json_object_get(config->config, needed[i])))) {
                        char field[32];

                        (void) snprintf(field, sizeof field, "config.%s", needed[i]);
                        return failure_set_field(reterr_failure, -EINVAL, "FIELD_MISSING", field,
                                                 "An SFTP target needs a %s (%s).", needed[i], s->name);
                }
        r = sftp_configure(c, config);
        if (r < 0)
                return r;
        m->read_back = json_is_true(json_object_get(config->config, "read_back"));
        if (!c->password && !c->private_key && !c->agent)
                return failure_set_field(reterr_failure, -EINVAL, "FIELD_MISSING", "secrets",
                                         "An SFTP target needs the secret password or private_key, or an "
                                         "agent (%s).",
                                         s->name);
        return asprintf_safe(&m->place, "sftp://%s@%s:%u/%s", c->user, c->host, c->port,
                             path[0] == '/' ? path + 1 : path);
}

const StorageType storage_type_sftp = {
        .name = "sftp",
        .open = sftp_open,
        .close = sftp_close,
        .put_new = remote_put_new,
        .put_write = remote_put_write,
        .put_commit = remote_put_commit,
        .put_free = remote_put_free,
        .read_at = remote_read_at,
        .stat = remote_stat,
        .list = remote_list,
        .remove = remote_remove,
        .probe = remote_probe,
};
