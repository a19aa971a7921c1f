/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "base/text.h"
#include "wire/feature.h"

static const char *const feature_table[_FEATURE_MAX] = {
        [FEATURE_HOOKS] = "hooks",
        [FEATURE_ONE_SNAPSHOT] = "one-snapshot",
};

DEFINE_STRING_TABLE(feature, Feature);

/* For people, beside the name. */
static const char *const feature_titles[_FEATURE_MAX] = {
        [FEATURE_HOOKS] = "hooks before and after a backup",
        [FEATURE_ONE_SNAPSHOT] = "one snapshot of all databases",
};

json_t *features_build(void) {
        _cleanup_json_ json_t *array = json_array();

        for (Feature f = 0; f < _FEATURE_MAX; f++)
                if (json_append(array, json_string(feature_to_string(f))) < 0)
                        return NULL;
        return TAKE_PTR(array);
}

int spec_add_need(json_t *spec, Feature feature) {
        json_t *needs;
        int r;

        assert(spec);
        assert(feature >= 0 && feature < _FEATURE_MAX);

        needs = json_object_get(spec, "needs");
        if (!needs) {
                needs = json_array();
                r = json_set(spec, "needs", needs);
                if (r < 0)
                        return r;
        }
        return json_append(needs, json_string(feature_to_string(feature)));
}

/* Absent: *ret is NULL. */
static int read_needs(const json_t *spec, char ***ret, Failure *reterr_failure) {
        JsonReader r;

        (void) json_reader_init(&r, spec, reterr_failure);
        (void) json_reader_strv(&r, "needs", JSON_OPTIONAL, FEATURES_MAX, FEATURE_NAME_MAX, ret);
        return json_reader_finish_lenient(&r);
}

int spec_check_needs(const json_t *spec, Failure *reterr_failure) {
        _cleanup_(strv_freep) char **needs = NULL;
        int r;

        r = read_needs(spec, &needs, reterr_failure);
        if (r < 0)
                return r;
        STRV_FOREACH(name, needs) {
                if (feature_from_string(*name) < 0)
                        return failure_set(reterr_failure, -EOPNOTSUPP, "FEATURE_UNSUPPORTED",
                                           "This agent (version %s) does not know '%s', which this command "
                                           "needs: upgrade the agent",
                                           BACKUPX_VERSION, *name);
        }
        return 0;
}

int spec_check_needs_of(const json_t *spec, char *const *features, const char *version,
                        Failure *reterr_failure) {
        _cleanup_(strv_freep) char **needs = NULL;
        int r;

        r = read_needs(spec, &needs, reterr_failure);
        if (r < 0)
                return r;
        STRV_FOREACH(name, needs) {
                Feature known = feature_from_string(*name);

                if (strv_contains(features, *name))
                        continue;
                return failure_set(reterr_failure, -EOPNOTSUPP, "FEATURE_UNSUPPORTED",
                                   "The agent of this node%s%s%s does not know '%s'%s%s%s, which this "
                                   "command needs: upgrade the agent",
                                   version ? " (version " : "", strempty(version), version ? ")" : "", *name,
                                   known >= 0 ? " (" : "", known >= 0 ? feature_titles[known] : "",
                                   known >= 0 ? ")" : "");
        }
        return 0;
}
