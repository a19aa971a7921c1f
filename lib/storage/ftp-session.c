/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/ftp.h"
#include "storage/http.h"

#define CODE_DIGITS 3

/* --- Replies ------------------------------------------------------------------------------------------- */

/* One line of a reply: "550 nope: No such file", "250-Start", or " facts" within such a one. */
static size_t on_line(char *p, size_t size, size_t n, void *userdata) {
        FtpSession *x = ASSERT_PTR(userdata);
        size_t length = size * n;

        while (length > 0 && (p[length - 1] == '\n' || p[length - 1] == '\r'))
                length--;
        if (length > 1 && length <= MLSX_LINE_MAX && p[0] == ' ') {
                free(x->facts);
                x->facts = memdup0(p + 1, length - 1);
        } else if (length >= CODE_DIGITS && strspn(p, "0123456789") >= CODE_DIGITS &&
                   (length == CODE_DIGITS || p[CODE_DIGITS] == ' ')) {
                x->reply = strtol(p, NULL, 10);
                remote_session_error(&x->head, 0, "%.*s", (int) MIN(length, (size_t) REMOTE_ERROR_MAX), p);
        }
        return size * n;
}

/* What servers say after 550 and the like: ProFTPD, Pure-FTPd, FileZilla, IIS and what strerror() gives. */
static int error_from_words(const char *words) {
        static const struct {
                const char *words;
                int error;
        } errors[] = {
                { "no such", ENOENT },
                { "not found", ENOENT },
                { "not exist", ENOENT },
                { "n't exist", ENOENT },
                { "cannot find", ENOENT },
                { "not a directory", ENOENT },
                { "is a directory", ENOENT },
                { "not a regular file", ENOENT },
                { "not a plain file", ENOENT },
                { "overwrite permission", EEXIST },
                { "exists", EEXIST },
                { "read-only", EROFS },
                { "quota", EDQUOT },
                { "no space", ENOSPC },
                { "not enough space", ENOSPC },
                { "disk full", ENOSPC },
                { "too large", EFBIG },
                { "permission", EACCES },
                { "denied", EACCES },
                { "not permitted", EACCES },
                { "not allowed", EACCES },
        };

        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                if (strcasestr(words, errors[i].words))
                        return -errors[i].error;
        return -EIO;
}

static int error_from_reply(const FtpSession *x) {
        int error = error_from_words(x->head.error);

        switch (x->reply) {
        case 421: /* it closes: too many clients, or it goes down */
        case 450: /* the file is busy */
                return -EBUSY;
        case 425: /* no data connection */
        case 426: /* it was closed */
                return error == -EIO ? -ECONNRESET : error;
        case 452:
                return error == -EDQUOT ? error : -ENOSPC;
        case 503: /* the command before this one was said to another connection */
                return -ECONNRESET;
        case 500:
        case 502:
        case 504:
                return -EOPNOTSUPP;
        case 530:
        case 532:
                return -EACCES;
        case 552:
                return error == -ENOSPC ? error : -EDQUOT;
        case 553:
                return error == -EIO ? -EACCES : error;
        }
        return error;
}

/* Whether the server's reply says what happened, and not curl. */
static bool is_refused(const FtpSession *x) {
        switch ((int) x->transfer.code) {
        case CURLE_QUOTE_ERROR:
        case CURLE_FTP_COULDNT_RETR_FILE:
        case CURLE_REMOTE_FILE_NOT_FOUND:
        case CURLE_REMOTE_ACCESS_DENIED:
        case CURLE_REMOTE_DISK_FULL:
        case CURLE_UPLOAD_FAILED:
        case CURLE_PARTIAL_FILE:
        case CURLE_WEIRD_SERVER_REPLY:
        case CURLE_LOGIN_DENIED:
                return x->reply >= 400;
        }
        return false;
}

static int refused(FtpSession *x) {
        int r = error_from_reply(x);

        if (r == -ECONNRESET || r == -EBUSY || x->transfer.code == CURLE_LOGIN_DENIED)
                x->head.broken = true;
        return r;
}

int ftp_result(FtpSession *x, int error) {
        assert(x);

        if (error >= 0)
                return error;
        if (is_refused(x))
                return refused(x);
        x->head.broken = true;
        return remote_session_error(&x->head, error == -EPROTO ? -ECONNRESET : error, "%s",
                                    x->transfer.error);
}

/* --- Transfers ----------------------------------------------------------------------------------------- */

/* A line of the protocol ends where a name would have a line end; and 255 is a command of Telnet in it. */
static bool name_can_be_said(const char *path) {
        for (const char *p = path; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 127 || (unsigned char) *p == 255)
                        return false;
        return true;
}

static int name_refused(FtpSession *x) {
        return remote_session_error(&x->head, -EINVAL,
                                    "names with control characters cannot be said in FTP");
}

static void on_moved(void *userdata) {
        storage_moved(userdata);
}

/* What the caller's call is limited by now. */
static void set_limits(FtpSession *x) {
        Storage *s = x->head.storage;
        usec_t end = x->head.end;

        x->transfer.args.stall = end > 0 ? usec_sub(end, now_usec(CLOCK_MONOTONIC)) : s->stall;
        x->transfer.args.cancel = end > 0 ? NULL : s->cancel;
}

