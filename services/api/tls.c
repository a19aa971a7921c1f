/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

#include "base/alloc.h"
#include "base/text.h"

#include "services/api/server.h"
#include "services/api/tls.h"

/* A server's certificate and its issuers. */
#define CHAIN_MAX 8U

static const char *const tls_mode_table[_TLS_MODE_MAX] = {
        [TLS_AUTO] = "auto",
        [TLS_ON] = "on",
        [TLS_OFF] = "off",
};

DEFINE_STRING_TABLE(tls_mode, TlsMode);

/* X25519 first: it is what clients offer at once, another one costs them a second round. */
const char tls_priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-GROUP-ALL:+GROUP-X25519:"
                              "+GROUP-SECP256R1:+GROUP-SECP384R1:%SERVER_PRECEDENCE:%NO_TICKETS";

struct TlsIdentity {
        unsigned n_ref;
        gnutls_pcert_st chain[CHAIN_MAX];
        unsigned n_chain;
        gnutls_privkey_t key;
};

TlsIdentity *tls_identity_ref(TlsIdentity *i) {
        if (i)
                i->n_ref++;
        return i;
}

TlsIdentity *tls_identity_unref(TlsIdentity *i) {
        if (!i || --i->n_ref > 0)
                return NULL;

        for (unsigned k = 0; k < i->n_chain; k++)
                gnutls_pcert_deinit(&i->chain[k]);
        if (i->key)
                gnutls_privkey_deinit(i->key);
        free(i);
        return NULL;
}

static gnutls_datum_t datum(const char *text) {
        return (gnutls_datum_t){ .data = (unsigned char *) text, .size = (unsigned) strlen(text) };
}

static int refuse(Failure *failure, const char *what, int error) {
        return failure_set(failure, -EINVAL, "CERTIFICATE_INVALID", "%s: %s", what, gnutls_strerror(error));
}

/* GnuTLS does not ask: it would fail at each handshake. */
static int check_pair(TlsIdentity *i, Failure *failure) {
        static const unsigned char message[] = "backupx";
        const gnutls_datum_t data = { .data = (unsigned char *) message, .size = sizeof(message) };
        gnutls_datum_t signature = {};
        gnutls_sign_algorithm_t algorithm;
        int error;

        assert(i);

        algorithm = gnutls_pk_to_sign(gnutls_privkey_get_pk_algorithm(i->key, NULL), GNUTLS_DIG_SHA256);
        error = gnutls_privkey_sign_data2(i->key, algorithm, 0, &data, &signature);
        if (error >= 0)
                error = gnutls_pubkey_verify_data2(i->chain[0].pubkey, algorithm, 0, &data, &signature);
        gnutls_free(signature.data);
        if (error >= 0)
                return 0;
        return failure_set(failure, -EINVAL, "CERTIFICATE_INVALID",
                           "the key is not the one of the certificate: %s", gnutls_strerror(error));
}

int tls_identity_new(const char *certificates, const char *key, TlsIdentity **ret, Failure *reterr_failure) {
        _cleanup_(tls_identity_unrefp) TlsIdentity *i = NULL;
        gnutls_datum_t data;
        unsigned n = CHAIN_MAX;
        int error;

        assert(certificates);
        assert(key);
        assert(ret);

        i = new0(TlsIdentity, 1);
        if (!i)
                return -ENOMEM;
        i->n_ref = 1;
        data = datum(certificates);
        error = gnutls_pcert_list_import_x509_raw(i->chain, &n, &data, GNUTLS_X509_FMT_PEM, 0);
        if (error < 0)
                return refuse(reterr_failure, "the certificate cannot be read", error);
        i->n_chain = n;
        if (n == 0)
                return refuse(reterr_failure, "the certificate cannot be read",
                              GNUTLS_E_NO_CERTIFICATE_FOUND);
        error = gnutls_privkey_init(&i->key);
        if (error < 0)
                return -ENOMEM;
        data = datum(key);
        error = gnutls_privkey_import_x509_raw(i->key, &data, GNUTLS_X509_FMT_PEM, NULL, 0);
        if (error < 0)
                return refuse(reterr_failure, "the key cannot be read", error);
        error = check_pair(i, reterr_failure);
        if (error < 0)
                return error;
        *ret = TAKE_PTR(i);
        return 0;
}

/* MHD stores its connection in the session; its context is our Conn, which holds what it began with. */
static int retrieve(gnutls_session_t session, const gnutls_datum_t *authorities, int n_authorities,
                    const gnutls_pk_algorithm_t *algorithms, int n_algorithms, gnutls_pcert_st **ret_chain,
                    unsigned *ret_n, gnutls_privkey_t *ret_key) {
        struct MHD_Connection *connection = gnutls_session_get_ptr(session);
        const union MHD_ConnectionInfo *info = NULL;
        TlsIdentity *i = NULL;

        if (connection)
                info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        if (info && info->socket_context)
                i = conn_identity(info->socket_context);
        if (!i)
                return -1;
        *ret_chain = i->chain;
        *ret_n = i->n_chain;
        *ret_key = i->key;
        return 0;
}

intptr_t tls_callback(void) {
        return (intptr_t) retrieve;
}
