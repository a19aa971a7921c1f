/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/session.h"
#include "sys/log.h"
#include "wire/entity.h"
#include "wire/names.h"

#include "services/api/api.h"
#include "services/api/change.h"
#include "services/api/login.h"
#include "services/api/password-job.h"
#include "services/api/stream.h"
#include "services/api/throttle.h"

#define USER_AGENT_MAX 200U
/* What is hashed for a password of which we know already that it is wrong. */
#define LOGIN_TEXT_MAX 1024U

/* --- Set-up --------------------------------------------------------------------------------------- */

int setup_get(Request *r) {
        bool exist;
        int error;

        assert(r);

        error = users_exist(r->api->store, &exist);
        if (error < 0)
                return error;
        return request_reply(r, MHD_HTTP_OK, json_pack("{s:b}", "needed", !exist));
}

static int refuse_setup(Request *r) {
        return request_fail(r, ERROR_SETUP_DONE, "The first administrator exists already: log in.");
}

static int setup_write(Request *r, PasswordJob *j, uint64_t *ret_id) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int error;

        assert(r);
        assert(j);

        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        error = user_set_up(r->api->store, j->user.username, j->new_hash, now_usec(CLOCK_REALTIME), ret_id);
        if (error != 0)
                return error;
        error = change_audit_self(r, *ret_id, j->user.username, "user.setup");
        return error < 0 ? error : store_commit(&tx);
}

static int setup_finish(Request *r, PasswordJob *j) {
        uint64_t id = 0;
        int error;

        assert(r);
        assert(j);

        error = setup_write(r, j, &id);
        if (error == USER_E_SET_UP)
                return refuse_setup(r);
        if (error < 0)
                return error;
        log_struct(LOG_NOTICE, MESSAGE_SETUP_DONE, LOG_FIELDS(LOG_ACCOUNT(j->user.username)),
                   "The first administrator %s was made from %s.", j->user.username, r->address);
        return request_reply(r, MHD_HTTP_CREATED,
                             json_pack("{s:I, s:s}", "id", (json_int_t) id, "username", j->user.username));
}

static int read_setup(Request *r, PasswordJob *j) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *body = NULL;
        JsonReader reader;
        int error;

        assert(j);

        error = request_body_json(r, &body);
        if (error < 0)
                return error;
        json_reader_init(&reader, body, &failure);
        error = json_reader_strdup(&reader, "username", JSON_REQUIRED, ENTITY_NAME_MAX, &j->user.username);
        if (error > 0 && !username_is_valid(j->user.username))
                json_reader_fail(&reader, "username", "has to be of letters, digits and . _ - @ +");
        json_reader_password(&reader, JSON_REQUIRED, LOGIN_TEXT_MAX, &j->new_password);
        return request_check(r, json_reader_finish(&reader), &failure);
}

int setup_post(Request *r) {
        _cleanup_(password_job_freep) PasswordJob *j = password_job_new(setup_finish);
        bool exist;
        int error;

        assert(r);

        if (!j)
                return -ENOMEM;
        error = users_exist(r->api->store, &exist);
        if (error < 0)
                return error;
        if (exist)
                return refuse_setup(r);
        error = read_setup(r, j);
        return error < 0 ? error : password_job_start(r, &j);
}

/* --- Login ---------------------------------------------------------------------------------------- */

static int read_login(Request *r, PasswordJob *j) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *body = NULL;
        JsonReader reader;
        int error;

        assert(j);

        error = request_body_json(r, &body);
        if (error < 0)
                return error;
        json_reader_init(&reader, body, &failure);
        json_reader_strdup(&reader, "username", JSON_REQUIRED, LOGIN_TEXT_MAX, &j->user.username);
        json_reader_strdup(&reader, "password", JSON_REQUIRED, LOGIN_TEXT_MAX, &j->old_password);
        return request_check(r, json_reader_finish(&reader), &failure);
}

static int refuse_login(Request *r, const char *username) {
        log_struct(LOG_NOTICE, MESSAGE_LOGIN_FAILED, LOG_FIELDS(LOG_ACCOUNT(username)),
                   "A login from %s failed.", r->address);
        return request_fail(r, ERROR_LOGIN_FAILED, "The user name or the password is wrong.");
}

static void format_cookie(const Request *r, const char *token, uint64_t seconds, char *buf, size_t n) {
        (void) snprintf(buf, n,
                        SESSION_COOKIE "=%s; Path=/; Max-Age=%" PRIu64 "; HttpOnly; SameSite=Strict%s",
                        token, seconds, r->is_https ? "; Secure" : "");
}