int ftp_prepare(FtpSession *x, const char *path) {
        const Remote *m = x->head.storage->backend;
        _cleanup_(freep) char *escaped = NULL, *url = NULL;
        const Ftp *c = m->config;
        CURL *e = x->transfer.easy;
        bool ok;
        int r;

        if (!name_can_be_said(path))
                return name_refused(x);
        transfer_abort(&x->transfer);
        transfer_reset(&x->transfer);
        set_limits(x);
        x->reading = mfree(x->reading);
        x->reply = 0;
        r = http_escape_path(path, &escaped);
        if (r >= 0)
                r = asprintf_safe(&url, "%s/%s", c->server, escaped);
        if (r < 0)
                return r;
        ok = curl_easy_setopt(e, CURLOPT_URL, url) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_UPLOAD, 0L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_APPEND, 0L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_NOBODY, 0L) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_QUOTE, NULL) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, NULL) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_RESUME_FROM_LARGE, (curl_off_t) 0) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t) -1) == CURLE_OK;
        return ok ? 0 : -ENOMEM;
}

int ftp_run(FtpSession *x) {
        assert(x);

        return ftp_result(x, transfer_run(&x->transfer));
}

static void slist_done(struct curl_slist **l) {
        curl_slist_free_all(*l);
}

int ftp_command(FtpSession *x, const char *command, const char *path) {
        _cleanup_(slist_done) struct curl_slist *commands = NULL;
        _cleanup_(freep) char *line = NULL;
        CURL *e = x->transfer.easy;
        int r;

        assert(command);

        if (!name_can_be_said(path))
                return name_refused(x);
        r = ftp_prepare(x, "");
        /* Without the '*' curl ends the connection after a refusal. */
        if (r >= 0)
                r = asprintf_safe(&line, "*%s %s", command, path);
        if (r < 0)
                return r;
        commands = curl_slist_append(NULL, line);
        x->facts = mfree(x->facts);
        if (!commands || curl_easy_setopt(e, CURLOPT_NOBODY, 1L) != CURLE_OK ||
            curl_easy_setopt(e, CURLOPT_QUOTE, commands) != CURLE_OK)
                return -ENOMEM;
        r = ftp_run(x);
        (void) curl_easy_setopt(e, CURLOPT_QUOTE, NULL);
        return r >= 0 && x->reply >= 400 ? refused(x) : r;
}

/* --- Connecting ---------------------------------------------------------------------------------------- */

void ftp_disconnect(RemoteSession *head) {
        FtpSession *x = ftp_session(head);
        curl_socket_t fd = CURL_SOCKET_BAD;

        if (x->transfer.easy) {
                transfer_abort(&x->transfer);
                /* Curl says QUIT and would wait for the answer of a server that is not there any more. */
                if (curl_easy_getinfo(x->transfer.easy, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK &&
                    fd != CURL_SOCKET_BAD)
                        (void) shutdown(fd, SHUT_RDWR);
                transfer_done(&x->transfer);
        }
        free(x->facts);
        free(x->path);
        free(x->reading);
        free(x);
}

static void session_freep(FtpSession **x) {
        if (*x)
                ftp_disconnect(&(*x)->head);
}

static int set_options(FtpSession *x, const Ftp *c) {
        long tls = c->tls == FTP_TLS_NONE ? CURLUSESSL_NONE : CURLUSESSL_ALL;
        /* One command with the whole path; no changes of the directory before it. */
        long method = CURLFTPMETHOD_NOCWD;
        CURL *e = x->transfer.easy;
        bool ok;

        ok = curl_easy_setopt(e, CURLOPT_USERNAME, c->user) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_PASSWORD, c->password) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_USE_SSL, tls) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_FTP_FILEMETHOD, method) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_line) == CURLE_OK &&
                        curl_easy_setopt(e, CURLOPT_HEADERDATA, x) == CURLE_OK;
        return ok ? 0 : -EOPNOTSUPP;
}

static int session_new(Storage *s, const Ftp *c, usec_t end, FtpSession **ret) {
        const TransferArgs args = {
                .ca_cert = c->ca_cert,
                .pin = c->pin,
                .stall = s->stall,
                .pace = s->pace,
                .moved = on_moved,
                .userdata = s,
        };
        _cleanup_(session_freep) FtpSession *x = NULL;
        int r;

        x = new0(FtpSession, 1);
        if (!x)
                return -ENOMEM;
        x->head.storage = s;
        x->head.end = end;
        r = transfer_init(&x->transfer, &args, "ftp,ftps");
        if (r >= 0)
                r = set_options(x, c);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(x);
        return 0;
}

int ftp_connect(Storage *s, usec_t end, RemoteSession **ret, Failure *reterr_failure) {
        const Remote *m = s->backend;
        _cleanup_(session_freep) FtpSession *x = NULL;
        const Ftp *c = m->config;
        int r;

        r = session_new(s, c, end, &x);
        if (r < 0)
                return r;
        /* Not every server knows it, or needs it. */
        r = ftp_command(x, "OPTS", "UTF8 ON");
        if (r < 0 && x->transfer.code == CURLE_OK && !x->head.broken)
                r = 0;
        if (r == -EACCES && x->transfer.code == CURLE_LOGIN_DENIED)
                return failure_set(reterr_failure, r, "STORAGE_LOGIN_DENIED",
                                   "The server of %s (%s) does not let '%s' in: %s.", m->place, s->name,
                                   c->user, x->head.error);
        if (r < 0)
                return remote_failure(s, r, "a connection", x->head.error, reterr_failure);
        *ret = &TAKE_PTR(x)->head;
        return 0;
}
