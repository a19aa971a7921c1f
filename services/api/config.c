/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"

#include "services/api/config.h"
#include "services/api/master-url.h"

static int parse_url(const ConfigValue *value, void *field, Failure *reterr_failure) {
        _cleanup_(master_url_done) MasterUrl url = MASTER_URL_NULL;
        _cleanup_(freep) char *text = NULL;
        char **target = ASSERT_PTR(field);
        int r;

        r = config_parse_string(value, &text, reterr_failure);
        if (r >= 0 && text)
                r = master_url_parse(text, &url, reterr_failure);
        if (r < 0)
                return r;
        free(*target);
        *target = TAKE_PTR(url.url);
        return 0;
}

/* In a variable: a comma or blanks between the ranges, since IPv6 has the colons. */
static int parse_proxies(const ConfigValue *value, void *field, Failure *reterr_failure) {
        Proxies *target = ASSERT_PTR(field), proxies = {};

        assert(value);

        for (size_t i = 0; i < value->n; i++) {
                const char *s = value->items[i];

                while (*(s += strspn(s, ", ")) != 0) {
                        size_t n = strcspn(s, ", ");
                        _cleanup_(freep) char *range = memdup0(s, n);
                        int r;

                        if (!range)
                                return -ENOMEM;
                        r = proxies_add(&proxies, range, reterr_failure);
                        if (r < 0)
                                return r;
                        s += n;
                }
        }
        *target = proxies;
        return 0;
}

static int parse_tls_mode(const ConfigValue *value, void *field, Failure *reterr_failure) {
        _cleanup_(freep) char *text = NULL;
        TlsMode *target = ASSERT_PTR(field), mode;
        int r;

        r = config_parse_string(value, &text, reterr_failure);
        if (r < 0)
                return r;
        mode = tls_mode_from_string(strempty(text));
        if (mode < 0)
                return failure_set(reterr_failure, -EINVAL, "CONFIG_INVALID",
                                   "'%s' is none of auto, on and off", strempty(text));
        *target = mode;
        return 0;
}

static const ConfigItem items[] = {
        { "server", "listen", config_parse_string, offsetof(ApiConfig, listen) },
        { "server", "external_url", parse_url, offsetof(ApiConfig, external_url) },
        { "server", "agent_packages", config_parse_path, offsetof(ApiConfig, agent_packages) },
        { "server", "release_url", config_parse_string, offsetof(ApiConfig, release_url) },
        { "server", "release_mirror", config_parse_string, offsetof(ApiConfig, release_mirror) },
        { "server", "connections", config_parse_u32, offsetof(ApiConfig, connections) },
        { "server", "connections_per_address", config_parse_u32,
          offsetof(ApiConfig, connections_per_address) },
        { "server", "request_timeout", config_parse_span, offsetof(ApiConfig, request_timeout) },
        { "server", "trusted_proxies", parse_proxies, offsetof(ApiConfig, trusted_proxies) },
        { "server", "tls", parse_tls_mode, offsetof(ApiConfig, tls) },
        { "server.tls", "mode", parse_tls_mode, offsetof(ApiConfig, tls) },
        { "server.tls", "certificate", config_parse_path, offsetof(ApiConfig, tls_certificate) },
        { "server.tls", "key", config_parse_path, offsetof(ApiConfig, tls_key) },
        { "relay", "directories", config_parse_paths, offsetof(ApiConfig, relay_directories) },
        { "log", "level", config_parse_log_level, offsetof(ApiConfig, log_level) },
};

void api_config_done(ApiConfig *c) {
        assert(c);

        free(c->listen);
        free(c->external_url);
        free(c->tls_certificate);
        free(c->tls_key);
        free(c->agent_packages);
        free(c->release_url);
        free(c->release_mirror);
        strv_free(c->relay_directories);
        *c = API_CONFIG_DEFAULTS;
}

int api_config_load(const char *path, ApiConfig *config, Failure *reterr_failure) {
        const ConfigArgs args = {
                .items = items,
                .n_items = ELEMENTSOF(items),
                .environment = "BACKUPX",
                .path = path ? path : API_CONFIG_PATH,
                .required = path,
                .target = config,
        };

        int r;

        assert(config);

        r = config_load(&args, reterr_failure);
        if (r < 0)
                return r;
        if (!config->tls_certificate != !config->tls_key)
                return failure_set(reterr_failure, -EINVAL, "CONFIG_INVALID",
                                   "server.tls.certificate and server.tls.key belong together: only "
                                   "%s is set",
                                   config->tls_key ? "the key" : "the certificate");
        return 0;
}
