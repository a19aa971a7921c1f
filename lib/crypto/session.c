/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/parse.h"
#include "base/text.h"
#include "crypto/random.h"
#include "crypto/session.h"

/* Seconds of a wall clock that fit in any time_t and usec_t. */
#define SESSION_SECONDS_MAX INT64_C(253402300799)

DEFINE_CLEANUP(jwt_t *, jwt_free);

int session_id_new(char ret[static SESSION_ID_LENGTH + 1]) {
        _cleanup_(freep) char *text = NULL;
        uint8_t id[16];
        int r;

        r = random_bytes(id, sizeof(id));
        if (r < 0)
                return r;
        r = base64_encode(BASE64_URL, id, sizeof(id), &text);
        if (r < 0)
                return r;
        memcpy(ret, text, SESSION_ID_LENGTH + 1);
        return 0;
}

static int add_claims(jwt_t *jwt, const SessionClaims *claims) {
        char user[STRLEN("18446744073709551615") + 1];
        int r;

        assert(claims);

        (void) snprintf(user, sizeof(user), "%" PRIu64, claims->user_id);
        r = jwt_add_grant(jwt, "jti", claims->id);
        if (r == 0)
                r = jwt_add_grant(jwt, "sub", user);
        if (r == 0)
                r = jwt_add_grant_int(jwt, "iat", (long) (claims->issued_at / USEC_PER_SEC));
        if (r == 0)
                r = jwt_add_grant_int(jwt, "exp", (long) (claims->expires_at / USEC_PER_SEC));
        return -r;
}

int session_sign(const uint8_t key[static SESSION_KEY_SIZE], const SessionClaims *claims, char **ret) {
        _cleanup_(jwt_freep) jwt_t *jwt = NULL;
        char *text;
        int r;

        assert(key);
        assert(claims);
        assert(strlen(claims->id) == SESSION_ID_LENGTH);
        assert(ret);

        r = jwt_new(&jwt);
        if (r != 0)
                return -r;
        r = jwt_set_alg(jwt, JWT_ALG_HS256, key, SESSION_KEY_SIZE);
        if (r != 0)
                return -r;
        r = add_claims(jwt, claims);
        if (r < 0)
                return r;
        text = jwt_encode_str(jwt);
        if (!text)
                return errno > 0 ? -errno : -EIO;
        *ret = text;
        return 0;
}

static int read_seconds(jwt_t *jwt, const char *name, usec_t *ret) {
        long v;

        errno = 0;
        v = jwt_get_grant_int(jwt, name);
        if (errno != 0 || v <= 0 || v > SESSION_SECONDS_MAX)
                return -EBADMSG;
        *ret = (usec_t) v * USEC_PER_SEC;
        return 0;
}

static int read_claims(jwt_t *jwt, SessionClaims *ret) {
        const char *id, *user;
        SessionClaims c = {};

        id = jwt_get_grant(jwt, "jti");
        if (!id || strlen(id) != SESSION_ID_LENGTH)
                return -EBADMSG;
        memcpy(c.id, id, SESSION_ID_LENGTH + 1);
        user = jwt_get_grant(jwt, "sub");
        if (!user || parse_u64(user, 1, UINT64_MAX, &c.user_id) < 0)
                return -EBADMSG;
        if (read_seconds(jwt, "iat", &c.issued_at) < 0 || read_seconds(jwt, "exp", &c.expires_at) < 0)
                return -EBADMSG;
        *ret = c;
        return 0;
}

int session_verify(const uint8_t key[static SESSION_KEY_SIZE], const char *text, usec_t now,
                   SessionClaims *ret) {
        _cleanup_(jwt_freep) jwt_t *jwt = NULL;
        SessionClaims claims;
        int r;

        assert(key);
        assert(text);
        assert(ret);

        if (strnlen(text, SESSION_TEXT_MAX + 1) > SESSION_TEXT_MAX)
                return -EBADMSG;
        r = jwt_decode(&jwt, text, key, SESSION_KEY_SIZE);
        if (r != 0)
                return r == ENOMEM ? -ENOMEM : -EBADMSG;
        /* The library would also take no signature at all, and other algorithms under this key. */
        if (jwt_get_alg(jwt) != JWT_ALG_HS256)
                return -EBADMSG;
        r = read_claims(jwt, &claims);
        if (r < 0)
                return r;
        if (now >= claims.expires_at)
                return -ESTALE;
        *ret = claims;
        return 0;
}
