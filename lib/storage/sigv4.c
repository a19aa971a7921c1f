/* SPDX-License-Identifier: Apache-2.0 */

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "storage/http.h"
#include "storage/sigv4.h"

#define DATE_SIZE 8 /* of the time */
#define ALGORITHM "AWS4-HMAC-SHA256"

void sigv4_time(usec_t now, char ret[static SIGV4_TIME_SIZE]) {
        time_t seconds = (time_t) (now / USEC_PER_SEC);
        struct tm tm;

        assert(ret);

        (void) gmtime_r(&seconds, &tm);
        (void) strftime(ret, SIGV4_TIME_SIZE, "%Y%m%dT%H%M%SZ", &tm);
}

/* --- The canonical request ---------------------------------------------------------------------------- */

/* Sorts by name, and equal names by value where ties matter; few enough for insertion, which is stable. */
static void sort_pairs(SigV4Pair *pairs, size_t n, int (*compare)(const SigV4Pair *, const SigV4Pair *)) {
        for (size_t i = 1; i < n; i++) {
                SigV4Pair p = pairs[i];
                size_t at = i;

                for (; at > 0 && compare(&pairs[at - 1], &p) > 0; at--)
                        pairs[at] = pairs[at - 1];
                pairs[at] = p;
        }
}

static int compare_parameters(const SigV4Pair *a, const SigV4Pair *b) {
        int r = strcmp(a->name, b->name);

        return r != 0 ? r : strcmp(a->value, b->value);
}

static int compare_headers(const SigV4Pair *a, const SigV4Pair *b) {
        return strcasecmp(a->name, b->name);
}

typedef struct Encoded {
        SigV4Pair pairs[SIGV4_PAIRS_MAX];
        char *texts[2 * SIGV4_PAIRS_MAX];
        size_t n;
} Encoded;

static void encoded_done(Encoded *e) {
        for (size_t i = 0; i < ELEMENTSOF(e->texts); i++)
                free(e->texts[i]);
}

int sigv4_query(const SigV4Pair *query, size_t n, char **ret) {
        _cleanup_(encoded_done) Encoded e = {};
        _cleanup_buffer_ Buffer out = BUFFER_NULL;
        char *text;
        int r = 0;

        assert(query || n == 0);
        assert(ret);

        if (n > SIGV4_PAIRS_MAX)
                return -E2BIG;
        for (size_t i = 0; i < n && r >= 0; i++) {
                r = http_escape_text(query[i].name, &e.texts[2 * i]);
                if (r >= 0)
                        r = http_escape_text(query[i].value, &e.texts[2 * i + 1]);
                e.pairs[i] = (SigV4Pair){ e.texts[2 * i], e.texts[2 * i + 1] };
        }
        if (r < 0)
                return r;
        sort_pairs(e.pairs, n, compare_parameters);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = buffer_printf(&out, "%s%s=%s", i > 0 ? "&" : "", e.pairs[i].name, e.pairs[i].value);
        if (r < 0)
                return r;
        text = buffer_take(&out);
        if (!text)
                return -ENOMEM;
        *ret = text;
        return 0;
}

/* Without spaces around it, and with one where there are several. */
static int add_trimmed(Buffer *to, const char *value) {
        bool gap = false, begun = false;

        for (const char *p = value; *p; p++) {
                int r = 0;

                if (isspace((unsigned char) *p)) {
                        gap = begun;
                        continue;
                }
                if (gap)
                        r = buffer_add(to, " ", 1);
                if (r >= 0)
                        r = buffer_add(to, p, 1);
                if (r < 0)
                        return r;
                begun = true;
                gap = false;
        }
        return 0;
}

static int add_lower(Buffer *to, const char *name) {
        int r = 0;

        for (const char *p = name; *p && r >= 0; p++) {
                const char c = (char) tolower((unsigned char) *p);

                r = buffer_add(to, &c, 1);
        }
        return r;
}

/* "name:value,value\n" each, and the names joined by ';'. */
static int add_headers(const SigV4Request *q, Buffer *to, Buffer *names) {
        SigV4Pair pairs[SIGV4_PAIRS_MAX];
        int r = 0;

        if (q->n_headers > SIGV4_PAIRS_MAX)
                return -E2BIG;
        memcpy(pairs, q->headers, q->n_headers * sizeof *pairs);
        sort_pairs(pairs, q->n_headers, compare_headers);
        for (size_t i = 0; i < q->n_headers && r >= 0; i++) {
                bool again = i > 0 && strcasecmp(pairs[i - 1].name, pairs[i].name) == 0;

                if (again)
                        r = buffer_add(to, ",", 1);
                else {
                        r = i > 0 ? buffer_add_string(to, "\n") : 0;
                        if (r >= 0)
                                r = add_lower(to, pairs[i].name);
                        if (r >= 0)
                                r = buffer_add(to, ":", 1);
                        if (r >= 0 && i > 0)
                                r = buffer_add(names, ";", 1);
                        if (r >= 0)
                                r = add_lower(names, pairs[i].name);
                }
                if (r >= 0)
                        r = add_trimmed(to, pairs[i].value);
        }
        return r < 0 ? r : buffer_add_string(to, "\n");
}

