/* SPDX-License-Identifier: Apache-2.0 */

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "base/parse.h"
#include "base/text.h"

#include "services/api/forwarded.h"

#define BITS_OF_IPV4 32U
#define BITS_OF_IPV6 128U
#define BITS_MAPPED 96U

/* *ret_bits: of the family that the text is of. */
static int parse_plain(const char *s, struct in6_addr *ret, unsigned *ret_bits) {
        struct in_addr v4;

        if (inet_pton(AF_INET, s, &v4) == 1) {
                *ret = (struct in6_addr){ .s6_addr = { [10] = 0xff, [11] = 0xff } };
                memcpy(ret->s6_addr + 12, &v4, sizeof(v4));
                *ret_bits = BITS_OF_IPV4;
                return 0;
        }
        if (inet_pton(AF_INET6, s, ret) != 1)
                return -EINVAL;
        *ret_bits = BITS_OF_IPV6;
        return 0;
}

static bool is_port(const char *s) {
        uint32_t port;

        return parse_u32(s, 0, UINT16_MAX, &port) >= 0;
}

int address_parse(const char *s, size_t n, struct in6_addr *ret) {
        char text[INET6_ADDRSTRLEN + STRLEN("[]:65535")];
        struct in6_addr address;
        char *start = text, *end;
        unsigned bits;
        int r;

        assert(s || n == 0);
        assert(ret);

        if (n == 0 || n >= sizeof(text) || memchr(s, 0, n))
                return -EINVAL;
        memcpy(text, s, n);
        text[n] = 0;
        if (*text == '[') {
                end = strchr(text, ']');
                if (!end || (end[1] && (end[1] != ':' || !is_port(end + 2))))
                        return -EINVAL;
                *end = 0;
                start++;
        } else {
                end = strchr(text, ':');
                if (end && strchr(text, '.') && strchr(text, '.') < end) {
                        if (!is_port(end + 1))
                                return -EINVAL;
                        *end = 0;
                }
        }
        r = parse_plain(start, &address, &bits);
        if (r < 0 || (*text == '[' && bits != BITS_OF_IPV6))
                return -EINVAL;
        *ret = address;
        return 0;
}

char *address_format(const struct in6_addr *address, char buf[static INET6_ADDRSTRLEN]) {
        bool mapped = IN6_IS_ADDR_V4MAPPED(ASSERT_PTR(address));

        if (!inet_ntop(mapped ? AF_INET : AF_INET6, address->s6_addr + (mapped ? 12 : 0), buf,
                       INET6_ADDRSTRLEN))
                *buf = 0;
        return buf;
}

int proxies_add(Proxies *p, const char *text, Failure *reterr_failure) {
        char address[INET6_ADDRSTRLEN];
        size_t n = strcspn(ASSERT_PTR(text), "/");
        AddressRange range;
        unsigned bits;

        assert(p);

        if (streq(text, "unix")) {
                p->local = true;
                return 0;
        }
        if (p->n >= PROXIES_MAX)
                return failure_set(reterr_failure, -E2BIG, "CONFIG_INVALID",
                                   "more than %u proxies cannot be named: use ranges", PROXIES_MAX);
        (void) snprintf(address, sizeof(address), "%.*s", (int) MIN(n, sizeof(address)), text);
        if (n >= sizeof(address) || parse_plain(address, &range.address, &bits) < 0)
                return failure_set(reterr_failure, -EINVAL, "CONFIG_INVALID",
                                   "'%s' is not an address or a range: 192.0.2.1, 10.0.0.0/8, fd00::/8 or "
                                   "unix",
                                   text);
        range.bits = bits;
        if (text[n] == '/' && parse_u32(text + n + 1, 0, bits, &range.bits) < 0)
                return failure_set(reterr_failure, -EINVAL, "CONFIG_INVALID",
                                   "'%s' ends with the bits of the range, 0 to %u", text, bits);
        if (bits == BITS_OF_IPV4)
                range.bits += BITS_MAPPED;
        p->ranges[p->n++] = range;
        return 0;
}

static bool range_contains(const AddressRange *range, const struct in6_addr *address) {
        unsigned whole = range->bits / 8, rest = range->bits % 8;
        uint8_t difference;

        assert(address);

        if (memcmp(range->address.s6_addr, address->s6_addr, whole) != 0)
                return false;
        if (rest == 0)
                return true;
        difference = range->address.s6_addr[whole] ^ address->s6_addr[whole];
        return difference >> (8 - rest) == 0;
}

bool proxies_contain(const Proxies *p, const struct in6_addr *address) {
        assert(p);
        assert(address);

        for (size_t i = 0; i < p->n; i++)
                if (range_contains(&p->ranges[i], address))
                        return true;
        return false;
}

/* The last element of the first *n bytes of a list, without blanks; *n becomes what stands before it. */
static const char *take_last(const char *list, size_t *n, size_t *ret_size) {
        size_t start = *n, end = *n;

        while (start > 0 && list[start - 1] != ',')
                start--;
        *n = start > 0 ? start - 1 : 0;
        while (start < end && strchr(" \t", list[start]))
                start++;
        while (end > start && strchr(" \t", list[end - 1]))
                end--;
        *ret_size = end - start;
        return list + start;
}

bool forwarded_client(const Proxies *p, const struct in6_addr *peer, const char *list,
                      struct in6_addr *ret) {
        struct in6_addr client;
        bool found = false;
        size_t left;

        assert(p);
        assert(ret);

        if (peer ? !proxies_contain(p, peer) : !p->local)
                return false;
        left = list ? strlen(list) : 0;
        while (left > 0) {
                size_t n;
                const char *last = take_last(list, &left, &n);

                if (address_parse(last, n, &client) < 0)
                        break;
                *ret = client;
                found = true;
                if (!proxies_contain(p, &client))
                        break;
        }
        if (!found && peer)
                *ret = *peer;
        return found || peer;
}

const char *forwarded_last(const char *header, size_t *ret_size) {
        size_t n = strlen(ASSERT_PTR(header));

        return take_last(header, &n, ASSERT_PTR(ret_size));
}
