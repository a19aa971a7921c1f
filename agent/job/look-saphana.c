/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/job/databases.h"
#include "agent/job/look.h"
#include "wire/check.h"

int look_at_saphana(const Look *l) {
        _cleanup_(hana_tool_done) HanaTool tool = HANA_TOOL_NULL;
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        ToolFinder finder;
        int r;

        assert(l && l->source->hana);

        finder = job_hana_finder(l->run);
        r = hana_tool_find(&finder, l->source->hana, NULL, NULL, &tool, &failure);
        if (r < 0)
                return look_failed(l, "tools", &failure, r);
        r = check_add(l->items, "tools", CHECK_STATE_OK, NULL, "%s is there", tool.path);
        if (r < 0)
                return r;
        return check_add(l->items, "server", CHECK_STATE_WARNING,
                         "The first run asks it, before anything is written",
                         "SAP HANA was not asked: a test does not log in to it");
}
