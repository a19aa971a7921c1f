#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* How we show who we are: a certificate of our own, or the administrator's. */

#include "base/failure.h"
#include "base/macros.h"

/* "sha256//" and the base64 of 32 bytes. */
#define TLS_PIN_TEXT_SIZE (STRLEN("sha256//") + 44 + 1)

typedef enum TlsMode {
        TLS_AUTO, /* for addresses that other machines reach */
        TLS_ON,
        TLS_OFF,
        _TLS_MODE_MAX,
        _TLS_MODE_INVALID = -22,
} TlsMode;

/* What others need to know of it. */
typedef struct ApiTls {
        bool on;                     /* at least one address is served by TLS */
        char pin[TLS_PIN_TEXT_SIZE]; /* of our own, self-signed certificate; "" with the administrator's */
} ApiTls;

DECLARE_STRING_TABLE(tls_mode, TlsMode);
