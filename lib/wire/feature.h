#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* What a command needs of the agent that carries it out. Unknown fields of a spec are ignored, so an agent
 * that is older than its master would leave out what it does not know, and call the rest a success. A spec
 * therefore lists by name what must not be left out,
 *
 *         {"run":7,…,"hooks":{…},"needs":["hooks"]}
 *
 * each claim of an agent lists by name what it knows ("features"), the master ends a command that needs
 * more than its agent knows, and agent and job refuse it, too. A feature that came before the first of these
 * lists, or without which an agent refuses the spec anyway, has no name. */

#include <errno.h>

#include "wire/json.h"

typedef enum Feature {
        FEATURE_HOOKS,        /* of backups */
        FEATURE_ONE_SNAPSHOT, /* of all databases of a MySQL task: its backups, and restores of them */
        _FEATURE_MAX,
        _FEATURE_INVALID = -EINVAL,
} Feature;

/* "hooks", "one-snapshot" */
DECLARE_STRING_TABLE(feature, Feature);

/* Of another version's lists: names are letters, digits and '-', as ours are. */
#define FEATURES_MAX 64
#define FEATURE_NAME_MAX 32

/* Everything that this version knows, as an array of names. NULL: out of memory. */
json_t *features_build(void);

/* The spec needs this. Once for each. */
int spec_add_need(json_t *spec, Feature feature) _warn_unused_;
/* Whether this version knows everything that the spec needs: -EOPNOTSUPP with FEATURE_UNSUPPORTED if not. */
int spec_check_needs(const json_t *spec, Failure *reterr_failure) _warn_unused_;
/* The same of an agent of another version (NULL: not known), which said what it knows (none: NULL). */
int spec_check_needs_of(const json_t *spec, char *const *features, const char *version,
                        Failure *reterr_failure) _warn_unused_;
