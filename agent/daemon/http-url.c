/* SPDX-License-Identifier: Apache-2.0 */

/* The text by which a master is named: its URL. */

#include "agent/daemon/http-multi.h"
#include "base/alloc.h"
#include "base/text.h"

static const char *url_authority(const char *url) {
        const char *rest = startswith(url, "https://");

        return rest ? rest : startswith(url, "http://");
}

int http_base_url(const char *url, char **ret, Failure *reterr_failure) {
        _cleanup_(freep) char *copy = NULL;
        const char *authority;
        size_t n;

        assert(url);
        assert(ret);

        authority = url_authority(url);
        if (!authority)
                return failure_set(reterr_failure, -EINVAL, "URL_INVALID",
                                   "The master's URL has to begin with https:// (or http://): %s", url);
        n = strcspn(authority, "/");
        if (n == 0 || authority[0] == ':' || memchr(authority, '@', n))
                return failure_set(reterr_failure, -EINVAL, "URL_INVALID",
                                   "The master's URL names no host, or a user: %s", url);
        for (const char *p = url; *p; p++)
                if ((unsigned char) *p <= ' ' || *p == 0x7f || strchr("?#\"<>\\", *p))
                        return failure_set(
                                        reterr_failure, -EINVAL, "URL_INVALID",
                                        "The master's URL ends with its path and has no spaces: %s",
                                        url);
        copy = strdup(url);
        if (!copy)
                return -ENOMEM;
        for (n = strlen(copy); n > 0 && copy[n - 1] == '/'; n--)
                copy[n - 1] = 0;

        *ret = TAKE_PTR(copy);
        return 0;
}

bool http_url_is_exposed(const char *url) {
        const char *host;

        assert(url);

        host = startswith(url, "http://");
        if (!host)
                return false;
        /* What stays on this machine needs no TLS. */
        return !startswith(host, "127.") && !startswith(host, "[::1]") &&
                        !(startswith(host, "localhost") && strchr(":/", host[STRLEN("localhost")]));
}
