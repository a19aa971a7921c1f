/* SPDX-License-Identifier: Apache-2.0 */

/* What a job, which may be anybody's by now, asks of the keeper of hooks, which is root. */

#include "agent/common/hook-line.h"
#include "base/text.h"
#include "tests/test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_names(char *const *names) {
        STRV_FOREACH(name, names) {
                CHECK(hook_name_is_valid(*name));
                CHECK(!strchr(*name, '/') && **name != '.');
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(hook_work_done) HookWork work = HOOK_WORK_NULL;
        _cleanup_json_ json_t *json = NULL, *built = NULL;

        if (json_parse_strict(data, size, JSON_DEPTH_BODY, &json, NULL) < 0)
                return 0;
        CHECK(hook_message_type(json) < _HOOK_MESSAGE_MAX);
        if (hook_work_parse(json, &work, NULL) < 0)
                return 0;
        CHECK(!strpbrk(work.task, "\n\r") && !strpbrk(work.node, "\n\r") && !strpbrk(work.type, "\n\r"));
        CHECK(work.hooks.timeout_s >= 1 && work.hooks.timeout_s <= HOOK_TIMEOUT_MAX);
        CHECK(strv_length(work.hooks.pre) <= HOOKS_MAX && strv_length(work.hooks.post) <= HOOKS_MAX);
        check_names(work.hooks.pre);
        check_names(work.hooks.post);
        CHECK_OK(hook_work_build(&work, &built));
        return 0;
}
