/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"

#include "services/api/uri.h"

void uri_done(Uri *u) {
        assert(u);

        free(u->path);
        for (size_t i = 0; i < u->n_params; i++) {
                free(u->params[i].name);
                free(u->params[i].value);
        }
        free(u->params);
        *u = URI_NULL;
}

static int decode_octet(const char *s, size_t n) {
        int high, low;

        if (n < 3)
                return -EINVAL;
        high = hex_digit(s[1]);
        low = hex_digit(s[2]);
        if (high < 0 || low < 0 || high + low == 0)
                return -EINVAL;
        return high * 16 + low;
}

int percent_decode(const char *s, size_t n, bool plus, char **ret) {
        _cleanup_(freep) char *out = NULL;
        size_t k = 0;

        assert(s);
        assert(ret);

        out = malloc(n + 1);
        if (!out)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                int octet = (unsigned char) s[i];

                if (octet == 0)
                        return -EINVAL;
                if (octet == '%') {
                        octet = decode_octet(s + i, n - i);
                        if (octet < 0)
                                return octet;
                        i += 2;
                } else if (plus && octet == '+')
                        octet = ' ';
                out[k++] = (char) octet;
        }
        out[k] = 0;
        *ret = TAKE_PTR(out);
        return 0;
}

const char *uri_param(const Uri *u, const char *name) {
        assert(u);
        assert(name);

        for (size_t i = 0; i < u->n_params; i++)
                if (streq(u->params[i].name, name))
                        return u->params[i].value;
        return NULL;
}

static int add_param(Uri *u, const char *s, size_t n) {
        _cleanup_(freep) char *name = NULL, *value = NULL;
        const char *equals = memchr(s, '=', n);
        size_t k = equals ? (size_t) (equals - s) : n;
        UriParam *grown;
        int r;

        assert(u);

        if (n == 0) /* "a=1&&b=2" */
                return 0;
        if (u->n_params >= URI_PARAMS_MAX)
                return -E2BIG;
        r = percent_decode(s, k, /* plus= */ true, &name);
        if (r < 0)
                return r;
        r = percent_decode(equals ? equals + 1 : "", equals ? n - k - 1 : 0, /* plus= */ true, &value);
        if (r < 0)
                return r;
        if (isempty(name) || uri_param(u, name))
                return -EINVAL;
        grown = reallocarray(u->params, u->n_params + 1, sizeof(UriParam));
        if (!grown)
                return -ENOMEM;
        u->params = grown;
        u->params[u->n_params++] = (UriParam){ TAKE_PTR(name), TAKE_PTR(value) };
        return 0;
}

static int parse_query(Uri *u, const char *query) {
        int r = 0;

        for (const char *s = query; s && r >= 0;) {
                size_t n = strcspn(s, "&");

                r = add_param(u, s, n);
                s = s[n] == '&' ? s + n + 1 : NULL;
        }
        return r;
}

/* A server has to take the absolute form, too (RFC 9112, 3.2.2). */
static const char *skip_authority(const char *target) {
        const char *rest = startswith(target, "http://");

        if (!rest)
                rest = startswith(target, "https://");
        return rest ? rest + strcspn(rest, "/?") : target;
}

int uri_parse(const char *target, Uri *ret) {
        _cleanup_(uri_done) Uri u = URI_NULL;
        size_t n;
        int r;

        assert(target);
        assert(ret);

        target = skip_authority(target);
        if (target[0] != '/')
                return -EINVAL;
        n = strcspn(target, "?");
        u.path = memdup0(target, n);
        if (!u.path)
                return -ENOMEM;
        if (target[n] == '?') {
                r = parse_query(&u, target + n + 1);
                if (r < 0)
                        return r;
        }
        *ret = u;
        u = URI_NULL;
        return 0;
}
