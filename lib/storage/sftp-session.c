/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "storage/sftp.h"

/* A cancellation is noticed within this. */
#define SLICE_MS 100

#define HOST_KEY_PREFIX "SHA256:"
#define HOST_KEY_SIZE 32U

/* A server has a key of each kind, and one of them is pinned: the others are not asked for. */
static const char *const key_kinds[] = {
        "ssh-ed25519",
        "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521",
        /* One by one: not every libssh2 knows all, and 1.10 removes what it does not know from a list
         * with an overlapping memcpy(). */
        "rsa-sha2-512",
        "rsa-sha2-256",
        "ssh-rsa",
};

/* --- Waiting and errors -------------------------------------------------------------------------------- */

static int wait_failed(SftpSession *x, int error) {
        assert(x);

        x->head.broken = true;
        return remote_session_error(&x->head, error, "%s",
                                    error == -ETIMEDOUT ? "no byte moved for too long" : "cancelled");
}

int sftp_wait(SftpSession *x) {
        int directions = libssh2_session_block_directions(x->ssh);
        struct pollfd fd = { .fd = x->fd };
        usec_t now;
        int n;

        if (directions & LIBSSH2_SESSION_BLOCK_OUTBOUND)
                fd.events |= POLLOUT;
        if ((directions & LIBSSH2_SESSION_BLOCK_INBOUND) || fd.events == 0)
                fd.events |= POLLIN;
        if (x->head.end == 0 && storage_is_cancelled(x->head.storage))
                return wait_failed(x, -ECANCELED);
        n = poll(&fd, 1, SLICE_MS);
        if (n < 0 && errno != EINTR)
                return wait_failed(x, -errno);
        now = now_usec(CLOCK_MONOTONIC);
        if (n > 0) {
                x->moved_at = now;
                storage_moved(x->head.storage);
        }
        if (x->head.end > 0 ? now >= x->head.end : now > usec_add(x->moved_at, x->head.storage->stall))
                return wait_failed(x, -ETIMEDOUT);
        return 0;
}

static int error_from_status(unsigned long status) {
        static const struct {
                unsigned long status;
                int error;
                const char *words;
        } errors[] = {
                { LIBSSH2_FX_NO_SUCH_FILE, ENOENT, "there is no such file" },
                { LIBSSH2_FX_NO_SUCH_PATH, ENOENT, "there is no such file" },
                { LIBSSH2_FX_PERMISSION_DENIED, EACCES, "permission denied" },
                { LIBSSH2_FX_WRITE_PROTECT, EROFS, "it is read-only" },
                { LIBSSH2_FX_FILE_ALREADY_EXISTS, EEXIST, "it exists" },
                { LIBSSH2_FX_NO_SPACE_ON_FILESYSTEM, ENOSPC, "no space left" },
                { LIBSSH2_FX_QUOTA_EXCEEDED, EDQUOT, "quota exceeded" },
                { LIBSSH2_FX_OP_UNSUPPORTED, EOPNOTSUPP, "it cannot do that" },
                { LIBSSH2_FX_DIR_NOT_EMPTY, ENOTEMPTY, "the directory is not empty" },
        };

        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                if (errors[i].status == status)
                        return -errors[i].error;
        return -EIO;
}

int sftp_error(SftpSession *x, int error) {
        unsigned long status;
        char *words = NULL;

        assert(x);

        if (error == LIBSSH2_ERROR_SFTP_PROTOCOL && x->sftp) {
                status = libssh2_sftp_last_error(x->sftp);
                return remote_session_error(&x->head, error_from_status(status),
                                            "the server answered with SFTP status %lu", status);
        }
        (void) libssh2_session_last_error(x->ssh, &words, NULL, /* want_buf= */ 0);
        switch (error) {
        case LIBSSH2_ERROR_ALLOC:
                return -ENOMEM;
        case LIBSSH2_ERROR_AUTHENTICATION_FAILED:
        case LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED:
        case LIBSSH2_ERROR_PASSWORD_EXPIRED:
        case LIBSSH2_ERROR_METHOD_NONE:
        case LIBSSH2_ERROR_FILE: /* a private key that it cannot read */
                return remote_session_error(&x->head, -EACCES, "%s", strempty(words));
        }
        x->head.broken = true;
        return remote_session_error(&x->head, -ECONNRESET, "the connection was lost (%s)",
                                    isempty(words) ? "no reason given" : words);
}

