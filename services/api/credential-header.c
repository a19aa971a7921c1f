/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <strings.h>

#include "base/alloc.h"

#include "services/api/credential-header.h"

/* token68 of RFC 7235 */
#define TOKEN_CHARACTERS \
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="

const char *bearer_token(const char *authorization) {
        const char *token;

        assert(authorization);

        if (strncasecmp(authorization, "Bearer ", STRLEN("Bearer ")) != 0)
                return NULL;
        token = authorization + STRLEN("Bearer ");
        token += strspn(token, " ");
        if (token[0] == 0 || token[strspn(token, TOKEN_CHARACTERS)] != 0)
                return NULL;
        return token;
}

int cookie_value(const char *header, const char *name, char **ret) {
        size_t n;

        assert(header);
        assert(name);
        assert(ret);

        n = strlen(name);
        for (const char *s = header; *s;) {
                size_t k;

                s += strspn(s, "; \t");
                k = strcspn(s, ";");
                if (k > n && s[n] == '=' && memcmp(s, name, n) == 0) {
                        size_t size = k - n - 1;
                        char *value;

                        while (size > 0 && s[n + size] == ' ')
                                size--;
                        value = memdup0(s + n + 1, size);
                        if (!value)
                                return -ENOMEM;
                        *ret = value;
                        return 1;
                }
                s += k;
        }
        return 0;
}
