#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Sessions of SFTP, over libssh2 itself. Libcurl would do for the transfer, but it takes private keys as
 * files only, its listings are lines for people in whatever form the server likes, and it does not tell
 * what the server has taken of a file when a connection is lost. The TCP connection is curl's: its resolver
 * can be interrupted.
 *
 * Libssh2 never blocks here: every call that would is repeated when the socket is ready, so that a silent
 * server and the cancel flag end it. */

#include <libssh2.h>
#include <libssh2_sftp.h>

#include "storage/remote.h"
#include "storage/tcp.h"

#define SFTP_PORT 22

typedef struct Sftp {
        char *host, *user;
        uint16_t port;
        char *host_key; /* "SHA256:…", or NULL: then the server is refused, and its key shown */
        char *agent;    /* the socket of an SSH agent, or NULL */
        /* Secrets, or NULL. */
        char *password, *private_key, *passphrase;
        atomic_size_t kind; /* the kind of host key that was right the last time */
} Sftp;

typedef struct SftpSession {
        RemoteSession head;
        Tcp *tcp;
        int fd; /* of tcp */
        LIBSSH2_SESSION *ssh;
        LIBSSH2_SFTP *sftp;
        LIBSSH2_SFTP_HANDLE *file; /* of the put */
        usec_t moved_at;
} SftpSession;

/* Connected, the host key checked, logged in. */
int sftp_connect(Storage *s, usec_t end, RemoteSession **ret, Failure *reterr_failure);
void sftp_disconnect(RemoteSession *x);

/* Waits until the socket is ready. -ECANCELED, -ETIMEDOUT: then the session is broken, since libssh2 is in
 * the middle of something. */
int sftp_wait(SftpSession *x);
/* What a call of libssh2 gave, as an errno; keeps the words. */
int sftp_error(SftpSession *x, int error);

static inline SftpSession *sftp_session(RemoteSession *x) {
        return CONTAINER_OF(x, SftpSession, head);
}

/* Evaluates expression, which gives an int, until it is something else than EAGAIN: a count or 0, or a
 * negative errno. */
#define SFTP_CALL(x, expression) \
        ({ \
                int _result, _wait = 0; \
\
                (x)->moved_at = now_usec(CLOCK_MONOTONIC); \
                do \
                        _result = (int) (expression); \
                while (_result == LIBSSH2_ERROR_EAGAIN && (_wait = sftp_wait(x)) >= 0); \
                _wait < 0 ? _wait : _result < 0 ? sftp_error(x, _result) : \
                                                  _result; \
        })
/* The same for one that gives a pointer, NULL where it failed: 0 or a negative errno. */
#define SFTP_CALL_POINTER(x, pointer, expression) \
        SFTP_CALL(x, ((pointer) = (expression)) ? 0 : libssh2_session_last_errno((x)->ssh))
