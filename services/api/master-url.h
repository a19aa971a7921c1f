#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The address of a master as text: pure. */

#include "base/failure.h"
#include "base/macros.h"

#define MASTER_URL_MAX 512U

typedef struct MasterUrl {
        char *url;  /* "https://backup.example.com:8340/backupx", without a slash at its end */
        char *host; /* without the brackets of IPv6 */
        uint16_t port;
        bool is_https;
} MasterUrl;

#define MASTER_URL_NULL ((MasterUrl){})
void master_url_done(MasterUrl *u);

/* Scheme http or https, a host, perhaps a port and a plain path. Nobody's name and password, no query, no
 * fragment, nothing that a shell, a browser or a proxy would read in another way. -EINVAL and a sentence. */
int master_url_parse(const char *text, MasterUrl *ret, Failure *reterr_failure) _warn_unused_;
/* Whether only this machine reaches it: localhost and loopback addresses. */
bool master_url_is_local(const MasterUrl *u);