static int login_write(Request *r, const User *user, const SessionClaims *claims) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(freep) char *agent = NULL;
        const char *header = request_header(r, "User-Agent");
        int error;

        assert(r);
        assert(user);
        assert(claims);

        if (header && !(agent = memdup0(header, strnlen(header, USER_AGENT_MAX))))
                return -ENOMEM;
        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        error = session_add(r->api->store, &(Session){
                                                           .jti = (char *) claims->id,
                                                           .user_id = user->id,
                                                           .created = claims->issued_at,
                                                           .expires = claims->expires_at,
                                                           .address = r->address,
                                                           .user_agent = agent,
                                           });
        if (error >= 0)
                error = user_logged_in(r->api->store, user->id, claims->issued_at);
        if (error >= 0)
                error = change_audit_self(r, user->id, user->username, "session.create");
        return error < 0 ? error : store_commit(&tx);
}

static int login_reply(Request *r, const User *user, const SessionClaims *claims, const char *token) {
        char cookie[SESSION_TEXT_MAX + 128];
        _cleanup_json_ json_t *data = json_object();
        int error;

        assert(claims);

        if (json_set(data, "token", json_from_string(token)) < 0 ||
            json_set(data, "expires_at", json_from_time(claims->expires_at)) < 0 ||
            json_set(data, "user", user_to_json(user)) < 0)
                return -ENOMEM;
        error = request_reply(r, MHD_HTTP_OK, TAKE_PTR(data));
        if (error < 0)
                return error;
        format_cookie(r, token, SESSION_USEC / USEC_PER_SEC, cookie, sizeof(cookie));
        return request_add_header(r, MHD_HTTP_HEADER_SET_COOKIE, cookie);
}

/* Between the look at the hash and now the account may have been changed. */
static bool may_log_in(const PasswordJob *j, const User *user) {
        return j->verified == 1 && user->enabled && streq_ptr(user->password_hash, j->old_hash);
}

static int login_finish(Request *r, PasswordJob *j) {
        _cleanup_(erase_and_freep) char *token = NULL;
        _cleanup_(user_done) User user = USER_NULL;
        SessionClaims claims = {};
        int error;

        assert(r);
        assert(j);

        error = user_find(r->api->store, j->user.username, &user);
        if (error < 0)
                return error;
        if (error > 0 || !may_log_in(j, &user))
                return refuse_login(r, j->user.username);
        throttle_forgive(r->api->throttle, THROTTLE_ACCOUNT, j->user.username);
        throttle_forgive(r->api->throttle, THROTTLE_ADDRESS, r->address);

        error = session_id_new(claims.id);
        if (error < 0)
                return error;
        claims.user_id = user.id;
        claims.issued_at = now_usec(CLOCK_REALTIME) / USEC_PER_SEC * USEC_PER_SEC;
        claims.expires_at = claims.issued_at + SESSION_USEC;
        error = session_sign(r->api->session_key, &claims, &token);
        if (error >= 0)
                error = login_write(r, &user, &claims);
        return error < 0 ? error : login_reply(r, &user, &claims, token);
}

/* Whether this one has to wait; then it was answered. The same for accounts that do not exist. */
static bool is_throttled(Request *r, const char *username, int *ret_error) {
        usec_t now = now_usec(CLOCK_MONOTONIC);
        usec_t wait = MAX(throttle_wait(r->api->throttle, THROTTLE_ACCOUNT, username, now),
                          throttle_wait(r->api->throttle, THROTTLE_ADDRESS, r->address, now));

        if (wait == 0) {
                throttle_count(r->api->throttle, THROTTLE_ACCOUNT, username, now);
                throttle_count(r->api->throttle, THROTTLE_ADDRESS, r->address, now);
                return false;
        }
        log_struct(LOG_WARNING, MESSAGE_LOGIN_THROTTLED, LOG_FIELDS(LOG_ACCOUNT(username)),
                   "Logins from %s or of this account fail too often: they have to wait.", r->address);
        *ret_error = request_fail_later(r, ERROR_TOO_MANY_REQUESTS, wait,
                                        "Too many logins failed: wait %" PRIu64 " s.",
                                        (wait + USEC_PER_SEC - 1) / USEC_PER_SEC);
        return true;
}

int auth_login(Request *r) {
        _cleanup_(password_job_freep) PasswordJob *j = password_job_new(login_finish);
        _cleanup_(user_done) User user = USER_NULL;
        int error;

        assert(r);

        if (!j)
                return -ENOMEM;
        error = read_login(r, j);
        if (error < 0)
                return error;
        if (is_throttled(r, j->user.username, &error))
                return error;
        error = user_find(r->api->store, j->user.username, &user);
        if (error < 0)
                return error;
        j->verify = true;
        j->old_hash = error == 0 ? TAKE_PTR(user.password_hash) : NULL;
        return password_job_start(r, &j);
}

