#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What the administrator may choose: /etc/backupx/config.yaml, its drop-ins, BACKUPX_SECTION_KEY. */

#include "base/times.h"
#include "sys/config.h"

#include "services/api/forwarded.h"
#include "services/api/tls.h"

typedef struct ApiConfig {
        char *listen;       /* where no socket was handed over */
        char *external_url; /* how others reach us, without a slash at its end; NULL: as they did */
        uint32_t connections;
        uint32_t connections_per_address;
        usec_t request_timeout; /* for headers, body and answer each; bodies and answers get more by their
                                   size */
        Proxies trusted_proxies;
        TlsMode tls;
        char *tls_certificate; /* the administrator's, PEM, with its chain; NULL: one of our own */
        char *tls_key;
        char *agent_packages; /* the folder of the agents' packages */
        char *release_url;    /* where releases are published: /vVERSION/FILE follows */
        char *release_mirror; /* stands in front of that for the source ghproxy */
        char **relay_directories;
        int log_level; /* negative: not set */
} ApiConfig;

#define API_CONFIG_DEFAULTS \
        ((ApiConfig){ \
                        .connections = 24576, \
                        .connections_per_address = 512, \
                        .request_timeout = 75 * USEC_PER_SEC, \
                        .log_level = -1, \
        })

#define API_CONFIG_PATH "/etc/backupx/config.yaml"
#define API_LISTEN_DEFAULT "127.0.0.1:8340"
#define API_AGENT_PACKAGES_DEFAULT "/usr/share/backupx/agent"
#define API_RELEASE_URL_DEFAULT "https://github.com/Awuqing/BackupX/releases/download"
#define API_RELEASE_MIRROR_DEFAULT "https://ghproxy.com"

void api_config_done(ApiConfig *c);
/* path NULL: the usual one, which may be missing. */
int api_config_load(const char *path, ApiConfig *config, Failure *reterr_failure) _warn_unused_;
