/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/text.h"
#include "store/rows.h"
#include "store/setting.h"

static bool setting_is_ours(const Store *s, const char *name) {
        static const char *const prefixes[_STORE_ROLE_MAX] = {
                [STORE_API] = "api.",
                [STORE_SCHEDULER] = "scheduler.",
                [STORE_DISPATCHER] = "dispatcher.",
        };
        const char *prefix = prefixes[store_role(s)];

        return prefix && startswith(name, prefix);
}

int setting_set(Store *s, const char *name, const char *value) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(name);

        if (!setting_is_ours(s, name))
                return -EPERM;
        query_start(&q, s, value ? SQL_SETTING_SET : SQL_SETTING_DELETE);
        bind_text(&q, name);
        if (value)
                bind_text(&q, value);
        return query_exec(&q);
}

int setting_get(Store *s, const char *name, char **ret) {
        _cleanup_(query_done) Query q = QUERY_NULL;

        assert(s);
        assert(name);
        assert(ret);

        query_start(&q, s, SQL_SETTING_GET);
        bind_text(&q, name);
        return query_text(&q, ret);
}
