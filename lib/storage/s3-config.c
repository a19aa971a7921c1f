/* SPDX-License-Identifier: Apache-2.0 */

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "storage/fields.h"
#include "storage/s3.h"
#include "wire/s3-preset.h"

S3 *s3_free(S3 *s3) {
        if (!s3)
                return NULL;
        http_server_free(s3->server);
        free(s3->url);
        free(s3->host);
        free(s3->root);
        free(s3->bucket);
        free(s3->prefix);
        free(s3->region);
        free(s3->access_key);
        erase_and_free(s3->secret_key);
        erase_and_free(s3->session_token);
        free(s3->storage_class);
        free(s3->sse);
        free(s3->sse_key_id);
        erase_and_free(s3->sse_customer_key);
        free(s3->sse_customer_md5);
        free(s3->lock_mode);
        free(s3->ca_cert);
        free(s3->proxy_url);
        return mfree(s3);
}

/* --- The endpoint ------------------------------------------------------------------------------------- */

/* The pattern with what stands for {region} or {account}. */
static int fill_pattern(const char *pattern, const char *region, const char *account, char **ret) {
        const char *open = strchr(pattern, '{'), *rest;

        if (!open)
                return free_and_strdup(ret, pattern);
        rest = strchr(open, '}') + 1;
        return asprintf_safe(ret, "%.*s%s%s", (int) (open - pattern), pattern,
                             startswith(open, "{account}") ? account : region, rest);
}

static bool is_address(const char *host) {
        _cleanup_(freep) char *name = NULL;
        const char *colon = strrchr(host, ':');
        struct in_addr address;

        if (host[0] == '[')
                return true;
        name = memdup0(host, colon ? (size_t) (colon - host) : strlen(host));
        return name && inet_pton(AF_INET, name, &address) == 1;
}

static int set_place(const Fields *c, S3 *s3, const char *endpoint, bool path_style) {
        _cleanup_(freep) char *host = NULL;
        const json_t *choice = json_object_get(c->config, "path_style");
        const char *scheme;
        int r;

        if (choice && !json_is_null(choice) && !json_is_boolean(choice))
                return fields_bad(c, "config.path_style", "is neither true nor false");
        r = fields_endpoint(c, endpoint, "-.:[]_", &scheme, &host);
        if (r < 0)
                return r;
        /* An address has no names below it, and a certificate for *.host does not go with dots. */
        if (is_address(host) || (strchr(s3->bucket, '.') && streq(scheme, "https")))
                path_style = true;
        if (json_is_boolean(choice))
                path_style = json_is_true(choice);
        if (path_style) {
                r = asprintf_safe(&s3->root, "/%s/", s3->bucket);
                s3->host = TAKE_PTR(host);
        } else {
                r = asprintf_safe(&s3->host, "%s.%s", s3->bucket, host);
                if (r >= 0)
                        r = free_and_strdup(&s3->root, "/");
        }
        return r < 0 ? r : asprintf_safe(&s3->url, "%s://%s", scheme, s3->host);
}

static int read_place(const Fields *c, S3 *s3) {
        _cleanup_(freep) char *preset = NULL, *endpoint = NULL, *account = NULL;
        const S3Preset *p;
        int r;

        r = fields_text(c, "config.preset", &preset);
        if (r >= 0)
                r = fields_text(c, "config.endpoint", &endpoint);
        if (r >= 0)
                r = fields_text(c, "config.account", &account);
        if (r >= 0)
                r = fields_text(c, "config.region", &s3->region);
        if (r >= 0)
                r = fields_text(c, "config.bucket", &s3->bucket);
        if (r < 0)
                return r;
        p = s3_preset_find(preset);
        if (!p)
                return fields_bad(c, "config.preset", "is not a service that is known");
        if (!s3->region && !p->region)
                return fields_bad(c, "config.region", "is missing");
        if (!s3->region)
                r = free_and_strdup(&s3->region, p->region);
        if (r < 0)
                return r;
        if (!fields_is_made_of(s3->region, "-_", 64))
                return fields_bad(c, "config.region", "is not the name of a region");
        if (!s3->bucket || !fields_is_made_of(s3->bucket, "-._", 255))
                return fields_bad(c, "config.bucket",
                                  s3->bucket ? "is not the name of a bucket" : "is missing");
        if (!endpoint && !p->endpoint)
                return fields_bad(c, "config.endpoint", "is missing");
        if (!endpoint && strstr(p->endpoint, "{account}") &&
            (!account || !fields_is_made_of(account, "-", 64)))
                return fields_bad(c, "config.account", account ? "is not an account" : "is missing");
        if (!endpoint)
                r = fill_pattern(p->endpoint, s3->region, account, &endpoint);
        s3->if_none_match = p->if_none_match;
        return r < 0 ? r : set_place(c, s3, endpoint, p->path_style);
}

/* --- The rest ----------------------------------------------------------------------------------------- */

static int read_keys(const Fields *c, S3 *s3) {
        int r;

        r = fields_text(c, "config.access_key", &s3->access_key);
        if (r >= 0)
                r = fields_text(c, "secrets.secret_key", &s3->secret_key);
        if (r >= 0)
                r = fields_text(c, "secrets.session_token", &s3->session_token);
        if (r < 0)
                return r;
        if (!s3->access_key || strpbrk(s3->access_key, "/, "))
                return fields_bad(c, "config.access_key",
                                  s3->access_key ? "is not an access key" : "is missing");
        return s3->secret_key ? 0 : fields_bad(c, "secrets.secret_key", "is missing");
}

