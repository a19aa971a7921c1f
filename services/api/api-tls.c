/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "sys/credentials.h"
#include "sys/daemon.h"
#include "sys/event.h"
#include "sys/log.h"
#include "wire/names.h"

#include "services/api/api-tls.h"
#include "services/api/own-names.h"

/* A certificate with its chain, a key. */
#define PEM_MAX (256U * 1024)
/* "MIGH…": a key in one line. */
#define KEY_MAX 1024U
/* How often we look whether our own certificate ends soon. */
#define WATCH_USEC (24 * USEC_PER_HOUR)

/* --- The administrator's ------------------------------------------------------------------------------ */

static int read_pem(const char *what, const char *path, char **ret, Failure *failure) {
        int r;

        r = read_file(AT_FDCWD, path, PEM_MAX, ret, NULL);
        if (r >= 0)
                return 0;
        return failure_set(failure, r, "CERTIFICATE_UNREADABLE",
                           "Cannot read the %s %s: %s. The user backupx-api needs to be able to read it",
                           what, path, strerror(-r));
}

static int load_given(const ApiConfig *config, TlsIdentity **ret, Failure *reterr_failure) {
        _cleanup_(erase_and_freep) char *key = NULL;
        _cleanup_failure_ Failure why = FAILURE_NULL;
        _cleanup_(freep) char *certificates = NULL;
        int r;

        assert(config);

        r = read_pem("certificate", config->tls_certificate, &certificates, reterr_failure);
        if (r >= 0)
                r = read_pem("key", config->tls_key, &key, reterr_failure);
        if (r < 0)
                return r;
        r = tls_identity_new(certificates, key, ret, &why);
        if (r < 0)
                return failure_set(reterr_failure, r, "CERTIFICATE_INVALID", "Certificate %s, key %s: %s",
                                   config->tls_certificate, config->tls_key, failure_message(&why, r));
        return 0;
}

int api_tls_check(const ApiConfig *config, Failure *reterr_failure) {
        _cleanup_(tls_identity_unrefp) TlsIdentity *identity = NULL;

        assert(config);

        return config->tls_certificate ? load_given(config, &identity, reterr_failure) : 0;
}

/* --- Our own ------------------------------------------------------------------------------------------ */

static int make_certificate(const Api *api, const char *key, char **names, char **ret) {
        _cleanup_(strv_freep) char **all = NULL;
        int r = 0;

        STRV_FOREACH(name, names)
                if (r >= 0)
                        r = strv_extend(&all, *name);
        STRV_FOREACH(name, api->socket_names)
                if (r >= 0 && !strv_contains(all, *name))
                        r = strv_extend(&all, *name);
        return r < 0 ? r : certificate_make(key, all, now_usec(CLOCK_REALTIME), ret);
}

/* The certificate of the state directory, or a new one where it is none that will do. */
static int find_certificate(const Api *api, const char *key, char **ret) {
        _cleanup_(freep) char *path = NULL, *pem = NULL;
        _cleanup_(strv_freep) char **names = NULL;
        int r;

        r = own_names(api, &names);
        if (r >= 0)
                r = asprintf_safe(&path, "%s/" FILE_TLS_CERTIFICATE, daemon_state_directory());
        if (r < 0)
                return log_error_errno(r, "Failed to look for our certificate: %m");
        if (read_file(AT_FDCWD, path, PEM_MAX, &pem, NULL) >= 0 &&
            certificate_is_fit(pem, key, names, now_usec(CLOCK_REALTIME)) > 0) {
                *ret = TAKE_PTR(pem);
                return 0;
        }
        pem = mfree(pem);
        r = make_certificate(api, key, names, &pem);
        if (r < 0)
                return log_error_errno(r, "Failed to make a certificate of our key: %m");
        r = write_file_atomic(AT_FDCWD, path, pem, strlen(pem), 0644);
        if (r < 0)
                return log_error_errno(r, "Failed to write our certificate %s: %m", path);
        log_notice("Made a certificate for %s in %s; its key stays.", names[0], path);
        *ret = TAKE_PTR(pem);
        return 0;
}

