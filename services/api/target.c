/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/queue.h"
#include "sys/daemon.h"
#include "wire/entity.h"
#include "wire/names.h"

#include "services/api/api.h"
#include "services/api/change.h"
#include "services/api/handlers.h"
#include "services/api/page.h"
#include "services/api/probe.h"
#include "services/api/secrets.h"

static int fail_target(Request *r, int outcome, const Target *target) {
        assert(r);
        assert(target);

        switch (outcome) {
        case STORE_E_NOT_FOUND:
                return request_fail(r, ERROR_TARGET_NOT_FOUND, "There is no target %" PRIu64 ".", r->id);
        case STORE_E_EXISTS:
                return request_fail_field(r, ERROR_TARGET_EXISTS, "name", "There is a target %s already.",
                                          target->name);
        case STORE_E_IN_USE:
                return request_fail(r, ERROR_TARGET_IN_USE,
                                    "A task has the target %s, or an archive lies in it: those go first.",
                                    target->name);
        default:
                return outcome < 0 ? outcome : -EINVAL;
        }
}

static int reply_target(Request *r, unsigned status, uint64_t id) {
        _cleanup_(target_done) Target target = TARGET_NULL;
        int error;

        error = target_get(r->api->store, id, &target);
        if (error != 0)
                return fail_target(r, error, &target);
        return request_reply(r, status, target_to_json(&target));
}

int targets_get(Request *r) {
        _cleanup_(target_list_done) TargetList list = TARGET_LIST_NULL;
        _cleanup_(page_done) Page page = PAGE_NULL;
        int error;

        assert(r);

        error = page_from_request(r, &page);
        if (error < 0)
                return error;
        error = targets_list(r->api->store, page.cursor, page_rows(&page), &list);
        if (error < 0)
                return error;
        for (size_t i = 0; i < list.n; i++)
                page_add(&page, list.items[i].id, target_to_json(&list.items[i]));
        return page_reply(r, &page);
}

int target_get_one(Request *r) {
        return reply_target(r, MHD_HTTP_OK, r->id);
}

/* --- Secrets -------------------------------------------------------------------------------------- */

static int keep_secret_names(const json_t *secrets, Target *target) {
        _cleanup_json_ json_t *names = json_array();
        const char *name;
        json_t *value;

        json_object_foreach((json_t *) secrets, name,
                            value) if (json_append(names, json_from_string(name)) < 0) return -ENOMEM;
        return json_keep_text(names, &target->secret_names);
}

/* had: there were some until now. */
static int take_secrets(Request *r, const json_t *secrets, bool had, Target *target, char **ret_sealed) {
        int error;

        if (!secrets && had && !target->secret_names)
                return (*ret_sealed = strdup("")) ? 0 : -ENOMEM;
        if (!secrets)
                return 0;
        error = keep_secret_names(secrets, target);
        return error < 0 ? error : secrets_seal(r, secrets, ret_sealed);
}

static bool is_allowed_relay(Request *r, const Target *target) {
        _cleanup_(freep) char *fallback = NULL;
        _cleanup_json_ json_t *config = json_from_text(target->config);
        const char *directory = json_string_value(json_object_get(config, "directory"));

        assert(r);

        if (!streq(target->type, "relay") || !directory)
                return true;
        if (strv_length(r->api->config.relay_directories) > 0)
                return strv_contains(r->api->config.relay_directories, directory);
        return asprintf_safe(&fallback, "%s/" FILE_RELAY, daemon_state_directory()) >= 0 &&
                        streq(fallback, directory);
}

static int read_target(Request *r, Target *target, char **ret_sealed) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *body = NULL;
        bool had = target->secret_names != NULL;
        const json_t *secrets = NULL;
        int error;

        error = request_body_json(r, &body);
        secrets_wipe(r);
        if (error < 0)
                return error;
        error = target_from_json(body, target, &secrets, &failure);
        if (error < 0)
                return request_check(r, error, &failure);
        if (!is_allowed_relay(r, target))
                return request_refused(request_fail_field(
                                r, ERROR_FIELD_INVALID, "config.directory",
                                "This directory of the master is not open to the relay: on the master, "
                                "'backupx relay allow DIR' opens it."));
        return take_secrets(r, secrets, had, target, ret_sealed);
}

/* --- Changes -------------------------------------------------------------------------------------- */

static int write_target(Request *r, Target *target, const char *sealed, bool is_new) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int error;

        assert(r);
        assert(target);

        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        target->updated = now_usec(CLOCK_REALTIME);
        if (is_new)
                target->created = target->updated;
        error = is_new ? target_add(r->api->store, target, sealed, &target->id) :
                         target_update(r->api->store, target, sealed);
        if (error != 0)
                return error;
        return change_commit(r, &tx, is_new ? "target.create" : "target.update", target->id, target->name,
                             json_pack("{s:s, s:o, s:b}", "type", target->type, "config",
                                       json_from_text(target->config), "secrets", sealed != NULL));
}

