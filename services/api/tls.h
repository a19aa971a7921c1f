#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* How we show who we are: a certificate with its chain and its key, in the form that GnuTLS takes. */

#include "base/failure.h"
#include "base/macros.h"
#include "crypto/certificate.h"

#define TLS_PIN_TEXT_SIZE PIN_TEXT_SIZE

typedef enum TlsMode {
        TLS_AUTO, /* for addresses that other machines reach */
        TLS_ON,
        TLS_OFF,
        _TLS_MODE_MAX,
        _TLS_MODE_INVALID = -22,
} TlsMode;

DECLARE_STRING_TABLE(tls_mode, TlsMode);

/* What others need to know of it. */
typedef struct ApiTls {
        bool on;                     /* at least one address is served by TLS */
        bool is_own;                 /* by our own, self-signed certificate */
        bool has_looked;             /* for what the agent of this machine has told */
        char pin[TLS_PIN_TEXT_SIZE]; /* of that one; "" with the administrator's */
} ApiTls;

typedef struct TlsIdentity TlsIdentity;

/* From PEM: the server's certificate first, then its issuers. -EINVAL with a sentence when they are not of
 * that form, or do not belong together. */
int tls_identity_new(const char *certificates, const char *key, TlsIdentity **ret, Failure *reterr_failure)
                _warn_unused_;
TlsIdentity *tls_identity_ref(TlsIdentity *i);
TlsIdentity *tls_identity_unref(TlsIdentity *i);
DEFINE_CLEANUP(TlsIdentity *, tls_identity_unref);

/* For door.c: which versions and ciphers, and what gives GnuTLS the identity of a connection. */
extern const char tls_priorities[];
intptr_t tls_callback(void);
