#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What a reverse proxy says about its client: pure. Nobody is believed but the proxies that the
 * administrator named; what one of them did not write itself came from a client, so the list is read from
 * its end. */

#include <netinet/in.h>

#include "base/failure.h"
#include "base/macros.h"

#define PROXIES_MAX 64U

/* Addresses of IPv4 stand as the mapped ones of IPv6. */
typedef struct AddressRange {
        struct in6_addr address;
        unsigned bits;
} AddressRange;

typedef struct Proxies {
        AddressRange ranges[PROXIES_MAX];
        size_t n;
        bool local; /* "unix": what comes by a local socket */
} Proxies;

/* "10.0.0.1", "::1", or "[::1]:80" and "10.0.0.1:80" as some proxies write them. -EINVAL. */
int address_parse(const char *s, size_t n, struct in6_addr *ret) _warn_unused_;
/* As people write it; a mapped one as IPv4. Gives buf. */
char *address_format(const struct in6_addr *address, char buf[static INET6_ADDRSTRLEN]);

/* Adds "10.0.0.0/8", "fd00::/8", an address alone, or "unix". -EINVAL with a sentence; -E2BIG. */
int proxies_add(Proxies *p, const char *text, Failure *reterr_failure) _warn_unused_;
bool proxies_contain(const Proxies *p, const struct in6_addr *address);

/* Who sent a request that peer handed to us (NULL: by a local socket), with all its X-Forwarded-For lines
 * joined by commas: from the right, the first address that is none of our proxies. What is no address ends
 * the walk: then it was the proxy that wrote it. False: nobody is believed, *ret stays. */
bool forwarded_client(const Proxies *p, const struct in6_addr *peer, const char *list,
                      struct in6_addr *ret);

/* The last value of a header that is a list; it is what our own proxy wrote. Points into header;
 * *ret_size 0: none. */
const char *forwarded_last(const char *header, size_t *ret_size);
