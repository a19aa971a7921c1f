#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Where this master is, for what it writes down for others: install commands, links. One function gives
 * it. */

#include "services/api/request.h"
#include "services/api/tls.h"

typedef struct MasterAddress {
        char *url;                   /* without a slash at its end */
        char pin[TLS_PIN_TEXT_SIZE]; /* what a client behind this URL has to pin; "" where its own list of
                                        authorities decides, and for http:// */
        bool is_configured;          /* by server.external_url; else this request used it */
        bool is_local;               /* no other machine reaches it there */
} MasterAddress;

#define MASTER_ADDRESS_NULL ((MasterAddress){})
void master_address_done(MasterAddress *a);

/* server.external_url, else what this client used: the scheme, and the Host it named (behind a proxy that we
 * trust, what that one says). -ENXIO: neither is usable. */
int request_master_address(const Request *r, MasterAddress *ret) _warn_unused_;
