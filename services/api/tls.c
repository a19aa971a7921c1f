/* SPDX-License-Identifier: Apache-2.0 */

#include "base/text.h"

#include "services/api/tls.h"

static const char *const tls_mode_table[_TLS_MODE_MAX] = {
        [TLS_AUTO] = "auto",
        [TLS_ON] = "on",
        [TLS_OFF] = "off",
};

DEFINE_STRING_TABLE(tls_mode, TlsMode);
