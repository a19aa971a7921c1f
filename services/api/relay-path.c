/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/encode.h"
#include "base/parse.h"
#include "base/text.h"
#include "crypto/digest.h"

#include "services/api/relay-path.h"

#define NAME_LENGTH_MAX 255
#define KEY_DIGEST_SIZE 16

static bool is_name(const char *s, size_t n) {
        if (n == 0 || n > NAME_LENGTH_MAX)
                return false;
        if ((n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
                return false;
        return n < STRLEN(RELAY_RESERVED) || strncmp(s, RELAY_RESERVED, STRLEN(RELAY_RESERVED)) != 0;
}

bool relay_key_is_valid(const char *key) {
        assert(key);

        if (strlen(key) > RELAY_KEY_MAX || !utf8_is_valid(key, strlen(key)))
                return false;
        for (;;) {
                size_t n = strcspn(key, "/");

                if (!is_name(key, n))
                        return false;
                if (key[n] == 0)
                        return true;
                key += n + 1;
        }
}

bool relay_prefix_is_valid(const char *prefix) {
        size_t n;

        assert(prefix);

        n = strlen(prefix);
        if (n == 0)
                return true;
        if (n > RELAY_KEY_MAX || prefix[n - 1] != '/')
                return false;
        for (const char *p = prefix; *p;) {
                size_t k = strcspn(p, "/");

                if (!is_name(p, k))
                        return false;
                p += k + 1;
        }
        return true;
}

int relay_prefix_of(const char *prefix, uint32_t attempt, char **ret) {
        assert(prefix);
        assert(ret);

        if (endswith(prefix, "-"))
                return asprintf_safe(ret, "%s%u/", prefix, attempt);
        return free_and_strdup(ret, prefix);
}

bool relay_key_is_lock(const char *prefix, const char *key) {
        const char *rest;

        assert(prefix);
        assert(key);

        rest = startswith(key, prefix);
        rest = rest ? startswith(rest, RELAY_LOCKS) : NULL;
        return rest && rest[0] && !strchr(rest, '/');
}

bool relay_key_opens(const char *prefix, const char *key) {
        const char *rest;

        assert(prefix);
        assert(key);

        rest = startswith(key, prefix);
        return rest && (streq(rest, "config") || startswith(rest, "keys/"));
}

bool relay_directory_is_allowed(const char *dir, char *const *allowed) {
        assert(dir);

        STRV_FOREACH(a, allowed) {
                const char *rest = startswith(dir, *a);

                if (rest && (rest[0] == 0 || rest[0] == '/' || endswith(*a, "/")))
                        return true;
        }
        return false;
}

/* Digits up to a NUL; "" is not a number. */
static bool parse_number(const char *s, uint64_t *ret) {
        return parse_u64(s, 0, INT64_MAX, ret) >= 0;
}

int relay_parse_range(const char *text, uint64_t size, uint64_t *ret_offset, uint64_t *ret_length) {
        char first[24] = "", last[24] = "";
        uint64_t a = 0, b = 0;
        const char *s, *dash;

        assert(text);
        assert(ret_offset);
        assert(ret_length);

        s = startswith(text, "bytes=");
        dash = s ? strchr(s, '-') : NULL;
        if (!dash || (size_t) (dash - s) >= sizeof(first) || strlen(dash + 1) >= sizeof(last))
                return -EINVAL;
        memcpy(first, s, (size_t) (dash - s));
        memcpy(last, dash + 1, strlen(dash + 1));
        if ((first[0] && !parse_number(first, &a)) || (last[0] && !parse_number(last, &b)))
                return -EINVAL;
        if (!first[0] && !last[0])
                return -EINVAL;
        if (!first[0]) { /* the last b bytes */
                if (b == 0 || size == 0)
                        return -ERANGE;
                b = MIN(b, size);
                *ret_offset = size - b;
                *ret_length = b;
                return 0;
        }
        if (last[0] && b < a)
                return -EINVAL;
        if (a >= size)
                return -ERANGE;
        *ret_offset = a;
        *ret_length = last[0] ? MIN(b, size - 1) - a + 1 : size - a;
        return 0;
}

bool relay_upload_id_is_valid(const char *id) {
        assert(id);

        return strlen(id) == RELAY_UPLOAD_ID_SIZE - 1 &&
                        strspn(id, "0123456789abcdef") == RELAY_UPLOAD_ID_SIZE - 1;
}

int relay_staged_name(const RelayStaged *s, const char *key, char ret[static RELAY_STAGED_MAX]) {
        char digest[SHA256_HEX_SIZE];
        int r;

        assert(s);
        assert(key);

        r = sha256_hex(key, strlen(key), digest);
        if (r < 0)
                return r;
        digest[2 * KEY_DIGEST_SIZE] = 0;
        (void) snprintf(ret, RELAY_STAGED_MAX, "%s.%" PRIu64 "-%u.%s", s->upload, s->command, s->attempt,
                        digest);
        return 0;
}

int relay_staged_parse(const char *name, RelayStaged *ret) {
        RelayStaged s = {};
        char attempt[16];
        char command[24];
        const char *p, *dash, *dot;

        assert(name);
        assert(ret);

        if (strlen(name) < RELAY_UPLOAD_ID_SIZE || name[RELAY_UPLOAD_ID_SIZE - 1] != '.')
                return -EINVAL;
        memcpy(s.upload, name, RELAY_UPLOAD_ID_SIZE - 1);
        p = name + RELAY_UPLOAD_ID_SIZE;
        dash = strchr(p, '-');
        dot = dash ? strchr(dash, '.') : NULL;
        if (!relay_upload_id_is_valid(s.upload) || !dot || (size_t) (dash - p) >= sizeof(command) ||
            (size_t) (dot - dash) > sizeof(attempt))
                return -EINVAL;
        (void) snprintf(command, sizeof(command), "%.*s", (int) (dash - p), p);
        (void) snprintf(attempt, sizeof(attempt), "%.*s", (int) (dot - dash - 1), dash + 1);
        if (parse_u64(command, 1, INT64_MAX, &s.command) < 0 ||
            parse_u32(attempt, 0, UINT32_MAX, &s.attempt) < 0)
                return -EINVAL;
        *ret = s;
        return 0;
}