/* --- The own session ------------------------------------------------------------------------------ */

static int logout_write(Request *r) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        int error;

        assert(r);

        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        error = session_delete(r->api->store, r->principal.jti);
        if (error < 0)
                return error;
        error = change_audit(r, "session.delete", r->principal.user_id, r->principal.username, NULL);
        return error < 0 ? error : store_commit(&tx);
}

int auth_logout(Request *r) {
        char cookie[128];
        int error;

        assert(r);

        if (r->principal.kind != PRINCIPAL_SESSION)
                return request_fail(r, ERROR_CONFLICT, "An API key has no session: delete the key instead.");
        error = logout_write(r);
        if (error < 0)
                return error;
        streams_check(r->api->streams);
        error = request_reply(r, MHD_HTTP_OK, json_object());
        if (error < 0)
                return error;
        format_cookie(r, "", 0, cookie, sizeof(cookie));
        return request_add_header(r, MHD_HTTP_HEADER_SET_COOKIE, cookie);
}

int auth_me(Request *r) {
        _cleanup_(user_done) User user = USER_NULL;
        _cleanup_json_ json_t *data = NULL;
        int error;

        assert(r);

        error = user_get(r->api->store, r->principal.user_id, &user);
        if (error != 0)
                return error < 0 ? error : -ESTALE;
        user.role = r->principal.role;
        data = user_to_json(&user);
        if (!data || json_set(data, "api_key_id", json_from_id(r->principal.api_key_id)) < 0)
                return -ENOMEM;
        return request_reply(r, MHD_HTTP_OK, TAKE_PTR(data));
}

/* --- The own password ----------------------------------------------------------------------------- */

/* 1: the account was changed or deleted while the passwords were hashed. */
static int password_write(Request *r, PasswordJob *j) {
        _cleanup_(store_tx_done) StoreTx tx = STORE_TX_NULL;
        _cleanup_(user_done) User user = USER_NULL;
        int error;

        assert(r);
        assert(j);

        error = store_begin(r->api->store, &tx);
        if (error < 0)
                return error;
        error = user_get(r->api->store, j->user.id, &user);
        if (error != 0 || !may_log_in(j, &user))
                return error < 0 ? error : 1;
        error = user_set_password(r->api->store, j->user.id, j->new_hash, now_usec(CLOCK_REALTIME), NULL);
        if (error == 0)
                error = change_audit(r, "user.password", j->user.id, r->principal.username, NULL);
        return error != 0 ? error : store_commit(&tx);
}

static int password_finish(Request *r, PasswordJob *j) {
        int error;

        assert(r);
        assert(j);

        if (j->verified == 0)
                return request_fail_field(r, ERROR_FIELD_INVALID, "current_password",
                                          "The current password is wrong.");
        throttle_forgive(r->api->throttle, THROTTLE_ACCOUNT, r->principal.username);
        error = password_write(r, j);
        if (error > 0)
                return request_fail(r, ERROR_CONFLICT, "The account was changed meanwhile: log in again.");
        if (error < 0)
                return error;
        streams_check(r->api->streams);
        return request_reply(r, MHD_HTTP_OK, json_object());
}

static int read_password(Request *r, PasswordJob *j) {
        _cleanup_failure_ Failure failure = FAILURE_NULL;
        _cleanup_json_ json_t *body = NULL;
        JsonReader reader;
        int error;

        assert(j);

        error = request_body_json(r, &body);
        if (error < 0)
                return error;
        json_reader_init(&reader, body, &failure);
        json_reader_strdup(&reader, "current_password", JSON_REQUIRED, LOGIN_TEXT_MAX, &j->old_password);
        json_reader_password(&reader, JSON_REQUIRED, LOGIN_TEXT_MAX, &j->new_password);
        return request_check(r, json_reader_finish(&reader), &failure);
}

int auth_password(Request *r) {
        _cleanup_(password_job_freep) PasswordJob *j = password_job_new(password_finish);
        _cleanup_(user_done) User user = USER_NULL;
        int error;

        assert(r);

        if (!j)
                return -ENOMEM;
        if (r->principal.kind != PRINCIPAL_SESSION)
                return request_fail(r, ERROR_FORBIDDEN,
                                    "A password is changed by its user, not by an API key.");
        error = read_password(r, j);
        if (error < 0)
                return error;
        if (is_throttled(r, r->principal.username, &error))
                return error;
        error = user_get(r->api->store, r->principal.user_id, &user);
        if (error != 0)
                return error < 0 ? error : -ESTALE;
        j->verify = true;
        j->old_hash = TAKE_PTR(user.password_hash);
        j->user.id = user.id;
        return password_job_start(r, &j);
}