/* --- Connecting ---------------------------------------------------------------------------------------- */

static bool is_over(void *userdata) {
        const SftpSession *x = ASSERT_PTR(userdata);

        return x->head.end > 0 ? now_usec(CLOCK_MONOTONIC) >= x->head.end :
                                 storage_is_cancelled(x->head.storage);
}

/* The connection up to where the server has shown a key of that kind. -EADDRNOTAVAIL: it has none. */
static int handshake(SftpSession *x, const Sftp *c, const char *kind) {
        int error, r;

        x->ssh = libssh2_session_init_ex(NULL, NULL, NULL, (void *) (uintptr_t) c);
        if (!x->ssh)
                return -ENOMEM;
        libssh2_session_set_blocking(x->ssh, 0);
        error = libssh2_session_method_pref(x->ssh, LIBSSH2_METHOD_HOSTKEY, kind);
        if (error < 0)
                return -EADDRNOTAVAIL;
        r = tcp_connect(c->host, c->port, is_over, x, &x->tcp, x->head.error);
        if (r < 0)
                return r;
        x->fd = tcp_fd(x->tcp);
        r = SFTP_CALL(x, error = libssh2_session_handshake(x->ssh, x->fd));
        return r < 0 && (error == LIBSSH2_ERROR_KEX_FAILURE || error == LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE) ?
                        -EADDRNOTAVAIL :
                        r;
}

static int host_key_text(SftpSession *x, char **ret) {
        const char *hash = libssh2_hostkey_hash(x->ssh, LIBSSH2_HOSTKEY_HASH_SHA256);
        _cleanup_(freep) char *text = NULL;
        int r;

        if (!hash)
                return -EADDRNOTAVAIL;
        r = base64_encode(BASE64_RAW, hash, HOST_KEY_SIZE, &text);
        return r < 0 ? r : asprintf_safe(ret, HOST_KEY_PREFIX "%s", text);
}

/* --- Logging in ---------------------------------------------------------------------------------------- */

/* One password is the answer to every question that is not to be shown. */
static LIBSSH2_USERAUTH_KBDINT_RESPONSE_FUNC(on_question) {
        const Sftp *c = *abstract;

        (void) name, (void) name_len, (void) instruction, (void) instruction_len;
        for (int i = 0; i < num_prompts; i++) {
                if (prompts[i].echo || !c->password)
                        continue;
                responses[i].text = strdup(c->password);
                responses[i].length = responses[i].text ? (unsigned) strlen(c->password) : 0;
        }
}

static void agent_free(LIBSSH2_AGENT **a) {
        if (!*a)
                return;
        (void) libssh2_agent_disconnect(*a);
        libssh2_agent_free(*a);
}

static int login_agent(SftpSession *x, const Sftp *c) {
        _cleanup_(agent_free) LIBSSH2_AGENT *agent = libssh2_agent_init(x->ssh);
        struct libssh2_agent_publickey *key = NULL, *previous = NULL;
        int r = -EACCES;

        if (!agent)
                return -ENOMEM;
        libssh2_agent_set_identity_path(agent, c->agent);
        if (libssh2_agent_connect(agent) < 0 || libssh2_agent_list_identities(agent) < 0)
                return remote_session_error(&x->head, -EACCES, "the SSH agent at %s does not answer",
                                            c->agent);
        while (libssh2_agent_get_identity(agent, &key, previous) == 0) {
                r = SFTP_CALL(x, libssh2_agent_userauth(agent, c->user, key));
                if (r != -EACCES)
                        return r;
                previous = key;
        }
        return remote_session_error(&x->head, -EACCES, "it takes no key of the SSH agent at %s", c->agent);
}

