/* SPDX-License-Identifier: Apache-2.0 */

/* Bodies of requests, through every codec. The first byte chooses the codec. What is taken is shown and has
 * to be taken again where the two forms are alike. */

#include "base/alloc.h"
#include "tests/test.h"
#include "wire/entity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void task(const json_t *json, Failure *failure) {
        _cleanup_(task_done) Task t = TASK_NULL;
        _cleanup_json_ json_t *shown = NULL;
        const json_t *secrets = NULL, *source;

        CHECK_OK(task_init(&t));
        if (task_from_json(json, &t, &secrets, failure) < 0)
                return;
        shown = task_to_json(&t, NULL, NULL, NULL);
        CHECK(shown);
        source = json_object_get(shown, "source");
        CHECK(json_is_array(json_object_get(source, "paths")) ||
              json_is_object(json_object_get(source, "server")));
}

static void target(const json_t *json, Failure *failure) {
        _cleanup_(target_done) Target t = TARGET_NULL;
        _cleanup_json_ json_t *shown = NULL;
        const json_t *secrets = NULL;

        if (target_from_json(json, &t, &secrets, failure) < 0)
                return;
        CHECK(!secrets || json_is_object(secrets));
        shown = target_to_json(&t);
        CHECK(shown && json_is_object(json_object_get(shown, "config")));
}

static void node(const json_t *json, Failure *failure) {
        _cleanup_(node_done) Node n = NODE_NULL;

        if (node_from_json(json, &n, failure) >= 0)
                CHECK(entity_name_is_valid(n.name));
}

static void user(const json_t *json, Failure *failure) {
        _cleanup_(erase_and_freep) char *password = NULL;
        _cleanup_(user_done) User u = USER_NULL;

        if (user_from_json(json, &u, &password, failure) >= 0)
                CHECK(username_is_valid(u.username) && password);
}

static void api_key(const json_t *json, Failure *failure) {
        _cleanup_(api_key_done) ApiKey k = API_KEY_NULL;

        if (api_key_from_json(json, &k, failure) >= 0)
                CHECK(entity_name_is_valid(k.name));
}

static void restore(const json_t *json, Failure *failure) {
        _cleanup_(restore_request_done) RestoreRequest r = RESTORE_REQUEST_NULL;

        if (restore_request_from_json(json, &r, failure) >= 0)
                CHECK(r.in_place || r.node_id > 0);
}

static void (*const codecs[])(const json_t *, Failure *) = { task, target, node, user, api_key, restore };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *json = NULL;

        if (size < 1 || json_parse_strict(data + 1, size - 1, JSON_DEPTH_DEFAULT, &json, NULL) < 0)
                return 0;
        codecs[data[0] % ELEMENTSOF(codecs)](json, &failure);
        return 0;
}
