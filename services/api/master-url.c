/* SPDX-License-Identifier: Apache-2.0 */

#include <arpa/inet.h>
#include <errno.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "base/text.h"

#include "services/api/master-url.h"

#define PORT_HTTP 80U
#define PORT_HTTPS 443U
#define HOST_MAX 253U

#define ALPHANUMERIC "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

void master_url_done(MasterUrl *u) {
        assert(u);

        free(u->url);
        free(u->host);
        *u = MASTER_URL_NULL;
}

static int refuse(Failure *failure, const char *text, const char *why) {
        return failure_set(failure, -EINVAL, "URL_INVALID",
                           "'%s' is not an address like https://backup.example.com: %s", text, why);
}

/* Host and port; end is behind them. */
static int parse_authority(const char *s, const char *end, MasterUrl *u, const char **reterr) {
        const char *start = s, *host_end;
        struct in6_addr v6;
        uint32_t port;
        int r;

        assert(u);

        if (*s == '[') {
                start++;
                host_end = memchr(s, ']', (size_t) (end - s));
                *reterr = "the bracket of its IPv6 address is not closed";
                if (!host_end)
                        return -EINVAL;
        } else
                host_end = start + strspn(start, ALPHANUMERIC ".-_");
        *reterr = "it names no host, or one with characters that no host name has";
        if (host_end == start || host_end > end || (size_t) (host_end - start) > HOST_MAX)
                return -EINVAL;
        u->host = memdup0(start, (size_t) (host_end - start));
        if (!u->host)
                return -ENOMEM;
        if (*s == '[' && inet_pton(AF_INET6, u->host, &v6) != 1)
                return -EINVAL;
        host_end += *s == '[';
        if (host_end == end)
                return 0;
        if (*host_end != ':')
                return -EINVAL;
        *reterr = "its port is not a number from 1 to 65535";
        {
                _cleanup_(freep) char *text = memdup0(host_end + 1, (size_t) (end - host_end - 1));

                if (!text)
                        return -ENOMEM;
                r = parse_u32(text, 1, UINT16_MAX, &port);
        }
        if (r >= 0)
                u->port = (uint16_t) port;
        return r < 0 ? -EINVAL : 0;
}

/* What stands behind the host: "/a/b". */
static const char *path_fault(const char *path) {
        if (strchr(path, '?') || strchr(path, '#'))
                return "it has a query or a fragment";
        if (path[strspn(path, ALPHANUMERIC "/._~-")])
                return "its path has characters other than letters, digits and / . _ ~ -";
        if (strstr(path, "//") || strstr(path, "/./") || strstr(path, "/../") || endswith(path, "/.") ||
            endswith(path, "/.."))
                return "its path has empty parts, or . or ..";
        return NULL;
}

int master_url_parse(const char *text, MasterUrl *ret, Failure *reterr_failure) {
        _cleanup_(master_url_done) MasterUrl u = MASTER_URL_NULL;
        const char *rest, *path, *why = NULL;
        size_t n;
        int r;

        assert(text);
        assert(ret);

        n = strlen(text);
        if (n > MASTER_URL_MAX)
                return refuse(reterr_failure, "…", "it is too long");
        rest = startswith(text, "https://");
        u.is_https = rest;
        u.port = rest ? PORT_HTTPS : PORT_HTTP;
        if (!rest)
                rest = startswith(text, "http://");
        if (!rest)
                return refuse(reterr_failure, text, "it has to begin with https:// or http://");
        path = rest + strcspn(rest, "/?#");
        if (memchr(rest, '@', (size_t) (path - rest)))
                return refuse(reterr_failure, "…", "it carries a user name or a password");
        r = parse_authority(rest, path, &u, &why);
        if (r == -EINVAL)
                return refuse(reterr_failure, text, why);
        if (r < 0)
                return r;
        why = path_fault(path);
        if (why)
                return refuse(reterr_failure, text, why);
        while (n > 0 && text[n - 1] == '/')
                n--;
        u.url = memdup0(text, n);
        if (!u.url)
                return -ENOMEM;
        *ret = u;
        u = MASTER_URL_NULL;
        return 0;
}

bool master_url_is_local(const MasterUrl *u) {
        struct in6_addr v6;
        struct in_addr v4;

        assert(u);

        if (strcasecmp(u->host, "localhost") == 0)
                return true;
        if (inet_pton(AF_INET, u->host, &v4) == 1)
                return ntohl(v4.s_addr) >> 24 == 127;
        return inet_pton(AF_INET6, u->host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}
