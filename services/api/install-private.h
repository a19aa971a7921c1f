#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What making an install link (install.c) and giving it out (install-serve.c) have in common. */

#include "services/api/api.h"
#include "services/api/install-text.h"
#include "services/api/request.h"

/* The folder of the agents' packages. */
static inline const char *install_folder(const Api *api) {
        return api->config.agent_packages ? api->config.agent_packages : API_AGENT_PACKAGES_DEFAULT;
}

/* What is sealed to a link's token. */
typedef struct InstallGift {
        char *values;  /* of install_values() */
        char *compose; /* NULL: the link is not for docker */
} InstallGift;

#define INSTALL_GIFT_NULL ((InstallGift){})

void install_gift_done(InstallGift *gift);
int install_gift_seal(const InstallGift *gift, const char *token, char **ret_sealed) _warn_unused_;
int install_gift_open(const char *sealed, const char *token, InstallGift *ret) _warn_unused_;