int targets_post(Request *r) {
        _cleanup_(target_done) Target target = TARGET_NULL;
        _cleanup_(freep) char *sealed = NULL;
        int error;

        error = read_target(r, &target, &sealed);
        if (error < 0)
                return error;
        error = write_target(r, &target, sealed, /* is_new= */ true);
        if (error != 0)
                return fail_target(r, error, &target);
        change_tell(r, "target", target.id, "created");
        return reply_target(r, MHD_HTTP_CREATED, target.id);
}

int target_put(Request *r) {
        _cleanup_(target_done) Target target = TARGET_NULL;
        _cleanup_(freep) char *sealed = NULL;
        int error;

        assert(r);

        error = target_get(r->api->store, r->id, &target);
        if (error != 0)
                return fail_target(r, error, &target);
        error = read_target(r, &target, &sealed);
        if (error < 0)
                return error;
        error = write_target(r, &target, sealed, /* is_new= */ false);
        if (error != 0)
                return fail_target(r, error, &target);
        change_tell(r, "target", target.id, "updated");
        return reply_target(r, MHD_HTTP_OK, target.id);
}

int target_remove(Request *r) {
        _cleanup_(target_done) Target target = TARGET_NULL;
        int error;

        assert(r);

        error = target_get(r->api->store, r->id, &target);
        if (error == 0)
                error = change_delete(r, target_delete, "target.delete", target.id, target.name);
        if (error != 0)
                return fail_target(r, error, &target);
        change_tell(r, "target", target.id, "deleted");
        return request_reply(r, MHD_HTTP_OK, json_object());
}

/* --- Test ----------------------------------------------------------------------------------------- */

static json_t *test_to_json(const Command *command) {
        _cleanup_json_ json_t *result = json_from_text(command->result), *data = json_object();
        bool ok = command->state == COMMAND_SUCCEEDED;

        if (json_set(data, "ok", json_boolean(ok)) < 0 ||
            json_set(data, "command_state", json_from_string(command_state_to_string(command->state))) < 0 ||
            json_set(data, "writable", json_incref(json_object_get(result, "writable") ?: json_null())) <
                            0 ||
            json_set(data, "free_bytes", json_incref(json_object_get(result, "free_bytes") ?: json_null())) <
                            0 ||
            json_set(data, "total_bytes",
                     json_incref(json_object_get(result, "total_bytes") ?: json_null())) < 0)
                return NULL;
        if (json_set(data, "error",
                     ok ? json_null() :
                          json_pack("{s:s, s:s}", "code",
                                    command->error_code ? command->error_code : "FAILED", "message",
                                    strempty(command->error))) < 0)
                return NULL;
        return TAKE_PTR(data);
}

static int test_reply(Request *r, uint64_t command_id) {
        _cleanup_(command_done) Command command = COMMAND_NULL;
        _cleanup_json_ json_t *data = NULL;
        _cleanup_(freep) char *text = NULL;
        int error;

        assert(r);

        error = command_get(r->api->store, command_id, &command);
        if (error != 0)
                return error < 0 ? error : -ESTALE;
        data = test_to_json(&command);
        if (!data)
                return -ENOMEM;
        error = json_format(data, &text, NULL);
        if (error >= 0)
                error = target_set_tested(r->api->store, r->id, command.state == COMMAND_SUCCEEDED, text,
                                          now_usec(CLOCK_REALTIME));
        return error < 0 ? error : request_reply(r, MHD_HTTP_OK, TAKE_PTR(data));
}

static void test_done(Request *r, int error, uint64_t command_id, const Failure *failure) {
        request_end(r, error < 0 ? request_fail_failure(r, error, failure) : test_reply(r, command_id));
}

static int read_test(Request *r, uint64_t *ret_node_id) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *body = NULL;
        JsonReader reader;
        int error;

        error = request_body_json_or_none(r, &body);
        if (error < 0)
                return error;
        json_reader_init(&reader, body, &failure);
        json_reader_u64(&reader, "node_id", JSON_OPTIONAL, INT64_MAX, ret_node_id);
        return request_check(r, json_reader_finish(&reader), &failure);
}

/* Whether the target can be written, seen from a node. */
int target_test(Request *r) {
        _cleanup_(target_done) Target target = TARGET_NULL;
        uint64_t node_id = 0;
        int error;

        assert(r);

        error = read_test(r, &node_id);
        if (error < 0)
                return error;
        if (node_id == 0)
                node_id = NODE_LOCAL;
        error = target_get(r->api->store, r->id, &target);
        if (error != 0)
                return fail_target(r, error, &target);
        return probe_ask(r, node_id, "test_storage", json_object(),
                         json_pack("{s:[I]}", "target_ids", (json_int_t) target.id), test_done);
}
