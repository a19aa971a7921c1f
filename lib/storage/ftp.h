#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Sessions of FTP (RFC 959; with TLS RFC 4217, listings RFC 3659), over curl. One control connection each,
 * logged in; data connections are always opened by us (passive).
 *
 * FTP has one answer, 550, for whatever is wrong with a file, and a text for people behind it. What it means
 * is read from that text where servers in use say it, and found out by looking where they do not. */

#include "storage/mlsx.h"
#include "storage/remote.h"
#include "storage/transfer.h"

#define FTP_PORT 21
#define FTP_PORT_TLS 990 /* TLS from the first byte on */

typedef enum FtpTls {
        FTP_TLS_EXPLICIT, /* AUTH TLS; refused where the server has none */
        FTP_TLS_IMPLICIT,
        FTP_TLS_NONE,
} FtpTls;

typedef struct Ftp {
        char *server; /* "ftp://host:21" */
        char *user, *ca_cert, *pin;
        char *password; /* a secret */
        FtpTls tls;
} Ftp;

typedef struct FtpSession {
        RemoteSession head;
        Transfer transfer;
        long reply;    /* the code of the server's last reply; 0: none yet */
        char *facts;   /* of the last reply, where it has some: a line of MLST */
        char *path;    /* of the file that is written; NULL: none is */
        uint64_t size; /* of it; UINT64_MAX: not known */
        bool begun;    /* its bytes are being sent */
        char *reading; /* the path of the file whose next byte is at read_at, on the line; or NULL */
        uint64_t read_at;
} FtpSession;

static inline FtpSession *ftp_session(RemoteSession *x) {
        return CONTAINER_OF(x, FtpSession, head);
}

/* Connected and logged in. */
int ftp_connect(Storage *s, usec_t end, RemoteSession **ret, Failure *reterr_failure);
void ftp_disconnect(RemoteSession *x);

/* The next transfer: forgets the last one, ends one that is held. path: of a file, or with a '/' at its end
 * of a directory. -EINVAL: FTP cannot say that name. */
int ftp_prepare(FtpSession *x, const char *path) _warn_unused_;
/* Runs what was prepared; errno of storage.h, with the server's words. */
int ftp_run(FtpSession *x) _warn_unused_;
/* What the end of a transfer means: 0 or an errno, with the server's words. -EIO: a refusal whose meaning
 * the words do not tell. */
int ftp_result(FtpSession *x, int error);
/* A command over the control connection, "DELE path". As ftp_run(). */
int ftp_command(FtpSession *x, const char *command, const char *path);
