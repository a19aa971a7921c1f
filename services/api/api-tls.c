/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
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
#include "services/api/master-url.h"

/* A certificate with its chain, a key. */
#define PEM_MAX (256U * 1024)
/* "MIGH…": a key in one line. */
#define KEY_MAX 1024U
#define HOST_MAX 256U
#define INTERFACES_MAX 32U
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

/* By these names others know us, whatever we listen on. */
static int main_names(const Api *api, char ***names) {
        _cleanup_(master_url_done) MasterUrl url = MASTER_URL_NULL;
        char host[HOST_MAX] = "";
        int r = 0;

        assert(api);

        if (api->config.external_url && master_url_parse(api->config.external_url, &url, NULL) >= 0)
                r = strv_extend(names, url.host);
        if (r >= 0 && gethostname(host, sizeof(host) - 1) >= 0 && *host)
                r = strv_extend(names, host);
        return r < 0 ? r : strv_extend(names, "localhost");
}

static int add_address(char ***names, const struct sockaddr *address) {
        struct in6_addr a = { .s6_addr = { [10] = 0xff, [11] = 0xff } };
        char text[INET6_ADDRSTRLEN];

        assert(address);

        if (address->sa_family == AF_INET)
                memcpy(a.s6_addr + 12, &((const struct sockaddr_in *) address)->sin_addr, 4);
        else if (address->sa_family == AF_INET6)
                a = ((const struct sockaddr_in6 *) address)->sin6_addr;
        else
                return 0;
        address_format(&a, text);
        /* Every address is the address of none. */
        if (IN6_IS_ADDR_UNSPECIFIED(&a) || streq(text, "0.0.0.0") || strv_contains(*names, text))
                return 0;
        return strv_extend(names, text);
}

/* What the socket is bound to, and the addresses of the network that it is in: ours is an empty one. */
static int socket_names(int fd, char ***names) {
        struct sockaddr_storage address = {};
        socklen_t size = sizeof(address);
        struct ifreq interfaces[INTERFACES_MAX];
        struct ifconf list = { .ifc_len = sizeof(interfaces), .ifc_req = interfaces };
        int r;

        if (getsockname(fd, (struct sockaddr *) &address, &size) < 0)
                return -errno;
        r = add_address(names, (struct sockaddr *) &address);
        if (address.ss_family == AF_UNIX || ioctl(fd, SIOCGIFCONF, &list) < 0)
                return r;
        for (size_t i = 0; i < (size_t) list.ifc_len / sizeof(*interfaces) && r >= 0; i++)
                r = add_address(names, &interfaces[i].ifr_addr);
        return r;
}

static int make_certificate(const char *key, char **names, const int *sockets, size_t n_sockets,
                            char **ret) {
        _cleanup_(strv_freep) char **all = NULL;
        int r = 0;

        STRV_FOREACH(name, names)
                if (r >= 0)
                        r = strv_extend(&all, *name);
        for (size_t i = 0; i < n_sockets && r >= 0; i++)
                r = socket_names(sockets[i], &all);
        return r < 0 ? r : certificate_make(key, all, now_usec(CLOCK_REALTIME), ret);
}

/* The certificate of the state directory, or a new one where it is none that will do. */
static int find_certificate(const Api *api, const char *key, const int *sockets, size_t n_sockets,
                            char **ret) {
        _cleanup_(freep) char *path = NULL, *pem = NULL;
        _cleanup_(strv_freep) char **names = NULL;
        int r;

        r = main_names(api, &names);
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
        r = make_certificate(key, names, sockets, n_sockets, &pem);
        if (r < 0)
                return log_error_errno(r, "Failed to make a certificate of our key: %m");
        r = write_file_atomic(AT_FDCWD, path, pem, strlen(pem), 0644);
        if (r < 0)
                return log_error_errno(r, "Failed to write our certificate %s: %m", path);
        log_notice("Made a certificate for %s in %s; its key stays.", names[0], path);
        *ret = TAKE_PTR(pem);
        return 0;
}

static int load_own(Api *api, const int *sockets, size_t n_sockets, TlsIdentity **ret) {
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
        r = find_certificate(api, key, sockets, n_sockets, &pem);
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
        if (api->tls.is_own)
                return load_own(api, sockets, n_sockets, ret);
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
                if (load_own(api, NULL, 0, &identity) >= 0)
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