static int load_own(Api *api, TlsIdentity **ret) {
        _cleanup_(erase_and_freep) char *key = NULL, *key_pem = NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_(freep) char *pem = NULL;
        int r;

        assert(api);

        r = credential_read(CREDENTIAL_TLS_KEY, KEY_MAX, &key, NULL);
        if (r < 0)
                return log_error_errno(r,
                                       "Failed to read the credential %s, which backupx-keys makes: %m. "
                                       "Without it, name a certificate (server.tls.certificate, "
                                       "server.tls.key), or set server.tls to off behind a proxy",
                                       CREDENTIAL_TLS_KEY);
        r = certificate_key_pem(key, &key_pem);
        if (r >= 0)
                r = certificate_key_pin(key, api->tls.pin);
        if (r < 0)
                return log_error_errno(r, "The credential " CREDENTIAL_TLS_KEY " is not a key: %m");
        r = find_certificate(api, key, &pem);
        if (r < 0)
                return r;
        r = tls_identity_new(pem, key_pem, ret, &failure);
        return r < 0 ? log_failure(r, &failure, "Failed to take our certificate") : 0;
}

/* --- Both -------------------------------------------------------------------------------- */

int api_tls_load(Api *api, const int *sockets, size_t n_sockets, TlsIdentity **ret) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(api);
        assert(ret);

        api->tls.on = true;
        api->tls.is_own = !api->config.tls_certificate;
        for (size_t i = 0; i < n_sockets; i++) {
                r = own_names_of_socket(sockets[i], &api->socket_names);
                if (r < 0)
                        return log_error_errno(r, "Failed to look at a listening socket: %m");
        }
        if (api->tls.is_own)
                return load_own(api, ret);
        r = load_given(&api->config, ret, &failure);
        if (r < 0)
                return log_struct_errno(LOG_ERR, r, MESSAGE_CERTIFICATE_INVALID, NULL, "%s.",
                                        failure_message(&failure, r));
        return 0;
}

/* A certificate that cannot be read changes nothing: the one that we have may be good for days. */
static void reload(Api *api) {
        _cleanup_(tls_identity_unrefp) TlsIdentity *identity = NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        int r;

        assert(api);

        if (api->tls.is_own) {
                if (load_own(api, &identity) >= 0)
                        server_set_identity(api->server, identity);
                return;
        }
        r = load_given(&api->config, &identity, &failure);
        if (r < 0) {
                log_struct(LOG_ERR, MESSAGE_CERTIFICATE_INVALID, NULL,
                           "%s. The certificate from before stays in use", failure_message(&failure, r));
                return;
        }
        server_set_identity(api->server, identity);
        log_info("New connections are shown the certificate that is in %s now.",
                 api->config.tls_certificate);
}

void api_tls_look(Api *api) {
        assert(api);

        if (!api->tls.is_own || api->tls.has_looked)
                return;
        api->tls.has_looked = true;
        reload(api);
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Api *api = ASSERT_PTR(userdata);

        if (api->tls.on)
                reload(api);
        else
                log_info("There is no certificate to read anew: nothing is served by TLS.");
        return 0;
}

static int on_watch(sd_event_source *source, uint64_t usec, void *userdata) {
        Api *api = ASSERT_PTR(userdata);

        if (api->tls.is_own)
                reload(api);
        return event_rearm(api->tls_watch, WATCH_USEC);
}

int api_tls_block_signal(void) {
        sigset_t set;

        if (sigemptyset(&set) < 0 || sigaddset(&set, SIGHUP) < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        return 0;
}

int api_tls_watch(Api *api) {
        int r;

        assert(api);

        r = sd_event_add_signal(api->event, NULL, SIGHUP, on_reload, api);
        if (r >= 0 && api->tls.on)
                r = event_add_timer(api->event, &api->tls_watch, WATCH_USEC, on_watch, api);
        return r < 0 ? log_error_errno(r, "Failed to look after the certificate: %m") : 0;
}
