/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/text.h"

#include "services/api/config.h"

static const ConfigItem items[] = {
        { "server", "listen", config_parse_string, offsetof(ApiConfig, listen) },
        { "server", "external_url", config_parse_string, offsetof(ApiConfig, external_url) },
        { "server", "connections", config_parse_u32, offsetof(ApiConfig, connections) },
        { "server", "connections_per_address", config_parse_u32,
          offsetof(ApiConfig, connections_per_address) },
        { "server", "request_timeout", config_parse_span, offsetof(ApiConfig, request_timeout) },
        { "server", "trusted_proxies", config_parse_strv, offsetof(ApiConfig, trusted_proxies) },
        { "relay", "directories", config_parse_paths, offsetof(ApiConfig, relay_directories) },
        { "log", "level", config_parse_log_level, offsetof(ApiConfig, log_level) },
};

void api_config_done(ApiConfig *c) {
        assert(c);

        free(c->listen);
        free(c->external_url);
        strv_free(c->trusted_proxies);
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

        assert(config);

        return config_load(&args, reterr_failure);
}
