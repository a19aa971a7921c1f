/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "storage/shared-key.h"

void shared_key_time(usec_t now, char ret[static SHARED_KEY_TIME_SIZE]) {
        static const char days[] = "SunMonTueWedThuFriSat";
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        time_t seconds = (time_t) (now / USEC_PER_SEC);
        struct tm tm = {};

        (void) gmtime_r(&seconds, &tm);
        /* The remainders are for the compiler alone. */
        (void) snprintf(ret, SHARED_KEY_TIME_SIZE, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
                        days + tm.tm_wday * 3, (unsigned) tm.tm_mday % 100, months + tm.tm_mon * 3,
                        (unsigned) (tm.tm_year + 1900) % 10000, (unsigned) tm.tm_hour % 100,
                        (unsigned) tm.tm_min % 100, (unsigned) tm.tm_sec % 100);
}

static const char *header(const SharedKeyRequest *q, const char *name) {
        for (size_t i = 0; i < q->n_headers; i++)
                if (strcasecmp(q->headers[i].name, name) == 0)
                        return q->headers[i].value;
        return "";
}

static int compare_names(const void *a, const void *b) {
        return strcasecmp(((const SigV4Pair *) a)->name, ((const SigV4Pair *) b)->name);
}

/* The name in lower case, and the value without spaces around it. */
static int add_pair(Buffer *to, const SigV4Pair *pair) {
        const char *value = pair->value + strspn(pair->value, " \t");
        size_t n = strlen(value);
        int r = 0;

        while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
                n--;
        for (const char *p = pair->name; *p && r >= 0; p++) {
                char c = *p >= 'A' && *p <= 'Z' ? (char) (*p - 'A' + 'a') : *p;

                r = buffer_add(to, &c, 1);
        }
        if (r >= 0)
                r = buffer_add_string(to, ":");
        return r < 0 ? r : buffer_add(to, value, n);
}

/* Its own headers, sorted. */
static int add_headers(const SharedKeyRequest *q, Buffer *to) {
        SigV4Pair own[SHARED_KEY_PAIRS_MAX];
        size_t n = 0;
        int r = 0;

        for (size_t i = 0; i < q->n_headers; i++)
                if (strncasecmp(q->headers[i].name, "x-ms-", STRLEN("x-ms-")) == 0) {
                        if (n == ELEMENTSOF(own))
                                return -E2BIG;
                        own[n++] = q->headers[i];
                }
        qsort(own, n, sizeof *own, compare_names);
        for (size_t i = 0; i < n && r >= 0; i++) {
                r = add_pair(to, &own[i]);
                if (r >= 0)
                        r = buffer_add_string(to, "\n");
        }
        return r;
}

static int add_resource(const char *account, const SharedKeyRequest *q, Buffer *to) {
        SigV4Pair sorted[SHARED_KEY_PAIRS_MAX];
        int r;

        if (q->n_query > ELEMENTSOF(sorted))
                return -E2BIG;
        if (q->n_query > 0)
                memcpy(sorted, q->query, q->n_query * sizeof *sorted);
        qsort(sorted, q->n_query, sizeof *sorted, compare_names);
        r = buffer_printf(to, "/%s%s", account, q->path);
        for (size_t i = 0; i < q->n_query && r >= 0; i++) {
                r = buffer_add_string(to, "\n");
                if (r >= 0)
                        r = add_pair(to, &sorted[i]);
        }
        return r;
}

int shared_key_string(const char *account, const SharedKeyRequest *q, Buffer *ret) {
        static const char *const names[] = {
                "Content-MD5",
                "Content-Type",
                "Date",
                "If-Modified-Since",
                "If-Match",
                "If-None-Match",
                "If-Unmodified-Since",
                "Range",
        };
        int r;

        assert(account);
        assert(q);

        r = buffer_printf(ret, "%s\n%s\n%s\n", q->method, header(q, "Content-Encoding"),
                          header(q, "Content-Language"));
        if (r >= 0 && q->content_length > 0)
                r = buffer_printf(ret, "%llu", (unsigned long long) q->content_length);
        for (size_t i = 0; i < ELEMENTSOF(names) && r >= 0; i++)
                r = buffer_printf(ret, "\n%s", header(q, names[i]));
        if (r >= 0)
                r = buffer_add_string(ret, "\n");
        if (r >= 0)
                r = add_headers(q, ret);
        return r < 0 ? r : add_resource(account, q, ret);
}

int shared_key_authorization(const char *account, const void *key, size_t key_size,
                             const SharedKeyRequest *q, char **ret) {
        _cleanup_(freep) char *signature = NULL;
        _cleanup_buffer_ Buffer text = BUFFER_NULL;
        uint8_t mac[SHA256_SIZE];
        int r;

        assert(key);
        assert(ret);

        r = shared_key_string(account, q, &text);
        if (r >= 0)
                r = hmac_sha256(key, key_size, text.data, text.size, mac);
        if (r >= 0)
                r = base64_encode(BASE64_STANDARD, mac, sizeof mac, &signature);
        return r < 0 ? r : asprintf_safe(ret, "SharedKey %s:%s", account, signature);
}