/* A key of 32 bytes, and its MD5 beside it. */
static int read_customer_key(const Fields *c, S3 *s3) {
        _cleanup_(freep) void *key = NULL;
        uint8_t check[MD5_SIZE];
        size_t n = 0;
        int r;

        r = fields_text(c, "secrets.sse_customer_key", &s3->sse_customer_key);
        if (r < 0 || !s3->sse_customer_key)
                return r;
        r = base64_decode(BASE64_STANDARD, s3->sse_customer_key, strlen(s3->sse_customer_key), &key, &n);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || n != 32)
                return fields_bad(c, "secrets.sse_customer_key", "is not a key of 32 bytes in base64");
        if (startswith(s3->url, "http://"))
                return fields_bad(c, "secrets.sse_customer_key", "goes over https alone");
        r = md5(key, n, check);
        explicit_bzero(key, n);
        return r < 0 ? r : base64_encode(BASE64_STANDARD, check, sizeof check, &s3->sse_customer_md5);
}

static int read_protection(const Fields *c, S3 *s3) {
        int r;

        r = fields_text(c, "config.storage_class", &s3->storage_class);
        if (r >= 0)
                r = fields_text(c, "config.sse", &s3->sse);
        if (r >= 0)
                r = fields_text(c, "config.sse_key_id", &s3->sse_key_id);
        if (r >= 0)
                r = fields_text(c, "config.lock_mode", &s3->lock_mode);
        if (r >= 0)
                r = fields_number(c, "config.lock_days", 1, 36500, &s3->lock_days);
        if (r >= 0)
                r = read_customer_key(c, s3);
        if (r < 0)
                return r;
        if (s3->storage_class && !fields_is_made_of(s3->storage_class, "_", 64))
                return fields_bad(c, "config.storage_class", "is not the name of a class");
        if (s3->sse && !streq(s3->sse, "AES256") && !streq(s3->sse, "aws:kms"))
                return fields_bad(c, "config.sse", "is neither AES256 nor aws:kms");
        if (s3->sse_key_id && !streq_ptr(s3->sse, "aws:kms"))
                return fields_bad(c, "config.sse_key_id", "goes with sse = aws:kms");
        if (s3->lock_mode && !streq(s3->lock_mode, "GOVERNANCE") && !streq(s3->lock_mode, "COMPLIANCE"))
                return fields_bad(c, "config.lock_mode", "is neither GOVERNANCE nor COMPLIANCE");
        if (!s3->lock_mode != (s3->lock_days == 0))
                return fields_bad(c, "config.lock_days", "and config.lock_mode go together");
        return 0;
}

static int read_transfer(const Fields *c, S3 *s3) {
        _cleanup_(freep) char *signing = NULL;
        uint64_t mib = S3_PART_DEFAULT >> 20;
        int r;

        r = fields_number(c, "config.part_size", S3_PART_MIN >> 20, S3_PART_MAX >> 20, &mib);
        if (r >= 0)
                r = fields_volume_size(c, &s3->volume_size);
        if (r >= 0)
                r = fields_text(c, "config.signing", &signing);
        if (r >= 0)
                r = fields_text(c, "config.ca_cert", &s3->ca_cert);
        if (r >= 0)
                r = fields_text(c, "config.proxy", &s3->proxy_url);
        if (r < 0)
                return r;
        if (signing && !streq(signing, "header") && !streq(signing, "trailer"))
                return fields_bad(c, "config.signing", "is neither header nor trailer");
        s3->trailer = streq_ptr(signing, "trailer");
        s3->part_size = (size_t) mib << 20;
        atomic_store(&s3->spare, MIN(PARTS_FLIGHT_MAX, (int) (S3_MEMORY / s3->part_size) - 1));
        return 0;
}

int s3_configure(Storage *s, const StorageConfig *config, Failure *reterr_failure) {
        const Fields c = { s, config->config, config->secrets, reterr_failure };
        HttpServerArgs args = { .peer = "the S3 server", .sign = s3_sign, .judge = s3_judge };
        S3 *s3;
        int r;

        assert(s);

        s3 = s->backend = new0(S3, 1);
        if (!s3)
                return -ENOMEM;
        r = read_place(&c, s3);
        if (r >= 0)
                r = fields_prefix(&c, &s3->prefix);
        if (r >= 0)
                r = read_keys(&c, s3);
        if (r >= 0)
                r = read_protection(&c, s3);
        if (r >= 0)
                r = read_transfer(&c, s3);
        if (r < 0)
                return r;
        s->object_max = MIN((uint64_t) S3_PARTS_MAX * s3->part_size,
                            s3->volume_size > 0 ? s3->volume_size : UINT64_MAX);
        args.client = (HttpClientArgs){
                .transfer = { .ca_cert = s3->ca_cert, .proxy_url = s3->proxy_url },
                .http2 = true,
        };
        return http_server_new(s, &args, &s3->server);
}