static bool offers(const char *methods, const char *method) {
        size_t n = strlen(method);

        for (const char *p = methods; p && (p = strstr(p, method)); p += n)
                if ((p == methods || p[-1] == ',') && (p[n] == ',' || p[n] == 0))
                        return true;
        return false;
}

/* The public half is found by libssh2. */
static int key_prove(SftpSession *x, const Sftp *c) {
        return libssh2_userauth_publickey_frommemory(x->ssh, c->user, strlen(c->user), NULL, 0,
                                                     c->private_key, strlen(c->private_key), c->passphrase);
}

static int login_key(SftpSession *x, const Sftp *c) {
        int error = 0, r;

        r = SFTP_CALL(x, error = key_prove(x, c));
        /* A key or a phrase that it cannot read has several codes; a lost connection has these. */
        switch (error) {
        case LIBSSH2_ERROR_SOCKET_NONE:
        case LIBSSH2_ERROR_SOCKET_SEND:
        case LIBSSH2_ERROR_SOCKET_RECV:
        case LIBSSH2_ERROR_SOCKET_DISCONNECT:
        case LIBSSH2_ERROR_TIMEOUT:
                return r;
        }
        if (r == -ECONNRESET) {
                x->head.broken = false;
                r = remote_session_error(&x->head, -EACCES,
                                         "the private key cannot be read with its passphrase, or is of a "
                                         "kind that is not known here");
        }
        return r;
}

static int login_password(SftpSession *x, const Sftp *c, const char *methods) {
        if (offers(methods, "password"))
                return SFTP_CALL(x, libssh2_userauth_password(x->ssh, c->user, c->password));
        if (offers(methods, "keyboard-interactive"))
                return SFTP_CALL(x, libssh2_userauth_keyboard_interactive(x->ssh, c->user, on_question));
        return -EACCES;
}

/* The key first, then the agent, then the password, as far as they are configured. */
static int login(SftpSession *x, const Sftp *c) {
        _cleanup_(freep) char *methods = NULL;
        const char *list = NULL;
        int r, tried = 0;

        r = SFTP_CALL_POINTER(x, list, libssh2_userauth_list(x->ssh, c->user, (unsigned) strlen(c->user)));
        if (r < 0 && libssh2_userauth_authenticated(x->ssh))
                return 0; /* without any proof */
        if (r < 0)
                return r;
        /* It is part of the session's own memory, which the next call uses. */
        r = free_and_strdup(&methods, list);
        if (r < 0)
                return r;
        r = -EACCES;
        if (c->private_key && offers(methods, "publickey")) {
                r = login_key(x, c);
                tried++;
        }
        if (r == -EACCES && c->agent && offers(methods, "publickey")) {
                r = login_agent(x, c);
                tried++;
        }
        if (r == -EACCES && c->password) {
                r = login_password(x, c, methods);
                tried++;
        }
        if (tried == 0)
                return remote_session_error(&x->head, -EACCES,
                                            "it takes '%s', for which nothing is configured", methods);
        return r;
}

/* --- Together ------------------------------------------------------------------------------------------ */

void sftp_disconnect(RemoteSession *head) {
        SftpSession *x = sftp_session(head);

        if (x->ssh && !head->broken)
                (void) libssh2_session_disconnect(x->ssh, "done");
        /* So that nothing below waits for the server. */
        if (x->fd >= 0)
                (void) shutdown(x->fd, SHUT_RDWR);
        if (x->file)
                (void) libssh2_sftp_close_handle(x->file);
        if (x->sftp)
                (void) libssh2_sftp_shutdown(x->sftp);
        if (x->ssh)
                (void) libssh2_session_free(x->ssh);
        tcp_free(x->tcp);
        free(x);
}

