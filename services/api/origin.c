/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>

#include "base/text.h"

#include "services/api/api.h"
#include "services/api/origin.h"

/* X-Forwarded-For of a client and of its proxy are two lines of one list. */
static enum MHD_Result add_line(void *userdata, enum MHD_ValueKind kind, const char *name,
                                const char *value) {
        Buffer *list = ASSERT_PTR(userdata);

        if (strcasecmp(name, "X-Forwarded-For") != 0 || !value)
                return MHD_YES;
        return buffer_printf(list, "%s%s", list->size > 0 ? "," : "", value) < 0 ? MHD_NO : MHD_YES;
}

/* NULL: a local socket. */
static const struct in6_addr *peer_address(const Request *r, struct in6_addr *buf) {
        assert(r);

        const union MHD_ConnectionInfo *info =
                        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        const struct sockaddr *address = info ? info->client_addr : NULL;

        if (address && address->sa_family == AF_INET6) {
                *buf = ((const struct sockaddr_in6 *) address)->sin6_addr;
                return buf;
        }
        if (!address || address->sa_family != AF_INET)
                return NULL;
        *buf = (struct in6_addr){ .s6_addr = { [10] = 0xff, [11] = 0xff } };
        memcpy(buf->s6_addr + 12, &((const struct sockaddr_in *) address)->sin_addr, 4);
        return buf;
}

/* An administrator whose proxy does not say it has told us in external_url. */
static bool is_https(const Request *r) {
        const char *scheme = r->is_proxied ? request_header(r, "X-Forwarded-Proto") : NULL;
        size_t n;

        if (conn_is_tls(r->conn))
                return true;
        if (!scheme)
                return api_is_https(r->api);
        scheme = forwarded_last(scheme, &n);
        return n == STRLEN("https") && strncasecmp(scheme, "https", n) == 0;
}

void request_find_origin(Request *r) {
        _cleanup_buffer_ Buffer list = BUFFER_NULL;
        struct in6_addr buf, client;
        const struct in6_addr *peer;

        assert(r);

        peer = peer_address(r, &buf);
        (void) snprintf(r->address, sizeof(r->address), "%s", "local");
        if (peer)
                address_format(peer, r->address);
        /* Out of memory, the proxy counts as the client: it is the one who shows credentials. */
        if (MHD_get_connection_values(r->connection, MHD_HEADER_KIND, add_line, &list) < 0)
                buffer_done(&list);
        r->is_proxied = peer ? proxies_contain(&r->api->config.trusted_proxies, peer) :
                               r->api->config.trusted_proxies.local;
        if (forwarded_client(&r->api->config.trusted_proxies, peer, list.data, &client))
                address_format(&client, r->address);
        r->is_https = is_https(r);
}
