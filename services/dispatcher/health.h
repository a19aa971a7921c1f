#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* The reasons of a node's health as the store keeps them: [{"code","message","since"},…]. */

#include "services/dispatcher/choose.h"

/* Whether this text (NULL: none) names just these reasons. Cheap: asked for every node, every second. */
bool health_reasons_match(const char *text, unsigned reasons);
/* New text for these reasons, NULL for none; those that the text before (or NULL) has keep their time. */
int health_reasons_format(unsigned reasons, const char *before, usec_t now, char **ret) _warn_unused_;
