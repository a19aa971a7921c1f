/* SPDX-License-Identifier: Apache-2.0 */

/* What rclone means. It passes on what a server or a library said, and there is no other way to know: its
 * log in JSON has these words, too, and no kinds. In them are names, which anybody may have chosen: an
 * object below "certificates/" that is not there is no matter of certificates. So what is known to be a name
 * is taken out before the words are looked at. */

#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/text.h"
#include "storage/http.h"
#include "storage/rclone.h"

/* --- Names --------------------------------------------------------------------------------------------- */

static bool is_before(char c) {
        return c == 0 || strchr("/\"'`: \n", c);
}

static bool is_behind(char c) {
        return c == 0 || strchr("/\"'`:\n?", c);
}

/* Where a name stands as part of a path, in quotes, or before the colon of what happened to it. */
static void blank_name(char *words, const char *name, size_t n) {
        for (char *p = words; (p = strstr(p, name)); p++) {
                char before = p == words ? 0 : p[-1];

                if (is_before(before) && (is_behind(p[n]) || (before == '/' && p[n] == ' ')))
                        memset(p, '_', n);
        }
}

static void lower(char *text) {
        for (; *text; text++)
                if (*text >= 'A' && *text <= 'Z')
                        *text = (char) (*text - 'A' + 'a');
}

/* As it is, and as it is in a URL. */
static int blank_both(char *words, const char *name, size_t n) {
        _cleanup_(freep) char *plain = memdup0(name, n), *escaped = NULL;
        int r;

        if (!plain)
                return -ENOMEM;
        r = http_escape_text(plain, &escaped);
        if (r < 0)
                return r;
        lower(plain);
        lower(escaped);
        blank_name(words, plain, n);
        blank_name(words, escaped, strlen(escaped));
        return 0;
}

/* Each name of the paths. */
static int blank_all(char *words, const char *paths) {
        int r = 0;

        while (*paths && r >= 0) {
                size_t n = strcspn(paths, "/\n:");

                if (n > 0)
                        r = blank_both(words, paths, n);
                paths += n;
                paths += *paths != 0;
        }
        return r;
}

/* The addresses and directories among the options. */
static int blank_options(char *words, char *const *environment) {
        STRV_FOREACH(e, environment) {
                const char *option = startswith(*e, RCLONE_OPTION_PREFIX), *value;
                int r;

                value = option ? strchr(option, '=') : NULL;
                if (!value || !strpbrk(value, "./"))
                        continue;
                r = blank_all(words, value + 1);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- Kinds --------------------------------------------------------------------------------------------- */

typedef struct Sign {
        int error;
        const char *words; /* in lower case */
} Sign;

/* In the order of how sure they are. */
static const Sign signs[] = {
        { -EEXIST, "immutable file modified" },
        { -EBADMSG, "corrupted on transfer" },
        { -EKEYREJECTED, "x509:" },
        { -EKEYREJECTED, "certificate" },
        { -EKEYREJECTED, "knownhosts:" },
        { -ENOSPC, "no space left" },
        { -ENOSPC, "disk space" },
        { -ENOSPC, "insufficient storage" },
        { -EDQUOT, "quota" },
        { -EDQUOT, "storage limit" },
        { -EBUSY, "too many requests" },
        { -EBUSY, "slowdown" },
        { -EBUSY, "service unavailable" },
        { -EBUSY, "rate limit" },
        { -EBUSY, "ratelimit" },
        { -EBUSY, ": 503 " },
        { -EBUSY, ": 429 " },
        { -EBUSY, "status code: 503" },
        { -EBUSY, "status code: 429" },
        { -ENOSPC, ": 507 " },
        { -EFBIG, ": 413 " },
        { -EFBIG, "request entity too large" },
        { -EFBIG, "file too large" },
        { -EFBIG, "entitytoolarge" },
        { -EACCES, ": 401 " },
        { -EACCES, ": 403 " },
        { -EACCES, "permission denied" },
        { -EACCES, "access denied" },
        { -EACCES, "accessdenied" },
        { -EACCES, "forbidden" },
        { -EACCES, "unauthorized" },
        { -EACCES, "unable to authenticate" },
        { -EACCES, "invalidaccesskeyid" },
        { -EACCES, "signaturedoesnotmatch" },
        { -EACCES, "login incorrect" },
        { -EACCES, "logon failure" },
        { -EACCES, "invalid_grant" },
        { -EROFS, "read-only file system" },
        { -EHOSTUNREACH, "connection refused" },
        { -EHOSTUNREACH, "no such host" },
        { -EHOSTUNREACH, "no route to host" },
        { -EHOSTUNREACH, "network is unreachable" },
        { -EHOSTUNREACH, "server misbehaving" },
        { -EHOSTUNREACH, "dial tcp" },
        { -ECONNRESET, "connection reset" },
        { -ECONNRESET, "connection lost" },
        { -ECONNRESET, "broken pipe" },
        { -ECONNRESET, "unexpected eof" },
        { -ECONNRESET, ": eof" },
        { -ECONNRESET, "use of closed network connection" },
        { -ETIMEDOUT, "timeout awaiting response headers" },
        { -ETIMEDOUT, "context deadline exceeded" },
        { -ETIMEDOUT, "i/o timeout" },
        { -ECONNRESET, "bad gateway" },
        { -ECONNRESET, "gateway timeout" },
        { -ECONNRESET, "internal server error" },
        /* For no reason that it knows: somebody else made it at that moment. */
        { -EBUSY, "mkdir " },
};

static int kind_of_words(int code, const char *words) {
        for (size_t i = 0; i < ELEMENTSOF(signs); i++)
                if (strstr(words, signs[i].words))
                        return signs[i].error;
        /* 3: no such directory, 4: no such file, 5: worth another try. */
        if (code == 3 || code == 4 || strstr(words, "is a directory or doesn't exist") ||
            strstr(words, "object not found") || strstr(words, "no such file"))
                return -ENOENT;
        return code == 5 ? -ECONNRESET : -EIO;
}

int rclone_error_kind(int code, const char *words, const char *paths, char *const *environment) {
        char all[RCLONE_WORDS_MAX];
        int r;

        assert(words);

        (void) snprintf(all, sizeof all, "%s", words);
        lower(all);
        r = blank_all(all, strempty(paths));
        if (r >= 0)
                r = blank_options(all, environment);
        return r < 0 ? r : kind_of_words(code, all);
}
