/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/encode.h"
#include "base/text.h"
#include "storage/azure.h"
#include "storage/fields.h"

#define ACCOUNT_MAX 64
#define CONTAINER_MAX 63
#define KEY_MAX 1024

Azure *azure_free(Azure *z) {
        if (!z)
                return NULL;
        http_server_free(z->server);
        free(z->url);
        free(z->root);
        free(z->account);
        free(z->container);
        free(z->prefix);
        if (z->key)
                explicit_bzero(z->key, z->key_size);
        free(z->key);
        erase_and_free(z->sas);
        free(z->tier);
        free(z->ca_cert);
        free(z->proxy_url);
        return mfree(z);
}

/* Where the account is: its own host, or a path of a host for all (as in the emulator). */
static int set_place(const Fields *c, Azure *z, const char *endpoint) {
        _cleanup_(freep) char *host = NULL;
        const char *scheme;
        char *path;
        int r;

        r = fields_endpoint(c, endpoint, "-.:[]_/", &scheme, &host);
        if (r < 0)
                return r;
        path = strchr(host, '/');
        r = asprintf_safe(&z->root, "%s/%s", strempty(path), z->container);
        if (path)
                *path = 0;
        return r < 0 ? r : asprintf_safe(&z->url, "%s://%s", scheme, host);
}

static int read_place(const Fields *c, Azure *z) {
        _cleanup_(freep) char *endpoint = NULL;
        int r;

        r = fields_text(c, "config.account", &z->account);
        if (r >= 0)
                r = fields_text(c, "config.container", &z->container);
        if (r >= 0)
                r = fields_text(c, "config.endpoint", &endpoint);
        if (r >= 0)
                r = fields_prefix(c, &z->prefix);
        if (r < 0)
                return r;
        if (!z->account || !fields_is_made_of(z->account, "-", ACCOUNT_MAX))
                return fields_bad(c, "config.account", z->account ? "is not an account" : "is missing");
        if (!z->container || !fields_is_made_of(z->container, "-$", CONTAINER_MAX))
                return fields_bad(c, "config.container",
                                  z->container ? "is not the name of a container" : "is missing");
        if (!endpoint)
                r = asprintf_safe(&endpoint, "https://%s.blob.core.windows.net", z->account);
        return r < 0 ? r : set_place(c, z, endpoint);
}

static int read_key(const Fields *c, Azure *z, const char *text) {
        int r;

        r = base64_decode(BASE64_STANDARD, text, strlen(text), &z->key, &z->key_size);
        if (r == -EINVAL || (r >= 0 && (z->key_size == 0 || z->key_size > KEY_MAX)))
                return fields_bad(c, "secrets.account_key", "is not a key in base64");
        return r;
}

static int read_secrets(const Fields *c, Azure *z) {
        _cleanup_(erase_and_freep) char *key = NULL, *sas = NULL;
        int r;

        r = fields_text(c, "secrets.account_key", &key);
        if (r >= 0)
                r = fields_text(c, "secrets.sas_token", &sas);
        if (r < 0)
                return r;
        if (!key == !sas)
                return fields_bad(c, "secrets.account_key",
                                  key ? "and secrets.sas_token exclude each other" :
                                        "is missing, and so is secrets.sas_token");
        if (key)
                return read_key(c, z, key);
        /* A key signs what goes over the line; a token is what goes over it. */
        if (startswith(z->url, "http://"))
                return fields_bad(c, "secrets.sas_token", "goes over https alone");
        if (sas[strcspn(sas, " #\"<>")] != 0)
                return fields_bad(c, "secrets.sas_token", "is not a token as the service makes them");
        return free_and_strdup(&z->sas, sas[0] == '?' ? sas + 1 : sas);
}

static int read_transfer(const Fields *c, Azure *z) {
        uint64_t mib = AZURE_BLOCK_DEFAULT >> 20;
        int r;

        r = fields_number(c, "config.block_size", AZURE_BLOCK_MIN >> 20, AZURE_BLOCK_MAX >> 20, &mib);
        if (r >= 0)
                r = fields_volume_size(c, &z->volume_size);
        if (r >= 0)
                r = fields_text(c, "config.tier", &z->tier);
        if (r >= 0)
                r = fields_text(c, "config.ca_cert", &z->ca_cert);
        if (r >= 0)
                r = fields_text(c, "config.proxy", &z->proxy_url);
        if (r < 0)
                return r;
        if (z->tier && !streq(z->tier, "Hot") && !streq(z->tier, "Cool") && !streq(z->tier, "Cold"))
                return fields_bad(c, "config.tier", "is not Hot, Cool or Cold");
        z->block_size = (size_t) mib << 20;
        atomic_store(&z->spare, MIN(PARTS_FLIGHT_MAX, (int) (AZURE_MEMORY / z->block_size) - 1));
        return 0;
}

int azure_configure(Storage *s, const StorageConfig *config, Failure *reterr_failure) {
        const Fields c = { s, config->config, config->secrets, reterr_failure };
        HttpServerArgs args = { .peer = "the Azure storage", .sign = azure_sign, .judge = azure_judge };
        Azure *z;
        int r;

        assert(s);

        z = s->backend = new0(Azure, 1);
        if (!z)
                return -ENOMEM;
        r = read_place(&c, z);
        if (r >= 0)
                r = read_secrets(&c, z);
        if (r >= 0)
                r = read_transfer(&c, z);
        if (r < 0)
                return r;
        s->object_max = MIN((uint64_t) AZURE_BLOCKS_MAX * z->block_size,
                            z->volume_size > 0 ? z->volume_size : UINT64_MAX);
        args.client = (HttpClientArgs){
                .transfer = { .ca_cert = z->ca_cert, .proxy_url = z->proxy_url },
                .http2 = true,
        };
        return http_server_new(s, &args, &z->server);
}