int sigv4_canonical_request(const SigV4Request *q, Buffer *ret, Buffer *ret_names) {
        _cleanup_(freep) char *path = NULL, *query = NULL;
        int r;

        assert(q);
        assert(q->path && q->path[0] == '/');
        assert(ret);
        assert(ret_names);

        r = http_escape_path(q->path, &path);
        if (r >= 0)
                r = sigv4_query(q->query, q->n_query, &query);
        if (r >= 0)
                r = buffer_printf(ret, "%s\n%s\n%s\n", q->method, path, query);
        if (r >= 0)
                r = add_headers(q, ret, ret_names);
        return r < 0 ? r : buffer_printf(ret, "\n%s\n%s", strempty(ret_names->data), q->payload);
}

/* --- Signatures --------------------------------------------------------------------------------------- */

int sigv4_string_to_sign(const SigV4Key *k, const char *time, const Buffer *canonical, Buffer *ret) {
        char hash[SHA256_HEX_SIZE];
        int r;

        assert(k);
        assert(time);
        assert(canonical);

        r = sha256_hex(canonical->data, canonical->size, hash);
        return r < 0 ? r :
                       buffer_printf(ret, ALGORITHM "\n%s\n%.*s/%s/%s/aws4_request\n%s", time, DATE_SIZE,
                                     time, k->region, k->service, hash);
}

/* The key of one day, region and service, used at once. */
static int sign(const SigV4Key *k, const char *time, const char *text, size_t n, SigV4Signature ret) {
        const char *const steps[] = { k->region, k->service, "aws4_request" };
        _cleanup_(erase_and_freep) char *first = NULL;
        uint8_t key[SHA256_SIZE], next[SHA256_SIZE];
        CLEANUP_ERASE(key);
        CLEANUP_ERASE(next);
        int r;

        r = asprintf_safe(&first, "AWS4%s", k->secret_key);
        if (r >= 0)
                r = hmac_sha256(first, strlen(first), time, DATE_SIZE, key);
        for (size_t i = 0; i < ELEMENTSOF(steps) && r >= 0; i++) {
                r = hmac_sha256(key, sizeof key, steps[i], strlen(steps[i]), next);
                memcpy(key, next, sizeof key);
        }
        if (r >= 0)
                r = hmac_sha256(key, sizeof key, text, n, next);
        if (r < 0)
                return r;
        (void) hex_encode(next, sizeof next, ret);
        return 0;
}

int sigv4_authorization(const SigV4Key *k, const char *time, const SigV4Request *q, char **ret,
                        SigV4Signature ret_signature) {
        _cleanup_buffer_ Buffer canonical = BUFFER_NULL, names = BUFFER_NULL, text = BUFFER_NULL;
        int r;

        assert(k);
        assert(time && strlen(time) == SIGV4_TIME_SIZE - 1);
        assert(ret);
        assert(ret_signature);

        r = sigv4_canonical_request(q, &canonical, &names);
        if (r >= 0)
                r = sigv4_string_to_sign(k, time, &canonical, &text);
        if (r >= 0)
                r = sign(k, time, text.data, text.size, ret_signature);
        return r < 0 ? r :
                       asprintf_safe(ret,
                                     ALGORITHM " Credential=%s/%.*s/%s/%s/aws4_request, SignedHeaders=%s, "
                                               "Signature=%s",
                                     k->access_key, DATE_SIZE, time, k->region, k->service, names.data,
                                     ret_signature);
}

/* Of what follows the request: kind and the hashes that tell one kind from another. */
static int sign_next(const SigV4Key *k, const char *time, const char *kind, const char *previous,
                     const char *hashes, SigV4Signature ret) {
        _cleanup_buffer_ Buffer text = BUFFER_NULL;
        int r;

        r = buffer_printf(&text, ALGORITHM "-%s\n%s\n%.*s/%s/%s/aws4_request\n%s\n%s", kind, time, DATE_SIZE,
                          time, k->region, k->service, previous, hashes);
        return r < 0 ? r : sign(k, time, text.data, text.size, ret);
}

int sigv4_chunk(const SigV4Key *k, const char *time, const char *previous, const void *data, size_t n,
                SigV4Signature ret) {
        char empty[SHA256_HEX_SIZE], hash[SHA256_HEX_SIZE], both[2 * SHA256_HEX_SIZE];
        int r;

        assert(k);
        assert(time);
        assert(previous);

        r = sha256_hex("", 0, empty);
        if (r >= 0)
                r = sha256_hex(data, n, hash);
        if (r < 0)
                return r;
        (void) snprintf(both, sizeof both, "%s\n%s", empty, hash);
        return sign_next(k, time, "PAYLOAD", previous, both, ret);
}

int sigv4_trailer(const SigV4Key *k, const char *time, const char *previous, const char *lines,
                  SigV4Signature ret) {
        char hash[SHA256_HEX_SIZE];
        int r;

        assert(k);
        assert(time);
        assert(lines);

        r = sha256_hex(lines, strlen(lines), hash);
        return r < 0 ? r : sign_next(k, time, "TRAILER", previous, hash, ret);
}
