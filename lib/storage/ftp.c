/* SPDX-License-Identifier: Apache-2.0 */

/* FTP: what is done with files, and the configuration.
 *
 * The protocol has no way to ask for a rename that refuses to replace. Most servers refuse by themselves or
 * can be told to (ProFTPD does, unless it has AllowOverwrite); on the others what was looked for just before
 * the rename decides, and two writers of one name within that moment could both succeed. */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/ftp.h"

/* The listing of one directory; some hundred bytes an entry. */
#define LIST_BODY_MAX (256U << 20)
/* Less than what a line takes before anybody reads. */
#define FULL_PROBE (64U << 10)
#define FULL_SUFFIX ".full"
/* How often it is asked what a name is that comes and goes. */
#define LOOKS_MAX 3

/* --- What is there ------------------------------------------------------------------------------------- */

typedef struct Sought {
        const char *name;
        bool is_there;
} Sought;

static int seek_name(void *userdata, const MlsxEntry *e) {
        Sought *s = ASSERT_PTR(userdata);

        s->is_there = s->is_there || streq(e->name, s->name);
        return 0;
}

/* All of a directory. */
static int mlsd(FtpSession *x, const char *path, MlsxFunc func, void *userdata) {
        _cleanup_(freep) char *with_slash = NULL;
        _cleanup_buffer_ Buffer lines = BUFFER_NULL;
        size_t n = strlen(path);
        int r;

        lines.limit = LIST_BODY_MAX;
        r = asprintf_safe(&with_slash, "%s%s", streq(path, ".") ? "" : path,
                          n > 0 && path[n - 1] == '/' ? "" : "/");
        if (r >= 0)
                r = ftp_prepare(x, streq(with_slash, "/") && !streq(path, "/") ? "" : with_slash);
        if (r < 0)
                return r;
        x->transfer.in = &lines;
        if (curl_easy_setopt(x->transfer.easy, CURLOPT_CUSTOMREQUEST, "MLSD") != CURLE_OK)
                return -ENOMEM;
        r = ftp_run(x);
        x->transfer.in = NULL;
        if (r == -EFBIG)
                return remote_session_error(&x->head, -E2BIG, "its list is too long");
        if (r == -EOPNOTSUPP)
                return remote_session_error(&x->head, r,
                                            "it gives no listings for machines (MLSD of RFC 3659), without "
                                            "which nothing can be kept there safely");
        if (r >= 0)
                r = mlsx_read(lines.data, lines.size, func, userdata);
        return r == -EBADMSG ? remote_session_error(&x->head, -EPROTO, "its list is not well-formed") : r;
}

/* After a refusal that says nothing: whether something is there, by asking otherwise and, where that says
 * nothing either, by looking through the directory above. */
static int error_or_missing(FtpSession *x, const char *path, int error) {
        _cleanup_(freep) char *parent = memdup0(path, strlen(path));
        char words[REMOTE_ERROR_MAX];
        Sought sought = {};
        char *slash;
        int r;

        if (!parent)
                return -ENOMEM;
        if (error != -EIO || x->head.broken)
                return error;
        memcpy(words, x->head.error, sizeof words);
        r = ftp_command(x, "MDTM", path);
        if (r == -EIO && !x->head.broken) {
                slash = strrchr(parent, '/');
                sought.name = slash ? slash + 1 : path;
                if (slash)
                        *slash = 0;
                r = mlsd(x, !slash ? "." : slash == parent ? "/" :
                                                             parent,
                         seek_name, &sought);
                if (r >= 0)
                        r = sought.is_there ? -EACCES : -ENOENT;
        }
        if (r < 0 && r != -EIO)
                return r;
        memcpy(x->head.error, words, sizeof words);
        return r < 0 ? -EACCES : error;
}

static int take_entry(void *userdata, const MlsxEntry *e) {
        *(MlsxEntry *) userdata = *e;
        return 1;
}

/* What is there after all was made since it was asked for. */
static int mlst(FtpSession *x, const char *path) {
        int r = -EIO;

        for (unsigned i = 0; r == -EIO && i < LOOKS_MAX && !x->head.broken; i++) {
                r = ftp_command(x, "MLST", path);
                if (r < 0)
                        r = error_or_missing(x, path, r);
        }
        return r;
}