static int session_new(Storage *s, usec_t end, SftpSession **ret) {
        SftpSession *x;

        /* It counts, and makes OpenSSL ready, which does that once and for all threads. */
        if (libssh2_init(0) != 0)
                return -ENOMEM;
        x = new0(SftpSession, 1);
        if (!x)
                return -ENOMEM;
        x->head.storage = s;
        x->head.end = end;
        x->fd = -EBADF;
        *ret = x;
        return 0;
}

static void session_freep(SftpSession **x) {
        if (!*x)
                return;
        (*x)->head.broken = true;
        sftp_disconnect(&(*x)->head);
}

static int host_key_refused(const Storage *s, const Sftp *c, const char *shown, Failure *f) {
        const Remote *m = s->backend;

        if (c->host_key)
                return failure_set_field(
                                f, -EKEYREJECTED, "HOST_KEY_MISMATCH", "config.host_key",
                                "The server of %s (%s) shows other keys (%s) than the one that is pinned, "
                                "%s: nothing was sent. Find out why before you pin another.",
                                m->place, s->name, strempty(shown), c->host_key);
        return failure_set_field(f, -EKEYREJECTED, "HOST_KEY_UNKNOWN", "config.host_key",
                                 "The key of the server of %s (%s) is not known yet. It shows %s: where "
                                 "'ssh-keygen -lf' on the server says the same of its key, set host_key to "
                                 "it.",
                                 m->place, s->name, strempty(shown));
}

/* A connection whose key is the pinned one. */
static int connect_pinned(Storage *s, Sftp *c, usec_t end, SftpSession **ret, Failure *f) {
        size_t first = atomic_load(&c->kind);
        _cleanup_(freep) char *shown = NULL;

        for (size_t i = 0; i < ELEMENTSOF(key_kinds); i++) {
                size_t kind = (first + i) % ELEMENTSOF(key_kinds);
                _cleanup_(session_freep) SftpSession *x = NULL;
                _cleanup_(freep) char *key = NULL, *before = TAKE_PTR(shown);
                int r;

                r = session_new(s, end, &x);
                if (r >= 0)
                        r = handshake(x, c, key_kinds[kind]);
                if (r >= 0)
                        r = host_key_text(x, &key);
                if (r < 0 && r != -EADDRNOTAVAIL)
                        return remote_failure(s, r, "a connection", x ? x->head.error : "", f);
                if (r >= 0 && streq_ptr(key, c->host_key)) {
                        atomic_store(&c->kind, kind);
                        *ret = TAKE_PTR(x);
                        return 0;
                }
                r = asprintf_safe(&shown, "%s%s%s", strempty(before), before && key ? ", " : "",
                                  strempty(key));
                if (r < 0)
                        return r;
        }
        return host_key_refused(s, c, shown, f);
}

int sftp_connect(Storage *s, usec_t end, RemoteSession **ret, Failure *reterr_failure) {
        const Remote *m = s->backend;
        _cleanup_(session_freep) SftpSession *x = NULL;
        Sftp *c = m->config;
        int r;

        assert(ret);

        r = connect_pinned(s, c, end, &x, reterr_failure);
        if (r < 0)
                return r;
        r = login(x, c);
        if (r == -EACCES)
                return failure_set(reterr_failure, -EACCES, "STORAGE_LOGIN_DENIED",
                                   "The server of %s (%s) does not let '%s' in: %s.", m->place, s->name,
                                   c->user, x->head.error);
        if (r >= 0)
                r = SFTP_CALL_POINTER(x, x->sftp, libssh2_sftp_init(x->ssh));
        if (r < 0)
                return remote_failure(s, r, "a session of SFTP", x->head.error, reterr_failure);
        *ret = &TAKE_PTR(x)->head;
        return 0;
}
