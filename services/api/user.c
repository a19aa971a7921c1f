/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/alloc.h"
#include "base/text.h"
#include "wire/entity.h"

#include "services/api/api.h"
#include "services/api/change.h"
#include "services/api/handlers.h"
#include "services/api/page.h"
#include "services/api/password-job.h"
#include "services/api/stream.h"

static int fail_user(Request *r, int outcome, const User *user) {
        assert(r);
        assert(user);

        switch (outcome) {
        case STORE_E_NOT_FOUND:
                return request_fail(r, ERROR_USER_NOT_FOUND, "There is no user %" PRIu64 ".", r->id);
        case STORE_E_EXISTS:
                return request_fail_field(r, ERROR_USER_EXISTS, "username", "There is a user %s already.",
                                          user->username);
        case USER_E_LAST_ADMIN:
                return request_fail(r, ERROR_LAST_ADMIN,
                                    "This is the last enabled administrator: make another one first.");
        default:
                return outcome < 0 ? outcome : -EINVAL;
        }
}

int users_get(Request *r) {
        _cleanup_(user_list_done) UserList list = USER_LIST_NULL;
        _cleanup_(page_done) Page page = PAGE_NULL;
        int error;

        assert(r);

        error = page_from_request(r, &page);
        if (error < 0)
                return error;
        error = users_list(r->api->store, page.cursor, page_rows(&page), &list);
        if (error < 0)
                return error;
        for (size_t i = 0; i < list.n; i++)
                page_add(&page, list.items[i].id, user_to_json(&list.items[i]));
        return page_reply(r, &page);
}

int user_get_one(Request *r) {
        _cleanup_(user_done) User user = USER_NULL;
        int error;

        assert(r);

        error = user_get(r->api->store, r->id, &user);
        if (error != 0)
                return fail_user(r, error, &user);
        return request_reply(r, MHD_HTTP_OK, user_to_json(&user));
}

/* The user's row and, where the body has one, the password that is to be hashed. */
static int read_user(Request *r, User *user, char **ret_password) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *body = NULL;
        int error;

        error = request_body_json(r, &body);
        if (error < 0)
                return error;
        return request_check(r, user_from_json(body, user, ret_password, &failure), &failure);
}

/* --- New ones ------------------------------------------------------------------------------------- */

static int add(Request *r, PasswordJob *j) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int error;

        assert(r);
        assert(j);

        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        error = user_add(r->api->store, &j->user, &j->user.id);
        if (error != 0)
                return error;
        return change_commit(r, &tx, "user.create", j->user.id, j->user.username,
                             json_pack("{s:s}", "role", user_role_to_string(j->user.role)));
}

static int add_finish(Request *r, PasswordJob *j) {
        int error;

        assert(j);

        j->user.password_hash = TAKE_PTR(j->new_hash);
        j->user.created = now_usec(CLOCK_REALTIME);
        j->user.password_changed = j->user.created;
        error = add(r, j);
        if (error != 0)
                return fail_user(r, error, &j->user);
        change_tell(r, "user", j->user.id, "created");
        return request_reply(r, MHD_HTTP_CREATED, user_to_json(&j->user));
}

int users_post(Request *r) {
        _cleanup_(password_job_freep) PasswordJob *j = password_job_new(add_finish);
        int error;

        if (!j)
                return -ENOMEM;
        j->user.enabled = true;
        error = read_user(r, &j->user, &j->new_password);
        return error < 0 ? error : password_job_start(r, &j);
}

/* --- Changes -------------------------------------------------------------------------------------- */

static int update(Request *r, const User *user, const char *password_hash) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int error;

        assert(r);
        assert(user);

        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        error = user_update(r->api->store, user->id, user->username, user->role, user->enabled);
        if (error == 0 && password_hash)
                error = user_set_password(r->api->store, user->id, password_hash, now_usec(CLOCK_REALTIME),
                                          NULL);
        if (error != 0)
                return error;
        return change_commit(r, &tx, "user.update", user->id, user->username,
                             json_pack("{s:s, s:b, s:b}", "role", user_role_to_string(user->role), "enabled",
                                       user->enabled, "password", password_hash != NULL));
}

/* While the password was hashed the account may have been changed: what the body does not name is as it is
 * now, not as it was then. */
static int read_again(Request *r, PasswordJob *j) {
        _cleanup_(erase_and_freep) char *password = NULL;
        int error;

        user_done(&j->user);
        error = user_get(r->api->store, r->id, &j->user);
        return error != 0 ? error : read_user(r, &j->user, &password);
}

static int update_finish(Request *r, PasswordJob *j) {
        int error = 0;

        assert(r);
        assert(j);

        if (j->new_hash)
                error = read_again(r, j);
        if (error == 0)
                error = update(r, &j->user, j->new_hash);
        if (error != 0)
                return fail_user(r, error, &j->user);
        streams_check(r->api->streams);
        change_tell(r, "user", j->user.id, "updated");
        return request_reply(r, MHD_HTTP_OK, user_to_json(&j->user));
}

int user_put(Request *r) {
        _cleanup_(password_job_freep) PasswordJob *j = password_job_new(update_finish);
        int error;

        assert(r);

        if (!j)
                return -ENOMEM;
        error = user_get(r->api->store, r->id, &j->user);
        if (error != 0)
                return fail_user(r, error, &j->user);
        error = read_user(r, &j->user, &j->new_password);
        if (error < 0)
                return error;
        return j->new_password ? password_job_start(r, &j) : update_finish(r, j);
}

int user_remove(Request *r) {
        _cleanup_(user_done) User user = USER_NULL;
        int error;

        assert(r);

        error = user_get(r->api->store, r->id, &user);
        if (error == 0)
                error = change_delete(r, user_delete, "user.delete", user.id, user.username);
        if (error != 0)
                return fail_user(r, error, &user);
        streams_check(r->api->streams);
        change_tell(r, "user", user.id, "deleted");
        return request_reply(r, MHD_HTTP_OK, json_object());
}