static int ftp_stat(RemoteSession *head, const char *path, RemoteEntry *ret) {
        FtpSession *x = ftp_session(head);
        MlsxEntry e = {};
        int r;

        r = mlst(x, path);
        if (r == -EOPNOTSUPP)
                return remote_session_error(head, r,
                                            "it does not say what a file is (MLST of RFC 3659), without "
                                            "which nothing can be kept there safely");
        if (r < 0)
                return r;
        r = x->facts ? mlsx_read(x->facts, strlen(x->facts), take_entry, &e) : -EBADMSG;
        if (r < 0 || (e.kind == MLSX_FILE && !e.has_size))
                return remote_session_error(head, -EPROTO, "it does not say what a file is and how large");
        if (e.kind == MLSX_OTHER)
                return remote_session_error(head, -EACCES, "it is no file and no directory");
        *ret = (RemoteEntry){ .size = e.size, .modified = e.modified, .is_directory = e.kind != MLSX_FILE };
        return 0;
}

static int list_entry(void *userdata, const MlsxEntry *e) {
        if (e->kind == MLSX_DIRECTORY)
                return remote_list_add(userdata, e->name, /* is_directory= */ true, 0, e->modified);
        if (e->kind != MLSX_FILE)
                return 0;
        return e->has_size ? remote_list_add(userdata, e->name, /* is_directory= */ false, e->size,
                                             e->modified) :
                             -EBADMSG;
}

static int ftp_list(RemoteSession *head, const char *path, RemoteList *list) {
        FtpSession *x = ftp_session(head);
        int r;

        r = mlsd(x, path, list_entry, list);
        return r < 0 ? error_or_missing(x, path, r) : 0;
}

/* --- Changes ------------------------------------------------------------------------------------------- */

/* After a refusal: whether that is because something is there. Keeps the words. */
static int error_or_exists(RemoteSession *head, const char *path, int error) {
        char words[REMOTE_ERROR_MAX];

        if ((error != -EIO && error != -EACCES) || head->broken)
                return error;
        memcpy(words, head->error, sizeof words);
        if (ftp_stat(head, path, &(RemoteEntry){}) >= 0)
                return -EEXIST;
        memcpy(head->error, words, sizeof words);
        return error;
}

static int ftp_make_directory(RemoteSession *head, const char *path) {
        int r;

        r = ftp_command(ftp_session(head), "MKD", path);
        return r < 0 ? error_or_exists(head, path, r) : 0;
}

static int ftp_remove(RemoteSession *head, const char *path) {
        FtpSession *x = ftp_session(head);
        int r;

        r = ftp_command(x, "DELE", path);
        return r < 0 ? error_or_missing(x, path, r) : 0;
}

static int ftp_rename(RemoteSession *head, const char *from, const char *to) {
        int r;

        r = ftp_command(ftp_session(head), "RNFR", from);
        if (r >= 0)
                r = ftp_command(ftp_session(head), "RNTO", to);
        return r < 0 ? error_or_exists(head, to, r) : 0;
}

/* --- Files --------------------------------------------------------------------------------------------- */

/* What is read in order is one transfer, which waits between the calls: ending one half-way costs the
 * connection and a login. */
static ssize_t ftp_read(RemoteSession *head, const char *path, uint64_t offset, void *buf, size_t n) {
        FtpSession *x = ftp_session(head);
        Transfer *t = &x->transfer;
        _cleanup_(freep) char *copy = memdup0(path, strlen(path));
        int r;

        if (!copy)
                return -ENOMEM;
        if (transfer_is_held(t) && streq_ptr(x->reading, path) && x->read_at == offset)
                r = ftp_result(x, transfer_go_on(t, buf, n));
        else {
                r = ftp_prepare(x, path);
                if (r < 0)
                        return r;
                t->into = buf;
                t->into_size = n;
                t->holds = true;
                if (curl_easy_setopt(t->easy, CURLOPT_RESUME_FROM_LARGE, (curl_off_t) offset) != CURLE_OK)
                        return -ENOMEM;
                r = transfer_run(t);
                if (r < 0 && t->code == CURLE_BAD_DOWNLOAD_RESUME)
                        return 0; /* behind the end */
                r = ftp_result(x, r);
        }
        t->into = NULL;
        if (r < 0)
                return error_or_missing(x, path, r);
        free(x->reading);
        x->reading = TAKE_PTR(copy);
        x->read_at = offset + t->into_used;
        return (ssize_t) t->into_used;
}

