/* SPDX-License-Identifier: Apache-2.0 */

/* The texts by which a master is named: its URL and the pin of its key. */

#include "agent/daemon/http-multi.h"
#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"

#define PIN_PREFIX "sha256//"
#define PIN_SIZE 32

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

int http_pin_normalize(const char *pin, char **ret, Failure *reterr_failure) {
        _cleanup_(freep) void *raw = NULL;
        _cleanup_(freep) char *text = NULL;
        uint8_t digest[PIN_SIZE];
        const char *rest;
        size_t size;
        int r;

        assert(pin);
        assert(ret);

        rest = startswith(pin, PIN_PREFIX);
        rest = rest ? rest : pin;
        if (strlen(rest) == 2 * PIN_SIZE && hex_decode(rest, digest, PIN_SIZE) >= 0)
                r = 0;
        else {
                r = base64_decode(BASE64_STANDARD, rest, strlen(rest), &raw, &size);
                if (r >= 0 && size != PIN_SIZE)
                        r = -EINVAL;
                if (r >= 0)
                        memcpy(digest, raw, PIN_SIZE);
        }
        if (r < 0)
                return r == -ENOMEM ?
                                r :
                                failure_set(reterr_failure, -EINVAL, "PIN_INVALID",
                                            "A pin is \"sha256//\" and the base64 of 32 bytes: %s", pin);

        r = base64_encode(BASE64_STANDARD, digest, PIN_SIZE, &text);
        if (r < 0)
                return r;
        return asprintf_safe(ret, PIN_PREFIX "%s", text);
}
