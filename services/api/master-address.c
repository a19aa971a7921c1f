/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/text.h"

#include "services/api/api.h"
#include "services/api/master-address.h"
#include "services/api/master-url.h"

void master_address_done(MasterAddress *a) {
        assert(a);

        free(a->url);
        *a = MASTER_ADDRESS_NULL;
}

/* What this client used. */
static int used_url(const Request *r, MasterUrl *ret) {
        const char *host = r->is_proxied ? request_header(r, "X-Forwarded-Host") : NULL;
        _cleanup_(freep) char *text = NULL;
        size_t n;
        int error;

        if (!host)
                host = request_header(r, MHD_HTTP_HEADER_HOST);
        if (!host)
                return -ENXIO;
        host = forwarded_last(host, &n);
        if (n == 0 || n > MASTER_URL_MAX || memchr(host, '/', n))
                return -ENXIO;
        error = asprintf_safe(&text, "%s://%.*s", r->is_https ? "https" : "http", (int) n, host);
        if (error >= 0)
                error = master_url_parse(text, ret, NULL);
        return error == -EINVAL ? -ENXIO : error;
}

int request_master_address(const Request *r, MasterAddress *ret) {
        const char *configured = ASSERT_PTR(r)->api->config.external_url;
        _cleanup_(master_url_done) MasterUrl u = MASTER_URL_NULL;
        int error;

        assert(ret);

        error = configured ? master_url_parse(configured, &u, NULL) : used_url(r, &u);
        if (error < 0)
                return error;
        *ret = (MasterAddress){
                .url = TAKE_PTR(u.url),
                .is_configured = configured,
                .is_local = master_url_is_local(&u),
        };
        if (u.is_https)
                (void) snprintf(ret->pin, sizeof(ret->pin), "%s", api_pin_at(r->api, u.port));
        return 0;
}