static void put_end(FtpSession *x) {
        assert(x);

        if (x->begun)
                transfer_abort(&x->transfer);
        x->begun = false;
        x->path = mfree(x->path);
}

static int ftp_create(RemoteSession *head, const char *path, uint64_t size) {
        FtpSession *x = ftp_session(head);
        int r;

        put_end(x);
        r = remote_temp_prepare(head, path);
        if (r < 0)
                return r;
        x->size = size;
        return free_and_strdup(&x->path, path);
}

/* A STOR; size: of all, or -1. */
static int store_prepare(FtpSession *x, const char *path, curl_off_t size) {
        CURL *e = x->transfer.easy;
        int r;

        r = ftp_prepare(x, path);
        if (r < 0)
                return r;
        return curl_easy_setopt(e, CURLOPT_UPLOAD, 1L) == CURLE_OK &&
                                        curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, size) == CURLE_OK ?
                        0 :
                        -ENOMEM;
}

/* A server that is full closes the data connection and then says why; curl gives up at the former and never
 * hears the latter. Or the last bytes that fitted make the server say no more than "input/output error". The
 * file that failed keeps the storage full, so a second one tells; it is sent before the server closes. */
static int error_or_full(FtpSession *x, int error) {
        _cleanup_(freep) char *path = NULL;
        char words[REMOTE_ERROR_MAX];
        static const char more[FULL_PROBE];
        int r;

        assert(x->path);

        if (x->transfer.code != CURLE_SEND_ERROR && error != -EIO)
                return error;
        memcpy(words, x->head.error, sizeof words);
        r = asprintf_safe(&path, "%s" FULL_SUFFIX, x->path);
        if (r >= 0)
                r = store_prepare(x, path, sizeof more);
        if (r < 0)
                return r;
        transfer_set_body(&x->transfer, more, sizeof more);
        r = ftp_run(x);
        if (r == -ENOSPC || r == -EDQUOT || r == -EFBIG)
                memcpy(words, x->head.error, sizeof words);
        else if (r != -ECANCELED)
                r = error;
        /* Where this fails it is swept like any other. */
        if (r != -ECANCELED)
                (void) ftp_command(x, "DELE", path);
        memcpy(x->head.error, words, sizeof words);
        return r;
}

static int store_whole(FtpSession *x, const void *data, size_t n) {
        int r;

        r = store_prepare(x, x->path, (curl_off_t) n);
        if (r < 0)
                return r;
        transfer_set_body(&x->transfer, data, n);
        r = ftp_run(x);
        return r < 0 ? error_or_full(x, r) : 0;
}

static ssize_t ftp_write(RemoteSession *head, const void *data, size_t n) {
        FtpSession *x = ftp_session(head);
        int r;

        assert(x->path);

        if (x->size != UINT64_MAX) {
                r = store_whole(x, data, n);
                return r < 0 ? r : (ssize_t) n;
        }
        if (!x->begun) {
                r = store_prepare(x, x->path, -1);
                if (r >= 0)
                        r = transfer_start_pieces(&x->transfer);
                if (r < 0)
                        return ftp_result(x, r);
                x->begun = true;
        }
        r = transfer_send_piece(&x->transfer, data, n);
        if (r == 0)
                return (ssize_t) n;
        x->begun = false;
        return r < 0 ? error_or_full(x, ftp_result(x, r)) :
                       remote_session_error(head, -EPROTO, "it took a file before its end");
}

static int ftp_finish(RemoteSession *head) {
        FtpSession *x = ftp_session(head);
        int r = 0;

        if (x->begun) {
                r = ftp_result(x, transfer_finish(&x->transfer));
                x->begun = false;
                if (r < 0)
                        r = error_or_full(x, r);
        } else if (x->size == 0)
                r = store_whole(x, "", 0);
        put_end(x);
        return r;
}

static void ftp_give_up(RemoteSession *head) {
        put_end(ftp_session(head));
}

static const RemoteOps ftp_ops = {
        .keeps_pace = true,
        .connect = ftp_connect,
        .disconnect = ftp_disconnect,
        .create = ftp_create,
        .write = ftp_write,
        .finish = ftp_finish,
        .give_up = ftp_give_up,
        .read = ftp_read,
        .stat = ftp_stat,
        .list = ftp_list,
        .make_directory = ftp_make_directory,
        .remove = ftp_remove,
        .rename = ftp_rename,
};

/* --- The configuration --------------------------------------------------------------------------------- */

static const RemoteText ftp_texts[] = {
        { "user", offsetof(Ftp, user), false },
        { "ca_cert", offsetof(Ftp, ca_cert), false },
        { "pin", offsetof(Ftp, pin), false },
        { "password", offsetof(Ftp, password), true },
        {},
};

static void ftp_close(Storage *s) {
        Ftp *c = remote_close(s);

        if (!c)
                return;
        remote_free_texts(ftp_texts, c);
        free(c->server);
        free(c);
}

static int missing(const Storage *s, const char *field, const char *what, Failure *f) {
        return failure_set_field(f, -EINVAL, "FIELD_MISSING", field, "An FTP target needs %s (%s).", what,
                                 s->name);
}

static int read_tls(const Storage *s, Ftp *c, const char *tls, Failure *f) {
        static const char *const names[] = {
                [FTP_TLS_EXPLICIT] = "explicit",
                [FTP_TLS_IMPLICIT] = "implicit",
                [FTP_TLS_NONE] = "none",
        };

        assert(c);

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(tls ?: "explicit", names[i])) {
                        c->tls = (FtpTls) i;
                        return 0;
                }
        return failure_set_field(f, -EINVAL, "FIELD_INVALID", "config.tls",
                                 "The tls of %s is explicit, implicit or none.", s->name);
}

static int ftp_configure(Storage *s, Ftp *c, const StorageConfig *config, Failure *f) {
        const char *host = json_string_value(json_object_get(config->config, "host"));
        const char *tls = json_string_value(json_object_get(config->config, "tls"));
        json_int_t port = json_integer_value(json_object_get(config->config, "port"));
        bool is_v6 = host && strchr(host, ':');
        int r;

        r = read_tls(s, c, tls, f);
        if (r >= 0)
                r = remote_read_texts(config, ftp_texts, c);
        if (r < 0)
                return r;
        if (isempty(host))
                return missing(s, "config.host", "a host", f);
        if (isempty(c->user))
                return missing(s, "config.user", "a user", f);
        if (isempty(c->password))
                return missing(s, "secrets.password", "the secret password", f);
        /* It would end the line of the protocol. */
        if (strpbrk(c->password, "\r\n"))
                return failure_set_field(f, -EINVAL, "FIELD_INVALID", "secrets.password",
                                         "The password of %s has a line end in it.", s->name);
        if (port <= 0 || port > UINT16_MAX)
                port = c->tls == FTP_TLS_IMPLICIT ? FTP_PORT_TLS : FTP_PORT;
        return asprintf_safe(&c->server, "ftp%s://%s%s%s:%u", c->tls == FTP_TLS_IMPLICIT ? "s" : "",
                             is_v6 ? "[" : "", host, is_v6 ? "]" : "", (unsigned) port);
}

static int ftp_open(Storage *s, const StorageConfig *config, Failure *reterr_failure) {
        const char *path = json_string_value(json_object_get(config->config, "path"));
        Remote *m = NULL;
        Ftp *c;
        int r;

        assert(s);

        r = remote_new(s, &ftp_ops, strempty(path), &m);
        if (r < 0)
                return r;
        m->config = c = new0(Ftp, 1);
        if (!c)
                return -ENOMEM;
        m->read_back = json_is_true(json_object_get(config->config, "read_back"));
        if (isempty(path))
                return missing(s, "config.path", "a path", reterr_failure);
        r = ftp_configure(s, c, config, reterr_failure);
        if (r < 0)
                return r;
        return asprintf_safe(&m->place, "%s/%s", c->server, path[0] == '/' ? path + 1 : path);
}

const StorageType storage_type_ftp = {
        .name = "ftp",
        .open = ftp_open,
        .close = ftp_close,
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
